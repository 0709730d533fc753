//! `Node`: a file of a tmpfs, of any kind.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::seal;

use super::data::Data;
use super::directory::Directory;
use super::file::OpenRegular;
use super::{View, Volume};
use crate::fs::OpenDirectory;
use crate::vfs::permission::check_xattr_name;
use crate::vfs::{
    Attributes, DirEntry, File, FileKind, FileSystem, Inode, InodeRef, NewAttr, NewNode, SetAttr, Stat, Timespec,
};
use crate::wait::Stop;

/// Bytes of names and values of extended attributes that one file may have.
const XATTR_BYTES: usize = 128 << 10;
/// What a directory entry adds to its directory's size, as Linux counts.
const ENTRY_SIZE: u64 = 20;

/// What a file is.
pub(super) enum Body {
    Regular(RefCell<Data>),
    Directory(RefCell<Directory>),
    Symlink(Vec<u8>),
    /// FIFO, device, socket; device numbers, else zeroes.
    Special(FileKind, (u32, u32)),
}

/// A file of a tmpfs.
pub(super) struct Node {
    pub volume: Rc<Volume>,
    pub ino: u64,
    pub body: Body,
    pub meta: Cell<Attributes>,
    links: Cell<u32>,
    born: Timespec,
    xattrs: RefCell<BTreeMap<Vec<u8>, Vec<u8>>>,
    /// Of a directory: where it is.
    pub parent: RefCell<Weak<Node>>,
    /// Without a name, it may get one (O_TMPFILE).
    linkable: Cell<bool>,
    /// F_SEAL_* of fcntl(2).
    pub seals: Cell<u32>,
    me: Weak<Node>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.volume.files.set(self.volume.files.get().saturating_sub(1));
    }
}

impl Node {
    /// A file that is in no directory yet; it counts as one link.
    pub fn detached(volume: &Rc<Volume>, node: &NewNode, attr: &NewAttr) -> Rc<Node> {
        let body = match node {
            NewNode::Regular => Body::Regular(RefCell::new(Data::new(volume.platform, &volume.budget))),
            NewNode::Directory => Body::Directory(RefCell::default()),
            NewNode::Symlink(target) => Body::Symlink(target.clone()),
            NewNode::Fifo => Body::Special(FileKind::Fifo, (0, 0)),
            NewNode::Socket => Body::Special(FileKind::Socket, (0, 0)),
            NewNode::CharDevice(major, minor) => Body::Special(FileKind::CharDevice, (*major, *minor)),
            NewNode::BlockDevice(major, minor) => Body::Special(FileKind::BlockDevice, (*major, *minor)),
        };
        let mode = if matches!(body, Body::Symlink(_)) { 0o777 } else { attr.mode };
        let meta = Attributes::new(&NewAttr { mode, ..*attr });
        let links = if matches!(body, Body::Directory(_)) { 2 } else { 1 };
        volume.files.set(volume.files.get() + 1);
        Rc::new_cyclic(|me| Node {
            volume: volume.clone(),
            ino: volume.next_ino(),
            body,
            meta: Cell::new(meta),
            links: Cell::new(links),
            born: attr.now,
            xattrs: RefCell::default(),
            parent: RefCell::default(),
            linkable: Cell::new(false),
            seals: Cell::new(seal::SEAL),
            me: me.clone(),
        })
    }

    /// Makes it a file without a name.
    pub fn forget(&self) {
        self.links.set(0);
    }

    pub fn change(&self, edit: impl FnOnce(&mut Attributes)) {
        let mut meta = self.meta.get();
        edit(&mut meta);
        self.meta.set(meta);
    }

    /// The content changed.
    pub fn touch(&self) {
        let now = self.volume.now();
        self.change(|meta| (meta.mtime, meta.ctime) = (now, now));
    }

    /// The content was read; updates atime as `relatime` does (mount(8)).
    pub fn accessed(&self) {
        let (meta, now) = (self.meta.get(), self.volume.now());
        if meta.atime <= meta.mtime || meta.atime <= meta.ctime || now.sec - meta.atime.sec >= 86_400 {
            self.change(|meta| meta.atime = now);
        }
    }

    /// One link more or fewer.
    pub fn relink(&self, by: i32) {
        let now = self.volume.now();
        self.links.set(self.links.get().saturating_add_signed(by));
        self.change(|meta| meta.ctime = now);
    }

