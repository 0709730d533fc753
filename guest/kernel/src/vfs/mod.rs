//! The virtual file system's traits: `Inode` (a file on some file system) and `File` (an open file's operations).
//!
//! Neighbours: `fs/<name>` implement them, `vfs/path.rs` walks, `vfs/open_file.rs` is the open file description,
//! `vfs/attributes.rs` is what the file systems in memory keep of every file.

pub mod anonymous;
pub mod at;
mod attributes;
pub mod context;
pub mod fd_table;
pub mod lock;
pub mod mount;
pub mod open_file;
pub mod path;
pub mod permission;
pub mod watch;

use std::rc::Rc;

use shallop_host_abi::spec::Handle;
use shallop_linux_abi::Errno;

use crate::kernel::Kernel;
use crate::wait::{Stop, Tid, WaitQueue};

pub use self::attributes::Attributes;

pub type InodeRef = Rc<dyn Inode>;

/// The type of a file, as S_IFMT has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    Regular,
    Directory,
    Symlink,
    Fifo,
    CharDevice,
    BlockDevice,
    Socket,
}

impl FileKind {
    /// The S_IFMT bits (inode(7)).
    pub fn mode_bits(self) -> u32 {
        match self {
            FileKind::Fifo => 0o010000,
            FileKind::CharDevice => 0o020000,
            FileKind::Directory => 0o040000,
            FileKind::BlockDevice => 0o060000,
            FileKind::Regular => 0o100000,
            FileKind::Symlink => 0o120000,
            FileKind::Socket => 0o140000,
        }
    }

    /// d_type of getdents64(2).
    pub fn dirent_type(self) -> u8 {
        (self.mode_bits() >> 12) as u8
    }

    pub fn from_mode(mode: u32) -> Option<FileKind> {
        use FileKind::*;
        [Fifo, CharDevice, Directory, BlockDevice, Regular, Symlink, Socket]
            .into_iter()
            .find(|k| k.mode_bits() == mode & 0o170000)
    }
}

/// Seconds and nanoseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timespec {
    pub sec: i64,
    pub nsec: u32,
}

/// A file's metadata; what statx(2) reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stat {
    pub dev: u64,
    pub ino: u64,
    /// Type and permission bits.
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    /// Of a device node: major and minor.
    pub rdev: (u32, u32),
    pub size: u64,
    /// 512-byte units.
    pub blocks: u64,
    pub block_size: u32,
    pub atime: Timespec,
    pub mtime: Timespec,
    pub ctime: Timespec,
    pub btime: Option<Timespec>,
}

/// Which attributes to set; `None` leaves one alone. The file system updates ctime.
#[derive(Debug, Clone, Default)]
pub struct SetAttr {
    /// Permission bits (07777).
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size: Option<u64>,
    pub atime: Option<Timespec>,
    pub mtime: Option<Timespec>,
}

/// What `Inode::create` makes.
#[derive(Debug, Clone)]
pub enum NewNode {
    Regular,
    Directory,
    Symlink(Vec<u8>),
    Fifo,
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Socket,
}

/// Owner and permission bits of a new file (umask already applied).
#[derive(Debug, Clone, Copy)]
pub struct NewAttr {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub now: Timespec,
}

/// One entry of a directory. `next` is the cookie (d_off) to go on after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    pub ino: u64,
    pub kind: FileKind,
    pub name: Vec<u8>,
    pub next: u64,
}

