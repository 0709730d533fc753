//! Tasks (threads) and processes: their types and tables. Cut by verb: clone, exec, exit, wait, run, credentials.

pub mod credentials;

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

use shallop_machine::Registers;
use shallop_platform::{HostTask, SpaceId};

use crate::vfs::fd_table::FdTable;
use crate::vfs::{FsContext, Location};
use crate::wait::Tid;

pub use credentials::{Capabilities, Credentials};

/// A process id: the tid of its first task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pid(pub u32);

/// What a system call keeps while it blocks and is called again; reset when a call starts.
#[derive(Default)]
pub struct SyscallProgress {
    /// Monotonic nanoseconds until which the call waits, fixed at its first run.
    pub deadline: Option<u64>,
    /// The last `Wait`'s deadline passed.
    pub timed_out: bool,
    /// Bytes or items already transferred.
    pub done: u64,
    pub saved: Option<Box<dyn Any>>,
}

/// A thread.
pub struct Task {
    pub tid: Tid,
    pub pid: Pid,
    pub space: SpaceId,
    pub host: Option<HostTask>,
    pub registers: Registers,
    pub files: Rc<RefCell<FdTable>>,
    pub fs: Rc<RefCell<FsContext>>,
    pub credentials: Credentials,
    pub progress: SyscallProgress,
    /// Blocked signals, bit n-1 for signal n.
    pub mask: u64,
    /// /proc/pid/comm, at most 15 bytes.
    pub name: Vec<u8>,
}

/// A process: what its tasks share.
pub struct Process {
    pub pid: Pid,
    pub ppid: Pid,
    pub pgid: Pid,
    pub sid: Pid,
    pub exe: Option<Location>,
    /// NUL-terminated strings, as /proc/pid/cmdline shows.
    pub cmdline: Vec<u8>,
    pub environ: Vec<u8>,
    pub space: SpaceId,
    pub tasks: Vec<Tid>,
    pub children: Vec<Pid>,
    /// st_rdev of the controlling terminal.
    pub tty: Option<(u32, u32)>,
    /// Soft and hard, by RLIMIT number.
    pub rlimits: [(u64, u64); 16],
}

macro_rules! table {
    ($(#[$doc:meta])* $table:ident, $id:ident, $item:ident) => {
        $(#[$doc])*
        #[derive(Default)]
        pub struct $table(Vec<Option<Box<$item>>>);

        impl $table {
            pub fn get(&self, id: $id) -> Option<&$item> {
                self.0.get(id.0 as usize)?.as_deref()
            }

            pub fn get_mut(&mut self, id: $id) -> Option<&mut $item> {
                self.0.get_mut(id.0 as usize)?.as_deref_mut()
            }

            pub fn insert(&mut self, id: $id, item: $item) {
                let index = id.0 as usize;
                if self.0.len() <= index {
                    self.0.resize_with(index + 1, || None);
                }
                self.0[index] = Some(Box::new(item));
            }

            pub fn remove(&mut self, id: $id) -> Option<Box<$item>> {
                self.0.get_mut(id.0 as usize)?.take()
            }

            /// All of them, by number.
            pub fn iter(&self) -> impl Iterator<Item = &$item> {
                self.0.iter().flatten().map(|b| &**b)
            }

            pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut $item> {
                self.0.iter_mut().flatten().map(|b| &mut **b)
            }
        }
    };
}

table!(
    /// All tasks, by tid.
    TaskTable, Tid, Task
);
table!(
    /// All processes, zombies included, by pid.
    ProcessTable, Pid, Process
);
