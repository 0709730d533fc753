//! Tar archives: [`Entry`], a strict [`Reader`] (ustar, GNU, PAX) and a canonical [`Writer`].
//!
//! Format: tar(5) of libarchive, POSIX.1-2017 pax, "Basic Tar Format" in the GNU tar manual.

mod pax;
mod read;
mod write;

pub use read::{Reader, Record};
pub use write::Writer;

/// Bytes of a header and the unit of padding.
pub(crate) const BLOCK: usize = 512;

/// Longest value of an extended attribute, as Linux has it (XATTR_SIZE_MAX).
pub const XATTR_MAX: usize = 65536;

/// Seconds and nanoseconds since the epoch; `nsec` < 1e9 also before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Time {
    pub sec: i64,
    pub nsec: u32,
}

impl Time {
    /// Whole seconds.
    pub fn seconds(sec: i64) -> Time {
        Time { sec, nsec: 0 }
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `size` bytes of data follow.
    File {
        size: u64,
    },
    Dir,
    /// The link's text.
    Symlink(Vec<u8>),
    /// Path, in the same archive, of the entry it is another name of.
    HardLink(Vec<u8>),
    Fifo,
    /// Major and minor number.
    Char(u32, u32),
    /// Major and minor number.
    Block(u32, u32),
}

/// One member of an archive. `mode` has the permission bits (07777) only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As it stands in the archive, without a directory's trailing `/`.
    pub path: Vec<u8>,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: Time,
    pub kind: Kind,
    /// Name (`user.x`) and value.
    pub xattrs: crate::Xattrs,
}

impl Entry {
    /// An entry of root's with the epoch as its time.
    pub fn new(path: impl Into<Vec<u8>>, mode: u32, kind: Kind) -> Entry {
        Entry { path: path.into(), mode, uid: 0, gid: 0, mtime: Time::default(), kind, xattrs: Vec::new() }
    }
}

/// Bytes of padding after `size` bytes of data.
pub(crate) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

#[cfg(test)]
mod tests;
