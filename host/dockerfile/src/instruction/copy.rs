//! COPY: `[--from] [--chown] [--chmod] source … destination`, in words or as a JSON array.

use super::Input;
use crate::error::Result;
use crate::heredoc::{self, Heredoc};
use crate::words;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    pub sources: Vec<Source>,
    pub destination: String,
    /// A stage (name or number) or an image.
    pub from: Option<String>,
    pub chown: Option<String>,
    pub chmod: Option<String>,
    /// Asked for with --link; the result is the same here.
    pub link: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path or pattern, not expanded.
    Path(String),
    /// A file written in the Dockerfile; its name is the heredoc's.
    Inline(Heredoc),
}

pub(super) fn parse(mut input: Input<'_>) -> Result<Copy> {
    let from = input.flags.value("from")?;
    if from.as_ref().is_some_and(|from| from.contains('$')) {
        return Err(input
            .error("variable expansion is not supported for --from")
            .hint("define a new stage with FROM using ARG from global scope as a workaround"));
    }
    let (chown, chmod) = (input.flags.value("chown")?, input.flags.value("chmod")?);
    let link = input.flags.boolean("link")?;
    input.flags.not_yet(&["parents", "exclude", "keep-git-dir", "checksum", "unpack"], input.keyword)?;
    let json = words::json(input.arguments);
    let all = json.unwrap_or_else(|| words::split_raw(input.arguments, input.escape));
    let mut inline = input.heredocs.iter();
    let mut paths: Vec<Source> = all
        .into_iter()
        .map(|word| match heredoc::announced(&word, input.escape).and_then(|_| inline.next()) {
            Some(document) => Source::Inline(document.clone()),
            None => Source::Path(word),
        })
        .collect();
    let destination = match paths.pop() {
        Some(Source::Path(path)) if !paths.is_empty() => path,
        _ => {
            return Err(input
                .error(format!("{} requires at least two arguments", input.keyword))
                .hint("COPY source … destination"));
        }
    };
    let copy = Copy { sources: paths, destination, from, chown, chmod, link };
    input.flags.finish()?;
    Ok(copy)
}
