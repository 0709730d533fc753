//! [`Index`]: where things are in one layer tar, so that it is read in place.
//!
//! [`build`] makes the index's bytes in one pass over the tar; [`Index::parse`] only checks a header and looks names
//! up in the bytes by binary search.

mod build;
pub(crate) mod format;

pub use build::build;

use crate::error::LayerError;
use crate::tar::Time;
use format::{ENTRY_BYTES, HEADER_BYTES, NODE_BYTES, NOWHERE, NodeRecord, WHITEOUT, flag, long, word};

/// Where the index's header has room for a checksum of the rest. 0 as [`build`] makes it; nothing here looks at it.
pub const CHECKSUM: std::ops::Range<usize> = 48..52;

/// Number of a file in its layer's index; 0 is the root directory.
pub type NodeId = u32;

/// Bytes at an index's start that say what it holds.
pub const HEADER: usize = HEADER_BYTES;

/// What an index's header says.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    nodes: u32,
    entries: u32,
    /// Length of the tar that is indexed, as far as it was read.
    pub tar_size: u64,
    /// Length of the file of aligned copies.
    pub aligned_size: u64,
}

impl Header {
    /// Reads the header at the start of `bytes`, of an index that has `len` bytes in all.
    ///
    /// # Errors
    /// [`LayerError::Corrupt`] for another format, version or length.
    pub fn parse(bytes: &[u8], len: u64) -> Result<Header, LayerError> {
        if bytes.len() < HEADER_BYTES || bytes[..8] != format::MAGIC {
            return Err(LayerError::corrupt("not a layer index", 0));
        }
        let version = word(bytes, 8);
        if version != format::VERSION {
            let what = format!("layer index has version {version}, this program reads {}", format::VERSION);
            return Err(LayerError::corrupt(what, 8));
        }
        let (nodes, entries) = (word(bytes, 12), word(bytes, 16));
        let tables =
            HEADER_BYTES as u64 + u64::from(nodes) * NODE_BYTES as u64 + u64::from(entries) * ENTRY_BYTES as u64;
        if nodes == 0 || tables.checked_add(long(bytes, 24)) != Some(len) {
            return Err(LayerError::corrupt("layer index has the wrong length", len));
        }
        Ok(Header { nodes, entries, tar_size: long(bytes, 32), aligned_size: long(bytes, 40) })
    }
}

/// The index of one layer.
#[derive(Debug, Clone)]
pub struct Index {
    bytes: Vec<u8>,
    header: Header,
}

/// What a name leads to in one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Node(NodeId),
    /// The layers below no longer have this name.
    Whiteout,
}

/// Metadata of a file in one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Type (S_IFMT) and permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Names of it in this layer; 1 for directories.
    pub nlink: u32,
    pub mtime: Time,
    /// Bytes of a file, of a symlink's text; 0 of others.
    pub size: u64,
    /// Major and minor of a device.
    pub rdev: (u32, u32),
    /// A directory that hides those below it.
    pub opaque: bool,
    /// A directory that the tar does not list.
    pub implied: bool,
    /// A hard link to a path that a layer below has; the link text is that path.
    pub external: bool,
}

/// Where a file's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data {
    /// Offset in the tar.
    pub tar_offset: u64,
    /// Page-aligned offset in the aligned file, zero-padded there to a whole page.
    pub aligned: Option<u64>,
    pub size: u64,
}

impl Index {
    /// Takes over an index's bytes. Cheap: checks the header, allocates nothing.
    ///
    /// # Errors
    /// As [`Header::parse`].
    pub fn parse(bytes: Vec<u8>) -> Result<Index, LayerError> {
        let header = Header::parse(&bytes, bytes.len() as u64)?;
        Ok(Index { bytes, header })
    }

    /// Reads an index file whole and parses it.
    ///
    /// # Errors
    /// As [`Index::parse`], or reading fails.
    pub fn read(file: &dyn crate::ReadAt) -> Result<Index, LayerError> {
        let size = file.size()?;
        let len = usize::try_from(size).map_err(|_| LayerError::limit("bytes of a layer index", usize::MAX as u64))?;
        let mut bytes = vec![0; len];
        file.read_exact_at(0, &mut bytes)?;
        Index::parse(bytes)
    }

    /// Number of files.
    pub fn nodes(&self) -> u32 {
        self.header.nodes
    }

    /// What its header says.
    pub fn header(&self) -> Header {
        self.header
    }

