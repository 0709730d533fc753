//! Watched pages: which of them were stored to, and bus errors that wait to be delivered.

use crate::fault::Repairer;
use crate::reservation::check_range;
use crate::{AddressSpace, Error, SPACE};

impl AddressSpace {
    /// Watches the writable private and shared pages of the range for stores: they become read-only on the host, and
    /// the first store to each is repaired and noted. Pages that are not writable or not mapped are left out.
    ///
    /// What was noted about them before is forgotten. Mapping, protecting, discarding or moving watched pages ends
    /// their watch and counts as a store.
    pub fn track_dirty(&mut self, addr: u64, len: u64) -> Result<(), Error> {
        let range = check_range(addr, len)?;
        self.admit(self.map.new_boundaries(&range))?;
        self.settle(range.clone())?;
        self.take_dirty(addr, len);
        let writable: Vec<_> = self.map.clipped(range).filter(|region| region.host_prot().writable()).collect();
        for region in writable {
            let result = self.host.protect(region.start, region.len, crate::Protection::READ);
            self.repairer.watch(region.start..region.end());
            if result.is_err() {
                // Some pages may be read-only and others not: all count as stored to.
                self.settle(region.start..region.end())?;
                return result;
            }
        }
        Ok(())
    }

    /// The pages of the range that were stored to since they were watched, as addresses, ascending; forgets them.
    /// They stay writable: watch them again to see more.
    pub fn take_dirty(&mut self, addr: u64, len: u64) -> Vec<u64> {
        let end = addr.saturating_add(len).min(SPACE);
        self.repairer.take_dirty(addr.min(end)..end)
    }

    /// Ends the watch of the range; its pages have the rights of the page map again, and none is dirty.
    pub fn untrack_dirty(&mut self, addr: u64, len: u64) -> Result<(), Error> {
        let range = check_range(addr, len)?;
        self.settle(range)?;
        self.take_dirty(addr, len);
        Ok(())
    }

    /// Repairs a fault that guest code must not see; see [`Repairer::repair`].
    pub fn repair(&self, addr: u64, write: bool) -> bool {
        self.repairer.repair(addr, write)
    }

    /// What repairs this space's faults, for signal handlers: it borrows nothing.
    pub fn repairer(&self) -> Repairer {
        self.repairer.clone()
    }

    /// Whether the fault at `addr` was a bus error. Then the page gets its rights back: the next access is a bus
    /// error again, or succeeds, should the file have grown.
    pub fn take_bus(&self, addr: u64) -> bool {
        self.repairer.is_bus(addr) && self.heal(addr)
    }
}
