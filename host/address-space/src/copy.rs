//! Copies between host memory and a space: as far as the pages allow, never with a fault.

use crate::region::Region;
use crate::{AddressSpace, Error, PAGE, SPACE};
use std::ffi::c_void;

/// Pages that one system call copies.
const BATCH: usize = 64;

impl AddressSpace {
    /// Copies from guest address `addr` on; the number of bytes before the first page that cannot be read.
    pub fn read(&self, addr: u64, buf: &mut [u8]) -> usize {
        self.pieces(
            addr,
            buf.len(),
            |region| region.host_prot().readable(),
            |at, done, len| {
                let target = buf.get_mut(done..done + len).map_or(std::ptr::null_mut(), <[u8]>::as_mut_ptr);
                self.transfer(Direction::Out, at, target, len)
            },
        )
    }

    /// Copies to guest address `addr`; the number of bytes before the first page that cannot be written.
    pub fn write(&mut self, addr: u64, bytes: &[u8]) -> usize {
        self.pieces(
            addr,
            bytes.len(),
            |region| region.host_prot().writable(),
            |at, done, len| {
                if !self.repairer.touch(at..at + len as u64) {
                    return 0;
                }
                let source = bytes.get(done..done + len).map_or(std::ptr::null(), <[u8]>::as_ptr);
                self.transfer(Direction::In, at, source.cast_mut(), len)
            },
        )
    }

    /// Calls `copy` (address, bytes done, length) for each piece of `addr..addr + len` that lies in one region that
    /// `allowed` admits, until one comes back short. The bytes copied.
    fn pieces(
        &self,
        addr: u64,
        len: usize,
        allowed: impl Fn(&Region) -> bool,
        mut copy: impl FnMut(u64, usize, usize) -> usize,
    ) -> usize {
        let mut done = 0;
        while done < len {
            let Some(at) = addr.checked_add(done as u64).filter(|at| *at < SPACE) else { break };
            let Some(region) = self.map.find(at).filter(|region| allowed(region)) else { break };
            let piece = (len - done).min((region.end() - at) as usize);
            let copied = copy(at, done, piece).min(piece);
            done += copied;
            if copied < piece {
                break;
            }
        }
        done
    }

    /// Copies `len` bytes, which lie in one region with the rights for it; the bytes copied.
    fn transfer(&self, direction: Direction, addr: u64, other: *mut u8, len: usize) -> usize {
        let cut = self.map.find(addr).is_none_or(|region| region.kind.may_bus());
        let mut len = len;
        for page in self.repairer.bus_pages(addr..addr + len as u64) {
            if !cut {
                // A page of an immutable file that the host failed to read.
                len = len.min(page.saturating_sub(addr) as usize);
                break;
            }
            // Perhaps the file has grown since.
            self.heal(page);
        }
        let Ok(guest) = self.host.at(addr, len as u64) else { return 0 };
        if other.is_null() {
            return 0;
        }
        if cut {
            return copy_checked(direction, guest, other, len).unwrap_or(0);
        }
        let guest: *mut u8 = guest.cast();
        // SAFETY: `other` is `len` bytes of a slice outside the space. The page map says that the guest's bytes are
        // mapped with the rights needed, and that nothing can take them away.
        unsafe {
            match direction {
                Direction::Out => std::ptr::copy_nonoverlapping(guest, other, len),
                Direction::In => std::ptr::copy_nonoverlapping(other, guest, len),
            }
        }
        len
    }

    /// Gives the page of `addr` the rights that the page map says, after a bus error.
    pub(crate) fn heal(&self, addr: u64) -> bool {
        let page = addr - addr % PAGE;
        let Some(region) = self.map.find(page) else { return false };
        if self.host.protect(page, PAGE, region.host_prot()).is_err() {
            return false;
        }
        self.repairer.forget(page..page + PAGE);
        true
    }
}

/// Which way a copy goes, seen from the space.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the guest.
    Out,
    /// To the guest.
    In,
}

/// Copies by process_vm_readv(2) or process_vm_writev(2) on this very process: what would be a signal is a short
/// count. The bytes copied; an error if the process may not make these calls.
pub(crate) fn copy_checked(
    direction: Direction,
    guest: *mut c_void,
    other: *mut u8,
    len: usize,
) -> Result<usize, Error> {
    let mut done = 0;
    while done < len {
        let (pages, piece) = batch(guest.cast::<u8>().wrapping_add(done), len - done);
        let local = libc::iovec { iov_base: other.wrapping_add(done).cast(), iov_len: piece };
        let copied = system_copy(direction, &local, pages.as_slice())?;
        done += copied.min(piece);
        if copied < piece {
            break;
        }
    }
    Ok(done)
}

