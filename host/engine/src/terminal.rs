//! The user's terminal during `-it`: raw while the container runs, restored whatever happens.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};

/// Holds the terminal in raw mode; dropping it restores what was there.
#[derive(Debug)]
pub struct RawTerminal {
    terminal: OwnedFd,
    before: Termios,
}

impl RawTerminal {
    /// Makes stdin's terminal raw; `None` when stdin is no terminal.
    pub fn enter(stdin: BorrowedFd<'_>) -> Result<Option<RawTerminal>> {
        if !isatty(stdin) {
            return Ok(None);
        }
        let before = tcgetattr(stdin).context("reading the terminal's mode")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin, OptionalActions::Now, &raw).context("making the terminal raw")?;
        Ok(Some(RawTerminal { terminal: stdin.try_clone_to_owned()?, before }))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // Nothing better can be done when this fails: the terminal is gone.
        let _ = tcsetattr(self.terminal.as_fd(), OptionalActions::Now, &self.before);
    }
}
