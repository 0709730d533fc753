//! The file family: positioned input and output on granted and opened files.

use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate, fstat};
use wasmtime::Linker;

use super::{bytes, bytes_mut, define, host_stat, io_errno, os_errno, put_stat};
use crate::kernel::Host;
use crate::process::Errno;

pub fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    define!(linker, "file_read", read, handle: u32, offset: u64, dst: u32, len: u32);
    define!(linker, "file_write", write, handle: u32, offset: u64, src: u32, len: u32);
    define!(linker, "file_size", size, handle: u32);
    define!(linker, "file_resize", resize, handle: u32, len: u64);
    define!(linker, "file_sync", sync, handle: u32);
    define!(linker, "file_punch", punch, handle: u32, offset: u64, len: u64);
    define!(linker, "file_close", close, handle: u32);
    define!(linker, "file_stat", stat, handle: u32, dst: u32);
    Ok(())
}

/// Offsets and sizes are an `off_t` to the system.
fn offset(value: u64) -> Result<u64, Errno> {
    i64::try_from(value).map(|_| value).map_err(|_| libc::EINVAL)
}

fn read(memory: &mut [u8], host: &mut Host, handle: u32, at: u64, dst: u32, len: u32) -> Result<u64, Errno> {
    let file = host.handles.file(handle)?;
    let place = bytes_mut(memory, dst, len)?;
    retry(|| file.read_at(place, offset(at).map_err(std::io::Error::from_raw_os_error)?))
}

fn write(memory: &mut [u8], host: &mut Host, handle: u32, at: u64, src: u32, len: u32) -> Result<u64, Errno> {
    let file = host.handles.file_mut(handle)?;
    let bytes = bytes(memory, src, len)?;
    let limit = host.handles.limit(handle);
    let end = at.checked_add(len.into()).ok_or(libc::EFBIG)?;
    // Past the limit, holes that lie before may make room.
    if end > limit && allocated(file)?.saturating_add(len.into()) > limit {
        host.met.disk = true;
        return Err(libc::ENOSPC);
    }
    let file = host.changing(handle, at, len.into())?;
    retry(|| file.write_at(bytes, offset(at).map_err(std::io::Error::from_raw_os_error)?))
}

/// Bytes that a file takes on disk.
fn allocated(file: &std::fs::File) -> Result<u64, Errno> {
    let stat = fstat(file).map_err(os_errno)?;
    Ok(u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512))
}

fn retry(mut call: impl FnMut() -> std::io::Result<usize>) -> Result<u64, Errno> {
    loop {
        match call() {
            Ok(count) => return Ok(count as u64),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io_errno(error)),
        }
    }
}

fn size(_: &mut [u8], host: &mut Host, handle: u32) -> Result<u64, Errno> {
    let stat = fstat(host.handles.file(handle)?).map_err(os_errno)?;
    u64::try_from(stat.st_size).map_err(|_| libc::EIO)
}

fn resize(_: &mut [u8], host: &mut Host, handle: u32, len: u64) -> Result<u64, Errno> {
    if len > host.handles.limit(handle) {
        host.met.disk = true;
        return Err(libc::ENOSPC);
    }
    host.changing(handle, len, u64::MAX)?.set_len(offset(len)?).map(|()| 0).map_err(io_errno)
}

fn sync(_: &mut [u8], host: &mut Host, handle: u32) -> Result<u64, Errno> {
    let file = host.handles.file(handle)?;
    // A file without a name (a build step's upper layer) is lost with its process, whatever is on disk by then.
    if fstat(file).map_err(os_errno)?.st_nlink == 0 {
        return Ok(0);
    }
    file.sync_all().map(|()| 0).map_err(io_errno)
}

fn punch(_: &mut [u8], host: &mut Host, handle: u32, at: u64, len: u64) -> Result<u64, Errno> {
    offset(at.checked_add(len).ok_or(libc::EINVAL)?)?;
    if len == 0 {
        return Ok(0);
    }
    let file = host.changing(handle, at, len)?;
    fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, len).map(|()| 0).map_err(os_errno)
}

fn close(_: &mut [u8], host: &mut Host, handle: u32) -> Result<u64, Errno> {
    host.handles.remove(handle).map(|_| 0)
}

fn stat(memory: &mut [u8], host: &mut Host, handle: u32, dst: u32) -> Result<u64, Errno> {
    let stat = match host.handles.directory(handle) {
        Ok((dir, _)) => fstat(dir),
        Err(_) => fstat(host.handles.file(handle)?),
    };
    put_stat(memory, dst, &host_stat(&stat.map_err(os_errno)?))
}
