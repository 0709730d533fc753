//! The process-wide table of reservations, in which a signal handler finds the space of a host address.

use super::{Repairer, Table, offset_in};
use crate::Error;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More reservations than 47 bits of addresses have room for.
const SLOTS: usize = 16_384;

/// A slot that somebody is filling or clearing.
const BUSY: usize = 1;

struct Slot {
    /// Host address of a reservation, 0 when free, [`BUSY`].
    base: AtomicUsize,
    /// Its table.
    table: AtomicUsize,
}

static TABLE: [Slot; SLOTS] = [const { Slot { base: AtomicUsize::new(0), table: AtomicUsize::new(0) } }; SLOTS];

/// Slots from here on were never used.
static USED: AtomicUsize = AtomicUsize::new(0);

/// A reservation's place in the table, given back on drop.
#[derive(Debug)]
pub(crate) struct Registration {
    slot: usize,
    /// Keeps the table that the slot points to.
    _table: Repairer,
}

impl Registration {
    /// Enters the reservation at `base`, whose page bits are `repairer`'s.
    pub(crate) fn new(base: *mut u8, repairer: &Repairer) -> Result<Registration, Error> {
        for (slot, entry) in TABLE.iter().enumerate() {
            if entry.base.compare_exchange(0, BUSY, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                continue;
            }
            let table: *const Table = repairer.table();
            entry.table.store(table.expose_provenance(), Ordering::Release);
            entry.base.store(base.addr(), Ordering::Release);
            USED.fetch_max(slot + 1, Ordering::AcqRel);
            return Ok(Registration { slot, _table: repairer.clone() });
        }
        Err(Error::ENOMEM)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(entry) = TABLE.get(self.slot) {
            entry.base.store(BUSY, Ordering::Release);
            entry.table.store(0, Ordering::Release);
            entry.base.store(0, Ordering::Release);
        }
    }
}

/// Table and offset of a host address inside a registered reservation. Async-signal-safe.
///
/// # Safety
/// The calling thread must be in the middle of an access to `host_addr`, so that the reservation, if there is one,
/// and its table stay alive.
pub(super) unsafe fn lookup(host_addr: usize) -> Option<(&'static Table, usize)> {
    let used = USED.load(Ordering::Acquire).min(SLOTS);
    for entry in TABLE.iter().take(used) {
        let base = entry.base.load(Ordering::Acquire);
        if base <= BUSY {
            continue;
        }
        if let Some(offset) = offset_in(base, host_addr) {
            let table = entry.table.load(Ordering::Acquire);
            let table: *const Table = std::ptr::with_exposed_provenance(table);
            // SAFETY: the slot of a live reservation points to its live table, or is 0 and so null.
            return unsafe { table.as_ref() }.map(|table| (table, offset));
        }
    }
    None
}
