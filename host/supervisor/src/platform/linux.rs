//! On Linux: workers are handed descriptors over a socket, and run Linux sandboxes too.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::network::Broker;
use crate::translator::Translator;
use crate::{Outcome, Request, TITLE_BYTES, VERB, wire};

/// What is handed to a worker: something open.
pub type Descriptor = OwnedFd;

/// A stream that becomes a worker's stdin, stdout or stderr.
pub type Stream = OwnedFd;

/// The signals that a supervisor passes on to the container's first process.
pub const FORWARDED: [i32; 6] = [
    Signal::INT.as_raw(),
    Signal::TERM.as_raw(),
    Signal::HUP.as_raw(),
    Signal::QUIT.as_raw(),
    Signal::USR1.as_raw(),
    Signal::USR2.as_raw(),
];

/// A file, open, to be handed over; its path does not matter.
pub fn file(file: File, _path: &Path) -> Descriptor {
    file.into()
}

/// Opens a folder, to be handed over.
///
/// # Errors
/// When it is none, or cannot be opened.
pub fn folder(path: &Path) -> std::io::Result<Descriptor> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::DIRECTORY.bits() as i32;
    Ok(File::options().read(true).custom_flags(flags).open(path)?.into())
}

/// This process's own streams; without `stdin` that is empty.
///
/// # Errors
/// When one of them is closed.
pub fn own_streams(stdin: bool) -> Result<[Stream; 3]> {
    let stdin = match stdin {
        true => std::io::stdin().as_fd().try_clone_to_owned().context("sharing stdin")?,
        false => File::open("/dev/null").context("opening /dev/null")?.into(),
    };
    let stdout = std::io::stdout().as_fd().try_clone_to_owned().context("sharing stdout")?;
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().context("sharing stderr")?;
    Ok([stdin, stdout, stderr])
}

/// A process of our own gets nothing of the environment.
pub fn clear_environment(command: &mut Command) -> &mut Command {
    command.env_clear()
}

/// A worker process that waits for what it is to run. Dropping it ends it.
#[derive(Debug)]
pub struct Waiting {
    /// Before the process, which ends when this is closed.
    control: UnixStream,
    process: Process,
}

/// A process that is waited for when it is dropped.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // One that cannot be waited for is gone.
        let _ = self.0.wait();
    }
}

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    /// Before the process, as in [`Waiting`].
    control: UnixStream,
    translator: Option<Translator>,
    network: Option<Broker>,
    process: Process,
}

impl Waiting {
    /// Starts a worker process.
    ///
    /// # Errors
    /// When the host has no room for one.
    pub fn start() -> Result<Waiting> {
        let (control, theirs) = UnixStream::pair().context("making the control socket")?;
        let program = std::env::current_exe().context("finding this program's file")?;
        let mut command = Command::new(program);
        let child = clear_environment(&mut command)
            .arg0("shallop-worker")
            .arg(VERB)
            // The worker writes its title here.
            .arg(" ".repeat(TITLE_BYTES))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .context("starting the worker process")?;
        Ok(Waiting { control, process: Process(child) })
    }

    /// Hands everything over.
    ///
    /// # Errors
    /// When the worker is gone, or what helps it cannot be started.
    pub fn run(self, request: Request) -> Result<Worker> {
        // Made first: where something fails, its socket is closed before its process is waited for.
        let mut worker = Worker { control: self.control, translator: None, network: None, process: self.process };
        let (translator, jobs) = match &request.translations {
            Some(wanted) => Some(Translator::start(wanted)?).unzip(),
            None => (None, None),
        };
        let (network, answers) = match &request.network {
            Some(policy) => Some(Broker::start(policy.clone())?).unzip(),
            None => (None, None),
        };
        (worker.translator, worker.network) = (translator, network);
        wire::send_request(&worker.control, &request, jobs, answers).context("handing the grants to the worker")?;
        Ok(worker)
    }
}

impl Worker {
    /// The worker's process id on the host.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// A second handle that can steer the worker from another thread while one waits.
    pub fn remote(&self) -> Result<Remote> {
        Ok(Remote(self.control.try_clone().context("sharing the control socket")?))
    }

    /// Waits for the end of what it runs; that of its process is waited for when this is dropped. A worker that was killed or
    /// crashed gives an outcome too.
    ///
    /// # Errors
    /// When its process cannot be waited for.
    pub fn wait(&mut self) -> Result<Outcome> {
        let mut line = String::new();
        // An error here is a worker that is gone: its exit status tells.
        let _ = BufReader::new(&self.control).read_line(&mut line);
        if let Ok(outcome) = serde_json::from_str::<Outcome>(&line) {
            self.translator = None;
            return Ok(Outcome { refused: refused(self.network.as_ref()), ..outcome });
        }
        let status = self.process.0.wait().context("waiting for the worker")?;
        let refused = refused(self.network.as_ref());
        Ok(Outcome { status: status.into_raw() as u32, report: crash_report(status), refused, ..Outcome::default() })
    }
}

/// What the network's policy refused. The worker's own word for it does not count.
fn refused(network: Option<&Broker>) -> Vec<String> {
    network.map(Broker::refused).unwrap_or_default()
}

/// What to tell of a worker that ended without an outcome; nothing for the signals by which people end it, and for SIGPIPE, by which
/// a WASI module ends when nobody reads what it writes.
fn crash_report(status: std::process::ExitStatus) -> Option<String> {
    match status.signal() {
        Some(signal)
            if FORWARDED.contains(&signal) || [Signal::KILL, Signal::PIPE].map(Signal::as_raw).contains(&signal) =>
        {
            None
        }
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
