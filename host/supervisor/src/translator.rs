//! The translator process of one worker: started when the worker's first job comes. It ends by itself, some time after
//! the worker, when it has done what it was asked for.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::RecvFlags;

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
pub(crate) struct Translator(Arc<Watched>);

impl Translator {
    /// Starts the thread that waits for the first job; gives the worker's end of the socket too.
    pub fn start(wanted: &Translations) -> Result<(Translator, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair().context("making the translator's socket")?;
        let state = Mutex::new(State { child: None, left: MAX_STARTS });
        let watched = Arc::new(Watched { socket: ours, wanted: wanted.clone(), state });
        let run = {
            let watched = watched.clone();
            move || watched.run()
        };
        std::thread::Builder::new().name("translator".into()).spawn(run).context("starting a thread")?;
        Ok((Translator(watched), theirs.into()))
    }
}

impl Drop for Translator {
    /// The worker has ended, or sends nothing more. What it asked for last is for those that start later.
    fn drop(&mut self) {
        if self.0.has_job() {
            let _ = self.0.start();
        }
        self.0.lock().left = 0;
    }
}

/// What the thread has in common with its owner.
#[derive(Debug)]
struct Watched {
    socket: UnixStream,
    wanted: Translations,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    child: Option<Child>,
    /// How often one may still be started.
    left: u32,
}

impl Watched {
    /// Runs a process whenever there is a job and none. A translator that cannot run only makes the guest slower.
    fn run(&self) {
        loop {
            let goes_on = self.wait_for_job() && self.start().is_ok();
            // Of the owner's, too.
            self.wait_for_end();
            if !goes_on {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False: the worker is gone.
    fn wait_for_job(&self) -> bool {
        match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], None) {
            Ok(_) => self.has_job(),
            Err(error) => error == rustix::io::Errno::INTR && self.wait_for_job(),
        }
    }

    /// Whether there is something to read, and not only an end.
    fn has_job(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        rustix::net::recv(&self.socket, &mut [0_u8], flags).is_ok_and(|(bytes, _)| bytes != 0)
    }

    /// Starts a process, unless there is one: thread and owner may see the same job.
    fn start(&self) -> Result<()> {
        let mut state = self.lock();
        if state.child.is_some() {
            return Ok(());
        }
        state.left =
            state.left.checked_sub(1).context("the translator process died too often, or the worker has ended")?;
        let socket = self.socket.as_fd().try_clone_to_owned().context("sharing the translator's socket")?;
        state.child = Some(spawn(&self.wanted, socket)?);
        Ok(())
    }

    /// Waits until the process has ended, which it does by itself when the worker's end of the socket is closed.
    fn wait_for_end(&self) {
        let Some(pid) = self.lock().child.as_ref().map(|child| child.id() as i32) else { return };
        let Some(pid) = rustix::process::Pid::from_raw(pid) else { return };
        // Leaves the process to be reaped below, so that its number stays its own until then.
        let flags = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(rustix::process::WaitId::Pid(pid), flags) {}
        if let Some(mut child) = self.lock().child.take() {
            let _ = child.wait();
        }
    }
}
