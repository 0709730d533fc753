//! Reading and writing: read, write and their vector and positioned forms, lseek, truncation, copying between files.

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::{open, seek};
use shallop_linux_abi::inotify::{IN_ACCESS, IN_MODIFY};
use shallop_linux_abi::rlimit::RLIMIT_FSIZE;

use super::signalfd::SignalFile;
use crate::dispatch::Call;
use crate::fs::pipe::PipeEnd;
use crate::fs::pseudo::PseudoFile;
use crate::kernel::Kernel;
use crate::signal::number::SIGXFSZ;
use crate::signal::{SignalInfo, Target};
use crate::task::credentials::cap;
use crate::tty::stdio::broken_pipe;
use crate::tty::{TtyFile, job};
use crate::vfs::open_file::OpenFile;
use crate::vfs::permission::{self, WRITE};
use crate::vfs::{FileKind, Location, SetAttr};
use crate::wait::{Stop, SysResult, Tid};

/// Most bytes that one call moves (MAX_RW_COUNT).
pub const MAX_BYTES: u64 = 0x7fff_f000;
/// Most bytes held in kernel memory at a time.
pub const CHUNK: usize = 128 << 10;
/// Most segments of a vector (UIO_MAXIOV).
const MAX_SEGMENTS: u64 = 1024;

/// A piece of guest memory: address, length.
pub type Segment = (u64, u64);

/// `read(fd, buf, count)`
pub fn read(k: &mut Kernel, call: &Call) -> SysResult {
    let file = readable(k, call)?;
    transfer_in(k, call.tid, &file, &one(call), None)
}

/// `write(fd, buf, count)`
pub fn write(k: &mut Kernel, call: &Call) -> SysResult {
    let file = writable(k, call)?;
    transfer_out(k, call.tid, &file, &one(call), None)
}

/// `readv(fd, iov, count)`
pub fn readv(k: &mut Kernel, call: &Call) -> SysResult {
    let file = readable(k, call)?;
    let segments = vector(k, call)?;
    transfer_in(k, call.tid, &file, &segments, None)
}

/// `writev(fd, iov, count)`
pub fn writev(k: &mut Kernel, call: &Call) -> SysResult {
    let file = writable(k, call)?;
    let segments = vector(k, call)?;
    transfer_out(k, call.tid, &file, &segments, None)
}

/// `pread64(fd, buf, count, offset)`
pub fn pread64(k: &mut Kernel, call: &Call) -> SysResult {
    let file = readable(k, call)?;
    let offset = position(&file, call.args[3])?;
    transfer_in(k, call.tid, &file, &one(call), Some(offset))
}

/// `pwrite64(fd, buf, count, offset)`
pub fn pwrite64(k: &mut Kernel, call: &Call) -> SysResult {
    let file = writable(k, call)?;
    let offset = position(&file, call.args[3])?;
    transfer_out(k, call.tid, &file, &one(call), Some(offset))
}

/// `preadv(fd, iov, count, offset)`
pub fn preadv(k: &mut Kernel, call: &Call) -> SysResult {
    let file = readable(k, call)?;
    let offset = position(&file, call.args[3])?;
    let segments = vector(k, call)?;
    transfer_in(k, call.tid, &file, &segments, Some(offset))
}

/// `pwritev(fd, iov, count, offset)`
pub fn pwritev(k: &mut Kernel, call: &Call) -> SysResult {
    let file = writable(k, call)?;
    let offset = position(&file, call.args[3])?;
    let segments = vector(k, call)?;
    transfer_out(k, call.tid, &file, &segments, Some(offset))
}

/// Flags of preadv2(2): what concerns only how soon is accepted, as is not waiting where files never wait.
const RWF_HIPRI: u32 = 1;
const RWF_SYNC: u32 = 2 | 4;
const RWF_NOWAIT: u32 = 8;
const RWF_APPEND: u32 = 0x10;

