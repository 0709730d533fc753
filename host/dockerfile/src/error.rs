//! Errors with their place in the file: [`Span`], [`Error`] and how it is shown.

use std::fmt;

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

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_deref().unwrap_or("Dockerfile");
        write!(f, "{file}:{}:{}: {}", self.span.line, self.span.column, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        if let Some(line) = &self.source_line {
            let number = self.span.line.to_string();
            let margin = " ".repeat(number.len());
            let shown: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let indent = " ".repeat(self.span.column.saturating_sub(1));
            write!(f, "\n {margin} |\n {number} | {shown}\n {margin} | {indent}^")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

pub type Result<T> = std::result::Result<T, Error>;
