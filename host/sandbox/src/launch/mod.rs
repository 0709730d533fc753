//! What the worker hands over and gets back: [`WasiLaunch`] with its [`Grant`]s, [`Outcome`]; `linux` has what a Linux
//! sandbox gets.

#[cfg(target_os = "linux")]
mod linux;

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

#[cfg(target_os = "linux")]
pub use linux::*;

use crate::Events;
use crate::platform::Folder;

/// One granted descriptor. Its index in [`Launch::grants`] is the handle that the launch spec names.
pub enum Grant {
    /// A file of the store that nobody changes any more: read, mapped private.
    Immutable(File),
    /// A file that belongs to this sandbox alone (the upper layer): read, written, resized, mapped.
    Own {
        file: File,
        /// Most bytes that it may have; what would be behind is ENOSPC.
        limit: u64,
    },
    /// A volume that is a single file. Never mapped: another program may shorten it.
    VolumeFile { file: File, read_only: bool },
    /// A volume.
    Directory { dir: Folder, read_only: bool },
}

/// Everything that a WASI module run directly gets. Its stdio is this process's.
pub struct WasiLaunch {
    pub argv: Vec<String>,
    pub env: Vec<(String, String)>,
    /// (guest path, index of a `Grant::Directory`).
    pub preopens: Vec<(String, u32)>,
    pub grants: Vec<Grant>,
    /// Bytes of linear memory.
    pub memory_limit: u64,
    pub wall_limit: Option<Duration>,
    pub events: Arc<Events>,
}

/// How a sandbox ended.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// As wait(2) encodes it.
    pub status: u32,
    /// What went wrong in the sandbox itself, for people: a kernel panic or trap.
    pub report: Option<String>,
    /// Points of the start-up and when they were reached, from the call of [`crate::run`].
    pub marks: Vec<(u32, Duration)>,
    /// The limit that ended it: "memory" or "wall clock".
    pub limit: Option<&'static str>,
    pub met: Met,
}

/// The limits that end nothing, and that it met at some time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Met {
    /// That of one of its own files.
    pub disk: bool,
    /// There was no room for another process or thread.
    pub tasks: bool,
}
