//! ADD: COPY's grammar; URLs and git repositories as sources are refused (unpacking is the builder's to refuse).

use super::{Copy, Input, Source, copy};
use crate::error::{Error, Result};

pub(super) fn parse(input: Input<'_>) -> Result<Copy> {
    let span = input.span;
    let copy = copy::parse(input)?;
    if copy.from.is_some() {
        return Err(Error::new(span, "unknown flag: --from").hint("ADD has none; COPY has"));
    }
    let remote = copy.sources.iter().find_map(|source| match source {
        Source::Path(path) if is_remote(path) => Some(path.clone()),
        _ => None,
    });
    match remote {
        Some(path) => Err(Error::new(span, format!("ADD {path}: remote sources are not done yet"))
            .hint("download it before the build and COPY it")),
        None => Ok(copy),
    }
}

fn is_remote(path: &str) -> bool {
    ["http://", "https://", "git://", "git@", "ssh://"].iter().any(|scheme| path.starts_with(scheme))
}
