//! The console of Windows, whose mode is not changed yet.

use anyhow::{Result, bail};

/// Would hold the terminal in another mode.
#[derive(Debug)]
pub struct RawTerminal;

impl RawTerminal {
    /// Leaves stdin's terminal as it is: a WASI module reads lines.
    ///
    /// # Errors
    /// None.
    pub fn enter() -> Result<Option<RawTerminal>> {
        Ok(None)
    }

    /// # Errors
    /// Always: a password would be seen.
    pub fn without_echo() -> Result<Option<RawTerminal>> {
        bail!("a password cannot be asked for on Windows yet: write it to the command's stdin, with --password-stdin")
    }
}
