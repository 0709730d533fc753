//! Waits for a word that become waits for a lock (futex(2), FUTEX_WAIT_REQUEUE_PI): `Conditions`.

use std::cell::RefCell;
use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::{Key, Pending, pi};
use crate::wait::{Tid, WaitQueue};

/// How far a wait has come.
pub enum Stage {
    /// It waits for the word.
    Word,
    /// It waits for the lock.
    Lock(pi::Waiting),
    /// The lock is its own.
    Done,
}

/// A call that waits.
pub struct Waiter {
    word: Key,
    /// The lock that it is to have.
    pub lock: Key,
    pub tid: Tid,
    /// Where the lock is in its memory.
    pub addr: u64,
    stage: RefCell<Stage>,
    queue: WaitQueue,
}

/// Those that wait for a word, longest waiting first.
#[derive(Clone, Default)]
pub struct Conditions(Rc<RefCell<Vec<Rc<Waiter>>>>);

/// Held by a waiting call; dropping it takes the waiter out, also of the lock's list.
pub struct Waiting {
    all: Conditions,
    waiter: Rc<Waiter>,
}

impl Pending for Waiting {
    fn is_over(&self) -> bool {
        match &*self.waiter.stage.borrow() {
            Stage::Word => false,
            Stage::Lock(waiting) => waiting.is_over(),
            Stage::Done => true,
        }
    }

    fn queue(&self) -> WaitQueue {
        match &*self.waiter.stage.borrow() {
            Stage::Lock(waiting) => waiting.queue(),
            _ => self.waiter.queue.clone(),
        }
    }

    /// Whose turn at the word is used up cannot wait for it again.
    fn interrupted(&self) -> Option<Errno> {
        matches!(&*self.waiter.stage.borrow(), Stage::Lock(_)).then_some(Errno::EAGAIN)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.all.take_out(&self.waiter);
    }
}

impl Conditions {
    /// Waits behind all others for `word`, and then for `lock`, which is at `addr` in the memory of `tid`.
    pub fn wait(&self, word: Key, lock: Key, (tid, addr): (Tid, u64)) -> Waiting {
        let (stage, queue) = (RefCell::new(Stage::Word), WaitQueue::new());
        let waiter = Rc::new(Waiter { word, lock, tid, addr, stage, queue });
        self.0.borrow_mut().push(waiter.clone());
        Waiting { all: self.clone(), waiter }
    }

    /// Who has waited longest for a word.
    pub fn first(&self, word: Key) -> Option<Rc<Waiter>> {
        self.0.borrow().iter().find(|waiter| waiter.word == word).cloned()
    }

    /// Ends the wait for the word.
    pub fn advance(&self, waiter: &Rc<Waiter>, stage: Stage) {
        self.take_out(waiter);
        waiter.stage.replace(stage);
        waiter.queue.wake();
    }

    fn take_out(&self, waiter: &Rc<Waiter>) {
        self.0.borrow_mut().retain(|other| !Rc::ptr_eq(other, waiter));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::futex::pi::PiLocks;

    #[test]
    fn who_leaves_waits_neither_for_the_word_nor_for_the_lock() {
        let key = |addr| Key::Private { space: 1, addr };
        let (conditions, locks) = (Conditions::default(), PiLocks::default());
        let waits = |tid| conditions.wait(key(1), key(2), (Tid(tid), 2));
        let (first, second, third) = (waits(1), waits(2), waits(3));
        drop(second);
        let waiter = conditions.first(key(1)).expect("the first");
        conditions.advance(&waiter, Stage::Lock(locks.wait(key(2), Tid(9), (waiter.tid, waiter.addr))));
        assert_eq!((waiter.tid, first.is_over(), locks.owner(key(2))), (Tid(1), false, Some(Tid(9))));
        drop((first, waiter));
        assert_eq!(locks.owner(key(2)), None);
        let waiter = conditions.first(key(1)).expect("the third");
        conditions.advance(&waiter, Stage::Done);
        assert!(third.is_over() && conditions.first(key(1)).is_none());
    }
}
