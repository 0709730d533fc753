//! Making signals pending, and waking who must act on them.

use shallop_linux_abi::signal::*;

use super::{Disposition, SignalInfo, Target, UNBLOCKABLE, bit, default_action};
use crate::kernel::Kernel;
use crate::task::{INIT, Pid};
use crate::wait::Tid;

const STOPS: u64 = 1 << (SIGSTOP - 1) | 1 << (SIGTSTP - 1) | 1 << (SIGTTIN - 1) | 1 << (SIGTTOU - 1);

/// Makes `info` pending for the target and wakes who must act on it. Targets that are gone are ignored.
pub fn send(k: &mut Kernel, target: Target, info: SignalInfo) {
    match target {
        Target::Task(tid) => {
            if let Some(pid) = k.tasks.get(tid).map(|t| t.pid) {
                send_to(k, pid, Some(tid), info);
            }
        }
        Target::Process(pid) => send_to(k, pid, None, info),
        Target::Group(group) => {
            let members: Vec<Pid> = k.processes.iter().filter(|p| p.pgid == group).map(|p| p.pid).collect();
            for pid in members {
                send_to(k, pid, None, info);
            }
        }
    }
}

fn send_to(k: &mut Kernel, pid: Pid, tid: Option<Tid>, info: SignalInfo) {
    if k.processes.get(pid).is_none_or(|p| p.is_zombie()) {
        return;
    }
    prepare(k, pid, info.signal);
    let blocked = is_blocked(k, pid, tid, info.signal);
    let process = k.process(pid);
    if process.actions.ignores(info.signal) && !blocked {
        return;
    }
    // The first process has no default actions, whoever asks (SIGNAL_UNKILLABLE), but for what the host forces.
    let forced = info.is_forced();
    if pid == INIT && process.actions.get(info.signal).handler == SIG_DFL && !forced && !info.is_fault() && !blocked {
        return;
    }
    let queue = process.signal_queue.clone();
    match tid {
        Some(tid) => k.task_mut(tid).pending.add(info),
        None => k.process_mut(pid).pending.add(info),
    };
    super::show_pending(k, pid);
    queue.wake();
    wake_for(k, pid, tid, info.signal);
}

/// What happens at once: continuing undoes stopping, and the other way round.
fn prepare(k: &mut Kernel, pid: Pid, signal: u32) {
    let discarded = match signal {
        SIGCONT => STOPS,
        _ if bit(signal) & STOPS != 0 => bit(SIGCONT),
        _ => 0,
    };
    if discarded != 0 {
        let tasks = k.process(pid).tasks.clone();
        k.process_mut(pid).pending.discard(discarded);
        for tid in tasks {
            k.task_mut(tid).pending.discard(discarded);
        }
    }
    if matches!(signal, SIGCONT | SIGKILL) && k.process(pid).stopped.is_some() {
        k.process_mut(pid).stopped = None;
        if signal == SIGCONT {
            super::deliver::tell_parent(k, pid, CLD_CONTINUED, SIGCONT, 0xffff);
        }
        for tid in k.process(pid).tasks.clone() {
            k.enqueue(tid);
        }
    }
}

fn is_blocked(k: &Kernel, pid: Pid, tid: Option<Tid>, signal: u32) -> bool {
    let blocks = |tid: Tid| {
        k.tasks.get(tid).is_some_and(|t| (t.mask | t.saved_mask.unwrap_or(0)) & bit(signal) & !UNBLOCKABLE != 0)
    };
    match tid {
        Some(tid) => blocks(tid),
        None => k.process(pid).tasks.iter().all(|tid| blocks(*tid)),
    }
}

/// Wakes a task that can take the signal; all of them when it ends the process.
fn wake_for(k: &mut Kernel, pid: Pid, tid: Option<Tid>, signal: u32) {
    let takes = |k: &Kernel, tid: Tid| k.tasks.get(tid).is_some_and(|t| t.mask & bit(signal) == 0);
    if let Some(tid) = tid {
        if takes(k, tid) {
            k.ready.push(tid);
        }
        return;
    }
    let process = k.process(pid);
    let ends = process.actions.get(signal).handler == SIG_DFL
        && matches!(default_action(signal), Disposition::Terminate | Disposition::Core | Disposition::Stop);
    for tid in &process.tasks {
        if takes(k, *tid) {
            k.ready.push(*tid);
            if !ends {
                return;
            }
        }
    }
}
