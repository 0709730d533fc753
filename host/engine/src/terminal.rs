//! The user's terminal: raw while a container runs with `-it`, silent while a password is typed; restored whatever happens.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcsetattr};

/// Holds the terminal in another mode; dropping it restores what was there.
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
        RawTerminal::change(stdin, |mode| mode.make_raw()).map(Some)
    }

    /// Lets stdin's terminal show nothing of what is typed; `None` when stdin is no terminal.
    pub fn without_echo(stdin: BorrowedFd<'_>) -> Result<Option<RawTerminal>> {
        if !isatty(stdin) {
            return Ok(None);
        }
        RawTerminal::change(stdin, |mode| mode.local_modes.remove(LocalModes::ECHO)).map(Some)
    }

    fn change(stdin: BorrowedFd<'_>, change: impl Fn(&mut Termios)) -> Result<RawTerminal> {
        let before = tcgetattr(stdin).context("reading the terminal's mode")?;
        let mut mode = before.clone();
        change(&mut mode);
        tcsetattr(stdin, OptionalActions::Now, &mode).context("changing the terminal's mode")?;
        Ok(RawTerminal { terminal: stdin.try_clone_to_owned()?, before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // Nothing better can be done when this fails: the terminal is gone.
        let _ = tcsetattr(self.terminal.as_fd(), OptionalActions::Now, &self.before);
    }
}
