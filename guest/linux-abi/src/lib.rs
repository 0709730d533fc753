//! Linux's own words: error numbers, flags, constants and structs, as the generic (asm-generic) ABI has them.
#![forbid(unsafe_code)]

pub mod clone;
pub mod elf;
pub mod errno;
pub mod file;
pub mod inotify;
pub mod ipc;
pub mod mman;
pub mod rlimit;
pub mod signal;

pub use errno::Errno;
