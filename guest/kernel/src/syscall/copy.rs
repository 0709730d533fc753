//! Copying between files without the program's memory: sendfile, copy_file_range, splice, tee; and vmsplice.

use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::open;
use shallop_linux_abi::inotify::{IN_ACCESS, IN_MODIFY};

use super::rw::{CHUNK, MAX_BYTES, write_all};
use crate::dispatch::Call;
use crate::fs::pipe::PipeEnd;
use crate::fs::pseudo::PseudoFile;
use crate::kernel::Kernel;
use crate::signal::Target;
use crate::tty::stdio::broken_pipe;
use crate::vfs::FileKind;
use crate::vfs::open_file::OpenFile;
use crate::wait::{Stop, SysResult, Tid};

/// `sendfile(out, in, offset, count)`
pub fn sendfile(k: &mut Kernel, call: &Call) -> SysResult {
    let [out, input, offset_at, count, ..] = call.args;
    let (out, input) = (k.file(call.tid, out)?, k.file(call.tid, input)?);
    if !out.writable() || !input.readable() {
        return Err(Errno::EBADF.into());
    }
    if !input.file.seekable() || out.flags() & open::APPEND != 0 {
        return Err(Errno::EINVAL.into());
    }
    let from = if offset_at == 0 { input.offset.get() } else { k.read_u64(call.tid, offset_at)? };
    if (from as i64) < 0 {
        return Err(Errno::EINVAL.into());
    }
    let to = out.offset.get();
    let (done, result) = copy(k, call.tid, (&input, from), (&out, to), count.min(MAX_BYTES));
    if done == 0 {
        result?;
    }
    match offset_at {
        0 => input.offset.set(from + done),
        addr => k.write_u64(call.tid, addr, from + done)?,
    }
    out.offset.set(to + done);
    tell(k, &input, &out, done);
    Ok(done)
}

/// `copy_file_range(in, in_offset, out, out_offset, count, flags)`
pub fn copy_file_range(k: &mut Kernel, call: &Call) -> SysResult {
    let [input, from_at, out, to_at, count, flags] = call.args;
    let (input, out) = (k.file(call.tid, input)?, k.file(call.tid, out)?);
    if flags as u32 != 0 {
        return Err(Errno::EINVAL.into());
    }
    if !out.writable() || !input.readable() || out.flags() & open::APPEND != 0 {
        return Err(Errno::EBADF.into());
    }
    for file in [&input, &out] {
        match file.location.inode.kind() {
            FileKind::Regular => {}
            FileKind::Directory => return Err(Errno::EISDIR.into()),
            _ => return Err(Errno::EINVAL.into()),
        }
    }
    // The text of /proc files has no size, so copying it this way would lose it.
    if input.location.inode.kernel_view().is_some() {
        return Err(Errno::EINVAL.into());
    }
    let place = |file: &OpenFile, at| if at == 0 { Ok(file.offset.get()) } else { k.read_u64(call.tid, at) };
    let (from, to) = (place(&input, from_at)?, place(&out, to_at)?);
    let count = count.min(MAX_BYTES);
    if input.location.same(&out.location) && from < to.saturating_add(count) && to < from.saturating_add(count) {
        return Err(Errno::EINVAL.into());
    }
    let (done, result) = copy(k, call.tid, (&input, from), (&out, to), count);
    if done == 0 {
        result?;
    }
    for (file, at, value) in [(&input, from_at, from + done), (&out, to_at, to + done)] {
        match at {
            0 => file.offset.set(value),
            addr => k.write_u64(call.tid, addr, value)?,
        }
    }
    tell(k, &input, &out, done);
    Ok(done)
}

/// Tells who watches that bytes were copied.
fn tell(k: &Kernel, input: &OpenFile, out: &OpenFile, done: u64) {
    if done > 0 {
        k.io.watches.tell(&input.location, IN_ACCESS);
        k.io.watches.tell(&out.location, IN_MODIFY);
    }
}

/// Most bytes that one copying call moves before the program hears of it.
const COPY_MAX: u64 = 8 << 20;

/// Copies between files; what was done, and what ended it early.
fn copy(
    k: &mut Kernel,
    tid: Tid,
    (input, from): (&OpenFile, u64),
    (out, to): (&OpenFile, u64),
    count: u64,
) -> (u64, Result<(), Stop>) {
    if let Some(pseudo) = input.file.as_any().downcast_ref::<PseudoFile>()
        && let Err(errno) = pseudo.refresh(k, tid, from)
    {
        return (0, Err(errno.into()));
    }
    let count = count.min(COPY_MAX);
    let mut buffer = vec![0; CHUNK.min(count as usize)];
    let mut done = 0;
    while done < count {
        let want = (count - done).min(CHUNK as u64) as usize;
        let got = match input.file.read_at(from + done, &mut buffer[..want], true) {
            Ok(0) => break,
            Ok(got) => got,
            Err(stop) => return (done, Err(stop)),
        };
        let (written, result) = write_all(k, tid, out, to + done, &buffer[..got]);
        done += written as u64;
        if let Err(stop) = result {
            if matches!(stop, Stop::Errno(Errno::EPIPE)) {
                k.send_signal(Target::Task(tid), broken_pipe(&*out.file));
            }
            return (done, Err(stop));
        }
    }
    (done, Ok(()))
}

