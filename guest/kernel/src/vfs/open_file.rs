//! `OpenFile`: the open file description (open(2)): what descriptors that were duplicated or inherited share.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use shallop_linux_abi::file::open;
use shallop_linux_abi::inotify::{IN_CLOSE_NOWRITE, IN_CLOSE_WRITE};

use super::lock::LockTable;
use super::watch::Watches;
use super::{File, Location};

/// An open file: its operations, where it was found, its offset and status flags.
pub struct OpenFile {
    pub file: Rc<dyn File>,
    pub location: Location,
    pub offset: Cell<u64>,
    flags: Cell<u32>,
    /// F_SETOWN's value; kept, not acted upon.
    pub owner: Cell<i32>,
    /// This description as a lock owner (flock, OFD locks); 0 until it locks something.
    lock_owner: Cell<u64>,
    locks: Rc<LockTable>,
    /// Who is told of its closing; set for files of the tree.
    watches: OnceCell<Rc<Watches>>,
}

/// Status flags that fcntl(F_SETFL) may change.
const SETTABLE: u32 = open::APPEND | open::NONBLOCK | open::ASYNC | open::DIRECT | open::NOATIME;

/// Flags that only matter while opening and are not shown by F_GETFL.
const CREATION: u32 = open::CREAT | open::EXCL | open::NOCTTY | open::TRUNC | open::CLOEXEC;

impl OpenFile {
    /// `flags` are open(2)'s.
    pub fn new(file: Rc<dyn File>, location: Location, flags: u32, locks: &Rc<LockTable>) -> Rc<OpenFile> {
        Rc::new(OpenFile {
            file,
            location,
            offset: Cell::new(0),
            flags: Cell::new(flags & !CREATION),
            owner: Cell::new(0),
            lock_owner: Cell::new(0),
            locks: locks.clone(),
            watches: OnceCell::new(),
        })
    }

    /// From now on the watches are told when it closes.
    pub fn watched_by(&self, watches: &Rc<Watches>) {
        let _ = self.watches.set(watches.clone());
    }

    pub fn flags(&self) -> u32 {
        self.flags.get()
    }

    /// F_SETFL: changes what may be changed, leaves the rest.
    pub fn set_flags(&self, flags: u32) {
        self.flags.set(self.flags.get() & !SETTABLE | flags & SETTABLE);
    }

    pub fn nonblock(&self) -> bool {
        self.flags() & open::NONBLOCK != 0
    }

    /// Opened with O_PATH: only names a place, gives no access.
    pub fn is_path(&self) -> bool {
        self.flags() & open::PATH != 0
    }

    pub fn readable(&self) -> bool {
        !self.is_path() && self.flags() & open::ACCMODE != open::WRONLY
    }

    pub fn writable(&self) -> bool {
        !self.is_path() && matches!(self.flags() & open::ACCMODE, open::WRONLY | open::RDWR)
    }

    /// This description's number as an owner of locks.
    pub fn lock_owner(&self) -> u64 {
        if self.lock_owner.get() == 0 {
            self.lock_owner.set(self.locks.new_owner());
        }
        self.lock_owner.get()
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if self.lock_owner.get() != 0 {
            self.locks.release_owner(self.lock_owner.get());
        }
        self.file.release();
        if let Some(watches) = self.watches.get() {
            watches.tell(&self.location, if self.writable() { IN_CLOSE_WRITE } else { IN_CLOSE_NOWRITE });
        }
    }
}
