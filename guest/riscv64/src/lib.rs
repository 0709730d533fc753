//! The riscv64 instruction set: RV64GC with Linux's register and signal frame layouts.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]

mod a;
mod c;
mod d;
pub mod decode;
pub mod disassemble;
pub mod execute;
mod f;
pub mod float;
mod hardware;
mod i;
pub mod interpreter;
pub mod linux;
pub mod registers;
pub mod signal_frame;
pub mod single_step;
mod table;
mod zicsr;

pub use decode::{Kind, Op};
pub use linux::Riscv64;
pub use registers::State;
pub use single_step::interpret_one;
