//! Faults in spaces: bits per page that signal handlers may touch, SIGBUS, and faults that are repaired.
//!
//! Everything a handler calls here is async-signal-safe: atomics and mprotect(2) alone.

use crate::reservation::RESERVED;
use crate::{Error, PAGE, SPACE};
use rustix::mm::{self, MapFlags, MprotectFlags, ProtFlags};
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

mod bus;
mod table;

pub use bus::install_sigbus;
pub(crate) use table::Registration;

/// Host mappings that all spaces of this process may use together. Linux allows 65,530 by default
/// (`vm.max_map_count`); the rest is for the host's own heap, code and stacks.
pub const MAPPINGS_LIMIT: usize = 40_000;

/// Host mappings that all spaces of this process use.
pub(crate) static MAPPINGS: AtomicUsize = AtomicUsize::new(0);

const WORDS: usize = (SPACE / PAGE / 64) as usize;

/// One bit for each page of a space.
#[repr(transparent)]
struct Bits([AtomicU64; WORDS]);

impl Bits {
    fn has(&self, page: u64) -> bool {
        self.word(page).is_some_and(|(word, bit)| word.load(Ordering::Acquire) & bit != 0)
    }

    /// Sets the bit; true if it was clear.
    fn set(&self, page: u64) -> bool {
        self.word(page).is_some_and(|(word, bit)| word.fetch_or(bit, Ordering::AcqRel) & bit == 0)
    }

    /// Clears the bit; true if it was set.
    fn clear(&self, page: u64) -> bool {
        self.word(page).is_some_and(|(word, bit)| word.fetch_and(!bit, Ordering::AcqRel) & bit != 0)
    }

    fn word(&self, page: u64) -> Option<(&AtomicU64, u64)> {
        Some((self.0.get((page / 64) as usize)?, 1 << (page % 64)))
    }

    /// Pages of `range` whose bit is set, ascending. Reads a word for 64 pages.
    fn iter(&self, range: Range<u64>) -> impl Iterator<Item = u64> + '_ {
        let words = range.start / 64..range.end.div_ceil(64).min(WORDS as u64);
        words.flat_map(move |index| {
            let mut left = self.0[index as usize].load(Ordering::Acquire);
            let range = range.clone();
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(index * 64 + u64::from(bit))
            })
            .filter(move |page| range.contains(page))
        })
    }
}

/// What signal handlers know and learn about a space's pages. Lives in a mapping of its own, zero to begin with.
#[repr(C)]
struct Table {
    /// Host address of the space; 0 once it is gone.
    base: AtomicUsize,
    /// Pages with their bit in `bus` or `repaired`: each is a host mapping of its own.
    patched: AtomicUsize,
    /// Pages with their bit in `tracked`.
    watched: AtomicUsize,
    /// Made inaccessible after a SIGBUS.
    bus: Bits,
    /// Writable by the page map, read-only on the host until the first store.
    tracked: Bits,
    /// Stored to since they were tracked.
    dirty: Bits,
    /// Made writable again by a repair.
    repaired: Bits,
}

/// Owner of a table; signal handlers hold clones of it.
#[derive(Debug)]
struct TableMapping(NonNull<Table>);

// SAFETY: a table consists of atomics.
unsafe impl Send for TableMapping {}
// SAFETY: as above.
unsafe impl Sync for TableMapping {}

impl TableMapping {
    fn new() -> Result<TableMapping, Error> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the host's choice touches nothing that exists.
        let at = unsafe { mm::mmap_anonymous(std::ptr::null_mut(), size_of::<Table>(), prot, flags) }?;
        NonNull::new(at.cast()).map(TableMapping).ok_or(Error::ENOMEM)
    }

    fn get(&self) -> &Table {
        // SAFETY: the mapping is as large as a table, page aligned, zero (valid for atomics) and lives until drop.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for TableMapping {
    fn drop(&mut self) {
        // SAFETY: the last owner is gone.
        let _ = unsafe { mm::munmap(self.0.as_ptr().cast(), size_of::<Table>()) };
    }
}

/// Repairs faults of one space; safe to call from a signal handler on the thread that faulted.
///
/// A clone may outlive the space and then repairs nothing.
#[derive(Clone, Debug)]
pub struct Repairer(Arc<TableMapping>);

impl Repairer {
    /// A table for the space at host address `base`.
    pub(crate) fn new(base: *mut u8) -> Result<Repairer, Error> {
        let table = TableMapping::new()?;
        table.get().base.store(base.expose_provenance(), Ordering::Release);
        Ok(Repairer(Arc::new(table)))
    }

    fn table(&self) -> &Table {
        self.0.get()
    }

    /// Repairs the fault at guest address `addr`, if it is one that guest code must not see: the first store to a
    /// tracked page. True: run the instruction again. False: deliver the fault.
    pub fn repair(&self, addr: u64, write: bool) -> bool {
        write && addr < SPACE && self.table().repair(addr / PAGE)
    }

    /// Whether the page of `addr` is inaccessible because of a bus error.
    pub fn is_bus(&self, addr: u64) -> bool {
        self.table().bus.has(addr / PAGE)
    }

    /// The space is gone.
    pub(crate) fn retire(&self) {
        self.forget(0..SPACE);
        self.table().base.store(0, Ordering::Release);
    }

    /// Host mappings that single pages cost.
    pub(crate) fn patches(&self) -> usize {
        2 * self.table().patched.load(Ordering::Relaxed)
    }

    /// Whether the host's rights of every page are those of the page map.
    pub(crate) fn is_idle(&self) -> bool {
        let table = self.table();
        table.watched.load(Ordering::Acquire) == 0 && table.patched.load(Ordering::Acquire) == 0
    }

