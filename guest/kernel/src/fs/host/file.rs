//! `HostFile`: an open regular file of the host.

use std::any::Any;
use std::rc::Rc;

use shallop_host_abi::hypercall::HostStat;
use shallop_host_abi::spec::Handle;
use shallop_linux_abi::Errno;
use shallop_platform::Platform;

use crate::tunables::PAGE;
use crate::vfs::{Backing, File};
use crate::wait::Stop;

/// An open host descriptor; closed with its last user.
pub(super) struct Opened {
    pub platform: &'static dyn Platform,
    pub handle: Handle,
    /// False for what was granted at the start and stays open.
    pub owned: bool,
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.owned {
            self.platform.file_close(self.handle);
        }
    }
}

impl Opened {
    pub fn stat(&self) -> Result<HostStat, Errno> {
        self.platform.file_stat(self.handle)
    }
}

/// An open file, for as much as open(2)'s access mode allows.
pub(super) struct HostFile {
    pub opened: Rc<Opened>,
    pub writable: bool,
}

impl File for HostFile {
    fn read_at(&self, offset: u64, buf: &mut [u8], _nonblock: bool) -> Result<usize, Stop> {
        Ok(self.opened.platform.file_read(self.opened.handle, offset, buf)?)
    }

    fn write_at(&self, offset: u64, bytes: &[u8], _nonblock: bool) -> Result<usize, Stop> {
        if !self.writable {
            return Err(Errno::EBADF.into());
        }
        Ok(self.opened.platform.file_write(self.opened.handle, offset, bytes)?)
    }

    /// Copies for private mappings. A shared one of a file open for writing would have to write back: ENODEV.
    fn backing(&self, offset: u64, len: u64, shared: bool) -> Result<Vec<Backing>, Errno> {
        if shared && self.writable {
            return Err(Errno::ENODEV);
        }
        let size = self.opened.platform.file_size(self.opened.handle)?;
        let end = size.checked_next_multiple_of(PAGE).ok_or(Errno::EOVERFLOW)?;
        match len.min(end.saturating_sub(offset)) {
            0 => Ok(Vec::new()),
            len => Ok(vec![Backing::Copy { len }]),
        }
    }

    fn sync(&self) -> Result<(), Errno> {
        self.opened.platform.file_sync(self.opened.handle)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
