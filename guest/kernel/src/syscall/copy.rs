//! Copying between files without the program's memory: sendfile, copy_file_range, splice.

use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::open;

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
    Ok(done)
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

/// `splice(in, in_offset, out, out_offset, count, flags)`: one side is a pipe. Moves what is there, as read(2) and
/// write(2) would.
pub fn splice(k: &mut Kernel, call: &Call) -> SysResult {
    const NONBLOCK: u64 = 2;
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
    if flags & !0xf != 0 || !pipe(&input) && !pipe(&out) || Rc::ptr_eq(&input.file, &out.file) || append {
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