/// A file on a file system. Cheap to clone (`Rc`); two lookups of one file give the same (dev, ino).
///
/// Permission checks are done by the caller (`vfs/permission.rs`), path walking by `vfs/path.rs`; `.` and `..`
/// never reach a file system. Default methods refuse with what Linux would say.
pub trait Inode {
    fn kind(&self) -> FileKind;
    fn stat(&self) -> Result<Stat, Errno>;
    fn set_attr(&self, _attr: &SetAttr) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }
    /// The file system this inode is on (statfs, read-only, device number).
    fn fs(&self) -> Rc<dyn FileSystem>;

    fn lookup(&self, _name: &[u8]) -> Result<InodeRef, Errno> {
        Err(Errno::ENOTDIR)
    }
    fn create(&self, _name: &[u8], _node: &NewNode, _attr: &NewAttr) -> Result<InodeRef, Errno> {
        Err(Errno::EPERM)
    }
    /// A regular file without a name in this directory's file system (O_TMPFILE). `linkable`: it may get one.
    fn create_nameless(&self, _attr: &NewAttr, _linkable: bool) -> Result<InodeRef, Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    fn link(&self, _name: &[u8], _target: &InodeRef) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }
    fn unlink(&self, _name: &[u8]) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }
    fn remove_dir(&self, _name: &[u8]) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }
    /// Atomically replaces an existing target as rename(2) does. `new_dir` is on the same file system.
    fn rename(&self, _name: &[u8], _new_dir: &InodeRef, _new_name: &[u8]) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }
    /// Entries after `cookie` (0 from the start), without `.` and `..`, as many as are at hand (at least one unless at
    /// the end). Cookies stay valid while entries are added and removed.
    fn read_dir(&self, _cookie: u64) -> Result<Vec<DirEntry>, Errno> {
        Err(Errno::ENOTDIR)
    }
    fn read_link(&self) -> Result<Vec<u8>, Errno> {
        Err(Errno::EINVAL)
    }
    /// For a link of /proc that leads to an object rather than a path (`/proc/self/fd/3`, `exe`, `cwd`).
    fn magic_link(&self) -> Option<Location> {
        None
    }
    fn get_xattr(&self, _name: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENODATA)
    }
    fn set_xattr(&self, _name: &[u8], _value: &[u8]) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    fn remove_xattr(&self, _name: &[u8]) -> Result<(), Errno> {
        Err(Errno::ENODATA)
    }
    fn list_xattr(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Ok(Vec::new())
    }

    /// F_GET_SEALS of fcntl(2); `None` where files have no seals.
    fn seals(&self) -> Option<u32> {
        None
    }
    /// F_ADD_SEALS. That nobody has it mapped for writing is the caller's matter.
    fn add_seals(&self, _seals: u32) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    /// Opens it. `flags` are open(2)'s; O_TRUNC has been done by the caller. FIFOs and devices are opened here too.
    fn open(&self, flags: u32) -> Result<Rc<dyn File>, Stop>;

    /// For downcasting by the file system itself (`link`, `rename`).
    fn as_any(&self) -> &dyn std::any::Any;

    /// Set by file systems whose content is the kernel's own state (/proc, /sys): walking, listing and reading then
    /// go through this view, which sees the kernel and who asks.
    fn kernel_view(&self) -> Option<&dyn KernelView> {
        None
    }
}

/// The operations of an inode whose content is the kernel's state. `caller` is the task that asks.
pub trait KernelView {
    fn lookup(&self, k: &Kernel, caller: Tid, name: &[u8]) -> Result<InodeRef, Errno>;
    /// All entries, cookies counting from 1.
    fn entries(&self, k: &Kernel, caller: Tid) -> Result<Vec<DirEntry>, Errno>;
    fn read_link(&self, k: &Kernel, caller: Tid) -> Result<Vec<u8>, Errno>;
    /// As [`Inode::magic_link`].
    fn magic_link(&self, k: &Kernel, caller: Tid) -> Result<Option<Location>, Errno>;
    /// The file's text now.
    fn content(&self, k: &Kernel, caller: Tid) -> Result<Vec<u8>, Errno>;
    /// write(2) to it.
    fn store(&self, k: &mut Kernel, caller: Tid, bytes: &[u8]) -> Result<(), Errno>;
}

/// A mounted file system.
pub trait FileSystem {
    /// As in /proc/mounts: `overlay`, `tmpfs`, `proc` …
    fn name(&self) -> &'static str;
    /// st_dev of its files.
    fn dev(&self) -> u64;
    fn root(&self) -> InodeRef;
    fn read_only(&self) -> bool {
        false
    }
    /// (f_type magic, block size, total blocks, free blocks, total inodes, free inodes)
    fn statfs(&self) -> (u64, u64, u64, u64, u64, u64);
    fn sync(&self) -> Result<(), Errno> {
        Ok(())
    }
}

/// Readiness bits of poll(2).
pub mod poll {
    pub const IN: u32 = 1;
    pub const PRI: u32 = 2;
    pub const OUT: u32 = 4;
    pub const ERR: u32 = 8;
    pub const HUP: u32 = 16;
    pub const NVAL: u32 = 32;
    pub const RDHUP: u32 = 0x2000;
}

/// What can be mapped at an offset of an open file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backing {
    /// `len` bytes from the mapping's start are at page-aligned `offset` of a host file; the host maps them.
    Host { handle: Handle, offset: u64, len: u64 },
    /// The same of a file that never changes. It is mapped privately, whatever was asked for.
    Layer { handle: Handle, offset: u64, len: u64 },
    /// `len` bytes that read as zeroes (holes).
    Zero { len: u64 },
    /// `len` bytes that must be copied in with `read_at` (not page-aligned, or on a volume). Not for shared mappings that may be
    /// written.
    Copy { len: u64 },
}

