//! The words that kernel, engine and every instruction set share: the traits `Isa` and `Backend`, and `Exit`.
//!
//! Nothing here knows a particular instruction set.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod backend;
pub mod exit;
pub mod isa;

pub use backend::Backend;
pub use exit::{Access, Control, Exit};
pub use isa::{Isa, Registers, SignalFrame};
