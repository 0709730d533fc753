//! The words that kernel, engine and every instruction set share: the traits `Isa` and `Backend`, `Exit`, `Trap`.
//!
//! Nothing here knows a particular instruction set.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod isa;

pub use isa::{Isa, Registers, SignalFrame};
