//! The index's bytes: header, node records, directory entries, strings. All numbers little-endian.
//!
//! ```text
//! header   64 bytes: magic[8] version:u32 nodes:u32 entries:u32 0:u32 strings:u64 tar_size:u64 aligned_size:u64
//!          checksum:u32 (of whoever stores it, see CHECKSUM) 0[12]
//! nodes    72 bytes each (see NodeRecord); node 0 is the root directory
//! entries  12 bytes each: name_at:u32 name_len:u32 node:u32; a directory's are contiguous, sorted by name as bytes
//! strings  names, link targets, xattr blocks ({name_len:u16 value_len:u32 name value}*)
//! ```

use crate::error::LayerError;

pub(crate) const MAGIC: [u8; 8] = *b"SHLPIDX\0";
pub(crate) const VERSION: u32 = 1;
pub(crate) const HEADER_BYTES: usize = 64;
pub(crate) const NODE_BYTES: usize = 72;
pub(crate) const ENTRY_BYTES: usize = 12;

/// `node` of an entry that says: this name of the layers below is gone.
pub(crate) const WHITEOUT: u32 = u32::MAX;
/// `aligned` of a file that has no aligned copy.
pub(crate) const NOWHERE: u64 = u64::MAX;

/// Bits of [`NodeRecord::flags`].
pub(crate) mod flag {
    /// A directory that hides the one below it.
    pub(crate) const OPAQUE: u32 = 1;
    /// A directory that the tar does not list; made because something is in it.
    pub(crate) const IMPLIED: u32 = 2;
    /// A hard link to a path (in `a`, `b`) that only a layer below has.
    pub(crate) const EXTERNAL: u32 = 4;
}

/// One file. `a` and `b`: of a directory, first entry and number of entries; of a symlink, its text's place and
/// length in the strings; of a device, major and minor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NodeRecord {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) nlink: u32,
    pub(crate) mtime_sec: i64,
    pub(crate) mtime_nsec: u32,
    pub(crate) flags: u32,
    pub(crate) size: u64,
    pub(crate) tar_offset: u64,
    pub(crate) aligned: u64,
    pub(crate) a: u32,
    pub(crate) b: u32,
    pub(crate) xattrs_at: u32,
    pub(crate) xattrs_len: u32,
}

impl NodeRecord {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for word in [self.mode, self.uid, self.gid, self.nlink] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.mtime_sec.to_le_bytes());
        out.extend_from_slice(&self.mtime_nsec.to_le_bytes());
        out.extend_from_slice(&self.flags.to_le_bytes());
        for long in [self.size, self.tar_offset, self.aligned] {
            out.extend_from_slice(&long.to_le_bytes());
        }
        for word in [self.a, self.b, self.xattrs_at, self.xattrs_len] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }

    pub(crate) fn decode(bytes: &[u8; NODE_BYTES]) -> NodeRecord {
        let word = |at| word(bytes, at);
        let long = |at| long(bytes, at);
        NodeRecord {
            mode: word(0),
            uid: word(4),
            gid: word(8),
            nlink: word(12),
            mtime_sec: long(16).cast_signed(),
            mtime_nsec: word(24),
            flags: word(28),
            size: long(32),
            tar_offset: long(40),
            aligned: long(48),
            a: word(56),
            b: word(60),
            xattrs_at: word(64),
            xattrs_len: word(68),
        }
    }
}

/// The four bytes at `at`, 0 past the end.
pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
}

/// The eight bytes at `at`, 0 past the end.
pub(crate) fn long(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b))
}

/// Appends `{name_len:u16 value_len:u32 name value}` for each attribute.
pub(crate) fn encode_xattrs(xattrs: &[(Vec<u8>, Vec<u8>)], out: &mut Vec<u8>) {
    for (name, value) in xattrs {
        out.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(name);
        out.extend_from_slice(value);
    }
}

/// Reads what [`encode_xattrs`] wrote.
pub(crate) fn decode_xattrs(mut block: &[u8]) -> Result<crate::Xattrs, LayerError> {
    let mut xattrs = Vec::new();
    while !block.is_empty() {
        let bad = || LayerError::corrupt("extended attributes of the index are cut off", 0);
        let (head, rest) = block.split_at_checked(6).ok_or_else(bad)?;
        let name_len = usize::from(u16::from_le_bytes([head[0], head[1]]));
        let value_len = word(head, 2) as usize;
        let (name, rest) = rest.split_at_checked(name_len).ok_or_else(bad)?;
        let (value, rest) = rest.split_at_checked(value_len).ok_or_else(bad)?;
        xattrs.push((name.to_vec(), value.to_vec()));
        block = rest;
    }
    Ok(xattrs)
}
