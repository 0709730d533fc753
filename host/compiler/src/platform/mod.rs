//! What differs between systems in the code cache and its process: whose files are trusted, how the process is bounded.
//! Each system's file has the same functions.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;
