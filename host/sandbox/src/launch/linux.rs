//! What the worker hands over to a Linux sandbox: [`Artifacts`], [`Launch`], and the [`Translator`] and the [`Network`]
//! that it may lend.

use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::Grant;
use crate::Events;

/// The precompiled modules, made by [`crate::compile`] of this very version.
pub struct Artifacts {
    pub kernel: File,
    pub cpu: File,
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
    /// Where samples go, when they are taken: a file.
    pub profile: Option<OwnedFd>,
    pub events: Arc<Events>,
    /// `None`: there is no network outside.
    pub network: Option<Box<dyn Network>>,
    /// `None`: all is interpreted.
    pub translation: Option<Translating>,
    /// What is translated already.
    pub ready: Vec<Ready>,
}

/// Which addresses of a name are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// What was found out about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// As the question had it.
    pub id: u32,
    /// Of `shallop_host_abi::hypercall::resolved`.
    pub status: u32,
    pub addresses: Vec<IpAddr>,
    /// Of the address that was asked about.
    pub name: Option<String>,
}

/// Somebody who makes the sandbox's connections to outside, as far as its policy goes.
pub trait Network {
    /// A socket to an address that does not wait: connecting (`stream`: TCP) or connected (UDP). The answer comes at once.
    ///
    /// # Errors
    /// The errno for the program that asked.
    fn open(&mut self, stream: bool, to: SocketAddr) -> Result<OwnedFd, i32>;
    /// Asks for a name's addresses; the answer comes later, under this number.
    ///
    /// # Errors
    /// The errno for the kernel.
    fn resolve(&mut self, id: u32, family: Family, name: &str) -> Result<(), i32>;
    /// Asks for an address's name, likewise.
    ///
    /// # Errors
    /// The errno for the kernel.
    fn reverse(&mut self, id: u32, ip: IpAddr) -> Result<(), i32>;
    /// Readable when an answer has come; `None`: none will come any more.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
    /// The next answer that has come; never waits.
    fn answer(&mut self) -> Option<Answered>;
}

/// Who translates hot code, and how.
#[derive(Clone)]
pub struct Translating {
    pub translator: Arc<dyn Translator>,
    /// Every fault finds all registers, also in processes that do not handle faults.
    pub precise: bool,
    /// Tasks are preempted all the time.
    pub storm: bool,
    /// The count at which code is hot.
    pub hot: u32,
    /// A task waits until what it found hot is translated.
    pub waits: bool,
}

/// Functions of a region of guest code that are wanted translated.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The region's number, repeated in the answer.
    pub region: u32,
    /// Where its code is.
    pub file: Arc<File>,
    /// The file never changes.
    pub lasts: bool,
    pub offset: u64,
    pub len: u32,
    /// Offsets in the region.
    pub starts: Vec<u32>,
    /// Those are warm at most: they are wanted by who starts later.
    pub warm: bool,
    /// Computed jumps inside the region, and where they went: guesses.
    pub jumps: Vec<(u32, u32)>,
    /// Whether faults are to find all registers.
    pub precise: bool,
    /// Whether an answer is to tell that all is done.
    pub tell: bool,
    /// How many modules of the region it was given at its start ([`Ready`]).
    pub given: usize,
}

/// A translated function: offsets in its region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    pub start: u32,
    /// Where entries 1, 2, … are.
    pub resume: Vec<u32>,
}

/// Functions of a region, translated and compiled.
#[derive(Debug)]
pub struct Translated {
    pub region: u32,
    /// There is no code: a question that wanted to be told is done.
    pub done: bool,
    /// Made by [`crate::Compiler`] of this very version, with its functions behind it ([`crate::encode_functions`]).
    pub code: File,
}

/// The translated code of a region that is known before the sandbox starts.
#[derive(Debug)]
pub struct Ready {
    /// Index of the `Grant::Immutable` with the region's code.
    pub grant: u32,
    pub offset: u64,
    pub len: u32,
    /// It is for processes that handle faults.
    pub precise: bool,
    /// As [`Translated::code`].
    pub modules: Vec<File>,
    /// There could be more: the translator is told of the region when it is used, to go on with it later.
    pub unfinished: bool,
}

/// Somebody who translates hot code. Called from threads of their own, which may wait.
pub trait Translator: Send + Sync {
    /// Asks for functions. False: ask no more.
    fn ask(&self, ask: &Ask) -> bool;
    /// Waits for the next answer, to any question or to none. `None`: there will be no more.
    fn answer(&self) -> Option<Translated>;
}
