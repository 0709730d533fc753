//! [`Upper`]: the writable layer, in memory with a journal file and a data file behind it.
//!
//! Directories, attributes and where file contents are: tables here, each change an [`Op`] in the journal. Contents
//! are in the data file, in page-aligned runs. An inode of a lower layer that is changed is taken over under its
//! number, so whoever finds it below looks here first.
//!
//! `journal` has the bytes, `extents` the pages, `content` reads and writes, `tree` is the view over the lower layers,
//! `write_layer` makes the layer's tar.

mod compact;
mod content;
mod extents;
mod journal;
mod tree;
mod write_layer;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use compact::Compaction;
pub use extents::{Allocator, Extents, Run};
pub use journal::{NewBody, Op};
pub use tree::{File, Tree};
pub use write_layer::write_layer;

use crate::ReadAt;
use crate::error::LayerError;
use crate::merge::{self, Place};
use crate::tar::Time;

/// Inode numbers of the upper layer's own files: from here, below those of lower layers ([`Place::ino`]).
const FIRST_INO: u64 = 2;
const INO_END: u64 = 1 << 32;

/// An inode's metadata.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attr {
    /// Type (S_IFMT) and permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Names; 0 for a file that is only open. 1 for directories.
    pub nlink: u32,
    /// Major and minor of a device.
    pub rdev: (u32, u32),
    /// Bytes.
    pub size: u64,
    pub atime: Time,
    pub mtime: Time,
    pub ctime: Time,
    pub btime: Time,
}

/// A file of the upper layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    pub attr: Attr,
    pub body: Body,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What an inode holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    Regular(Content),
    Directory(Directory),
    Symlink(Vec<u8>),
    /// A fifo, device or socket.
    Special,
}

/// Where a regular file's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// In a lower layer, unchanged; all of it.
    Lower(Place),
    /// In the data file.
    Own(Extents),
}

/// A directory: what is in `names`, and below it what `lower` has under other names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    pub lower: Option<merge::Node>,
    pub names: BTreeMap<Vec<u8>, Name>,
}

/// What a directory's own table says of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    Ino(u64),
    Whiteout,
}

/// The upper layer's tables and what of their changes is not in the journal file yet.
#[derive(Debug, Default)]
pub struct Upper {
    inodes: HashMap<u64, Inode>,
    next_ino: u64,
    allocator: Allocator,
    /// Runs freed since the last flush; reusable once the journal says so and they were punched.
    freed: Vec<Run>,
    /// Inodes whose attributes changed since the last flush.
    dirty: BTreeSet<u64>,
    /// Records not in the file yet.
    pending: Vec<u8>,
    /// Where the next record goes in the journal file.
    journal_end: u64,
    /// Where the first record is.
    journal_start: u64,
    /// Length of the journal when it was last compacted.
    snapshot_bytes: u64,
    clean: bool,
}

