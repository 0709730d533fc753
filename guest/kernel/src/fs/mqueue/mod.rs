//! mqueue, the file system of POSIX message queues (mq_overview(7)), at /dev/mqueue: a folder of queues. `queue` is one.

pub mod queue;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::NAME_MAX;
use shallop_platform::{Clock, Platform};

use self::queue::{How, Queue, Size};
use super::OpenDirectory;
use crate::vfs::{
    Attributes, DirEntry, File, FileKind, FileSystem, Inode, InodeRef, NewAttr, NewNode, SetAttr, Stat, Timespec, poll,
};
use crate::wait::{Stop, WaitQueue};

/// What /proc/sys/fs/mqueue says: queues, and the size of one that has no CAP_SYS_RESOURCE behind it, at most and by default.
pub const QUEUES_MAX: usize = 256;
pub const SIZE_MAX: Size = Size { messages: 10, bytes: 8192 };
/// RLIMIT_MSGQUEUE of who makes a queue by open(2), which every process has at first.
const USER_BYTES: u64 = 819_200;
/// What a queue takes for each message and for each priority (struct msg_msg, struct posix_msg_tree_node).
const MESSAGE_BYTES: u64 = 48;
const PRIORITY_BYTES: u64 = 48;
/// Priorities are below this.
pub const PRIORITIES: u64 = 32768;
/// f_type (statfs(2)), st_size of a queue and of a name in the folder.
const MAGIC: u64 = 0x1980_0202;
const QUEUE_FILE_BYTES: u64 = 80;
const NAME_BYTES: u64 = 20;
const ROOT_INO: u64 = 1;

/// A sandbox's queues, by name; what the files share.
struct Shared {
    platform: &'static dyn Platform,
    device: u64,
    root: Cell<Attributes>,
    names: RefCell<BTreeMap<Vec<u8>, Rc<QueueFile>>>,
    last_ino: Cell<u64>,
    /// Queues that there are, those without a name too, and what they take of each user's limit.
    queues: Cell<usize>,
    taken: RefCell<BTreeMap<u32, u64>>,
}

/// The file system.
#[derive(Clone)]
pub struct MessageQueues(Rc<Shared>);

/// The folder of all queues.
struct Folder(Rc<Shared>);

/// A queue as a file; its name may be gone.
pub struct QueueFile {
    me: Weak<QueueFile>,
    shared: Rc<Shared>,
    ino: u64,
    links: Cell<u32>,
    attributes: Cell<Attributes>,
    /// Whose limit it counts for, and how much.
    user: (u32, u64),
    pub queue: Rc<Queue>,
}

/// What a new queue may be.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Whose limit it counts for.
    pub user: u32,
    /// RLIMIT_MSGQUEUE.
    pub bytes: u64,
    pub queues: usize,
}

impl MessageQueues {
    pub fn new(platform: &'static dyn Platform) -> MessageQueues {
        let now = now(platform);
        let root = Attributes::new(&NewAttr { mode: 0o1777, uid: 0, gid: 0, now });
        MessageQueues(Rc::new(Shared {
            platform,
            device: super::anonymous_device(),
            root: Cell::new(root),
            names: RefCell::default(),
            last_ino: Cell::new(ROOT_INO),
            queues: Cell::new(0),
            taken: RefCell::default(),
        }))
    }

    /// The queue of this name.
    pub fn find(&self, name: &[u8]) -> Result<Rc<QueueFile>, Errno> {
        self.0.find(name)
    }

    /// Makes a queue that there is not yet. ENOSPC for one too many, EMFILE beyond the user's limit.
    pub fn create(
        &self,
        name: &[u8],
        attr: &NewAttr,
        size: Size,
        allowance: Allowance,
    ) -> Result<Rc<QueueFile>, Errno> {
        self.0.create(name, attr, size, allowance)
    }

    pub fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        self.0.unlink(name)
    }
}

fn now(platform: &'static dyn Platform) -> Timespec {
    let now = platform.now(Clock::Realtime);
    Timespec { sec: (now / 1_000_000_000) as i64, nsec: (now % 1_000_000_000) as u32 }
}

/// What a queue of this size takes of its user's limit; EOVERFLOW when that is no number.
fn cost(size: Size) -> Result<u64, Errno> {
    let tree = size.messages.saturating_mul(MESSAGE_BYTES) + size.messages.min(PRIORITIES) * PRIORITY_BYTES;
    size.messages.checked_mul(size.bytes).and_then(|bytes| bytes.checked_add(tree)).ok_or(Errno::EOVERFLOW)
}

impl Shared {
    fn find(&self, name: &[u8]) -> Result<Rc<QueueFile>, Errno> {
        if name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        self.names.borrow().get(name).cloned().ok_or(Errno::ENOENT)
    }

