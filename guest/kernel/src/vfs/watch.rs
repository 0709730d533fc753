//! Watched files (inotify(7)): `Watches` knows who watches what, `Watcher` is one inotify instance and its queue.
//!
//! The calls that use a file tell here what they did; nothing is kept of files that nobody watches.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::{Rc, Weak};

use shallop_linux_abi::Errno;
use shallop_linux_abi::inotify::*;

use super::{FileKind, InodeRef, Location};
use crate::wait::WaitQueue;

/// Events that wait in one queue (fs.inotify.max_queued_events).
pub const QUEUE_MAX: usize = 16384;
/// Watches of the sandbox (fs.inotify.max_user_watches).
pub const WATCHES_MAX: usize = 65536;
/// inotify instances of the sandbox (fs.inotify.max_user_instances, for each user there).
pub const INSTANCES_MAX: usize = 1024;
/// Size of struct inotify_event without its name.
const HEAD_BYTES: usize = 16;

type FileId = (u64, u64);

/// Something that happened to a watched file, or to `name` in a watched directory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Event {
    wd: i32,
    mask: u32,
    cookie: u32,
    name: Vec<u8>,
}

impl Event {
    /// struct inotify_event; the name is padded with NULs.
    fn bytes(&self) -> Vec<u8> {
        let len = if self.name.is_empty() { 0 } else { (self.name.len() + 1).next_multiple_of(HEAD_BYTES) };
        let mut out = Vec::with_capacity(HEAD_BYTES + len);
        out.extend(self.wd.to_le_bytes());
        out.extend(self.mask.to_le_bytes());
        out.extend(self.cookie.to_le_bytes());
        out.extend((len as u32).to_le_bytes());
        out.extend(&self.name);
        out.resize(HEAD_BYTES + len, 0);
        out
    }
}

/// One inotify instance.
#[derive(Default)]
pub struct Watcher {
    events: RefCell<VecDeque<Event>>,
    /// Its watches by number.
    files: RefCell<BTreeMap<i32, FileId>>,
    last: Cell<i32>,
    pub queue: WaitQueue,
}

impl Watcher {
    fn push(&self, event: Event) {
        let mut events = self.events.borrow_mut();
        if events.back() == Some(&event) && event.mask & IN_IGNORED == 0 {
            return;
        }
        let lost = Event { wd: -1, mask: IN_Q_OVERFLOW, cookie: 0, name: Vec::new() };
        match events.len() {
            QUEUE_MAX.. => return,
            len if len == QUEUE_MAX - 1 => events.push_back(lost),
            _ => events.push_back(event),
        }
        self.queue.wake();
    }

    /// Takes the events that fit into `bytes`. EINVAL when not even one does.
    pub fn take(&self, bytes: usize) -> Result<Vec<u8>, Errno> {
        let mut events = self.events.borrow_mut();
        let mut out = Vec::new();
        while let Some(event) = events.front() {
            let next = event.bytes();
            if out.len() + next.len() > bytes {
                return if out.is_empty() { Err(Errno::EINVAL) } else { Ok(out) };
            }
            out.extend(next);
            events.pop_front();
        }
        Ok(out)
    }

    /// Bytes that wait (FIONREAD).
    pub fn waiting(&self) -> usize {
        self.events.borrow().iter().map(|event| event.bytes().len()).sum()
    }

    /// (number, device, inode) of every watch, for /proc/<pid>/fdinfo.
    pub fn describe(&self) -> Vec<(i32, FileId)> {
        self.files.borrow().iter().map(|(wd, file)| (*wd, *file)).collect()
    }
}

struct Watch {
    watcher: Weak<Watcher>,
    wd: i32,
    mask: u32,
    /// Keeps the inode number the file's own.
    _inode: InodeRef,
}

/// All watches of the sandbox. Shared as `Rc<Watches>`.
#[derive(Default)]
pub struct Watches {
    files: RefCell<HashMap<FileId, Vec<Watch>>>,
    count: Cell<usize>,
    instances: Cell<usize>,
    cookie: Cell<u32>,
}

fn identity(inode: &InodeRef) -> Option<FileId> {
    inode.stat().ok().map(|stat| (stat.dev, stat.ino))
}

/// IN_ISDIR for directories.
fn directory_bit(inode: &InodeRef) -> u32 {
    if inode.kind() == FileKind::Directory { IN_ISDIR } else { 0 }
}

impl Watches {
    /// A new instance; EMFILE when there are too many. Give it back with [`Watches::close`].
    pub fn open(&self) -> Result<Rc<Watcher>, Errno> {
        if self.instances.get() >= INSTANCES_MAX {
            return Err(Errno::EMFILE);
        }
        self.instances.set(self.instances.get() + 1);
        Ok(Rc::default())
    }

    pub fn close(&self, watcher: &Rc<Watcher>) {
        let files = std::mem::take(&mut *watcher.files.borrow_mut());
        for (wd, file) in files {
            self.forget(watcher, wd, file);
        }
        self.instances.set(self.instances.get() - 1);
    }

