//! SHELL: a JSON array.

use super::Input;
use crate::error::Result;
use crate::words;

pub(super) fn parse(input: &Input<'_>) -> Result<Vec<String>> {
    match words::json(input.arguments) {
        Some(words) if !words.is_empty() => Ok(words),
        Some(_) => Err(input.error("SHELL requires at least one argument")),
        None => Err(input.error("SHELL requires the arguments to be in JSON form").hint(r#"SHELL ["/bin/sh", "-c"]"#)),
    }
}
