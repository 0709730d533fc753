//! [`StoreError`]: what can go wrong with the store, in sentences for people. Docker's words where Docker has them.

use std::io;
use std::path::{Path, PathBuf};

use shallop_layer::LayerError;
use shallop_oci::{Digest, Platform, ReferenceError};

pub type Result<T> = std::result::Result<T, StoreError>;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing here has this name or id. Callers may offer a substitute or a pull.
    #[error("No such image: {name}")]
    NoSuchImage { name: String },
    #[error("image ID prefix \"{prefix}\" is ambiguous: {} and {} begin with it", .ids[0], .ids[1])]
    AmbiguousImage { prefix: String, ids: [Digest; 2] },
    #[error(
        "image with reference {name} was found but does not provide the specified platform ({wanted}): it is for {found}"
    )]
    WrongPlatform { name: String, wanted: Box<Platform>, found: Box<Platform> },
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A removal that would take something from a container or from another name.
    #[error("conflict: {0}")]
    Conflict(String),
    #[error("No such container: {name}")]
    NoSuchContainer { name: String },
    #[error("Multiple IDs found with provided prefix: {prefix}")]
    AmbiguousContainer { prefix: String },
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{id}\". \
         You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameInUse { name: String, id: String },
    #[error("Invalid container name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    InvalidName(String),
    #[error("blob {0} is not in the store; make its image again")]
    NoSuchBlob(Digest),
    #[error("layer {0} is not in the store; make its image again")]
    NoSuchLayer(Digest),
    /// Content that is not what its name says.
    #[error("{what} is corrupt: expected {expected}, found {found}")]
    Mismatch { what: String, expected: Digest, found: Digest },
    /// Something stored that is no longer what it was.
    #[error("{what} is damaged ({}: {why}); make its image again", path.display())]
    Damaged { what: String, path: PathBuf, why: String },
    /// A document that cannot be understood.
    #[error("{what} is not valid: {why}")]
    Invalid { what: String, why: String },
    #[error("layer {media_type} is of an unsupported media type")]
    MediaType { media_type: String },
    #[error(transparent)]
    Layer(#[from] LayerError),
    #[error("no space left on the file system of {}; nothing was kept. `shallop rm` and `shallop rmi` make room", path.display())]
    NoSpace { path: PathBuf },
    #[error("the database {} is damaged: {why}", path.display())]
    Database { path: PathBuf, why: String },
    #[error("the database {} is of version {found}, this shallop knows {known}: use a newer shallop", path.display())]
    NewerDatabase { path: PathBuf, found: i64, known: i64 },
    #[error("the store is busy: {0}")]
    Busy(String),
    // The cause is part of the message, so it is not given as the source: it would be told twice.
    #[error("{doing} {}: {cause}", path.display())]
    Io { doing: &'static str, path: PathBuf, cause: io::Error },
    #[error("this machine gives no random numbers: {0}")]
    Random(String),
    /// Reading what the caller gave failed.
    #[error("reading the content to store: {0}")]
    Input(io::Error),
}

impl StoreError {
    /// An I/O error on one of our files; a full disk is told apart.
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> StoreError {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::NoSpace { path: path.to_owned() },
            _ => StoreError::Io { doing, path: path.to_owned(), cause: source },
        }
    }

    pub(crate) fn invalid(what: impl Into<String>, why: impl ToString) -> StoreError {
        StoreError::Invalid { what: what.into(), why: why.to_string() }
    }

    /// Whether it says that the image is not here (and could be pulled or built).
    pub fn is_no_such_image(&self) -> bool {
        matches!(self, StoreError::NoSuchImage { .. })
    }
}

/// Adds what was being done to an I/O error.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T> {
        self.map_err(|e| StoreError::io(doing, path, e))
    }
}
