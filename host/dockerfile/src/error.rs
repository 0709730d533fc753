//! Errors with their place in the file: [`Span`], [`Error`] and how it is shown.

use std::fmt;

/// How much of a line and of a message is shown.
const LINE_CHARS: usize = 160;
const MESSAGE_CHARS: usize = 2000;

/// A place in the file; lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub line: usize,
    pub column: usize,
    /// The last line of the instruction.
    pub end_line: usize,
}

/// What is wrong, where, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub message: String,
    pub hint: Option<String>,
    pub span: Span,
    /// The line of the file, as it stands there.
    pub source_line: Option<String>,
    /// The file's name, when the caller has said it.
    pub file: Option<String>,
}

impl Error {
    pub fn new(span: Span, message: impl Into<String>) -> Error {
        Error { message: message.into(), hint: None, span, source_line: None, file: None }
    }

    /// Adds how to mend it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the file's name and the text of the line.
    #[must_use]
    pub fn within(mut self, file: &str, text: &str) -> Error {
        self.file = Some(file.to_owned());
        self.source_line = text.lines().nth(self.span.line.saturating_sub(1)).map(str::to_owned);
        self
    }
}

/// The beginning of a text that is longer than anybody reads.
fn shorten(text: &str, chars: usize) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_deref().unwrap_or("Dockerfile");
        write!(f, "{file}:{}:{}: {}", self.span.line, self.span.column, shorten(&self.message, MESSAGE_CHARS))?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        if let Some(line) = &self.source_line {
            let number = self.span.line.to_string();
            let margin = " ".repeat(number.len());
            let shown: String =
                line.chars().take(LINE_CHARS + 1).map(|c| if c.is_control() { ' ' } else { c }).collect();
            write!(f, "\n {margin} |\n {number} | {}", shorten(&shown, LINE_CHARS))?;
            if self.span.column <= LINE_CHARS {
                let indent = " ".repeat(self.span.column.saturating_sub(1));
                write!(f, "\n {margin} | {indent}^")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endless_lines_are_cut() {
        let span = Span { line: 1, column: 1, end_line: 1 };
        let long = "é".repeat(100_000);
        let shown = Error::new(span, long.clone()).within("Dockerfile", &long).to_string();
        assert!(shown.chars().count() < 3000 && shown.contains("é…\n") && shown.ends_with("  | ^"), "{shown}");
        let far = Error::new(Span { column: 5000, ..span }, "x").within("Dockerfile", &long).to_string();
        assert!(far.ends_with('…'), "{far}");
    }
}
