//! The stdio family: descriptors 0, 1 and 2 of this process, the trace stream and the profile stream.
//!
//! They may be shared with other programs, so their flags are never changed: reads ask first whether something is there.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno as Os;
use wasmtime::{Caller, Linker};

use super::{bytes, bytes_mut, check_ended, define, define_fallible, os_errno, split};
use crate::kernel::Host;
use crate::process::Errno;

/// The kernel's numbers of the trace stream and the profile stream.
const TRACE: u32 = 3;
const PROFILE: u32 = 4;

/// Bytes that a pipe which is ready takes without waiting (pipe(7)): PIPE_BUF.
const PIECE: usize = 4096;

const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

pub fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    define!(linker, "stdio_read", read, fd: u32, dst: u32, len: u32);
    define!(linker, "stdio_winsize", winsize, dst: u32);
    define_fallible(linker, "stdio_write", |mut caller: Caller<'_, Host>, fd: u32, src: u32, len: u32| {
        let (memory, host) = split(&mut caller);
        let result = write(memory, host, fd, src, len);
        check_ended(host)?;
        Ok(super::answer(result))
    })
}

fn read(memory: &mut [u8], host: &mut Host, fd: u32, dst: u32, len: u32) -> Result<u64, Errno> {
    if fd != 0 {
        return Err(libc::EBADF);
    }
    let place = bytes_mut(memory, dst, len)?;
    let stdin = rustix::stdio::stdin();
    if !readable(stdin)? {
        host.stdin_armed = true;
        return Err(libc::EAGAIN);
    }
    match rustix::io::read(stdin, place) {
        // At the end it stays readable: report it no more, the kernel knows.
        Ok(0) => {
            host.stdin_armed &= len == 0;
            Ok(0)
        }
        Ok(count) => {
            host.stdin_armed = true;
            Ok(count as u64)
        }
        Err(Os::INTR) => Err(libc::EAGAIN),
        Err(error) => Err(os_errno(error)),
    }
}

/// Whether a read would not wait.
fn readable(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    match poll(&mut fds, Some(&NOW)) {
        Ok(count) => Ok(count != 0),
        Err(Os::INTR) => Ok(false),
        Err(error) => Err(os_errno(error)),
    }
}

/// Writes what fits; waits for the first bytes, but not past the end of the sandbox.
fn write(memory: &[u8], host: &mut Host, fd: u32, src: u32, len: u32) -> Result<u64, Errno> {
    let bytes = bytes(memory, src, len)?;
    if fd == PROFILE {
        return write_samples(host, bytes);
    }
    let target = match fd {
        1 => rustix::stdio::stdout(),
        2 => rustix::stdio::stderr(),
        TRACE => host.trace.as_ref().ok_or(libc::EBADF)?.as_fd(),
        _ => return Err(libc::EBADF),
    };
    let mut written = 0;
    for piece in bytes.chunks(PIECE) {
        let ready = if written == 0 { wait_writable(host, target)? } else { writable(target, NOW)? };
        if !ready {
            break;
        }
        match rustix::io::write(target, piece) {
            Ok(count) => written += count,
            Err(Os::INTR | Os::AGAIN) => break,
            Err(error) if written == 0 => return Err(os_errno(error)),
            Err(_) => break,
        }
    }
    if written == 0 && len != 0 { Err(libc::EINTR) } else { Ok(written as u64) }
}

/// Adds to the file of samples, as far as it may grow.
fn write_samples(host: &mut Host, bytes: &[u8]) -> Result<u64, Errno> {
    let stream = host.profile.as_mut().ok_or(libc::EBADF)?;
    let left = stream.left.checked_sub(bytes.len() as u64).ok_or(libc::EFBIG)?;
    let written = rustix::io::write(&stream.file, bytes).map_err(os_errno)?;
    stream.left = left;
    Ok(written as u64)
}

/// Waits until a write would do something. False: the sandbox was ended meanwhile.
fn wait_writable(host: &Host, fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    while host.interrupt.ended().is_none() {
        // Short waits, because only the end may wake this and events of other kinds have to stay pending.
        if writable(fd, Timespec { tv_sec: 0, tv_nsec: 20_000_000 })? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Waits for room to write.
fn writable(fd: BorrowedFd<'_>, time: Timespec) -> Result<bool, Errno> {
    let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
    match poll(&mut fds, Some(&time)) {
        Ok(count) => Ok(count != 0),
        Err(Os::INTR) => Ok(false),
        Err(error) => Err(os_errno(error)),
    }
}

fn winsize(memory: &mut [u8], _: &mut Host, dst: u32) -> Result<u64, Errno> {
    let place = bytes_mut(memory, dst, 4)?;
    let size = [rustix::stdio::stdout(), rustix::stdio::stdin(), rustix::stdio::stderr()]
        .into_iter()
        .find_map(|fd| rustix::termios::tcgetwinsize(fd).ok())
        .ok_or(libc::ENOTTY)?;
    place[..2].copy_from_slice(&size.ws_row.to_le_bytes());
    place[2..].copy_from_slice(&size.ws_col.to_le_bytes());
    Ok(0)
}
