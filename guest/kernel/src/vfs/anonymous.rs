//! Files outside the tree: pipes, sockets, event descriptors. `location` gives one an inode and a place.

use std::any::Any;
use std::cell::Cell;
use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::context::IoState;
use super::{File, FileKind, FileSystem, Inode, InodeRef, Location, SetAttr, Stat, Timespec};
use crate::wait::Stop;

/// How an anonymous file shows itself in `/proc/self/fd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// `pipe:[ino]`
    Pipe,
    /// `socket:[ino]`
    Socket,
    /// `anon_inode:[eventfd]`, `anon_inode:[eventpoll]` …
    Anon(&'static str),
}

impl Label {
    fn text(self, ino: u64) -> String {
        match self {
            Label::Pipe => format!("pipe:[{ino}]"),
            Label::Socket => format!("socket:[{ino}]"),
            Label::Anon(name) => format!("anon_inode:[{name}]"),
        }
    }
}

/// Gives what opening the file again, with open(2)'s flags, gives.
pub type Reopen = Box<dyn Fn(u32) -> Rc<dyn File>>;

/// An inode that only descriptors reach. `reopen`, when set, is what opening it through `/proc/self/fd` gives.
pub struct AnonymousInode {
    kind: Option<FileKind>,
    stat: Cell<(u32, u32, u32, Timespec)>,
    ino: u64,
    reopen: Option<Reopen>,
}

/// The pseudo file system they are on.
pub struct AnonymousFs;

/// st_dev of anonymous files.
const DEV: u64 = 0xd;

/// A place for a new anonymous file, owned by (uid, gid).
pub fn location(io: &IoState, label: Label, uid: u32, gid: u32, now: Timespec) -> Location {
    reopenable(io, label, uid, gid, now, None)
}

/// As [`location`], for files that can be opened again through `/proc/self/fd`.
pub fn reopenable(io: &IoState, label: Label, uid: u32, gid: u32, now: Timespec, reopen: Option<Reopen>) -> Location {
    let ino = io.next_anonymous.get() + 1;
    io.next_anonymous.set(ino);
    let kind = match label {
        Label::Pipe => Some(FileKind::Fifo),
        Label::Socket => Some(FileKind::Socket),
        Label::Anon(_) => None,
    };
    let mode = if label == Label::Socket { 0o777 } else { 0o600 };
    let inode: InodeRef = Rc::new(AnonymousInode { kind, stat: Cell::new((mode, uid, gid, now)), ino, reopen });
    Location { inode, name: label.text(ino).into_bytes().into(), parent: None, mount: 0 }
}

impl Inode for AnonymousInode {
    fn kind(&self) -> FileKind {
        self.kind.unwrap_or(FileKind::Regular)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        let (mode, uid, gid, now) = self.stat.get();
        Ok(Stat {
            dev: DEV,
            ino: self.ino,
            mode: self.kind.map_or(0, FileKind::mode_bits) | mode,
            nlink: 1,
            uid,
            gid,
            block_size: 4096,
            atime: now,
            mtime: now,
            ctime: now,
            ..Stat::default()
        })
    }

    fn set_attr(&self, attr: &SetAttr) -> Result<(), Errno> {
        let (mode, uid, gid, now) = self.stat.get();
        self.stat.set((attr.mode.unwrap_or(mode), attr.uid.unwrap_or(uid), attr.gid.unwrap_or(gid), now));
        Ok(())
    }

    fn fs(&self) -> Rc<dyn FileSystem> {
        Rc::new(AnonymousFs)
    }

    fn open(&self, flags: u32) -> Result<Rc<dyn File>, Stop> {
        match &self.reopen {
            Some(reopen) => Ok(reopen(flags)),
            None => Err(Errno::ENXIO.into()),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl FileSystem for AnonymousFs {
    fn name(&self) -> &'static str {
        "pipefs"
    }

    fn dev(&self) -> u64 {
        DEV
    }

    fn root(&self) -> InodeRef {
        Rc::new(AnonymousInode {
            kind: Some(FileKind::Directory),
            stat: Cell::new((0o555, 0, 0, Timespec::default())),
            ino: 0,
            reopen: None,
        })
    }

    fn statfs(&self) -> (u64, u64, u64, u64, u64, u64) {
        (0x5049_5045, 4096, 0, 0, 0, 0)
    }
}