    /// inotify_add_watch(2): the number of the watch. A file that the instance watches already keeps its number.
    pub fn add(&self, watcher: &Rc<Watcher>, inode: &InodeRef, mask: u32) -> Result<i32, Errno> {
        let file = identity(inode).ok_or(Errno::EIO)?;
        let kept = mask & (IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONESHOT);
        let mut files = self.files.borrow_mut();
        let watches = files.entry(file).or_default();
        if let Some(watch) = watches.iter_mut().find(|w| std::ptr::eq(w.watcher.as_ptr(), Rc::as_ptr(watcher))) {
            if mask & IN_MASK_CREATE != 0 {
                return Err(Errno::EEXIST);
            }
            watch.mask = kept | if mask & IN_MASK_ADD != 0 { watch.mask } else { 0 };
            return Ok(watch.wd);
        }
        if self.count.get() >= WATCHES_MAX {
            return Err(Errno::ENOSPC);
        }
        let wd = watcher.last.get() + 1;
        watcher.last.set(wd);
        watches.push(Watch { watcher: Rc::downgrade(watcher), wd, mask: kept, _inode: inode.clone() });
        watcher.files.borrow_mut().insert(wd, file);
        self.count.set(self.count.get() + 1);
        Ok(wd)
    }

    /// inotify_rm_watch(2).
    pub fn remove(&self, watcher: &Rc<Watcher>, wd: i32) -> Result<(), Errno> {
        let file = watcher.files.borrow_mut().remove(&wd).ok_or(Errno::EINVAL)?;
        self.forget(watcher, wd, file);
        watcher.push(Event { wd, mask: IN_IGNORED, cookie: 0, name: Vec::new() });
        Ok(())
    }

    fn forget(&self, watcher: &Rc<Watcher>, wd: i32, file: FileId) {
        let mut files = self.files.borrow_mut();
        let Some(watches) = files.get_mut(&file) else { return };
        let mine = |w: &Watch| w.wd == wd && std::ptr::eq(w.watcher.as_ptr(), Rc::as_ptr(watcher));
        let Some(at) = watches.iter().position(mine) else { return };
        // Dropped once the table is free: an inode's end may be told of, too.
        let gone = watches.swap_remove(at);
        if watches.is_empty() {
            files.remove(&file);
        }
        drop(files);
        drop(gone);
        self.count.set(self.count.get() - 1);
    }

    /// A number that ties the two events of a rename.
    pub fn new_cookie(&self) -> u32 {
        self.cookie.set(self.cookie.get().wrapping_add(1).max(1));
        self.cookie.get()
    }

    /// Whether nobody watches anything.
    pub fn is_idle(&self) -> bool {
        self.count.get() == 0
    }

    /// Something was done with the file at `place`: tells those who watch it, and those who watch its directory.
    pub fn tell(&self, place: &Location, event: u32) {
        if self.is_idle() {
            return;
        }
        let bit = directory_bit(&place.inode);
        if let Some(parent) = &place.parent {
            self.send(&parent.inode, event | bit, 0, Some((&place.name, &place.inode)));
        }
        self.send(&place.inode, event | bit, 0, None);
    }

    /// Something happened to the file itself.
    pub fn tell_self(&self, inode: &InodeRef, event: u32) {
        if !self.is_idle() {
            self.send(inode, event, 0, None);
        }
    }

    /// A name of a directory was added, removed or moved.
    pub fn tell_name(&self, directory: &InodeRef, name: &[u8], inode: &InodeRef, event: u32, cookie: u32) {
        if !self.is_idle() {
            self.send(directory, event | directory_bit(inode), cookie, Some((name, inode)));
        }
    }

    /// A file lost a name; with its last one all watches of it end.
    pub fn tell_unlinked(&self, inode: &InodeRef) {
        if self.is_idle() {
            return;
        }
        let directory = inode.kind() == FileKind::Directory;
        if !directory {
            self.send(inode, IN_ATTRIB, 0, None);
        }
        let Ok(stat) = inode.stat() else { return };
        if stat.nlink == 0 || directory {
            self.send(inode, IN_DELETE_SELF, 0, None);
            self.end(&(stat.dev, stat.ino));
        }
    }

    /// The file is gone.
    fn end(&self, file: &FileId) {
        let Some(watches) = self.files.borrow_mut().remove(file) else { return };
        self.count.set(self.count.get() - watches.len());
        for watch in &watches {
            let Some(watcher) = watch.watcher.upgrade() else { continue };
            watcher.files.borrow_mut().remove(&watch.wd);
            watcher.push(Event { wd: watch.wd, mask: IN_IGNORED, cookie: 0, name: Vec::new() });
        }
    }

    fn send(&self, inode: &InodeRef, event: u32, cookie: u32, child: Option<(&[u8], &InodeRef)>) {
        let Some(file) = identity(inode) else { return };
        let unlinked = || child.is_some_and(|(_, inode)| inode.stat().is_ok_and(|stat| stat.nlink == 0));
        let mut over = Vec::new();
        if let Some(watches) = self.files.borrow().get(&file) {
            for watch in watches.iter().filter(|watch| watch.mask & event & IN_ALL_EVENTS != 0) {
                let Some(watcher) = watch.watcher.upgrade() else { continue };
                if watch.mask & IN_EXCL_UNLINK != 0 && event & IN_DELETE == 0 && unlinked() {
                    continue;
                }
                let name = child.map_or(Vec::new(), |(name, _)| name.to_vec());
                watcher.push(Event { wd: watch.wd, mask: event, cookie, name });
                if watch.mask & IN_ONESHOT != 0 {
                    over.push((watcher, watch.wd));
                }
            }
        }
        for (watcher, wd) in over {
            // It was found just now.
            let _ = self.remove(&watcher, wd);
        }
    }
}
