//! The host mapping behind a space: 4 GiB of addresses, a guard behind them, and the system calls that change them.
//!
//! No call here ever leaves a hole: an address of the reservation that the host could give to somebody else would be
//! open to guest code. Pages go from one state to another in one system call, and where the host may fail halfway, the
//! range is looked at and the process ends if it finds a hole.

use crate::{Error, PAGE, Protection, SPACE, Sharing};
use rustix::io::Errno;
use rustix::mm::{self, Advice, MapFlags, MprotectFlags, MremapFlags, MsyncFlags, ProtFlags};
use std::ffi::c_void;
use std::fs::File;
use std::ptr::NonNull;

/// Bytes of addresses behind the space: a 32-bit index plus a 32-bit static offset plus any access stays inside.
const GUARD: u64 = SPACE + (64 << 10);

/// Bytes of addresses of one reservation.
pub const RESERVED: usize = (SPACE + GUARD) as usize;

/// A reserved range of host addresses, inaccessible to begin with.
#[derive(Debug)]
pub struct Reservation {
    base: NonNull<u8>,
}

// SAFETY: a reservation is plain memory owned by this value; nothing about it belongs to a thread.
unsafe impl Send for Reservation {}
// SAFETY: the shared methods are system calls, which the host orders.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves the addresses; no memory is used.
    pub fn new() -> Result<Reservation, Error> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the host's choice touches nothing that exists.
        let base = unsafe { mm::mmap_anonymous(std::ptr::null_mut(), RESERVED, ProtFlags::empty(), flags) }?;
        NonNull::new(base.cast()).map(|base| Reservation { base }).ok_or(Error::ENOMEM)
    }

    /// Host address of guest address 0.
    pub fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Host address of `len` bytes at guest address `addr`; EINVAL if they are not all in the space.
    pub fn at(&self, addr: u64, len: u64) -> Result<*mut c_void, Error> {
        let end = addr.checked_add(len).ok_or(Error::EINVAL)?;
        if end > SPACE {
            return Err(Error::EINVAL);
        }
        // SAFETY: `addr` is below SPACE, so the result is inside the reservation.
        Ok(unsafe { self.base.as_ptr().add(addr as usize) }.cast())
    }

    /// Private zero pages in place of what was there; with no rights, the pages are as if never mapped.
    pub fn anon(&self, addr: u64, len: u64, prot: Protection) -> Result<(), Error> {
        let at = self.at(addr, len)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: the range is inside the reservation, whose content only guest code and this crate know.
        let result = unsafe { mm::mmap_anonymous(at, len as usize, host_prot(prot), flags) };
        self.placed(addr, len, result)
    }

    /// Pages of a file in place of what was there.
    pub fn file(
        &self,
        addr: u64,
        len: u64,
        prot: Protection,
        file: &File,
        offset: u64,
        sharing: Sharing,
    ) -> Result<(), Error> {
        let at = self.at(addr, len)?;
        let kind = if sharing == Sharing::Shared { MapFlags::SHARED } else { MapFlags::PRIVATE };
        let flags = kind | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: as in `anon`.
        let result = unsafe { mm::mmap(at, len as usize, host_prot(prot), flags, file, offset) };
        self.placed(addr, len, result)
    }

    /// Changes the rights of pages; on failure some of them may have changed.
    pub fn protect(&self, addr: u64, len: u64, prot: Protection) -> Result<(), Error> {
        let at = self.at(addr, len)?;
        // SAFETY: the range is inside the reservation; no Rust reference into it is alive.
        unsafe { mm::mprotect(at, len as usize, MprotectFlags::from_bits_retain(host_prot(prot).bits())) }?;
        Ok(())
    }

    /// Drops private copies: pages read as first mapped again.
    pub fn discard(&self, addr: u64, len: u64) -> Result<(), Error> {
        self.advise(addr, len, Advice::LinuxDontNeed)
    }

    /// madvise(2) on pages; only advice that changes no content but for `LinuxDontNeed`.
    pub fn advise(&self, addr: u64, len: u64, advice: Advice) -> Result<(), Error> {
        let at = self.at(addr, len)?;
        // SAFETY: the range is inside the reservation; no Rust reference into it is alive.
        unsafe { mm::madvise(at, len as usize, advice) }?;
        Ok(())
    }

    /// Moves pages of one host mapping over whatever is at `to`; the source stays mapped, without the pages.
    ///
    /// EFAULT if the source is more than one host mapping; nothing has changed then.
    pub fn relocate(&self, from: u64, to: u64, len: u64) -> Result<(), Error> {
        let (source, target) = (self.at(from, len)?, self.at(to, len)?);
        // Without DONTUNMAP the source would be a hole until it is mapped again.
        let flags = MremapFlags::MAYMOVE | MremapFlags::DONTUNMAP;
        // SAFETY: both ranges are inside the reservation and the caller checked that they don't overlap.
        let result = unsafe { mm::mremap_fixed(source, len as usize, len as usize, flags, target) };
        self.placed(to, len, result)
    }

    /// Judges the result of a system call that replaces pages.
    fn placed<T>(&self, addr: u64, len: u64, result: Result<T, Errno>) -> Result<(), Error> {
        match result {
            Ok(_) => Ok(()),
            Err(errno) => {
                self.check_no_hole(addr, len);
                Err(errno.into())
            }
        }
    }

    /// Ends the process if a page of the range is not mapped at all. Older kernels take away what is at a fixed
    /// address before they fail to put something else there.
    fn check_no_hole(&self, addr: u64, len: u64) {
        let Ok(at) = self.at(addr, len) else { return };
        // SAFETY: asynchronous msync changes nothing; it fails with ENOMEM if a page is not mapped.
        let seen = unsafe { mm::msync(at, len as usize, MsyncFlags::ASYNC) };
        if seen == Err(Errno::NOMEM) {
            eprintln!("shallop: the host left a hole in an address space; ending before guest code can use it");
            std::process::abort();
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: the range is this reservation's alone, and nobody can reach it any more.
        // An error (too many mappings) leaves addresses taken, which is harmless.
        let _ = unsafe { mm::munmap(self.base.as_ptr().cast(), RESERVED) };
    }
}

/// The host's rights for a page: never executable, and stores imply loads.
fn host_prot(prot: Protection) -> ProtFlags {
    if prot.writable() {
        ProtFlags::READ | ProtFlags::WRITE
    } else if prot.readable() {
        ProtFlags::READ
    } else {
        ProtFlags::empty()
    }
}

/// Guest range of whole pages that may be mapped: EINVAL if it is empty, not aligned, or reaches into an edge.
pub fn check_range(addr: u64, len: u64) -> Result<std::ops::Range<u64>, Error> {
    let end = addr.checked_add(len).ok_or(Error::EINVAL)?;
    let aligned = addr.is_multiple_of(PAGE) && len.is_multiple_of(PAGE);
    if !aligned || len == 0 || addr < crate::LOWEST || end > crate::HIGHEST {
        return Err(Error::EINVAL);
    }
    Ok(addr..end)
}
