//! What reaches a running sandbox from outside: [`Events`].

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::{Ending, Interrupt};
use crate::platform::Wake;

/// Signals kept for a kernel that does not take them; more are dropped.
const MAX_SIGNALS: usize = 1024;

/// Signals, window changes and the end, sent by any thread to the one that runs the sandbox.
pub struct Events {
    wake: Wake,
    signals: Mutex<VecDeque<u32>>,
    winsize: AtomicBool,
    killed: AtomicBool,
    sandbox: Mutex<Option<Arc<Interrupt>>>,
}

impl Events {
    /// # Errors
    /// When the system gives no descriptor.
    pub fn new() -> io::Result<Arc<Events>> {
        Ok(Arc::new(Events {
            wake: Wake::new()?,
            signals: Mutex::default(),
            winsize: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            sandbox: Mutex::default(),
        }))
    }

    /// Passes a signal on to the container's first process. `number` as Linux numbers them.
    pub fn signal(&self, number: u32) {
        {
            let mut signals = lock(&self.signals);
            if signals.len() < MAX_SIGNALS {
                signals.push_back(number);
            }
        }
        self.notify();
    }

    /// The terminal's size is another now.
    pub fn winsize_changed(&self) {
        self.winsize.store(true, Ordering::Release);
        self.notify();
    }

    /// Ends the sandbox at once. Comes to pass even when it was not started yet.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        if let Some(interrupt) = &*lock(&self.sandbox) {
            interrupt.end(Ending::Killed);
        }
        self.notify();
    }

    /// Interrupts the running task and wakes a waiting kernel.
    fn notify(&self) {
        self.wake();
        if let Some(interrupt) = &*lock(&self.sandbox) {
            interrupt.preempt();
        }
    }

    /// Wakes who waits for events.
    pub(crate) fn wake(&self) {
        self.wake.wake();
    }

    /// What is interrupted from now on; `None` when the sandbox has ended.
    pub(crate) fn attach(&self, interrupt: Option<Arc<Interrupt>>) {
        let mut sandbox = lock(&self.sandbox);
        if let Some(interrupt) = &interrupt
            && self.killed.load(Ordering::Acquire)
        {
            interrupt.end(Ending::Killed);
        }
        *sandbox = interrupt;
    }
}

/// What a kernel asks for.
#[cfg(target_os = "linux")]
impl Events {
    /// Readable while there may be something new.
    pub(crate) fn descriptor(&self) -> std::os::fd::BorrowedFd<'_> {
        self.wake.descriptor()
    }

    /// Makes the descriptor unreadable until the next event. Look at the events after it, not before.
    pub(crate) fn drain(&self) {
        self.wake.drain();
    }

    pub(crate) fn has_signal(&self) -> bool {
        !lock(&self.signals).is_empty()
    }

    pub(crate) fn take_signal(&self) -> Option<u32> {
        lock(&self.signals).pop_front()
    }

    pub(crate) fn take_winsize(&self) -> bool {
        self.winsize.swap(false, Ordering::AcqRel)
    }
}

/// Locks, whatever became of an earlier holder: the data here is valid at every point.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn signals_come_in_order_and_are_bounded() {
        let events = Events::new().unwrap();
        events.signal(15);
        events.signal(2);
        assert!(events.has_signal());
        assert_eq!((events.take_signal(), events.take_signal(), events.take_signal()), (Some(15), Some(2), None));
        (0..2 * MAX_SIGNALS).for_each(|_| events.signal(1));
        assert_eq!(lock(&events.signals).len(), MAX_SIGNALS);
    }

    #[test]
    fn a_winsize_is_taken_once() {
        let events = Events::new().unwrap();
        events.winsize_changed();
        assert!(events.take_winsize());
        assert!(!events.take_winsize());
    }
}
