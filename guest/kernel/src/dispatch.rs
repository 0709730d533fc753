//! The scheduler loop, and the way from a task's exit to its handler and back.
//!
//! A task runs until it blocks, ends or its slice is over; then the next one of the run queue runs. With nothing to run the
//! kernel waits for the host's events or the nearest alarm.

use shallop_host_abi::SLICE;
use shallop_host_abi::hypercall::{Exit, event, exit};
use shallop_linux_abi::Errno;
use shallop_linux_abi::signal::*;

use crate::kernel::Kernel;
use crate::signal::deliver::{self, Outcome};
use crate::signal::{SignalInfo, Target};
use crate::task::{Blocked, INIT, Life, State, SyscallProgress};
use crate::time::{self, Alarm};
use crate::tunables::CALLS_PER_POLL;
use crate::wait::{OnSignal, Stop, SysResult, Tid, Wait};
use crate::{profile, strace, table};

/// One system call being served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    pub tid: Tid,
    pub number: u64,
    pub args: [u64; 6],
}

/// A handler per system call, named as the call: `syscall::<family>::openat(k, call)`.
pub type Handler = fn(&mut Kernel, &Call) -> SysResult;

/// What became of a call.
enum Served {
    /// Its result is in the registers, or the task needs none.
    Done,
    Blocked,
    /// The task ended.
    Gone,
}

/// Runs tasks until the first process has ended; returns its status as wait(2) encodes it.
pub fn run(k: &mut Kernel) -> u32 {
    loop {
        wake_ready(k);
        match k.processes.get(INIT).map(|p| p.life) {
            Some(Life::Zombie(status)) => return status,
            None => return 0,
            Some(Life::Running) => {}
        }
        match k.run_queue.pop_front() {
            Some(tid) => {
                if let Some(task) = k.tasks.get_mut(tid) {
                    task.queued = false;
                    step(k, tid);
                }
            }
            None => idle(k),
        }
    }
}

/// Moves woken tasks to the run queue.
fn wake_ready(k: &mut Kernel) {
    while let Some(tid) = k.ready.pop() {
        let Some(task) = k.tasks.get_mut(tid) else { continue };
        if let State::Blocked(blocked) = &task.state {
            for queue in &blocked.wait.queues {
                queue.remove(tid);
            }
            if let Some(alarm) = blocked.alarm {
                k.timers.cancel(alarm);
            }
            task.state = State::Runnable;
            k.enqueue(tid);
        }
    }
}

/// Waits for the host, or until the nearest alarm.
fn idle(k: &mut Kernel) {
    time::fire(k);
    if !k.ready.is_empty() {
        return;
    }
    let events = k.platform.event_wait(k.timers.next_deadline());
    take_events(k, events);
    time::fire(k);
}

/// Looks for events without waiting.
fn poll_events(k: &mut Kernel) {
    k.calls_since_poll = 0;
    let events = k.platform.event_wait(Some(0));
    take_events(k, events);
    time::fire(k);
}

fn take_events(k: &mut Kernel, events: u32) {
    if events & event::STDIN != 0 {
        crate::tty::stdin_ready(k);
    }
    if events & event::SIGNAL != 0 {
        while let Some(signal) = k.platform.take_signal() {
            forward(k, signal);
        }
    }
    if events & event::WINSIZE != 0 {
        crate::tty::winsize_changed(k);
    }
    if events & event::NET != 0 {
        crate::net::inet::outside::news(k);
    }
    crate::tty::send_pending(k);
}

/// A signal that the host passes on to the container's first process.
fn forward(k: &mut Kernel, signal: u32) {
    if signal == 0 || signal > NSIG {
        return;
    }
    let code = if signal == SIGKILL { SI_KERNEL } else { SI_USER };
    k.send_signal(Target::Process(INIT), SignalInfo { signal, code, ..SignalInfo::default() });
}

