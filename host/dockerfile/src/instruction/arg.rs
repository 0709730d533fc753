//! ARG: `name[=default] …`.

use super::Input;
use super::name_value;
use crate::error::Result;
use crate::words;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    pub name: String,
    /// Not expanded.
    pub default: Option<String>,
}

pub(super) fn parse(input: &Input<'_>) -> Result<Vec<Arg>> {
    words::split_raw(input.arguments, input.escape)
        .into_iter()
        .map(|word| {
            let (name, default) = match word.split_once('=') {
                Some((name, default)) => (name.to_owned(), Some(default.to_owned())),
                None => (word, None),
            };
            match name_value::is_blank(&name) {
                true => Err(input.error("ARG names can not be blank")),
                false => Ok(Arg { name, default }),
            }
        })
        .collect()
}
