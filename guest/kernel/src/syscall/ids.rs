//! Who and where a process is: pids, users, groups, capabilities, sessions.

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::wait::SysResult;

pub fn getpid(k: &mut Kernel, call: &Call) -> SysResult {
    Ok(k.task(call.tid).pid.0.into())
}
