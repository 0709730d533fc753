//! The riscv64 instruction set: RV64GC with Linux's register and signal frame layouts.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]

pub mod float;
pub mod linux;
pub mod registers;
pub mod signal_frame;

pub use linux::Riscv64;
pub use registers::State;
