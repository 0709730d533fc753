//! Clocks, sleeping, CPU time: clock_*, nanosleep, gettimeofday, times, getrusage.

use shallop_linux_abi::Errno;
use shallop_platform::Clock;

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::mm::Resident;
use crate::task::Pid;
use crate::wait::{OnSignal, Stop, SysResult, Tid, Wait};

const SECOND: u64 = 1_000_000_000;
/// TIMER_ABSTIME of clock_nanosleep(2), timer_settime(2), timerfd_settime(2).
pub const ABSOLUTE: u64 = 1;
/// Clock ticks a second of times(2).
const TICKS: u64 = 100;

/// Clocks of clock_gettime(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockId {
    /// REALTIME, REALTIME_COARSE, TAI, REALTIME_ALARM.
    Realtime,
    /// MONOTONIC, its RAW and COARSE forms, BOOTTIME: the sandbox never sleeps.
    Monotonic,
    Process(Pid),
    Thread(Tid),
}

/// The clock of a clockid_t; EINVAL when there is none.
pub fn clock_id(k: &Kernel, tid: Tid, id: u64) -> Result<ClockId, Errno> {
    let pid = k.task(tid).pid;
    match id as i32 {
        0 | 5 | 8 | 11 => Ok(ClockId::Realtime),
        1 | 4 | 6 | 7 | 9 => Ok(ClockId::Monotonic),
        2 => Ok(ClockId::Process(pid)),
        3 => Ok(ClockId::Thread(tid)),
        // clock_getcpuclockid(3): the inverted number above three bits, of which bit 2 says "thread".
        id @ ..0 => match (!(id >> 3) as u32, id & 4 != 0, id & 3 != 3) {
            (0, true, true) => Ok(ClockId::Thread(tid)),
            (0, false, true) => Ok(ClockId::Process(pid)),
            (n, true, true) if k.tasks.get(Tid(n)).is_some() => Ok(ClockId::Thread(Tid(n))),
            (n, false, true) if k.processes.get(Pid(n)).is_some() => Ok(ClockId::Process(Pid(n))),
            _ => Err(Errno::EINVAL),
        },
        _ => Err(Errno::EINVAL),
    }
}

/// CPU nanoseconds of a living task, its running slice included.
pub fn task_cpu_time(k: &Kernel, tid: Tid) -> u64 {
    let running = match k.slice {
        Some((running, start)) if running == tid => k.now_monotonic().saturating_sub(start),
        _ => 0,
    };
    k.tasks.get(tid).map_or(0, |task| task.cpu_time) + running
}

/// CPU nanoseconds of a process's tasks, ended ones included.
pub fn process_cpu_time(k: &Kernel, pid: Pid) -> u64 {
    let Some(process) = k.processes.get(pid) else { return 0 };
    process.cpu_time + process.tasks.iter().map(|tid| task_cpu_time(k, *tid)).sum::<u64>()
}

/// Nanoseconds that a clock shows now.
pub fn read_clock(k: &Kernel, clock: ClockId) -> u64 {
    match clock {
        ClockId::Realtime => k.platform.now(Clock::Realtime),
        ClockId::Monotonic => k.now_monotonic(),
        ClockId::Process(pid) => process_cpu_time(k, pid),
        ClockId::Thread(tid) => task_cpu_time(k, tid),
    }
}

/// The monotonic time at which the real-time clock will show `realtime` nanoseconds.
pub fn clock_to_monotonic(k: &Kernel, realtime: u64) -> u64 {
    k.now_monotonic().saturating_add(realtime.saturating_sub(k.platform.now(Clock::Realtime)))
}

/// The monotonic time at which `clock` shows `value`; for CPU clocks as if the CPU were never given away.
pub fn to_monotonic(k: &Kernel, clock: ClockId, value: u64) -> u64 {
    k.now_monotonic().saturating_add(value.saturating_sub(read_clock(k, clock)))
}

/// A struct timespec as nanoseconds; EINVAL when it is negative or not normal.
pub fn read_timespec(k: &Kernel, tid: Tid, addr: u64) -> Result<u64, Errno> {
    let (sec, nsec) = (k.read_u64(tid, addr)? as i64, k.read_u64(tid, addr.wrapping_add(8))?);
    if sec < 0 || nsec >= SECOND {
        return Err(Errno::EINVAL);
    }
    Ok((sec as u64).saturating_mul(SECOND).saturating_add(nsec))
}

/// Writes nanoseconds as a struct timespec.
pub fn write_timespec(k: &Kernel, tid: Tid, addr: u64, value: u64) -> Result<(), Errno> {
    k.write_memory(tid, addr, &words([value / SECOND, value % SECOND]))
}

