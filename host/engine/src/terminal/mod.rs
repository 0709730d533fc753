//! The user's terminal: raw while a container runs with `-it`, silent while a password is typed; restored whatever happens.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::RawTerminal;
#[cfg(windows)]
pub use windows::RawTerminal;
