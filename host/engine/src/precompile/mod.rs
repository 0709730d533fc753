//! `--precompile`: all programs and libraries of an image are translated before they run, on all cores, beginning with
//! what its entrypoint needs.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub use linux::precompile;

#[cfg(not(target_os = "linux"))]
pub use crate::platform::precompile;

/// What was done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Pieces of code that there are, those that were there already, and those that could not be translated.
    pub all: usize,
    pub cached: usize,
    pub failed: usize,
    /// Those that the cache has no room for.
    pub full: usize,
}
