//! Job control: controlling terminals, foreground groups, SIGTTIN and SIGTTOU (credentials(7), termios(3)).

use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::ioctl;

use super::termios::local;
use super::{PTS_MAJOR, Tty, TtyFile, send_pending};
use crate::kernel::Kernel;
use crate::signal::number::{SIGCONT, SIGHUP, SIGTTIN, SIGTTOU};
use crate::signal::{SignalInfo, Target};
use crate::task::Pid;
use crate::wait::{Stop, Tid, Wait};

/// The terminal that controls `tid`'s session.
pub fn controlling(k: &Kernel, tid: Tid) -> Option<Rc<Tty>> {
    let (major, minor) = k.process_of(tid).tty?;
    if major != PTS_MAJOR {
        return None;
    }
    k.io.ttys.borrow().get(minor as usize)?.clone()
}

fn controls(k: &Kernel, tid: Tid, tty: &Tty) -> bool {
    k.process_of(tid).tty == Some((PTS_MAJOR, tty.index))
}

/// Makes `tty` the controlling terminal of `tid`'s session if it leads one and neither has one yet; what open(2)
/// without O_NOCTTY does. EPERM otherwise.
pub fn adopt(k: &mut Kernel, tid: Tid, tty: &Tty) -> Result<(), Errno> {
    let process = k.process_of(tid);
    if process.tty == Some((PTS_MAJOR, tty.index)) && process.sid == process.pid {
        return Ok(());
    }
    if process.sid != process.pid || process.tty.is_some() || tty.session.get().is_some() {
        return Err(Errno::EPERM);
    }
    let (sid, pgid) = (process.sid, process.pgid);
    tty.session.set(Some(sid));
    tty.foreground.set(Some(pgid));
    for process in k.processes.iter_mut().filter(|p| p.sid == sid) {
        process.tty = Some((PTS_MAJOR, tty.index));
    }
    Ok(())
}

/// The session `sid` ended or gave up its terminal: nobody is controlled by it any more.
pub fn session_ended(k: &mut Kernel, sid: Pid) {
    let ttys: Vec<Rc<Tty>> = k.io.ttys.borrow().iter().flatten().cloned().collect();
    for tty in ttys.into_iter().filter(|tty| tty.session.get() == Some(sid)) {
        tty.signal_foreground(SIGHUP);
        tty.signal_foreground(SIGCONT);
        tty.session.set(None);
        tty.foreground.set(None);
    }
    for process in k.processes.iter_mut().filter(|p| p.sid == sid) {
        process.tty = None;
    }
    send_pending(k);
}

/// Before a read: a background process gets SIGTTIN, or EIO when it would not stop for it.
pub fn check_read(k: &mut Kernel, tid: Tid, file: &TtyFile) -> Result<(), Stop> {
    check(k, tid, file, SIGTTIN)
}

/// Before a write or a change of settings: SIGTTOU to a background process. Writes only under TOSTOP.
pub fn check_write(k: &mut Kernel, tid: Tid, file: &TtyFile, settings: bool) -> Result<(), Stop> {
    if settings || file.tty.termios().local(local::TOSTOP) {
        return check(k, tid, file, SIGTTOU);
    }
    Ok(())
}

fn check(k: &mut Kernel, tid: Tid, file: &TtyFile, signal: u32) -> Result<(), Stop> {
    let tty = &file.tty;
    if file.master || !controls(k, tid, tty) {
        return Ok(());
    }
    let group = k.process_of(tid).pgid;
    if tty.foreground.get().is_none_or(|foreground| foreground == group) {
        return Ok(());
    }
    let ignored = k.task(tid).mask >> (signal - 1) & 1 != 0 || crate::signal::is_ignored(k, tid, signal);
    if ignored {
        return if signal == SIGTTIN { Err(Errno::EIO.into()) } else { Ok(()) };
    }
    k.send_signal(Target::Group(group), SignalInfo::kernel(signal));
    // The signal stops the task or runs its handler; either way the call starts again.
    Err(Stop::Block(Wait::default()))
}

/// The ioctls of job control; `None` for others.
pub fn job_ioctl(k: &mut Kernel, tid: Tid, file: &TtyFile, request: u32, arg: u64) -> Option<Result<u64, Stop>> {
    let result = match request {
        ioctl::TIOCSCTTY => adopt(k, tid, &file.tty).map_err(Stop::from),
        ioctl::TIOCNOTTY => give_up(k, tid, file),
        ioctl::TIOCGPGRP => tell(k, tid, file, arg, file.tty.foreground.get()),
        ioctl::TIOCGSID => tell(k, tid, file, arg, file.tty.session.get()),
        ioctl::TIOCSPGRP => set_foreground(k, tid, file, arg),
        _ => return None,
    };
    Some(result.map(|()| 0))
}

fn tell(k: &Kernel, tid: Tid, file: &TtyFile, arg: u64, value: Option<Pid>) -> Result<(), Stop> {
    if !file.master && !controls(k, tid, &file.tty) {
        return Err(Errno::ENOTTY.into());
    }
    Ok(k.write_u32(tid, arg, value.map_or(0, |pid| pid.0))?)
}

fn give_up(k: &mut Kernel, tid: Tid, file: &TtyFile) -> Result<(), Stop> {
    if !controls(k, tid, &file.tty) {
        return Err(Errno::ENOTTY.into());
    }
    let process = k.process_of_mut(tid);
    if process.sid != process.pid {
        process.tty = None;
        return Ok(());
    }
    let sid = process.sid;
    session_ended(k, sid);
    Ok(())
}

fn set_foreground(k: &mut Kernel, tid: Tid, file: &TtyFile, arg: u64) -> Result<(), Stop> {
    if !controls(k, tid, &file.tty) {
        return Err(Errno::ENOTTY.into());
    }
    let group = k.read_u32(tid, arg)? as i32;
    if group < 0 {
        return Err(Errno::EINVAL.into());
    }
    let group = Pid(group as u32);
    check_write(k, tid, file, true)?;
    let session = k.process_of(tid).sid;
    match k.processes.iter().find(|p| p.pgid == group) {
        None => Err(Errno::ESRCH.into()),
        Some(process) if process.sid != session => Err(Errno::EPERM.into()),
        Some(_) => {
            file.tty.foreground.set(Some(group));
            Ok(())
        }
    }
}
