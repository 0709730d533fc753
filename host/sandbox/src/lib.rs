//! Runs one sandbox in this process: Linux over the kernel and processor modules ([`run`]), or a WASI module ([`run_wasi`]).
//!
//! `kernel` runs `kernel.wasm` and answers its `hypercalls`; `process` and `task` are what those act on; `cpu` links the
//! processor module; `memory` and `config` decide how wasm memories lie; `limits` ends what runs too
//! long; `translation`, `code` and `regions` have the translated code of the sandbox, of one region and of each process, `own_code` which code may change, `module_file` the form it comes in.
//!
//! Linux runs on Linux alone; WASI modules run on every system, and `platform` is what differs for them.

mod config;
mod events;
mod launch;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "time slices are for the tasks of Linux"))]
mod limits;
mod platform;
mod wasi;

// What a Linux sandbox is made of: memory mappings, descriptors and signals that only Linux has.
#[cfg(target_os = "linux")]
mod code;
#[cfg(target_os = "linux")]
mod cpu;
#[cfg(target_os = "linux")]
mod exchange;
#[cfg(target_os = "linux")]
mod handles;
#[cfg(target_os = "linux")]
mod hypercalls;
#[cfg(target_os = "linux")]
mod inherited;
#[cfg(target_os = "linux")]
mod install;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod module_file;
#[cfg(target_os = "linux")]
mod own_code;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod regions;
#[cfg(target_os = "linux")]
mod slab;
#[cfg(target_os = "linux")]
mod task;
#[cfg(target_os = "linux")]
mod translation;
#[cfg(target_os = "linux")]
mod wasi_min;

pub use config::{Compiler, Stops, compile};
pub use events::Events;
#[cfg(target_os = "linux")]
pub use inherited::close_inherited;
#[cfg(target_os = "linux")]
pub use kernel::{Remains, run};
pub use launch::*;
#[cfg(target_os = "linux")]
pub use module_file::{encode_functions, read_entries};
pub use platform::Folder;
/// The words in which an [`Answered`] says how looking a name up ended.
#[cfg(target_os = "linux")]
pub use shallop_host_abi::hypercall::resolved;
pub use wasi::run_wasi;
