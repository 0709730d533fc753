//! The signals that reach `run`: caught early, passed on to the container; what ends one that does not listen.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shallop_supervisor::{FORWARDED, Remote, Worker};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;

use crate::run::say;

/// So many requests to end within [`PATIENCE`] are more than a request.
const INSISTENCE: usize = 3;
const PATIENCE: Duration = Duration::from_secs(3);

/// What a container whose terminal went away has for its clean-up.
const GRACE: Duration = Duration::from_secs(5);

/// Signals caught since [`Caught::new`]; none of them ends this process any more.
pub struct Caught(Signals);

impl Caught {
    /// From here on signals wait for [`Caught::forward`].
    pub fn new() -> Result<Caught> {
        Ok(Caught(Signals::new(FORWARDED.into_iter().chain([SIGWINCH])).context("catching signals")?))
    }

    /// Passes them on to the container, from a thread of its own. `tty`: stdin is its terminal.
    ///
    /// The first process of a container has no default actions, so that it may ignore what ends other programs: three
    /// SIGINT or SIGTERM in a row, and the loss of the terminal, end the sandbox.
    pub fn forward(self, worker: &Worker, tty: bool) -> Result<()> {
        let Caught(mut signals) = self;
        let remote = Arc::new(worker.remote()?);
        let mut requests = Requests::default();
        let forward = move || {
            for signal in signals.forever() {
                let sent = match signal {
                    SIGWINCH => remote.winsize(),
                    signal => remote.signal(signal as u32),
                };
                if sent.is_err() {
                    return;
                }
                if matches!(signal, SIGINT | SIGTERM) && requests.add(Instant::now()) {
                    say("ending the container: it was asked three times");
                    let _ = remote.kill();
                }
                if signal == SIGHUP && tty && is_hung_up(rustix::stdio::stdin()) {
                    kill_later(remote.clone());
                }
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(forward).context("starting the signal thread")?;
        Ok(())
    }
}

/// Ends the sandbox after the time for its clean-up.
fn kill_later(remote: Arc<Remote>) {
    let wait = move || {
        std::thread::sleep(GRACE);
        let _ = remote.kill();
    };
    // Without a thread the container goes on until it notices by itself.
    let _ = std::thread::Builder::new().name("hang-up".into()).spawn(wait);
}

/// Whether a terminal is gone for good.
fn is_hung_up(terminal: BorrowedFd<'_>) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut fds = [PollFd::new(&terminal, PollFlags::empty())];
    poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

/// The latest requests to end.
#[derive(Debug, Default)]
struct Requests(VecDeque<Instant>);

impl Requests {
    /// Notes one; true when it is the last of [`INSISTENCE`] within [`PATIENCE`].
    fn add(&mut self, now: Instant) -> bool {
        self.0.push_back(now);
        self.0.retain(|then| now.duration_since(*then) <= PATIENCE);
        self.0.len() >= INSISTENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_requests_in_a_row_are_an_order() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut requests = Requests::default();
        assert!(!requests.add(at(0)) && !requests.add(at(4)) && !requests.add(at(6)));
        assert!(requests.add(at(7)));
    }

    #[test]
    fn a_pipe_without_its_writer_is_hung_up() {
        use std::os::fd::AsFd;
        let (reader, writer) = std::io::pipe().unwrap();
        assert!(!is_hung_up(reader.as_fd()));
        drop(writer);
        assert!(is_hung_up(reader.as_fd()));
    }
}
