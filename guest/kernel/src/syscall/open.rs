//! Opening and closing: openat, openat2, close, close_range, dup, dup3.

use std::any::Any;
use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::{open, resolve};
use shallop_linux_abi::inotify::{IN_MODIFY, IN_OPEN};

use crate::dispatch::Call;
use crate::fs::pipe::{Pipe, PipeEnd};
use crate::kernel::Kernel;
use crate::tty::{TtyFile, job};
use crate::vfs::anonymous::AnonymousInode;
use crate::vfs::fd_table::FdTable;
use crate::vfs::lock::LockClass;
use crate::vfs::open_file::OpenFile;
use crate::vfs::path::Limits;
use crate::vfs::permission::{self, READ, WRITE};
use crate::vfs::{File, FileKind, Location, NewNode, SetAttr};
use crate::wait::{Stop, SysResult, Tid, Wait};

/// `openat(dirfd, path, flags, mode)`
pub fn openat(k: &mut Kernel, call: &Call) -> SysResult {
    let [dirfd, path, flags, mode, ..] = call.args;
    let path = k.path_argument(call.tid, path)?;
    open_at(k, call.tid, dirfd, &path, flags as u32, mode as u32, Limits::default())
}

/// `openat2(dirfd, path, how, size)`: RESOLVE_CACHED is refused with EAGAIN.
pub fn openat2(k: &mut Kernel, call: &Call) -> SysResult {
    let [dirfd, path, how, size, ..] = call.args;
    if size < 24 {
        return Err(Errno::EINVAL.into());
    }
    if size > 4096 {
        return Err(Errno::E2BIG.into());
    }
    let mut bytes = vec![0; size as usize];
    k.read_memory(call.tid, how, &mut bytes)?;
    if bytes[24..].iter().any(|b| *b != 0) {
        return Err(Errno::E2BIG.into());
    }
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    let (flags, mode, resolve) = (word(0), word(8), word(16));
    let known = resolve::NO_XDEV | resolve::NO_MAGICLINKS | resolve::NO_SYMLINKS | resolve::BENEATH | resolve::IN_ROOT;
    let scopes = resolve::BENEATH | resolve::IN_ROOT;
    if resolve & resolve::CACHED != 0 {
        return Err(Errno::EAGAIN.into());
    }
    if resolve & !known != 0 || resolve & scopes == scopes || flags > u64::from(u32::MAX) || mode & !0o7777 != 0 {
        return Err(Errno::EINVAL.into());
    }
    let limits = Limits {
        no_symlinks: resolve & resolve::NO_SYMLINKS != 0,
        no_magic_links: resolve & (resolve::NO_MAGICLINKS | resolve::NO_SYMLINKS) != 0,
        no_mounts: resolve & resolve::NO_XDEV != 0,
        beneath: resolve & resolve::BENEATH != 0,
        in_root: resolve & resolve::IN_ROOT != 0,
        name_only: false,
    };
    let path = k.path_argument(call.tid, path)?;
    open_at(k, call.tid, dirfd, &path, flags as u32, mode as u32, limits)
}

fn open_at(k: &mut Kernel, tid: Tid, dirfd: u64, path: &[u8], flags: u32, mode: u32, limits: Limits) -> SysResult {
    let flags = match flags & open::PATH {
        0 => flags,
        _ => flags & (open::PATH | open::DIRECTORY | open::NOFOLLOW | open::CLOEXEC),
    };
    if flags & open::TMPFILE == open::TMPFILE {
        return open_nameless(k, tid, dirfd, path, flags, mode, limits);
    }
    if flags & open::CREAT != 0 && flags & open::DIRECTORY != 0 {
        return Err(Errno::EINVAL.into());
    }
    k.check_descriptors(tid)?;
    if let Some(fifo) = waiting_at(k, tid) {
        let file = open_location(k, tid, &fifo, flags, true)?;
        return Ok(k.install(tid, file, flags & open::CLOEXEC != 0)?.into());
    }
    let exclusive = flags & open::CREAT != 0 && flags & open::EXCL != 0;
    let follow = flags & open::NOFOLLOW == 0 && !exclusive;
    let found = k.walk_at(tid, dirfd, path, follow, limits)?;
    let created = found.location.is_none() && flags & open::CREAT != 0;
    let location = match &found.location {
        Some(_) if exclusive => return Err(Errno::EEXIST.into()),
        Some(location) => location.clone(),
        None if !created => return Err(Errno::ENOENT.into()),
        None if found.slash => return Err(Errno::EISDIR.into()),
        None => k.create_at(tid, &found, &NewNode::Regular, mode)?,
    };
    let file = open_location(k, tid, &location, flags, created)?;
    Ok(k.install(tid, file, flags & open::CLOEXEC != 0)?.into())
}

