//! Runs one sandbox in this process: Linux over the kernel and processor modules ([`run`]), or a WASI module ([`run_wasi`]).
//!
//! `kernel` runs `kernel.wasm` and answers its `hypercalls`; `process` and `task` are what those act on; `cpu` links the
//! processor module; `memory` and `config` decide how wasm memories lie; `limits` ends what runs too long.

mod config;
mod cpu;
mod events;
mod handles;
mod hypercalls;
mod inherited;
mod kernel;
mod launch;
mod limits;
mod memory;
mod process;
mod slab;
mod task;
mod wasi;
mod wasi_min;

pub use config::{Compiler, compile};
pub use events::Events;
pub use inherited::close_inherited;
pub use kernel::run;
pub use launch::{Artifacts, Grant, Launch, Outcome, WasiLaunch};
pub use wasi::run_wasi;
