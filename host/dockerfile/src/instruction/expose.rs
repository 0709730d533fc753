//! EXPOSE: `port[/protocol] …`.

use super::Input;
use crate::words;

/// Not expanded, not checked.
pub(super) fn parse(input: &Input<'_>) -> Vec<String> {
    words::split_raw(input.arguments, input.escape)
}
