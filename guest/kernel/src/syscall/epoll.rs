//! epoll_create1, epoll_ctl, epoll_pwait, epoll_pwait2.

use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::{epoll, open};

use super::poll::{deadline, expired, fix_deadline};
use crate::dispatch::Call;
use crate::epoll::EpollFile;
use crate::kernel::Kernel;
use crate::signal::mask;
use crate::vfs::File;
use crate::vfs::anonymous::{self, Label};
use crate::vfs::open_file::OpenFile;
use crate::wait::{OnSignal, Stop, SysResult, Wait};

/// Bytes of struct epoll_event where it is not packed (everywhere but on x86-64).
const EVENT_BYTES: u64 = 16;

/// `epoll_create1(flags)`
pub fn epoll_create1(k: &mut Kernel, call: &Call) -> SysResult {
    let flags = call.args[0] as u32;
    if flags & !open::CLOEXEC != 0 {
        return Err(Errno::EINVAL.into());
    }
    let place = anonymous::location(&k.io, Label::Anon("eventpoll"), 0, 0, k.now_realtime());
    let file = OpenFile::new(Rc::new(EpollFile::default()), place, open::RDWR, &k.io.locks);
    Ok(k.install(call.tid, file, flags & open::CLOEXEC != 0)?.into())
}

fn set(file: &OpenFile) -> Result<&EpollFile, Errno> {
    file.file.as_any().downcast_ref::<EpollFile>().ok_or(Errno::EINVAL)
}

/// `epoll_ctl(epfd, op, fd, event)`
pub fn epoll_ctl(k: &mut Kernel, call: &Call) -> SysResult {
    let [epfd, op, fd, event, ..] = call.args;
    let holder = k.file(call.tid, epfd)?;
    let file = k.file(call.tid, fd)?;
    let (op, fd) = (op as u32, fd as u32);
    let (events, data) = match op {
        epoll::CTL_DEL => (0, 0),
        _ => (k.read_u32(call.tid, event)?, k.read_u64(call.tid, event + 8)?),
    };
    if Rc::ptr_eq(&holder, &file) {
        return Err(Errno::EINVAL.into());
    }
    let set = set(&holder)?;
    match op {
        epoll::CTL_ADD => set.add(fd, &file, events, data)?,
        epoll::CTL_MOD => set.modify(fd, &file, events, data)?,
        epoll::CTL_DEL => set.remove(fd, &file)?,
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}

/// `epoll_pwait(epfd, events, count, timeout_ms, sigmask, sigsetsize)`
pub fn epoll_pwait(k: &mut Kernel, call: &Call) -> SysResult {
    let timeout = call.args[3] as i32;
    let deadline = match timeout {
        0.. => Some(fix_deadline(k, call.tid, timeout as u64 * 1_000_000)),
        _ => None,
    };
    wait(k, call, deadline)
}

/// `epoll_pwait2(epfd, events, count, timeout, sigmask, sigsetsize)`
pub fn epoll_pwait2(k: &mut Kernel, call: &Call) -> SysResult {
    let deadline = deadline(k, call.tid, call.args[3])?;
    wait(k, call, deadline)
}

fn wait(k: &mut Kernel, call: &Call, deadline: Option<u64>) -> SysResult {
    let [epfd, events, count, _, sigmask, size] = call.args;
    let file = k.file(call.tid, epfd)?;
    let set = set(&file)?;
    let count = usize::try_from(count as i32).ok().filter(|n| *n > 0).ok_or(Errno::EINVAL)?;
    mask::temporary(k, call, sigmask, size)?;
    // A bad address must not lose events: look before taking.
    k.read_memory(call.tid, events, &mut [0; EVENT_BYTES as usize])?;
    let ready = set.take_ready(count.min(4096));
    if !ready.is_empty() || expired(k, call.tid, deadline) {
        let bytes: Vec<u8> = ready
            .iter()
            .flat_map(|(bits, data)| [&u64::from(*bits).to_le_bytes()[..], &data.to_le_bytes()[..]].concat())
            .collect();
        k.write_memory(call.tid, events, &bytes)?;
        return Ok(ready.len() as u64);
    }
    Err(Stop::Block(Wait { queues: set.wait_queues(), deadline, on_signal: OnSignal::Interrupt }))
}