    fn create(
        self: &Rc<Shared>,
        name: &[u8],
        attr: &NewAttr,
        size: Size,
        allowance: Allowance,
    ) -> Result<Rc<QueueFile>, Errno> {
        let cost = cost(size)?;
        if self.queues.get() >= allowance.queues {
            return Err(Errno::ENOSPC);
        }
        let taken = self.taken.borrow().get(&allowance.user).copied().unwrap_or(0).saturating_add(cost);
        if taken > allowance.bytes {
            return Err(Errno::EMFILE);
        }
        self.taken.borrow_mut().insert(allowance.user, taken);
        self.queues.set(self.queues.get() + 1);
        self.last_ino.set(self.last_ino.get() + 1);
        let file = Rc::new_cyclic(|me| QueueFile {
            me: me.clone(),
            shared: self.clone(),
            ino: self.last_ino.get(),
            links: Cell::new(1),
            attributes: Cell::new(Attributes::new(attr)),
            user: (allowance.user, cost),
            queue: Queue::new(size),
        });
        self.names.borrow_mut().insert(name.to_vec(), file.clone());
        Ok(file)
    }

    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        let file = self.names.borrow_mut().remove(name).ok_or(Errno::ENOENT)?;
        file.links.set(0);
        Ok(())
    }
}

impl QueueFile {
    /// A message came or went.
    pub fn touch(&self) {
        let now = now(self.shared.platform);
        let attributes = Attributes { atime: now, mtime: now, ctime: now, ..self.attributes.get() };
        self.attributes.set(attributes);
    }
}

impl Drop for QueueFile {
    fn drop(&mut self) {
        self.shared.queues.set(self.shared.queues.get() - 1);
        let (user, cost) = self.user;
        let mut all = self.shared.taken.borrow_mut();
        let taken = all.remove(&user).unwrap_or(0).saturating_sub(cost);
        if taken > 0 {
            all.insert(user, taken);
        }
    }
}

impl Inode for Folder {
    fn kind(&self) -> FileKind {
        FileKind::Directory
    }

    fn stat(&self) -> Result<Stat, Errno> {
        let mut stat = self.0.root.get().stat();
        stat.mode |= FileKind::Directory.mode_bits();
        (stat.dev, stat.ino, stat.nlink) = (self.0.device, ROOT_INO, 2);
        stat.size = NAME_BYTES * self.0.names.borrow().len() as u64;
        Ok(stat)
    }

    fn set_attr(&self, attr: &SetAttr) -> Result<(), Errno> {
        let mut attributes = self.0.root.get();
        attributes.set(attr, now(self.0.platform));
        self.0.root.set(attributes);
        Ok(())
    }

    fn fs(&self) -> Rc<dyn FileSystem> {
        Rc::new(MessageQueues(self.0.clone()))
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        self.0.find(name).map(|file| file as InodeRef)
    }

