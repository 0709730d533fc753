//! The mount table: `MountTable` knows which file system covers which place; `vfs/path.rs` crosses by it.

use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::{FileKind, FileSystem, InodeRef, Location};

/// One mount.
pub struct Mount {
    pub id: u32,
    pub parent: u32,
    pub fs: Rc<dyn FileSystem>,
    /// The directory or file of `fs` that is seen at the mount point.
    pub root: InodeRef,
    /// Absolute path of the mount point, as /proc/mounts shows it.
    pub target: Vec<u8>,
    /// First word of its /proc/mounts line.
    pub source: Vec<u8>,
    pub read_only: bool,
    /// What is covered: parent mount, then (dev, ino) and name of the mount point.
    point: Option<(u32, u64, u64, Rc<[u8]>)>,
}

/// All mounts of the sandbox, in the order they were made.
#[derive(Default)]
pub struct MountTable {
    mounts: Vec<Mount>,
}

impl MountTable {
    /// A table whose root is `fs`.
    pub fn new(fs: Rc<dyn FileSystem>) -> MountTable {
        let root = Mount {
            id: 1,
            parent: 0,
            root: fs.root(),
            source: fs.name().as_bytes().to_vec(),
            read_only: fs.read_only(),
            fs,
            target: b"/".to_vec(),
            point: None,
        };
        MountTable { mounts: vec![root] }
    }

    /// The root of the namespace.
    ///
    /// # Panics
    /// When nothing was mounted: a kernel is built with its root.
    pub fn root(&self) -> Location {
        let mount = self.mounts.first().expect("the kernel mounts a root before anything else");
        Location { inode: mount.root.clone(), name: Rc::from(&b""[..]), parent: None, mount: mount.id }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.mounts.iter()
    }

    pub fn get(&self, id: u32) -> Option<&Mount> {
        self.mounts.iter().find(|m| m.id == id)
    }

    /// Covers `at` with `root` of `fs`. ENOTDIR when only one of the two is a directory.
    pub fn mount(
        &mut self,
        at: &Location,
        fs: Rc<dyn FileSystem>,
        root: InodeRef,
        source: &[u8],
        read_only: bool,
    ) -> Result<(), Errno> {
        if (at.inode.kind() == FileKind::Directory) != (root.kind() == FileKind::Directory) {
            return Err(Errno::ENOTDIR);
        }
        let stat = at.inode.stat()?;
        let id = self.mounts.last().map_or(1, |m| m.id + 1);
        self.mounts.push(Mount {
            id,
            parent: at.mount,
            fs,
            root,
            target: at.path(),
            source: source.to_vec(),
            read_only,
            point: Some((at.mount, stat.dev, stat.ino, at.name.clone())),
        });
        Ok(())
    }

    /// Where a lookup that found `at` really leads: the root of what is mounted there, if anything is.
    pub fn enter(&self, mut at: Location) -> Location {
        while let Some(mount) = self.covering(&at) {
            at.inode = mount.root.clone();
            at.mount = mount.id;
        }
        at
    }

    /// The mount whose mount point is exactly `at`.
    fn covering(&self, at: &Location) -> Option<&Mount> {
        let candidate = |m: &&Mount| m.point.as_ref().is_some_and(|p| p.0 == at.mount && p.3 == at.name);
        if !self.mounts.iter().any(|m| candidate(&m)) {
            return None;
        }
        let stat = at.inode.stat().ok()?;
        let same = |m: &&Mount| m.point.as_ref().is_some_and(|p| (p.1, p.2) == (stat.dev, stat.ino));
        self.mounts.iter().rev().filter(candidate).find(same)
    }

    /// Whether `at` is the root of a mount (it cannot be removed or renamed).
    pub fn is_mount_root(&self, at: &Location) -> bool {
        at.parent.as_ref().is_none_or(|parent| parent.mount != at.mount)
    }

    /// Whether writes to `at` give EROFS.
    pub fn read_only(&self, at: &Location) -> bool {
        self.get(at.mount).is_none_or(|m| m.read_only || m.fs.read_only())
    }
}
