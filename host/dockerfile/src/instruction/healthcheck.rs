//! HEALTHCHECK: `NONE` or `[--interval …] CMD command`. Kept in the image's configuration; nothing runs it yet.

use super::{CommandLine, Input, command};
use crate::error::Result;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    None,
    Check {
        command: CommandLine,
        /// Durations as written (`30s`), by flag name: interval, timeout, start-period, start-interval.
        durations: Vec<(String, String)>,
        retries: Option<u32>,
    },
}

pub(super) fn parse(mut input: Input<'_>) -> Result<Healthcheck> {
    let (word, rest) = input.arguments.split_once(char::is_whitespace).unwrap_or((input.arguments, ""));
    let mut durations = Vec::new();
    for flag in ["interval", "timeout", "start-period", "start-interval"] {
        if let Some(value) = input.flags.value(flag)? {
            durations.push((flag.to_owned(), value));
        }
    }
    let retries = match input.flags.value("retries")? {
        Some(text) => Some(text.parse().map_err(|_| input.error(format!("--retries={text} is no number")))?),
        None => None,
    };
    let found = match word.to_ascii_uppercase().as_str() {
        "NONE" if rest.is_empty() => Healthcheck::None,
        "NONE" => return Err(input.error("HEALTHCHECK NONE takes no arguments")),
        "CMD" if rest.trim().is_empty() => return Err(input.error("Missing command after HEALTHCHECK CMD")),
        "CMD" => {
            input.arguments = rest.trim();
            Healthcheck::Check { command: command::parse(&input), durations, retries }
        }
        other => return Err(input.error(format!("Unknown type \"{other}\" in HEALTHCHECK (try CMD)"))),
    };
    input.flags.finish()?;
    Ok(found)
}
