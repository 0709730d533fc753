//! Locks whose owner the kernel knows (futex(2), "Priority-inheritance futexes"): `PiLocks`, who waits for whom.
//!
//! All tasks have the same priority here, so nothing is inherited; what is left is that a lock goes straight to who has waited longest.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::{Key, Pending};
use crate::wait::{Tid, WaitQueue};

/// Bits of a word: somebody waits, its owner died, its owner.
pub const WAITERS: u32 = 0x8000_0000;
pub const OWNER_DIED: u32 = 0x4000_0000;
pub const TID_MASK: u32 = 0x3fff_ffff;

/// A call that waits for a lock.
pub struct Waiter {
    key: Key,
    tid: Tid,
    /// Where the word is in its memory.
    addr: u64,
    granted: Cell<bool>,
    queue: WaitQueue,
}

/// A lock that somebody waits for.
struct Lock {
    owner: Tid,
    waiters: VecDeque<Rc<Waiter>>,
}

/// Locks that are waited for, by word.
#[derive(Clone, Default)]
pub struct PiLocks(Rc<RefCell<HashMap<Key, Lock>>>);

/// Held by a waiting call; dropping it takes the waiter out.
pub struct Waiting {
    locks: PiLocks,
    waiter: Rc<Waiter>,
}

impl Pending for Waiting {
    /// The lock is the caller's.
    fn is_over(&self) -> bool {
        self.waiter.granted.get()
    }

    fn queue(&self) -> WaitQueue {
        self.waiter.queue.clone()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_over() {
            self.locks.take_out(&self.waiter);
        }
    }
}

/// Who has got a lock, and where its word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    pub tid: Tid,
    pub addr: u64,
}

impl PiLocks {
    /// Who owns a lock that somebody waits for.
    pub fn owner(&self, key: Key) -> Option<Tid> {
        self.0.borrow().get(&key).map(|lock| lock.owner)
    }

    /// Whether `waiter` waits, be it by way of others, for what `owner` has.
    pub fn waits_for(&self, waiter: Tid, owner: Tid) -> bool {
        let locks = self.0.borrow();
        let of_next = |tid: &Tid| {
            let waited_for = locks.values().find(|lock| lock.waiters.iter().any(|waiter| waiter.tid == *tid));
            waited_for.map(|lock| lock.owner)
        };
        // No way is longer than there are locks.
        std::iter::successors(Some(waiter), of_next).take(locks.len() + 1).any(|tid| tid == owner)
    }

    /// Waits behind all others for a lock, which is `owner`'s.
    pub fn wait(&self, key: Key, owner: Tid, (tid, addr): (Tid, u64)) -> Waiting {
        let waiter = Rc::new(Waiter { key, tid, addr, granted: Cell::new(false), queue: WaitQueue::new() });
        let mut locks = self.0.borrow_mut();
        let lock = locks.entry(key).or_insert_with(|| Lock { owner, waiters: VecDeque::new() });
        lock.waiters.push_back(waiter.clone());
        Waiting { locks: self.clone(), waiter }
    }

    /// Gives a lock to who has waited longest.
    pub fn grant(&self, key: Key) -> Option<Granted> {
        let mut locks = self.0.borrow_mut();
        let lock = locks.get_mut(&key)?;
        let waiter = lock.waiters.pop_front()?;
        lock.owner = waiter.tid;
        if lock.waiters.is_empty() {
            locks.remove(&key);
        }
        waiter.granted.set(true);
        waiter.queue.wake();
        Some(Granted { tid: waiter.tid, addr: waiter.addr })
    }

    /// The locks of a task that others wait for.
    pub fn of(&self, owner: Tid) -> Vec<Key> {
        self.0.borrow().iter().filter(|(_, lock)| lock.owner == owner).map(|(key, _)| *key).collect()
    }

    fn take_out(&self, waiter: &Rc<Waiter>) {
        let mut locks = self.0.borrow_mut();
        if let Some(lock) = locks.get_mut(&waiter.key) {
            lock.waiters.retain(|other| !Rc::ptr_eq(other, waiter));
            if lock.waiters.is_empty() {
                locks.remove(&waiter.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key::Private { space: 1, addr: 0x1000 };

    #[test]
    fn a_lock_goes_to_who_has_waited_longest() {
        let locks = PiLocks::default();
        let waits = |tid: u32| locks.wait(KEY, Tid(1), (Tid(tid), u64::from(tid)));
        let (first, second, third) = (waits(2), waits(3), waits(4));
        drop(first);
        assert_eq!((locks.owner(KEY), locks.of(Tid(1))), (Some(Tid(1)), vec![KEY]));
        assert_eq!(locks.grant(KEY), Some(Granted { tid: Tid(3), addr: 3 }));
        assert!(second.is_over() && !third.is_over());
        assert_eq!(locks.owner(KEY), Some(Tid(3)));
        drop(third);
        assert_eq!((locks.owner(KEY), locks.grant(KEY)), (None, None));
    }

    #[test]
    fn who_waits_for_whom_is_known_along_all_the_way() {
        let locks = PiLocks::default();
        let key = |addr| Key::Private { space: 1, addr };
        let _held: Vec<_> = (1..4).map(|n| locks.wait(key(u64::from(n)), Tid(n), (Tid(n + 1), 0))).collect();
        assert!(locks.waits_for(Tid(4), Tid(1)) && locks.waits_for(Tid(2), Tid(1)));
        assert!(!locks.waits_for(Tid(1), Tid(4)) && !locks.waits_for(Tid(9), Tid(1)));
        // A circle that is there in spite of all does not hold up others.
        let _circle = locks.wait(key(9), Tid(4), (Tid(1), 0));
        assert!(!locks.waits_for(Tid(1), Tid(9)));
    }
}
