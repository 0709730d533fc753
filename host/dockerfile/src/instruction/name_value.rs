//! `name=value …` and the old form `name value`, which ENV and LABEL share.

use super::Input;
use crate::error::Result;
use crate::words;

/// The pairs; values keep their quotes until they are expanded.
pub fn parse(input: &Input<'_>) -> Result<Vec<(String, String)>> {
    let all = words::split_raw(input.arguments, input.escape);
    let keyword = input.keyword;
    let first = all.first().map(String::as_str).unwrap_or_default();
    if !first.contains('=') {
        return match input.arguments.split_once(char::is_whitespace) {
            Some((name, value)) => Ok(vec![(name.to_owned(), value.trim().to_owned())]),
            None => {
                Err(input.error(format!("{keyword} must have two arguments")).hint(format!("{keyword} name=value")))
            }
        };
    }
    all.into_iter()
        .map(|word| match word.split_once('=') {
            Some((name, _)) if is_blank(name) => Err(input.error(format!("{keyword} names can not be blank"))),
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => {
                let error =
                    input.error(format!("Syntax error - can't find = in \"{word}\". Must be of the form: name=value"));
                Err(error)
            }
        })
        .collect()
}

pub fn is_blank(name: &str) -> bool {
    name.trim_matches(['"', '\'']).is_empty()
}
