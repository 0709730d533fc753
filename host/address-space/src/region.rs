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
    /// Nothing: the addresses are taken, and stay without access whatever the rights say.
    Reserved,
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
            (Kind::Anon, Kind::Anon) | (Kind::Reserved, Kind::Reserved) => true,
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

    /// Whether it shows a file or a memory object.
    pub fn is_file(&self) -> bool {
        matches!(self, Kind::File { .. })
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

    /// The rights the host mapping has: none where nothing lies behind.
    pub fn host_prot(&self) -> Protection {
        if matches!(self.kind, Kind::Reserved) { Protection::NONE } else { self.prot }
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

/// All regions of a space, by address; neighbours that could be one region are one.
#[derive(Debug, Default)]
pub struct PageMap {
    regions: BTreeMap<u64, Region>,
    /// Pairs of regions without a gap between them.
    touching: usize,
}

impl PageMap {
    /// A map without regions.
    pub fn new() -> PageMap {
        PageMap::default()
    }

    /// The region that holds `addr`.
    pub fn find(&self, addr: u64) -> Option<&Region> {
        self.regions.range(..=addr).next_back().map(|(_, region)| region).filter(|region| addr < region.end())
    }

    /// All regions, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &Region> {
        self.regions.values()
    }

    /// The regions that overlap `range`, ascending, each clipped to it.
    pub fn clipped(&self, range: Range<u64>) -> impl Iterator<Item = Region> + '_ {
        let first = self.find(range.start).map_or(range.start, |region| region.start);
        self.regions
            .range(first..range.end.max(first))
            .map(|(_, region)| region)
            .filter({
                let range = range.clone();
                move |region| region.end() > range.start && region.start < range.end
            })
            .map(move |region| region.clip(&range))
    }

    /// Whether every page of `range` is mapped.
    pub fn covers(&self, range: Range<u64>) -> bool {
        let mut at = range.start;
        for region in self.clipped(range.clone()) {
            if region.start != at {
                return false;
            }
            at = region.end();
        }
        at >= range.end
    }

    /// Runs of pages with different backing or rights, gaps and the ends of the space included: an upper bound of
    /// what the host needs for them, as long as it merges what can be merged.
    pub fn runs(&self) -> usize {
        1 + 2 * self.regions.len() - self.touching
    }

    /// How many more runs there may be after the pages of `range` changed to one state: its ends that now lie inside
    /// of a run.
    pub fn new_boundaries(&self, range: &Range<u64>) -> usize {
        [range.start, range.end].into_iter().filter(|at| !self.is_boundary(*at)).count()
    }

    fn is_boundary(&self, at: u64) -> bool {
        let starts = self.regions.contains_key(&at);
        starts || self.regions.range(..at).next_back().is_some_and(|(_, region)| region.end() == at)
    }

    /// Takes all pages of `range` out of the map.
    pub fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        self.split(range.start);
        self.split(range.end);
        let keys: Vec<u64> = self.regions.range(range).map(|(key, _)| *key).collect();
        for key in keys {
            self.take(key);
        }
    }

    /// Puts `region` in the place of whatever was there.
    pub fn insert(&mut self, mut region: Region) {
        self.remove(region.start..region.end());
        if let Some(before) = self.regions.range(..region.start).next_back().map(|(_, region)| region)
            && before.continues(&region)
        {
            let key = before.start;
            if let Some(mut before) = self.take(key) {
                before.len += region.len;
                region = before;
            }
        }
        if let Some(after) = self.regions.get(&region.end())
            && region.continues(after)
        {
            let key = after.start;
            region.len += after.len;
            self.take(key);
        }
        self.put(region);
    }

    /// Makes sure that no region crosses `at`.
    fn split(&mut self, at: u64) {
        let Some(region) = self.find(at).filter(|region| region.start < at) else { return };
        let (low, high) = (region.clip(&(region.start..at)), region.clip(&(at..region.end())));
        self.take(low.start);
        self.put(low);
        self.put(high);
    }

    fn put(&mut self, region: Region) {
        self.touching += self.neighbours(&region);
        self.regions.insert(region.start, region);
    }

    fn take(&mut self, start: u64) -> Option<Region> {
        let region = self.regions.remove(&start)?;
        self.touching -= self.neighbours(&region);
        Some(region)
    }

    /// How many sides of `region`, which is not in the map, touch another one.
    fn neighbours(&self, region: &Region) -> usize {
        let before = self.regions.range(..region.start).next_back().is_some_and(|(_, r)| r.end() == region.start);
        let after = self.regions.contains_key(&region.end());
        usize::from(before) + usize::from(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anon(start: u64, len: u64, prot: Protection) -> Region {
        Region { start, len, prot, kind: Kind::Anon }
    }

    fn spans(map: &PageMap) -> Vec<(u64, u64, u32)> {
        map.iter().map(|r| (r.start, r.end(), r.prot.bits())).collect()
    }

    #[test]
    fn equal_neighbours_become_one() {
        let mut map = PageMap::new();
        map.insert(anon(0x1000, 0x1000, Protection::READ));
        map.insert(anon(0x3000, 0x1000, Protection::READ));
        assert_eq!(map.runs(), 5);
        map.insert(anon(0x2000, 0x1000, Protection::READ));
        assert_eq!(spans(&map), [(0x1000, 0x4000, 1)]);
        assert_eq!(map.runs(), 3);
    }

    #[test]
    fn inserting_splits_what_was_there() {
        let mut map = PageMap::new();
        map.insert(anon(0x1000, 0x4000, Protection::READ));
        map.insert(anon(0x2000, 0x1000, Protection::WRITE));
        assert_eq!(spans(&map), [(0x1000, 0x2000, 1), (0x2000, 0x3000, 2), (0x3000, 0x5000, 1)]);
        assert_eq!(map.runs(), 5);
        map.remove(0x1800..0x2800);
        assert_eq!(spans(&map), [(0x1000, 0x1800, 1), (0x2800, 0x3000, 2), (0x3000, 0x5000, 1)]);
        assert!(map.covers(0x2800..0x5000));
        assert!(!map.covers(0x1000..0x3000) && !map.covers(0x4000..0x6000) && !map.covers(0x5000..0x6000));
    }

    #[test]
    fn file_pieces_keep_their_offsets() {
        let file = Arc::new(tempfile_like());
        let kind = |offset| Kind::File {
            file: file.clone(),
            offset,
            sharing: Sharing::Private,
            stability: Stability::Immutable,
        };
        let mut map = PageMap::new();
        map.insert(Region { start: 0x1000, len: 0x3000, prot: Protection::READ, kind: kind(0x5000) });
        map.remove(0x2000..0x3000);
        let offsets: Vec<u64> = map
            .iter()
            .map(|r| match r.kind {
                Kind::File { offset, .. } => offset,
                _ => 0,
            })
            .collect();
        assert_eq!(offsets, [0x5000, 0x7000]);
        map.insert(Region { start: 0x2000, len: 0x1000, prot: Protection::READ, kind: kind(0x9000) });
        assert_eq!(map.iter().count(), 3, "other offset: not one region");
        map.insert(Region { start: 0x2000, len: 0x1000, prot: Protection::READ, kind: kind(0x6000) });
        assert_eq!(map.iter().count(), 1);
    }

    #[test]
    fn clipped_looks_at_the_range_only() {
        let mut map = PageMap::new();
        map.insert(anon(0x1000, 0x4000, Protection::READ));
        map.insert(anon(0x8000, 0x1000, Protection::READ));
        let seen: Vec<_> = map.clipped(0x2000..0x8000).map(|r| (r.start, r.len)).collect();
        assert_eq!(seen, [(0x2000, 0x3000)]);
        assert_eq!(map.clipped(0x6000..0x7000).count(), 0);
        assert_eq!(map.clipped(0x5000..0x5000).count(), 0);
    }

    fn tempfile_like() -> File {
        File::open("/dev/null").expect("/dev/null opens")
    }
}
