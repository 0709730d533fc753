//! `Node`: a file or directory of a mounted host directory. It knows its place, which renames change.

use std::any::Any;
use std::cell::RefCell;
use std::rc::{Rc, Weak};

use shallop_host_abi::hypercall::{HostStat, open_flags};
use shallop_linux_abi::Errno;
use shallop_linux_abi::file::{PATH_MAX, open};

use super::file::{HostFile, Opened};
use super::names::Names;
use super::volume::{Identity, Volume};
use super::{HostDir, kind_of, shown, times};
use crate::fs::OpenDirectory;
use crate::vfs::{DirEntry, File, FileKind, FileSystem, Inode, InodeRef, NewAttr, NewNode, SetAttr, Stat};
use crate::wait::Stop;

/// Entries that one `read_dir` gives at most: each costs a question to the host for its number.
const BATCH: usize = 128;

/// A file of the host.
pub(super) struct Node {
    volume: Rc<Volume>,
    pub kind: FileKind,
    identity: Identity,
    /// Where it is; no parent for the root, and an empty name for what was removed.
    place: RefCell<(Option<Rc<Node>>, Vec<u8>)>,
    /// Open descriptors: one for reading, one for reading and writing.
    opened: RefCell<[Weak<Opened>; 2]>,
    /// The descriptor that the file was created with, until it is first opened: its mode may forbid opening it anew.
    fresh: RefCell<Option<Rc<Opened>>>,
    names: RefCell<Names>,
    me: Weak<Node>,
}

impl Node {
    pub fn new(volume: &Rc<Volume>, stat: &HostStat, parent: Option<&Rc<Node>>, name: &[u8]) -> Rc<Node> {
        Rc::new_cyclic(|me| Node {
            volume: volume.clone(),
            kind: kind_of(stat),
            identity: (stat.dev, stat.ino),
            place: RefCell::new((parent.cloned(), name.to_vec())),
            opened: RefCell::default(),
            fresh: RefCell::default(),
            names: RefCell::default(),
            me: me.clone(),
        })
    }

    /// Tells it where it is now.
    pub fn place(&self, parent: &Rc<Node>, name: &[u8]) {
        *self.place.borrow_mut() = (Some(parent.clone()), name.to_vec());
    }