/// EOPNOTSUPP for flags that a file cannot follow.
fn check_flags(k: &Kernel, call: &Call, known: u32) -> Result<u32, Errno> {
    let flags = call.args[5] as u32;
    let waits = flags & RWF_NOWAIT != 0 && k.file(call.tid, call.args[0])?.location.inode.kind() != FileKind::Regular;
    if flags & !known != 0 || waits { Err(Errno::EOPNOTSUPP) } else { Ok(flags) }
}

/// `preadv2(fd, iov, count, offset, _, flags)`: offset -1 is the file's own.
pub fn preadv2(k: &mut Kernel, call: &Call) -> SysResult {
    check_flags(k, call, RWF_HIPRI | RWF_SYNC | RWF_NOWAIT)?;
    if call.args[3] as i64 == -1 { readv(k, call) } else { preadv(k, call) }
}

/// `pwritev2(fd, iov, count, offset, _, flags)`: as [`preadv2`].
pub fn pwritev2(k: &mut Kernel, call: &Call) -> SysResult {
    let flags = check_flags(k, call, RWF_HIPRI | RWF_SYNC | RWF_NOWAIT | RWF_APPEND)?;
    let own = call.args[3] as i64 == -1;
    let file = writable(k, call)?;
    let mut at = if own { None } else { Some(position(&file, call.args[3])?) };
    let segments = vector(k, call)?;
    if flags & RWF_APPEND != 0 && file.file.seekable() {
        at = Some(file.location.inode.stat()?.size);
    }
    let done = transfer_out(k, call.tid, &file, &segments, at)?;
    if flags & RWF_APPEND != 0 && own {
        file.offset.set(at.unwrap_or(0) + done);
    }
    if flags & RWF_SYNC != 0 {
        file.file.sync()?;
    }
    Ok(done)
}

fn readable(k: &Kernel, call: &Call) -> Result<std::rc::Rc<OpenFile>, Errno> {
    k.file(call.tid, call.args[0]).and_then(|file| if file.readable() { Ok(file) } else { Err(Errno::EBADF) })
}

fn writable(k: &Kernel, call: &Call) -> Result<std::rc::Rc<OpenFile>, Errno> {
    k.file(call.tid, call.args[0]).and_then(|file| if file.writable() { Ok(file) } else { Err(Errno::EBADF) })
}

fn one(call: &Call) -> [Segment; 1] {
    [(call.args[1], call.args[2].min(MAX_BYTES))]
}

fn position(file: &OpenFile, offset: u64) -> Result<u64, Errno> {
    if (offset as i64) < 0 {
        return Err(Errno::EINVAL);
    }
    if !file.file.seekable() {
        return Err(Errno::ESPIPE);
    }
    Ok(offset)
}

/// The iovec array at argument 1.
fn vector(k: &Kernel, call: &Call) -> Result<Vec<Segment>, Errno> {
    segments(k, call.tid, call.args[1], call.args[2])
}

/// An iovec array as (address, length), its total cut at what one call may move.
pub fn segments(k: &Kernel, tid: Tid, addr: u64, count: u64) -> Result<Vec<Segment>, Errno> {
    if count > MAX_SEGMENTS {
        return Err(Errno::EINVAL);
    }
    let mut bytes = vec![0; count as usize * 16];
    k.read_memory(tid, addr, &mut bytes)?;
    let mut left = MAX_BYTES;
    let word = |bytes: &[u8]| u64::from_le_bytes(std::array::from_fn(|i| bytes[i]));
    bytes
        .chunks_exact(16)
        .map(|pair| {
            let (base, len) = (word(pair), word(&pair[8..]));
            if len > i64::MAX as u64 {
                return Err(Errno::EINVAL);
            }
            let len = len.min(left);
            left -= len;
            Ok((base, len))
        })
        .collect()
}

/// Skips `done` bytes, then cuts into pieces of at most `CHUNK`.
fn chunks(segments: &[Segment], done: u64) -> impl Iterator<Item = (u64, usize)> + '_ {
    let mut skip = done;
    segments.iter().flat_map(move |(addr, len)| {
        let skipped = skip.min(*len);
        skip -= skipped;
        let (start, len) = (addr.wrapping_add(skipped), len - skipped);
        (0..len.div_ceil(CHUNK as u64)).map(move |i| {
            let at = i * CHUNK as u64;
            (start.wrapping_add(at), (len - at).min(CHUNK as u64) as usize)
        })
    })
}

