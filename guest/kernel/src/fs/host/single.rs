//! A mount of one host file that is already open.

use std::any::Any;
use std::cell::Cell;
use std::rc::Rc;

use shallop_host_abi::spec::Handle;
use shallop_linux_abi::Errno;
use shallop_linux_abi::file::open;
use shallop_platform::Platform;

use super::file::{HostFile, Opened};
use super::{shown, statfs};
use crate::vfs::{File, FileKind, FileSystem, Inode, InodeRef, SetAttr, Stat};
use crate::wait::Stop;

/// The file; its file system holds nothing else.
#[derive(Clone)]
struct Single(Rc<Shared>);

struct Shared {
    opened: Rc<Opened>,
    read_only: bool,
    owner: Cell<(u32, u32)>,
    /// Permission bits that were set inside; the host's are not changed.
    mode: Cell<Option<u32>>,
    device: u64,
}

/// The file behind `handle`, which stays open; it looks as if (uid, gid) owned it.
pub fn host_file(
    platform: &'static dyn Platform,
    handle: Handle,
    read_only: bool,
    uid: u32,
    gid: u32,
) -> Result<InodeRef, Errno> {
    platform.file_stat(handle)?;
    let opened = Rc::new(Opened { platform, handle, owned: false });
    let device = crate::fs::anonymous_device();
    let (owner, mode) = (Cell::new((uid, gid)), Cell::new(None));
    Ok(Rc::new(Single(Rc::new(Shared { opened, read_only, owner, mode, device }))))
}

impl Inode for Single {
    fn kind(&self) -> FileKind {
        FileKind::Regular
    }

    fn stat(&self) -> Result<Stat, Errno> {
        let host = self.0.opened.stat()?;
        let mut stat = shown(&host, self.0.device, host.ino, self.0.owner.get());
        let permissions = self.0.mode.get().unwrap_or(stat.mode & 0o7777);
        stat.mode = FileKind::Regular.mode_bits() | permissions;
        Ok(stat)
    }

    fn set_attr(&self, attr: &SetAttr) -> Result<(), Errno> {
        if self.0.read_only {
            return Err(Errno::EROFS);
        }
        if let Some(size) = attr.size {
            self.0.opened.platform.file_resize(self.0.opened.handle, size)?;
        }
        let (uid, gid) = self.0.owner.get();
        self.0.owner.set((attr.uid.unwrap_or(uid), attr.gid.unwrap_or(gid)));
        if let Some(mode) = attr.mode {
            self.0.mode.set(Some(mode & 0o7777));
        }
        // There is no way to set the times of an open host file; writing sets them.
        Ok(())
    }

    fn fs(&self) -> Rc<dyn FileSystem> {
        Rc::new(self.clone())
    }

    fn open(&self, flags: u32) -> Result<Rc<dyn File>, Stop> {
        let writable = flags & open::ACCMODE != open::RDONLY;
        if writable && self.0.read_only {
            return Err(Errno::EROFS.into());
        }
        Ok(Rc::new(HostFile { opened: self.0.opened.clone(), writable }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl FileSystem for Single {
    fn name(&self) -> &'static str {
        "fuse.shallop"
    }

    fn dev(&self) -> u64 {
        self.0.device
    }

    fn root(&self) -> InodeRef {
        Rc::new(self.clone())
    }

    fn read_only(&self) -> bool {
        self.0.read_only
    }

    fn statfs(&self) -> (u64, u64, u64, u64, u64, u64) {
        statfs()
    }
}
