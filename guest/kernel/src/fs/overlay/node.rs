//! `Node`: a file of the overlay, of any kind.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use shallop_layer::merge;
use shallop_layer::tar::Time;
use shallop_layer::upper::{Attr, File as TreeFile, NewBody, Op, Tree};
use shallop_linux_abi::Errno;
use shallop_linux_abi::file::open;

use super::file::{OpenDirectory, OpenRegular};
use super::listing::Listing;
use super::{Overlay, content, names};
use crate::vfs::permission::check_xattr_name;
use crate::vfs::{DirEntry, File, FileKind, FileSystem, Inode, InodeRef, NewAttr, NewNode, SetAttr, Stat, Timespec};
use crate::wait::Stop;

/// Bytes of names and values of extended attributes that one file may have.
const XATTR_BYTES: usize = 128 << 10;
/// Names that one directory remembers nodes for.
const CACHED: usize = 4096;

/// A file. While anybody holds it there is only this one for its inode number.
pub(super) struct Node {
    overlay: Rc<Overlay>,
    file: TreeFile,
    kind: FileKind,
    /// Of a directory: nodes of names looked up, the directory it is in, its order for readers.
    children: RefCell<HashMap<Box<[u8]>, Rc<Node>>>,
    parent: RefCell<Option<Rc<Node>>>,
    listing: RefCell<Option<Listing>>,
    stale: Cell<bool>,
    /// Pages of it may be mapped into processes.
    mapped: Cell<bool>,
    /// Without a name, it may get one (O_TMPFILE).
    linkable: Cell<bool>,
    me: Weak<Node>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.overlay.released(self.file.ino);
    }
}

impl Node {
    pub(super) fn new(overlay: &Rc<Overlay>, file: TreeFile, mode: u32) -> Result<Rc<Node>, Errno> {
        let kind = FileKind::from_mode(mode).ok_or(Errno::EIO)?;
        Ok(Rc::new_cyclic(|me| Node {
            overlay: overlay.clone(),
            file,
            kind,
            children: RefCell::default(),
            parent: RefCell::default(),
            listing: RefCell::default(),
            stale: Cell::new(true),
            mapped: Cell::new(false),
            linkable: Cell::new(false),
            me: me.clone(),
        }))
    }

    pub(super) fn overlay(&self) -> &Rc<Overlay> {
        &self.overlay
    }

    pub(super) fn ino(&self) -> u64 {
        self.file.ino
    }

    pub(super) fn lower(&self) -> Option<&merge::Node> {
        self.file.lower.as_ref()
    }

    pub(super) fn me(&self) -> Result<Rc<Node>, Errno> {
        self.me.upgrade().ok_or(Errno::EIO)
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory
    }

    pub(super) fn was_mapped(&self) -> bool {
        self.mapped.get()
    }

    pub(super) fn set_linkable(&self, linkable: bool) {
        self.linkable.set(linkable);
    }

    /// Whether it may be given its first name; it can be asked once.
    pub(super) fn take_linkable(&self) -> bool {
        self.linkable.take()
    }

    pub(super) fn set_mapped(&self) {
        self.mapped.set(true);
    }

    /// The directory it is in; `None` for the root and for what is no directory.
    pub(super) fn parent(&self) -> Option<Rc<Node>> {
        self.parent.borrow().clone()
    }

    pub(super) fn set_parent(&self, parent: Option<Rc<Node>>) {
        let old = self.parent.replace(parent);
        drop(old);
    }

