//! Physical lines to logical ones: comments, continuation, here-documents. The main type is [`Line`].

use crate::error::{Error, Result, Span};
use crate::heredoc::{self, Heredoc};

/// One instruction's text with its continuation lines joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Without leading and trailing white space.
    pub text: String,
    pub span: Span,
    pub heredocs: Vec<Heredoc>,
}

/// Bytes of a file at most.
pub const MAX_FILE: usize = 4 << 20;

/// Splits a file into logical lines.
///
/// # Errors
/// A file over [`MAX_FILE`] bytes, or a here-document without its end.
pub fn split(text: &str, escape: char) -> Result<Vec<Line>> {
    if text.len() > MAX_FILE {
        return Err(Error::new(Span::default(), format!("the file is larger than {} MiB", MAX_FILE >> 20)));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let physical: Vec<&str> = text.lines().collect();
    let mut lines = Vec::new();
    let mut at = 0;
    while at < physical.len() {
        let first = physical[at].trim_start();
        if first.is_empty() || first.starts_with('#') {
            at += 1;
            continue;
        }
        let start = at;
        let joined = join(&physical, &mut at, escape);
        let column = physical[start].chars().count() - first.chars().count() + 1;
        let mut span = Span { line: start + 1, column, end_line: at };
        let text = joined.trim().to_owned();
        let heredocs = heredoc::take(&text, &physical, &mut at, escape, span)?;
        span.end_line = at;
        if !text.is_empty() {
            lines.push(Line { text, span, heredocs });
        }
    }
    Ok(lines)
}

/// Joins the line at `at` with those it continues on; leaves `at` behind the last of them.
fn join(physical: &[&str], at: &mut usize, escape: char) -> String {
    let mut joined = String::new();
    let mut first = true;
    while let Some(line) = physical.get(*at) {
        *at += 1;
        if !first && is_skipped(line) {
            continue;
        }
        let line = if first { line.trim_start() } else { line };
        first = false;
        match continued(line, escape) {
            Some(before) => joined.push_str(before),
            None => {
                joined.push_str(line);
                break;
            }
        }
    }
    joined
}

/// Comments and empty lines inside a continued instruction do not count.
fn is_skipped(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// The line without its final escape character, when it has one.
fn continued(line: &str, escape: char) -> Option<&str> {
    let before = line.trim_end_matches([' ', '\t', '\r']).strip_suffix(escape)?;
    // An escaped escape character is a character like others.
    let run = before.chars().rev().take_while(|c| *c == escape).count();
    (run % 2 == 0).then_some(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(file: &str) -> Vec<String> {
        split(file, '\\').unwrap().into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn continuation_skips_comments_and_empty_lines() {
        assert_eq!(texts("RUN a \\\n# c\n\n  && b\nCMD c"), ["RUN a   && b", "CMD c"]);
        assert_eq!(texts("RUN a \\"), ["RUN a"]);
        assert_eq!(texts("RUN a\\\\\nCMD c"), ["RUN a\\\\", "CMD c"]);
    }

    #[test]
    fn spans_count_from_one() {
        let lines = split("# c\n\n  RUN a \\\n b\nCMD c\n", '\\').unwrap();
        assert_eq!(lines[0].span, Span { line: 3, column: 3, end_line: 4 });
        assert_eq!(lines[1].span, Span { line: 5, column: 1, end_line: 5 });
    }
}
