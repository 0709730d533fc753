//! The parent of one worker: starts it, hands it grants, forwards signals, waits for its outcome.
//!
//! `wire` is the protocol that both sides speak, `jobs` that of worker and translator process; `network` makes the sandbox's connections; `Worker` is a running sandbox seen from the supervisor.
#![forbid(unsafe_code)]

pub mod jobs;
pub mod network;
pub mod translator;
pub mod wire;

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::Signal;

use network::{Broker, Policy};
use translator::Translator;
pub use wire::{Access, Kind, Outcome, Translating, Workload};

/// The hidden verb of the `shallop` program that starts a worker.
pub const VERB: &str = "internal-worker";

/// The signals that a supervisor passes on to the container's first process.
pub const FORWARDED: [i32; 6] = [
    Signal::INT.as_raw(),
    Signal::TERM.as_raw(),
    Signal::HUP.as_raw(),
    Signal::QUIT.as_raw(),
    Signal::USR1.as_raw(),
    Signal::USR2.as_raw(),
];

/// How much of the container's command `ps` shows.
const TITLE_WORDS: usize = 32;
const TITLE_CHARS: usize = 200;

/// One capability to be handed over: the descriptor and what may be done with it. Its place in the list is its handle.
#[derive(Debug)]
pub struct Grant {
    pub access: Access,
    pub descriptor: OwnedFd,
}

/// The translated code of a piece of a granted file.
#[derive(Debug)]
pub struct Ready {
    /// The file's handle.
    pub grant: u32,
    pub offset: u64,
    pub len: u32,
    /// Files with modules for it.
    pub modules: Vec<OwnedFd>,
}

/// Everything a worker is started with.
#[derive(Debug)]
pub struct Request {
    pub workload: Workload,
    /// Compiled code, in the order the workload's kind wants: kernel and cpu, or the module.
    pub code: Vec<OwnedFd>,
    pub grants: Vec<Grant>,
    /// stdin, stdout, stderr of the container.
    pub stdio: [OwnedFd; 3],
    /// Where `--strace` lines go.
    pub trace: Option<OwnedFd>,
    /// What of the network it may reach; `None`: nothing.
    pub network: Option<Policy>,
    /// The file that `--profile` samples go to.
    pub profile: Option<OwnedFd>,
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

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    control: UnixStream,
    translator: Option<Translator>,
    network: Option<Broker>,
}

impl Worker {
    /// Starts a worker process and hands everything over.
    pub fn start(request: Request) -> Result<Worker> {
        let (control, theirs) = UnixStream::pair().context("making the control socket")?;
        let program = std::env::current_exe().context("finding this program's file")?;
        let child = Command::new(program)
            .arg0("shallop-worker")
            .arg(VERB)
            .arg("--")
            .args(title(&request.title))
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .context("starting the worker process")?;
        let (translator, jobs) = match &request.translations {
            Some(wanted) => Some(Translator::start(wanted)?).unzip(),
            None => (None, None),
        };
        let (network, answers) = match &request.network {
            Some(policy) => Some(Broker::start(policy.clone())?).unzip(),
            None => (None, None),
        };
        let worker = Worker { child, control, translator, network };
        wire::send_request(&worker.control, &request, jobs, answers).context("handing the grants to the worker")?;
        Ok(worker)
    }

    /// The worker's process id on the host.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A second handle that can steer the worker from another thread while one waits.
    pub fn remote(&self) -> Result<Remote> {
        Ok(Remote(self.control.try_clone().context("sharing the control socket")?))
    }

    /// Waits for the end. A worker that was killed or crashed gives an outcome too.
    pub fn wait(mut self) -> Result<Outcome> {
        let mut line = String::new();
        // An error here is a worker that is gone: its exit status tells.
        let _ = BufReader::new(&self.control).read_line(&mut line);
        if let Ok(outcome) = serde_json::from_str::<Outcome>(&line) {
            drop(self.control);
            drop(self.translator);
            let _ = self.child.wait();
            return Ok(Outcome { refused: refused(self.network.as_ref()), ..outcome });
        }
        let status = self.child.wait().context("waiting for the worker")?;
        let refused = refused(self.network.as_ref());
        Ok(Outcome { status: status.into_raw() as u32, report: crash_report(status), refused, ..Outcome::default() })
    }
}

/// What the network's policy refused. The worker's own word for it does not count.
fn refused(network: Option<&Broker>) -> Vec<String> {
    network.map(Broker::refused).unwrap_or_default()
}

/// A command line that the host's `execve` takes, whatever is in the container's: no NUL, not too long.
fn title(command: &[String]) -> Vec<String> {
    let word = |word: &String| word.chars().filter(|c| *c != '\0').take(TITLE_CHARS).collect();
    command.iter().take(TITLE_WORDS).map(word).collect()
}

/// What to tell of a worker that ended without an outcome; nothing for the signals by which people end it.
fn crash_report(status: std::process::ExitStatus) -> Option<String> {
    match status.signal() {
        Some(signal) if signal == Signal::KILL.as_raw() || FORWARDED.contains(&signal) => None,
        _ => Some(format!("the sandbox's worker process ended unexpectedly ({status})")),
    }
}

/// Steers a worker.
#[derive(Debug)]
pub struct Remote(UnixStream);

impl Remote {
    /// Sends a signal to the container's first process.
    pub fn signal(&self, number: u32) -> Result<()> {
        self.say(&wire::Command::Signal(number))
    }

    /// Says that the terminal's size changed.
    pub fn winsize(&self) -> Result<()> {
        self.say(&wire::Command::Winsize)
    }

    /// Ends the sandbox at once.
    pub fn kill(&self) -> Result<()> {
        self.say(&wire::Command::Kill)
    }

    fn say(&self, command: &wire::Command) -> Result<()> {
        let mut line = serde_json::to_vec(command)?;
        line.push(b'\n');
        (&self.0).write_all(&line).context("the worker is gone")
    }
}
