//! `Node`: a file of a tree that is written down in tables: a `Row` per fixed name, a `More` for names that come and go.

use std::any::Any;
use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::PseudoFile;
use crate::fs::OpenDirectory;
use crate::kernel::Kernel;
use crate::task::Pid;
use crate::vfs::{DirEntry, File, FileKind, FileSystem, Inode, InodeRef, KernelView, Location, Stat, Timespec};
use crate::wait::{Stop, Tid};

/// Whom a file is about. Files above `/proc/<pid>` have the caller here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// The task that asks.
    pub caller: Tid,
    pub pid: Pid,
    /// A thread: below `task/`, the one named there, else the process's first.
    pub tid: Tid,
    /// Below `fd/` and `fdinfo/`.
    pub fd: u32,
}

/// Makes a file's text, or a link's target.
pub type Text = fn(&Kernel, &Subject) -> Result<Vec<u8>, Errno>;
/// Takes what is written to a file.
pub type Store = fn(&mut Kernel, &Subject, &[u8]) -> Result<(), Errno>;
/// Where a magic link leads.
pub type Magic = fn(&Kernel, &Subject) -> Result<Location, Errno>;

/// What a file is.
#[derive(Clone, Copy)]
pub enum Body {
    File(Text),
    /// A file that can be written, too.
    Setting(Text, Store),
    Link(Text),
    /// A link to an object; the text is what readlink(2) gives.
    Magic(Text, Magic),
    Directory(&'static Directory),
}

/// A fixed name.
pub struct Row {
    pub name: &'static str,
    /// Permission bits.
    pub mode: u32,
    pub body: Body,
}

/// A directory: its fixed names, and where the others come from.
pub struct Directory {
    pub rows: &'static [Row],
    pub more: Option<More>,
}

/// Numbers that are names, in order, with the kinds of what they name.
pub type Numbers = Vec<(u32, FileKind)>;

/// Names that come and go; all are numbers.
pub struct More {
    /// `None`: there is no such name.
    pub find: fn(&Kernel, &Subject, &[u8]) -> Option<Entry>,
    pub list: fn(&Kernel, &Subject) -> Numbers,
}

/// What a name that comes and goes is.
pub struct Entry {
    pub mode: u32,
    pub body: Body,
    pub subject: Subject,
    /// Owner of it and of what is below; `None`: as the directory.
    pub owner: Option<(u32, u32)>,
}

/// A file of such a tree.
#[derive(Clone)]
pub struct Node {
    fs: Rc<TreeFs>,
    ino: u64,
    mode: u32,
    owner: (u32, u32),
    body: Body,
    /// The caller in it is not used: each question names its own.
    subject: Option<Subject>,
    time: Timespec,
}

/// A file system that is such a tree.
pub struct TreeFs {
    pub name: &'static str,
    pub magic: u64,
    pub device: u64,
    /// st_size of plain files.
    pub file_size: u64,
    pub root: &'static Directory,
}

/// Number of a name below a directory: stays the same as long as both do (FNV-1a).
fn number(directory: u64, name: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    let hash = directory.to_le_bytes().iter().chain(name).fold(0xcbf2_9ce4_8422_2325, mix);
    // Some programs keep inode numbers in 32 bits.
    (hash >> 32 ^ hash) & 0x7fff_ffff | 0x100
}

impl Body {
    fn kind(&self) -> FileKind {
        match self {
            Body::File(_) | Body::Setting(..) => FileKind::Regular,
            Body::Link(_) | Body::Magic(..) => FileKind::Symlink,
            Body::Directory(_) => FileKind::Directory,
        }
    }
}

/// The root of `fs`.
pub fn root(fs: &Rc<TreeFs>) -> InodeRef {
    let time = Timespec::default();
    Rc::new(Node {
        fs: fs.clone(),
        ino: 1,
        mode: 0o555,
        owner: (0, 0),
        body: Body::Directory(fs.root),
        subject: None,
        time,
    })
}

/// Seconds since the epoch when the sandbox started: what files show as their times.
fn boot_seconds(k: &Kernel) -> Timespec {
    let up = k.now_monotonic().saturating_sub(k.boot_time) / 1_000_000_000;
    Timespec { sec: k.now_realtime().sec - up as i64, nsec: 0 }
}

impl Node {
    /// Whom the file is about when `caller` asks.
    fn subject(&self, k: &Kernel, caller: Tid) -> Subject {
        match self.subject {
            Some(subject) => Subject { caller, ..subject },
            None => {
                let pid = k.tasks.get(caller).map_or(Pid(0), |task| task.pid);
                Subject { caller, pid, tid: caller, fd: 0 }
            }
        }
    }

    fn directory(&self) -> Result<&'static Directory, Errno> {
        match self.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Whom this is about, if it is that directory.
    pub fn subject_of(&self, directory: &'static Directory) -> Option<Subject> {
        self.directory().is_ok_and(|own| std::ptr::eq(own, directory)).then_some(self.subject)?
    }

