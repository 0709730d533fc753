//! `Volume`: what a mounted host directory keeps: the files that are known, and owners that were changed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use shallop_host_abi::hypercall::HostStat;
use shallop_host_abi::spec::Handle;
use shallop_linux_abi::Errno;
use shallop_platform::Platform;

use super::kind_of;
use super::node::Node;

/// A file's identity on the host: device and inode number.
pub(super) type Identity = (u64, u64);

/// Known files are looked through for forgotten ones when there are this many more.
const SWEEP: usize = 1024;

/// A mounted host directory.
pub(super) struct Volume {
    pub platform: &'static dyn Platform,
    pub handle: Handle,
    pub read_only: bool,
    pub device: u64,
    owner: (u32, u32),
    /// The host device that the mounted directory is on.
    host_device: u64,
    /// Owners that were changed inside.
    owners: RefCell<HashMap<Identity, (u32, u32)>>,
    nodes: RefCell<HashMap<Identity, Weak<Node>>>,
    sweep_at: Cell<usize>,
    root: RefCell<Weak<Node>>,
    root_stat: HostStat,
}

impl Volume {
    pub fn new(
        platform: &'static dyn Platform,
        handle: Handle,
        read_only: bool,
        uid: u32,
        gid: u32,
    ) -> Result<Rc<Volume>, Errno> {
        let root_stat = platform.volume_stat(handle, b"")?;
        Ok(Rc::new(Volume {
            platform,
            handle,
            read_only,
            device: crate::fs::anonymous_device(),
            owner: (uid, gid),
            host_device: root_stat.dev,
            owners: RefCell::default(),
            nodes: RefCell::default(),
            sweep_at: Cell::new(SWEEP),
            root: RefCell::default(),
            root_stat,
        }))
    }

    pub fn root(self: &Rc<Self>) -> Rc<Node> {
        if let Some(root) = self.root.borrow().upgrade() {
            return root;
        }
        let root = Node::new(self, &self.root_stat, None, b"");
        *self.root.borrow_mut() = Rc::downgrade(&root);
        root
    }

    /// The file that is `name` in `parent` now: the known one, moved there, or a new one.
    pub fn node(self: &Rc<Self>, stat: &HostStat, parent: &Rc<Node>, name: &[u8]) -> Rc<Node> {
        let identity = (stat.dev, stat.ino);
        if let Some(node) = self.nodes.borrow().get(&identity).and_then(Weak::upgrade)
            && node.kind == kind_of(stat)
        {
            node.place(parent, name);
            return node;
        }
        let node = Node::new(self, stat, Some(parent), name);
        let mut nodes = self.nodes.borrow_mut();
        nodes.insert(identity, Rc::downgrade(&node));
        if nodes.len() >= self.sweep_at.get() {
            nodes.retain(|_, node| node.strong_count() > 0);
            self.sweep_at.set(nodes.len() + SWEEP);
        }
        node
    }

    /// A file whose last name is gone; its number may come back as another file's.
    pub fn forget(&self, identity: Identity) {
        self.nodes.borrow_mut().remove(&identity);
        self.owners.borrow_mut().remove(&identity);
    }

    pub fn owner(&self, identity: Identity) -> (u32, u32) {
        self.owners.borrow().get(&identity).copied().unwrap_or(self.owner)
    }

    pub fn set_owner(&self, identity: Identity, owner: (u32, u32)) {
        let mut owners = self.owners.borrow_mut();
        if owner == self.owner {
            owners.remove(&identity);
        } else {
            owners.insert(identity, owner);
        }
    }

    /// The inode number shown. Files below another file system's mount point on the host get one that differs from
    /// those of the mounted directory's own.
    pub fn ino(&self, (device, ino): Identity) -> u64 {
        if device == self.host_device { ino } else { ino ^ device.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 << 63 }
    }

    /// EROFS when nothing may be changed.
    pub fn check_writable(&self) -> Result<(), Errno> {
        if self.read_only { Err(Errno::EROFS) } else { Ok(()) }
    }
}