/// Reads into guest memory from `at`, or from the file's own offset, which then moves.
fn transfer_in(k: &mut Kernel, tid: Tid, file: &OpenFile, segments: &[Segment], at: Option<u64>) -> SysResult {
    if file.location.inode.kind() == FileKind::Directory {
        return Err(Errno::EISDIR.into());
    }
    if file.location.inode.kind() == FileKind::Socket {
        return super::socket::read_into(k, tid, file, segments);
    }
    if let Some(tty) = file.file.as_any().downcast_ref::<TtyFile>() {
        if k.task(tid).progress.timed_out {
            return Ok(0);
        }
        job::check_read(k, tid, tty)?;
    }
    let start = at.unwrap_or(file.offset.get());
    if let Some(pseudo) = file.file.as_any().downcast_ref::<PseudoFile>() {
        pseudo.refresh(k, tid, start)?;
    }
    if let Some(signals) = file.file.as_any().downcast_ref::<SignalFile>() {
        signals.collect(k, tid, segments.iter().map(|(_, len)| len).sum());
    }
    // A pipe fills one segment after the other; most other streams give a line, a packet or an event to each read.
    let single = !file.file.seekable() && !file.file.as_any().is::<PipeEnd>();
    let mut done = 0;
    let mut buffer = Vec::new();
    for (addr, len) in chunks(segments, 0) {
        buffer.resize(len.max(buffer.len()), 0);
        let nonblock = file.nonblock() || done > 0;
        let count = match file.file.read_at(start + done, &mut buffer[..len], nonblock) {
            Ok(count) => count,
            Err(_) if done > 0 => break,
            Err(stop) => return Err(keep_deadline(k, tid, stop)),
        };
        if let Err(errno) = k.write_memory(tid, addr, &buffer[..count]) {
            if done > 0 {
                break;
            }
            return Err(errno.into());
        }
        done += count as u64;
        if count < len || single {
            break;
        }
    }
    if segments.iter().all(|(_, len)| *len == 0) {
        // Nothing was asked for; errors of the file itself still show.
        file.file.read_at(start, &mut [], true)?;
    }
    if at.is_none() {
        file.offset.set(start + done);
    }
    if done > 0 {
        k.io.watches.tell(&file.location, IN_ACCESS);
    }
    crate::tty::send_pending(k);
    Ok(done)
}

/// A wait's deadline stays that of the call's first try.
fn keep_deadline(k: &mut Kernel, tid: Tid, stop: Stop) -> Stop {
    let Stop::Block(mut wait) = stop else { return stop };
    if let Some(deadline) = wait.deadline {
        wait.deadline = Some(*k.task_mut(tid).progress.deadline.get_or_insert(deadline));
    }
    Stop::Block(wait)
}

/// Writes guest memory at `at`, or at the file's own offset, which then moves. What a blocking write has written before
/// it waits is kept in the task's progress.
fn transfer_out(k: &mut Kernel, tid: Tid, file: &OpenFile, segments: &[Segment], at: Option<u64>) -> SysResult {
    if file.location.inode.kind() == FileKind::Socket {
        return super::socket::write_from(k, tid, file, segments);
    }
    if let Some(tty) = file.file.as_any().downcast_ref::<TtyFile>() {
        job::check_write(k, tid, tty, false)?;
    }
    let append = file.flags() & open::APPEND != 0 && file.file.seekable();
    let start = if append { file.location.inode.stat()?.size } else { at.unwrap_or(file.offset.get()) };
    let mut done = k.task(tid).progress.done;
    let total: u64 = segments.iter().map(|(_, len)| len).sum();
    let limit = size_limit(k, tid, file, start, total)?;
    let mut buffer = Vec::new();
    let mut result = Ok(());
    for (addr, len) in chunks(segments, done) {
        let len = len.min(limit.saturating_sub(done) as usize);
        if len == 0 {
            break;
        }
        buffer.resize(len.max(buffer.len()), 0);
        if let Err(errno) = k.read_memory(tid, addr, &mut buffer[..len]) {
            result = Err(errno.into());
            break;
        }
        let (count, stopped) = write_all(k, tid, file, start + done, &buffer[..len]);
        done += count as u64;
        if let Err(stop) = stopped {
            result = Err(stop);
            break;
        }
    }
    if total == 0 && !file.file.seekable() {
        return Ok(0);
    }
    finish_out(k, tid, file, (start, done, at), result)
}

