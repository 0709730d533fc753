//! Address spaces of sandboxed Linux processes: a 4 GiB reservation, its page map, memory objects and faults.

#[cfg(not(target_os = "linux"))]
compile_error!("shallop-address-space needs Linux");

mod copy;
mod error;
pub mod fault;
mod fork;
pub mod object;
mod region;
mod reservation;
mod resident;
mod space;
mod watch;

pub use error::Error;
pub use region::{Kind, Protection, Region, Sharing, Stability};
pub use resident::prepare;
pub use space::{AddressSpace, classify};

/// Bytes of a guest page, and of a host page: other host granules are not supported.
pub const PAGE: u64 = 4096;

/// Bytes of a space; guest addresses are below.
pub const SPACE: u64 = 1 << 32;

/// Lowest address that can be mapped: Linux's default vm.mmap_min_addr, where static programs begin.
pub const LOWEST: u64 = 64 << 10;

/// End of what can be mapped: the last MiB never is.
pub const HIGHEST: u64 = SPACE - (1 << 20);