    /// The pages of `range` (bytes) follow the page map again: no bit is left but those of dirty pages. Pages that
    /// lose their watch count as dirty: nobody sees the next store.
    pub(crate) fn forget(&self, range: Range<u64>) {
        if self.is_idle() {
            return;
        }
        let table = self.table();
        let pages = pages(&range);
        for page in table.tracked.iter(pages.clone()) {
            table.tracked.clear(page);
            table.dirty.set(page);
            table.watched.fetch_sub(1, Ordering::AcqRel);
        }
        for page in table.bus.iter(pages.clone()) {
            table.bus.clear(page);
            table.unpatch();
        }
        for page in table.repaired.iter(pages) {
            table.repaired.clear(page);
            table.unpatch();
        }
    }

    /// Whether `range` (bytes) has pages whose host rights are not those of the page map.
    pub(crate) fn differs(&self, range: Range<u64>) -> bool {
        let table = self.table();
        !self.is_idle()
            && (table.bus.iter(pages(&range)).next().is_some() || table.tracked.iter(pages(&range)).next().is_some())
    }

    /// Bus error pages of `range` (bytes), as addresses.
    pub(crate) fn bus_pages(&self, range: Range<u64>) -> Vec<u64> {
        if self.is_idle() {
            return Vec::new();
        }
        self.table().bus.iter(pages(&range)).map(|page| page * PAGE).collect()
    }

    /// Prepares the pages of `range` (bytes) for a store by the host. False if one stays read-only.
    pub(crate) fn touch(&self, range: Range<u64>) -> bool {
        self.is_idle() || self.table().tracked.iter(pages(&range)).all(|page| self.table().repair(page))
    }

    /// Watches the pages of `range` (bytes), which are already read-only on the host.
    pub(crate) fn watch(&self, range: Range<u64>) {
        let table = self.table();
        for page in pages(&range) {
            if table.tracked.set(page) {
                table.watched.fetch_add(1, Ordering::AcqRel);
            }
            table.dirty.clear(page);
            if table.repaired.clear(page) {
                table.unpatch();
            }
        }
    }

    /// Takes the dirty pages of `range` (bytes) out of the table: their addresses, ascending.
    pub(crate) fn take_dirty(&self, range: Range<u64>) -> Vec<u64> {
        let table = self.table();
        table.dirty.iter(pages(&range)).filter(|page| table.dirty.clear(*page)).map(|page| page * PAGE).collect()
    }
}

impl Table {
    fn repair(&self, page: u64) -> bool {
        let base = self.base.load(Ordering::Acquire);
        if base == 0 || !self.tracked.has(page) || self.bus.has(page) {
            return false;
        }
        let run = self.repairable(page);
        let len = ((run.end - run.start) * PAGE) as usize;
        let at = std::ptr::with_exposed_provenance_mut(base + (run.start * PAGE) as usize);
        // SAFETY: the pages are in the space, which is alive, and the page map says that they are writable.
        if unsafe { mm::mprotect(at, len, MprotectFlags::READ | MprotectFlags::WRITE) }.is_err() {
            return false;
        }
        let alone = run.end - run.start == 1;
        for page in run {
            self.dirty.set(page);
            if self.tracked.clear(page) {
                self.watched.fetch_sub(1, Ordering::AcqRel);
            }
            if alone && self.repaired.set(page) {
                self.patch();
            } else if !alone && self.repaired.clear(page) {
                self.unpatch();
            }
        }
        true
    }

    /// The pages to make writable: the page alone, or, when host mappings are scarce, all watched ones around it,
    /// which makes mappings fewer instead of more.
    fn repairable(&self, page: u64) -> Range<u64> {
        let mut run = page..page + 1;
        if MAPPINGS.load(Ordering::Relaxed) + 2 <= MAPPINGS_LIMIT {
            return run;
        }
        while run.start > 0 && self.watchable(run.start - 1) {
            run.start -= 1;
        }
        while self.watchable(run.end) {
            run.end += 1;
        }
        run
    }

    /// Whether the page is watched, or was until it was stored to.
    fn watchable(&self, page: u64) -> bool {
        (self.tracked.has(page) || self.repaired.has(page)) && !self.bus.has(page)
    }

    /// A page was made a host mapping of its own.
    fn patch(&self) {
        self.patched.fetch_add(1, Ordering::AcqRel);
        MAPPINGS.fetch_add(2, Ordering::Relaxed);
    }

    /// A page is like its neighbours again.
    fn unpatch(&self) {
        self.patched.fetch_sub(1, Ordering::AcqRel);
        MAPPINGS.fetch_sub(2, Ordering::Relaxed);
    }

    /// Makes the page inaccessible after a bus error; the instruction then faults with SIGSEGV.
    fn poison(&self, page: u64) -> bool {
        let base = self.base.load(Ordering::Acquire);
        if base == 0 || page >= SPACE / PAGE {
            return false;
        }
        let at = std::ptr::with_exposed_provenance_mut(base + (page * PAGE) as usize);
        // SAFETY: the page is in the space, which is alive: the access that raised the signal was to it.
        if unsafe { mm::mprotect(at, PAGE as usize, MprotectFlags::empty()) }.is_err() {
            return false;
        }
        if self.bus.set(page) {
            self.patch();
        }
        true
    }
}

fn pages(range: &Range<u64>) -> Range<u64> {
    range.start / PAGE..range.end.div_ceil(PAGE)
}

/// Offset of a host address in the reservation at `base`.
pub(crate) fn offset_in(base: usize, host_addr: usize) -> Option<usize> {
    host_addr.checked_sub(base).filter(|offset| *offset < RESERVED)
}
