//! What the worker hands over and gets back: [`Artifacts`], [`Launch`], [`WasiLaunch`], [`Outcome`].

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::Events;

/// The precompiled modules, made by [`crate::compile`] of this very version.
pub struct Artifacts {
    pub kernel: File,
    pub cpu: File,
}

/// One granted descriptor. Its index in [`Launch::grants`] is the handle that the launch spec names.
pub enum Grant {
    /// A file of the store that nobody changes any more: read, mapped private.
    Immutable(File),
    /// A file that belongs to this sandbox alone (the upper layer): read, written, resized, mapped.
    Own(File),
    /// A volume that is a single file. Never mapped: another program may shorten it.
    VolumeFile { file: File, read_only: bool },
    /// A volume.
    Directory { dir: cap_std::fs::Dir, read_only: bool },
}

/// Everything that one Linux sandbox gets. Its stdin, stdout and stderr are descriptors 0, 1 and 2 of this process.
pub struct Launch {
    /// The launch spec as JSON, for the kernel.
    pub spec: Vec<u8>,
    pub grants: Vec<Grant>,
    /// Bytes.
    pub memory_limit: u64,
    pub wall_limit: Option<Duration>,
    /// Where the system call trace goes.
    pub trace: Option<OwnedFd>,
    pub events: Arc<Events>,
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
}