    /// Looks `name` up in directory `dir`.
    ///
    /// # Errors
    /// The index is damaged.
    pub fn lookup(&self, dir: NodeId, name: &[u8]) -> Result<Option<Found>, LayerError> {
        let (first, count) = self.range(dir)?;
        let (mut low, mut high) = (first, first + count);
        while low < high {
            let middle = low + (high - low) / 2;
            let (found, node) = self.entry(middle)?;
            match found.cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(Some(node)),
            }
        }
        Ok(None)
    }

    /// Names in directory `dir`, sorted as bytes, whiteouts included.
    ///
    /// # Errors
    /// The index is damaged.
    pub fn children(
        &self,
        dir: NodeId,
    ) -> Result<impl Iterator<Item = Result<(&[u8], Found), LayerError>>, LayerError> {
        let (first, count) = self.range(dir)?;
        Ok((first..first + count).map(|n| self.entry(n)))
    }

    /// # Errors
    /// The index is damaged.
    pub fn meta(&self, node: NodeId) -> Result<Meta, LayerError> {
        let r = self.record(node)?;
        let device = matches!(r.mode & 0o170000, 0o020000 | 0o060000);
        Ok(Meta {
            mode: r.mode,
            uid: r.uid,
            gid: r.gid,
            nlink: r.nlink,
            mtime: Time { sec: r.mtime_sec, nsec: r.mtime_nsec },
            size: if r.mode & 0o170000 == 0o120000 { u64::from(r.b) } else { r.size },
            rdev: if device { (r.a, r.b) } else { (0, 0) },
            opaque: r.flags & flag::OPAQUE != 0,
            implied: r.flags & flag::IMPLIED != 0,
            external: r.flags & flag::EXTERNAL != 0,
        })
    }

    /// A symlink's text; of an external hard link, the path it leads to; empty for others.
    ///
    /// # Errors
    /// The index is damaged.
    pub fn link(&self, node: NodeId) -> Result<&[u8], LayerError> {
        let r = self.record(node)?;
        match r.mode & 0o170000 == 0o120000 || r.flags & flag::EXTERNAL != 0 {
            true => self.string(r.a, r.b),
            false => Ok(&[]),
        }
    }

    /// # Errors
    /// The index is damaged.
    pub fn xattrs(&self, node: NodeId) -> Result<crate::Xattrs, LayerError> {
        let r = self.record(node)?;
        format::decode_xattrs(self.string(r.xattrs_at, r.xattrs_len)?)
    }

    /// Where the bytes of regular file `node` are.
    ///
    /// # Errors
    /// The index is damaged, or it is no regular file.
    pub fn data(&self, node: NodeId) -> Result<Data, LayerError> {
        let r = self.record(node)?;
        match r.mode & 0o170000 == 0o100000 {
            true => {
                Ok(Data { tar_offset: r.tar_offset, aligned: Some(r.aligned).filter(|a| *a != NOWHERE), size: r.size })
            }
            false => Err(LayerError::corrupt("not a regular file", u64::from(node))),
        }
    }

    fn record(&self, node: NodeId) -> Result<NodeRecord, LayerError> {
        let at = HEADER_BYTES + node as usize * NODE_BYTES;
        let bytes = (node < self.header.nodes).then(|| self.bytes.get(at..)).flatten().and_then(|b| b.first_chunk());
        bytes.map(NodeRecord::decode).ok_or_else(|| LayerError::corrupt("layer index: no such node", at as u64))
    }

    /// First entry and number of entries of a directory; none for others.
    fn range(&self, dir: NodeId) -> Result<(u32, u32), LayerError> {
        let r = self.record(dir)?;
        if r.mode & 0o170000 != 0o040000 {
            return Ok((0, 0));
        }
        match r.a.checked_add(r.b) {
            Some(end) if end <= self.header.entries => Ok((r.a, r.b)),
            _ => Err(LayerError::corrupt("layer index: directory leaves its table", u64::from(dir))),
        }
    }

    fn entry(&self, n: u32) -> Result<(&[u8], Found), LayerError> {
        let at = HEADER_BYTES + self.header.nodes as usize * NODE_BYTES + n as usize * ENTRY_BYTES;
        let name = self.string(word(&self.bytes, at), word(&self.bytes, at + 4))?;
        let found = match word(&self.bytes, at + 8) {
            WHITEOUT => Found::Whiteout,
            node => Found::Node(node),
        };
        Ok((name, found))
    }

    fn string(&self, at: u32, len: u32) -> Result<&[u8], LayerError> {
        let strings =
            HEADER_BYTES + self.header.nodes as usize * NODE_BYTES + self.header.entries as usize * ENTRY_BYTES;
        let from = strings + at as usize;
        let text = from.checked_add(len as usize).and_then(|end| self.bytes.get(from..end));
        text.ok_or_else(|| LayerError::corrupt("layer index: string leaves its table", from as u64))
    }
}

#[cfg(test)]
mod tests;
