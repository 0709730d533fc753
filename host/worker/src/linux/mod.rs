//! On Linux: descriptors come over a socket, and the jail closes before anything runs.

mod jail;
mod network;
mod title;
mod translator;

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use shallop_sandbox::{Artifacts, Events, Grant, Launch, Ready, Remains, WasiLaunch};
use shallop_supervisor::wire::{self, Access, Command, Kind, Outcome, Received, Workload};
use signal_hook::consts::SIGPIPE;

use crate::{failed, outcome};

/// The worker process. Its stdin is the control socket; the container's stdio comes over it.
///
/// # Errors
/// What kept the sandbox from starting; the supervisor sees it as the outcome's report as well.
pub fn main(_: impl Iterator<Item = OsString>) -> Result<()> {
    shallop_sandbox::close_inherited();
    // Before it is known what is to run: all of this process that does not hang on that.
    shield()?;
    // What the jail would refuse later: the page map that fork reads.
    shallop_address_space::prepare();
    let control = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().context("the control socket")?);
    let (outcome, remains) = match wire::receive_request(&control).and_then(|received| run(&control, received)) {
        Ok(ran) => ran,
        Err(error) => (failed(&error), None),
    };
    let mut line = serde_json::to_vec(&outcome)?;
    line.push(b'\n');
    // This fails when the supervisor is gone, and then there is nobody to tell.
    let _ = (&control).write_all(&line);
    // The system takes back all at once what would be given back piece by piece.
    std::mem::forget(remains);
    Ok(())
}

fn run(control: &UnixStream, received: Received) -> Result<(Outcome, Option<Remains>)> {
    take_stdio(received.stdio)?;
    title::show(&received.title);
    let events = Events::new().context("making the event descriptor")?;
    jail::enter(&received.grants)?;
    // After the jail, so that this thread is in it too.
    listen(control.try_clone()?, events.clone())?;
    let grants = received.grants.into_iter().map(grant).collect();
    let Workload { kind, memory_limit, wall_limit } = received.workload;
    match kind {
        Kind::Linux { spec } => {
            let launch = Launch {
                spec: spec.into_bytes(),
                grants,
                memory_limit,
                wall_limit,
                trace: received.trace,
                profile: received.profile,
                events,
                network: received.network.map(network::network),
                translation: received.jobs.map(|(how, socket)| translator::translation(how, socket)),
                ready: received.ready.into_iter().map(ready).collect(),
            };
            run_linux(received.code, launch)
        }
        Kind::Wasi { argv, env, preopens } => {
            end_with_readers()?;
            let launch = WasiLaunch { argv, env, preopens, grants, memory_limit, wall_limit, events };
            Ok((run_wasi(received.code, launch)?, None))
        }
    }
}

/// Puts the container's stdin, stdout and stderr where programs expect them.
fn take_stdio([stdin, stdout, stderr]: [OwnedFd; 3]) -> Result<()> {
    rustix::stdio::dup2_stdin(&stdin).context("placing stdin")?;
    rustix::stdio::dup2_stdout(&stdout).context("placing stdout")?;
    rustix::stdio::dup2_stderr(&stderr).context("placing stderr")
}

/// Signals to the process group are for the supervisor, which passes them on; this process shares the group, so that
/// it may read from the terminal.
fn shield() -> Result<()> {
    for signal in shallop_supervisor::FORWARDED {
        signal_hook::flag::register(signal, Arc::default()).context("shielding the worker from signals")?;
    }
    Ok(())
}

/// A module has no signals. When nobody reads what it writes, it ends as a program of Linux does then: by SIGPIPE, with this process.
fn end_with_readers() -> Result<()> {
    let always = Arc::new(AtomicBool::new(true));
    signal_hook::flag::register_conditional_default(SIGPIPE, always).context("preparing for closed pipes")?;
    Ok(())
}

/// Obeys the supervisor's commands; its going away ends the sandbox.
fn listen(control: UnixStream, events: Arc<Events>) -> Result<()> {
    let obey = move || {
        for line in BufReader::new(control).lines() {
            match line.ok().and_then(|line| serde_json::from_str(&line).ok()) {
                Some(Command::Signal(number)) => events.signal(number),
                Some(Command::Winsize) => events.winsize_changed(),
                Some(Command::Kill) | None => break,
            }
        }
        events.kill();
    };
    std::thread::Builder::new().name("control".into()).spawn(obey).context("starting the control thread")?;
    Ok(())
}

fn grant((access, descriptor): (Access, OwnedFd)) -> Grant {
    let file = File::from(descriptor);
    match access {
        Access::Immutable => Grant::Immutable(file),
        Access::Own { limit } => Grant::Own { file, limit },
        Access::VolumeFile { read_only } => Grant::VolumeFile { file, read_only },
        Access::Directory { read_only } => Grant::Directory { dir: cap_std::fs::Dir::from_std_file(file), read_only },
    }
}

fn ready(received: shallop_supervisor::Ready) -> Ready {
    let shallop_supervisor::Ready { grant, offset, len, precise, modules, unfinished } = received;
    Ready { grant, offset, len, precise, modules: modules.into_iter().map(File::from).collect(), unfinished }
}

fn run_linux(code: Vec<OwnedFd>, launch: Launch) -> Result<(Outcome, Option<Remains>)> {
    let [kernel, cpu] = <[OwnedFd; 2]>::try_from(code).map_err(|_| anyhow::anyhow!("two modules are wanted"))?;
    let artifacts = Artifacts { kernel: kernel.into(), cpu: cpu.into() };
    let (ended, remains) = shallop_sandbox::run(artifacts, launch)?;
    Ok((outcome(ended), Some(remains)))
}

fn run_wasi(code: Vec<OwnedFd>, launch: WasiLaunch) -> Result<Outcome> {
    let module = code.into_iter().next().context("no module was handed over")?;
    shallop_sandbox::run_wasi(module.into(), launch).map(outcome)
}
