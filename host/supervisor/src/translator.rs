//! The translator process of one worker: started when the worker's first job comes. It ends by itself, some time after
//! the worker, when it has done what it was asked for.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};

use crate::{Translations, jobs};

/// Times that a translator process is started for one worker; one that dies so often is given up.
const MAX_STARTS: u32 = 4;

/// Starts a translator process that takes jobs from `socket`.
///
/// # Errors
/// When it cannot be started.
pub fn spawn(wanted: &Translations, socket: OwnedFd) -> Result<Child> {
    let program = std::env::current_exe().context("finding this program's file")?;
    Command::new(program)
        .arg0("shallop-translator")
        .arg(jobs::VERB)
        .arg(&wanted.cache)
        .args([wanted.limit, wanted.linger].map(|number| number.to_string()))
        .env_clear()
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting the translator process")
}

/// Watches the worker's jobs, and runs the process that takes them.
#[derive(Debug)]
pub(crate) struct Translator {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    child: Option<Child>,
    /// The worker has ended: start nothing more.
    ended: bool,
}

impl Translator {
    /// Starts the thread that waits for the first job; gives the worker's end of the socket too.
    pub fn start(wanted: &Translations) -> Result<(Translator, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair().context("making the translator's socket")?;
        let state = Arc::<Mutex<State>>::default();
        let watched = Watched { socket: ours, wanted: wanted.clone(), state: state.clone() };
        let run = move || watched.run();
        std::thread::Builder::new().name("translator".into()).spawn(run).context("starting a thread")?;
        Ok((Translator { state }, theirs.into()))
    }
}

impl Drop for Translator {
    fn drop(&mut self) {
        lock(&self.state).ended = true;
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the thread holds.
struct Watched {
    socket: UnixStream,
    wanted: Translations,
    state: Arc<Mutex<State>>,
}

impl Watched {
    /// Runs a process whenever there is a job and none. A translator that cannot run only makes the guest slower.
    fn run(&self) {
        for _ in 0..MAX_STARTS {
            if !self.wait_for_job() || self.start().is_err() {
                return;
            }
            self.wait_for_end();
        }
    }

    /// False: the worker is gone.
    fn wait_for_job(&self) -> bool {
        let mut watched = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut watched, None) {
            Ok(_) => watched[0].revents().contains(PollFlags::IN) && !watched[0].revents().contains(PollFlags::HUP),
            Err(error) => error == rustix::io::Errno::INTR && self.wait_for_job(),
        }
    }

    fn start(&self) -> Result<()> {
        let mut state = lock(&self.state);
        anyhow::ensure!(!state.ended, "the worker has ended");
        let socket = self.socket.as_fd().try_clone_to_owned().context("sharing the translator's socket")?;
        let child = spawn(&self.wanted, socket)?;
        state.child = Some(child);
        Ok(())
    }

    /// Waits until the process has ended, which it does by itself when the worker's end of the socket is closed.
    fn wait_for_end(&self) {
        let Some(pid) = lock(&self.state).child.as_ref().map(|child| child.id() as i32) else { return };
        let Some(pid) = rustix::process::Pid::from_raw(pid) else { return };
        // Leaves the process to be reaped below, so that its number stays its own until then.
        let flags = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(rustix::process::WaitId::Pid(pid), flags) {}
        if let Some(mut child) = lock(&self.state).child.take() {
            let _ = child.wait();
        }
    }
}
