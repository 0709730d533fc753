//! The container's root: an overlay of read-only layers, read in place, and one writable layer (`shallop_layer::upper`).
//!
//! A file of a lower layer that is changed is taken over under its inode number: its metadata at the first change, its
//! bytes at the first write. `node` is a file, `names` changes directories, `content` moves bytes, `file` is an open
//! regular file, `listing` the order of a directory's names, `disk` the two files of the writable layer.

mod content;
mod disk;
mod file;
mod listing;
mod names;
mod node;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use shallop_host_abi::LayerGrant;
use shallop_host_abi::spec::Handle;
use shallop_layer::index::Index;
use shallop_layer::merge::Merged;
use shallop_layer::tar::Time;
use shallop_layer::upper::{Compaction, File, Op, Tree, Upper};
use shallop_layer::{LayerError, PAGE, ReadAt, WriteAt};
use shallop_linux_abi::Errno;
use shallop_platform::{Clock, Platform};

use self::disk::HostFile;
use self::node::Node;
use crate::vfs::{FileSystem, InodeRef};

/// f_type of overlayfs (statfs(2)).
const MAGIC: u64 = 0x794c_7630;
/// The journal is written out when this much of it waits.
const PENDING_MAX: usize = 64 << 10;

/// A mounted overlay.
pub struct Overlay {
    platform: &'static dyn Platform,
    device: u64,
    layers: Vec<LayerGrant>,
    merged: Merged,
    upper: RefCell<Upper>,
    journal: HostFile,
    data: HostFile,
    /// What statfs says there is; the host keeps to it.
    total_pages: u64,
    /// Files that somebody holds, by inode number: two lookups of one file give one node.
    nodes: RefCell<HashMap<u64, Weak<Node>>>,
    root: RefCell<Option<Rc<Node>>>,
    /// Nameless inodes whose last holder went away while the tables were in use.
    orphans: RefCell<Vec<u64>>,
}

impl Overlay {
    /// Mounts `layers`, the lowest first, under the writable layer in `journal` and `data`, which have at most
    /// `disk_limit` bytes each.
    ///
    /// # Errors
    /// A sentence that says which layer is damaged or unreadable.
    pub fn mount(
        platform: &'static dyn Platform,
        layers: &[LayerGrant],
        journal: Handle,
        data: Handle,
        disk_limit: u64,
    ) -> Result<Rc<Overlay>, String> {
        let (journal, data) = (HostFile::new(platform, journal), HostFile::new(platform, data));
        let index = |(n, grant): (usize, &LayerGrant)| {
            Index::read(&HostFile::new(platform, grant.index)).map_err(|e| format!("layer {n}: {e}"))
        };
        let indexes = layers.iter().enumerate().map(index).collect::<Result<Vec<_>, _>>()?;
        let merged = Merged::new(indexes).map_err(|e| e.to_string())?;
        let upper = open_upper(&journal, &data).map_err(|e| format!("writable layer: {e}"))?;
        let overlay = Rc::new(Overlay {
            platform,
            device: super::anonymous_device(),
            layers: layers.to_vec(),
            merged,
            upper: RefCell::new(upper),
            journal,
            data,
            total_pages: disk_limit / PAGE,
            nodes: RefCell::default(),
            root: RefCell::default(),
            orphans: RefCell::default(),
        });
        let root = overlay.tree(|tree| tree.root());
        let root = overlay.node(root).map_err(|e| format!("root directory: {}", e.text()))?;
        *overlay.root.borrow_mut() = Some(root);
        Ok(overlay)
    }

