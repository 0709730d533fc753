//! Extended attributes (xattr(7)): get, set, list and remove, by path, by link and by descriptor.

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::{NAME_MAX, at};
use shallop_linux_abi::inotify::IN_ATTRIB;

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::task::credentials::cap;
use crate::vfs::permission::{self, READ, WRITE};
use crate::vfs::{FileKind, Location};
use crate::wait::{SysResult, Tid};

/// Largest value (XATTR_SIZE_MAX).
const VALUE_MAX: u64 = 65536;

fn by_path(k: &Kernel, call: &Call, follow: bool) -> Result<Location, Errno> {
    let path = k.path_argument(call.tid, call.args[0])?;
    k.resolve_at(call.tid, at::FDCWD as u64, &path, follow)
}

fn by_fd(k: &Kernel, call: &Call) -> Result<Location, Errno> {
    Ok(k.file(call.tid, call.args[0])?.location.clone())
}

/// An attribute's name: ERANGE when too long, EOPNOTSUPP outside the four namespaces.
fn name(k: &Kernel, tid: Tid, addr: u64) -> Result<Vec<u8>, Errno> {
    let name =
        k.read_string(tid, addr, NAME_MAX).map_err(|e| if e == Errno::ENAMETOOLONG { Errno::ERANGE } else { e })?;
    if name.is_empty() {
        return Err(Errno::ERANGE);
    }
    let known = ["user.", "security.", "system.", "trusted."];
    if !known.iter().any(|prefix| name.starts_with(prefix.as_bytes()) && name.len() > prefix.len()) {
        return Err(Errno::EOPNOTSUPP);
    }
    Ok(name)
}

fn check(k: &Kernel, tid: Tid, location: &Location, name: &[u8], want: u32) -> Result<(), Errno> {
    let who = &k.task(tid).credentials;
    let refused = if want == WRITE { Errno::EPERM } else { Errno::ENODATA };
    if name.starts_with(b"trusted.") && !who.has(cap::SYS_ADMIN) {
        return Err(refused);
    }
    if name.starts_with(b"user.") {
        if !matches!(location.inode.kind(), FileKind::Regular | FileKind::Directory) {
            return Err(refused);
        }
        permission::check(who, &location.inode, want)?;
    } else if want == WRITE && !permission::is_owner(who, &location.inode.stat()?) {
        return Err(Errno::EPERM);
    }
    if want == WRITE { k.check_writable(location) } else { Ok(()) }
}

/// Gives `bytes` to the guest; with size 0 only their number.
fn give(k: &Kernel, tid: Tid, buf: u64, size: u64, bytes: &[u8]) -> SysResult {
    if size != 0 {
        if (bytes.len() as u64) > size {
            return Err(Errno::ERANGE.into());
        }
        k.write_memory(tid, buf, bytes)?;
    }
    Ok(bytes.len() as u64)
}

fn get(k: &Kernel, call: &Call, location: &Location) -> SysResult {
    let [_, name_at, buf, size, ..] = call.args;
    let name = name(k, call.tid, name_at)?;
    check(k, call.tid, location, &name, READ)?;
    give(k, call.tid, buf, size, &location.inode.get_xattr(&name)?)
}

fn set(k: &Kernel, call: &Call, location: &Location) -> SysResult {
    const CREATE: u32 = 1;
    const REPLACE: u32 = 2;
    let [_, name_at, value, size, flags, _] = call.args;
    let flags = flags as u32;
    if flags & !(CREATE | REPLACE) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let name = name(k, call.tid, name_at)?;
    if size > VALUE_MAX {
        return Err(Errno::E2BIG.into());
    }
    let mut bytes = vec![0; size as usize];
    k.read_memory(call.tid, value, &mut bytes)?;
    check(k, call.tid, location, &name, WRITE)?;
    let present = location.inode.get_xattr(&name).is_ok();
    if flags & CREATE != 0 && present {
        return Err(Errno::EEXIST.into());
    }
    if flags & REPLACE != 0 && !present {
        return Err(Errno::ENODATA.into());
    }
    location.inode.set_xattr(&name, &bytes)?;
    k.io.watches.tell(location, IN_ATTRIB);
    Ok(0)
}

fn list(k: &Kernel, call: &Call, location: &Location) -> SysResult {
    let [_, buf, size, ..] = call.args;
    let hidden = !k.task(call.tid).credentials.has(cap::SYS_ADMIN);
    let names = location.inode.list_xattr()?;
    let shown = names.into_iter().filter(|name| !(hidden && name.starts_with(b"trusted.")));
    let bytes: Vec<u8> = shown.flat_map(|name| [name, vec![0]].concat()).collect();
    give(k, call.tid, buf, size, &bytes)
}

fn remove(k: &Kernel, call: &Call, location: &Location) -> SysResult {
    let name = name(k, call.tid, call.args[1])?;
    check(k, call.tid, location, &name, WRITE)?;
    location.inode.remove_xattr(&name)?;
    k.io.watches.tell(location, IN_ATTRIB);
    Ok(0)
}

macro_rules! three_forms {
    ($(#[$doc:meta])* $act:ident: $path:ident, $link:ident, $fd:ident) => {
        $(#[$doc])*
        pub fn $path(k: &mut Kernel, call: &Call) -> SysResult {
            let location = by_path(k, call, true)?;
            $act(k, call, &location)
        }

        $(#[$doc])*
        pub fn $link(k: &mut Kernel, call: &Call) -> SysResult {
            let location = by_path(k, call, false)?;
            $act(k, call, &location)
        }

        $(#[$doc])*
        pub fn $fd(k: &mut Kernel, call: &Call) -> SysResult {
            let location = by_fd(k, call)?;
            $act(k, call, &location)
        }
    };
}

three_forms!(
    /// `getxattr(file, name, buf, size)`
    get: getxattr, lgetxattr, fgetxattr
);
three_forms!(
    /// `setxattr(file, name, value, size, flags)`
    set: setxattr, lsetxattr, fsetxattr
);
three_forms!(
    /// `listxattr(file, buf, size)`
    list: listxattr, llistxattr, flistxattr
);
three_forms!(
    /// `removexattr(file, name)`
    remove: removexattr, lremovexattr, fremovexattr
);
