//! [`build`]: from an untrusted tar to an index, in one pass.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use super::format::{self, NOWHERE, NodeRecord, WHITEOUT, flag};
use crate::PAGE;
use crate::error::LayerError;
use crate::tar::{Entry, Kind, Reader, Record, Time};

/// Most members of one layer.
const ENTRIES_MAX: usize = 4_000_000;
/// Longest path in bytes, longest component, most components (PATH_MAX, NAME_MAX).
const PATH_MAX: usize = 4096;
const NAME_MAX: usize = 255;
const DEPTH_MAX: usize = 512;
/// Files of at least this size get an aligned copy; smaller ones only when they are ELF.
const ALIGN_FROM: u64 = 65536;

const DIR_MODE: u32 = 0o040000;

/// A file while building. `record`'s `a` and `b` are set when written out, but for devices.
struct Node {
    record: NodeRecord,
    /// A symlink's text or an external hard link's path.
    link: Vec<u8>,
    xattrs: crate::Xattrs,
    /// Of a directory.
    children: BTreeMap<Vec<u8>, Child>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Child {
    Node(usize),
    Whiteout,
}

/// Indexes an uncompressed tar, read to its end. Copies of large files and of ELF files go to `aligned`, each from a
/// page boundary. Returns the index's bytes.
///
/// Members may come in any order; of two with one path the later wins. A hard link may lead to a path of a layer below.
///
/// # Errors
/// The tar is damaged, hostile, too large or of an unsupported kind; see [`LayerError`].
pub fn build(tar: &mut dyn Read, aligned: &mut dyn Write) -> Result<Vec<u8>, LayerError> {
    let mut reader = Reader::new(tar);
    let mut builder = Builder::new();
    let mut copier = Copier { out: aligned, offset: 0 };
    let mut count = 0;
    while let Some(record) = reader.next_record()? {
        count += 1;
        if count > ENTRIES_MAX {
            return Err(LayerError::limit("members of a layer", ENTRIES_MAX as u64));
        }
        let copy = match record.entry.kind {
            Kind::File { size } => copier.copy(&mut reader, size)?,
            _ => None,
        };
        builder.add(record, copy)?;
    }
    reader.drain()?;
    copier.out.flush()?;
    builder.link_later()?;
    builder.encode(reader.offset(), copier.offset)
}

/// Writes page-aligned copies.
struct Copier<'a> {
    out: &'a mut dyn Write,
    offset: u64,
}

impl Copier<'_> {
    /// Copies the member's data if it is worth it; where it went.
    fn copy(&mut self, reader: &mut Reader<'_>, size: u64) -> Result<Option<u64>, LayerError> {
        let mut buf = vec![0; usize::try_from(size.min(ALIGN_FROM)).unwrap_or(0)];
        let mut have = 0;
        while have < buf.len().min(4) {
            have += reader.read_data(&mut buf[have..])?;
        }
        if size < ALIGN_FROM && !buf[..have].starts_with(b"\x7fELF") {
            return Ok(None);
        }
        let start = self.offset;
        while have > 0 {
            self.out.write_all(&buf[..have])?;
            self.offset += have as u64;
            have = reader.read_data(&mut buf)?;
        }
        let pad = self.offset.next_multiple_of(PAGE) - self.offset;
        self.out.write_all(&[0; PAGE as usize][..usize::try_from(pad).unwrap_or(0)])?;
        self.offset += pad;
        Ok(Some(start))
    }
}

struct Builder {
    nodes: Vec<Node>,
    /// Hard links whose target had not been seen: directory, name, target, own metadata.
    later: Vec<(usize, Vec<u8>, Vec<u8>, Entry)>,
}

impl Builder {
    fn new() -> Builder {
        Builder { nodes: vec![implied_dir()], later: Vec::new() }
    }