    fn child(&self, k: &Kernel, name: &[u8], entry: Entry, inherits: bool) -> InodeRef {
        Rc::new(Node {
            fs: self.fs.clone(),
            ino: number(self.ino, name),
            mode: entry.mode,
            owner: entry.owner.unwrap_or(self.owner),
            body: entry.body,
            subject: if inherits { self.subject } else { Some(entry.subject) },
            time: boot_seconds(k),
        })
    }
}

impl KernelView for Node {
    fn lookup(&self, k: &Kernel, caller: Tid, name: &[u8]) -> Result<InodeRef, Errno> {
        let directory = self.directory()?;
        let subject = self.subject(k, caller);
        if let Some(row) = directory.rows.iter().find(|row| row.name.as_bytes() == name) {
            let entry = Entry { mode: row.mode, body: row.body, subject, owner: None };
            return Ok(self.child(k, name, entry, true));
        }
        let more = directory.more.as_ref().ok_or(Errno::ENOENT)?;
        let entry = (more.find)(k, &subject, name).ok_or(Errno::ENOENT)?;
        Ok(self.child(k, name, entry, false))
    }

    fn entries(&self, k: &Kernel, caller: Tid) -> Result<Vec<DirEntry>, Errno> {
        let directory = self.directory()?;
        let rows = directory.rows.iter().zip(1..);
        let fixed = rows.map(|(row, next)| (row.name.as_bytes().to_vec(), row.body.kind(), next));
        let more = directory.more.as_ref().map(|more| (more.list)(k, &self.subject(k, caller))).unwrap_or_default();
        // Cookies by number: what goes away meanwhile does not move the others.
        let first = directory.rows.len() as u64 + 1;
        let more = more.into_iter().map(|(n, kind)| (n.to_string().into_bytes(), kind, first + u64::from(n)));
        let entry =
            |(name, kind, next): (Vec<u8>, FileKind, u64)| DirEntry { ino: number(self.ino, &name), kind, name, next };
        Ok(fixed.chain(more).map(entry).collect())
    }

    fn read_link(&self, k: &Kernel, caller: Tid) -> Result<Vec<u8>, Errno> {
        match self.body {
            Body::Link(text) | Body::Magic(text, _) => text(k, &self.subject(k, caller)),
            _ => Err(Errno::EINVAL),
        }
    }

    fn magic_link(&self, k: &Kernel, caller: Tid) -> Result<Option<Location>, Errno> {
        match self.body {
            Body::Magic(_, magic) => magic(k, &self.subject(k, caller)).map(Some),
            _ => Ok(None),
        }
    }

    fn content(&self, k: &Kernel, caller: Tid) -> Result<Vec<u8>, Errno> {
        match self.body {
            Body::File(text) | Body::Setting(text, _) => text(k, &self.subject(k, caller)),
            Body::Directory(_) => Err(Errno::EISDIR),
            Body::Link(_) | Body::Magic(..) => Err(Errno::EINVAL),
        }
    }

    fn store(&self, k: &mut Kernel, caller: Tid, bytes: &[u8]) -> Result<(), Errno> {
        match self.body {
            Body::Setting(_, store) => {
                let subject = self.subject(k, caller);
                store(k, &subject, bytes)
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

impl Inode for Node {
    fn kind(&self) -> FileKind {
        self.body.kind()
    }

    fn stat(&self) -> Result<Stat, Errno> {
        let kind = self.kind();
        Ok(Stat {
            dev: self.fs.device,
            ino: self.ino,
            mode: kind.mode_bits() | self.mode,
            nlink: if kind == FileKind::Directory { 2 } else { 1 },
            uid: self.owner.0,
            gid: self.owner.1,
            size: if kind == FileKind::Regular { self.fs.file_size } else { 0 },
            block_size: 1024,
            atime: self.time,
            mtime: self.time,
            ctime: self.time,
            ..Stat::default()
        })
    }

    fn fs(&self) -> Rc<dyn FileSystem> {
        Rc::new(Handle(self.fs.clone()))
    }

    /// Without the kernel the tree looks empty.
    fn lookup(&self, _name: &[u8]) -> Result<InodeRef, Errno> {
        self.directory().and(Err(Errno::ENOENT))
    }

    fn read_dir(&self, _cookie: u64) -> Result<Vec<DirEntry>, Errno> {
        self.directory().map(|_| Vec::new())
    }

    fn open(&self, flags: u32) -> Result<Rc<dyn File>, Stop> {
        use shallop_linux_abi::file::open;
        let writes = flags & open::ACCMODE != open::RDONLY;
        match self.body {
            Body::Directory(_) => Ok(Rc::new(OpenDirectory)),
            Body::Link(_) | Body::Magic(..) => Err(Errno::ELOOP.into()),
            // Root may do anything but write to what has no way of being written.
            Body::File(_) if writes => Err(Errno::EACCES.into()),
            _ => Ok(PseudoFile::new(Rc::new(self.clone()))),
        }
    }

    fn set_attr(&self, attr: &crate::vfs::SetAttr) -> Result<(), Errno> {
        // O_TRUNC on a setting is how shells write to one.
        let only_size = attr.mode.is_none() && attr.uid.is_none() && attr.gid.is_none();
        match self.body {
            Body::Setting(..) if only_size && attr.size.is_some() => Ok(()),
            _ => Err(Errno::EPERM),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn kernel_view(&self) -> Option<&dyn KernelView> {
        Some(self)
    }
}

/// The file system as its files see it, and as it is mounted.
pub struct Handle(pub Rc<TreeFs>);

impl FileSystem for Handle {
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn dev(&self) -> u64 {
        self.0.device
    }

    fn root(&self) -> InodeRef {
        root(&self.0)
    }

    fn statfs(&self) -> (u64, u64, u64, u64, u64, u64) {
        (self.0.magic, 4096, 0, 0, 0, 0)
    }
}