/// Runs one task until it blocks, ends, stops, or its slice is over.
fn step(k: &mut Kernel, tid: Tid) {
    if k.process_of(tid).stopped.is_some() {
        return;
    }
    let now = k.now_monotonic();
    // Since the last slice nothing could run.
    k.load.pass(now, 0);
    k.slice = Some((tid, now));
    profile::begin(k, now);
    let again = run_slice(k, tid);
    account(k, tid);
    if again {
        // Those it woke come before it, and those whose time has come.
        poll_events(k);
        wake_ready(k);
        k.enqueue(tid);
    }
}

/// Has the host end the slice that began at `start` when an alarm is due before its time.
fn set_alarm(k: &mut Kernel, start: u64) {
    let next = k.timers.next_deadline().filter(|deadline| *deadline < start + SLICE);
    if next != k.alarm {
        k.alarm = next;
        k.platform.alarm(next);
    }
}

/// Adds the slice's time to the task.
fn account(k: &mut Kernel, tid: Tid) {
    let Some((_, start)) = k.slice.take() else { return };
    let now = k.now_monotonic();
    k.load.pass(now, 1 + k.run_queue.len());
    if let Some(task) = k.tasks.get_mut(tid) {
        task.cpu_time += now.saturating_sub(start);
    }
}

/// True when the task can go on but gives way.
fn run_slice(k: &mut Kernel, tid: Tid) -> bool {
    if let Some(call) = k.task(tid).call
        && !matches!(serve(k, call), Served::Done)
    {
        return false;
    }
    loop {
        if !before_return(k, tid) {
            return false;
        }
        if let Some((_, start)) = k.slice {
            set_alarm(k, start);
        }
        let task = k.tasks.get_mut(tid).expect("a task that runs exists");
        let result = match task.host {
            Some(host) => k.platform.task_run(host, &mut task.registers),
            None => Err(Errno::ESRCH),
        };
        let Ok(ended) = result else {
            broken(k, tid);
            return false;
        };
        profile::ran(k, tid, &ended);
        match ended.kind {
            exit::SYSCALL => {
                let (number, args) = k.isa.syscall(&k.task(tid).registers);
                if !matches!(serve(k, Call { tid, number, args }), Served::Done) {
                    return false;
                }
                k.calls_since_poll += 1;
                if k.calls_since_poll >= CALLS_PER_POLL {
                    return before_return(k, tid);
                }
            }
            exit::YIELD => return true,
            exit::BROKEN => {
                broken(k, tid);
                return false;
            }
            _ => fault(k, tid, &ended),
        }
    }
}

/// Signals before the task goes back to its program. False when it must not run.
fn before_return(k: &mut Kernel, tid: Tid) -> bool {
    if deliver::is_due(k, tid) {
        match deliver::deliver(k, tid, None) {
            Outcome::Gone | Outcome::Stopped => return false,
            Outcome::Nothing | Outcome::Handler => {}
        }
    }
    let task = k.task_mut(tid);
    if let Some(mask) = task.saved_mask.take() {
        task.mask = mask;
        if deliver::is_due(k, tid) {
            return before_return(k, tid);
        }
    }
    k.process_of(tid).stopped.is_none()
}

/// Calls the handler, for the first time or again.
fn serve(k: &mut Kernel, call: Call) -> Served {
    let served = handle(k, call);
    profile::served(k, &call);
    served
}

fn handle(k: &mut Kernel, call: Call) -> Served {
    let tid = call.tid;
    let resumed = k.task(tid).call.is_some();
    if k.strace && !resumed {
        strace::entered(k, &call);
    }
    if resumed {
        let due = deliver::is_due(k, tid);
        k.task_mut(tid).progress.interrupted = due;
    }
    let result = match table::row(call.number) {
        Some(row) => (row.handler)(k, &call),
        None => Err(Stop::Errno(Errno::ENOSYS)),
    };
    if !k.io.pending_signals.borrow().is_empty() {
        crate::tty::send_pending(k);
    }
    match result {
        Ok(value) => finish(k, &call, value as i64),
        Err(Stop::Errno(errno)) => finish(k, &call, -i64::from(errno.0)),
        Err(Stop::Gone) => gone(k, &call),
        Err(Stop::Block(wait)) => block(k, call, wait),
    }
}

