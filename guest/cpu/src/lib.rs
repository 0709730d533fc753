//! The engine inside the sandbox: interprets a guest's instructions, for the host that calls its exports.
//!
//! The host makes one instance for each task; the instances of a process share memory 0, so everything here is
//! indexed by the task's slot or shared on purpose. Guest memory is memory 1.
#![cfg_attr(target_arch = "wasm32", no_std)]

mod cache;
#[cfg(target_arch = "wasm32")]
mod exports;
mod host;
mod memory;
pub mod nested;
mod run;
mod shared;
mod slots;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;
mod translate;
pub mod translated;

pub use cache::{flush, used_cells};
pub use run::{calculate, fixup, replay, run_to_exit};
pub use slots::{control, registers, stack_top};
