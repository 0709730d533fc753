//! The page map of an address space: which guest pages are mapped, to what, and with which rights.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::{BitOr, Range};
use std::sync::Arc;

/// Rights of guest pages, a set of `READ`, `WRITE` and `EXEC` (the bits of Linux' `PROT_*`).
///
/// The host never maps a page executable: guest code is data, and `EXEC` makes a page readable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Protection(u32);

impl Protection {
    /// No access.
    pub const NONE: Protection = Protection(0);
    /// Loads.
    pub const READ: Protection = Protection(1);
    /// Stores; implies loads, as on riscv64 Linux.
    pub const WRITE: Protection = Protection(2);
    /// Instruction fetches; implies loads.
    pub const EXEC: Protection = Protection(4);

    /// The set with the given bits, or `None` if others than the three are set.
    pub fn from_bits(bits: u32) -> Option<Protection> {
        (bits & !7 == 0).then_some(Protection(bits))
    }

    /// The bits of the set.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether all rights of `other` are in this set.
    pub fn contains(self, other: Protection) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the host may load from such a page.
    pub fn readable(self) -> bool {
        self.0 != 0
    }

    /// Whether the host may store to such a page.
    pub fn writable(self) -> bool {
        self.contains(Protection::WRITE)
    }
}

impl BitOr for Protection {
    type Output = Protection;

    fn bitor(self, other: Protection) -> Protection {
        Protection(self.0 | other.0)
    }
}

/// Whether stores reach the file and other mappings of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    /// Stores stay in this space (`MAP_PRIVATE`).
    Private,
    /// Stores reach the file (`MAP_SHARED`).
    Shared,
}

/// What is known about a mapped file's size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stability {
    /// A store file: its size never changes.
    Immutable,
    /// Upper data or a memory object: the sandbox may shrink it, after which an access may raise SIGBUS.
    Own,
}

/// What lies behind the pages of a region.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Private zero pages.
    Anon,
    /// Pages of a file.
    File {
        /// The file; the region keeps it open so that fork can map it again.
        file: Arc<File>,
        /// Offset in the file of the region's first byte, a multiple of the page size.
        offset: u64,
        /// Private or shared.
        sharing: Sharing,
        /// Whether an access may raise SIGBUS.
        stability: Stability,
    },
}

impl Kind {
    /// The same backing, `by` bytes further on.
    fn advanced(&self, by: u64) -> Kind {
        let mut kind = self.clone();
        if let Kind::File { offset, .. } = &mut kind {
            *offset += by;
        }
        kind
    }

    /// Whether a region of this kind and `len` bytes may be merged with one of kind `next` behind it.
    fn continues(&self, len: u64, next: &Kind) -> bool {
        match (self, next) {
            (Kind::Anon, Kind::Anon) => true,
            (
                Kind::File { file, offset, sharing, stability },
                Kind::File { file: file2, offset: offset2, sharing: sharing2, stability: stability2 },
            ) => {
                Arc::ptr_eq(file, file2)
                    && offset.checked_add(len) == Some(*offset2)
                    && sharing == sharing2
                    && stability == stability2
            }
            _ => false,
        }
    }

    /// Whether stores stay in this space.
    pub fn is_private(&self) -> bool {
        !matches!(self, Kind::File { sharing: Sharing::Shared, .. })
    }

    /// Whether an access may raise SIGBUS because the file was cut.
    pub fn may_bus(&self) -> bool {
        matches!(self, Kind::File { stability: Stability::Own, .. })
    }
}

/// A run of pages of one kind and with the same rights.
#[derive(Clone, Debug)]
pub struct Region {
    /// First guest address.
    pub start: u64,
    /// Length in bytes, never 0.
    pub len: u64,
    /// Rights.
    pub prot: Protection,
    /// What lies behind.
    pub kind: Kind,
}

impl Region {
    /// First guest address behind the region.
    pub fn end(&self) -> u64 {
        self.start + self.len
    }

    /// The part of the region inside `range`, which must overlap it.
    fn clip(&self, range: &Range<u64>) -> Region {
        let start = self.start.max(range.start);
        let end = self.end().min(range.end);
        Region { start, len: end - start, prot: self.prot, kind: self.kind.advanced(start - self.start) }
    }

    fn continues(&self, next: &Region) -> bool {
        self.end() == next.start && self.prot == next.prot && self.kind.continues(self.len, &next.kind)
    }
}