/// An open file's operations. The offset, flags and path live in the open file description around it.
///
/// Reads and writes that would have to wait return `Stop::Block` unless `nonblock`, then `EAGAIN`.
pub trait File {
    fn read_at(&self, _offset: u64, _buf: &mut [u8], _nonblock: bool) -> Result<usize, Stop> {
        Err(Errno::EINVAL.into())
    }
    fn write_at(&self, _offset: u64, _bytes: &[u8], _nonblock: bool) -> Result<usize, Stop> {
        Err(Errno::EINVAL.into())
    }
    /// False for pipes, sockets, terminals: offsets are meaningless, lseek gives ESPIPE.
    fn seekable(&self) -> bool {
        true
    }
    /// Ready bits now.
    fn poll(&self) -> u32 {
        poll::IN | poll::OUT
    }
    /// Woken whenever `poll`'s answer may have changed.
    fn wait_queue(&self) -> Option<WaitQueue> {
        None
    }
    /// Every queue that `poll`'s answer depends on, for files that watch others (epoll).
    fn wait_queues(&self) -> Vec<WaitQueue> {
        self.wait_queue().into_iter().collect()
    }
    /// Bytes that a read would give now, where that is known (FIONREAD on pipes and terminals).
    fn available(&self) -> Option<usize> {
        None
    }
    /// Device control. `arg` is the raw argument; guest memory goes through `memory`.
    fn ioctl(&self, _request: u32, _arg: u64, _memory: &dyn GuestMemory) -> Result<u64, Stop> {
        Err(Errno::ENOTTY.into())
    }
    /// Pieces, in order, that back `len` bytes from page-aligned `offset`, up to the file's last page; what is past it
    /// is not returned (it gives SIGBUS). `shared` with writing asks for backing that read_at and write_at agree with.
    fn backing(&self, _offset: u64, _len: u64, _shared: bool) -> Result<Vec<Backing>, Errno> {
        Err(Errno::ENODEV)
    }
    fn sync(&self) -> Result<(), Errno> {
        Ok(())
    }
    /// The last reference of the description is gone.
    fn release(&self) {}
    /// For fd-specific calls (epoll_ctl, timerfd_settime, accept …).
    fn as_any(&self) -> &dyn std::any::Any;
}

/// Guest memory of the calling process, for ioctl.
pub trait GuestMemory {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), Errno>;
    fn write(&self, addr: u64, bytes: &[u8]) -> Result<(), Errno>;
}

/// A place in the tree: an inode and how one got there (mount and parent chain), so that `..` and getcwd(2) work.
#[derive(Clone)]
pub struct Location {
    pub inode: InodeRef,
    /// Name in the parent; empty at the root of the namespace.
    pub name: Rc<[u8]>,
    pub parent: Option<Rc<Location>>,
    /// The mount it is on: `id` in the mount table; 0 for files outside the tree (pipes, sockets).
    pub mount: u32,
}

impl Location {
    /// The place `name` below this one.
    pub fn child(&self, name: &[u8], inode: InodeRef) -> Location {
        Location { inode, name: Rc::from(name), parent: Some(Rc::new(self.clone())), mount: self.mount }
    }

    /// Whether both are the same file on the same mount.
    pub fn same(&self, other: &Location) -> bool {
        if self.mount != other.mount {
            return false;
        }
        if Rc::ptr_eq(&self.inode, &other.inode) {
            return true;
        }
        match (self.inode.stat(), other.inode.stat()) {
            (Ok(a), Ok(b)) => (a.dev, a.ino) == (b.dev, b.ino),
            _ => false,
        }
    }

    /// Absolute path in the namespace; for files outside the tree their label (`pipe:[4]`).
    pub fn path(&self) -> Vec<u8> {
        self.path_below(None)
    }

    /// Path as seen by a task whose root directory is `root`.
    pub fn path_in(&self, root: &Location) -> Vec<u8> {
        self.path_below(Some(root))
    }

    fn path_below(&self, root: Option<&Location>) -> Vec<u8> {
        if self.parent.is_none() && !self.name.is_empty() {
            return self.name.to_vec();
        }
        // The namespace's own root needs no comparing on the way up: it is where the chain ends.
        let root = root.filter(|r| r.parent.is_some());
        let mut names = Vec::new();
        let mut at = self;
        while let Some(parent) = &at.parent {
            if root.is_some_and(|root| root.same(at)) {
                break;
            }
            names.push(at.name.clone());
            at = parent;
        }
        if names.is_empty() {
            return b"/".to_vec();
        }
        names.iter().rev().fold(Vec::new(), |mut path, name| {
            path.push(b'/');
            path.extend_from_slice(name);
            path
        })
    }
}

/// What chdir(2), chroot(2) and umask(2) change; shared by tasks with CLONE_FS.
#[derive(Clone)]
pub struct FsContext {
    pub cwd: Location,
    pub root: Location,
    /// Permission bits taken away from new files.
    pub umask: u32,
}
