//! /dev/pts: a node per terminal, and `ptmx`, which makes new ones (pts(4)).

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_platform::{Clock, Platform};

use crate::fs::OpenDirectory;
use crate::kernel::Kernel;
use crate::tty::{PTS_MAJOR, Tty};
use crate::vfs::{DirEntry, File, FileKind, FileSystem, Inode, InodeRef, Location, SetAttr, Stat, Timespec};
use crate::wait::Stop;

/// Most terminals at a time (kernel.pty.max).
pub const TERMINALS_MAX: usize = 4096;
/// f_type (statfs(2)).
const MAGIC: u64 = 0x1cd1;
/// Group of new slaves: `tty` in every distribution (`gid=5`).
const TTY_GROUP: u32 = 5;
/// Inode numbers: the root, `ptmx`, then slaves by index.
const ROOT_INO: u64 = 1;
const PTMX_INO: u64 = 2;
const FIRST_SLAVE_INO: u64 = 3;

type Registry = Rc<RefCell<Vec<Option<Rc<Tty>>>>>;

/// Owner, mode and times of a node.
#[derive(Clone, Copy)]
struct Attributes {
    mode: u32,
    uid: u32,
    gid: u32,
    time: Timespec,
}

/// What the nodes share.
struct Terminals {
    registry: Registry,
    device: u64,
    platform: &'static dyn Platform,
    /// Of slaves, with the terminal they are for: a number that is used again starts afresh.
    slaves: RefCell<BTreeMap<u32, (std::rc::Weak<Tty>, Attributes)>>,
    ptmx: Cell<Attributes>,
    root: Cell<Attributes>,
}

/// The file system of /dev/pts.
pub struct DevPts(Rc<Terminals>);

/// A file of it.
struct Node {
    terminals: Rc<Terminals>,
    which: Which,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Root,
    Ptmx,
    Slave(u32),
}

impl DevPts {
    /// Shows the terminals of `registry` (`IoState::ttys`).
    pub fn new(platform: &'static dyn Platform, registry: &Registry) -> Rc<DevPts> {
        let time = now(platform);
        let attributes = |mode| Cell::new(Attributes { mode, uid: 0, gid: 0, time });
        Rc::new(DevPts(Rc::new(Terminals {
            registry: registry.clone(),
            device: super::anonymous_device(),
            platform,
            slaves: RefCell::default(),
            ptmx: attributes(0o666),
            root: attributes(0o755),
        })))
    }
}

fn now(platform: &'static dyn Platform) -> Timespec {
    let now = platform.now(Clock::Realtime);
    Timespec { sec: (now / 1_000_000_000) as i64, nsec: (now % 1_000_000_000) as u32 }
}

/// The place of `/dev/pts/<index>`; outside the tree, but labelled so, when nothing is mounted there.
pub fn location(k: &Kernel, index: u32) -> Location {
    crate::fs::place(k, format!("/dev/pts/{index}").as_bytes())
}

/// Gives the slave `index` to who opened the master at `ptmx`.
pub(super) fn set_owner(k: &Kernel, ptmx: &Location, index: u32, (uid, _): (u32, u32)) {
    let Some(node) = ptmx.inode.as_any().downcast_ref::<Node>() else { return };
    let attr = Attributes { mode: 0o620, uid, gid: TTY_GROUP, time: k.now_realtime() };
    node.terminals.set_slave(index, attr);
}

impl Terminals {
    fn tty(&self, index: u32) -> Option<Rc<Tty>> {
        self.registry.borrow().get(index as usize)?.clone()
    }

    fn slave(&self, index: u32) -> Result<Attributes, Errno> {
        let tty = self.tty(index).ok_or(Errno::ENOENT)?;
        if let Some((of, attributes)) = self.slaves.borrow().get(&index)
            && of.upgrade().is_some_and(|of| Rc::ptr_eq(&of, &tty))
        {
            return Ok(*attributes);
        }
        let fresh = Attributes { mode: 0o620, uid: 0, gid: TTY_GROUP, time: now(self.platform) };
        self.slaves.borrow_mut().insert(index, (Rc::downgrade(&tty), fresh));
        Ok(fresh)
    }

    fn set_slave(&self, index: u32, attributes: Attributes) {
        if let Some(tty) = self.tty(index) {
            self.slaves.borrow_mut().insert(index, (Rc::downgrade(&tty), attributes));
        }
    }

    fn indices(&self) -> Vec<u32> {
        let registry = self.registry.borrow();
        registry.iter().enumerate().filter(|(_, tty)| tty.is_some()).map(|(index, _)| index as u32).collect()
    }
}

impl Node {
    fn attributes(&self) -> Result<Attributes, Errno> {
        match self.which {
            Which::Root => Ok(self.terminals.root.get()),
            Which::Ptmx => Ok(self.terminals.ptmx.get()),
            Which::Slave(index) => self.terminals.slave(index),
        }
    }