fn finish(k: &mut Kernel, call: &Call, value: i64) -> Served {
    if k.strace {
        strace::left(k, call, Some(value));
    }
    let isa = k.isa;
    let Some(task) = k.tasks.get_mut(call.tid) else { return Served::Gone };
    isa.set_result(&mut task.registers, value);
    reset(task);
    Served::Done
}

fn gone(k: &mut Kernel, call: &Call) -> Served {
    if k.strace {
        strace::left(k, call, None);
    }
    match k.tasks.get_mut(call.tid) {
        Some(task) => {
            reset(task);
            Served::Done
        }
        None => Served::Gone,
    }
}

/// A call is over: nothing of it stays.
fn reset(task: &mut crate::task::Task) {
    task.call = None;
    let progress = &task.progress;
    if progress.deadline.is_some() || progress.timed_out || progress.done != 0 || progress.saved.is_some() {
        task.progress = SyscallProgress::default();
    }
    task.progress.interrupted = false;
}

/// The handler wants to wait: a due signal interrupts it, otherwise the task sleeps.
fn block(k: &mut Kernel, call: Call, wait: Wait) -> Served {
    let tid = call.tid;
    k.task_mut(tid).call = Some(call);
    let due = match wait.on_signal {
        OnSignal::Ignore => (k.task(tid).pending.set | k.process_of(tid).pending.set) & SIGKILL_BIT != 0,
        _ => deliver::is_due(k, tid),
    };
    if due {
        match deliver::deliver(k, tid, Some(wait.on_signal)) {
            Outcome::Handler => return Served::Done,
            Outcome::Gone => return Served::Gone,
            Outcome::Nothing | Outcome::Stopped => {}
        }
    }
    sleep(k, tid, wait);
    Served::Blocked
}

const SIGKILL_BIT: u64 = 1 << (SIGKILL - 1);

fn sleep(k: &mut Kernel, tid: Tid, wait: Wait) {
    for queue in &wait.queues {
        queue.add(tid, &k.ready);
    }
    let alarm = wait.deadline.map(|deadline| k.timers.add(deadline, Alarm::Wake(tid)));
    k.task_mut(tid).progress.timed_out = false;
    k.task_mut(tid).state = State::Blocked(Blocked { wait, alarm });
}

/// The engine gave up on the task: its process dies.
fn broken(k: &mut Kernel, tid: Tid) {
    let pid = k.task(tid).pid;
    let report = format!("shallop: process {} ended: its engine could not go on\n", pid.0);
    let _ = k.platform.stdio_write(2, report.as_bytes());
    crate::task::exit::by_signal(k, pid, SIGKILL);
}

/// An instruction that could not be done becomes a signal.
fn fault(k: &mut Kernel, tid: Tid, ended: &Exit) {
    let pc = k.isa.pc(&k.task(tid).registers);
    let (signal, code, value) = match ended.kind {
        exit::ILLEGAL => (SIGILL, ILL_ILLOPC, pc),
        exit::BREAKPOINT => (SIGTRAP, TRAP_BRKPT, pc),
        exit::MISALIGNED => (SIGBUS, BUS_ADRALN, ended.address),
        exit::FAULT if ended.detail & 0x100 != 0 => (SIGBUS, BUS_ADRERR, ended.address),
        exit::FAULT => {
            let (write, fetch) = (ended.detail & 0xff == 1, ended.detail & 0xff == 2);
            let mm = k.process_of(tid).mm.clone();
            let (signal, code) = mm.borrow().fault(ended.address, write, fetch);
            if signal == SIGBUS && mm.borrow_mut().refill(ended.address) {
                return;
            }
            (signal, code, ended.address)
        }
        _ => (SIGILL, ILL_ILLOPC, pc),
    };
    if k.strace {
        strace::faulted(k, tid, signal, code, value);
    }
    deliver::force(k, tid, SignalInfo { signal, code, value, ..SignalInfo::default() });
}

impl Kernel {
    /// Puts a runnable task at the end of the run queue, once.
    pub fn enqueue(&mut self, tid: Tid) {
        let Some(task) = self.tasks.get_mut(tid) else { return };
        if !task.queued && matches!(task.state, State::Runnable) {
            task.queued = true;
            self.run_queue.push_back(tid);
        }
    }
}
