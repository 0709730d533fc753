//! Timers that send signals: setitimer, getitimer, timer_create and its family.

use shallop_linux_abi::Errno;
use shallop_linux_abi::signal::{NSIG, SIGALRM};

use super::time::{ABSOLUTE, clock_id, read_timespec, read_timeval, timeval, to_monotonic, words, write_timespec};
use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::task::Pid;
use crate::time::{Alarm, PosixTimer};
use crate::wait::{SysResult, Tid};

/// Most timers of one process.
const MAX_TIMERS: usize = 1024;
/// sigev_notify values.
const SIGEV_SIGNAL: u32 = 0;
const SIGEV_NONE: u32 = 1;
const SIGEV_THREAD_ID: u32 = 4;

/// What is left until `deadline`, at least a microsecond while it is armed.
fn left(k: &Kernel, deadline: u64) -> u64 {
    if deadline == 0 { 0 } else { deadline.saturating_sub(k.now_monotonic()).max(1000) }
}

/// `setitimer(which, new, old)`: ITIMER_VIRTUAL and ITIMER_PROF count real time.
pub fn setitimer(k: &mut Kernel, call: &Call) -> SysResult {
    let [which, new, old, ..] = call.args;
    let pid = k.task(call.tid).pid;
    let which = usize::try_from(which).ok().filter(|w| *w < 3).ok_or(Errno::EINVAL)?;
    let (interval, value) = match new {
        0 => (0, 0),
        at => (read_timeval(k, call.tid, at)?, read_timeval(k, call.tid, at.wrapping_add(16))?),
    };
    write_itimer(k, call.tid, pid, which, old)?;
    let deadline = if value == 0 { 0 } else { k.now_monotonic().saturating_add(value).max(1) };
    let alarm = (deadline != 0).then(|| k.timers.add(deadline, Alarm::Interval(pid, which)));
    let before = std::mem::replace(&mut k.process_mut(pid).itimers[which], (deadline, interval, alarm));
    if let Some(alarm) = before.2 {
        k.timers.cancel(alarm);
    }
    Ok(0)
}

/// `getitimer(which, value)`
pub fn getitimer(k: &mut Kernel, call: &Call) -> SysResult {
    let pid = k.task(call.tid).pid;
    let which = usize::try_from(call.args[0]).ok().filter(|w| *w < 3).ok_or(Errno::EINVAL)?;
    write_itimer(k, call.tid, pid, which, call.args[1])?;
    Ok(0)
}

fn write_itimer(k: &Kernel, tid: Tid, pid: Pid, which: usize, addr: u64) -> Result<(), Errno> {
    if addr == 0 {
        return Ok(());
    }
    let (deadline, interval, _) = k.process(pid).itimers[which];
    let [[a, b], [c, d]] = [timeval(interval), timeval(left(k, deadline))];
    k.write_memory(tid, addr, &words([a, b, c, d]))
}

/// `timer_create(clock, sigevent, timer)`
pub fn timer_create(k: &mut Kernel, call: &Call) -> SysResult {
    let [clock, event, out, ..] = call.args;
    clock_id(k, call.tid, clock)?;
    let pid = k.task(call.tid).pid;
    let slots = &k.process(pid).timers;
    let id = slots.iter().position(Option::is_none).unwrap_or(slots.len());
    if id >= MAX_TIMERS {
        return Err(Errno::EAGAIN.into());
    }
    let mut timer = PosixTimer {
        clock: clock as u32,
        signal: SIGALRM,
        value: id as u64,
        thread: None,
        deadline: 0,
        interval: 0,
        alarm: None,
        overrun: 0,
    };
    if event != 0 {
        read_event(k, call.tid, event, &mut timer)?;
    }
    k.write_u32(call.tid, out, id as u32)?;
    let slots = &mut k.process_mut(pid).timers;
    if id == slots.len() {
        slots.push(None);
    }
    slots[id] = Some(timer);
    Ok(0)
}

