//! [`LayerError`]: what can be wrong with a layer, in sentences for people.

use std::fmt;

/// Why a layer could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerError {
    /// The bytes are not what the format says. `offset` is where, in bytes from the file's start.
    Corrupt { what: String, offset: u64 },
    /// An entry that a well-meant layer never has, such as a path with `..` in it.
    Hostile { path: String, why: String },
    /// A well-formed entry of a kind that is not supported.
    Unsupported { path: String, what: String },
    /// More of something than is allowed.
    Limit { what: String, max: u64 },
    /// Reading or writing the underlying file failed.
    Io(String),
}

impl LayerError {
    pub(crate) fn corrupt(what: impl Into<String>, offset: u64) -> LayerError {
        LayerError::Corrupt { what: what.into(), offset }
    }

    pub(crate) fn hostile(path: &[u8], why: impl Into<String>) -> LayerError {
        LayerError::Hostile { path: shown(path), why: why.into() }
    }

    pub(crate) fn unsupported(path: &[u8], what: impl Into<String>) -> LayerError {
        LayerError::Unsupported { path: shown(path), what: what.into() }
    }

    pub(crate) fn limit(what: impl Into<String>, max: u64) -> LayerError {
        LayerError::Limit { what: what.into(), max }
    }
}

/// A path for a message: at most 200 bytes of it, control characters escaped.
fn shown(path: &[u8]) -> String {
    let cut = &path[..path.len().min(200)];
    let text: String = String::from_utf8_lossy(cut).chars().flat_map(char::escape_debug).collect();
    if cut.len() < path.len() { format!("{text}…") } else { text }
}

impl fmt::Display for LayerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayerError::Corrupt { what, offset } => write!(f, "layer is damaged at byte {offset}: {what}"),
            LayerError::Hostile { path, why } => write!(f, "layer entry \"{path}\" is refused: {why}"),
            LayerError::Unsupported { path, what } => write!(f, "layer entry \"{path}\" is not supported: {what}"),
            LayerError::Limit { what, max } => write!(f, "layer is too large: {what} (at most {max})"),
            LayerError::Io(text) => write!(f, "layer could not be read or written: {text}"),
        }
    }
}

impl std::error::Error for LayerError {}

impl From<std::io::Error> for LayerError {
    fn from(e: std::io::Error) -> LayerError {
        LayerError::Io(e.to_string())
    }
}
