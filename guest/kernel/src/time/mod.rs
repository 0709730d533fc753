//! Clocks and timers: `Timers` holds every alarm of the sandbox, by monotonic nanoseconds.
//!
//! The handle is cheap to clone; files such as timerfds keep one and put their wait queue under an alarm.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::kernel::Kernel;
use crate::signal::{SignalInfo, Target};
use crate::task::Pid;
use crate::wait::{Tid, WaitQueue};
use shallop_linux_abi::signal::{SI_TIMER, SIGALRM, SIGPROF, SIGVTALRM};

/// Names an alarm, to take it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlarmId {
    pub deadline: u64,
    sequence: u64,
}

/// What happens at an alarm.
#[derive(Debug, Clone)]
pub enum Alarm {
    /// A blocked call's deadline.
    Wake(Tid),
    /// Everybody waiting on a queue looks again.
    Queue(WaitQueue),
    /// setitimer(2): which of the three.
    Interval(Pid, usize),
    /// timer_create(2): which of the process's timers.
    Posix(Pid, usize),
}

#[derive(Default)]
struct Inner {
    alarms: BTreeMap<AlarmId, Alarm>,
    sequence: u64,
}

/// All alarms. Clones are handles to the same list.
#[derive(Clone, Default)]
pub struct Timers(Rc<RefCell<Inner>>);

impl Timers {
    pub fn add(&self, deadline: u64, alarm: Alarm) -> AlarmId {
        let mut inner = self.0.borrow_mut();
        inner.sequence += 1;
        let id = AlarmId { deadline, sequence: inner.sequence };
        inner.alarms.insert(id, alarm);
        id
    }

    /// Wakes `queue` once at `deadline`.
    pub fn wake_at(&self, deadline: u64, queue: &WaitQueue) -> AlarmId {
        self.add(deadline, Alarm::Queue(queue.clone()))
    }

    /// Takes an alarm back; nothing happens when it is over.
    pub fn cancel(&self, id: AlarmId) {
        self.0.borrow_mut().alarms.remove(&id);
    }

    pub fn next_deadline(&self) -> Option<u64> {
        self.0.borrow().alarms.first_key_value().map(|(id, _)| id.deadline)
    }

    fn take_due(&self, now: u64) -> Option<Alarm> {
        let mut inner = self.0.borrow_mut();
        let entry = inner.alarms.first_entry().filter(|e| e.key().deadline <= now)?;
        Some(entry.remove())
    }
}

/// A timer of timer_create(2).
#[derive(Debug, Clone)]
pub struct PosixTimer {
    pub clock: u32,
    /// Signal number, 0 for SIGEV_NONE.
    pub signal: u32,
    pub value: u64,
    /// SIGEV_THREAD_ID.
    pub thread: Option<Tid>,
    /// Monotonic nanoseconds, 0 when disarmed.
    pub deadline: u64,
    pub interval: u64,
    pub alarm: Option<AlarmId>,
    pub overrun: u32,
}

/// Acts on every alarm whose time has come.
pub fn fire(k: &mut Kernel) {
    let now = k.now_monotonic();
    while let Some(alarm) = k.timers.take_due(now) {
        match alarm {
            Alarm::Wake(tid) => {
                if let Some(task) = k.tasks.get_mut(tid) {
                    task.progress.timed_out = true;
                    k.ready.push(tid);
                }
            }
            Alarm::Queue(queue) => queue.wake(),
            Alarm::Interval(pid, which) => interval(k, pid, which, now),
            Alarm::Posix(pid, id) => posix(k, pid, id, now),
        }
    }
}

/// The first time after `now` that is a whole number of intervals behind `deadline`, and how many were missed.
fn advance(deadline: u64, interval: u64, now: u64) -> (u64, u64) {
    let missed = now.saturating_sub(deadline) / interval;
    (deadline.saturating_add((missed + 1).saturating_mul(interval)), missed)
}

fn interval(k: &mut Kernel, pid: Pid, which: usize, now: u64) {
    let timers = k.timers.clone();
    let Some(process) = k.processes.get_mut(pid) else { return };
    let (deadline, interval, alarm) = &mut process.itimers[which];
    (*deadline, *alarm) = match *interval {
        0 => (0, None),
        interval => {
            let next = advance(*deadline, interval, now).0;
            (next, Some(timers.add(next, Alarm::Interval(pid, which))))
        }
    };
    let signal = [SIGALRM, SIGVTALRM, SIGPROF][which];
    k.send_signal(Target::Process(pid), SignalInfo::kernel(signal));
}

fn posix(k: &mut Kernel, pid: Pid, id: usize, now: u64) {
    let timers = k.timers.clone();
    let Some(Some(timer)) = k.processes.get_mut(pid).and_then(|p| p.timers.get_mut(id)) else { return };
    timer.alarm = None;
    timer.overrun = 0;
    match timer.interval {
        0 => timer.deadline = 0,
        interval => {
            let (next, missed) = advance(timer.deadline, interval, now);
            timer.deadline = next;
            timer.overrun = missed.min(i32::MAX as u64) as u32;
            timer.alarm = Some(timers.add(next, Alarm::Posix(pid, id)));
        }
    }
    let target = timer.thread.map_or(Target::Process(pid), Target::Task);
    // The siginfo's first words are the timer's number and overrun.
    let info = SignalInfo {
        signal: timer.signal,
        code: SI_TIMER,
        pid: id as u32,
        uid: timer.overrun,
        value: timer.value,
        ..SignalInfo::default()
    };
    if info.signal != 0 {
        k.send_signal(target, info);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_come_in_order_and_can_be_taken_back() {
        let timers = Timers::default();
        let late = timers.add(20, Alarm::Wake(Tid(2)));
        timers.add(10, Alarm::Wake(Tid(1)));
        assert_eq!(timers.next_deadline(), Some(10));
        assert!(timers.take_due(9).is_none());
        assert!(matches!(timers.take_due(10), Some(Alarm::Wake(Tid(1)))));
        timers.cancel(late);
        assert_eq!(timers.next_deadline(), None);
    }

    #[test]
    fn missed_intervals_are_counted() {
        assert_eq!(advance(100, 10, 100), (110, 0));
        assert_eq!(advance(100, 10, 135), (140, 3));
    }
}
