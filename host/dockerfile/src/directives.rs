//! Parser directives: `# escape=`, `# syntax=`, `# check=` before anything else (Dockerfile reference, "Parser directives").

use crate::error::{Error, Result, Span};

/// What the directives say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// `\` or a backtick.
    pub escape: char,
    /// The front end that the file asks for; this one is used whatever it says.
    pub syntax: Option<String>,
    pub check: Option<String>,
}

/// Reads the directives at the start of a file.
///
/// # Errors
/// An escape character that is neither `\` nor a backtick, or a directive given twice.
pub fn parse(text: &str) -> Result<Directives> {
    let mut found = Directives { escape: '\\', syntax: None, check: None };
    let mut seen = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (i, line) in text.lines().enumerate() {
        let Some((name, value)) = directive(line) else { break };
        let span = Span { line: i + 1, column: 1, end_line: i + 1 };
        if seen.contains(&name) {
            return Err(Error::new(span, format!("only one {name} parser directive can be used")));
        }
        match name.as_str() {
            "escape" => found.escape = escape(value, span)?,
            "syntax" => found.syntax = Some(value.to_owned()),
            "check" => found.check = Some(value.to_owned()),
            // Any other `# word=value` is a comment, and ends the directives.
            _ => break,
        }
        seen.push(name);
    }
    Ok(found)
}

fn directive(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.trim().strip_prefix('#')?.split_once('=')?;
    let name = name.trim();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric());
    is_name.then(|| (name.to_ascii_lowercase(), value.trim()))
}

fn escape(value: &str, span: Span) -> Result<char> {
    match value {
        "\\" => Ok('\\'),
        "`" => Ok('`'),
        _ => Err(Error::new(span, format!("invalid escape token '{value}': it must be a backslash or a backtick"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_stop_at_the_first_other_line() {
        let found = parse("# syntax=docker/dockerfile:1\n# escape=`\nFROM x\n# escape=\\\n").unwrap();
        assert_eq!((found.escape, found.syntax.as_deref()), ('`', Some("docker/dockerfile:1")));
        assert_eq!(parse("\u{feff}#escape = `\n").unwrap().escape, '`');
        assert_eq!(parse("# a comment\n# escape=`\n").unwrap().escape, '\\');
        assert_eq!(parse("# escape=x\n").unwrap_err().span.line, 1);
    }
}
