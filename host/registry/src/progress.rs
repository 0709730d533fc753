//! [`Progress`]: what a pull tells of itself.

use std::time::Duration;

use shallop_oci::{Digest, Reference};

/// What happens to a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is to be fetched.
    Wanted,
    AlreadyExists,
    /// Bytes that came, of all.
    Downloading {
        done: u64,
        size: u64,
    },
    /// The connection broke; it is tried again after this time.
    Retrying(Duration),
    Downloaded,
    Unpacking,
    Done,
}

/// Is told how a pull goes, from several threads.
pub trait Progress: Sync {
    /// What this name stands for was found; it is fetched from now on.
    fn begin(&self, name: &Reference);
    /// `layer` is the digest of the blob.
    fn layer(&self, layer: &Digest, step: Step);
    /// Something worth a line: a mirror that failed.
    fn note(&self, text: &str);
    /// Nothing more comes, for better or worse.
    fn end(&self);
}

/// Says nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &Reference) {}
    fn layer(&self, _: &Digest, _: Step) {}
    fn note(&self, _: &str) {}
    fn end(&self) {}
}
