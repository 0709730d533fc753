//! A folder per file system.

pub mod dev;
pub mod devpts;
pub mod host;
pub mod mqueue;
pub mod overlay;
pub mod pipe;
pub mod proc;
pub mod pseudo;
pub mod sys;
pub mod tmpfs;

use std::any::Any;
use std::cell::Cell;
use std::rc::Rc;

use shallop_linux_abi::Errno;

use crate::kernel::Kernel;
use crate::task::Credentials;
use crate::vfs::anonymous::{self, Label};
use crate::vfs::path::{Limits, Walk};
use crate::vfs::{File, Location};
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

/// The place of a path that the kernel itself opens. Where there is no such file, a place outside the tree that is
/// labelled with the path.
pub fn place(k: &Kernel, path: &[u8]) -> Location {
    let root = k.mounts.root();
    let credentials = Credentials::new(0, 0, Vec::new());
    let walk =
        Walk { mounts: &k.mounts, credentials: &credentials, root: &root, kernel: None, limits: Limits::default() };
    walk.resolve(&root, path, true).unwrap_or_else(|_| {
        let mut label = anonymous::location(&k.io, Label::Anon("device"), 0, 0, k.now_realtime());
        label.name = Rc::from(path);
        label
    })
}