/// Writes a piece as far as the file takes it.
pub fn write_all(k: &mut Kernel, tid: Tid, file: &OpenFile, offset: u64, bytes: &[u8]) -> (usize, Result<(), Stop>) {
    if let Some(pseudo) = file.file.as_any().downcast_ref::<PseudoFile>() {
        return match pseudo.store(k, tid, bytes) {
            Ok(()) => (bytes.len(), Ok(())),
            Err(errno) => (0, Err(errno.into())),
        };
    }
    let mut done = 0;
    while done < bytes.len() {
        match file.file.write_at(offset + done as u64, &bytes[done..], file.nonblock()) {
            Ok(0) => return (done, Err(Errno::ENOSPC.into())),
            Ok(count) => done += count,
            Err(stop) => return (done, Err(stop)),
        }
    }
    (done, Ok(()))
}

/// Ends a write: moves the offset, keeps progress when blocking, sends SIGPIPE.
fn finish_out(
    k: &mut Kernel,
    tid: Tid,
    file: &OpenFile,
    (start, done, at): (u64, u64, Option<u64>),
    result: Result<(), Stop>,
) -> SysResult {
    crate::tty::send_pending(k);
    let result = match result {
        Err(Stop::Block(wait)) => {
            k.task_mut(tid).progress.done = done;
            return Err(Stop::Block(wait));
        }
        Err(Stop::Errno(Errno::EPIPE)) if !file.file.seekable() => {
            k.send_signal(Target::Task(tid), broken_pipe(&*file.file));
            Err(Errno::EPIPE.into())
        }
        other => other,
    };
    if done == 0 {
        result?;
    } else {
        drop_privileges(k, tid, &file.location)?;
        k.io.watches.tell(&file.location, IN_MODIFY);
    }
    if at.is_none() {
        file.offset.set(start + done);
    }
    Ok(done)
}

/// How many bytes RLIMIT_FSIZE lets a write have; EFBIG with SIGXFSZ when none.
fn size_limit(k: &mut Kernel, tid: Tid, file: &OpenFile, start: u64, total: u64) -> Result<u64, Errno> {
    let limit = k.process_of(tid).rlimits[RLIMIT_FSIZE].0;
    if file.location.inode.kind() != FileKind::Regular || start.saturating_add(total) <= limit.min(i64::MAX as u64) {
        return Ok(total);
    }
    if total > 0 && start >= limit.min(i64::MAX as u64) {
        if start >= limit {
            k.send_signal(Target::Task(tid), SignalInfo::kernel(SIGXFSZ));
        }
        return Err(Errno::EFBIG);
    }
    Ok(limit.min(i64::MAX as u64) - start)
}

/// `lseek(fd, offset, whence)`
pub fn lseek(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, offset, whence, ..] = call.args;
    let file = k.file(call.tid, fd)?;
    if !file.file.seekable() {
        return Err(Errno::ESPIPE.into());
    }
    let (offset, whence) = (offset as i64, whence as u32);
    let size = || file.location.inode.stat().map(|stat| stat.size as i64);
    let target = match whence {
        seek::SET => Some(offset),
        seek::CUR => (file.offset.get() as i64).checked_add(offset),
        seek::END => size()?.checked_add(offset),
        seek::DATA | seek::HOLE if offset < 0 || offset >= size()? => return Err(Errno::ENXIO.into()),
        seek::DATA => Some(offset),
        seek::HOLE => Some(size()?),
        _ => return Err(Errno::EINVAL.into()),
    };
    let target = target.ok_or(Errno::EOVERFLOW)?;
    if target < 0 {
        return Err(Errno::EINVAL.into());
    }
    file.offset.set(target as u64);
    Ok(target as u64)
}

