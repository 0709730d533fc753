//! tmpfs(5): files that live in the kernel's memory (names, metadata) and in the host's memory objects (data).
//!
//! `node` is a file, `directory` the names in one, `data` the bytes of a regular file, `file` an open one.

mod data;
mod directory;
mod file;
mod node;
mod rename;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use shallop_linux_abi::Errno;
use shallop_platform::{Clock, Platform};

use self::data::Budget;
use self::node::Node;
use crate::tunables::PAGE;
use crate::vfs::{FileSystem, InodeRef, Location, NewAttr, NewNode, Timespec};

/// f_type of tmpfs (statfs(2)).
const MAGIC: u64 = 0x0102_1994;
/// Even a small file system has room for this many files.
const FILES_MIN: u64 = 1024;

/// A tmpfs and its root; what is mounted.
pub struct Tmpfs {
    volume: Rc<Volume>,
    root: Rc<Node>,
}

/// What all files of one tmpfs share; they keep it alive.
pub struct Volume {
    platform: &'static dyn Platform,
    device: u64,
    budget: Rc<Budget>,
    files_max: u64,
    files: Cell<u64>,
    last_ino: Cell<u64>,
    root: RefCell<Weak<Node>>,
}

impl Tmpfs {
    /// An empty file system for at most `limit` bytes of data (whole pages). Its root is root's, mode 1777.
    pub fn new(platform: &'static dyn Platform, limit: u64) -> Rc<Tmpfs> {
        let volume = Volume::new(platform, limit);
        let attr = NewAttr { mode: 0o1777, uid: 0, gid: 0, now: volume.now() };
        let root = Node::detached(&volume, &NewNode::Directory, &attr);
        *volume.root.borrow_mut() = Rc::downgrade(&root);
        Rc::new(Tmpfs { volume, root })
    }
}

/// A file without a name, as memfd_create(2) makes: a place labelled `/memfd:<name> (deleted)`.
pub fn memfd(platform: &'static dyn Platform, name: &[u8], (uid, gid): (u32, u32), mode: u32, seals: u32) -> Location {
    let volume = Volume::new(platform, u64::MAX);
    let attr = NewAttr { mode, uid, gid, now: volume.now() };
    let node = Node::detached(&volume, &NewNode::Regular, &attr);
    node.forget();
    node.seals.set(seals);
    let label = [b"/memfd:", name, b" (deleted)"].concat();
    Location { inode: node, name: label.into(), parent: None, mount: 0 }
}

impl Volume {
    fn new(platform: &'static dyn Platform, limit: u64) -> Rc<Volume> {
        Rc::new(Volume {
            platform,
            device: super::anonymous_device(),
            budget: Rc::new(Budget { limit, used: Cell::new(0) }),
            files_max: (limit / PAGE).max(FILES_MIN),
            files: Cell::new(0),
            last_ino: Cell::new(0),
            root: RefCell::new(Weak::new()),
        })
    }

    fn now(&self) -> Timespec {
        let now = self.platform.now(Clock::Realtime);
        Timespec { sec: (now / 1_000_000_000) as i64, nsec: (now % 1_000_000_000) as u32 }
    }

    /// Room for one more file, or ENOSPC.
    fn check_files(&self) -> Result<(), Errno> {
        if self.files.get() < self.files_max { Ok(()) } else { Err(Errno::ENOSPC) }
    }

    fn next_ino(&self) -> u64 {
        self.last_ino.set(self.last_ino.get() + 1);
        self.last_ino.get()
    }
}

impl FileSystem for Tmpfs {
    fn name(&self) -> &'static str {
        self.volume.name()
    }

    fn dev(&self) -> u64 {
        self.volume.device
    }

    fn root(&self) -> InodeRef {
        self.root.clone()
    }

    fn statfs(&self) -> (u64, u64, u64, u64, u64, u64) {
        self.volume.statfs()
    }
}

/// A tmpfs as its own files see it.
struct View(Rc<Volume>);

impl FileSystem for View {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn dev(&self) -> u64 {
        self.0.device
    }

    fn root(&self) -> InodeRef {
        match self.0.root.borrow().upgrade() {
            Some(root) => root,
            None => {
                let attr = NewAttr { mode: 0o1777, uid: 0, gid: 0, now: self.0.now() };
                Node::detached(&self.0, &NewNode::Directory, &attr)
            }
        }
    }

    fn statfs(&self) -> (u64, u64, u64, u64, u64, u64) {
        self.0.statfs()
    }
}

impl Volume {
    fn name(&self) -> &'static str {
        "tmpfs"
    }

    fn statfs(&self) -> (u64, u64, u64, u64, u64, u64) {
        let total = self.budget.limit / PAGE;
        let free = total.saturating_sub(self.budget.used.get().div_ceil(PAGE));
        (MAGIC, PAGE, total, free, self.files_max, self.files_max.saturating_sub(self.files.get()))
    }
}
