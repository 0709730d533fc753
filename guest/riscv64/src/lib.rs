//! The riscv64 instruction set: RV64GC with Linux's register and signal frame layouts.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]

pub mod float;
pub mod registers;

pub use registers::State;
