//! Sending, blocking, catching and waiting for signals.

use shallop_linux_abi::Errno;
use shallop_linux_abi::signal::*;

use super::time::read_timespec;
use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::signal::{Action, AltStack, SignalInfo, Target, UNBLOCKABLE, bit, deliver, mask};
use crate::task::credentials::cap;
use crate::task::{INIT, Pid};
use crate::wait::{OnSignal, Stop, SysResult, Tid, Wait};

const MINSIGSTKSZ: u64 = 2048;

pub(super) fn check_signal(signal: u64) -> Result<u32, Errno> {
    if signal <= NSIG.into() { Ok(signal as u32) } else { Err(Errno::EINVAL) }
}

pub fn rt_sigaction(k: &mut Kernel, call: &Call) -> SysResult {
    let [signal, new, old, size, ..] = call.args;
    let signal = check_signal(signal)?;
    if size != 8 || signal == 0 || new != 0 && bit(signal) & UNBLOCKABLE != 0 {
        return Err(Errno::EINVAL.into());
    }
    let before = k.process_of(call.tid).actions.get(signal);
    if new != 0 {
        let mut words = [0; 24];
        k.read_memory(call.tid, new, &mut words)?;
        let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|b| words[8 * i + b]));
        let action = Action { handler: word(0), flags: word(1), mask: word(2) & !UNBLOCKABLE };
        if matches!(signal, SIGSEGV | SIGBUS) && !matches!(action.handler, SIG_DFL | SIG_IGN) {
            // The handler will want the registers that its signal frame shows.
            k.platform.space_precise(k.process_of(call.tid).space())?;
        }
        let process = k.process_of_mut(call.tid);
        *process.actions.get_mut(signal) = action;
        if process.actions.ignores(signal) {
            process.pending.discard(bit(signal));
            let tasks = process.tasks.clone();
            tasks.into_iter().for_each(|tid| k.task_mut(tid).pending.discard(bit(signal)));
        }
    }
    if old != 0 {
        let bytes: Vec<u8> = [before.handler, before.flags, before.mask].iter().flat_map(|w| w.to_le_bytes()).collect();
        k.write_memory(call.tid, old, &bytes)?;
    }
    Ok(0)
}

pub fn rt_sigprocmask(k: &mut Kernel, call: &Call) -> SysResult {
    let [how, new, old, size, ..] = call.args;
    if size != 8 {
        return Err(Errno::EINVAL.into());
    }
    let before = k.task(call.tid).mask;
    if new != 0 {
        let set = k.read_u64(call.tid, new)?;
        let after = match how {
            0 => before | set,
            1 => before & !set,
            2 => set,
            _ => return Err(Errno::EINVAL.into()),
        };
        k.task_mut(call.tid).mask = after & !UNBLOCKABLE;
    }
    if old != 0 {
        k.write_u64(call.tid, old, before)?;
    }
    Ok(0)
}

pub fn rt_sigpending(k: &mut Kernel, call: &Call) -> SysResult {
    if call.args[1] > 8 {
        return Err(Errno::EINVAL.into());
    }
    let task = k.task(call.tid);
    let set = (task.pending.set | k.process(task.pid).pending.set) & task.mask;
    k.write_u64(call.tid, call.args[0], set)?;
    Ok(0)
}

pub fn rt_sigsuspend(k: &mut Kernel, call: &Call) -> SysResult {
    if call.args[0] == 0 {
        return Err(Errno::EFAULT.into());
    }
    if call.args[1] != 8 {
        return Err(Errno::EINVAL.into());
    }
    mask::temporary(k, call, call.args[0], call.args[1])?;
    Err(Stop::Block(Wait { on_signal: OnSignal::Interrupt, ..Wait::default() }))
}

pub fn rt_sigtimedwait(k: &mut Kernel, call: &Call) -> SysResult {
    let [set, info, timeout, size, ..] = call.args;
    let set = mask::read(k, call.tid, set, size)? & !UNBLOCKABLE;
    let pid = k.task(call.tid).pid;
    let found = k.task_mut(call.tid).pending.take(set).or_else(|| k.process_mut(pid).pending.take(set));
    if let Some(found) = found {
        if info != 0 {
            k.write_memory(call.tid, info, &found.bytes())?;
        }
        crate::signal::show_pending(k, pid);
        return Ok(found.signal.into());
    }
    let deadline = match (k.task(call.tid).progress.deadline, timeout) {
        (Some(deadline), _) => Some(deadline),
        (None, 0) => None,
        (None, addr) => Some(k.now_monotonic().saturating_add(read_timespec(k, call.tid, addr)?)),
    };
    let progress = &mut k.task_mut(call.tid).progress;
    progress.deadline = deadline;
    if progress.timed_out || deadline.is_some_and(|d| d <= k.now_monotonic()) {
        return Err(Errno::EAGAIN.into());
    }
    let wait = Wait { deadline, on_signal: OnSignal::Interrupt, ..Wait::on(&k.process(pid).signal_queue) };
    Err(Stop::Block(wait))
}

pub fn rt_sigreturn(k: &mut Kernel, call: &Call) -> SysResult {
    if deliver::leave(k, call.tid).is_err() {
        deliver::force(k, call.tid, SignalInfo::kernel(SIGSEGV));
    }
    Err(Stop::Gone)
}