/// struct sigevent: value, signal, how to notify, thread.
fn read_event(k: &Kernel, tid: Tid, addr: u64, timer: &mut PosixTimer) -> Result<(), Errno> {
    timer.value = k.read_u64(tid, addr)?;
    let signal = k.read_u32(tid, addr.wrapping_add(8))?;
    let notify = k.read_u32(tid, addr.wrapping_add(12))?;
    match notify {
        SIGEV_NONE => {
            timer.signal = 0;
            return Ok(());
        }
        SIGEV_SIGNAL => {}
        SIGEV_THREAD_ID => {
            let thread = Tid(k.read_u32(tid, addr.wrapping_add(16))?);
            let own = k.tasks.get(thread).is_some_and(|task| task.pid == k.task(tid).pid);
            timer.thread = Some(thread).filter(|_| own);
            if !own {
                return Err(Errno::EINVAL);
            }
        }
        _ => return Err(Errno::EINVAL),
    }
    if signal == 0 || signal > NSIG {
        return Err(Errno::EINVAL);
    }
    timer.signal = signal;
    Ok(())
}

fn timer(k: &Kernel, tid: Tid, id: u64) -> Result<&PosixTimer, Errno> {
    let id = id as u32 as usize;
    k.process_of(tid).timers.get(id).and_then(Option::as_ref).ok_or(Errno::EINVAL)
}

/// `timer_settime(timer, flags, new, old)`
pub fn timer_settime(k: &mut Kernel, call: &Call) -> SysResult {
    let [id, flags, new, old, ..] = call.args;
    let tid = call.tid;
    let (interval, value) = (read_timespec(k, tid, new)?, read_timespec(k, tid, new.wrapping_add(16))?);
    let timer_now = timer(k, tid, id)?.clone();
    if old != 0 {
        write_setting(k, tid, old, timer_now.deadline, timer_now.interval)?;
    }
    let clock = clock_id(k, tid, timer_now.clock as i32 as i64 as u64)?;
    let deadline = match (value, flags & ABSOLUTE) {
        (0, _) => 0,
        (_, 0) => k.now_monotonic().saturating_add(value).max(1),
        _ => to_monotonic(k, clock, value).max(1),
    };
    if let Some(alarm) = timer_now.alarm {
        k.timers.cancel(alarm);
    }
    let pid = k.task(tid).pid;
    let index = id as u32 as usize;
    let alarm = (deadline != 0).then(|| k.timers.add(deadline, Alarm::Posix(pid, index)));
    k.process_mut(pid).timers[index] = Some(PosixTimer { deadline, interval, alarm, overrun: 0, ..timer_now });
    Ok(0)
}

/// Writes a struct itimerspec.
pub fn write_setting(k: &Kernel, tid: Tid, addr: u64, deadline: u64, interval: u64) -> Result<(), Errno> {
    write_timespec(k, tid, addr, interval)?;
    write_timespec(k, tid, addr.wrapping_add(16), left(k, deadline))
}

/// `timer_gettime(timer, value)`
pub fn timer_gettime(k: &mut Kernel, call: &Call) -> SysResult {
    let (deadline, interval) = timer(k, call.tid, call.args[0]).map(|t| (t.deadline, t.interval))?;
    write_setting(k, call.tid, call.args[1], deadline, interval)?;
    Ok(0)
}

/// `timer_getoverrun(timer)`
pub fn timer_getoverrun(k: &mut Kernel, call: &Call) -> SysResult {
    Ok(timer(k, call.tid, call.args[0])?.overrun.into())
}

/// `timer_delete(timer)`
pub fn timer_delete(k: &mut Kernel, call: &Call) -> SysResult {
    let alarm = timer(k, call.tid, call.args[0])?.alarm;
    if let Some(alarm) = alarm {
        k.timers.cancel(alarm);
    }
    k.process_of_mut(call.tid).timers[call.args[0] as u32 as usize] = None;
    Ok(0)
}
