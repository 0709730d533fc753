//! Writing files so that they are there whole or not at all, and lock files that die with their process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::SystemTime;

use crate::error::{Doing, Result, StoreError};
use crate::platform;

/// Bytes copied at a time.
const CHUNK: usize = 128 * 1024;

/// Creates a folder, with its parents, that only its owner may enter.
pub fn create_dir(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    platform::private_folder(fs::DirBuilder::new().recursive(true)).create(path).doing("creating", path)
}

/// Creates a new file that only its owner may read.
pub fn create_file(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    platform::private_file(options.read(true).write(true).create_new(true)).open(path).doing("creating", path)
}

/// Puts a folder's entries on stable storage.
pub fn sync_dir(path: &Path) -> Result<()> {
    platform::sync_dir(path).doing("syncing", path)
}

/// Copies everything, and tells errors of the reader from those of our file at `path`.
pub fn copy(from: &mut dyn Read, to: &mut dyn Write, path: &Path) -> Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut total = 0;
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(StoreError::Input(e)),
        };
        to.write_all(&buffer[..n]).doing("writing", path)?;
        total += n as u64;
    }
}

/// Opens a file, `None` when there is none.
pub fn open_if_exists(path: &Path) -> Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StoreError::io("opening", path, e)),
    }
}

/// Whether two files have the same content; so do two that are missing.
pub fn same(a: &Path, b: &Path) -> Result<bool> {
    let (mut a_file, mut b_file) = match (open_if_exists(a)?, open_if_exists(b)?) {
        (Some(a), Some(b)) => (a, b),
        (a, b) => return Ok(a.is_none() && b.is_none()),
    };
    let (a_meta, b_meta) = (a_file.metadata().doing("reading", a)?, b_file.metadata().doing("reading", b)?);
    if !a_meta.is_file() || !b_meta.is_file() || a_meta.len() != b_meta.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut remaining = a_meta.len();
    while remaining > 0 {
        let n = usize::try_from(remaining).unwrap_or(CHUNK).min(CHUNK);
        a_file.read_exact(&mut left[..n]).doing("reading", a)?;
        b_file.read_exact(&mut right[..n]).doing("reading", b)?;
        if left[..n] != right[..n] {
            return Ok(false);
        }
        remaining -= n as u64;
    }
    Ok(true)
}

/// Sets the time of modification to now: young content is not collected.
pub fn touch(path: &Path) -> Result<()> {
    let now = fs::FileTimes::new().set_modified(SystemTime::now());
    platform::open_to_touch(path).and_then(|file| file.set_times(now)).doing("touching", path)
}

/// Removes a file or a folder; one that is gone is fine.
pub fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io("removing", path, e)),
        _ => Ok(()),
    }
}

/// Names of a folder's entries; none when there is no folder. Names that are not UTF-8 are not ours.
pub fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StoreError::io("reading", dir, e)),
    };
    let names: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.file_name().into_string())).collect();
    Ok(names.doing("reading", dir)?.into_iter().flatten().collect())
}

/// A lock on a file. It ends when this is dropped, or with the process, however that ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Waits for the lock.
    pub fn exclusive(path: &Path) -> Result<Lock> {
        Lock::acquire(path, |file| file.lock().map_err(TryLockError::Error))
    }

    /// Waits for the lock; several may hold it this way.
    pub fn shared(path: &Path) -> Result<Lock> {
        Lock::acquire(path, |file| file.lock_shared().map_err(TryLockError::Error))
    }

    /// The lock, or `None` when another holds it.
    pub fn try_exclusive(path: &Path) -> Result<Option<Lock>> {
        match Lock::acquire(path, File::try_lock) {
            Ok(lock) => Ok(Some(lock)),
            Err(StoreError::Io { cause, .. }) if cause.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether somebody holds it. A missing file is not held.
    pub fn is_held(path: &Path) -> Result<bool> {
        let Some(file) = open_if_exists(path)? else { return Ok(false) };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(e)) => Err(StoreError::io("locking", path, e)),
        }
    }

    fn acquire(path: &Path, lock: impl Fn(&File) -> std::result::Result<(), TryLockError>) -> Result<Lock> {
        let mut options = OpenOptions::new();
        platform::private_file(options.read(true).write(true).create(true).truncate(false));
        loop {
            let file = options.open(path).doing("opening the lock", path)?;
            match lock(&file).map_err(io::Error::from) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other.doing("locking", path)?,
            }
            // The file may have been removed between opening and locking: then the lock is on nothing.
            if platform::is_at(&file, path).doing("reading", path)? {
                return Ok(Lock { file });
            }
        }
    }

    /// The locked file.
    pub fn file(&self) -> &File {
        &self.file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_excludes_and_ends_with_its_value() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(!Lock::is_held(&path).unwrap());
        let lock = Lock::exclusive(&path).unwrap();
        assert!(Lock::is_held(&path).unwrap());
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        drop(lock);
        assert!(!Lock::is_held(&path).unwrap());
        assert!(Lock::try_exclusive(&path).unwrap().is_some());
    }

    #[test]
    fn missing_things_are_fine_to_remove_and_list() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none");
        remove(&path).unwrap();
        assert!(names(&path).unwrap().is_empty());
        create_dir(&path.join("a/b")).unwrap();
        assert_eq!(names(&path).unwrap(), ["a"]);
        remove(&path).unwrap();
        assert!(!path.exists());
    }
}
