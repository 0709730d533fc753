//! One Linux process's memory: the operations that guest system calls come down to.

use crate::fault::{MAPPINGS, MAPPINGS_LIMIT, Registration, Repairer, offset_in};
use crate::region::{Kind, PageMap, Region};
use crate::reservation::{RESERVED, Reservation, check_range};
use crate::{Error, PAGE, Protection, Sharing, Stability};
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The memory of one process: 4 GiB of guest addresses as one host mapping, and what is mapped where.
///
/// The page map is the truth about what may be accessed; the host's mappings follow it, but for pages that a signal
/// handler changed (bus errors, repaired stores), which the space knows as well.
#[derive(Debug)]
pub struct AddressSpace {
    // Dropped in this order: out of the table of reservations first, then unmapped.
    _registration: Registration,
    pub(crate) repairer: Repairer,
    pub(crate) host: Reservation,
    pub(crate) map: PageMap,
    /// Host mappings counted for `map` in the process's total.
    counted: usize,
}

impl AddressSpace {
    /// An empty space.
    pub fn new() -> Result<AddressSpace, Error> {
        let host = Reservation::new()?;
        let repairer = Repairer::new(host.base())?;
        let registration = Registration::new(host.base(), &repairer)?;
        let mut space = AddressSpace { _registration: registration, repairer, host, map: PageMap::new(), counted: 0 };
        space.admit(space.own_mappings())?;
        space.account();
        Ok(space)
    }

    /// Host address of guest address 0.
    pub fn base(&self) -> *mut u8 {
        self.host.base()
    }

    /// Bytes from `base` on that belong to the space, its guard included.
    pub fn reserved(&self) -> usize {
        RESERVED
    }

    /// Private zero pages with rights `prot` in place of what was there.
    pub fn map_anon(&mut self, addr: u64, len: u64, prot: Protection) -> Result<(), Error> {
        let range = check_range(addr, len)?;
        self.admit(self.map.new_boundaries(&range))?;
        let result = self.host.anon(addr, len, prot);
        self.placed(Region { start: addr, len, prot, kind: Kind::Anon }, result)
    }

    /// Pages of `file` from `offset` on in place of what was there.
    ///
    /// EINVAL if the pages reach past the file's last page; EACCES for shared stores to an immutable file, or to one
    /// that is not open for writing.
    #[allow(clippy::too_many_arguments)]
    pub fn map_file(
        &mut self,
        addr: u64,
        len: u64,
        prot: Protection,
        file: &Arc<File>,
        offset: u64,
        sharing: Sharing,
        stability: Stability,
    ) -> Result<(), Error> {
        let range = check_range(addr, len)?;
        let end = offset.checked_add(len).ok_or(Error::EINVAL)?;
        let size = file.metadata()?.len();
        if !offset.is_multiple_of(PAGE) || end > size.checked_next_multiple_of(PAGE).ok_or(Error::EINVAL)? {
            return Err(Error::EINVAL);
        }
        let kind = Kind::File { file: file.clone(), offset, sharing, stability };
        allow(&kind, prot)?;
        self.admit(self.map.new_boundaries(&range))?;
        let result = self.host.file(addr, len, prot, file, offset, sharing);
        self.placed(Region { start: addr, len, prot, kind }, result)
    }

    /// Takes addresses without access and without anything behind them, in place of what was there.
    pub fn reserve(&mut self, addr: u64, len: u64) -> Result<(), Error> {
        let range = check_range(addr, len)?;
        self.admit(self.map.new_boundaries(&range))?;
        let result = self.host.anon(addr, len, Protection::NONE);
        self.placed(Region { start: addr, len, prot: Protection::NONE, kind: Kind::Reserved }, result)
    }

    /// Unmaps whatever is in the range.
    pub fn unmap(&mut self, addr: u64, len: u64) -> Result<(), Error> {
        let range = check_range(addr, len)?;
        self.admit(self.map.new_boundaries(&range))?;
        self.host.anon(addr, len, Protection::NONE)?;
        self.repairer.forget(range.clone());
        self.map.remove(range);
        self.account();
        Ok(())
    }

    /// Changes rights. ENOMEM if a page of the range is not mapped; then nothing changes. Reserved pages stay without
    /// access.
    pub fn protect(&mut self, addr: u64, len: u64, prot: Protection) -> Result<(), Error> {
        if len == 0 && addr.is_multiple_of(PAGE) {
            return Ok(());
        }
        let range = check_range(addr, len)?;
        if !self.map.covers(range.clone()) {
            return Err(Error::ENOMEM);
        }
        self.admit(self.map.new_boundaries(&range))?;
        let regions: Vec<Region> = self.map.clipped(range.clone()).collect();
        regions.iter().try_for_each(|region| allow(&region.kind, prot))?;
        self.settle(range)?;
        regions.into_iter().try_for_each(|region| self.protect_region(region, prot))
    }

    fn protect_region(&mut self, old: Region, prot: Protection) -> Result<(), Error> {
        let new = Region { prot, ..old.clone() };
        if new.host_prot() == old.host_prot() {
            self.map.insert(new);
            self.account();
            return Ok(());
        }
        let result = self.host.protect(new.start, new.len, new.host_prot());
        if result.is_err() && self.host.protect(old.start, old.len, old.host_prot()).is_err() {
            self.lose(old.start..old.end())?;
        } else if result.is_ok() {
            self.map.insert(new);
        }
        self.account();
        result
    }

