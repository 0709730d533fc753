//! [`RegistryError`]: why something cannot be had from a registry, in Docker's words where Docker has them.

use std::path::PathBuf;

use shallop_oci::{Digest, Platform};
use shallop_store::StoreError;

pub type Result<T> = std::result::Result<T, RegistryError>;

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The repository is there, the tag or digest is not.
    #[error("manifest for {name} not found: {message}")]
    ManifestUnknown { name: String, message: String },
    /// Refused; a registry does not say whether the repository exists.
    #[error("pull access denied for {repository}, repository does not exist or may require 'shallop login': {message}")]
    Denied { repository: String, message: String },
    #[error("no matching manifest for {wanted} in the manifest list entries (there are: {})", list(.there))]
    NoPlatform { wanted: Platform, there: Vec<Platform> },
    #[error(
        "image with reference {name} was found but does not match the specified platform: wanted {wanted}, actual: {found}"
    )]
    WrongPlatform { name: String, wanted: Box<Platform>, found: Box<Platform> },
    /// An answer that is no success, with what the registry says of it.
    #[error("{method} {url}: {status}: {message}")]
    Status { method: &'static str, url: String, status: u16, message: String },
    #[error("toomanyrequests: {message}")]
    TooManyRequests { message: String },
    /// No answer, or one that broke off.
    #[error("{method} {url}: {why}")]
    Transport {
        method: &'static str,
        url: String,
        why: String,
        /// Another try may succeed.
        transient: bool,
    },
    /// An answer that is not what the specification says.
    #[error("{url}: {why}")]
    Protocol { url: String, why: String },
    #[error("{what} is corrupt: expected {expected}, found {found}")]
    Mismatch { what: String, expected: Digest, found: Digest },
    #[error("{what} is not valid: {why}")]
    Invalid { what: String, why: String },
    /// Credentials that a registry does not take.
    #[error("{message}")]
    Unauthorized { message: String },
    /// A file of the user's.
    #[error("{}: {why}", path.display())]
    File { path: PathBuf, why: String },
    #[error("{program}: {why}")]
    Helper { program: String, why: String },
    #[error("{0}")]
    Name(String),
    #[error(transparent)]
    Store(StoreError),
}

fn list(platforms: &[Platform]) -> String {
    match platforms {
        [] => "none".to_owned(),
        some => some.iter().map(Platform::to_string).collect::<Vec<_>>().join(", "),
    }
}

impl RegistryError {
    /// Whether the same request may succeed a moment later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            RegistryError::Transport { transient, .. } => *transient,
            RegistryError::Status { status, .. } => matches!(status, 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// Whether the image is the matter, and not this machine: its disk, its configuration.
    pub fn is_about_the_image(&self) -> bool {
        !matches!(self, RegistryError::Store(_) | RegistryError::File { .. } | RegistryError::Helper { .. })
    }

    pub(crate) fn protocol(url: impl ToString, why: impl ToString) -> RegistryError {
        RegistryError::Protocol { url: url.to_string(), why: why.to_string() }
    }

    pub(crate) fn invalid(what: impl Into<String>, why: impl ToString) -> RegistryError {
        RegistryError::Invalid { what: what.into(), why: why.to_string() }
    }
}

/// An error of ours that went through the store as one of its input comes out again.
impl From<StoreError> for RegistryError {
    fn from(error: StoreError) -> RegistryError {
        match error {
            StoreError::Input(e) => match e.downcast::<RegistryError>() {
                Ok(ours) => ours,
                Err(e) => RegistryError::Store(StoreError::Input(e)),
            },
            StoreError::Mismatch { what, expected, found } => RegistryError::Mismatch { what, expected, found },
            other => RegistryError::Store(other),
        }
    }
}