    /// Reads the tree.
    fn tree<T>(&self, f: impl FnOnce(Tree<'_>) -> T) -> T {
        f(Tree::new(&self.merged, &self.upper.borrow()))
    }

    /// The one node of a file.
    fn node(self: &Rc<Self>, file: File) -> Result<Rc<Node>, Errno> {
        if let Some(node) = self.nodes.borrow().get(&file.ino).and_then(Weak::upgrade) {
            return Ok(node);
        }
        let mode = self.tree(|tree| tree.attr(&file)).map_err(|e| self.errno(&e))?.mode;
        let ino = file.ino;
        let node = Node::new(self, file, mode)?;
        self.nodes.borrow_mut().insert(ino, Rc::downgrade(&node));
        Ok(node)
    }

    /// Does `ops` as one record.
    fn record(&self, ops: &[Op]) -> Result<(), Errno> {
        let done = self.upper.borrow_mut().record(ops);
        done.map_err(|e| self.errno(&e))
    }

    /// What a guest is told of an error of the layers.
    fn errno(&self, error: &LayerError) -> Errno {
        match error {
            LayerError::Io(_) => self.data.take_error().or_else(|| self.journal.take_error()).unwrap_or(Errno::EIO),
            LayerError::Limit { .. } => Errno::EFBIG,
            _ => Errno::EIO,
        }
    }

    fn now(&self) -> Time {
        let now = self.platform.now(Clock::Realtime);
        let nsec = u32::try_from(now % 1_000_000_000).unwrap_or(0);
        Time { sec: i64::try_from(now / 1_000_000_000).unwrap_or(i64::MAX), nsec }
    }

    /// Called after every change: writes the journal out when enough waits. What fails waits on and is told at the
    /// next sync.
    fn changed(&self) {
        let waiting = self.upper.borrow().pending_bytes();
        if waiting > PENDING_MAX {
            let _ = self.flush(false);
        }
    }

    /// Before something is made: what waits for the journal must have found room there.
    fn check_room(&self) -> Result<(), Errno> {
        let waiting = self.upper.borrow().pending_bytes();
        if waiting > PENDING_MAX { self.flush(false) } else { Ok(()) }
    }

    /// Writes what waits to the journal file, then lets freed pages be reused.
    fn flush(&self, clean: bool) -> Result<(), Errno> {
        self.bury_orphans();
        let mut upper = self.upper.borrow_mut();
        let (at, bytes) = upper.take_journal(clean);
        if let Err(e) = self.journal.write_at(at, &bytes) {
            upper.put_back_journal(at, bytes);
            drop(upper);
            return Err(self.errno(&e));
        }
        for run in upper.take_freed() {
            if self.platform.file_punch(self.data.handle(), run.start * PAGE, run.len * PAGE).is_ok() {
                upper.give_back(run);
            }
        }
        if let Some(plan) = upper.compaction() {
            self.compact(&plan).map_err(|e| self.errno(&e))?;
            upper.compacted(&plan);
        }
        Ok(())
    }

    /// Writes the journal anew, then lets go of the old copy.
    fn compact(&self, plan: &Compaction) -> Result<(), LayerError> {
        self.journal.write_at(plan.at, &plan.bytes)?;
        self.journal.sync()?;
        self.journal.write_at(Compaction::HEADER_AT, &plan.header)?;
        // Space that is not given back is only space.
        let from = Compaction::GARBAGE_FROM;
        let _ = self.platform.file_punch(self.journal.handle(), from, plan.garbage_to - from);
        Ok(())
    }

    /// fsync(2): bytes first, then the journal that names them, both on stable storage.
    fn sync_all(&self) -> Result<(), Errno> {
        self.data.sync().map_err(|e| self.errno(&e))?;
        self.flush(false)?;
        self.journal.sync().map_err(|e| self.errno(&e))
    }

    /// A node is gone; if its inode has no name any more, so is that.
    fn released(&self, ino: u64) {
        if let Ok(mut nodes) = self.nodes.try_borrow_mut()
            && nodes.get(&ino).is_some_and(|node| node.strong_count() == 0)
        {
            nodes.remove(&ino);
        }
        match self.upper.try_borrow_mut() {
            Ok(mut upper) => bury(&mut upper, ino),
            Err(_) => self.orphans.borrow_mut().push(ino),
        }
    }

    fn bury_orphans(&self) {
        let orphans = std::mem::take(&mut *self.orphans.borrow_mut());
        for ino in orphans {
            let held = self.nodes.borrow().get(&ino).is_some_and(|node| node.strong_count() > 0);
            if !held {
                bury(&mut self.upper.borrow_mut(), ino);
            }
        }
    }
}

/// Drops an inode without names. That it exists is checked, so it cannot fail.
fn bury(upper: &mut Upper, ino: u64) {
    if upper.inode(ino).is_some_and(|inode| inode.attr.nlink == 0) {
        let _ = upper.record(&[Op::Drop { ino }]);
    }
}

/// Replays the journal and cuts off its torn tail.
fn open_upper(journal: &HostFile, data: &HostFile) -> Result<Upper, LayerError> {
    let upper = Upper::replay(journal)?;
    if journal.size()? > upper.journal_end() {
        journal.resize(upper.journal_end())?;
    }
    // Bytes past everything in use are of writes that the journal never heard of.
    let end = upper.data_end() * PAGE;
    if data.size()? > end {
        data.resize(end)?;
    }
    Ok(upper)
}

impl FileSystem for Overlay {
    fn name(&self) -> &'static str {
        "overlay"
    }

    fn dev(&self) -> u64 {
        self.device
    }

    /// # Panics
    /// Never: the root is set when mounting.
    fn root(&self) -> InodeRef {
        let root = self.root.borrow().clone();
        root.expect("a mounted overlay has its root")
    }

    fn statfs(&self) -> (u64, u64, u64, u64, u64, u64) {
        let upper = self.upper.borrow();
        let free = self.total_pages.saturating_sub(upper.data_end());
        let inodes = 1 << 26;
        (MAGIC, PAGE, self.total_pages, free, inodes, inodes - (self.nodes.borrow().len() as u64).min(inodes))
    }

    /// Everything is in the host's files afterwards, as an orderly end leaves them. What must survive a power failure
    /// is synced file by file.
    fn sync(&self) -> Result<(), Errno> {
        self.flush(true)
    }
}
