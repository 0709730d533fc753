//! The few calls of WASI preview 1 that the kernel module's standard library makes. They reach nothing outside.

use wasmtime::{Caller, Linker};

use crate::hypercalls::{bytes, bytes_mut, event, split};
use crate::kernel::Host;

const MODULE: &str = "wasi_snapshot_preview1";

/// Error numbers of WASI.
const SUCCESS: i32 = 0;
const BADF: i32 = 8;
const FAULT: i32 = 21;
const INVAL: i32 = 28;

/// Pieces of one write at most.
const MAX_PIECES: u32 = 1024;

type Call<'a> = Caller<'a, Host>;

/// Defines them; what else the module imports becomes a trap.
pub fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "fd_write", |mut caller: Call<'_>, fd: u32, pieces: u32, count: u32, done: u32| {
        let (memory, host) = split(&mut caller);
        number(fd_write(memory, host, fd, pieces, count, done))
    })?;
    for name in ["environ_sizes_get", "args_sizes_get"] {
        linker.func_wrap(MODULE, name, |mut caller: Call<'_>, count: u32, size: u32| {
            let memory = split(&mut caller).0;
            number(put(memory, count, &[0; 4]).and_then(|()| put(memory, size, &[0; 4])))
        })?;
    }
    for name in ["environ_get", "args_get"] {
        linker.func_wrap(MODULE, name, |_: u32, _: u32| SUCCESS)?;
    }
    linker.func_wrap(MODULE, "clock_time_get", |mut caller: Call<'_>, clock: u32, _precision: u64, time: u32| {
        match event::wasi_clock(clock) {
            Some(now) => number(put(split(&mut caller).0, time, &now.to_le_bytes())),
            None => INVAL,
        }
    })?;
    linker.func_wrap(MODULE, "random_get", |mut caller: Call<'_>, at: u32, len: u32| {
        match bytes_mut(split(&mut caller).0, at, len) {
            Ok(place) => event::fill_random(place).map_or(INVAL, |()| SUCCESS),
            Err(_) => FAULT,
        }
    })?;
    linker.func_wrap(MODULE, "sched_yield", || SUCCESS)?;
    linker.func_wrap(MODULE, "fd_close", |_: u32| BADF)?;
    linker.func_wrap(MODULE, "fd_prestat_get", |_: u32, _: u32| BADF)?;
    linker.func_wrap(MODULE, "fd_prestat_dir_name", |_: u32, _: u32, _: u32| BADF)?;
    linker.func_wrap(MODULE, "fd_fdstat_get", |_: u32, _: u32| BADF)?;
    linker.func_wrap(MODULE, "fd_seek", |_: u32, _: i64, _: u32, _: u32| BADF)?;
    linker.func_wrap(MODULE, "fd_read", |_: u32, _: u32, _: u32, _: u32| BADF)?;
    linker.func_wrap(MODULE, "proc_exit", |code: u32| -> wasmtime::Result<()> {
        Err(wasmtime::Error::msg(format!("it exited with code {code}")))
    })?;
    Ok(())
}

fn number(result: Result<(), i32>) -> i32 {
    result.err().unwrap_or(SUCCESS)
}

fn put(memory: &mut [u8], at: u32, value: &[u8]) -> Result<(), i32> {
    bytes_mut(memory, at, value.len() as u32).map_err(|_| FAULT)?.copy_from_slice(value);
    Ok(())
}

fn word(memory: &[u8], at: u32) -> Result<u32, i32> {
    let word = bytes(memory, at, 4).map_err(|_| FAULT)?;
    Ok(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}

/// Keeps what the kernel says on its own stdout and stderr for the report.
fn fd_write(memory: &mut [u8], host: &mut Host, fd: u32, pieces: u32, count: u32, done: u32) -> Result<(), i32> {
    if fd != 1 && fd != 2 {
        return Err(BADF);
    }
    if count > MAX_PIECES {
        return Err(INVAL);
    }
    let mut total = 0u32;
    for index in 0..count {
        let piece = pieces.checked_add(index * 8).ok_or(FAULT)?;
        let (at, len) = (word(memory, piece)?, word(memory, piece.checked_add(4).ok_or(FAULT)?)?);
        host.console.write(bytes(memory, at, len).map_err(|_| FAULT)?);
        total = total.checked_add(len).ok_or(INVAL)?;
    }
    put(memory, done, &total.to_le_bytes())
}
