//! Signal masks: blocking, and the temporary masks of sigsuspend, ppoll, pselect6 and epoll_pwait.

use shallop_linux_abi::Errno;

use super::UNBLOCKABLE;
use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::wait::Tid;

/// Reads a sigset_t of `size` bytes, which must be 8 (EINVAL).
pub fn read(k: &Kernel, tid: Tid, addr: u64, size: u64) -> Result<u64, Errno> {
    if size != 8 {
        return Err(Errno::EINVAL);
    }
    k.read_u64(tid, addr)
}

/// Installs the mask at `addr` (nothing when 0) until the call in progress ends; a handler that interrupts it runs with
/// it, and the old mask comes back when that handler returns. May be called again when the call is tried again.
pub fn temporary(k: &mut Kernel, call: &Call, addr: u64, size: u64) -> Result<(), Errno> {
    if addr == 0 || k.task(call.tid).saved_mask.is_some() {
        return Ok(());
    }
    let mask = read(k, call.tid, addr, size)?;
    let task = k.task_mut(call.tid);
    task.saved_mask = Some(task.mask);
    task.mask = mask & !UNBLOCKABLE;
    Ok(())
}