    /// EPERM when a seal forbids the file to have `size` bytes.
    fn check_size(&self, size: u64) -> Result<(), Errno> {
        let seals = self.seals.get();
        let sealed = size < self.size() && seals & seal::SHRINK != 0 || size > self.size() && seals & seal::GROW != 0;
        if sealed { Err(Errno::EPERM) } else { Ok(()) }
    }

    /// EPERM when a seal forbids to write up to `end`.
    pub fn check_write(&self, end: u64) -> Result<(), Errno> {
        if self.seals.get() & (seal::WRITE | seal::FUTURE_WRITE) != 0 {
            return Err(Errno::EPERM);
        }
        self.check_size(end.max(self.size()))
    }

    pub fn is_directory(&self) -> bool {
        matches!(self.body, Body::Directory(_))
    }

    pub fn directory(&self) -> Result<&RefCell<Directory>, Errno> {
        match &self.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// The directory's names, for adding one: ENOENT when the directory itself was removed.
    pub fn living_directory(&self) -> Result<&RefCell<Directory>, Errno> {
        let directory = self.directory()?;
        if self.links.get() == 0 { Err(Errno::ENOENT) } else { Ok(directory) }
    }

    /// The node behind an inode of this same file system; EXDEV for others.
    pub fn same_volume<'a>(&self, inode: &'a InodeRef) -> Result<&'a Node, Errno> {
        let node = inode.as_any().downcast_ref::<Node>().ok_or(Errno::EXDEV)?;
        if Rc::ptr_eq(&node.volume, &self.volume) { Ok(node) } else { Err(Errno::EXDEV) }
    }

    /// The counted reference to itself.
    pub fn me(&self) -> Result<Rc<Node>, Errno> {
        self.me.upgrade().ok_or(Errno::EIO)
    }

    /// The end of a directory that had its name taken away.
    pub fn bury(&self) {
        let now = self.volume.now();
        self.links.set(0);
        self.change(|meta| meta.ctime = now);
    }

    fn size(&self) -> u64 {
        match &self.body {
            Body::Regular(data) => data.borrow().size(),
            Body::Directory(directory) => (directory.borrow().len() as u64 + 2) * ENTRY_SIZE,
            Body::Symlink(target) => target.len() as u64,
            Body::Special(..) => 0,
        }
    }
}

impl Inode for Node {
    fn kind(&self) -> FileKind {
        match &self.body {
            Body::Regular(_) => FileKind::Regular,
            Body::Directory(_) => FileKind::Directory,
            Body::Symlink(_) => FileKind::Symlink,
            Body::Special(kind, _) => *kind,
        }
    }

    fn stat(&self) -> Result<Stat, Errno> {
        let meta = self.meta.get();
        Ok(Stat {
            dev: self.volume.device,
            ino: self.ino,
            mode: self.kind().mode_bits() | meta.mode,
            nlink: self.links.get(),
            rdev: if let Body::Special(_, rdev) = self.body { rdev } else { (0, 0) },
            size: self.size(),
            blocks: if let Body::Regular(data) = &self.body { data.borrow().used() / 512 } else { 0 },
            btime: Some(self.born),
            ..meta.stat()
        })
    }

    fn set_attr(&self, attr: &SetAttr) -> Result<(), Errno> {
        let executable = |mode: u32| mode & 0o111;
        let kept = attr.mode.is_none_or(|mode| executable(mode) == executable(self.meta.get().mode));
        if !kept && self.seals.get() & seal::EXEC != 0 {
            return Err(Errno::EPERM);
        }
        let now = self.volume.now();
        if let Some(size) = attr.size {
            match &self.body {
                Body::Regular(data) => {
                    self.check_size(size)?;
                    data.borrow_mut().resize(size)?;
                }
                Body::Directory(_) => return Err(Errno::EISDIR),
                _ => return Err(Errno::EINVAL),
            }
            self.change(|meta| meta.mtime = now);
        }
        self.change(|meta| meta.set(attr, now));
        Ok(())
    }

    fn fs(&self) -> Rc<dyn FileSystem> {
        Rc::new(View(self.volume.clone()))
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        let node = self.directory()?.borrow().get(name).cloned().ok_or(Errno::ENOENT)?;
        Ok(node)
    }

    fn create(&self, name: &[u8], node: &NewNode, attr: &NewAttr) -> Result<InodeRef, Errno> {
        let directory = self.living_directory()?;
        if directory.borrow().get(name).is_some() {
            return Err(Errno::EEXIST);
        }
        self.volume.check_files()?;
        let child = Node::detached(&self.volume, node, attr);
        if child.is_directory() {
            *child.parent.borrow_mut() = self.me.clone();
            self.relink(1);
        }
        directory.borrow_mut().insert(name, child.clone());
        self.touch();
        Ok(child)
    }

