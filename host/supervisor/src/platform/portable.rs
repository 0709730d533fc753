//! On other systems: workers are told names of files, in a folder made for each, and run WASI modules alone.
//!
//! The worker shares the console of this process, which tells both of Ctrl-C. It ends when this process does: see
//! [`crate::wire`].

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{Outcome, Request, VERB, title, wire};

/// What is handed to a worker: the path of something.
pub type Descriptor = PathBuf;

/// A stream that becomes a worker's stdin, stdout or stderr.
pub type Stream = Stdio;

/// What a process cannot do without in its environment: Windows' libraries are found by it.
const KEPT: [&str; 1] = ["SystemRoot"];

/// Ended by SIGKILL, as wait(2) encodes it.
const KILLED: u32 = 9;

/// Windows' exit code of a process that Ctrl-C ended (STATUS_CONTROL_C_EXIT).
const CONTROL_C: i32 = 0xc000_013a_u32 as i32;

/// A file to be handed over, by its path.
pub fn file(_file: File, path: &Path) -> Descriptor {
    path.to_owned()
}

/// A folder to be handed over.
///
/// # Errors
/// When it is none, or cannot be read.
pub fn folder(path: &Path) -> std::io::Result<Descriptor> {
    std::fs::read_dir(path).map(|_| path.to_owned())
}

/// This process's own streams; without `stdin` that is empty.
///
/// # Errors
/// None on this system.
pub fn own_streams(stdin: bool) -> Result<[Stream; 3]> {
    let stdin = if stdin { Stdio::inherit() } else { Stdio::null() };
    Ok([stdin, Stdio::inherit(), Stdio::inherit()])
}

/// A process of our own gets nothing of the environment but what it cannot do without.
pub fn clear_environment(command: &mut Command) -> &mut Command {
    command.env_clear().envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
}

/// A worker that is to be started. On these systems its process begins with what it is to run.
#[derive(Debug)]
pub struct Waiting;

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    /// Locked for as long as this process lives. Before the folder, which could not go while it is open.
    _alive: File,
    /// Where what is said to it and what it says are.
    folder: TempDir,
}

impl Waiting {
    /// # Errors
    /// None on this system.
    pub fn start() -> Result<Waiting> {
        Ok(Waiting)
    }

    /// Starts the worker process and hands everything over.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(self, request: Request) -> Result<Worker> {
        let folder = tempfile::Builder::new().prefix("shallop-").tempdir().context("making a folder for the worker")?;
        let alive = wire::hand_over(folder.path(), &request).context("handing the grants to the worker")?;
        let program = std::env::current_exe().context("finding this program's file")?;
        let [stdin, stdout, stderr] = request.stdio;
        let mut command = Command::new(program);
        let child = clear_environment(&mut command)
            .arg(VERB)
            .arg(folder.path())
            .arg("--")
            .args(title(&request.title))
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .context("starting the worker process")?;
        Ok(Worker { child, _alive: alive, folder })
    }
}

impl Worker {
    /// The worker's process id on the host.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end. A worker that was killed or crashed gives an outcome too.
    ///
    /// # Errors
    /// When its process cannot be waited for.
    pub fn wait(&mut self) -> Result<Outcome> {
        let status = self.child.wait().context("waiting for the worker")?;
        Ok(wire::outcome(self.folder.path()).unwrap_or_else(|| Outcome {
            status: KILLED,
            report: crash_report(status),
            ..Outcome::default()
        }))
    }
}

/// What to tell of a worker that ended without an outcome; nothing when Ctrl-C ended it.
fn crash_report(status: ExitStatus) -> Option<String> {
    let asked = status.code() == Some(CONTROL_C);
    (!asked).then(|| format!("the sandbox's worker process ended unexpectedly ({status})"))
}