    /// Reads of this file in the tree.
    pub(super) fn read_tree<T>(
        &self,
        f: impl FnOnce(Tree<'_>, &TreeFile) -> Result<T, shallop_layer::LayerError>,
    ) -> Result<T, Errno> {
        self.overlay.tree(|tree| f(tree, &self.file)).map_err(|e| self.overlay.errno(&e))
    }

    pub(super) fn attr(&self) -> Result<Attr, Errno> {
        self.read_tree(|tree, file| tree.attr(file))
    }

    /// Makes the inode the upper layer's, with its metadata as it is.
    pub(super) fn take_over(&self) -> Result<(), Errno> {
        if self.overlay.upper.borrow().inode(self.ino()).is_some() {
            return Ok(());
        }
        let lower = self.lower().ok_or(Errno::EIO)?;
        let attr = self.attr()?;
        let body = match self.kind {
            FileKind::Regular => NewBody::Regular(Some(lower.top)),
            FileKind::Directory => NewBody::Directory(lower.places().collect()),
            FileKind::Symlink => NewBody::Symlink(self.read_tree(|tree, file| tree.link(file).map(<[u8]>::to_vec))?),
            _ => NewBody::Special,
        };
        let ino = self.ino();
        let mut ops = vec![Op::Node { ino, attr, body }];
        for (name, value) in self.read_tree(|tree, file| tree.xattrs(file))? {
            ops.push(Op::Xattr { ino, name, value: Some(value) });
        }
        self.overlay.record(&ops)
    }

    /// Changes the attributes of an inode that was taken over.
    pub(super) fn change(&self, edit: impl FnOnce(&mut Attr)) {
        if let Some(attr) = self.overlay.upper.borrow_mut().attr_mut(self.ino()) {
            edit(attr);
        }
    }

    /// The node of `name`, ENOENT if there is none.
    pub(super) fn child(&self, name: &[u8]) -> Result<Rc<Node>, Errno> {
        if !self.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        if let Some(node) = self.children.borrow().get(name) {
            return Ok(node.clone());
        }
        let file = self.read_tree(|tree, file| tree.lookup(file, name))?.ok_or(Errno::ENOENT)?;
        let node = self.overlay.node(file)?;
        if node.is_directory() {
            node.set_parent(self.me.upgrade());
        }
        self.remember(name, &node);
        Ok(node)
    }

    /// Keeps `name`'s node at hand.
    pub(super) fn remember(&self, name: &[u8], node: &Rc<Node>) {
        if self.children.borrow().len() >= CACHED {
            let old = std::mem::take(&mut *self.children.borrow_mut());
            drop(old);
        }
        let old = self.children.borrow_mut().insert(name.into(), node.clone());
        drop(old);
    }

    /// Forgets `name`'s node.
    pub(super) fn forget(&self, name: &[u8]) {
        let old = self.children.borrow_mut().remove(name);
        drop(old);
    }

    /// The directory's names changed.
    pub(super) fn touch_names(&self) {
        let now = self.overlay.now();
        self.stale.set(true);
        self.change(|attr| (attr.mtime, attr.ctime) = (now, now));
    }

    fn set_attributes(&self, attr: &SetAttr) -> Result<(), Errno> {
        self.take_over()?;
        let now = self.overlay.now();
        if let Some(size) = attr.size {
            match self.kind {
                FileKind::Regular => self.resize(size)?,
                FileKind::Directory => return Err(Errno::EISDIR),
                _ => return Err(Errno::EINVAL),
            }
        }
        self.change(|to| {
            if attr.size.is_some() {
                to.mtime = now;
            }
            to.mode = attr.mode.map_or(to.mode, |mode| (to.mode & 0o170000) | (mode & 0o7777));
            to.uid = attr.uid.unwrap_or(to.uid);
            to.gid = attr.gid.unwrap_or(to.gid);
            to.atime = attr.atime.map_or(to.atime, from_timespec);
            to.mtime = attr.mtime.map_or(to.mtime, from_timespec);
            to.ctime = now;
        });
        Ok(())
    }

    fn put_xattr(&self, name: &[u8], value: Option<&[u8]>) -> Result<(), Errno> {
        self.overlay.check_room()?;
        self.take_over()?;
        let value = value.map(<[u8]>::to_vec);
        self.overlay.record(&[Op::Xattr { ino: self.ino(), name: name.to_vec(), value }])?;
        let now = self.overlay.now();
        self.change(|attr| attr.ctime = now);
        self.overlay.changed();
        Ok(())
    }
}

impl Inode for Node {
    fn kind(&self) -> FileKind {
        self.kind
    }

    fn stat(&self) -> Result<Stat, Errno> {
        let attr = self.attr()?;
        let regular = self.kind == FileKind::Regular;
        let upper = self.overlay.upper.borrow();
        let body = upper.inode(self.ino()).map(|inode| &inode.body);
        Ok(Stat {
            dev: self.overlay.dev(),
            ino: self.ino(),
            mode: attr.mode,
            nlink: attr.nlink,
            uid: attr.uid,
            gid: attr.gid,
            rdev: attr.rdev,
            size: if self.is_directory() { 4096 } else { attr.size },
            blocks: if regular { content::blocks(body, attr.size) } else { 0 },
            block_size: 4096,
            atime: to_timespec(attr.atime),
            mtime: to_timespec(attr.mtime),
            ctime: to_timespec(attr.ctime),
            btime: Some(to_timespec(attr.btime)),
        })
    }

    fn set_attr(&self, attr: &SetAttr) -> Result<(), Errno> {
        let done = self.set_attributes(attr);
        self.overlay.changed();
        done
    }

