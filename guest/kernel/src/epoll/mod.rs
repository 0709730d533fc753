//! Event sets (epoll(7)): `EpollFile` watches open files and tells which are ready.
//!
//! Level-triggered items are looked at anew each time. An edge-triggered one is in its file's wait queue under a number
//! of its own, with the set's own ready list: a wake marks it changed.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::epoll::{ET, EXCLUSIVE, ONESHOT, WAKEUP};

use crate::vfs::open_file::OpenFile;
use crate::vfs::{File, poll};
use crate::wait::{ReadyList, Tid, WaitQueue};

/// Numbers from here on are items in wait queues, never tasks.
const FIRST_ITEM: u32 = 1 << 31;
/// How deep sets may watch sets.
const MAX_DEPTH: u32 = 5;

struct Item {
    file: Weak<OpenFile>,
    events: u32,
    data: u64,
    /// Edge-triggered: something happened since the last report.
    changed: Cell<bool>,
    /// Number in wait queues.
    number: u32,
    queued: Cell<bool>,
    /// ONESHOT has fired.
    disabled: Cell<bool>,
}

/// A set.
#[derive(Default)]
pub struct EpollFile {
    /// By descriptor and identity of the open file, as Linux keys them.
    items: RefCell<BTreeMap<(u32, usize), Item>>,
    next: Cell<u32>,
    woken: ReadyList,
    /// Woken when the set itself changes.
    changed: WaitQueue,
}

fn key(fd: u32, file: &Rc<OpenFile>) -> (u32, usize) {
    (fd, Rc::as_ptr(file) as usize)
}

impl EpollFile {
    /// EPOLL_CTL_ADD: EEXIST, ELOOP for a set that would watch itself, EPERM for files that are always ready.
    pub fn add(&self, fd: u32, file: &Rc<OpenFile>, events: u32, data: u64) -> Result<(), Errno> {
        if let Some(other) = file.file.as_any().downcast_ref::<EpollFile>()
            && (std::ptr::eq(other, self) || other.depth(self)? >= MAX_DEPTH)
        {
            return Err(Errno::ELOOP);
        }
        if file.file.wait_queues().is_empty() && file.file.seekable() {
            return Err(Errno::EPERM);
        }
        if self.items.borrow().get(&key(fd, file)).is_some_and(|item| item.file.strong_count() > 0) {
            return Err(Errno::EEXIST);
        }
        self.next.set(self.next.get() + 1);
        let item = Item {
            file: Rc::downgrade(file),
            events,
            data,
            changed: Cell::new(true),
            number: FIRST_ITEM + self.next.get() % FIRST_ITEM,
            queued: Cell::new(false),
            disabled: Cell::new(false),
        };
        self.items.borrow_mut().insert(key(fd, file), item);
        self.changed.wake();
        Ok(())
    }

    /// EPOLL_CTL_MOD.
    pub fn modify(&self, fd: u32, file: &Rc<OpenFile>, events: u32, data: u64) -> Result<(), Errno> {
        let mut items = self.items.borrow_mut();
        let item = items.get_mut(&key(fd, file)).ok_or(Errno::ENOENT)?;
        if (item.events | events) & EXCLUSIVE != 0 {
            return Err(Errno::EINVAL);
        }
        (item.events, item.data) = (events, data);
        item.changed.set(true);
        item.disabled.set(false);
        drop(items);
        self.changed.wake();
        Ok(())
    }

    /// EPOLL_CTL_DEL.
    pub fn remove(&self, fd: u32, file: &Rc<OpenFile>) -> Result<(), Errno> {
        let item = self.items.borrow_mut().remove(&key(fd, file)).ok_or(Errno::ENOENT)?;
        file.file.wait_queues().iter().for_each(|queue| queue.remove(Tid(item.number)));
        Ok(())
    }

    /// Sets below this one; ELOOP when `top` is among them.
    fn depth(&self, top: &EpollFile) -> Result<u32, Errno> {
        let mut depth = 1;
        for item in self.items.borrow().values() {
            let Some(file) = item.file.upgrade() else { continue };
            let Some(set) = file.file.as_any().downcast_ref::<EpollFile>() else { continue };
            if std::ptr::eq(set, top) {
                return Err(Errno::ELOOP);
            }
            depth = depth.max(1 + set.depth(top)?);
        }
        Ok(depth)
    }

    /// Marks the edge-triggered items that were woken.
    fn note_woken(&self) {
        while let Some(Tid(number)) = self.woken.pop() {
            for item in self.items.borrow().values().filter(|item| item.number == number) {
                item.changed.set(true);
                item.queued.set(false);
            }
        }
    }

    /// What an item has to tell now.
    fn ready_bits(&self, item: &Item, file: &OpenFile) -> u32 {
        if item.disabled.get() {
            return 0;
        }
        if item.events & ET != 0 && !item.changed.get() {
            return 0;
        }
        file.file.poll() & (item.events & !(ET | ONESHOT | EXCLUSIVE | WAKEUP) | poll::ERR | poll::HUP)
    }

    /// Takes up to `max` ready items: (events, data).
    pub fn take_ready(&self, max: usize) -> Vec<(u32, u64)> {
        self.note_woken();
        self.items.borrow_mut().retain(|_, item| item.file.strong_count() > 0);
        let mut ready = Vec::new();
        for item in self.items.borrow().values() {
            let Some(file) = item.file.upgrade() else { continue };
            if ready.len() == max {
                break;
            }
            let bits = self.ready_bits(item, &file);
            if item.events & ET != 0 {
                self.watch(item, &file);
            }
            if bits == 0 {
                continue;
            }
            item.changed.set(false);
            item.disabled.set(item.events & ONESHOT != 0);
            ready.push((bits, item.data));
        }
        ready
    }

    /// Puts an edge-triggered item into its file's queues, unless it still is in one.
    fn watch(&self, item: &Item, file: &OpenFile) {
        if item.queued.replace(true) {
            return;
        }
        for queue in file.file.wait_queues() {
            queue.remove(Tid(item.number));
            queue.add(Tid(item.number), &self.woken);
        }
    }

    /// (descriptor, events, data) of every item, for /proc/pid/fdinfo.
    pub fn describe(&self) -> Vec<(u32, u32, u64)> {
        self.items.borrow().iter().map(|((fd, _), item)| (*fd, item.events, item.data)).collect()
    }
}

impl File for EpollFile {
    fn seekable(&self) -> bool {
        false
    }

    fn poll(&self) -> u32 {
        self.note_woken();
        let items = self.items.borrow();
        let ready = items.values().any(|i| i.file.upgrade().is_some_and(|file| self.ready_bits(i, &file) != 0));
        if ready { poll::IN } else { 0 }
    }

    fn wait_queues(&self) -> Vec<WaitQueue> {
        let mut queues = vec![self.changed.clone()];
        for item in self.items.borrow().values().filter(|item| !item.disabled.get()) {
            queues.extend(item.file.upgrade().into_iter().flat_map(|file| file.file.wait_queues()));
        }
        queues
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
