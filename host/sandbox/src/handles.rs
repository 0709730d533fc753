//! The kernel's handles: what was granted at launch and what was opened or made since.

use std::fs::File;
use std::sync::Arc;

use cap_std::fs::Dir;
use shallop_address_space::Stability;

use crate::Grant;
use crate::process::Errno;
use crate::slab::Slab;

/// Handles at most, so that a kernel gone wrong cannot use up the process's memory.
const MAX_HANDLES: usize = 1 << 20;

/// What a handle stands for.
pub enum Handle {
    /// Never changes. Read and mapped private.
    Immutable(Arc<File>),
    /// This sandbox's alone: upper data. It never has more than `limit` bytes.
    Own {
        file: Arc<File>,
        limit: u64,
    },
    /// Memory that several may map.
    Object(Arc<File>),
    /// Outside files; never mapped.
    Volume {
        file: File,
        read_only: bool,
    },
    Directory {
        dir: Dir,
        read_only: bool,
    },
}

/// All handles of one sandbox.
pub struct Handles(Slab<Handle>);

impl Handles {
    /// The grants get the handles 0, 1, 2, … in their order.
    pub fn new(grants: Vec<Grant>) -> Handles {
        let mut table = Slab::new(MAX_HANDLES.max(grants.len()));
        for grant in grants {
            let _ = table.insert(match grant {
                Grant::Immutable(file) => Handle::Immutable(Arc::new(file)),
                Grant::Own { file, limit } => Handle::Own { file: Arc::new(file), limit },
                Grant::VolumeFile { file, read_only } => Handle::Volume { file, read_only },
                Grant::Directory { dir, read_only } => Handle::Directory { dir, read_only },
            });
        }
        Handles(table)
    }

    pub fn insert(&mut self, handle: Handle) -> Result<u32, Errno> {
        self.0.insert(handle).ok_or(libc::ENFILE)
    }

    pub fn remove(&mut self, number: u32) -> Result<Handle, Errno> {
        self.0.remove(number).ok_or(libc::EBADF)
    }

    /// A file to read from.
    pub fn file(&self, number: u32) -> Result<&File, Errno> {
        match self.0.get(number) {
            Some(Handle::Immutable(file) | Handle::Own { file, .. } | Handle::Object(file)) => Ok(file),
            Some(Handle::Volume { file, .. }) => Ok(file),
            Some(Handle::Directory { .. }) => Err(libc::EISDIR),
            None => Err(libc::EBADF),
        }
    }

    /// A file to change.
    pub fn file_mut(&self, number: u32) -> Result<&File, Errno> {
        match self.0.get(number) {
            Some(Handle::Immutable(_) | Handle::Volume { read_only: true, .. }) => Err(libc::EROFS),
            _ => self.file(number),
        }
    }

    /// Most bytes that a file may have.
    pub fn limit(&self, number: u32) -> u64 {
        match self.0.get(number) {
            Some(Handle::Own { limit, .. }) => *limit,
            _ => u64::MAX,
        }
    }

    /// A file to map.
    pub fn mappable(&self, number: u32) -> Result<(&Arc<File>, Stability), Errno> {
        match self.0.get(number) {
            Some(Handle::Immutable(file)) => Ok((file, Stability::Immutable)),
            Some(Handle::Own { file, .. } | Handle::Object(file)) => Ok((file, Stability::Own)),
            Some(_) => Err(libc::ENODEV),
            None => Err(libc::EBADF),
        }
    }

    /// The file that a handle stands for, when that is the sandbox's own, on disk.
    pub fn own(&self, number: u32) -> Option<&Arc<File>> {
        match self.0.get(number) {
            Some(Handle::Own { file, .. }) => Some(file),
            _ => None,
        }
    }

    /// A volume's root, and whether it is read-only.
    pub fn directory(&self, number: u32) -> Result<(&Dir, bool), Errno> {
        match self.0.get(number) {
            Some(Handle::Directory { dir, read_only }) => Ok((dir, *read_only)),
            Some(_) => Err(libc::ENOTDIR),
            None => Err(libc::EBADF),
        }
    }

    /// A volume's root for a change.
    pub fn directory_mut(&self, number: u32) -> Result<&Dir, Errno> {
        match self.directory(number)? {
            (_, true) => Err(libc::EROFS),
            (dir, false) => Ok(dir),
        }
    }
}