/// O_TMPFILE: `path` is the directory.
fn open_nameless(
    k: &mut Kernel,
    tid: Tid,
    dirfd: u64,
    path: &[u8],
    flags: u32,
    mode: u32,
    limits: Limits,
) -> SysResult {
    if flags & open::ACCMODE == open::RDONLY || flags & open::CREAT != 0 {
        return Err(Errno::EINVAL.into());
    }
    k.check_descriptors(tid)?;
    let found = k.walk_at(tid, dirfd, path, flags & open::NOFOLLOW == 0, limits)?;
    let directory = found.location.ok_or(Errno::ENOENT)?;
    if directory.inode.kind() != FileKind::Directory {
        return Err(Errno::ENOTDIR.into());
    }
    let place = k.create_nameless(tid, &directory, mode, flags & open::EXCL == 0)?;
    let file = open_location(k, tid, &place, flags & !open::TMPFILE, true)?;
    Ok(k.install(tid, file, flags & open::CLOEXEC != 0)?.into())
}

/// Opens what was found. `created`: just now, so its mode does not bind its creator.
pub fn open_location(
    k: &mut Kernel,
    tid: Tid,
    location: &Location,
    flags: u32,
    created: bool,
) -> Result<Rc<OpenFile>, Stop> {
    let kind = location.inode.kind();
    if flags & open::DIRECTORY != 0 && kind != FileKind::Directory {
        return Err(Errno::ENOTDIR.into());
    }
    if kind == FileKind::Symlink && flags & open::PATH == 0 {
        return Err(Errno::ELOOP.into());
    }
    if flags & open::PATH != 0 {
        return Ok(OpenFile::new(Rc::new(PathFile), location.clone(), flags, &k.io.locks));
    }
    let writes = flags & open::ACCMODE != open::RDONLY;
    if kind == FileKind::Directory && (writes || flags & (open::CREAT | open::TRUNC) != 0) {
        return Err(Errno::EISDIR.into());
    }
    if !created {
        check_access(k, tid, location, flags)?;
    }
    let cut = flags & open::TRUNC != 0 && kind == FileKind::Regular && !created;
    if cut {
        location.inode.set_attr(&SetAttr { size: Some(0), ..SetAttr::default() })?;
        k.file_cut(&location.inode, 0);
    }
    let (file, place) = open_inode(k, tid, location, flags)?;
    if let (Some(tty), 0) = (file.as_any().downcast_ref::<TtyFile>(), flags & open::NOCTTY)
        && !tty.master
    {
        // Only a session leader without a terminal gets one; for others opening is just opening.
        let _ = job::adopt(k, tid, &tty.tty.clone());
    }
    let file = OpenFile::new(file, place, flags, &k.io.locks);
    file.watched_by(&k.io.watches);
    k.io.watches.tell(location, IN_OPEN);
    if cut {
        k.io.watches.tell(location, IN_MODIFY);
    }
    Ok(file)
}

fn check_access(k: &Kernel, tid: Tid, location: &Location, flags: u32) -> Result<(), Errno> {
    let mut want = match flags & open::ACCMODE {
        open::RDONLY => READ,
        open::WRONLY => WRITE,
        _ => READ | WRITE,
    };
    if flags & open::TRUNC != 0 {
        want |= WRITE;
    }
    permission::check(&k.task(tid).credentials, &location.inode, want)?;
    let stored = matches!(location.inode.kind(), FileKind::Regular | FileKind::Directory);
    if want & WRITE != 0 && stored { k.check_writable(location) } else { Ok(()) }
}

/// Opens by kind: FIFOs and devices belong to the kernel, whatever file system their names are on.
fn open_inode(k: &mut Kernel, tid: Tid, location: &Location, flags: u32) -> Result<(Rc<dyn File>, Location), Stop> {
    let inode = &location.inode;
    if inode.as_any().is::<AnonymousInode>() {
        return Ok((inode.open(flags)?, location.clone()));
    }
    match inode.kind() {
        FileKind::Fifo => Ok((open_fifo(k, tid, location, flags)?, location.clone())),
        FileKind::CharDevice => crate::fs::dev::open_device(k, tid, location, flags),
        FileKind::BlockDevice | FileKind::Socket => Err(Errno::ENXIO.into()),
        _ => Ok((inode.open(flags)?, location.clone())),
    }
}

/// A FIFO being opened, kept while the other side is awaited (fifo(7)).
struct Opening {
    /// Where it was found: its name may be another's since.
    location: Location,
    end: Rc<PipeEnd>,
    /// The other side's openings when the waiting began.
    seen: u64,
}

/// The FIFO that a call waits at, which is made again.
fn waiting_at(k: &Kernel, tid: Tid) -> Option<Location> {
    let saved = k.task(tid).progress.saved.as_ref()?;
    saved.downcast_ref::<Opening>().map(|opening| opening.location.clone())
}

