//! The parent of one worker: starts it, hands it grants, forwards signals, waits for its outcome.
//!
//! `wire` is the protocol that both sides speak, `jobs` that of worker and translator process; `network` makes the sandbox's
//! connections; `platform` has [`Worker`], a running sandbox seen from the supervisor, and what can be handed to it.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
pub mod jobs;
pub mod network;
mod platform;
#[cfg(target_os = "linux")]
pub mod translator;
pub mod wire;

use std::path::PathBuf;

use network::Policy;
pub use platform::*;
pub use wire::{Access, Kind, Outcome, Translating, Workload};

/// The hidden verb of the `shallop` program that starts a worker.
pub const VERB: &str = "internal-worker";

/// How much of the container's command `ps` shows.
const TITLE_WORDS: usize = 32;
const TITLE_CHARS: usize = 200;
/// Bytes of a process's arguments that a worker which is started before its command is known has for it.
#[cfg(target_os = "linux")]
const TITLE_BYTES: usize = 1024;

/// One capability to be handed over: the descriptor and what may be done with it. Its place in the list is its handle.
#[derive(Debug)]
pub struct Grant {
    pub access: Access,
    pub descriptor: Descriptor,
}

/// The translated code of a piece of a granted file.
#[derive(Debug)]
pub struct Ready {
    /// The file's handle.
    pub grant: u32,
    pub offset: u64,
    pub len: u32,
    /// It is for processes that handle faults.
    pub precise: bool,
    /// Files with modules for it.
    pub modules: Vec<Descriptor>,
    /// There could be more of it.
    pub unfinished: bool,
}

/// Everything a worker is started with.
#[derive(Debug)]
pub struct Request {
    pub workload: Workload,
    /// Compiled code, in the order the workload's kind wants: kernel and cpu, or the module.
    pub code: Vec<Descriptor>,
    pub grants: Vec<Grant>,
    /// stdin, stdout, stderr of the container.
    pub stdio: [Stream; 3],
    /// Where `--strace` lines go.
    pub trace: Option<Descriptor>,
    /// What of the network it may reach; `None`: nothing.
    pub network: Option<Policy>,
    /// The file that `--profile` samples go to.
    pub profile: Option<Descriptor>,
    /// When hot code is to be translated.
    pub translations: Option<Translations>,
    /// What of it the workload may want.
    pub ready: Vec<Ready>,
    /// Shown by `ps` behind the worker's name.
    pub title: Vec<String>,
}

/// How hot code is translated, and the folder that keeps it.
#[derive(Debug, Clone)]
pub struct Translations {
    pub cache: PathBuf,
    /// How many bytes it may have.
    pub limit: u64,
    /// Seconds of CPU time for which a translator goes on after its worker's end.
    pub linger: u64,
    pub how: Translating,
}

/// A command line that the host's `execve` takes, whatever is in the container's: no NUL, not too long.
fn title(command: &[String]) -> Vec<String> {
    let word = |word: &String| word.chars().filter(|c| *c != '\0').take(TITLE_CHARS).collect();
    command.iter().take(TITLE_WORDS).map(word).collect()
}