    fn add(&mut self, record: Record, aligned: Option<u64>) -> Result<(), LayerError> {
        let path = record.entry.path.clone();
        let parts = components(&path)?;
        let Some((name, parents)) = parts.split_last() else {
            return self.set_root(record.entry);
        };
        let dir = self.make_parents(parents, &path)?;
        if let Some(hidden) = name.strip_prefix(b".wh.") {
            return self.whiteout(dir, hidden, &path);
        }
        match &record.entry.kind {
            Kind::HardLink(target) => {
                let target = components(target)?.join(&b'/');
                self.hard_link(dir, name, target, record.entry)
            }
            Kind::Symlink(target) if target.is_empty() || target.contains(&0) || target.len() >= PATH_MAX => {
                Err(LayerError::hostile(&path, "a symbolic link whose text is empty, too long or holds a NUL byte"))
            }
            _ => {
                self.put(dir, name.to_vec(), new_node(record, aligned));
                Ok(())
            }
        }
    }

    fn set_root(&mut self, entry: Entry) -> Result<(), LayerError> {
        if entry.kind != Kind::Dir {
            return Err(LayerError::hostile(&entry.path, "the layer's root is not a directory"));
        }
        let node = new_node(Record { entry, header_offset: 0, data_offset: 0 }, None);
        self.update_dir(0, node);
        Ok(())
    }

    /// The directory at `parents`, made where it is missing.
    fn make_parents(&mut self, parents: &[&[u8]], path: &[u8]) -> Result<usize, LayerError> {
        let mut dir = 0;
        for part in parents {
            if part.starts_with(b".wh.") {
                return Err(LayerError::hostile(path, "it is below a whiteout"));
            }
            dir = match self.nodes[dir].children.get(*part) {
                Some(Child::Node(n)) if self.nodes[*n].record.mode & 0o170000 == DIR_MODE => *n,
                Some(Child::Node(n)) if self.nodes[*n].record.mode & 0o170000 == 0o120000 => {
                    return Err(LayerError::hostile(path, "it is below a symbolic link of the same layer"));
                }
                Some(Child::Node(_)) => {
                    return Err(LayerError::hostile(path, "it is below something that is not a directory"));
                }
                _ => self.put(dir, part.to_vec(), implied_dir()),
            };
        }
        Ok(dir)
    }

    /// Enters a new file, which wins over an older one of that name; a directory keeps its children.
    fn put(&mut self, dir: usize, name: Vec<u8>, mut node: Node) -> usize {
        let is_dir = node.record.mode & 0o170000 == DIR_MODE;
        match self.nodes[dir].children.get(&name) {
            Some(Child::Node(old)) if is_dir && self.nodes[*old].record.mode & 0o170000 == DIR_MODE => {
                let old = *old;
                self.update_dir(old, node);
                return old;
            }
            // Removed and made again: what is below must not show through.
            Some(_) if is_dir => node.record.flags |= flag::OPAQUE,
            _ => {}
        }
        self.nodes.push(node);
        let number = self.nodes.len() - 1;
        self.nodes[dir].children.insert(name, Child::Node(number));
        number
    }

    fn update_dir(&mut self, number: usize, node: Node) {
        let old = &mut self.nodes[number];
        let opaque = old.record.flags & flag::OPAQUE;
        old.record = node.record;
        old.record.flags |= opaque;
        old.xattrs = node.xattrs;
    }

    fn whiteout(&mut self, dir: usize, hidden: &[u8], path: &[u8]) -> Result<(), LayerError> {
        if hidden == b".wh..opq" {
            self.nodes[dir].record.flags |= flag::OPAQUE;
            return Ok(());
        }
        // Bookkeeping of aufs (.wh..wh.plnk, .wh..wh.orph) means nothing here.
        if hidden.starts_with(b".wh.") {
            return Ok(());
        }
        if hidden.is_empty() || hidden == b"." || hidden == b".." {
            return Err(LayerError::hostile(path, "a whiteout of nothing"));
        }
        match self.nodes[dir].children.get(hidden) {
            Some(Child::Node(n)) => {
                let n = *n;
                self.nodes[n].record.flags |= flag::OPAQUE;
            }
            _ => {
                self.nodes[dir].children.insert(hidden.to_vec(), Child::Whiteout);
            }
        }
        Ok(())
    }