/// `ftruncate(fd, length)`
pub fn ftruncate(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, length, ..] = call.args;
    let file = k.file(call.tid, fd)?;
    if (length as i64) < 0 || !file.writable() || file.location.inode.kind() != FileKind::Regular {
        return Err(Errno::EINVAL.into());
    }
    resize(k, call.tid, &file.location, length)?;
    Ok(0)
}

/// `truncate(path, length)`
pub fn truncate(k: &mut Kernel, call: &Call) -> SysResult {
    let [path, length, ..] = call.args;
    if (length as i64) < 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = k.path_argument(call.tid, path)?;
    let location = k.resolve_at(call.tid, shallop_linux_abi::file::at::FDCWD as u64, &path, true)?;
    match location.inode.kind() {
        FileKind::Regular => {}
        FileKind::Directory => return Err(Errno::EISDIR.into()),
        _ => return Err(Errno::EINVAL.into()),
    }
    permission::check(&k.task(call.tid).credentials, &location.inode, WRITE)?;
    k.check_writable(&location)?;
    resize(k, call.tid, &location, length)?;
    Ok(0)
}

/// Sets a file's size: EFBIG with SIGXFSZ above RLIMIT_FSIZE.
fn resize(k: &mut Kernel, tid: Tid, location: &Location, length: u64) -> Result<(), Errno> {
    let before = location.inode.stat()?;
    if length > before.size {
        check_end(k, tid, length)?;
    }
    location.inode.set_attr(&SetAttr { size: Some(length), ..SetAttr::default() })?;
    if length < before.size {
        k.file_cut(&location.inode, length);
    }
    k.io.watches.tell(location, IN_MODIFY);
    drop_privileges(k, tid, location)
}

/// EFBIG with SIGXFSZ when a file may not end there.
fn check_end(k: &mut Kernel, tid: Tid, end: u64) -> Result<(), Errno> {
    if end <= k.process_of(tid).rlimits[RLIMIT_FSIZE].0 {
        return Ok(());
    }
    k.send_signal(Target::Task(tid), SignalInfo::kernel(SIGXFSZ));
    Err(Errno::EFBIG)
}

/// Changing a file's content takes its set-user-ID and set-group-ID bits away, unless one has CAP_FSETID.
fn drop_privileges(k: &Kernel, tid: Tid, location: &Location) -> Result<(), Errno> {
    if location.inode.kind() != FileKind::Regular || k.task(tid).credentials.has(cap::FSETID) {
        return Ok(());
    }
    let mode = location.inode.stat()?.mode;
    let group = if mode & 0o10 != 0 { mode & 0o2000 } else { 0 };
    match mode & 0o4000 | group {
        0 => Ok(()),
        bits => location.inode.set_attr(&SetAttr { mode: Some(mode & 0o7777 & !bits), ..SetAttr::default() }),
    }
}

