//! Runs one sandbox in this process: Linux over the kernel and processor modules ([`run`]), or a WASI module ([`run_wasi`]).
//!
//! `kernel` runs `kernel.wasm` and answers its `hypercalls`; `process` and `task` are what those act on; `cpu` links the
//! processor module; `memory` and `config` decide how wasm memories lie; `limits` ends what runs too
//! long; `translation`, `code` and `regions` have the translated code of the sandbox, of one region and of each process, `module_file` the form it comes in.

mod code;
mod config;
mod cpu;
mod events;
mod exchange;
mod handles;
mod hypercalls;
mod inherited;
mod install;
mod kernel;
mod launch;
mod limits;
mod memory;
mod module_file;
mod process;
mod regions;
mod slab;
mod task;
mod translation;
mod wasi;
mod wasi_min;

pub use config::{Compiler, Stops, compile};
pub use events::Events;
pub use inherited::close_inherited;
pub use kernel::run;
pub use launch::{
    Answered, Artifacts, Ask, Family, Function, Grant, Launch, Network, Outcome, Ready, Translated, Translating,
    Translator, WasiLaunch,
};
/// The words in which an [`Answered`] says how looking a name up ended.
pub use shallop_host_abi::hypercall::resolved;

pub use module_file::{encode_functions, read_entries};
pub use wasi::run_wasi;
