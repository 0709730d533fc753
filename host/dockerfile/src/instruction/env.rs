//! ENV: `name=value …` or `name value`.

use super::{Input, name_value};
use crate::error::Result;

pub(super) fn parse(input: &Input<'_>) -> Result<Vec<(String, String)>> {
    name_value::parse(input)
}