/// The bytes of a new journal.
pub fn empty_journal() -> Vec<u8> {
    let mut out = journal::MAGIC.to_vec();
    out.extend_from_slice(&journal::VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend(journal::start_field(journal::HEADER_BYTES));
    out
}

impl Upper {
    /// Reads a journal and applies it. A torn tail is ignored; a file that is empty or has a torn header is a new one
    /// and [`Upper::take_journal`] will write the header.
    ///
    /// # Errors
    /// [`LayerError::Corrupt`] where a complete record makes no sense, or another format or version.
    pub fn replay(journal: &dyn ReadAt) -> Result<Upper, LayerError> {
        let mut upper = Upper { next_ino: FIRST_INO, ..Upper::default() };
        let size = journal.size()?;
        if size < journal::HEADER_BYTES {
            upper.pending = empty_journal();
            upper.journal_start = journal::HEADER_BYTES;
            upper.clean = true;
            return Ok(upper);
        }
        upper.journal_start = check_header(journal)?;
        upper.journal_end = upper.journal_start;
        upper.clean = true;
        while let Some(payload) = next_record(journal, upper.journal_end, size)? {
            let at = upper.journal_end + 8;
            for op in journal::decode_payload(&payload, at)? {
                upper.apply(op).map_err(|what| LayerError::corrupt(format!("journal: {what}"), at))?;
            }
            upper.journal_end = at + payload.len() as u64;
        }
        upper.finish_replay()?;
        Ok(upper)
    }

    /// The inode, when the upper layer has it.
    pub fn inode(&self, ino: u64) -> Option<&Inode> {
        self.inodes.get(&ino)
    }

    /// All inodes, in no order.
    pub fn inodes(&self) -> impl Iterator<Item = (u64, &Inode)> + '_ {
        self.inodes.iter().map(|(ino, inode)| (*ino, inode))
    }

    /// The attributes, to be changed; they reach the journal with the next flush. Not for the type bits of the mode.
    pub fn attr_mut(&mut self, ino: u64) -> Option<&mut Attr> {
        let inode = self.inodes.get_mut(&ino)?;
        self.dirty.insert(ino);
        self.clean = false;
        Some(&mut inode.attr)
    }

    /// A number for a new inode.
    ///
    /// # Errors
    /// [`LayerError::Limit`] after four thousand million files.
    pub fn new_ino(&mut self) -> Result<u64, LayerError> {
        if self.next_ino >= INO_END {
            return Err(LayerError::limit("files made in the writable layer", INO_END));
        }
        self.next_ino += 1;
        Ok(self.next_ino - 1)
    }

    /// Does `ops` and puts them in the journal as one record: after a crash all of them are there, or none.
    ///
    /// # Errors
    /// One of them makes no sense; those before it are done.
    pub fn record(&mut self, ops: &[Op]) -> Result<(), LayerError> {
        for op in ops {
            self.apply(op.clone()).map_err(|what| LayerError::corrupt(format!("writable layer: {what}"), 0))?;
        }
        journal::encode_record(ops, &mut self.pending);
        Ok(())
    }

    /// Bytes that wait for [`Upper::take_journal`], roughly.
    pub fn pending_bytes(&self) -> usize {
        self.pending.len() + self.dirty.len() * 100
    }

    /// What is to be appended to the journal file now, and the offset it goes to. With `clean` it ends in a mark that
    /// nothing is missing. Afterwards punch and give back [`Upper::take_freed`].
    pub fn take_journal(&mut self, clean: bool) -> (u64, Vec<u8>) {
        let mut ops = Vec::new();
        for ino in std::mem::take(&mut self.dirty) {
            if let Some(inode) = self.inodes.get(&ino) {
                ops.push(Op::Attr { ino, attr: inode.attr });
            }
        }
        if clean && (!self.clean || !ops.is_empty()) {
            ops.push(Op::Clean);
        }
        for group in ops.chunks(4096) {
            journal::encode_record(group, &mut self.pending);
        }
        self.clean = clean;
        let bytes = std::mem::take(&mut self.pending);
        let at = self.journal_end;
        self.journal_end += bytes.len() as u64;
        (at, bytes)
    }

    /// Undoes [`Upper::take_journal`] after a failed write, so that the bytes are tried again.
    pub fn put_back_journal(&mut self, at: u64, mut bytes: Vec<u8>) {
        bytes.append(&mut self.pending);
        self.pending = bytes;
        self.journal_end = at;
        self.clean = false;
    }

    /// Runs of the data file that the journal now says are free: to be punched, then given to [`Upper::give_back`].
    /// They are in order and as long as can be: a punch costs the host the same whatever its length, at times a wait
    /// for the disk.
    pub fn take_freed(&mut self) -> Vec<Run> {
        extents::joined(std::mem::take(&mut self.freed))
    }

    /// Lets a punched run be reused.
    pub fn give_back(&mut self, run: Run) {
        self.allocator.give(run);
    }

    /// First page of the data file past everything in use.
    pub fn data_end(&self) -> u64 {
        self.allocator.end()
    }

    /// Whether the journal ended in the mark of an orderly end.
    pub fn clean(&self) -> bool {
        self.clean
    }

    /// Offset in the journal file after the last sound record; a torn tail begins there.
    pub fn journal_end(&self) -> u64 {
        self.journal_end
    }

    fn finish_replay(&mut self) -> Result<(), LayerError> {
        let orphans: Vec<u64> = self.inodes.iter().filter(|(_, i)| i.attr.nlink == 0).map(|(ino, _)| *ino).collect();
        let clean = self.clean;
        for ino in orphans {
            self.record(&[Op::Drop { ino }])?;
        }
        self.trim(clean)?;
        let mut used = Vec::new();
        for inode in self.inodes.values() {
            if let Body::Regular(Content::Own(extents)) = &inode.body {
                used.extend(extents.iter().map(|(_, run)| run));
            }
        }
        let allocator = Allocator::of_used(used);
        self.allocator = allocator.ok_or_else(|| LayerError::corrupt("journal: two files share a page", 0))?;
        // Free pages may hold old bytes: they are punched before they are used again.
        self.freed = self.allocator.free_runs().collect();
        self.allocator = Allocator::starting_at(self.allocator.end());
        Ok(())
    }

    /// After a crash, pages past a file's size may have been written: they go.
    fn trim(&mut self, clean: bool) -> Result<(), LayerError> {
        if clean {
            return Ok(());
        }
        let mut holes = Vec::new();
        for (ino, inode) in &self.inodes {
            let Body::Regular(Content::Own(extents)) = &inode.body else { continue };
            let pages = inode.attr.size.div_ceil(crate::PAGE);
            if extents.end() > pages {
                holes.push(Op::Hole { ino: *ino, at: pages, len: extents.end() - pages });
            }
        }
        holes.iter().try_for_each(|op| self.record(std::slice::from_ref(op)))
    }

    fn apply(&mut self, op: Op) -> Result<(), String> {
        self.clean = matches!(op, Op::Clean);
        match op {
            Op::Node { ino, attr, body } => self.apply_node(ino, attr, body)?,
            Op::Attr { ino, attr } => {
                let inode = self.get(ino)?;
                check_type(attr.mode, &inode.body)?;
                inode.attr = attr;
            }
            Op::Xattr { ino, name, value } => {
                let xattrs = &mut self.get(ino)?.xattrs;
                match value {
                    Some(value) => xattrs.insert(name, value),
                    None => xattrs.remove(&name),
                };
            }
            Op::Link { dir, name, ino } => {
                self.get(ino)?;
                self.directory(dir)?.names.insert(name, Name::Ino(ino));
            }
            Op::Unlink { dir, name, whiteout } => {
                let names = &mut self.directory(dir)?.names;
                match whiteout {
                    true => names.insert(name, Name::Whiteout),
                    false => names.remove(&name),
                };
            }
            Op::Opaque { dir } => {
                let directory = self.directory(dir)?;
                directory.lower = None;
                directory.names.retain(|_, name| *name != Name::Whiteout);
            }
            Op::Own { ino } => *self.content(ino)? = Content::Own(Extents::default()),
            Op::Adopt { ino, from } => self.apply_adopt(ino, from)?,
            Op::Extent { ino, at, start, len } => self.apply_extent(ino, at, start, len)?,
            Op::Hole { ino, at, len } => {
                let removed = self.extents(ino)?.remove(at, len);
                self.freed.extend(removed);
            }
            Op::Drop { ino } => self.apply_drop(ino)?,
            Op::Clean => {}
        }
        Ok(())
    }

    fn apply_node(&mut self, ino: u64, attr: Attr, body: NewBody) -> Result<(), String> {
        let body = match body {
            NewBody::Regular(Some(place)) => Body::Regular(Content::Lower(place)),
            NewBody::Regular(None) => Body::Regular(Content::Own(Extents::default())),
            NewBody::Directory(places) => {
                Body::Directory(Directory { lower: merge::Node::from_places(&places), names: BTreeMap::new() })
            }
            NewBody::Symlink(text) => Body::Symlink(text),
            NewBody::Special => Body::Special,
        };
        check_type(attr.mode, &body)?;
        if self.inodes.contains_key(&ino) {
            return Err(format!("inode {ino} exists already"));
        }
        if ino < INO_END {
            self.next_ino = self.next_ino.max(ino + 1);
        }
        self.inodes.insert(ino, Inode { attr, body, xattrs: BTreeMap::new() });
        Ok(())
    }

    fn apply_extent(&mut self, ino: u64, at: u64, start: u64, len: u64) -> Result<(), String> {
        let inside = |from: u64| from.checked_add(len).is_some_and(|end| end <= extents::PAGES_MAX);
        if len == 0 || !inside(at) || !inside(start) {
            return Err(format!("inode {ino} has an impossible extent"));
        }
        let extents = self.extents(ino)?;
        let removed = extents.remove(at, len);
        extents.insert(at, Run { start, len });
        self.freed.extend(removed);
        Ok(())
    }

    fn apply_adopt(&mut self, ino: u64, from: u64) -> Result<(), String> {
        if ino == from {
            return Err(format!("inode {ino} cannot adopt its own bytes"));
        }
        let extents = std::mem::take(self.extents(from)?);
        let old = std::mem::replace(self.content(ino)?, Content::Own(extents));
        if let Content::Own(old) = old {
            self.freed.extend(old.iter().map(|(_, run)| run));
        }
        self.apply_drop(from)
    }

    fn apply_drop(&mut self, ino: u64) -> Result<(), String> {
        let inode = self.inodes.remove(&ino).ok_or_else(|| format!("there is no inode {ino}"))?;
        self.dirty.remove(&ino);
        if let Body::Regular(Content::Own(extents)) = inode.body {
            self.freed.extend(extents.iter().map(|(_, run)| run));
        }
        Ok(())
    }

    fn get(&mut self, ino: u64) -> Result<&mut Inode, String> {
        self.inodes.get_mut(&ino).ok_or_else(|| format!("there is no inode {ino}"))
    }

    fn directory(&mut self, ino: u64) -> Result<&mut Directory, String> {
        match &mut self.get(ino)?.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(format!("inode {ino} is no directory")),
        }
    }

    fn content(&mut self, ino: u64) -> Result<&mut Content, String> {
        match &mut self.get(ino)?.body {
            Body::Regular(content) => Ok(content),
            _ => Err(format!("inode {ino} is no regular file")),
        }
    }

    fn extents(&mut self, ino: u64) -> Result<&mut Extents, String> {
        match self.content(ino)? {
            Content::Own(extents) => Ok(extents),
            Content::Lower(_) => Err(format!("the bytes of inode {ino} are in a lower layer")),
        }
    }
}

