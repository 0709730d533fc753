//! wait4(2), waitid(2).

use shallop_linux_abi::Errno;
use shallop_linux_abi::signal::*;

use super::pidfd;
use super::time::write_rusage;
use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::signal::SignalInfo;
use crate::task::Pid;
use crate::task::wait::{News, What, Who, look};
use crate::wait::{Stop, SysResult, Wait};

const WNOHANG: u64 = 1;
const WUNTRACED: u64 = 2;
const WEXITED: u64 = 4;
const WCONTINUED: u64 = 8;
const WNOWAIT: u64 = 0x0100_0000;
const WNOTHREAD: u64 = 0x2000_0000;
const WALL: u64 = 0x4000_0000;
const WCLONE: u64 = 0x8000_0000;

pub fn wait4(k: &mut Kernel, call: &Call) -> SysResult {
    let [id, status, options, usage, ..] = call.args;
    let options = options & 0xffff_ffff;
    if options & !(WNOHANG | WUNTRACED | WCONTINUED | WNOTHREAD | WALL | WCLONE) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let own = k.process_of(call.tid).pgid;
    let who = match id as i32 {
        -1 => Who::Any,
        0 => Who::Group(own),
        i32::MIN => return Err(Errno::ESRCH.into()),
        pid if pid > 0 => Who::Process(Pid(pid as u32)),
        group => Who::Group(Pid(group.unsigned_abs())),
    };
    let what = What { exited: true, ..what(options) };
    let Some(news) = find(k, call, who, what, options)? else { return Ok(0) };
    if status != 0 {
        k.write_u32(call.tid, status, news.status)?;
    }
    if usage != 0 {
        write_rusage(k, call.tid, usage, news.cpu_time)?;
    }
    Ok(news.pid.0.into())
}

fn what(options: u64) -> What {
    What {
        exited: options & WEXITED != 0,
        stopped: options & WUNTRACED != 0,
        continued: options & WCONTINUED != 0,
        keep: options & WNOWAIT != 0,
        clones: options & WCLONE != 0,
        all: options & WALL != 0,
    }
}

fn find(k: &mut Kernel, call: &Call, who: Who, what: What, options: u64) -> Result<Option<News>, Stop> {
    let pid = k.task(call.tid).pid;
    let found = look(k, pid, who, what)?;
    if found.is_none() && options & WNOHANG == 0 {
        return Err(Stop::Block(Wait::on(&k.process(pid).child_queue)));
    }
    Ok(found)
}

pub fn waitid(k: &mut Kernel, call: &Call) -> SysResult {
    let [kind, id, info, options, usage, _] = call.args;
    let options = options & 0xffff_ffff;
    let known = WNOHANG | WUNTRACED | WEXITED | WCONTINUED | WNOWAIT | WNOTHREAD | WALL | WCLONE;
    if options & !known != 0 || options & (WEXITED | WUNTRACED | WCONTINUED) == 0 {
        return Err(Errno::EINVAL.into());
    }
    let own = k.process_of(call.tid).pgid;
    let mut nonblock = false;
    let who = match kind {
        0 => Who::Any,
        1 if id as i32 > 0 => Who::Process(Pid(id as u32)),
        2 if id == 0 => Who::Group(own),
        2 if id as i32 > 0 => Who::Group(Pid(id as u32)),
        3 => pidfd_child(k, call, id, &mut nonblock)?,
        _ => return Err(Errno::EINVAL.into()),
    };
    let again = nonblock && options & WNOHANG == 0;
    let options = if nonblock { options | WNOHANG } else { options };
    let found = find(k, call, who, what(options), options)?;
    if again && found.is_none() {
        return Err(Errno::EAGAIN.into());
    }
    if usage != 0 {
        write_rusage(k, call.tid, usage, found.map_or(0, |n| n.cpu_time))?;
    }
    if info != 0 {
        let bytes = found.map_or([0; 128], |news| child_info(&news).bytes());
        k.write_memory(call.tid, info, &bytes)?;
    }
    Ok(0)
}

/// P_PIDFD: whom to wait for. A process that is gone is nobody's child.
fn pidfd_child(k: &Kernel, call: &Call, fd: u64, nonblock: &mut bool) -> Result<Who, Errno> {
    let (pid, own_nonblock) =
        pidfd::process(k, call.tid, fd).map_err(|errno| if errno == Errno::ESRCH { Errno::ECHILD } else { errno })?;
    *nonblock = own_nonblock;
    Ok(Who::Process(pid))
}

fn child_info(news: &News) -> SignalInfo {
    let (code, value) = match news.status {
        0xffff => (CLD_CONTINUED, SIGCONT),
        status if status & 0xff == 0x7f => (CLD_STOPPED, status >> 8),
        status if status & 0x7f == 0 => (CLD_EXITED, status >> 8 & 0xff),
        status if status & 0x80 != 0 => (CLD_DUMPED, status & 0x7f),
        status => (CLD_KILLED, status & 0x7f),
    };
    SignalInfo { signal: SIGCHLD, code, pid: news.pid.0, uid: news.uid, value: value.into(), ..SignalInfo::default() }
}
