//! `ProcessWatch`: how far a process's end has come, for those who hold it by a pidfd and not by its number.

use std::cell::Cell;

use crate::wait::WaitQueue;

/// Outlives the process; its number may be another's by then.
#[derive(Debug, Default)]
pub struct ProcessWatch {
    ended: Cell<bool>,
    reaped: Cell<bool>,
    /// Woken when one of the two changes.
    pub queue: WaitQueue,
}

impl ProcessWatch {
    /// It is a zombie, or gone.
    pub fn ended(&self) -> bool {
        self.ended.get()
    }

    /// It is gone.
    pub fn reaped(&self) -> bool {
        self.reaped.get()
    }

    /// The last task ended.
    pub fn end(&self) {
        self.ended.set(true);
        self.queue.wake();
    }

    /// The process was waited for.
    pub fn reap(&self) {
        self.reaped.set(true);
        self.queue.wake();
    }
}
