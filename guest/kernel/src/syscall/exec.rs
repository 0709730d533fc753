//! execve(2), execveat(2).

use shallop_linux_abi::Errno;

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::loader::{self, Program};
use crate::tunables::{ARGUMENT_BYTES, ARGUMENT_MAX};
use crate::wait::{Stop, SysResult, Tid};

const PATH_MAX: usize = 4096;
const AT_FDCWD: i32 = -100;
const AT_EMPTY_PATH: u64 = 0x1000;
const AT_SYMLINK_NOFOLLOW: u64 = 0x100;

pub fn execve(k: &mut Kernel, call: &Call) -> SysResult {
    let [path, argv, env, ..] = call.args;
    let path = k.read_string(call.tid, path, PATH_MAX)?;
    let program = read_program(k, call.tid, path, argv, env)?;
    let location = loader::find(k, call.tid, &program.path)?;
    replace(k, call.tid, location, program)
}

pub fn execveat(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, path, argv, env, flags, _] = call.args;
    if flags & !(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = k.read_string(call.tid, path, PATH_MAX)?;
    if path.first() == Some(&b'/') || fd as i32 == AT_FDCWD && !path.is_empty() {
        let program = read_program(k, call.tid, path, argv, env)?;
        let location = loader::find(k, call.tid, &program.path)?;
        return replace(k, call.tid, location, program);
    }
    if path.is_empty() && flags & AT_EMPTY_PATH == 0 {
        return Err(Errno::ENOENT.into());
    }
    // Named as Linux names it: what an interpreter can open again.
    let base = format!("/dev/fd/{}", fd as i32).into_bytes();
    let shown = if path.is_empty() { base } else { [base.as_slice(), b"/", &path].concat() };
    let place = k.task(call.tid).files.borrow().get(fd as u32)?.location.clone();
    let location = if path.is_empty() { place } else { loader::find_from(k, call.tid, &place, &path)? };
    let program = read_program(k, call.tid, shown, argv, env)?;
    replace(k, call.tid, location, program)
}

fn replace(k: &mut Kernel, tid: Tid, location: crate::vfs::Location, program: Program) -> SysResult {
    let pid = k.task(tid).pid;
    crate::task::exec::exec(k, tid, location, program)?;
    if tid.0 != pid.0 {
        k.enqueue(Tid(pid.0));
    }
    Err(Stop::Gone)
}

fn read_program(k: &Kernel, tid: Tid, path: Vec<u8>, argv: u64, env: u64) -> Result<Program, Errno> {
    let mut left = ARGUMENT_BYTES;
    let mut argv = read_strings(k, tid, argv, &mut left)?;
    if argv.is_empty() {
        argv.push(Vec::new());
    }
    Ok(Program { path, argv, env: read_strings(k, tid, env, &mut left)? })
}

/// A NULL-terminated array of strings; nothing for a null pointer. E2BIG when there are too many bytes.
fn read_strings(k: &Kernel, tid: Tid, addr: u64, left: &mut usize) -> Result<Vec<Vec<u8>>, Errno> {
    let mut list = Vec::new();
    let mut at = addr;
    if addr == 0 {
        return Ok(list);
    }
    loop {
        let pointer = k.read_u64(tid, at)?;
        if pointer == 0 {
            return Ok(list);
        }
        let string = k.read_string(tid, pointer, ARGUMENT_MAX - 1).map_err(|e| match e {
            Errno::ENAMETOOLONG => Errno::E2BIG,
            other => other,
        })?;
        *left = left.checked_sub(string.len() + 9).ok_or(Errno::E2BIG)?;
        list.push(string);
        at = at.wrapping_add(8);
    }
}