    fn create_nameless(&self, attr: &NewAttr, linkable: bool) -> Result<InodeRef, Errno> {
        self.living_directory()?;
        self.volume.check_files()?;
        let node = Node::detached(&self.volume, &NewNode::Regular, attr);
        node.forget();
        node.linkable.set(linkable);
        Ok(node)
    }

    fn link(&self, name: &[u8], target: &InodeRef) -> Result<(), Errno> {
        let directory = self.living_directory()?;
        let node = self.same_volume(target)?.me()?;
        if node.is_directory() {
            return Err(Errno::EPERM);
        }
        if directory.borrow().get(name).is_some() {
            return Err(Errno::EEXIST);
        }
        match node.links.get() {
            0 if !node.linkable.take() => return Err(Errno::ENOENT),
            u32::MAX => return Err(Errno::EMLINK),
            _ => {}
        }
        node.relink(1);
        directory.borrow_mut().insert(name, node);
        self.touch();
        Ok(())
    }

    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        let directory = self.directory()?;
        let node = directory.borrow().get(name).cloned().ok_or(Errno::ENOENT)?;
        if node.is_directory() {
            return Err(Errno::EISDIR);
        }
        directory.borrow_mut().remove(name);
        node.relink(-1);
        self.touch();
        Ok(())
    }

    fn remove_dir(&self, name: &[u8]) -> Result<(), Errno> {
        let directory = self.directory()?;
        let node = directory.borrow().get(name).cloned().ok_or(Errno::ENOENT)?;
        if !node.directory()?.borrow().is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        directory.borrow_mut().remove(name);
        node.bury();
        self.relink(-1);
        self.touch();
        Ok(())
    }

    fn rename(&self, name: &[u8], new_dir: &InodeRef, new_name: &[u8]) -> Result<(), Errno> {
        super::rename::rename(self, name, self.same_volume(new_dir)?, new_name)
    }

    fn read_dir(&self, cookie: u64) -> Result<Vec<DirEntry>, Errno> {
        let entries = self.directory()?.borrow().after(cookie);
        self.accessed();
        Ok(entries)
    }

    fn read_link(&self) -> Result<Vec<u8>, Errno> {
        match &self.body {
            Body::Symlink(target) => Ok(target.clone()),
            _ => Err(Errno::EINVAL),
        }
    }

    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.xattrs.borrow().get(name).cloned().ok_or(Errno::ENODATA)
    }

    fn set_xattr(&self, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        check_xattr_name(name)?;
        let mut xattrs = self.xattrs.borrow_mut();
        let others = xattrs.iter().filter(|(n, _)| n.as_slice() != name).map(|(n, v)| n.len() + v.len()).sum::<usize>();
        if others + name.len() + value.len() > XATTR_BYTES {
            return Err(Errno::ENOSPC);
        }
        xattrs.insert(name.to_vec(), value.to_vec());
        let now = self.volume.now();
        self.change(|meta| meta.ctime = now);
        Ok(())
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<(), Errno> {
        self.xattrs.borrow_mut().remove(name).ok_or(Errno::ENODATA)?;
        let now = self.volume.now();
        self.change(|meta| meta.ctime = now);
        Ok(())
    }

    fn list_xattr(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Ok(self.xattrs.borrow().keys().cloned().collect())
    }

    fn seals(&self) -> Option<u32> {
        matches!(self.body, Body::Regular(_)).then(|| self.seals.get())
    }

    fn add_seals(&self, seals: u32) -> Result<(), Errno> {
        if self.seals().ok_or(Errno::EINVAL)? & seal::SEAL != 0 {
            return Err(Errno::EPERM);
        }
        // What may not become executable may not be written when it is.
        let executable = seals & seal::EXEC != 0 && self.meta.get().mode & 0o111 != 0;
        let more = if executable { seal::SHRINK | seal::GROW | seal::WRITE | seal::FUTURE_WRITE } else { 0 };
        self.seals.set(self.seals.get() | seals | more);
        Ok(())
    }

    fn open(&self, _flags: u32) -> Result<Rc<dyn File>, Stop> {
        match self.kind() {
            FileKind::Regular => Ok(Rc::new(OpenRegular { node: self.me()? })),
            FileKind::Directory => Ok(Rc::new(OpenDirectory)),
            FileKind::Symlink => Err(Errno::ELOOP.into()),
            // FIFOs and devices are opened by the kernel, which sees their kind first.
            _ => Err(Errno::ENXIO.into()),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
