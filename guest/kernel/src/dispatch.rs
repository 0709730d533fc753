//! From a task's exit to its handler and back; the scheduler loop.

use crate::kernel::Kernel;
use crate::wait::{SysResult, Tid};

/// One system call being served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    pub tid: Tid,
    pub number: u64,
    pub args: [u64; 6],
}

/// A handler per system call, named as the call: `syscall::<family>::openat(k, call)`.
pub type Handler = fn(&mut Kernel, &Call) -> SysResult;