    /// Private pages read as first mapped again: zeroes, or the file's content (`MADV_DONTNEED`). Shared pages keep
    /// theirs. ENOMEM if a page of the range is not mapped; then nothing changes.
    pub fn discard(&mut self, addr: u64, len: u64) -> Result<(), Error> {
        if len == 0 && addr.is_multiple_of(PAGE) {
            return Ok(());
        }
        let range = check_range(addr, len)?;
        if !self.map.covers(range.clone()) {
            return Err(Error::ENOMEM);
        }
        self.settle(range)?;
        self.host.discard(addr, len)
    }

    /// Moves mappings with their pages over whatever is at `to`; nothing is left mapped at `from`.
    ///
    /// EFAULT if a page of the source is not mapped, EINVAL if the ranges overlap. Another error may come after some
    /// of the regions in the range were moved; the page map tells which.
    pub fn move_pages(&mut self, from: u64, to: u64, len: u64) -> Result<(), Error> {
        let (source, target) = (check_range(from, len)?, check_range(to, len)?);
        if source.start < target.end && target.start < source.end {
            return Err(Error::EINVAL);
        }
        if !self.map.covers(source.clone()) {
            return Err(Error::EFAULT);
        }
        let regions: Vec<Region> = self.map.clipped(source.clone()).collect();
        let inner = 2 * (regions.len() - 1);
        self.admit(self.map.new_boundaries(&source) + self.map.new_boundaries(&target) + inner)?;
        self.settle(source)?;
        regions.into_iter().try_for_each(|region| {
            let to = to + (region.start - from);
            self.move_region(&region, to)
        })
    }

    /// Moves the pages of a region. It may consist of several host mappings (they don't merge once pages were
    /// touched): then its halves are moved, down to single pages.
    fn move_region(&mut self, region: &Region, to: u64) -> Result<(), Error> {
        let mut left = vec![(0, region.len)];
        while let Some((at, len)) = left.pop() {
            let (from, to) = (region.start + at, to + at);
            let result = match region.kind {
                Kind::Reserved => self.host.anon(to, len, Protection::NONE),
                _ => self.host.relocate(from, to, len),
            };
            if result == Err(Error::EFAULT) && len > PAGE {
                let half = (len / 2).next_multiple_of(PAGE);
                left.push((at + half, len - half));
                left.push((at, half));
                continue;
            }
            let piece = self.map.clipped(from..from + len).next().ok_or(Error::EFAULT)?;
            self.placed(Region { start: to, ..piece }, result)?;
            self.lose(from..from + len)?;
        }
        Ok(())
    }

    /// Whether any page of the range may be executed: translations of it are then to be dropped.
    pub fn executable_in(&self, addr: u64, len: u64) -> bool {
        let end = addr.saturating_add(len).min(crate::SPACE);
        self.map.clipped(addr.min(end)..end).any(|region| region.prot.contains(Protection::EXEC))
    }

    /// Host mappings that this space uses, at most, as long as the host merges equal neighbours. All spaces of the
    /// process together may use [`MAPPINGS_LIMIT`]; an operation that would go beyond is ENOMEM.
    pub fn mappings(&self) -> usize {
        self.own_mappings() + self.repairer.patches()
    }

    /// The regions, ascending.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.map.iter()
    }

    /// Makes the host's rights in `range` those of the page map again.
    pub(crate) fn settle(&mut self, range: Range<u64>) -> Result<(), Error> {
        if self.repairer.differs(range.clone()) {
            for region in self.map.clipped(range.clone()) {
                self.host.protect(region.start, region.len, region.host_prot())?;
            }
        }
        self.repairer.forget(range);
        Ok(())
    }

    /// Enters a region that the host has put in place.
    pub(crate) fn placed(&mut self, region: Region, result: Result<(), Error>) -> Result<(), Error> {
        // A failed system call has changed nothing: the reservation sees to it.
        result?;
        self.repairer.forget(region.start..region.end());
        self.map.insert(region);
        self.account();
        Ok(())
    }

    /// Takes pages out of the page map, then from the guest.
    fn lose(&mut self, range: Range<u64>) -> Result<(), Error> {
        self.repairer.forget(range.clone());
        self.map.remove(range.clone());
        self.account();
        self.host.anon(range.start, range.end - range.start, Protection::NONE)
    }

    fn own_mappings(&self) -> usize {
        // One for the table of page bits.
        self.map.runs() + 1
    }

    /// ENOMEM if the process has no room for `more` host mappings.
    pub(crate) fn admit(&self, more: usize) -> Result<(), Error> {
        let fits = more == 0 || MAPPINGS.load(Ordering::Relaxed).saturating_add(more) <= MAPPINGS_LIMIT;
        if fits { Ok(()) } else { Err(Error::ENOMEM) }
    }

    /// Tells the process's total what the page map needs now.
    pub(crate) fn account(&mut self) {
        let now = self.own_mappings();
        MAPPINGS.fetch_add(now, Ordering::Relaxed);
        MAPPINGS.fetch_sub(self.counted, Ordering::Relaxed);
        self.counted = now;
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        self.repairer.retire();
        MAPPINGS.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

/// The guest address of a host address inside the reservation; beyond [`SPACE`](crate::SPACE) it is in the guard.
pub fn classify(space: &AddressSpace, host_addr: usize) -> Option<u64> {
    offset_in(space.base().addr(), host_addr).map(|offset| offset as u64)
}

/// EACCES for shared stores to a file that never changes.
fn allow(kind: &Kind, prot: Protection) -> Result<(), Error> {
    match kind {
        Kind::File { sharing: Sharing::Shared, stability: Stability::Immutable, .. } if prot.writable() => {
            Err(Error::EACCES)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
