//! inotify_init1, inotify_add_watch, inotify_rm_watch: `InotifyFile` is read for what happened to watched files.

use std::any::Any;
use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::{at, open};
use shallop_linux_abi::inotify::*;

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::vfs::anonymous::{self, Label};
use crate::vfs::open_file::OpenFile;
use crate::vfs::permission::{self, READ};
use crate::vfs::watch::{Watcher, Watches};
use crate::vfs::{File, FileKind, poll};
use crate::wait::{Stop, SysResult, Wait, WaitQueue};

/// An open inotify instance.
pub struct InotifyFile {
    watches: Rc<Watches>,
    pub watcher: Rc<Watcher>,
}

impl File for InotifyFile {
    fn read_at(&self, _offset: u64, buf: &mut [u8], nonblock: bool) -> Result<usize, Stop> {
        let bytes = self.watcher.take(buf.len())?;
        if bytes.is_empty() {
            return match nonblock {
                true => Err(Errno::EAGAIN.into()),
                false => Err(Stop::Block(Wait::on(&self.watcher.queue))),
            };
        }
        buf[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn write_at(&self, _offset: u64, _bytes: &[u8], _nonblock: bool) -> Result<usize, Stop> {
        Err(Errno::EBADF.into())
    }

    fn seekable(&self) -> bool {
        false
    }

    fn poll(&self) -> u32 {
        if self.watcher.waiting() > 0 { poll::IN } else { 0 }
    }

    fn wait_queue(&self) -> Option<WaitQueue> {
        Some(self.watcher.queue.clone())
    }

    fn available(&self) -> Option<usize> {
        Some(self.watcher.waiting())
    }

    fn release(&self) {
        self.watches.close(&self.watcher);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `inotify_init1(flags)`
pub fn inotify_init1(k: &mut Kernel, call: &Call) -> SysResult {
    let flags = call.args[0] as u32;
    if flags & !(open::CLOEXEC | open::NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let watches = k.io.watches.clone();
    let watcher = watches.open()?;
    let place = anonymous::location(&k.io, Label::Anon("inotify"), 0, 0, k.now_realtime());
    let file = Rc::new(InotifyFile { watches, watcher });
    let file = OpenFile::new(file, place, flags & open::NONBLOCK, &k.io.locks);
    Ok(k.install(call.tid, file, flags & open::CLOEXEC != 0)?.into())
}

fn instance(file: &OpenFile) -> Result<&InotifyFile, Errno> {
    file.file.as_any().downcast_ref::<InotifyFile>().ok_or(Errno::EINVAL)
}

/// `inotify_add_watch(fd, path, mask)`
pub fn inotify_add_watch(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, path, mask, ..] = call.args;
    let mask = mask as u32;
    if mask & IN_ALL_EVENTS == 0 || mask & IN_MASK_ADD != 0 && mask & IN_MASK_CREATE != 0 {
        return Err(Errno::EINVAL.into());
    }
    let file = k.file(call.tid, fd)?;
    let instance = instance(&file)?;
    let path = k.path_argument(call.tid, path)?;
    let place = k.resolve_at(call.tid, at::FDCWD as u64, &path, mask & IN_DONT_FOLLOW == 0)?;
    if mask & IN_ONLYDIR != 0 && place.inode.kind() != FileKind::Directory {
        return Err(Errno::ENOTDIR.into());
    }
    permission::check(&k.task(call.tid).credentials, &place.inode, READ)?;
    Ok(instance.watches.add(&instance.watcher, &place.inode, mask)? as u64)
}

/// `inotify_rm_watch(fd, wd)`
pub fn inotify_rm_watch(k: &mut Kernel, call: &Call) -> SysResult {
    let file = k.file(call.tid, call.args[0])?;
    let instance = instance(&file)?;
    instance.watches.remove(&instance.watcher, call.args[1] as i32)?;
    Ok(0)
}
