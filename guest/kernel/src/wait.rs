//! Blocking: `Stop` is how a handler says why it did not finish, `WaitQueue` is what wakes it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use shallop_linux_abi::Errno;

/// A Linux thread id (what gettid(2) returns).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tid(pub u32);

/// Result of a system call handler.
pub type SysResult = Result<u64, Stop>;

/// Why a handler did not finish.
#[derive(Debug, Clone)]
pub enum Stop {
    /// The call failed.
    Errno(Errno),
    /// Call the handler again when woken.
    Block(Wait),
    /// The task does not come back to this call (exit, execve, rt_sigreturn): its registers are as they must be.
    Gone,
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Stop::Errno(errno)
    }
}

/// What a blocked task waits for.
#[derive(Debug, Clone, Default)]
pub struct Wait {
    pub queues: Vec<WaitQueue>,
    /// Monotonic nanoseconds.
    pub deadline: Option<u64>,
    /// What a signal does to the call.
    pub on_signal: OnSignal,
}

/// What happens to a blocked call when a signal is delivered (signal(7), "Interruption of system calls").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnSignal {
    /// Restarted when the handler was installed with SA_RESTART, else EINTR (ERESTARTSYS).
    #[default]
    Restart,
    /// EINTR whenever a handler runs; restarted when none does (ERESTARTNOHAND).
    Interrupt,
    /// Restarted after the handler, whatever it was installed with (ERESTARTNOINTR).
    Again,
    /// Waits on (uninterruptible).
    Ignore,
}

impl Wait {
    pub fn on(queue: &WaitQueue) -> Wait {
        Wait { queues: vec![queue.clone()], ..Wait::default() }
    }
}

/// The tasks that were woken and not yet looked at; one per kernel, shared by every queue.
#[derive(Debug, Clone, Default)]
pub struct ReadyList(Rc<RefCell<VecDeque<Tid>>>);

impl ReadyList {
    pub fn push(&self, tid: Tid) {
        self.0.borrow_mut().push_back(tid);
    }

    pub fn pop(&self) -> Option<Tid> {
        self.0.borrow_mut().pop_front()
    }

    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

/// The tasks waiting for one thing. Cloning gives another handle to the same queue.
#[derive(Debug, Clone, Default)]
pub struct WaitQueue(Rc<RefCell<Vec<(Tid, ReadyList)>>>);

impl WaitQueue {
    pub fn new() -> WaitQueue {
        WaitQueue::default()
    }

    /// Adds a task; waking moves it to `ready`. The scheduler calls this when a handler blocks.
    pub fn add(&self, tid: Tid, ready: &ReadyList) {
        self.0.borrow_mut().push((tid, ready.clone()));
    }

    /// Takes a task out (it was woken by something else).
    pub fn remove(&self, tid: Tid) {
        self.0.borrow_mut().retain(|(t, _)| *t != tid);
    }

    /// Wakes everyone. A task woken for nothing blocks again.
    pub fn wake(&self) {
        self.wake_some(usize::MAX);
    }

    /// Wakes the `count` tasks that have waited longest; returns how many there were.
    pub fn wake_some(&self, count: usize) -> usize {
        let mut waiting = self.0.borrow_mut();
        let count = count.min(waiting.len());
        for (tid, ready) in waiting.drain(..count) {
            ready.push(tid);
        }
        count
    }
}
