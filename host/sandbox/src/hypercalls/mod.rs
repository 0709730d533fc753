//! The hypercalls, by family; [`link`] makes them the kernel's imports.

pub mod event;
mod file;
mod life;
mod memory;
pub mod net;
mod stdio;
mod task;
mod volume;

use std::io;

use shallop_host_abi::hypercall::{HostStat, MODULE};
use wasmtime::{Caller, Linker};

use crate::kernel::Host;
use crate::process::Errno;

/// Bytes that one call copies at most; the kernel asks again for the rest.
const MAX_COPY: usize = 1 << 30;

/// Defines every hypercall.
pub fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    task::link(linker)?;
    memory::link(linker)?;
    file::link(linker)?;
    volume::link(linker)?;
    stdio::link(linker)?;
    net::link(linker)?;
    event::link(linker)?;
    life::link(linker)
}

/// Kernel memory and the state beside it.
pub fn split<'a>(caller: &'a mut Caller<'_, Host>) -> (&'a mut [u8], &'a mut Host) {
    match caller.data().memory {
        Some(memory) => memory.data_and_store_mut(caller),
        None => (&mut [], caller.data_mut()),
    }
}

/// `len` bytes of kernel memory at `at`.
pub fn bytes(memory: &[u8], at: u32, len: u32) -> Result<&[u8], Errno> {
    let range = range(at, len)?;
    memory.get(range).ok_or(libc::EFAULT)
}

/// As [`bytes`], to write to.
pub fn bytes_mut(memory: &mut [u8], at: u32, len: u32) -> Result<&mut [u8], Errno> {
    let range = range(at, len)?;
    memory.get_mut(range).ok_or(libc::EFAULT)
}

fn range(at: u32, len: u32) -> Result<std::ops::Range<usize>, Errno> {
    let end = (at as usize).checked_add(len as usize).filter(|_| len as usize <= MAX_COPY).ok_or(libc::EFAULT)?;
    Ok(at as usize..end)
}

/// The answer of a call: the result or a negated errno.
pub fn answer(result: Result<u64, Errno>) -> i64 {
    match result {
        Ok(value) => i64::try_from(value).unwrap_or(-i64::from(libc::EOVERFLOW)),
        Err(errno) => -i64::from(errno.max(1)),
    }
}

pub fn io_errno(error: io::Error) -> Errno {
    error.raw_os_error().unwrap_or(match error.kind() {
        io::ErrorKind::PermissionDenied => libc::EPERM,
        io::ErrorKind::NotFound => libc::ENOENT,
        io::ErrorKind::InvalidInput => libc::EINVAL,
        _ => libc::EIO,
    })
}

pub fn os_errno(error: rustix::io::Errno) -> Errno {
    error.raw_os_error()
}

/// Writes a stat record into kernel memory.
pub fn put_stat(memory: &mut [u8], at: u32, stat: &HostStat) -> Result<u64, Errno> {
    let place = bytes_mut(memory, at, STAT_BYTES)?;
    let words = [stat.ino, stat.size, stat.mtime_ns as u64, stat.atime_ns as u64, stat.ctime_ns as u64];
    let (first, rest) = place.split_at_mut(40);
    for (place, word) in first.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    rest[..4].copy_from_slice(&stat.mode.to_le_bytes());
    rest[4..8].copy_from_slice(&stat.nlink.to_le_bytes());
    rest[8..16].copy_from_slice(&stat.blocks.to_le_bytes());
    rest[16..24].copy_from_slice(&stat.dev.to_le_bytes());
    Ok(0)
}

const STAT_BYTES: u32 = 64;
const _: () = assert!(size_of::<HostStat>() == STAT_BYTES as usize);

/// What fstat(2) said, as the kernel sees it.
pub fn host_stat(stat: &rustix::fs::Stat) -> HostStat {
    let ns = |seconds: i64, part: u64| seconds.saturating_mul(1_000_000_000).saturating_add(part as i64);
    HostStat {
        ino: stat.st_ino,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mtime_ns: ns(stat.st_mtime, stat.st_mtime_nsec),
        atime_ns: ns(stat.st_atime, stat.st_atime_nsec),
        ctime_ns: ns(stat.st_ctime, stat.st_ctime_nsec),
        mode: stat.st_mode,
        nlink: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        blocks: u64::try_from(stat.st_blocks).unwrap_or(0),
        dev: stat.st_dev,
    }
}

/// A `Linker` entry whose body is a function of kernel memory and `Host`: `define!(linker, "name", f, a: i32, b: i64)`.
macro_rules! define {
    ($linker:expr, $name:literal, $function:path $(, $arg:ident : $type:ty)*) => {
        $linker.func_wrap(
            shallop_host_abi::hypercall::MODULE,
            $name,
            |mut caller: wasmtime::Caller<'_, crate::kernel::Host> $(, $arg: $type)*| -> i64 {
                let (memory, host) = crate::hypercalls::split(&mut caller);
                crate::hypercalls::answer($function(memory, host $(, $arg)*))
            },
        )?
    };
}
use define;

/// As `define!`, for calls that may end the sandbox: the function returns a `wasmtime::Result<i64>`.
fn define_fallible<Params, F>(linker: &mut Linker<Host>, name: &str, function: F) -> wasmtime::Result<()>
where
    F: wasmtime::IntoFunc<Host, Params, wasmtime::Result<i64>>,
{
    linker.func_wrap(MODULE, name, function).map(drop)
}

/// The sandbox was ended from outside; the kernel does not get to run any more.
pub fn check_ended(host: &Host) -> wasmtime::Result<()> {
    match host.interrupt.ended() {
        Some(_) => Err(wasmtime::Error::msg("the sandbox was ended")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_pointers_are_checked() {
        let mut memory = vec![0; 100];
        assert!(bytes(&memory, 100, 0).is_ok());
        assert_eq!(bytes(&memory, 99, 2), Err(libc::EFAULT));
        assert_eq!(bytes(&memory, u32::MAX, u32::MAX), Err(libc::EFAULT));
        assert_eq!(put_stat(&mut memory, 37, &HostStat::default()), Err(libc::EFAULT));
        assert_eq!(put_stat(&mut memory, 36, &HostStat::default()), Ok(0));
    }

    #[test]
    fn answers_are_values_or_negated_errnos() {
        assert_eq!(answer(Ok(5)), 5);
        assert_eq!(answer(Err(libc::ENOENT)), -2);
        assert_eq!(answer(Ok(u64::MAX)), -75);
        assert_eq!(answer(Err(0)), -1);
    }
}