    fn fs(&self) -> Rc<dyn FileSystem> {
        self.overlay.clone()
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        Ok(self.child(name)?)
    }

    fn create(&self, name: &[u8], node: &NewNode, attr: &NewAttr) -> Result<InodeRef, Errno> {
        Ok(names::create(self, name, node, attr)?)
    }

    fn create_nameless(&self, attr: &NewAttr, linkable: bool) -> Result<InodeRef, Errno> {
        Ok(names::create_nameless(self, attr, linkable)?)
    }

    fn link(&self, name: &[u8], target: &InodeRef) -> Result<(), Errno> {
        names::link(self, name, self.same_overlay(target)?)
    }

    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        names::unlink(self, name)
    }

    fn remove_dir(&self, name: &[u8]) -> Result<(), Errno> {
        names::remove_dir(self, name)
    }

    fn rename(&self, name: &[u8], new_dir: &InodeRef, new_name: &[u8]) -> Result<(), Errno> {
        names::rename(self, name, self.same_overlay(new_dir)?, new_name)
    }

    fn read_dir(&self, cookie: u64) -> Result<Vec<DirEntry>, Errno> {
        if !self.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        if self.stale.get() || self.listing.borrow().is_none() {
            let children = self.read_tree(|tree, file| tree.children(file))?;
            self.listing.borrow_mut().get_or_insert_default().refresh(children);
            self.stale.set(false);
        }
        let batch = self.listing.borrow().as_ref().map(|listing| listing.after(cookie)).unwrap_or_default();
        let entry = |(next, name, file): (u64, Rc<[u8]>, TreeFile)| {
            let mode = self.read_tree(|tree, _| tree.attr(&file))?.mode;
            let kind = FileKind::from_mode(mode).ok_or(Errno::EIO)?;
            Ok(DirEntry { ino: file.ino, kind, name: name.to_vec(), next })
        };
        batch.into_iter().map(entry).collect()
    }

    fn read_link(&self) -> Result<Vec<u8>, Errno> {
        match self.kind {
            FileKind::Symlink => self.read_tree(|tree, file| tree.link(file).map(<[u8]>::to_vec)),
            _ => Err(Errno::EINVAL),
        }
    }

    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let xattrs = self.read_tree(|tree, file| tree.xattrs(file))?;
        xattrs.into_iter().find(|(known, _)| known == name).map(|(_, value)| value).ok_or(Errno::ENODATA)
    }

    fn set_xattr(&self, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        check_xattr_name(name)?;
        let xattrs = self.read_tree(|tree, file| tree.xattrs(file))?;
        let others = xattrs.iter().filter(|(n, _)| n != name).map(|(n, v)| n.len() + v.len()).sum::<usize>();
        if others + name.len() + value.len() > XATTR_BYTES {
            return Err(Errno::ENOSPC);
        }
        self.put_xattr(name, Some(value))
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<(), Errno> {
        self.get_xattr(name)?;
        self.put_xattr(name, None)
    }

    fn list_xattr(&self) -> Result<Vec<Vec<u8>>, Errno> {
        let xattrs = self.read_tree(|tree, file| tree.xattrs(file))?;
        Ok(xattrs.into_iter().map(|(name, _)| name).collect())
    }

    fn open(&self, flags: u32) -> Result<Rc<dyn File>, Stop> {
        let writable = flags & open::ACCMODE != open::RDONLY;
        match self.kind {
            FileKind::Regular => Ok(Rc::new(OpenRegular { node: self.me()?, writable })),
            FileKind::Directory => Ok(Rc::new(OpenDirectory { node: self.me()? })),
            FileKind::Symlink => Err(Errno::ELOOP.into()),
            // FIFOs and devices are opened by the kernel, which sees their kind first.
            _ => Err(Errno::ENXIO.into()),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Node {
    /// The node behind an inode of this same file system; EXDEV for others.
    fn same_overlay<'a>(&self, inode: &'a InodeRef) -> Result<&'a Node, Errno> {
        let node = inode.as_any().downcast_ref::<Node>().ok_or(Errno::EXDEV)?;
        if Rc::ptr_eq(&node.overlay, &self.overlay) { Ok(node) } else { Err(Errno::EXDEV) }
    }
}

fn to_timespec(time: Time) -> Timespec {
    Timespec { sec: time.sec, nsec: time.nsec }
}

pub(super) fn from_timespec(time: Timespec) -> Time {
    Time { sec: time.sec, nsec: time.nsec }
}
