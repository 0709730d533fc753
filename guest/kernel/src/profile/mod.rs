//! `run --profile`: where tasks spend their time, as samples of stacks on the profile stream.
//!
//! The clock is looked at whenever a task leaves the engine and after each system call. Time that has passed is owed to the
//! next sample; once that is [`INTERVAL`], whatever the task was at gets all of it, so that the weights' sum is the time
//! that tasks ran. The host ends slices that often. `stack` finds callers, `symbols` names functions.

mod stack;
mod symbols;

use std::collections::HashMap;
use std::rc::Rc;

use shallop_host_abi::hypercall::{Exit, exit};
use shallop_host_abi::profile::Record;

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::strace;
use crate::wait::Tid;
use symbols::Symbols;

/// Descriptor of the profile stream (hypercall `stdio_write`).
const STREAM: u32 = 4;

/// Nanoseconds of running that are owed before a sample is taken.
const INTERVAL: u64 = 1_000_000;

/// Frames, and tasks, that are told apart; more share one.
const MAX_FRAMES: usize = 1 << 17;
const MAX_TASKS: usize = 1 << 16;

/// What a frame stands for. One of a file is named after what the file says of the address.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Frame {
    /// A function of a file: device and inode number, address that the file has for its start.
    Function { file: (u64, u64), start: u64, interpreted: bool },
    /// Code that belongs to no file, or a system call.
    Other(String),
}

/// The state of a profile.
#[derive(Default)]
pub struct Profile {
    /// Monotonic nanoseconds up to which time is counted.
    since: u64,
    /// Nanoseconds that the next sample gets.
    owed: u64,
    frames: HashMap<Frame, u32>,
    tasks: HashMap<(Tid, Vec<u8>), u32>,
    files: HashMap<(u64, u64), Rc<Symbols>>,
    /// Nobody takes what is written.
    closed: bool,
}

/// What a task was at.
enum Doing {
    Running { interpreted: bool },
    Call(u64),
}

/// A slice begins: what was before is nobody's.
pub fn begin(k: &mut Kernel, now: u64) {
    if let Some(profile) = &mut k.profile {
        profile.since = now;
    }
}

/// A task has left the engine.
pub fn ran(k: &mut Kernel, tid: Tid, ended: &Exit) {
    if k.profile.is_some() {
        // Where translated code leaves for a system call the engine does not know that it was there.
        let interpreted = ended.kind == exit::YIELD && ended.detail == exit::INTERPRETED;
        spend(k, tid, Doing::Running { interpreted });
    }
}

/// A system call has been served, or waits.
pub fn served(k: &mut Kernel, call: &Call) {
    if k.profile.is_some() {
        spend(k, call.tid, Doing::Call(call.number));
    }
}

/// Counts the time that has passed, and takes a sample when one is due.
fn spend(k: &mut Kernel, tid: Tid, doing: Doing) {
    let now = k.now_monotonic();
    let Some(mut profile) = k.profile.take() else { return };
    profile.owed += now.saturating_sub(profile.since);
    if profile.owed >= INTERVAL && k.tasks.get(tid).is_some() && !profile.closed {
        profile.sample(k, tid, doing);
        profile.owed = 0;
    }
    // Taking a sample is no time of the task's.
    profile.since = k.now_monotonic();
    k.profile = Some(profile);
}

impl Profile {
    fn sample(&mut self, k: &Kernel, tid: Tid, doing: Doing) {
        let interpreted = matches!(doing, Doing::Running { interpreted: true });
        let mut stack = self.stack(k, tid, interpreted);
        stack.reverse();
        if let Doing::Call(number) = doing {
            stack.push(self.other(k, format!("{} (system call)", strace::call_name(number))));
        }
        let task = self.task(k, tid);
        self.write(k, &Record::Sample { task, nanoseconds: self.owed, stack });
    }

    /// The number of the thread under its name.
    fn task(&mut self, k: &Kernel, tid: Tid) -> u32 {
        let task = k.task(tid);
        let key = (tid, task.name.clone());
        if let Some(number) = self.tasks.get(&key) {
            return *number;
        }
        if self.tasks.len() >= MAX_TASKS {
            return 0;
        }
        let name = String::from_utf8_lossy(&task.name).into_owned();
        self.write(k, &Record::Task { pid: task.pid.0, tid: tid.0, name });
        let number = self.tasks.len() as u32;
        self.tasks.insert(key, number);
        number
    }

    /// The number of a frame, which is announced with a name when it is new.
    fn frame(&mut self, k: &Kernel, frame: Frame, name: impl FnOnce() -> (String, Option<String>)) -> u32 {
        if let Some(number) = self.frames.get(&frame) {
            return *number;
        }
        if self.frames.len() >= MAX_FRAMES {
            return 0;
        }
        let (name, file) = name();
        self.write(k, &Record::Frame { name, file });
        let number = self.frames.len() as u32;
        self.frames.insert(frame, number);
        number
    }

    fn other(&mut self, k: &Kernel, name: String) -> u32 {
        self.frame(k, Frame::Other(name.clone()), || (name, None))
    }

    fn write(&mut self, k: &Kernel, record: &Record) {
        let line = record.to_line();
        let mut rest = line.as_slice();
        while !rest.is_empty() && !self.closed {
            match k.platform.stdio_write(STREAM, rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(_) => self.closed = true,
            }
        }
    }
}
