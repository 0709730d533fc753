//! VOLUME: paths, in words or as a JSON array.

use super::Input;
use crate::error::Result;
use crate::words;

pub(super) fn parse(input: &Input<'_>) -> Result<Vec<String>> {
    let paths = words::json(input.arguments).unwrap_or_else(|| words::split_raw(input.arguments, input.escape));
    match paths.iter().any(|path| path.trim().is_empty()) {
        true => Err(input.error("VOLUME specified can not be an empty string")),
        false => Ok(paths),
    }
}
