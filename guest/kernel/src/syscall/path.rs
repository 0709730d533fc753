//! Where a task stands in the tree: chdir, fchdir, getcwd, chroot, umask.

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::at;

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::task::credentials::cap;
use crate::vfs::permission::{self, EXEC};
use crate::vfs::{FileKind, Location};
use crate::wait::{SysResult, Tid};

/// `chdir(path)`
pub fn chdir(k: &mut Kernel, call: &Call) -> SysResult {
    let path = k.path_argument(call.tid, call.args[0])?;
    let place = k.resolve_at(call.tid, at::FDCWD as u64, &path, true)?;
    check_enter(k, call.tid, &place)?;
    k.task(call.tid).fs.borrow_mut().cwd = place;
    Ok(0)
}

/// `fchdir(fd)`
pub fn fchdir(k: &mut Kernel, call: &Call) -> SysResult {
    let place = k.any_file(call.tid, call.args[0])?.location.clone();
    check_enter(k, call.tid, &place)?;
    k.task(call.tid).fs.borrow_mut().cwd = place;
    Ok(0)
}

fn check_enter(k: &Kernel, tid: Tid, place: &Location) -> Result<(), Errno> {
    match place.inode.kind() {
        FileKind::Directory => permission::check(&k.task(tid).credentials, &place.inode, EXEC),
        _ => Err(Errno::ENOTDIR),
    }
}

/// `chroot(path)`
pub fn chroot(k: &mut Kernel, call: &Call) -> SysResult {
    let path = k.path_argument(call.tid, call.args[0])?;
    let place = k.resolve_at(call.tid, at::FDCWD as u64, &path, true)?;
    check_enter(k, call.tid, &place)?;
    if !k.task(call.tid).credentials.has(cap::SYS_CHROOT) {
        return Err(Errno::EPERM.into());
    }
    k.task(call.tid).fs.borrow_mut().root = place;
    Ok(0)
}

/// `getcwd(buf, size)`: returns the length with its NUL. ENOENT when the directory was removed.
pub fn getcwd(k: &mut Kernel, call: &Call) -> SysResult {
    let [buf, size, ..] = call.args;
    let context = k.task(call.tid).fs.borrow().clone();
    if context.cwd.inode.stat()?.nlink == 0 {
        return Err(Errno::ENOENT.into());
    }
    let mut path = context.cwd.path_in(&context.root);
    path.push(0);
    if size == 0 && buf != 0 {
        return Err(Errno::EINVAL.into());
    }
    if path.len() as u64 > size {
        return Err(Errno::ERANGE.into());
    }
    k.write_memory(call.tid, buf, &path)?;
    Ok(path.len() as u64)
}

/// `umask(mask)`: returns the old one.
pub fn umask(k: &mut Kernel, call: &Call) -> SysResult {
    let mut context = k.task(call.tid).fs.borrow_mut();
    let old = std::mem::replace(&mut context.umask, call.args[0] as u32 & 0o777);
    Ok(old.into())
}