pub fn sigaltstack(k: &mut Kernel, call: &Call) -> SysResult {
    let [new, old, ..] = call.args;
    let task = k.task(call.tid);
    let before = task.alt_stack;
    let on = before.holds(k.isa.sp(&task.registers));
    if new != 0 {
        let sp = k.read_u64(call.tid, new)?;
        let flags = k.read_u32(call.tid, new + 8)?;
        let size = k.read_u64(call.tid, new + 16)?;
        if on {
            return Err(Errno::EPERM.into());
        }
        let mode = flags & !SS_AUTODISARM;
        let stack = match mode {
            SS_DISABLE => AltStack::default(),
            0 | SS_ONSTACK if size < MINSIGSTKSZ => return Err(Errno::ENOMEM.into()),
            0 | SS_ONSTACK => AltStack { sp, flags: flags & SS_AUTODISARM, size },
            _ => return Err(Errno::EINVAL.into()),
        };
        k.task_mut(call.tid).alt_stack = stack;
    }
    if old != 0 {
        let flags = before.flags | if on { SS_ONSTACK } else { 0 };
        let words = [before.sp, flags.into(), before.size];
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        k.write_memory(call.tid, old, &bytes)?;
    }
    Ok(0)
}

/// EPERM unless the caller may send a signal to the process (kill(2)).
pub(super) fn may_signal(k: &Kernel, from: Tid, to: Pid, signal: u32) -> Result<(), Errno> {
    let who = &k.task(from).credentials;
    let target = k.processes.get(to).ok_or(Errno::ESRCH)?;
    let Some(task) = target.tasks.first().and_then(|t| k.tasks.get(*t)) else { return Ok(()) };
    let other = &task.credentials;
    let same_session = signal == SIGCONT && target.sid == k.process_of(from).sid;
    let owner = [who.uid, who.euid].iter().any(|id| *id == other.uid || *id == other.suid);
    if owner || same_session || who.has(cap::KILL) { Ok(()) } else { Err(Errno::EPERM) }
}

pub fn kill(k: &mut Kernel, call: &Call) -> SysResult {
    let signal = check_signal(call.args[1])?;
    let me = k.task(call.tid).pid;
    let own_group = k.process(me).pgid;
    let targets: Vec<Pid> = match call.args[0] as i32 {
        pid if pid > 0 => vec![Pid(pid as u32)],
        0 => group_members(k, own_group),
        -1 => k.processes.iter().map(|p| p.pid).filter(|p| *p != INIT && *p != me).collect(),
        group => group_members(k, Pid(group.unsigned_abs())),
    };
    let info = SignalInfo::user(signal, me, k.task(call.tid).credentials.uid);
    let mut result = Err(Errno::ESRCH);
    for pid in targets {
        match may_signal(k, call.tid, pid, signal) {
            Ok(()) => {
                result = Ok(0);
                if signal != 0 {
                    k.send_signal(Target::Process(pid), info);
                }
            }
            Err(errno) if result.is_err() => result = Err(errno),
            Err(_) => {}
        }
    }
    Ok(result?)
}

fn group_members(k: &Kernel, group: Pid) -> Vec<Pid> {
    k.processes.iter().filter(|p| p.pgid == group).map(|p| p.pid).collect()
}

pub fn tkill(k: &mut Kernel, call: &Call) -> SysResult {
    to_task(k, call, None, call.args[0], call.args[1])
}

pub fn tgkill(k: &mut Kernel, call: &Call) -> SysResult {
    to_task(k, call, Some(call.args[0]), call.args[1], call.args[2])
}

fn to_task(k: &mut Kernel, call: &Call, group: Option<u64>, tid: u64, signal: u64) -> SysResult {
    let signal = check_signal(signal)?;
    if tid as i32 <= 0 || group.is_some_and(|g| g as i32 <= 0) {
        return Err(Errno::EINVAL.into());
    }
    let target = Tid(tid as u32);
    let pid = k.tasks.get(target).map(|t| t.pid).ok_or(Errno::ESRCH)?;
    if group.is_some_and(|g| g as u32 != pid.0) {
        return Err(Errno::ESRCH.into());
    }
    may_signal(k, call.tid, pid, signal)?;
    if signal != 0 {
        let task = k.task(call.tid);
        let info = SignalInfo { code: SI_TKILL, ..SignalInfo::user(signal, task.pid, task.credentials.uid) };
        k.send_signal(Target::Task(target), info);
    }
    Ok(0)
}

pub fn rt_sigqueueinfo(k: &mut Kernel, call: &Call) -> SysResult {
    let [pid, signal, info, ..] = call.args;
    queue_info(k, call, Target::Process(Pid(pid as u32)), Pid(pid as u32), signal, info)
}

pub fn rt_tgsigqueueinfo(k: &mut Kernel, call: &Call) -> SysResult {
    let [group, tid, signal, info, ..] = call.args;
    let target = Tid(tid as u32);
    if k.tasks.get(target).is_none_or(|t| u64::from(t.pid.0) != group) {
        return Err(Errno::ESRCH.into());
    }
    queue_info(k, call, Target::Task(target), Pid(group as u32), signal, info)
}

fn queue_info(k: &mut Kernel, call: &Call, target: Target, pid: Pid, signal: u64, addr: u64) -> SysResult {
    let signal = check_signal(signal)?;
    let mut bytes = [0; 128];
    k.read_memory(call.tid, addr, &mut bytes)?;
    let info = SignalInfo::from_bytes(signal, &bytes);
    if (info.code >= 0 || info.code == SI_TKILL) && pid != k.task(call.tid).pid {
        return Err(Errno::EPERM.into());
    }
    may_signal(k, call.tid, pid, signal)?;
    if signal != 0 {
        k.send_signal(target, info);
    }
    Ok(0)
}