/// One vector element a page, since the system calls count whole elements only; the bytes of all.
fn batch(guest: *mut u8, len: usize) -> (Vec<libc::iovec>, usize) {
    let mut vectors = Vec::with_capacity(BATCH.min(len / PAGE as usize + 2));
    let mut total = 0;
    while total < len && vectors.len() < BATCH {
        let at = guest.wrapping_add(total);
        let piece = (PAGE as usize - at.addr() % PAGE as usize).min(len - total);
        vectors.push(libc::iovec { iov_base: at.cast(), iov_len: piece });
        total += piece;
    }
    (vectors, total)
}

fn system_copy(direction: Direction, local: &libc::iovec, pages: &[libc::iovec]) -> Result<usize, Error> {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    let (remote, count) = (pages.as_ptr(), pages.len() as libc::c_ulong);
    // SAFETY: the vectors are valid; `local` is memory of the caller's, and bad guest pages are an error, no fault.
    let copied = unsafe {
        match direction {
            Direction::Out => libc::process_vm_readv(pid, local, 1, remote, count, 0),
            Direction::In => libc::process_vm_writev(pid, local, 1, remote, count, 0),
        }
    };
    match usize::try_from(copied).map_err(|_| Error::from(std::io::Error::last_os_error())) {
        Err(Error::EFAULT) => Ok(0),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use crate::object::MemoryObject;
    use crate::{AddressSpace, PAGE, Protection, SPACE, Sharing, Stability};

    const AT: u64 = 0x20_0000;
    const RW: Protection = Protection::WRITE;

    fn space() -> AddressSpace {
        AddressSpace::new().expect("space")
    }

    #[test]
    fn copies_stop_at_the_first_bad_page() {
        let mut space = space();
        space.map_anon(AT, 2 * PAGE, RW).expect("map");
        space.protect(AT + PAGE, PAGE, Protection::READ).expect("protect");
        let bytes = vec![9; 3 * PAGE as usize];
        assert_eq!(space.write(AT + PAGE - 10, &bytes), 10);
        assert_eq!(space.write(AT + PAGE, &bytes), 0);
        let mut seen = bytes.clone();
        assert_eq!(space.read(AT, &mut seen), 2 * PAGE as usize);
        assert_eq!(seen[PAGE as usize - 11..PAGE as usize + 1], [0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 0]);
        assert_eq!(space.read(AT + 2 * PAGE, &mut seen), 0);
    }

    #[test]
    fn copies_at_the_ends_of_the_space_copy_nothing() {
        let mut space = space();
        let mut byte = [0; 16];
        for addr in [0, SPACE - 8, SPACE, u64::MAX - 7, u64::MAX] {
            assert_eq!(space.read(addr, &mut byte), 0);
            assert_eq!(space.write(addr, &byte), 0);
        }
        assert_eq!(space.read(AT, &mut []), 0);
    }

    #[test]
    fn cut_files_make_copies_short() {
        let mut space = space();
        let file = MemoryObject::create(4 * PAGE).expect("object").file();
        for sharing in [Sharing::Shared, Sharing::Private] {
            file.set_len(4 * PAGE).expect("resize");
            space.map_file(AT, 4 * PAGE, RW, &file, 0, sharing, Stability::Own).expect("map");
            let mut bytes = vec![3; 4 * PAGE as usize];
            assert_eq!(space.write(AT + 1, &bytes[1..]), bytes.len() - 1);
            file.set_len(PAGE + 1).expect("cut");
            assert_eq!(space.read(AT + 100, &mut bytes[..3 * PAGE as usize]), 2 * PAGE as usize - 100);
            assert_eq!(space.write(AT + PAGE, &bytes), PAGE as usize);
            assert_eq!(space.read(AT + 3 * PAGE, &mut bytes), 0);
            file.set_len(4 * PAGE).expect("grow");
            assert_eq!(space.read(AT, &mut bytes), bytes.len());
        }
    }

    #[test]
    fn long_copies_of_own_files_are_whole() {
        let mut space = space();
        let pages = 3 * super::BATCH as u64 + 1;
        let file = MemoryObject::create(pages * PAGE).expect("object").file();
        space.map_file(AT, pages * PAGE, RW, &file, 0, Sharing::Shared, Stability::Own).expect("map");
        let bytes: Vec<u8> = (0..pages * PAGE - 7).map(|i| (i % 251) as u8).collect();
        assert_eq!(space.write(AT + 3, &bytes), bytes.len());
        let mut seen = vec![0; bytes.len()];
        assert_eq!(space.read(AT + 3, &mut seen), bytes.len());
        assert!(seen == bytes);
    }
}
