//! The contract between the host and the guest kernel: launch spec, hypercall names, records, version.
//!
//! Both sides compile this crate; it is the only guest crate (beside `layer`, the file formats) that the
//! host links. `spec` is what the worker hands to the kernel at start, `hypercall` what the kernel may ask,
//! `profile` what it writes when it is profiled.
#![forbid(unsafe_code)]

pub mod hypercall;
pub mod profile;
pub mod spec;

pub use spec::{Bind, LaunchSpec, LayerGrant, Mount, Network};

/// Raised with every incompatible change of anything in this crate; checked at launch.
pub const ABI_VERSION: u32 = 5;

/// Nanoseconds after which the host ends a task's slice, so that the kernel may choose another one.
pub const SLICE: u64 = 10_000_000;