/// Little-endian 64-bit words, one after the other.
pub fn words<const N: usize>(values: [u64; N]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Seconds and microseconds of a struct timeval.
pub fn timeval(value: u64) -> [u64; 2] {
    [value / SECOND, value % SECOND / 1000]
}

/// A struct timeval as nanoseconds; EINVAL when it is negative or not normal.
pub fn read_timeval(k: &Kernel, tid: Tid, addr: u64) -> Result<u64, Errno> {
    let (sec, usec) = (k.read_u64(tid, addr)? as i64, k.read_u64(tid, addr.wrapping_add(8))?);
    if sec < 0 || usec >= 1_000_000 {
        return Err(Errno::EINVAL);
    }
    Ok((sec as u64).saturating_mul(SECOND).saturating_add(usec * 1000))
}

/// Writes a struct rusage with this CPU time (all of it as user time).
pub fn write_rusage(k: &Kernel, tid: Tid, addr: u64, cpu_time: u64) -> Result<(), Errno> {
    let mut usage = [0; 18];
    usage[..2].copy_from_slice(&timeval(cpu_time));
    usage[4] = Resident::of(k, k.task(tid).space).total() >> 10;
    k.write_memory(tid, addr, &words(usage))
}

/// `clock_gettime(clock, time)`
pub fn clock_gettime(k: &mut Kernel, call: &Call) -> SysResult {
    let clock = clock_id(k, call.tid, call.args[0])?;
    write_timespec(k, call.tid, call.args[1], read_clock(k, clock))?;
    Ok(0)
}

/// `clock_settime(clock, time)`, `settimeofday`, `adjtimex`, `clock_adjtime`: EPERM, the clock is the host's.
pub fn set_clock(_k: &mut Kernel, _call: &Call) -> SysResult {
    Err(Errno::EPERM.into())
}

/// `clock_getres(clock, resolution)`
pub fn clock_getres(k: &mut Kernel, call: &Call) -> SysResult {
    clock_id(k, call.tid, call.args[0])?;
    if call.args[1] != 0 {
        // The coarse clocks say so, though they are not coarser.
        let coarse = matches!(call.args[0], 5 | 6);
        write_timespec(k, call.tid, call.args[1], if coarse { SECOND / 250 } else { 1 })?;
    }
    Ok(0)
}

/// `gettimeofday(time, zone)`: the zone is UTC.
pub fn gettimeofday(k: &mut Kernel, call: &Call) -> SysResult {
    let [time, zone, ..] = call.args;
    if time != 0 {
        k.write_memory(call.tid, time, &words(timeval(k.platform.now(Clock::Realtime))))?;
    }
    if zone != 0 {
        k.write_memory(call.tid, zone, &[0; 8])?;
    }
    Ok(0)
}

/// `nanosleep(duration, remaining)`
pub fn nanosleep(k: &mut Kernel, call: &Call) -> SysResult {
    let duration = read_timespec(k, call.tid, call.args[0])?;
    let until = k.now_monotonic().saturating_add(duration);
    sleep_until(k, call.tid, until, call.args[1])
}

/// `clock_nanosleep(clock, flags, time, remaining)`
pub fn clock_nanosleep(k: &mut Kernel, call: &Call) -> SysResult {
    let [clock, flags, time, remaining, ..] = call.args;
    let clock = match clock_id(k, call.tid, clock)? {
        ClockId::Thread(_) => return Err(Errno::EINVAL.into()),
        ClockId::Process(_) => return Err(Errno::EOPNOTSUPP.into()),
        clock => clock,
    };
    let time = read_timespec(k, call.tid, time)?;
    let absolute = flags & ABSOLUTE != 0;
    let until = if absolute { to_monotonic(k, clock, time) } else { k.now_monotonic().saturating_add(time) };
    sleep_until(k, call.tid, until, if absolute { 0 } else { remaining })
}

/// Sleeps to the deadline fixed at the call's first try; an interruption leaves what is left at `remaining`.
fn sleep_until(k: &mut Kernel, tid: Tid, until: u64, remaining: u64) -> SysResult {
    let progress = &mut k.task_mut(tid).progress;
    let deadline = *progress.deadline.get_or_insert(until);
    let (timed_out, interrupted) = (progress.timed_out, progress.interrupted);
    let now = k.now_monotonic();
    if timed_out || now >= deadline {
        return Ok(0);
    }
    if interrupted && remaining != 0 {
        write_timespec(k, tid, remaining, deadline - now)?;
    }
    Err(Stop::Block(Wait { deadline: Some(deadline), on_signal: OnSignal::Interrupt, ..Wait::default() }))
}

/// `times(buffer)`: ticks since the sandbox started.
pub fn times(k: &mut Kernel, call: &Call) -> SysResult {
    let pid = k.task(call.tid).pid;
    let ticks = |time: u64| time / (SECOND / TICKS);
    if call.args[0] != 0 {
        let (own, children) = (process_cpu_time(k, pid), k.process(pid).children_cpu_time);
        k.write_memory(call.tid, call.args[0], &words([ticks(own), 0, ticks(children), 0]))?;
    }
    Ok(ticks(k.now_monotonic().saturating_sub(k.boot_time)))
}

/// `getrusage(who, usage)`
pub fn getrusage(k: &mut Kernel, call: &Call) -> SysResult {
    let pid = k.task(call.tid).pid;
    let cpu_time = match call.args[0] as i32 {
        0 => process_cpu_time(k, pid),
        -1 => k.process(pid).children_cpu_time,
        1 => task_cpu_time(k, call.tid),
        _ => return Err(Errno::EINVAL.into()),
    };
    write_rusage(k, call.tid, call.args[1], cpu_time)?;
    Ok(0)
}
