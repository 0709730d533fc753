//! `FdTable`: a process's descriptors. Threads share one (CLONE_FILES), fork clones it.

use std::cell::Cell;
use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::lock::LockTable;
use super::open_file::OpenFile;

/// A descriptor: the open file and its close-on-exec flag.
#[derive(Clone)]
pub struct Slot {
    pub file: Rc<OpenFile>,
    pub cloexec: bool,
}

/// The descriptors of one or more tasks.
pub struct FdTable {
    slots: Vec<Option<Slot>>,
    /// No descriptor below is free; so that opening many is not quadratic.
    first_free: u32,
    locks: Rc<LockTable>,
    /// This table as the owner of POSIX record locks; 0 until one is taken.
    lock_owner: Cell<u64>,
}

impl FdTable {
    pub fn new(locks: &Rc<LockTable>) -> FdTable {
        FdTable { slots: Vec::new(), first_free: 0, locks: locks.clone(), lock_owner: Cell::new(0) }
    }

    /// The open file of `fd`, O_PATH ones included. EBADF when there is none.
    pub fn get(&self, fd: u32) -> Result<Rc<OpenFile>, Errno> {
        self.slot(fd).map(|slot| slot.file.clone())
    }

    pub fn slot(&self, fd: u32) -> Result<&Slot, Errno> {
        self.slots.get(fd as usize).and_then(Option::as_ref).ok_or(Errno::EBADF)
    }

    /// The lowest free number from `min`. `limit` is RLIMIT_NOFILE: EMFILE when nothing is free.
    pub fn free(&self, min: u32, limit: u64) -> Result<u32, Errno> {
        let used = |fd: &u32| self.slots.get(*fd as usize).is_some_and(Option::is_some);
        let free = (min.max(self.first_free)..).find(|fd| !used(fd));
        free.filter(|fd| u64::from(*fd) < limit).ok_or(Errno::EMFILE)
    }

    /// Puts the file at the number that [`FdTable::free`] gives.
    pub fn insert(&mut self, file: Rc<OpenFile>, cloexec: bool, min: u32, limit: u64) -> Result<u32, Errno> {
        let fd = self.free(min, limit)?;
        if min <= self.first_free {
            self.first_free = fd + 1;
        }
        self.replace(fd, file, cloexec);
        Ok(fd)
    }

    /// Puts the file at `fd`, returning what was there. The caller has checked `fd` against RLIMIT_NOFILE.
    pub fn replace(&mut self, fd: u32, file: Rc<OpenFile>, cloexec: bool) -> Option<Rc<OpenFile>> {
        if self.slots.len() <= fd as usize {
            self.slots.resize(fd as usize + 1, None);
        }
        self.slots[fd as usize].replace(Slot { file, cloexec }).map(|slot| slot.file)
    }

    /// Takes a descriptor out; what it referred to closes with its last reference.
    pub fn remove(&mut self, fd: u32) -> Result<Rc<OpenFile>, Errno> {
        let slot = self.slots.get_mut(fd as usize).and_then(Option::take).ok_or(Errno::EBADF)?;
        self.first_free = self.first_free.min(fd);
        while matches!(self.slots.last(), Some(None)) {
            self.slots.pop();
        }
        Ok(slot.file)
    }

    pub fn set_cloexec(&mut self, fd: u32, cloexec: bool) -> Result<(), Errno> {
        let slot = self.slots.get_mut(fd as usize).and_then(Option::as_mut).ok_or(Errno::EBADF)?;
        slot.cloexec = cloexec;
        Ok(())
    }

    /// execve(2): closes what is marked close-on-exec. The files are returned, to be dropped once the table is free.
    pub fn close_on_exec(&mut self) -> Vec<Rc<OpenFile>> {
        let marked: Vec<u32> = self.iter().filter(|(_, slot)| slot.cloexec).map(|(fd, _)| fd).collect();
        marked.into_iter().filter_map(|fd| self.remove(fd).ok()).collect()
    }

    /// Descriptors in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Slot)> {
        (0..).zip(&self.slots).filter_map(|(fd, slot)| Some((fd, slot.as_ref()?)))
    }

    /// One more than the highest descriptor.
    pub fn end(&self) -> u32 {
        self.slots.len() as u32
    }

    /// This table as a lock owner, if it has ever locked.
    pub fn lock_owner_if_any(&self) -> Option<u64> {
        Some(self.lock_owner.get()).filter(|owner| *owner != 0)
    }

    /// This table as a lock owner (POSIX record locks belong to the table, as in Linux).
    pub fn lock_owner(&self) -> u64 {
        if self.lock_owner.get() == 0 {
            self.lock_owner.set(self.locks.new_owner());
        }
        self.lock_owner.get()
    }
}

/// fork(2): the same open files, none of the record locks.
impl Clone for FdTable {
    fn clone(&self) -> FdTable {
        FdTable {
            slots: self.slots.clone(),
            first_free: self.first_free,
            locks: self.locks.clone(),
            lock_owner: Cell::new(0),
        }
    }
}

impl Drop for FdTable {
    fn drop(&mut self) {
        if let Some(owner) = self.lock_owner_if_any() {
            self.locks.release_owner(owner);
        }
    }
}