fn check_type(mode: u32, body: &Body) -> Result<(), String> {
    let sound = match mode & 0o170000 {
        0o100000 => matches!(body, Body::Regular(_)),
        0o040000 => matches!(body, Body::Directory(_)),
        0o120000 => matches!(body, Body::Symlink(_)),
        0o010000 | 0o020000 | 0o060000 | 0o140000 => matches!(body, Body::Special),
        _ => false,
    };
    if sound { Ok(()) } else { Err(format!("mode {mode:o} does not fit the kind of file")) }
}

/// Checks the header; where the first record is.
fn check_header(journal: &dyn ReadAt) -> Result<u64, LayerError> {
    let mut header = [0; journal::HEADER_BYTES as usize];
    journal.read_exact_at(0, &mut header)?;
    if header[..8] != journal::MAGIC {
        return Err(LayerError::corrupt("not a writable layer's journal", 0));
    }
    match crate::index::format::word(&header, 8) {
        journal::VERSION => {}
        other => {
            let what = format!("journal has version {other}, this program reads {}", journal::VERSION);
            return Err(LayerError::corrupt(what, 8));
        }
    }
    let start = crate::index::format::long(&header, 16);
    if header[16..] != journal::start_field(start)[..] || start < journal::HEADER_BYTES || start > journal.size()? {
        return Err(LayerError::corrupt("journal's header points nowhere", journal::START_AT));
    }
    Ok(start)
}

/// The payload of the record at `at`; `None` at the end or where a torn tail begins.
fn next_record(journal: &dyn ReadAt, at: u64, size: u64) -> Result<Option<Vec<u8>>, LayerError> {
    if size - at < 8 {
        return Ok(None);
    }
    let mut head = [0; 8];
    journal.read_exact_at(at, &mut head)?;
    let (length, crc) = (crate::index::format::word(&head, 0), crate::index::format::word(&head, 4));
    if length == 0 || length > journal::RECORD_MAX || u64::from(length) > size - at - 8 {
        return Ok(None);
    }
    let mut payload = vec![0; length as usize];
    journal.read_exact_at(at + 8, &mut payload)?;
    Ok((journal::crc32(&payload) == crc).then_some(payload))
}

#[cfg(test)]
mod tests;
