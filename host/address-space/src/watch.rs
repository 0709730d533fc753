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

#[cfg(test)]
mod tests {
    use crate::{AddressSpace, PAGE, Protection};

    const AT: u64 = 0x20_0000;

    fn watched() -> AddressSpace {
        let mut space = AddressSpace::new().expect("space");
        space.map_anon(AT, 8 * PAGE, Protection::WRITE).expect("map");
        space.protect(AT + 7 * PAGE, PAGE, Protection::READ).expect("protect");
        space.track_dirty(AT, 8 * PAGE).expect("track");
        space
    }

    #[test]
    fn the_first_store_to_a_watched_page_is_repaired_and_noted() {
        let mut space = watched();
        let before = space.mappings();
        assert!(!space.repair(AT, false), "loads need no repair");
        assert!(space.repair(AT + 2 * PAGE + 5, true));
        assert!(!space.repair(AT + 2 * PAGE, true), "the page is writable now");
        assert!(!space.repair(AT + 7 * PAGE, true), "the page was never writable");
        assert!(!space.repair(u64::MAX, true));
        assert_eq!(space.mappings(), before + 2);
        assert_eq!(space.take_dirty(AT, 8 * PAGE), [AT + 2 * PAGE]);
        assert!(space.take_dirty(AT, 8 * PAGE).is_empty());
        space.track_dirty(AT, 8 * PAGE).expect("again");
        assert_eq!(space.mappings(), before);
        assert!(space.repair(AT + 2 * PAGE, true));
    }

    #[test]
    fn host_writes_count_as_stores() {
        let mut space = watched();
        assert_eq!(space.write(AT + PAGE - 1, &[1, 2]), 2);
        assert_eq!(space.write(AT + 7 * PAGE, b"x"), 0);
        assert_eq!(space.take_dirty(0, u64::MAX), [AT, AT + PAGE]);
        assert_eq!(space.write(AT, b"more"), 4);
        assert!(space.take_dirty(0, u64::MAX).is_empty(), "not watched any more");
    }

    #[test]
    fn changed_mappings_end_the_watch_and_count_as_stores() {
        let mut space = watched();
        space.protect(AT, PAGE, Protection::READ).expect("protect");
        space.unmap(AT + PAGE, PAGE).expect("unmap");
        space.map_anon(AT + 2 * PAGE, PAGE, Protection::WRITE).expect("map");
        space.discard(AT + 3 * PAGE, PAGE).expect("discard");
        space.move_pages(AT + 4 * PAGE, AT + 64 * PAGE, PAGE).expect("move");
        assert_eq!(space.take_dirty(AT, 64 * PAGE), (0..5).map(|page| AT + page * PAGE).collect::<Vec<_>>());
        assert!(!space.repair(AT, true) && !space.repair(AT + 64 * PAGE, true));
        for page in [2, 3, 64, 5] {
            assert_eq!(space.write(AT + page * PAGE, b"x"), 1);
        }
        assert_eq!(space.take_dirty(AT, 64 * PAGE), [AT + 5 * PAGE]);
        space.untrack_dirty(AT, 8 * PAGE).expect("untrack");
        assert!(space.take_dirty(AT, 8 * PAGE).is_empty());
        assert!(!space.repair(AT + 6 * PAGE, true));
        assert_eq!(space.write(AT + 6 * PAGE, b"x"), 1);
    }

    #[test]
    fn a_repairer_outlives_its_space_and_does_nothing() {
        let space = watched();
        let repairer = space.repairer();
        assert!(repairer.repair(AT, true));
        drop(space);
        assert!(!repairer.repair(AT + PAGE, true));
    }
}
