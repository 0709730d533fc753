//! FROM: `[--platform=…] image [AS name]`.

use super::Input;
use crate::error::Result;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// An image, an earlier stage or `scratch`; not expanded.
    pub image: String,
    pub platform: Option<String>,
    /// The stage's name, in lower case.
    pub name: Option<String>,
}

pub(super) fn parse(mut input: Input<'_>) -> Result<From> {
    let words: Vec<&str> = input.arguments.split_whitespace().collect();
    let (image, name) = match words[..] {
        [image] => (image, None),
        [image, as_, name] if as_.eq_ignore_ascii_case("as") => (image, Some(name.to_ascii_lowercase())),
        _ => return Err(input.error("FROM requires either one or three arguments").hint("FROM image [AS name]")),
    };
    if let Some(name) = &name
        && !is_stage_name(name)
    {
        return Err(input.error(format!(
            "invalid name for build stage: \"{name}\", name can't start with a number or contain symbols"
        )));
    }
    let platform = input.flags.value("platform")?;
    let found = From { image: image.to_owned(), platform, name };
    input.flags.finish()?;
    Ok(found)
}

fn is_stage_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'))
}
