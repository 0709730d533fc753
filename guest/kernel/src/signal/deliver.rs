//! Acting on pending signals before a task goes back to its program: handlers, default actions, stops.

use shallop_linux_abi::Errno;
use shallop_linux_abi::signal::*;
use shallop_machine::SignalFrame;

use super::{Action, Disposition, SignalInfo, Target, UNBLOCKABLE, bit, default_action};
use crate::kernel::Kernel;
use crate::task::{INIT, Pid, exit};
use crate::wait::{OnSignal, Tid};

/// What delivering did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: a call that blocks goes on doing so.
    Nothing,
    /// The registers enter a handler; a call that blocked has its result.
    Handler,
    /// The process stopped.
    Stopped,
    /// The task is gone.
    Gone,
}

/// Whether a signal waits that the task does not block.
pub fn is_due(k: &Kernel, tid: Tid) -> bool {
    let task = k.task(tid);
    (task.pending.set | k.process(task.pid).pending.set) & !task.mask != 0
}

/// Delivers what is due. `blocked` is how the call in progress takes an interruption, if one blocks.
pub fn deliver(k: &mut Kernel, tid: Tid, mut blocked: Option<OnSignal>) -> Outcome {
    let mut outcome = Outcome::Nothing;
    loop {
        let task = k.task_mut(tid);
        let (allowed, pid) = (!task.mask, task.pid);
        let Some(info) = task.pending.take(allowed).or_else(|| k.process_mut(pid).pending.take(allowed)) else {
            return outcome;
        };
        super::show_pending(k, pid);
        let action = k.process(pid).actions.get(info.signal);
        match action.handler {
            SIG_IGN if bit(info.signal) & UNBLOCKABLE == 0 => continue,
            SIG_DFL | SIG_IGN => match by_default(k, tid, pid, &info) {
                Outcome::Nothing => continue,
                other => return other,
            },
            _ => {
                if let Some(policy) = blocked.take() {
                    end_call(k, tid, policy, action);
                }
                crate::strace::delivered(k, tid, &info);
                if enter(k, tid, &info, action).is_err() {
                    exit::by_signal(k, pid, SIGSEGV);
                    return Outcome::Gone;
                }
                outcome = Outcome::Handler;
            }
        }
    }
}

/// The result of a call that a handler interrupts.
fn end_call(k: &mut Kernel, tid: Tid, policy: OnSignal, action: Action) {
    let isa = k.isa;
    let task = k.task_mut(tid);
    let Some(call) = task.call.take() else { return };
    let progress = std::mem::take(&mut task.progress);
    let again = policy == OnSignal::Again || policy == OnSignal::Restart && action.flags & SA_RESTART != 0;
    if progress.done > 0 {
        isa.set_result(&mut task.registers, progress.done as i64);
    } else if again {
        isa.restart_syscall(&mut task.registers, call.number, call.args[0]);
    } else {
        isa.set_result(&mut task.registers, -i64::from(Errno::EINTR.0));
    }
    crate::strace::interrupted(k, tid);
}

fn by_default(k: &mut Kernel, tid: Tid, pid: Pid, info: &SignalInfo) -> Outcome {
    let unkillable = pid == INIT && !info.is_fault() && !info.is_forced();
    match default_action(info.signal) {
        Disposition::Ignore | Disposition::Continue => Outcome::Nothing,
        _ if unkillable => Outcome::Nothing,
        Disposition::Stop => {
            stop(k, pid, info.signal);
            Outcome::Stopped
        }
        Disposition::Terminate | Disposition::Core => {
            crate::strace::killed(k, tid, info.signal);
            exit::by_signal(k, pid, info.signal);
            Outcome::Gone
        }
    }
}

fn stop(k: &mut Kernel, pid: Pid, signal: u32) {
    k.process_mut(pid).stopped = Some(signal);
    tell_parent(k, pid, CLD_STOPPED, signal, signal << 8 | 0x7f);
}

/// SIGCHLD for a stop or a continuation, and the status for wait4.
pub fn tell_parent(k: &mut Kernel, pid: Pid, code: i32, signal: u32, status: u32) {
    let process = k.process_mut(pid);
    process.news = Some(status);
    let (parent, uid) = (process.ppid, process.uid);
    let Some(parent_process) = k.processes.get(parent) else { return };
    parent_process.child_queue.wake();
    if parent_process.actions.get(SIGCHLD).flags & SA_NOCLDSTOP == 0 {
        let value = u64::from(signal);
        let info = SignalInfo { signal: SIGCHLD, code, pid: pid.0, uid, value, ..SignalInfo::default() };
        k.send_signal(Target::Process(parent), info);
    }
}

/// Writes the frame and points the registers at the handler.
fn enter(k: &mut Kernel, tid: Tid, info: &SignalInfo, action: Action) -> Result<(), Errno> {
    let isa = k.isa;
    let memory = k.memory(tid);
    let task = k.task_mut(tid);
    let sp = isa.sp(&task.registers);
    let alt = task.alt_stack;
    let on_alt = alt.holds(sp);
    let use_alt = action.flags & SA_ONSTACK != 0 && alt.flags & SS_DISABLE == 0 && !on_alt;
    let shown = alt.flags & !SS_ONSTACK | if on_alt { SS_ONSTACK } else { 0 };
    let bytes = info.bytes();
    let frame = SignalFrame {
        signal: info.signal,
        handler: action.handler,
        info: &bytes,
        mask: task.saved_mask.take().unwrap_or(task.mask),
        alt_stack: (alt.sp, shown, alt.size),
        stack_top: if use_alt { alt.sp + alt.size } else { sp },
        restorer: crate::tunables::RESTORER,
    };
    let (addr, frame) = isa.push_frame(&mut task.registers, &frame);
    task.mask |= action.mask;
    if action.flags & SA_NODEFER == 0 {
        task.mask |= bit(info.signal);
    }
    task.mask &= !UNBLOCKABLE;
    if use_alt && alt.flags & SS_AUTODISARM != 0 {
        task.alt_stack = super::AltStack::default();
    }
    let pid = task.pid;
    if action.flags & SA_RESETHAND != 0 {
        k.process_mut(pid).actions.get_mut(info.signal).handler = SIG_DFL;
    }
    crate::vfs::GuestMemory::write(&memory, addr, &frame.bytes[..frame.len])
}

/// rt_sigreturn(2): takes the frame off the stack.
pub fn leave(k: &mut Kernel, tid: Tid) -> Result<(), Errno> {
    let isa = k.isa;
    let sp = isa.sp(&k.task(tid).registers);
    let mut frame = vec![0; isa.frame_size()];
    k.read_memory(tid, sp, &mut frame)?;
    let task = k.task_mut(tid);
    let (mask, (alt_sp, alt_flags, alt_size)) = isa.pop_frame(&mut task.registers, &frame);
    task.mask = mask & !UNBLOCKABLE;
    task.alt_stack = super::AltStack { sp: alt_sp, flags: alt_flags & !SS_ONSTACK, size: alt_size };
    Ok(())
}

/// A signal that the task's own instruction caused: cannot be blocked or ignored.
pub fn force(k: &mut Kernel, tid: Tid, info: SignalInfo) {
    let pid = k.task(tid).pid;
    let blocked = k.task(tid).mask & bit(info.signal) != 0;
    let action = k.process_mut(pid).actions.get_mut(info.signal);
    if blocked || action.handler == SIG_IGN {
        *action = Action::default();
        k.task_mut(tid).mask &= !bit(info.signal);
    }
    k.task_mut(tid).pending.add(info);
}