    fn hard_link(&mut self, dir: usize, name: &[u8], target: Vec<u8>, entry: Entry) -> Result<(), LayerError> {
        match self.find(&target) {
            Some(node) => self.link_to(dir, name, node, &entry),
            None => {
                self.nodes[dir].children.remove(name);
                self.later.push((dir, name.to_vec(), target, entry));
                Ok(())
            }
        }
    }

    fn link_to(&mut self, dir: usize, name: &[u8], node: usize, entry: &Entry) -> Result<(), LayerError> {
        if self.nodes[node].record.mode & 0o170000 == DIR_MODE {
            return Err(LayerError::hostile(&entry.path, "a hard link to a directory"));
        }
        self.nodes[dir].children.insert(name.to_vec(), Child::Node(node));
        Ok(())
    }

    fn find(&self, path: &[u8]) -> Option<usize> {
        path.split(|b| *b == b'/').filter(|p| !p.is_empty()).try_fold(0, |dir, part| {
            match self.nodes[dir].children.get(part) {
                Some(Child::Node(n)) => Some(*n),
                _ => None,
            }
        })
    }

    /// Hard links that came before their target, and those into layers below.
    fn link_later(&mut self) -> Result<(), LayerError> {
        for (dir, name, target, entry) in std::mem::take(&mut self.later) {
            // Something else may have taken the name since.
            if matches!(self.nodes[dir].children.get(&name), Some(Child::Node(_))) {
                continue;
            }
            if let Some(node) = self.find(&target) {
                self.link_to(dir, &name, node, &entry)?;
                continue;
            }
            if target.is_empty() {
                return Err(LayerError::hostile(&entry.path, "a hard link to the root"));
            }
            let kind = Kind::File { size: 0 };
            let record = Record { entry: Entry { kind, ..entry }, header_offset: 0, data_offset: 0 };
            let mut node = new_node(record, None);
            node.record.flags |= flag::EXTERNAL;
            node.link = target;
            self.put(dir, name, node);
        }
        Ok(())
    }

    /// Numbers the nodes breadth first and writes everything out.
    fn encode(mut self, tar_size: u64, aligned_size: u64) -> Result<Vec<u8>, LayerError> {
        let mut out = Tables::default();
        let mut numbers = vec![u32::MAX; self.nodes.len()];
        let mut order = vec![0usize];
        numbers[0] = 0;
        let mut at = 0;
        while let Some(&old) = order.get(at) {
            at += 1;
            let children = std::mem::take(&mut self.nodes[old].children);
            let first = out.entry_count();
            for (name, child) in &children {
                let node = match child {
                    Child::Whiteout => WHITEOUT,
                    Child::Node(n) => {
                        self.nodes[*n].record.nlink += 1;
                        if numbers[*n] == u32::MAX {
                            numbers[*n] = out.number(order.len())?;
                            order.push(*n);
                        }
                        numbers[*n]
                    }
                };
                out.entry(name, node)?;
            }
            if self.nodes[old].record.mode & 0o170000 == DIR_MODE {
                self.nodes[old].record.a = first;
                self.nodes[old].record.b = out.entry_count() - first;
            }
        }
        for old in order {
            out.node(&self.nodes[old])?;
        }
        Ok(out.finish(tar_size, aligned_size))
    }
}

/// The index's tables while they grow.
#[derive(Default)]
struct Tables {
    nodes: Vec<u8>,
    entries: Vec<u8>,
    strings: Vec<u8>,
}

impl Tables {
    fn number(&self, n: usize) -> Result<u32, LayerError> {
        u32::try_from(n).map_err(|_| LayerError::limit("bytes of names in a layer", u64::from(u32::MAX)))
    }

    fn entry_count(&self) -> u32 {
        u32::try_from(self.entries.len() / format::ENTRY_BYTES).unwrap_or(u32::MAX)
    }

    /// Place and length of `text` in the strings.
    fn string(&mut self, text: &[u8]) -> Result<(u32, u32), LayerError> {
        let at = self.number(self.strings.len())?;
        self.strings.extend_from_slice(text);
        Ok((at, self.number(text.len())?))
    }

