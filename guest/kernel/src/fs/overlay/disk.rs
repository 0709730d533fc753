//! `HostFile`: a file of the host as the layer crate wants it.

use std::cell::Cell;

use shallop_host_abi::spec::Handle;
use shallop_layer::{LayerError, ReadAt, WriteAt};
use shallop_linux_abi::Errno;
use shallop_platform::Platform;

/// A granted file. It remembers the last error number, which [`LayerError`] has no room for.
pub(super) struct HostFile {
    platform: &'static dyn Platform,
    handle: Handle,
    error: Cell<Option<Errno>>,
}

impl HostFile {
    pub(super) fn new(platform: &'static dyn Platform, handle: Handle) -> HostFile {
        HostFile { platform, handle, error: Cell::new(None) }
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle
    }

    /// The error number behind the last [`LayerError::Io`].
    pub(super) fn take_error(&self) -> Option<Errno> {
        self.error.take()
    }

    fn failed(&self, errno: Errno) -> LayerError {
        self.error.set(Some(errno));
        LayerError::Io(errno.text().to_string())
    }
}

impl ReadAt for HostFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, LayerError> {
        self.platform.file_read(self.handle, offset, buf).map_err(|e| self.failed(e))
    }

    fn size(&self) -> Result<u64, LayerError> {
        self.platform.file_size(self.handle).map_err(|e| self.failed(e))
    }
}

impl WriteAt for HostFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), LayerError> {
        let mut done = 0;
        while done < bytes.len() {
            match self.platform.file_write(self.handle, offset + done as u64, &bytes[done..]) {
                Ok(0) => return Err(self.failed(Errno::ENOSPC)),
                Ok(n) => done += n,
                Err(errno) => return Err(self.failed(errno)),
            }
        }
        Ok(())
    }

    fn resize(&self, len: u64) -> Result<(), LayerError> {
        self.platform.file_resize(self.handle, len).map_err(|e| self.failed(e))
    }

    fn sync(&self) -> Result<(), LayerError> {
        self.platform.file_sync(self.handle).map_err(|e| self.failed(e))
    }
}
