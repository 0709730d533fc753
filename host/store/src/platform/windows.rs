//! The store's files on Windows. The folders that they are in belong to the user, and what is made in them does too.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// CreateFileW: the right to set times, and the flag without which folders are not opened.
const FILE_WRITE_ATTRIBUTES: u32 = 0x100;
const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;

/// The folder above decides who may enter.
pub(crate) fn private_folder(builder: &mut DirBuilder) -> &mut DirBuilder {
    builder
}

/// The folder above decides who may read.
pub(crate) fn private_file(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// The folder above decides who may read.
pub(crate) fn shared_file(_: &mut tempfile::Builder<'_, '_>) {}

/// Windows has no call for it: the file system writes the names in its journal by itself.
pub(crate) fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Opens a file or folder so that its times can be set.
pub(crate) fn open_to_touch(path: &Path) -> io::Result<File> {
    OpenOptions::new().access_mode(FILE_WRITE_ATTRIBUTES).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(path)
}

/// Whether an open file is the one that is at `path` now.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = same_file::Handle::from_file(file.try_clone()?)?;
    Ok(same_file::Handle::from_path(path).is_ok_and(|there| there == ours))
}

/// Whether a folder could not be renamed because there is something at its new place: Windows calls that a lack of rights.
pub(crate) fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists | io::ErrorKind::PermissionDenied
    )
}

pub(crate) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(bytes, offset)
}

/// A lock on a file of a folder that is about to be removed: the folder could not go while a file in it is open.
pub(crate) fn kept_while_removing<T>(lock: T) -> Option<T> {
    drop(lock);
    None
}
