//! The protocol between supervisor and worker: what is to run, and how it ended.
//!
//! `linux` has the way there and back over a socket, with descriptors; `portable` that by a folder, with names.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;

use std::time::Duration;

#[cfg(target_os = "linux")]
pub use linux::*;
#[cfg(not(target_os = "linux"))]
pub use portable::*;
use serde::{Deserialize, Serialize};

/// Raised with every incompatible change of this protocol.
pub const VERSION: u32 = 6;

/// What may be done with a granted descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// A store file: read and mapped, never written, never truncated.
    Immutable,
    /// A file of the sandbox's own (its upper layer), which has at most so many bytes.
    Own { limit: u64 },
    /// A single-file volume.
    VolumeFile { read_only: bool },
    /// A directory volume.
    Directory { read_only: bool },
}

/// What runs in the worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Workload {
    pub kind: Kind,
    /// Bytes that the worker as a whole may use.
    pub memory_limit: u64,
    pub wall_limit: Option<Duration>,
}

/// The two kinds of workload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Kind {
    /// Linux programs under the kernel; the launch spec as JSON.
    Linux { spec: String },
    /// A WASI module run directly: arguments, environment, and (guest path, handle) of its directories.
    Wasi { argv: Vec<String>, env: Vec<(String, String)>, preopens: Vec<(String, u32)> },
}

/// How guest code is translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Translating {
    /// Every fault finds all registers, in all processes.
    pub precise: bool,
    /// Tasks are preempted all the time.
    pub storm: bool,
    /// The count at which code is hot.
    pub hot: u32,
    /// A task waits until what it found hot is translated.
    pub waits: bool,
}

/// How a sandbox ended.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// As wait(2) encodes it.
    pub status: u32,
    /// What to tell the user when the sandbox itself failed.
    pub report: Option<String>,
    /// The limit that ended it.
    pub limit: Option<String>,
    /// Its own files reached their limit at some time; that ends nothing.
    pub disk_full: bool,
    /// There was no room for another process or thread at some time; that ends nothing.
    pub crowded: bool,
    /// What the network's policy refused, a sentence each.
    #[serde(skip)]
    pub refused: Vec<String>,
    /// Named points of the start-up and when they were reached, from the worker's start.
    pub marks: Vec<(u32, Duration)>,
}

impl Outcome {
    /// The exit code that Docker gives: the program's, or 128 + signal.
    pub fn exit_code(&self) -> i32 {
        match self.status & 0x7f {
            0 => (self.status >> 8 & 0xff) as i32,
            signal => 128 + signal as i32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_dockers() {
        assert_eq!(Outcome { status: 3 << 8, ..Outcome::default() }.exit_code(), 3);
        assert_eq!(Outcome { status: 9, ..Outcome::default() }.exit_code(), 137);
    }
}
