//! [`Resident`]: how much of a process is in memory, by the host's page table.

use shallop_platform::SpaceId;

use crate::kernel::Kernel;

/// Bytes of one address space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resident {
    /// Its own: anonymous memory, and copies of pages of files.
    pub private: u64,
    /// Of files and shared memory, which others may have too. Code that runs translated is not read, and does not count.
    pub shared: u64,
}

impl Resident {
    pub fn of(k: &Kernel, space: SpaceId) -> Resident {
        Resident { private: k.platform.resident(space), shared: k.platform.touched(space) }
    }

    pub fn total(self) -> u64 {
        self.private + self.shared
    }

    /// The share of a part of the address space, by size: the host counts pages per process.
    pub fn part(self, size: u64, whole: u64) -> Resident {
        let part = |bytes: u64| (u128::from(bytes) * u128::from(size) / u128::from(whole.max(1))) as u64;
        Resident { private: part(self.private), shared: part(self.shared) }
    }
}