    /// Path below the mounted directory; empty for that itself. ENOENT for what was removed.
    fn path(&self) -> Result<Vec<u8>, Errno> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        let (mut parent, mut name) = self.place.borrow().clone();
        while let Some(above) = parent {
            if name.is_empty() {
                return Err(Errno::ENOENT);
            }
            names.push(name);
            (parent, name) = above.place.borrow().clone();
        }
        names.reverse();
        Ok(names.join(&b'/'))
    }

    /// Path of a name in this directory.
    fn path_of(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        if self.kind != FileKind::Directory {
            return Err(Errno::ENOTDIR);
        }
        if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
            return Err(Errno::EINVAL);
        }
        let mut path = self.path()?;
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        if path.len() >= PATH_MAX { Err(Errno::ENAMETOOLONG) } else { Ok(path) }
    }

    fn me(&self) -> Result<Rc<Node>, Errno> {
        self.me.upgrade().ok_or(Errno::EIO)
    }

    /// What the host says: of the open file when there is one (it may have no name any more), else of the path.
    fn host_stat(&self) -> Result<HostStat, Errno> {
        let open = self.opened.borrow().iter().find_map(Weak::upgrade);
        match open {
            Some(opened) => opened.stat(),
            None => self.volume.platform.volume_stat(self.volume.handle, &self.path()?),
        }
    }

    /// An open descriptor that can do at least what is asked.
    fn open_handle(&self, write: bool) -> Result<Rc<Opened>, Errno> {
        if write {
            self.volume.check_writable()?;
        }
        let there = self.opened.borrow()[usize::from(write)..].iter().find_map(Weak::upgrade);
        self.fresh.borrow_mut().take();
        if let Some(opened) = there {
            return Ok(opened);
        }
        let flags = open_flags::READ | if write { open_flags::WRITE } else { 0 };
        let platform = self.volume.platform;
        let handle = platform.volume_open(self.volume.handle, &self.path()?, flags, 0)?;
        Ok(self.keep(handle, write))
    }

    /// Remembers an open descriptor while somebody uses it.
    fn keep(&self, handle: u32, writable: bool) -> Rc<Opened> {
        let opened = Rc::new(Opened { platform: self.volume.platform, handle, owned: true });
        self.opened.borrow_mut()[usize::from(writable)] = Rc::downgrade(&opened);
        opened
    }

    /// Makes the new file's inode after the host made the file.
    fn created(&self, path: &[u8], name: &[u8], attr: &NewAttr) -> Result<Rc<Node>, Errno> {
        let stat = self.volume.platform.volume_stat(self.volume.handle, path)?;
        let identity = (stat.dev, stat.ino);
        // Whatever was known under this number is gone.
        self.volume.forget(identity);
        self.volume.set_owner(identity, (attr.uid, attr.gid));
        Ok(self.volume.node(&stat, &self.me()?, name))
    }

    fn remove(&self, name: &[u8], directory: bool) -> Result<(), Errno> {
        self.volume.check_writable()?;
        let path = self.path_of(name)?;
        let stat = self.volume.platform.volume_stat(self.volume.handle, &path)?;
        self.volume.platform.volume_remove(self.volume.handle, &path, directory)?;
        self.gone(&stat, name)
    }

    /// `name` of this directory no longer is the file with this `stat`.
    fn gone(&self, stat: &HostStat, name: &[u8]) -> Result<(), Errno> {
        let node = self.volume.node(stat, &self.me()?, name);
        if node.kind == FileKind::Directory || stat.nlink <= 1 {
            node.place.borrow_mut().1.clear();
            self.volume.forget(node.identity);
        }
        Ok(())
    }

    /// The node behind an inode of this same mount; EXDEV for others.
    fn same_volume<'a>(&self, inode: &'a InodeRef) -> Result<&'a Node, Errno> {
        let node = inode.as_any().downcast_ref::<Node>().ok_or(Errno::EXDEV)?;
        if Rc::ptr_eq(&node.volume, &self.volume) { Ok(node) } else { Err(Errno::EXDEV) }
    }
}

impl Inode for Node {
    fn kind(&self) -> FileKind {
        self.kind
    }

    fn stat(&self) -> Result<Stat, Errno> {
        let (volume, identity) = (&self.volume, self.identity);
        match self.host_stat() {
            Ok(stat) => Ok(shown(&stat, volume.device, volume.ino(identity), volume.owner(identity))),
            // Removed and not open on the host: what is left of it is its number.
            Err(Errno::ENOENT) => {
                let stat = HostStat { mode: self.kind.mode_bits(), ..HostStat::default() };
                Ok(shown(&stat, volume.device, volume.ino(identity), volume.owner(identity)))
            }
            Err(errno) => Err(errno),
        }
    }

    fn set_attr(&self, attr: &SetAttr) -> Result<(), Errno> {
        self.volume.check_writable()?;
        let (platform, handle) = (self.volume.platform, self.volume.handle);
        if let Some(size) = attr.size {
            if self.kind == FileKind::Directory {
                return Err(Errno::EISDIR);
            }
            let opened = self.open_handle(true)?;
            platform.file_resize(opened.handle, size)?;
        }
        if let Some(mode) = attr.mode {
            platform.volume_set_mode(handle, &self.path()?, mode & 0o7777)?;
        }
        let (uid, gid) = self.volume.owner(self.identity);
        if attr.uid.is_some() || attr.gid.is_some() {
            self.volume.set_owner(self.identity, (attr.uid.unwrap_or(uid), attr.gid.unwrap_or(gid)));
        }
        let (atime, mtime) = times(attr)?;
        if atime.is_some() || mtime.is_some() {
            platform.volume_set_times(handle, &self.path()?, atime, mtime)?;
        }
        Ok(())
    }

    fn fs(&self) -> Rc<dyn FileSystem> {
        Rc::new(HostDir(self.volume.clone()))
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        let stat = self.volume.platform.volume_stat(self.volume.handle, &self.path_of(name)?)?;
        Ok(self.volume.node(&stat, &self.me()?, name))
    }

