//! The life family: the launch spec, marks, and the end.

use wasmtime::{Caller, Linker};

use super::{bytes_mut, define};
use crate::kernel::Host;
use crate::process::Errno;

pub fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    define!(linker, "spec_read", spec_read, dst: u32, len: u32);
    define!(linker, "crowded", crowded);
    define!(linker, "mark", mark, point: u32);
    linker.func_wrap(
        shallop_host_abi::hypercall::MODULE,
        "exit",
        |mut caller: Caller<'_, Host>, status: u32| -> wasmtime::Result<()> {
            caller.data_mut().exit.get_or_insert(status);
            Err(wasmtime::Error::msg("the kernel exited"))
        },
    )?;
    Ok(())
}

/// Copies the spec's first `len` bytes; the result is its whole length.
fn spec_read(memory: &mut [u8], host: &mut Host, dst: u32, len: u32) -> Result<u64, Errno> {
    let place = bytes_mut(memory, dst, len)?;
    let count = place.len().min(host.spec.len());
    place[..count].copy_from_slice(&host.spec[..count]);
    Ok(host.spec.len() as u64)
}

fn crowded(_: &mut [u8], host: &mut Host) -> Result<u64, Errno> {
    host.met.tasks = true;
    Ok(0)
}

fn mark(_: &mut [u8], host: &mut Host, point: u32) -> Result<u64, Errno> {
    host.mark_kernel(point);
    Ok(0)
}