    fn ino(&self) -> u64 {
        match self.which {
            Which::Root => ROOT_INO,
            Which::Ptmx => PTMX_INO,
            Which::Slave(index) => FIRST_SLAVE_INO + u64::from(index),
        }
    }

    fn other(&self, which: Which) -> InodeRef {
        Rc::new(Node { terminals: self.terminals.clone(), which })
    }
}

/// The index that a name means: decimal digits without zeroes before them.
fn index_of(name: &[u8]) -> Option<u32> {
    let index: u32 = std::str::from_utf8(name).ok()?.parse().ok()?;
    (index.to_string().as_bytes() == name).then_some(index)
}

impl Inode for Node {
    fn kind(&self) -> FileKind {
        if self.which == Which::Root { FileKind::Directory } else { FileKind::CharDevice }
    }

    fn stat(&self) -> Result<Stat, Errno> {
        let Attributes { mode, uid, gid, time } = self.attributes()?;
        Ok(Stat {
            dev: self.terminals.device,
            ino: self.ino(),
            mode: self.kind().mode_bits() | mode,
            nlink: if self.which == Which::Root { 2 } else { 1 },
            uid,
            gid,
            rdev: match self.which {
                Which::Root => (0, 0),
                Which::Ptmx => (5, 2),
                Which::Slave(index) => (PTS_MAJOR, index),
            },
            block_size: 1024,
            atime: time,
            mtime: time,
            ctime: time,
            ..Stat::default()
        })
    }

    fn set_attr(&self, attr: &SetAttr) -> Result<(), Errno> {
        let mut new = self.attributes()?;
        new.mode = attr.mode.map_or(new.mode, |mode| mode & 0o7777);
        new.uid = attr.uid.unwrap_or(new.uid);
        new.gid = attr.gid.unwrap_or(new.gid);
        new.time = attr.mtime.or(attr.atime).unwrap_or(new.time);
        match self.which {
            Which::Root => self.terminals.root.set(new),
            Which::Ptmx => self.terminals.ptmx.set(new),
            Which::Slave(index) => self.terminals.set_slave(index, new),
        }
        Ok(())
    }

    fn fs(&self) -> Rc<dyn FileSystem> {
        Rc::new(DevPts(self.terminals.clone()))
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        if self.which != Which::Root {
            return Err(Errno::ENOTDIR);
        }
        if name == b"ptmx" {
            return Ok(self.other(Which::Ptmx));
        }
        let index = index_of(name).ok_or(Errno::ENOENT)?;
        self.terminals.slave(index)?;
        Ok(self.other(Which::Slave(index)))
    }

    fn read_dir(&self, cookie: u64) -> Result<Vec<DirEntry>, Errno> {
        if self.which != Which::Root {
            return Err(Errno::ENOTDIR);
        }
        let kind = FileKind::CharDevice;
        let ptmx = DirEntry { ino: PTMX_INO, kind, name: b"ptmx".to_vec(), next: 1 };
        let slave = |index: u32| {
            let (ino, next) = (FIRST_SLAVE_INO + u64::from(index), u64::from(index) + 2);
            DirEntry { ino, kind, name: index.to_string().into_bytes(), next }
        };
        let slaves = self.terminals.indices().into_iter().map(slave);
        Ok(std::iter::once(ptmx).chain(slaves).filter(|entry| entry.next > cookie).collect())
    }

    fn open(&self, _flags: u32) -> Result<Rc<dyn File>, Stop> {
        match self.which {
            Which::Root => Ok(Rc::new(OpenDirectory)),
            // Devices are opened by the kernel (`fs/dev`), which sees their kind first.
            _ => Err(Errno::ENXIO.into()),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl FileSystem for DevPts {
    fn name(&self) -> &'static str {
        "devpts"
    }

    fn dev(&self) -> u64 {
        self.0.device
    }

    fn root(&self) -> InodeRef {
        Rc::new(Node { terminals: self.0.clone(), which: Which::Root })
    }

    fn statfs(&self) -> (u64, u64, u64, u64, u64, u64) {
        (MAGIC, 4096, 0, 0, 0, 0)
    }
}

#[cfg(test)]
mod tests {
    use shallop_platform::fake::Fake;

    use super::*;

    #[test]
    fn names_are_plain_numbers() {
        assert_eq!(index_of(b"0"), Some(0));
        assert_eq!(index_of(b"17"), Some(17));
        assert_eq!(index_of(b"017").or(index_of(b"+1")).or(index_of(b"")).or(index_of(b"x")), None);
    }

    #[test]
    fn without_terminals_there_is_only_ptmx() {
        let host: &'static Fake = Box::leak(Box::new(Fake::new()));
        let root = DevPts::new(host, &Registry::default()).root();
        let names: Vec<_> = root.read_dir(0).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, [b"ptmx"]);
        assert_eq!(root.lookup(b"ptmx").unwrap().stat().unwrap().rdev, (5, 2));
        assert_eq!(root.lookup(b"0").err(), Some(Errno::ENOENT));
    }
}
