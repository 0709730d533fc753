//! CMD and ENTRYPOINT, and the two forms of a command: a shell's text or a JSON array of arguments.

use super::Input;
use crate::words;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// Given to the shell in force.
    Shell(String),
    Exec(Vec<String>),
}

/// What is no valid JSON array is a shell's text, as with Docker.
pub(super) fn parse(input: &Input<'_>) -> CommandLine {
    match words::json(input.arguments) {
        Some(arguments) => CommandLine::Exec(arguments),
        None => CommandLine::Shell(input.arguments.to_owned()),
    }
}
