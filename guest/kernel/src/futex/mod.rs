//! Futexes (futex(2)): who waits on which word. `FutexTable` is shared with the guards of waiting calls.

pub mod condition;
pub mod pi;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use shallop_linux_abi::Errno;

use crate::kernel::Kernel;
use crate::mm::Content;
use crate::task::Pid;
use crate::wait::WaitQueue;

/// What makes two futex words the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// In memory of one address space.
    Private { space: u32, addr: u64 },
    /// In a memory object.
    Object { handle: u32, offset: u64 },
    /// In a file that is mapped shared.
    File { dev: u64, ino: u64, offset: u64 },
}

/// One call that waits.
pub struct Waiter {
    key: Cell<Key>,
    bits: u32,
    woken: Cell<bool>,
    queue: WaitQueue,
}

/// What a call waits for, kept from one try to the next.
pub trait Pending {
    /// Somebody has ended the wait.
    fn is_over(&self) -> bool;
    /// What is waked when that may be so.
    fn queue(&self) -> WaitQueue;
    /// How a signal ends the wait; `None`: as the call says.
    fn interrupted(&self) -> Option<Errno> {
        None
    }
}

/// Waiters by word, longest waiting first.
#[derive(Clone, Default)]
pub struct FutexTable(Rc<RefCell<HashMap<Key, VecDeque<Rc<Waiter>>>>>);

/// Held by a waiting call; dropping it takes the waiter out.
pub struct Waiting {
    table: FutexTable,
    waiter: Rc<Waiter>,
}

impl Pending for Waiting {
    fn is_over(&self) -> bool {
        self.waiter.woken.get()
    }

    fn queue(&self) -> WaitQueue {
        self.waiter.queue.clone()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_over() {
            self.table.take_out(&self.waiter);
        }
    }
}

impl FutexTable {
    /// Puts a new waiter at the end of the word's list. `bits` select wakers (FUTEX_WAIT_BITSET).
    pub fn wait(&self, key: Key, bits: u32) -> Waiting {
        let waiter = Rc::new(Waiter { key: Cell::new(key), bits, woken: Cell::new(false), queue: WaitQueue::new() });
        self.0.borrow_mut().entry(key).or_default().push_back(waiter.clone());
        Waiting { table: self.clone(), waiter }
    }

    /// Whether anybody waits on a word.
    pub fn is_waited_on(&self, key: Key) -> bool {
        self.0.borrow().contains_key(&key)
    }

    /// Wakes up to `count` waiters that have one of `bits`; returns how many.
    pub fn wake(&self, key: Key, count: usize, bits: u32) -> usize {
        let mut table = self.0.borrow_mut();
        let Some(list) = table.get_mut(&key) else { return 0 };
        let mut woken = 0;
        list.retain(|waiter| {
            if woken == count || waiter.bits & bits == 0 {
                return true;
            }
            woken += 1;
            waiter.woken.set(true);
            waiter.queue.wake();
            false
        });
        if list.is_empty() {
            table.remove(&key);
        }
        woken
    }

    /// Moves up to `count` waiters to another word; returns how many.
    pub fn requeue(&self, from: Key, to: Key, count: usize) -> usize {
        if from == to {
            return 0;
        }
        let mut table = self.0.borrow_mut();
        let Some(list) = table.get_mut(&from) else { return 0 };
        let count = count.min(list.len());
        let moved: Vec<_> = list.drain(..count).collect();
        if list.is_empty() {
            table.remove(&from);
        }
        for waiter in &moved {
            waiter.key.set(to);
        }
        if !moved.is_empty() {
            table.entry(to).or_default().extend(moved);
        }
        count
    }

    fn take_out(&self, waiter: &Rc<Waiter>) {
        let mut table = self.0.borrow_mut();
        let key = waiter.key.get();
        if let Some(list) = table.get_mut(&key) {
            list.retain(|w| !Rc::ptr_eq(w, waiter));
            if list.is_empty() {
                table.remove(&key);
            }
        }
    }
}

/// The key of a word of a process's memory.
pub fn key(k: &Kernel, pid: Pid, addr: u64) -> Key {
    let mm = k.process(pid).mm.borrow();
    let private = Key::Private { space: mm.space().0, addr };
    let Some(vma) = mm.find(addr).filter(|v| v.shared) else { return private };
    let inside = addr - vma.start;
    match &vma.content {
        Content::Shared { object, offset } => Key::Object { handle: object.handle, offset: offset + inside },
        Content::File { file, offset, .. } => match file.location.inode.stat() {
            Ok(stat) => Key::File { dev: stat.dev, ino: stat.ino, offset: offset + inside },
            Err(_) => private,
        },
        Content::Anon { .. } => private,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Key = Key::Private { space: 1, addr: 0x1000 };
    const B: Key = Key::Private { space: 1, addr: 0x2000 };

    #[test]
    fn wakes_in_order_and_by_bits() {
        let table = FutexTable::default();
        let (first, second, third) = (table.wait(A, 1), table.wait(A, 2), table.wait(A, u32::MAX));
        assert_eq!(table.wake(A, 1, 2), 1);
        assert!(!first.is_over() && second.is_over() && !third.is_over());
        assert_eq!(table.wake(A, 10, u32::MAX), 2);
        assert_eq!(table.wake(A, 10, u32::MAX), 0);
    }

    #[test]
    fn requeued_waiters_wake_at_the_new_word_and_leave_when_dropped() {
        let table = FutexTable::default();
        let (first, second) = (table.wait(A, 1), table.wait(A, 1));
        assert_eq!(table.requeue(A, B, 5), 2);
        drop(first);
        assert_eq!(table.wake(A, 5, u32::MAX), 0);
        assert_eq!(table.wake(B, 5, u32::MAX), 1);
        assert!(second.is_over());
        assert!(table.0.borrow().is_empty());
    }
}
