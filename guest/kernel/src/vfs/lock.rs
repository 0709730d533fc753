//! File locks: `LockTable` holds the byte-range locks of fcntl(2) and the whole-file locks of flock(2), by inode.
//!
//! An owner is a number: a descriptor table's (POSIX record locks) or an open file description's (OFD locks, flock).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::wait::WaitQueue;

/// Which family a lock belongs to; the two do not see each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockClass {
    Record,
    Flock,
}

/// A lock on `start..end` (`end` exclusive, `u64::MAX` for "to the end of the file and beyond").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    pub owner: u64,
    /// What F_GETLK reports: the process, -1 for an open file description.
    pub pid: i32,
    pub start: u64,
    pub end: u64,
    pub exclusive: bool,
}

impl Lock {
    fn conflicts(&self, other: &Lock) -> bool {
        self.owner != other.owner
            && (self.exclusive || other.exclusive)
            && self.start < other.end
            && other.start < self.end
    }
}

type Key = (LockClass, u64, u64);

#[derive(Default)]
struct FileLocks {
    locks: Vec<Lock>,
    queue: WaitQueue,
}

/// Every lock of the sandbox. Shared as `Rc<LockTable>`.
#[derive(Default)]
pub struct LockTable {
    files: RefCell<HashMap<Key, FileLocks>>,
    owners: Cell<u64>,
}

impl LockTable {
    /// A number no other owner has.
    pub fn new_owner(&self) -> u64 {
        self.owners.set(self.owners.get() + 1);
        self.owners.get()
    }

    /// The first lock that stands in the way of `wanted`.
    pub fn conflict(&self, class: LockClass, file: (u64, u64), wanted: &Lock) -> Option<Lock> {
        let files = self.files.borrow();
        let found = files.get(&(class, file.0, file.1))?;
        found.locks.iter().find(|held| held.conflicts(wanted)).copied()
    }

    /// Takes the lock, replacing what the same owner had in its range; else gives the queue to wait on.
    pub fn acquire(&self, class: LockClass, file: (u64, u64), wanted: Lock) -> Result<(), WaitQueue> {
        if self.conflict(class, file, &wanted).is_some() {
            let mut files = self.files.borrow_mut();
            return Err(files.entry((class, file.0, file.1)).or_default().queue.clone());
        }
        self.release(class, file, wanted.owner, wanted.start, wanted.end);
        self.files.borrow_mut().entry((class, file.0, file.1)).or_default().locks.push(wanted);
        Ok(())
    }

    /// Gives up what `owner` holds in the range, cutting locks that reach out of it.
    pub fn release(&self, class: LockClass, file: (u64, u64), owner: u64, start: u64, end: u64) {
        let mut files = self.files.borrow_mut();
        let key = (class, file.0, file.1);
        let Some(found) = files.get_mut(&key) else { return };
        let before = std::mem::take(&mut found.locks);
        for lock in before {
            if lock.owner != owner || lock.end <= start || end <= lock.start {
                found.locks.push(lock);
                continue;
            }
            if lock.start < start {
                found.locks.push(Lock { end: start, ..lock });
            }
            if end < lock.end {
                found.locks.push(Lock { start: end, ..lock });
            }
        }
        found.queue.wake();
        if found.locks.is_empty() {
            files.remove(&key);
        }
    }

    /// Gives up all locks of an owner that goes away.
    pub fn release_owner(&self, owner: u64) {
        self.files.borrow_mut().retain(|_, file| {
            let before = file.locks.len();
            file.locks.retain(|lock| lock.owner != owner);
            if file.locks.len() != before {
                file.queue.wake();
            }
            !file.locks.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: (u64, u64) = (1, 2);

    fn lock(owner: u64, start: u64, end: u64, exclusive: bool) -> Lock {
        Lock { owner, pid: 1, start, end, exclusive }
    }

    #[test]
    fn readers_share_and_writers_exclude() {
        let table = LockTable::default();
        assert!(table.acquire(LockClass::Record, FILE, lock(1, 0, 10, false)).is_ok());
        assert!(table.acquire(LockClass::Record, FILE, lock(2, 5, 15, false)).is_ok());
        assert!(table.acquire(LockClass::Record, FILE, lock(2, 0, 5, true)).is_err());
        assert!(table.acquire(LockClass::Flock, FILE, lock(2, 0, 5, true)).is_ok());
    }

    #[test]
    fn unlocking_the_middle_splits() {
        let table = LockTable::default();
        table.acquire(LockClass::Record, FILE, lock(1, 0, 100, true)).unwrap();
        table.release(LockClass::Record, FILE, 1, 40, 60);
        assert!(table.conflict(LockClass::Record, FILE, &lock(2, 40, 60, true)).is_none());
        assert!(table.conflict(LockClass::Record, FILE, &lock(2, 39, 40, false)).is_some());
        assert!(table.conflict(LockClass::Record, FILE, &lock(2, 60, 61, false)).is_some());
        table.release_owner(1);
        assert!(table.conflict(LockClass::Record, FILE, &lock(2, 0, 100, true)).is_none());
    }
}
