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

/// Bytes at each end of a space that are never mapped.
pub const EDGE: u64 = 1 << 20;
