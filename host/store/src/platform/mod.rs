//! What differs between systems in the store's files: who may read new ones, which of them are the same, how folders reach
//! the disk. Each system's file has the same functions.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;
