//! The code cache on Windows. It is in a folder that belongs to the user, and what is made in it does too.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Result;

/// CreateFileW: the right to set times, the flag without which folders are not opened, and that for a link itself.
const FILE_WRITE_ATTRIBUTES: u32 = 0x100;
const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;

/// The folder above decides who may enter.
pub(crate) fn make_private(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Opens a file to be read; of a link nothing can be read.
pub(crate) fn open_itself(path: &Path) -> io::Result<File> {
    let flags = FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// The folder above decides who may write.
pub(crate) fn is_ours_alone(_: &Metadata) -> bool {
    true
}

/// Opens a file or folder so that its times can be set.
pub(crate) fn open_to_mark(path: &Path) -> io::Result<File> {
    OpenOptions::new().access_mode(FILE_WRITE_ATTRIBUTES).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(path)
}

/// A process of Windows bounds itself only by a job object, which is not made yet.
pub(crate) fn bound(_memory: u64, _cpu_seconds: u64) -> Result<()> {
    Ok(())
}
