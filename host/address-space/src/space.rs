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
        let mut space =
            AddressSpace { _registration: registration, repairer, host, map: PageMap::new(), counted: 0 };
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
            self.lose(old.start..old.end());
        } else if result.is_ok() {
            self.map.insert(new);
        }
        self.account();
        result
    }
}
