//! Waiting for several files: ppoll, pselect6.

use shallop_linux_abi::Errno;

use super::time::write_timespec;
use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::signal::mask;
use crate::vfs::poll;
use crate::wait::{OnSignal, Stop, SysResult, Tid, Wait, WaitQueue};

/// Bits that are reported whether asked for or not.
const ALWAYS: u32 = poll::ERR | poll::HUP | poll::NVAL;

/// Fixes, at a call's first try, until when it waits: `timeout` is a struct timespec, 0 for ever. `Some(0)` is a
/// deadline that has passed.
pub fn deadline(k: &mut Kernel, tid: Tid, timeout: u64) -> Result<Option<u64>, Errno> {
    if timeout == 0 {
        return Ok(None);
    }
    let (sec, nsec) = (k.read_u64(tid, timeout)? as i64, k.read_u64(tid, timeout + 8)?);
    if sec < 0 || nsec >= 1_000_000_000 {
        return Err(Errno::EINVAL);
    }
    Ok(Some(fix_deadline(k, tid, (sec as u64).saturating_mul(1_000_000_000).saturating_add(nsec))))
}

/// The monotonic time at which a wait of `nanoseconds`, begun at the call's first try, ends; 0 when it is no wait.
pub fn fix_deadline(k: &mut Kernel, tid: Tid, nanoseconds: u64) -> u64 {
    if nanoseconds == 0 {
        return 0;
    }
    let now = k.now_monotonic();
    *k.task_mut(tid).progress.deadline.get_or_insert(now.saturating_add(nanoseconds))
}

/// Whether a call with this deadline waits no longer.
pub fn expired(k: &Kernel, tid: Tid, deadline: Option<u64>) -> bool {
    k.task(tid).progress.timed_out || deadline.is_some_and(|at| at == 0 || k.now_monotonic() >= at)
}

/// What is left of the wait, for the caller's struct timespec; one that cannot be written is left alone, as on Linux.
fn write_left(k: &Kernel, tid: Tid, timeout: u64, deadline: Option<u64>) {
    if let Some(deadline) = deadline {
        let _ = write_timespec(k, tid, timeout, deadline.saturating_sub(k.now_monotonic()));
    }
}

/// Ready bits of a descriptor, and the queues that tell of changes.
fn look(k: &Kernel, tid: Tid, fd: u32, queues: &mut Vec<WaitQueue>) -> u32 {
    match k.file(tid, u64::from(fd)) {
        Err(_) => poll::NVAL,
        Ok(file) => {
            let ready = file.file.poll();
            queues.extend(file.file.wait_queues());
            ready
        }
    }
}

/// `ppoll(fds, count, timeout, sigmask, sigsetsize)`
pub fn ppoll(k: &mut Kernel, call: &Call) -> SysResult {
    let [fds, count, timeout, sigmask, size, _] = call.args;
    if count > k.open_files_limit(call.tid) {
        return Err(Errno::EINVAL.into());
    }
    let mut bytes = vec![0; count as usize * 8];
    k.read_memory(call.tid, fds, &mut bytes)?;
    let deadline = deadline(k, call.tid, timeout)?;
    mask::temporary(k, call, sigmask, size)?;
    let mut queues = Vec::new();
    let mut ready = 0;
    for entry in bytes.chunks_exact_mut(8) {
        let fd = i32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
        let events = u32::from(u16::from_le_bytes([entry[4], entry[5]]));
        let found = if fd < 0 { 0 } else { spread(look(k, call.tid, fd as u32, &mut queues)) & (events | ALWAYS) };
        entry[6..].copy_from_slice(&(found as u16).to_le_bytes());
        ready += u64::from(found != 0);
    }
    let over = ready > 0 || expired(k, call.tid, deadline);
    if over {
        k.write_memory(call.tid, fds, &bytes)?;
    }
    if over || k.task(call.tid).progress.interrupted {
        write_left(k, call.tid, timeout, deadline);
    }
    if over {
        return Ok(ready);
    }
    Err(Stop::Block(Wait { queues, deadline, on_signal: OnSignal::Interrupt }))
}

/// POLLIN and POLLOUT under their second names too (POLLRDNORM, POLLWRNORM).
fn spread(ready: u32) -> u32 {
    let named = |bit: u32, name: u32| if ready & bit != 0 { name } else { 0 };
    ready | named(poll::IN, 0x40) | named(poll::OUT, 0x100)
}

/// What each of select(2)'s three sets stands for.
const SETS: [u32; 3] = [poll::IN | poll::HUP | poll::ERR, poll::OUT | poll::ERR, poll::PRI];

/// `pselect6(count, read, write, except, timeout, sigmask)`
pub fn pselect6(k: &mut Kernel, call: &Call) -> SysResult {
    let [count, read, write, except, timeout, sigmask] = call.args;
    let count = i32::try_from(count as i64).map_err(|_| Errno::EINVAL)?;
    let count = u32::try_from(count).map_err(|_| Errno::EINVAL)?;
    // Linux's tables of descriptors grow by 64; bits above are not looked at.
    let count = count.min(k.task(call.tid).files.borrow().end().next_multiple_of(64).max(64));
    let len = (count as usize).div_ceil(64) * 8;
    let places = [read, write, except];
    let mut asked = [vec![0; len], vec![0; len], vec![0; len]];
    for (place, set) in places.into_iter().zip(&mut asked).filter(|(place, _)| *place != 0) {
        k.read_memory(call.tid, place, set)?;
    }
    let deadline = deadline(k, call.tid, timeout)?;
    if sigmask != 0 {
        let (addr, size) = (k.read_u64(call.tid, sigmask)?, k.read_u64(call.tid, sigmask + 8)?);
        mask::temporary(k, call, addr, size)?;
    }
    let mut queues = Vec::new();
    let mut found = [vec![0; len], vec![0; len], vec![0; len]];
    let mut ready = 0;
    for fd in 0..count {
        let (byte, bit) = (fd as usize / 8, 1u8 << (fd % 8));
        if asked.iter().all(|set| set[byte] & bit == 0) {
            continue;
        }
        let bits = look(k, call.tid, fd, &mut queues);
        if bits & poll::NVAL != 0 {
            return Err(Errno::EBADF.into());
        }
        for i in 0..3 {
            if asked[i][byte] & bit != 0 && bits & SETS[i] != 0 {
                found[i][byte] |= bit;
                ready += 1;
            }
        }
    }
    let over = ready > 0 || expired(k, call.tid, deadline);
    if over || k.task(call.tid).progress.interrupted {
        write_left(k, call.tid, timeout, deadline);
    }
    if over {
        for (place, set) in places.into_iter().zip(&found).filter(|(place, _)| *place != 0) {
            k.write_memory(call.tid, place, set)?;
        }
        return Ok(ready);
    }
    Err(Stop::Block(Wait { queues, deadline, on_signal: OnSignal::Interrupt }))
}
