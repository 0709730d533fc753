//! Files of a build context on Windows.

use std::path::PathBuf;

use cap_std::fs::{Metadata, MetadataExt};
use shallop_layer::tar::Time;

/// Between 1601, where Windows begins to count, and 1970.
const EPOCH_SECONDS: i64 = 11_644_473_600;

/// Intervals of Windows' clock in a second.
const INTERVALS: u64 = 10_000_000;

/// Files have no rights here that an image could have; Docker on Windows lets everybody read and execute too.
pub(crate) fn mode(_: &Metadata) -> u32 {
    0o755
}

/// Pipes are not in folders.
pub(crate) fn is_fifo(_: &Metadata) -> bool {
    false
}

/// When the content was changed.
pub(crate) fn modified(meta: &Metadata) -> Time {
    let time = meta.last_write_time();
    let sec = i64::try_from(time / INTERVALS).unwrap_or(i64::MAX).saturating_sub(EPOCH_SECONDS);
    Time { sec, nsec: (time % INTERVALS * 100) as u32 }
}

/// A link's target, as an image has it: with slashes.
pub(crate) fn target(path: PathBuf) -> Vec<u8> {
    path.to_string_lossy().replace('\\', "/").into_bytes()
}
