//! Memory objects: anonymous files behind shared mappings and behind files that are mapped writable.

use crate::Error;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use std::fs::File;
use std::sync::Arc;

/// An anonymous, resizable file (memfd_create(2)), zero-filled.
///
/// It may shrink while it is mapped, so mappings of it are [`Stability::Own`](crate::Stability::Own).
#[derive(Clone, Debug)]
pub struct MemoryObject(Arc<File>);

impl MemoryObject {
    /// A new object of `len` bytes.
    pub fn create(len: u64) -> Result<MemoryObject, Error> {
        let fd = memfd_create("shallop-object", MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL)
            .or_else(|_| memfd_create("shallop-object", MemfdFlags::CLOEXEC))?;
        ftruncate(&fd, len)?;
        Ok(MemoryObject(Arc::new(File::from(fd))))
    }

    /// The file, to map, read, write and resize it.
    pub fn file(&self) -> Arc<File> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn objects_start_as_zeroes_and_may_be_resized() {
        let object = MemoryObject::create(5000).expect("create");
        let file = object.file();
        assert_eq!(file.metadata().expect("stat").len(), 5000);
        let mut byte = [7];
        assert_eq!(file.read_at(&mut byte, 4999).expect("read"), 1);
        assert_eq!(byte, [0]);
        file.set_len(100).expect("shrinks");
        file.set_len(1 << 20).expect("grows");
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(MemoryObject::create(u64::MAX).is_err());
    }
}