/// `fallocate(fd, mode, offset, len)`: growing, PUNCH_HOLE and ZERO_RANGE. Space is not reserved, nor given back.
pub fn fallocate(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, mode, offset, len, ..] = call.args;
    let file = k.file(call.tid, fd)?;
    if !file.writable() {
        return Err(Errno::EBADF.into());
    }
    if (offset as i64) < 0 || (len as i64) <= 0 {
        return Err(Errno::EINVAL.into());
    }
    match file.location.inode.kind() {
        FileKind::Regular => {}
        FileKind::Fifo => return Err(Errno::ESPIPE.into()),
        _ => return Err(Errno::ENODEV.into()),
    }
    let end = offset.checked_add(len).filter(|end| *end <= i64::MAX as u64).ok_or(Errno::EFBIG)?;
    const KEEP_SIZE: u32 = 1;
    const PUNCH_HOLE: u32 = 2;
    const ZERO_RANGE: u32 = 0x10;
    let size = file.location.inode.stat()?.size;
    if end > size && mode as u32 & KEEP_SIZE == 0 {
        check_end(k, call.tid, end)?;
    }
    if matches!(mode as u32, 3 | ZERO_RANGE | 0x11) {
        write_zeroes(&file, offset, end.min(size))?;
    }
    // KEEP_SIZE alone asks for nothing that can be seen.
    match mode as u32 {
        0 | ZERO_RANGE if size < end => {
            file.location.inode.set_attr(&SetAttr { size: Some(end), ..SetAttr::default() })?;
        }
        mode if mode & !(KEEP_SIZE | ZERO_RANGE) == 0 || mode == PUNCH_HOLE | KEEP_SIZE => {}
        _ => return Err(Errno::EOPNOTSUPP.into()),
    }
    Ok(0)
}

/// Overwrites a range of a file with zeroes.
fn write_zeroes(file: &OpenFile, from: u64, end: u64) -> Result<(), Stop> {
    let zeroes = vec![0; CHUNK];
    let mut at = from;
    while at < end {
        let want = (end - at).min(CHUNK as u64) as usize;
        match file.file.write_at(at, &zeroes[..want], true)? {
            0 => return Err(Errno::ENOSPC.into()),
            count => at += count as u64,
        }
    }
    Ok(())
}

/// Whether a file of this kind has something to sync.
fn is_stored(kind: FileKind) -> bool {
    !matches!(kind, FileKind::Fifo | FileKind::Socket | FileKind::CharDevice)
}

/// `fsync(fd)`, `fdatasync(fd)`
pub fn fsync(k: &mut Kernel, call: &Call) -> SysResult {
    let file = k.file(call.tid, call.args[0])?;
    if !is_stored(file.location.inode.kind()) {
        return Err(Errno::EINVAL.into());
    }
    file.file.sync()?;
    Ok(0)
}

/// `sync_file_range(fd, offset, len, flags)`: without a flag to wait it only begins to write, as the host does by itself.
pub fn sync_file_range(k: &mut Kernel, call: &Call) -> SysResult {
    const WAIT_BEFORE: u64 = 1;
    const WRITE: u64 = 2;
    const WAIT_AFTER: u64 = 4;
    let file = k.file(call.tid, call.args[0])?;
    let [_, offset, len, flags, ..] = call.args;
    let flags = flags & u64::from(u32::MAX);
    let end = (offset as i64).checked_add(len as i64).filter(|end| *end >= offset as i64);
    if flags & !(WAIT_BEFORE | WRITE | WAIT_AFTER) != 0 || (offset as i64) < 0 || end.is_none() {
        return Err(Errno::EINVAL.into());
    }
    if !is_stored(file.location.inode.kind()) {
        return Err(Errno::ESPIPE.into());
    }
    if flags & (WAIT_BEFORE | WAIT_AFTER) != 0 {
        file.file.sync()?;
    }
    Ok(0)
}

/// `sync()`
pub fn sync(k: &mut Kernel, _call: &Call) -> SysResult {
    for mount in k.mounts.iter() {
        // sync(2) cannot fail; fsync(2) is how a program asks.
        let _ = mount.fs.sync();
    }
    Ok(0)
}

/// `syncfs(fd)`
pub fn syncfs(k: &mut Kernel, call: &Call) -> SysResult {
    k.file(call.tid, call.args[0])?.location.inode.fs().sync()?;
    Ok(0)
}

/// `fadvise64(fd, offset, len, advice)`: advice is not acted upon.
pub fn fadvise64(k: &mut Kernel, call: &Call) -> SysResult {
    let file = k.file(call.tid, call.args[0])?;
    match file.file.seekable() {
        true => Ok(0),
        false => Err(Errno::ESPIPE.into()),
    }
}

/// `readahead(fd, offset, count)`: advice.
pub fn readahead(k: &mut Kernel, call: &Call) -> SysResult {
    readable(k, call)?;
    Ok(0)
}