    fn create(&self, name: &[u8], node: &NewNode, attr: &NewAttr) -> Result<InodeRef, Errno> {
        self.volume.check_writable()?;
        let path = self.path_of(name)?;
        let (platform, handle) = (self.volume.platform, self.volume.handle);
        let mode = attr.mode & 0o7777;
        match node {
            NewNode::Regular => {
                let flags = open_flags::READ | open_flags::WRITE | open_flags::CREATE | open_flags::EXCLUSIVE;
                let file = platform.volume_open(handle, &path, flags, mode)?;
                let node = self.created(&path, name, attr).inspect_err(|_| platform.file_close(file))?;
                *node.fresh.borrow_mut() = Some(node.keep(file, true));
                return Ok(node);
            }
            NewNode::Directory => platform.volume_make_dir(handle, &path, mode)?,
            NewNode::Symlink(target) => platform.volume_symlink(handle, target, &path)?,
            // The host is not asked for FIFOs, sockets and devices.
            _ => return Err(Errno::EPERM),
        }
        Ok(self.created(&path, name, attr)?)
    }

    fn link(&self, name: &[u8], target: &InodeRef) -> Result<(), Errno> {
        self.volume.check_writable()?;
        let target = self.same_volume(target)?;
        if target.kind == FileKind::Directory {
            return Err(Errno::EPERM);
        }
        self.volume.platform.volume_link(self.volume.handle, &target.path()?, &self.path_of(name)?)
    }

    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        self.remove(name, false)
    }

    fn remove_dir(&self, name: &[u8]) -> Result<(), Errno> {
        self.remove(name, true)
    }

    fn rename(&self, name: &[u8], new_dir: &InodeRef, new_name: &[u8]) -> Result<(), Errno> {
        self.volume.check_writable()?;
        let to = self.same_volume(new_dir)?.me()?;
        let (from_path, to_path) = (self.path_of(name)?, to.path_of(new_name)?);
        let (platform, handle) = (self.volume.platform, self.volume.handle);
        let source = platform.volume_stat(handle, &from_path)?;
        let replaced = platform.volume_stat(handle, &to_path).ok();
        platform.volume_rename(handle, &from_path, &to_path)?;
        let same = |other: &HostStat| (other.dev, other.ino) == (source.dev, source.ino);
        if replaced.as_ref().is_some_and(same) {
            return Ok(());
        }
        if let Some(replaced) = replaced {
            to.gone(&replaced, new_name)?;
        }
        self.volume.node(&source, &to, new_name);
        Ok(())
    }

    fn read_dir(&self, cookie: u64) -> Result<Vec<DirEntry>, Errno> {
        if self.kind != FileKind::Directory {
            return Err(Errno::ENOTDIR);
        }
        let (volume, platform) = (&self.volume, self.volume.platform);
        if cookie == 0 {
            let listing = platform.volume_read_dir(volume.handle, &self.path()?)?;
            self.names.borrow_mut().update(listing);
        }
        let mut at = cookie;
        loop {
            let names = self.names.borrow().after(at, BATCH);
            let Some((last, ..)) = names.last() else { return Ok(Vec::new()) };
            at = *last;
            let entry = |(next, _, name): (u64, u8, Vec<u8>)| {
                // What is gone by now is left out.
                let stat = platform.volume_stat(volume.handle, &self.path_of(&name).ok()?).ok()?;
                Some(DirEntry { ino: volume.ino((stat.dev, stat.ino)), kind: kind_of(&stat), name, next })
            };
            let entries: Vec<DirEntry> = names.into_iter().filter_map(entry).collect();
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
    }

    fn read_link(&self) -> Result<Vec<u8>, Errno> {
        match self.kind {
            FileKind::Symlink => self.volume.platform.volume_read_link(self.volume.handle, &self.path()?),
            _ => Err(Errno::EINVAL),
        }
    }

    fn open(&self, flags: u32) -> Result<Rc<dyn File>, Stop> {
        match self.kind {
            FileKind::Regular => {
                let writable = flags & open::ACCMODE != open::RDONLY;
                Ok(Rc::new(HostFile { opened: self.open_handle(writable)?, writable }))
            }
            FileKind::Directory => Ok(Rc::new(OpenDirectory)),
            FileKind::Symlink => Err(Errno::ELOOP.into()),
            _ => Err(Errno::ENXIO.into()),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