fn open_fifo(k: &mut Kernel, tid: Tid, location: &Location, flags: u32) -> Result<Rc<dyn File>, Stop> {
    let stat = location.inode.stat()?;
    let saved = k.task_mut(tid).progress.saved.take().and_then(|saved| saved.downcast::<Opening>().ok());
    let pipe = {
        let mut fifos = k.io.fifos.borrow_mut();
        fifos.retain(|_, pipe| Rc::strong_count(pipe) > 1);
        fifos.entry((stat.dev, stat.ino)).or_insert_with(|| Rc::new(Pipe::default())).clone()
    };
    let reader = flags & open::ACCMODE == open::RDONLY;
    let writer = flags & open::ACCMODE == open::WRONLY;
    let nonblock = flags & open::NONBLOCK != 0;
    if saved.is_none() && writer && nonblock && pipe.readers() == 0 {
        return Err(Errno::ENXIO.into());
    }
    let others = |pipe: &Pipe| if reader { pipe.opened().1 } else { pipe.opened().0 };
    let begin =
        || Opening { location: location.clone(), seen: others(&pipe), end: Rc::new(PipeEnd::new(&pipe, flags)) };
    let opening = saved.map_or_else(begin, |opening| *opening);
    let present = if reader { pipe.writers() > 0 } else { pipe.readers() > 0 };
    if nonblock || !(reader || writer) || present || others(&pipe) != opening.seen {
        return Ok(opening.end);
    }
    let saved: Box<dyn Any> = Box::new(opening);
    k.task_mut(tid).progress.saved = Some(saved);
    Err(Stop::Block(Wait::on(pipe.queue())))
}

/// What O_PATH gives: a place without operations.
struct PathFile;

impl File for PathFile {
    fn read_at(&self, _offset: u64, _buf: &mut [u8], _nonblock: bool) -> Result<usize, Stop> {
        Err(Errno::EBADF.into())
    }

    fn write_at(&self, _offset: u64, _bytes: &[u8], _nonblock: bool) -> Result<usize, Stop> {
        Err(Errno::EBADF.into())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `close(fd)`
pub fn close(k: &mut Kernel, call: &Call) -> SysResult {
    let files = k.task(call.tid).files.clone();
    let file = files.borrow_mut().remove(call.args[0] as u32)?;
    closed(k, call.tid, &files.borrow(), &file);
    drop(file);
    crate::tty::send_pending(k);
    Ok(0)
}

/// Closing any descriptor of a file gives up the table's record locks on it (fcntl(2)), and what mq_notify(2) asked for.
fn closed(k: &Kernel, tid: Tid, table: &FdTable, file: &OpenFile) {
    super::mq::closed(file, k.task(tid).pid);
    if let (Some(owner), Ok(stat)) = (table.lock_owner_if_any(), file.location.inode.stat()) {
        k.io.locks.release(LockClass::Record, (stat.dev, stat.ino), owner, 0, u64::MAX);
    }
}

/// `close_range(first, last, flags)`: CLOSE_RANGE_UNSHARE (2), CLOSE_RANGE_CLOEXEC (4).
pub fn close_range(k: &mut Kernel, call: &Call) -> SysResult {
    let [first, last, flags, ..] = call.args.map(|a| a as u32);
    if first > last || flags & !6 != 0 {
        return Err(Errno::EINVAL.into());
    }
    if flags & 2 != 0 {
        let own = k.task(call.tid).files.borrow().clone();
        k.task_mut(call.tid).files = Rc::new(std::cell::RefCell::new(own));
    }
    let files = k.task(call.tid).files.clone();
    let range: Vec<u32> = files.borrow().iter().map(|(fd, _)| fd).filter(|fd| (first..=last).contains(fd)).collect();
    for fd in range {
        if flags & 4 != 0 {
            files.borrow_mut().set_cloexec(fd, true)?;
        } else {
            let file = files.borrow_mut().remove(fd)?;
            closed(k, call.tid, &files.borrow(), &file);
        }
    }
    crate::tty::send_pending(k);
    Ok(0)
}

/// `dup(fd)`
pub fn dup(k: &mut Kernel, call: &Call) -> SysResult {
    let file = k.any_file(call.tid, call.args[0])?;
    Ok(k.install(call.tid, file, false)?.into())
}

/// `dup3(old, new, flags)`
pub fn dup3(k: &mut Kernel, call: &Call) -> SysResult {
    let [old, new, flags, ..] = call.args;
    let flags = flags as u32;
    if flags & !open::CLOEXEC != 0 || old as u32 == new as u32 {
        return Err(Errno::EINVAL.into());
    }
    let file = k.any_file(call.tid, old)?;
    if u64::from(new as u32) >= k.open_files_limit(call.tid) {
        return Err(Errno::EBADF.into());
    }
    let files = k.task(call.tid).files.clone();
    let before = files.borrow_mut().replace(new as u32, file, flags & open::CLOEXEC != 0);
    if let Some(before) = before {
        closed(k, call.tid, &files.borrow(), &before);
        drop(before);
        crate::tty::send_pending(k);
    }
    Ok(u64::from(new as u32))
}
