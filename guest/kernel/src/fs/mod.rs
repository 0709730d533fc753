//! A folder per file system.

pub mod dev;
pub mod devpts;
pub mod host;
pub mod overlay;
pub mod pipe;
pub mod proc;
pub mod pseudo;
pub mod sys;
pub mod tmpfs;

use std::any::Any;
use std::cell::Cell;

use shallop_linux_abi::Errno;

use crate::vfs::File;
use crate::wait::Stop;

thread_local! {
    /// Minor number of the last device number given away; those below are taken by fixed ones.
    static LAST_DEVICE: Cell<u64> = const { Cell::new(0x1f) };
}

/// A fresh st_dev for a mounted file system: major 0, as Linux gives those without a block device.
pub fn anonymous_device() -> u64 {
    let minor = LAST_DEVICE.get() + 1;
    LAST_DEVICE.set(minor);
    // new_encode_dev with major 0.
    (minor & 0xff) | (minor & !0xff) << 12
}

/// An open directory; its names are read through the inode.
pub struct OpenDirectory;

impl File for OpenDirectory {
    fn read_at(&self, _offset: u64, _buf: &mut [u8], _nonblock: bool) -> Result<usize, Stop> {
        Err(Errno::EISDIR.into())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
