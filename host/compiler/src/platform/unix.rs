//! The code cache on Linux and macOS.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, setrlimit};

/// Lets nobody but the owner into a folder.
pub(crate) fn make_private(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, Permissions::from_mode(0o700))
}

/// Opens a file to be read; a link is an error.
pub(crate) fn open_itself(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Whether a file is ours and nobody else can write it.
pub(crate) fn is_ours_alone(meta: &Metadata) -> bool {
    meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o022 == 0
}

/// Opens a file or folder so that its times can be set.
pub(crate) fn open_to_mark(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Bounds this process: bytes of address space, seconds of CPU time.
pub(crate) fn bound(memory: u64, cpu_seconds: u64) -> Result<()> {
    let limit = |value| Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(Resource::As, limit(memory)).context("limiting memory")?;
    setrlimit(Resource::Cpu, limit(cpu_seconds)).context("limiting CPU time")
}
