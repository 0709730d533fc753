//! The terminal of Linux and macOS.

use std::io::{Stdin, stdin};
use std::os::fd::{AsFd, OwnedFd};

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
    pub fn enter() -> Result<Option<RawTerminal>> {
        RawTerminal::change(stdin(), |mode| mode.make_raw())
    }

    /// Lets stdin's terminal show nothing of what is typed; `None` when stdin is no terminal.
    pub fn without_echo() -> Result<Option<RawTerminal>> {
        RawTerminal::change(stdin(), |mode| mode.local_modes.remove(LocalModes::ECHO))
    }

    fn change(stdin: Stdin, change: impl Fn(&mut Termios)) -> Result<Option<RawTerminal>> {
        if !isatty(&stdin) {
            return Ok(None);
        }
        let before = tcgetattr(&stdin).context("reading the terminal's mode")?;
        let mut mode = before.clone();
        change(&mut mode);
        tcsetattr(&stdin, OptionalActions::Now, &mode).context("changing the terminal's mode")?;
        Ok(Some(RawTerminal { terminal: stdin.as_fd().try_clone_to_owned()?, before }))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // Nothing better can be done when this fails: the terminal is gone.
        let _ = tcsetattr(self.terminal.as_fd(), OptionalActions::Now, &self.before);
    }
}