    fn entry(&mut self, name: &[u8], node: u32) -> Result<(), LayerError> {
        let (at, len) = self.string(name)?;
        for word in [at, len, node] {
            self.entries.extend_from_slice(&word.to_le_bytes());
        }
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Result<(), LayerError> {
        let mut record = node.record;
        if !node.link.is_empty() {
            (record.a, record.b) = self.string(&node.link)?;
        }
        let mut block = Vec::new();
        format::encode_xattrs(&node.xattrs, &mut block);
        (record.xattrs_at, record.xattrs_len) = self.string(&block)?;
        record.nlink = record.nlink.max(1);
        record.encode(&mut self.nodes);
        Ok(())
    }

    fn finish(self, tar_size: u64, aligned_size: u64) -> Vec<u8> {
        let count = u32::try_from(self.nodes.len() / format::NODE_BYTES).unwrap_or(u32::MAX);
        let mut out =
            Vec::with_capacity(format::HEADER_BYTES + self.nodes.len() + self.entries.len() + self.strings.len());
        out.extend_from_slice(&format::MAGIC);
        for word in [format::VERSION, count, self.entry_count(), 0] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for long in [self.strings.len() as u64, tar_size, aligned_size] {
            out.extend_from_slice(&long.to_le_bytes());
        }
        out.resize(format::HEADER_BYTES, 0);
        out.extend_from_slice(&self.nodes);
        out.extend_from_slice(&self.entries);
        out.extend_from_slice(&self.strings);
        out
    }
}

/// The path's names, without `.`, empty ones and leading `/`.
fn components(path: &[u8]) -> Result<Vec<&[u8]>, LayerError> {
    if path.len() > PATH_MAX {
        return Err(LayerError::limit("bytes of a path", PATH_MAX as u64));
    }
    let parts: Vec<&[u8]> = path.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".").collect();
    if parts.len() > DEPTH_MAX {
        return Err(LayerError::limit("directories in a path", DEPTH_MAX as u64));
    }
    for part in &parts {
        if *part == b".." {
            return Err(LayerError::hostile(path, "it has a '..' in it"));
        }
        if part.contains(&0) {
            return Err(LayerError::hostile(path, "it has a NUL byte in it"));
        }
        if part.len() > NAME_MAX {
            return Err(LayerError::limit("bytes of a file name", NAME_MAX as u64));
        }
    }
    Ok(parts)
}

fn implied_dir() -> Node {
    let record = NodeRecord { mode: DIR_MODE | 0o755, flags: flag::IMPLIED, aligned: NOWHERE, ..NodeRecord::default() };
    Node { record, link: Vec::new(), xattrs: Vec::new(), children: BTreeMap::new() }
}

fn new_node(record: Record, aligned: Option<u64>) -> Node {
    let Record { entry, data_offset, .. } = record;
    let (kind, size, a, b, link) = match entry.kind {
        Kind::File { size } => (0o100000, size, 0, 0, Vec::new()),
        Kind::Dir => (DIR_MODE, 0, 0, 0, Vec::new()),
        Kind::Symlink(target) => (0o120000, 0, 0, 0, target),
        Kind::Fifo => (0o010000, 0, 0, 0, Vec::new()),
        Kind::Char(major, minor) => (0o020000, 0, major, minor, Vec::new()),
        Kind::Block(major, minor) => (0o060000, 0, major, minor, Vec::new()),
        Kind::HardLink(target) => (0o100000, 0, 0, 0, target),
    };
    let Time { sec, nsec } = entry.mtime;
    let record = NodeRecord {
        mode: kind | (entry.mode & 0o7777),
        uid: entry.uid,
        gid: entry.gid,
        nlink: 0,
        mtime_sec: sec,
        mtime_nsec: nsec,
        flags: 0,
        size,
        tar_offset: data_offset,
        aligned: aligned.unwrap_or(NOWHERE),
        a,
        b,
        xattrs_at: 0,
        xattrs_len: 0,
    };
    Node { record, link, xattrs: entry.xattrs, children: BTreeMap::new() }
}