/// SPLICE_F_NONBLOCK, and all flags of splice(2).
const NONBLOCK: u64 = 2;
const FLAGS: u64 = 0xf;

/// `splice(in, in_offset, out, out_offset, count, flags)`: one side is a pipe. Moves what is there, as read(2) and
/// write(2) would.
pub fn splice(k: &mut Kernel, call: &Call) -> SysResult {
    let [input, from_at, out, to_at, count, flags] = call.args;
    let (input, out) = (k.file(call.tid, input)?, k.file(call.tid, out)?);
    if !out.writable() || !input.readable() {
        return Err(Errno::EBADF.into());
    }
    let pipe = |file: &Rc<OpenFile>| file.file.as_any().is::<PipeEnd>();
    if pipe(&input) && from_at != 0 || pipe(&out) && to_at != 0 {
        return Err(Errno::ESPIPE.into());
    }
    let append = out.flags() & open::APPEND != 0;
    if flags & !FLAGS != 0 || !pipe(&input) && !pipe(&out) || Rc::ptr_eq(&input.file, &out.file) || append {
        return Err(Errno::EINVAL.into());
    }
    if input.location.inode.kind() == FileKind::Directory {
        return Err(Errno::EINVAL.into());
    }
    let place = |file: &OpenFile, at| if at == 0 { Ok(file.offset.get()) } else { k.read_u64(call.tid, at) };
    let (from, to) = (place(&input, from_at)?, place(&out, to_at)?);
    if (from as i64) < 0 || (to as i64) < 0 {
        return Err(Errno::EINVAL.into());
    }
    if count == 0 {
        return Ok(0);
    }
    let done = move_some(k, call.tid, (&input, from), (&out, to), count, flags & NONBLOCK != 0)?;
    for (file, at, value) in [(&input, from_at, from + done), (&out, to_at, to + done)] {
        match at {
            0 => file.offset.set(value),
            addr => k.write_u64(call.tid, addr, value)?,
        }
    }
    tell(k, &input, &out, done);
    Ok(done)
}

/// One piece from one side to the other. Waits for bytes when the pipe is empty, for room when it is full.
fn move_some(
    k: &mut Kernel,
    tid: Tid,
    (input, from): (&OpenFile, u64),
    (out, to): (&OpenFile, u64),
    count: u64,
    nonblock: bool,
) -> Result<u64, Stop> {
    // What is taken must find room: ask the receiving pipe first.
    let room = match out.file.as_any().downcast_ref::<PipeEnd>() {
        Some(end) => end.room(nonblock || out.nonblock())?,
        None => CHUNK,
    };
    if let Some(pseudo) = input.file.as_any().downcast_ref::<PseudoFile>() {
        pseudo.refresh(k, tid, from)?;
    }
    let mut buffer = vec![0; (count.min(CHUNK as u64) as usize).min(room)];
    let got = input.file.read_at(from, &mut buffer, nonblock || input.nonblock())?;
    let (written, result) = write_all(k, tid, out, to, &buffer[..got]);
    if written < got {
        result?;
    }
    Ok(written as u64)
}

/// The end of a pipe, at a descriptor that reads or writes; EINVAL for what is no pipe.
fn pipe_end(file: &OpenFile) -> Result<&PipeEnd, Errno> {
    file.file.as_any().downcast_ref::<PipeEnd>().ok_or(Errno::EINVAL)
}

/// `tee(in, out, count, flags)`: what is in one pipe is put into another, too.
pub fn tee(k: &mut Kernel, call: &Call) -> SysResult {
    let [input, out, count, flags, ..] = call.args;
    if flags & !FLAGS != 0 {
        return Err(Errno::EINVAL.into());
    }
    let (input, out) = (k.file(call.tid, input)?, k.file(call.tid, out)?);
    if !out.writable() || !input.readable() {
        return Err(Errno::EBADF.into());
    }
    let (from, to) = (pipe_end(&input)?, pipe_end(&out)?);
    if Rc::ptr_eq(&from.pipe, &to.pipe) {
        return Err(Errno::EINVAL.into());
    }
    if count == 0 {
        return Ok(0);
    }
    let nonblock = |file: &OpenFile| flags & NONBLOCK != 0 || file.nonblock();
    let bytes = from.pipe.peek(count.min(CHUNK as u64) as usize, nonblock(&input))?;
    if bytes.is_empty() {
        return Ok(0);
    }
    let result = to.room(nonblock(&out)).and_then(|room| out.file.write_at(0, &bytes[..bytes.len().min(room)], true));
    if matches!(result, Err(Stop::Errno(Errno::EPIPE))) {
        k.send_signal(Target::Task(call.tid), broken_pipe(&*out.file));
    }
    Ok(result? as u64)
}

/// `vmsplice(fd, iov, count, flags)`: memory into a pipe, or a pipe into memory, by copying.
pub fn vmsplice(k: &mut Kernel, call: &Call) -> SysResult {
    if call.args[3] & !FLAGS != 0 {
        return Err(Errno::EINVAL.into());
    }
    let file = k.file(call.tid, call.args[0])?;
    if !file.file.as_any().is::<PipeEnd>() {
        return Err(Errno::EBADF.into());
    }
    if file.writable() { super::rw::writev(k, call) } else { super::rw::readv(k, call) }
}
