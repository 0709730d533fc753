//! Scheduling: sched_*, getpriority, setpriority. There is one CPU and one policy, SCHED_OTHER.

use shallop_linux_abi::Errno;

use super::time::write_timespec;
use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::task::Pid;
use crate::task::credentials::cap;
use crate::tunables::CALLS_PER_POLL;
use crate::wait::{SysResult, Tid};

/// Longest sched_attr that is looked at.
const ATTR_BYTES: u64 = 48;

/// The task that a pid argument names; ESRCH when there is none.
fn target(k: &Kernel, call: &Call) -> Result<Tid, Errno> {
    match call.args[0] as i32 {
        0 => Ok(call.tid),
        id if id > 0 && k.tasks.get(Tid(id as u32)).is_some() => Ok(Tid(id as u32)),
        id if id < 0 => Err(Errno::EINVAL),
        _ => Err(Errno::ESRCH),
    }
}

/// `sched_yield()`
pub fn sched_yield(k: &mut Kernel, _call: &Call) -> SysResult {
    // The slice ends as if it had made its share of calls.
    k.calls_since_poll = CALLS_PER_POLL;
    Ok(0)
}

/// `sched_getaffinity(pid, size, mask)`: CPU 0.
pub fn sched_getaffinity(k: &mut Kernel, call: &Call) -> SysResult {
    if call.args[1] < 8 || !call.args[1].is_multiple_of(8) {
        return Err(Errno::EINVAL.into());
    }
    // Here a negative number is only one that nobody has.
    target(k, call).map_err(|_| Errno::ESRCH)?;
    k.write_u64(call.tid, call.args[2], 1)?;
    Ok(8)
}

/// `sched_setaffinity(pid, size, mask)`: EINVAL without CPU 0.
pub fn sched_setaffinity(k: &mut Kernel, call: &Call) -> SysResult {
    target(k, call).map_err(|_| Errno::ESRCH)?;
    let mut first = [0];
    if call.args[1] == 0 {
        return Err(Errno::EINVAL.into());
    }
    k.read_memory(call.tid, call.args[2], &mut first)?;
    if first[0] & 1 == 0 { Err(Errno::EINVAL.into()) } else { Ok(0) }
}

/// `sched_getscheduler(pid)`: SCHED_OTHER.
pub fn sched_getscheduler(k: &mut Kernel, call: &Call) -> SysResult {
    target(k, call)?;
    Ok(0)
}

/// `sched_getparam(pid, param)`
pub fn sched_getparam(k: &mut Kernel, call: &Call) -> SysResult {
    target(k, call)?;
    k.write_u32(call.tid, call.args[1], 0)?;
    Ok(0)
}

/// OTHER, BATCH and IDLE are the same here; FIFO, RR and DEADLINE need CAP_SYS_NICE, which a container has not.
fn check_policy(policy: u32, priority: u32) -> Result<(), Errno> {
    match policy & !0x4000_0000 {
        0 | 3 | 5 if priority == 0 => Ok(()),
        1 | 2 if (1..100).contains(&priority) => Err(Errno::EPERM),
        6 => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}

/// `sched_setscheduler(pid, policy, param)`
pub fn sched_setscheduler(k: &mut Kernel, call: &Call) -> SysResult {
    target(k, call)?;
    let priority = k.read_u32(call.tid, call.args[2])?;
    check_policy(call.args[1] as u32, priority)?;
    Ok(0)
}

/// `sched_setparam(pid, param)`
pub fn sched_setparam(k: &mut Kernel, call: &Call) -> SysResult {
    target(k, call)?;
    let priority = k.read_u32(call.tid, call.args[1])?;
    if priority == 0 { Ok(0) } else { Err(Errno::EINVAL.into()) }
}

/// `sched_get_priority_max(policy)`
pub fn sched_get_priority_max(_k: &mut Kernel, call: &Call) -> SysResult {
    match call.args[0] {
        1 | 2 => Ok(99),
        0 | 3 | 5 | 6 => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// `sched_get_priority_min(policy)`
pub fn sched_get_priority_min(_k: &mut Kernel, call: &Call) -> SysResult {
    match call.args[0] {
        1 | 2 => Ok(1),
        0 | 3 | 5 | 6 => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// `sched_rr_get_interval(pid, interval)`
pub fn sched_rr_get_interval(k: &mut Kernel, call: &Call) -> SysResult {
    target(k, call)?;
    write_timespec(k, call.tid, call.args[1], 4_000_000)?;
    Ok(0)
}

/// `sched_getattr(pid, attr, size, flags)`
pub fn sched_getattr(k: &mut Kernel, call: &Call) -> SysResult {
    let target = target(k, call)?;
    let [_, addr, size, flags, ..] = call.args;
    if !(ATTR_BYTES..=4096).contains(&size) || flags as u32 != 0 {
        return Err(Errno::EINVAL.into());
    }
    // size, policy, flags, nice, priority, runtime, deadline, period.
    let mut attr = [0; ATTR_BYTES as usize];
    attr[..4].copy_from_slice(&(ATTR_BYTES as u32).to_le_bytes());
    let nice = i32::from(k.process_of(target).nice);
    attr[16..20].copy_from_slice(&nice.to_le_bytes());
    k.write_memory(call.tid, addr, &attr)?;
    Ok(0)
}

/// `sched_setattr(pid, attr, flags)`
pub fn sched_setattr(k: &mut Kernel, call: &Call) -> SysResult {
    target(k, call)?;
    let policy = k.read_u32(call.tid, call.args[1].wrapping_add(4))?;
    let priority = k.read_u32(call.tid, call.args[1].wrapping_add(20))?;
    check_policy(policy, priority)?;
    Ok(0)
}

/// The processes that getpriority(2) and setpriority(2) name: one, a group's, or a user's.
fn named(k: &Kernel, call: &Call) -> Result<Vec<Pid>, Errno> {
    let own = k.process_of(call.tid);
    let id = call.args[1] as u32;
    let living = k.processes.iter().filter(|p| !p.is_zombie());
    let found: Vec<Pid> = match call.args[0] {
        0 if id == 0 => vec![own.pid],
        0 => k.tasks.get(Tid(id)).map(|task| task.pid).into_iter().collect(),
        1 => living.filter(|p| p.pgid.0 == if id == 0 { own.pgid.0 } else { id }).map(|p| p.pid).collect(),
        2 => living.filter(|p| p.uid == if id == 0 { own.uid } else { id }).map(|p| p.pid).collect(),
        _ => return Err(Errno::EINVAL),
    };
    if found.is_empty() { Err(Errno::ESRCH) } else { Ok(found) }
}

/// `getpriority(which, who)`: 20 less the nice value, as the system call has it.
pub fn getpriority(k: &mut Kernel, call: &Call) -> SysResult {
    let nice = named(k, call)?.into_iter().map(|pid| k.process(pid).nice).min().unwrap_or(0);
    Ok((20 - i64::from(nice)) as u64)
}

/// `setpriority(which, who, nice)`: kept and shown; EACCES for less than before without CAP_SYS_NICE.
pub fn setpriority(k: &mut Kernel, call: &Call) -> SysResult {
    let nice = (call.args[2] as i32).clamp(-20, 19) as i8;
    let found = named(k, call)?;
    let may_raise = k.task(call.tid).credentials.has(cap::SYS_NICE);
    if !may_raise && found.iter().any(|pid| k.process(*pid).nice > nice) {
        return Err(Errno::EACCES.into());
    }
    for pid in found {
        k.process_mut(pid).nice = nice;
    }
    Ok(0)
}
