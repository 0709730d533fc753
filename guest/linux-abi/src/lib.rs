//! Linux's own words: error numbers, flags, constants and structs, as the generic (asm-generic) ABI has them.
#![forbid(unsafe_code)]

pub mod errno;

pub use errno::Errno;