    fn create(&self, name: &[u8], node: &NewNode, attr: &NewAttr) -> Result<InodeRef, Errno> {
        if !matches!(node, NewNode::Regular) {
            return Err(Errno::EPERM);
        }
        let allowance = Allowance { user: attr.uid, bytes: USER_BYTES, queues: QUEUES_MAX };
        self.0.create(name, attr, SIZE_MAX, allowance).map(|file| file as InodeRef)
    }

    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        self.0.unlink(name)
    }

    fn read_dir(&self, cookie: u64) -> Result<Vec<DirEntry>, Errno> {
        // In the order in which they were made, so that cookies stay good.
        let names = self.0.names.borrow();
        let entry = |(name, file): (&Vec<u8>, &Rc<QueueFile>)| DirEntry {
            ino: file.ino,
            kind: FileKind::Regular,
            name: name.clone(),
            next: file.ino,
        };
        let mut entries: Vec<DirEntry> = names.iter().map(entry).filter(|entry| entry.next > cookie).collect();
        entries.sort_by_key(|entry| entry.next);
        Ok(entries)
    }

    fn open(&self, _flags: u32) -> Result<Rc<dyn File>, Stop> {
        Ok(Rc::new(OpenDirectory))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Inode for QueueFile {
    fn kind(&self) -> FileKind {
        FileKind::Regular
    }

    fn stat(&self) -> Result<Stat, Errno> {
        let mut stat = self.attributes.get().stat();
        stat.mode |= FileKind::Regular.mode_bits();
        (stat.dev, stat.ino, stat.nlink) = (self.shared.device, self.ino, self.links.get());
        stat.size = QUEUE_FILE_BYTES;
        Ok(stat)
    }

    fn set_attr(&self, attr: &SetAttr) -> Result<(), Errno> {
        let mut attributes = self.attributes.get();
        attributes.set(attr, now(self.shared.platform));
        self.attributes.set(attributes);
        Ok(())
    }

    fn fs(&self) -> Rc<dyn FileSystem> {
        Rc::new(MessageQueues(self.shared.clone()))
    }

    fn open(&self, _flags: u32) -> Result<Rc<dyn File>, Stop> {
        Ok(Rc::new(OpenQueue(self.me.upgrade().ok_or(Errno::ENOENT)?)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// An open queue: what a message queue descriptor is.
pub struct OpenQueue(pub Rc<QueueFile>);

impl File for OpenQueue {
    /// The line of mq_overview(7).
    fn read_at(&self, offset: u64, buf: &mut [u8], _nonblock: bool) -> Result<usize, Stop> {
        let (notify, signal, pid) = self.0.queue.with_listener(|listener| match listener {
            None => (0, 0, 0),
            Some(listener) => match listener.how {
                How::Signal { signal, .. } => (0, signal, listener.pid.0),
                How::Nothing => (1, 0, listener.pid.0),
                How::Socket { .. } => (2, 0, listener.pid.0),
            },
        });
        let bytes = self.0.queue.bytes();
        let text = format!("QSIZE:{bytes:<10} NOTIFY:{notify:<5} SIGNO:{signal:<5} NOTIFY_PID:{pid:<6}\n");
        let rest = usize::try_from(offset).ok().and_then(|at| text.as_bytes().get(at..)).unwrap_or(&[]);
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn poll(&self) -> u32 {
        let readable = if self.0.queue.count() > 0 { poll::IN } else { 0 };
        readable | if self.0.queue.is_full() { 0 } else { poll::OUT }
    }

    fn wait_queue(&self) -> Option<WaitQueue> {
        Some(self.0.queue.changed.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl FileSystem for MessageQueues {
    fn name(&self) -> &'static str {
        "mqueue"
    }

    fn dev(&self) -> u64 {
        self.0.device
    }

    fn root(&self) -> InodeRef {
        Rc::new(Folder(self.0.clone()))
    }

    fn statfs(&self) -> (u64, u64, u64, u64, u64, u64) {
        (MAGIC, 4096, 0, 0, 0, 0)
    }
}

#[cfg(test)]
mod tests {
    use shallop_platform::fake::Fake;

    use super::*;

    const ATTR: NewAttr = NewAttr { mode: 0o600, uid: 5, gid: 5, now: Timespec { sec: 0, nsec: 0 } };

    fn queues() -> MessageQueues {
        MessageQueues::new(Box::leak(Box::new(Fake::new())))
    }

    #[test]
    fn limits_are_by_user_and_given_back() {
        let queues = queues();
        let allowance = Allowance { user: 5, bytes: 200_000, queues: 3 };
        let make = |name: &str, allowance| queues.create(name.as_bytes(), &ATTR, SIZE_MAX, allowance);
        let first = make("a", allowance).unwrap();
        make("b", allowance).unwrap();
        assert_eq!(make("c", allowance).err(), Some(Errno::EMFILE));
        make("c", Allowance { user: 6, ..allowance }).unwrap();
        assert_eq!(make("d", Allowance { user: 7, ..allowance }).err(), Some(Errno::ENOSPC));
        queues.unlink(b"a").unwrap();
        assert_eq!(make("d", Allowance { user: 7, ..allowance }).err(), Some(Errno::ENOSPC), "it is still open");
        assert_eq!(first.stat().unwrap().nlink, 0);
        drop(first);
        make("d", allowance).unwrap();
        [b"b", b"c", b"d"].iter().for_each(|name| queues.unlink(*name).unwrap());
        assert!(queues.0.taken.borrow().is_empty(), "nothing is remembered of users without queues");
        assert_eq!(cost(Size { messages: u64::MAX, bytes: 2 }), Err(Errno::EOVERFLOW));
    }

    #[test]
    fn the_folder_lists_them_in_the_order_in_which_they_were_made() {
        let queues = queues();
        let root = FileSystem::root(&queues);
        for name in ["z", "a"] {
            root.create(name.as_bytes(), &NewNode::Regular, &ATTR).unwrap();
        }
        assert_eq!(root.create(b"d", &NewNode::Directory, &ATTR).err(), Some(Errno::EPERM));
        let entries = root.read_dir(0).unwrap();
        assert_eq!(entries.iter().map(|entry| &entry.name[..]).collect::<Vec<_>>(), [b"z", b"a"]);
        assert_eq!(root.read_dir(entries[0].next).unwrap().len(), 1);
        let file = root.lookup(b"z").unwrap().open(0).unwrap();
        let mut buf = [0; 100];
        let count = file.read_at(0, &mut buf, false).unwrap();
        let line = "QSIZE:0          NOTIFY:0     SIGNO:0     NOTIFY_PID:0     \n";
        assert_eq!(std::str::from_utf8(&buf[..count]).unwrap(), line);
    }
}
