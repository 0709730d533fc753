//! Layers of a container's file system: canonical tars, their indexes, the merged view, the writable upper layer.
//!
//! Formats and tables only; files are reached through [`ReadAt`] and [`WriteAt`]. The host and the kernel both
//! compile this crate. `tar` reads and writes tar archives, `index` finds things in a tar read in place, `merge`
//! overlays several indexes, `upper` is the journal and the extents of the writable layer.
#![forbid(unsafe_code)]

pub mod error;
pub mod index;
pub mod merge;
pub mod tar;
pub mod upper;

use std::cell::RefCell;

pub use error::LayerError;

/// Bytes of a page; what mappable data is aligned to.
pub const PAGE: u64 = 4096;

/// Extended attributes: name (`user.x`) and value.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// A file that is read at offsets.
pub trait ReadAt {
    /// Reads up to `buf.len()` bytes from `offset`; 0 at or past the end.
    ///
    /// # Errors
    /// [`LayerError::Io`].
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, LayerError>;

    /// Its length in bytes.
    ///
    /// # Errors
    /// [`LayerError::Io`].
    fn size(&self) -> Result<u64, LayerError>;

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// [`LayerError::Corrupt`] when the file ends before.
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), LayerError> {
        let mut done = 0;
        while done < buf.len() {
            let at = offset.saturating_add(done as u64);
            match self.read_at(at, &mut buf[done..])? {
                0 => return Err(LayerError::corrupt("file ends early", at)),
                n => done += n,
            }
        }
        Ok(())
    }
}

/// A file that is also written at offsets.
pub trait WriteAt: ReadAt {
    /// Writes all of `bytes` at `offset`, growing the file as needed.
    ///
    /// # Errors
    /// [`LayerError::Io`].
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), LayerError>;

    /// Cuts or grows (with zeroes) to `len` bytes.
    ///
    /// # Errors
    /// [`LayerError::Io`].
    fn resize(&self, len: u64) -> Result<(), LayerError>;

    /// What was written is on stable storage afterwards.
    ///
    /// # Errors
    /// [`LayerError::Io`].
    fn sync(&self) -> Result<(), LayerError>;
}

impl ReadAt for [u8] {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, LayerError> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let n = buf.len().min(self.len() - from);
        buf[..n].copy_from_slice(&self[from..from + n]);
        Ok(n)
    }

    fn size(&self) -> Result<u64, LayerError> {
        Ok(self.len() as u64)
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, LayerError> {
        self.as_slice().read_at(offset, buf)
    }

    fn size(&self) -> Result<u64, LayerError> {
        Ok(self.len() as u64)
    }
}

/// A file in memory.
impl ReadAt for RefCell<Vec<u8>> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, LayerError> {
        self.borrow().read_at(offset, buf)
    }

    fn size(&self) -> Result<u64, LayerError> {
        Ok(self.borrow().len() as u64)
    }
}

impl WriteAt for RefCell<Vec<u8>> {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), LayerError> {
        let too_far = || LayerError::Io(format!("offset {offset} is too large for a file in memory"));
        let from = usize::try_from(offset).map_err(|_| too_far())?;
        let end = from.checked_add(bytes.len()).ok_or_else(too_far)?;
        let mut file = self.borrow_mut();
        if file.len() < end {
            file.resize(end, 0);
        }
        file[from..end].copy_from_slice(bytes);
        Ok(())
    }

    fn resize(&self, len: u64) -> Result<(), LayerError> {
        let len = usize::try_from(len).map_err(|_| LayerError::Io(format!("{len} bytes do not fit in memory")))?;
        self.borrow_mut().resize(len, 0);
        Ok(())
    }

    fn sync(&self) -> Result<(), LayerError> {
        Ok(())
    }
}

#[cfg(unix)]
impl ReadAt for std::fs::File {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, LayerError> {
        Ok(std::os::unix::fs::FileExt::read_at(self, buf, offset)?)
    }

    fn size(&self) -> Result<u64, LayerError> {
        Ok(self.metadata()?.len())
    }
}

#[cfg(unix)]
impl WriteAt for std::fs::File {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), LayerError> {
        Ok(std::os::unix::fs::FileExt::write_all_at(self, bytes, offset)?)
    }

    fn resize(&self, len: u64) -> Result<(), LayerError> {
        Ok(self.set_len(len)?)
    }

    fn sync(&self) -> Result<(), LayerError> {
        Ok(self.sync_data()?)
    }
}

#[cfg(windows)]
impl ReadAt for std::fs::File {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, LayerError> {
        Ok(std::os::windows::fs::FileExt::seek_read(self, buf, offset)?)
    }

    fn size(&self) -> Result<u64, LayerError> {
        Ok(self.metadata()?.len())
    }
}
