//! Files of a build context on Linux and macOS.

use std::path::PathBuf;

use cap_std::fs::{FileTypeExt, Metadata, MetadataExt};
use shallop_layer::tar::Time;

/// Rights, as an image has them.
pub(crate) fn mode(meta: &Metadata) -> u32 {
    meta.mode() & 0o7777
}

pub(crate) fn is_fifo(meta: &Metadata) -> bool {
    meta.file_type().is_fifo()
}

/// When the content was changed.
pub(crate) fn modified(meta: &Metadata) -> Time {
    Time { sec: meta.mtime(), nsec: meta.mtime_nsec() as u32 }
}

/// A link's target, as an image has it.
pub(crate) fn target(path: PathBuf) -> Vec<u8> {
    path.into_os_string().into_encoded_bytes()
}
