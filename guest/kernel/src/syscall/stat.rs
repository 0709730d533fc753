//! Metadata: stat in its forms, access checks, modes, owners, times, file system statistics.

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::at;
use shallop_linux_abi::inotify::{IN_ACCESS, IN_ATTRIB, IN_MODIFY};

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::task::credentials::cap;
use crate::vfs::permission::{self, WRITE};
use crate::vfs::{FileKind, Location, SetAttr, Stat, Timespec};
use crate::wait::{SysResult, Tid};

/// Builds the bytes of a C struct, field by field.
#[derive(Default)]
pub struct Struct(pub Vec<u8>);

impl Struct {
    pub fn u16(mut self, value: u16) -> Struct {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn u32(mut self, value: u32) -> Struct {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn u64(mut self, value: u64) -> Struct {
        self.0.extend(value.to_le_bytes());
        self
    }
}

/// st_rdev's encoding of a device number (new_encode_dev).
pub fn device_number((major, minor): (u32, u32)) -> u64 {
    u64::from(minor & 0xff | (major & 0xfff) << 8 | (minor & !0xff) << 12)
}

/// The other way.
pub fn device_parts(number: u64) -> (u32, u32) {
    let number = number as u32;
    (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xfff00)
}

/// struct stat of asm-generic, 128 bytes.
fn stat_bytes(stat: &Stat) -> Vec<u8> {
    let time = |s: Struct, t: &Timespec| s.u64(t.sec as u64).u64(t.nsec.into());
    let s = Struct::default().u64(stat.dev).u64(stat.ino).u32(stat.mode).u32(stat.nlink).u32(stat.uid).u32(stat.gid);
    let s = s.u64(device_number(stat.rdev)).u64(0).u64(stat.size).u32(stat.block_size).u32(0).u64(stat.blocks);
    time(time(time(s, &stat.atime), &stat.mtime), &stat.ctime).u64(0).0
}

/// struct statx, 256 bytes.
fn statx_bytes(stat: &Stat, mount: u32) -> Vec<u8> {
    const BASIC: u32 = 0x7ff;
    const BTIME: u32 = 0x800;
    const MNT_ID: u32 = 0x1000;
    let time = |s: Struct, t: &Timespec| s.u64(t.sec as u64).u32(t.nsec).u32(0);
    let mask = BASIC | MNT_ID | if stat.btime.is_some() { BTIME } else { 0 };
    let s = Struct::default().u32(mask).u32(stat.block_size).u64(0).u32(stat.nlink).u32(stat.uid).u32(stat.gid);
    let s = s.u16(stat.mode as u16).u16(0).u64(stat.ino).u64(stat.size).u64(stat.blocks).u64(0);
    let s = time(time(s, &stat.atime), &stat.btime.unwrap_or_default());
    let s = time(time(s, &stat.ctime), &stat.mtime);
    let (major, minor) = device_parts(stat.dev);
    let mut bytes = s.u32(stat.rdev.0).u32(stat.rdev.1).u32(major).u32(minor).u64(mount.into()).0;
    bytes.resize(256, 0);
    bytes
}

/// `newfstatat(dirfd, path, buf, flags)`
pub fn newfstatat(k: &mut Kernel, call: &Call) -> SysResult {
    let [dirfd, path, buf, flags, ..] = call.args;
    let flags = flags as u32;
    if flags & !(at::SYMLINK_NOFOLLOW | at::NO_AUTOMOUNT | at::EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = optional_path(k, call.tid, path, flags)?;
    let stat = k.resolve_flags(call.tid, dirfd, &path, flags)?.inode.stat()?;
    k.write_memory(call.tid, buf, &stat_bytes(&stat))?;
    Ok(0)
}

/// A path argument that may be null with AT_EMPTY_PATH.
fn optional_path(k: &Kernel, tid: Tid, path: u64, flags: u32) -> Result<Vec<u8>, Errno> {
    if path == 0 && flags & at::EMPTY_PATH != 0 { Ok(Vec::new()) } else { k.path_argument(tid, path) }
}

/// `fstat(fd, buf)`
pub fn fstat(k: &mut Kernel, call: &Call) -> SysResult {
    let stat = k.any_file(call.tid, call.args[0])?.location.inode.stat()?;
    k.write_memory(call.tid, call.args[1], &stat_bytes(&stat))?;
    Ok(0)
}

/// `statx(dirfd, path, flags, mask, buf)`
pub fn statx(k: &mut Kernel, call: &Call) -> SysResult {
    let [dirfd, path, flags, mask, buf, _] = call.args;
    let flags = flags as u32;
    let sync = at::STATX_FORCE_SYNC | at::STATX_DONT_SYNC;
    let known = at::SYMLINK_NOFOLLOW | at::NO_AUTOMOUNT | at::EMPTY_PATH | sync;
    if flags & !known != 0 || flags & sync == sync || mask as u32 & 1 << 31 != 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = optional_path(k, call.tid, path, flags)?;
    let location = k.resolve_flags(call.tid, dirfd, &path, flags)?;
    let bytes = statx_bytes(&location.inode.stat()?, location.mount);
    k.write_memory(call.tid, buf, &bytes)?;
    Ok(0)
}

/// `statfs(path, buf)`
pub fn statfs(k: &mut Kernel, call: &Call) -> SysResult {
    let path = k.path_argument(call.tid, call.args[0])?;
    let location = k.resolve_at(call.tid, at::FDCWD as u64, &path, true)?;
    write_statfs(k, call, &location)
}

/// `fstatfs(fd, buf)`
pub fn fstatfs(k: &mut Kernel, call: &Call) -> SysResult {
    let location = k.any_file(call.tid, call.args[0])?.location.clone();
    write_statfs(k, call, &location)
}

fn write_statfs(k: &Kernel, call: &Call, location: &Location) -> SysResult {
    const ST_RDONLY: u64 = 1;
    const ST_VALID: u64 = 0x20;
    let fs = location.inode.fs();
    let (magic, block, blocks, free, inodes, free_inodes) = fs.statfs();
    let flags = ST_VALID | if location.mount != 0 && k.mounts.read_only(location) { ST_RDONLY } else { 0 };
    let s = Struct::default().u64(magic).u64(block).u64(blocks).u64(free).u64(free).u64(inodes).u64(free_inodes);
    let mut bytes = s.u64(fs.dev()).u64(255).u64(block).u64(flags).0;
    bytes.resize(120, 0);
    k.write_memory(call.tid, call.args[1], &bytes)?;
    Ok(0)
}

/// `faccessat(dirfd, path, mode)`
pub fn faccessat(k: &mut Kernel, call: &Call) -> SysResult {
    let [dirfd, path, mode, ..] = call.args;
    access(k, call.tid, dirfd, path, mode as u32, 0)
}

/// `faccessat2(dirfd, path, mode, flags)`
pub fn faccessat2(k: &mut Kernel, call: &Call) -> SysResult {
    let [dirfd, path, mode, flags, ..] = call.args;
    access(k, call.tid, dirfd, path, mode as u32, flags as u32)
}

fn access(k: &mut Kernel, tid: Tid, dirfd: u64, path: u64, mode: u32, flags: u32) -> SysResult {
    if mode & !7 != 0 || flags & !(at::EACCESS | at::SYMLINK_NOFOLLOW | at::EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = optional_path(k, tid, path, flags)?;
    let location = k.resolve_flags(tid, dirfd, &path, flags)?;
    let mut who = k.task(tid).credentials.clone();
    if flags & at::EACCESS == 0 {
        // access(2) asks for the real ids; a real root has what it could have, others have nothing.
        let differs = who.uid != who.fsuid;
        (who.fsuid, who.fsgid) = (who.uid, who.gid);
        if differs {
            who.caps.effective = if who.uid == 0 { who.caps.permitted } else { 0 };
        }
    }
    permission::check(&who, &location.inode, mode)?;
    let stored = matches!(location.inode.kind(), FileKind::Regular | FileKind::Directory);
    if mode & WRITE != 0 && stored {
        k.check_writable(&location)?;
    }
    Ok(0)
}

/// `fchmod(fd, mode)`
pub fn fchmod(k: &mut Kernel, call: &Call) -> SysResult {
    let location = k.file(call.tid, call.args[0])?.location.clone();
    change_mode(k, call.tid, &location, call.args[1] as u32)
}

/// `fchmodat(dirfd, path, mode)`
pub fn fchmodat(k: &mut Kernel, call: &Call) -> SysResult {
    let [dirfd, path, mode, ..] = call.args;
    let path = k.path_argument(call.tid, path)?;
    let location = k.resolve_at(call.tid, dirfd, &path, true)?;
    change_mode(k, call.tid, &location, mode as u32)
}

/// `fchmodat2(dirfd, path, mode, flags)`
pub fn fchmodat2(k: &mut Kernel, call: &Call) -> SysResult {
    let [dirfd, path, mode, flags, ..] = call.args;
    let flags = flags as u32;
    if flags & !(at::SYMLINK_NOFOLLOW | at::EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = optional_path(k, call.tid, path, flags)?;
    let location = k.resolve_flags(call.tid, dirfd, &path, flags)?;
    change_mode(k, call.tid, &location, mode as u32)
}

fn change_mode(k: &mut Kernel, tid: Tid, location: &Location, mode: u32) -> SysResult {
    if location.inode.kind() == FileKind::Symlink {
        return Err(Errno::EOPNOTSUPP.into());
    }
    check_in_tree(k, location)?;
    let who = &k.task(tid).credentials;
    let stat = location.inode.stat()?;
    if !permission::is_owner(who, &stat) {
        return Err(Errno::EPERM.into());
    }
    let mut mode = mode & 0o7777;
    if !who.in_group(stat.gid) && !who.has(cap::FSETID) {
        mode &= !0o2000;
    }
    location.inode.set_attr(&SetAttr { mode: Some(mode), ..SetAttr::default() })?;
    k.io.watches.tell(location, IN_ATTRIB);
    Ok(0)
}

/// EROFS on read-only mounts; files outside the tree are on none.
fn check_in_tree(k: &Kernel, location: &Location) -> Result<(), Errno> {
    if location.mount == 0 { Ok(()) } else { k.check_writable(location) }
}

/// `fchown(fd, uid, gid)`
pub fn fchown(k: &mut Kernel, call: &Call) -> SysResult {
    let location = k.file(call.tid, call.args[0])?.location.clone();
    change_owner(k, call.tid, &location, call.args[1] as u32, call.args[2] as u32)
}

/// `fchownat(dirfd, path, uid, gid, flags)`
pub fn fchownat(k: &mut Kernel, call: &Call) -> SysResult {
    let [dirfd, path, uid, gid, flags, _] = call.args;
    let flags = flags as u32;
    if flags & !(at::SYMLINK_NOFOLLOW | at::EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = optional_path(k, call.tid, path, flags)?;
    let location = k.resolve_flags(call.tid, dirfd, &path, flags)?;
    change_owner(k, call.tid, &location, uid as u32, gid as u32)
}

fn change_owner(k: &mut Kernel, tid: Tid, location: &Location, uid: u32, gid: u32) -> SysResult {
    check_in_tree(k, location)?;
    let who = &k.task(tid).credentials;
    let stat = location.inode.stat()?;
    let given = |id: u32| (id != u32::MAX).then_some(id);
    let (uid, gid) = (given(uid), given(gid));
    if !who.has(cap::CHOWN) {
        let owner = who.fsuid == stat.uid;
        let uid_ok = uid.is_none_or(|uid| owner && uid == stat.uid);
        let gid_ok = gid.is_none_or(|gid| owner && (gid == stat.gid || who.in_group(gid)));
        if !uid_ok || !gid_ok {
            return Err(Errno::EPERM.into());
        }
    }
    // chown(2): an executable loses its set-id bits, unless nothing was asked for.
    let executable = stat.mode & 0o111 != 0 && location.inode.kind() == FileKind::Regular;
    let mut mode = None;
    if executable && stat.mode & 0o6000 != 0 && (uid.is_some() || gid.is_some()) {
        let group_exec = stat.mode & 0o010 != 0;
        mode = Some(stat.mode & 0o7777 & if group_exec { !0o6000 } else { !0o4000 });
    }
    location.inode.set_attr(&SetAttr { mode, uid, gid, ..SetAttr::default() })?;
    k.io.watches.tell(location, IN_ATTRIB);
    Ok(0)
}

/// `utimensat(dirfd, path, times, flags)`: a null path is the descriptor itself.
pub fn utimensat(k: &mut Kernel, call: &Call) -> SysResult {
    let [dirfd, path, times, flags, ..] = call.args;
    let flags = flags as u32;
    if flags & !(at::SYMLINK_NOFOLLOW | at::EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let requested = requested_times(k, call.tid, times)?;
    let location = match path {
        0 => k.file(call.tid, dirfd)?.location.clone(),
        _ => {
            let path = k.path_argument(call.tid, path)?;
            k.resolve_flags(call.tid, dirfd, &path, flags)?
        }
    };
    let now = k.now_realtime();
    let who = &k.task(call.tid).credentials;
    match requested {
        [When::Omit, When::Omit] => return Ok(0),
        [When::Now, When::Now] if permission::is_owner(who, &location.inode.stat()?) => {}
        [When::Now, When::Now] => permission::check(who, &location.inode, WRITE)?,
        _ if permission::is_owner(who, &location.inode.stat()?) => {}
        _ => return Err(Errno::EPERM.into()),
    }
    check_in_tree(k, &location)?;
    let [atime, mtime] = requested.map(|when| match when {
        When::Omit => None,
        When::Now => Some(now),
        When::At(time) => Some(time),
    });
    location.inode.set_attr(&SetAttr { atime, mtime, ..SetAttr::default() })?;
    let event = match (atime, mtime) {
        (Some(_), None) => IN_ACCESS,
        (None, Some(_)) => IN_MODIFY,
        _ => IN_ATTRIB,
    };
    k.io.watches.tell(&location, event);
    Ok(0)
}

/// One of utimensat(2)'s two times.
#[derive(Clone, Copy)]
enum When {
    Now,
    Omit,
    At(Timespec),
}

fn requested_times(k: &Kernel, tid: Tid, addr: u64) -> Result<[When; 2], Errno> {
    const UTIME_NOW: u64 = 0x3fff_ffff;
    const UTIME_OMIT: u64 = 0x3fff_fffe;
    if addr == 0 {
        return Ok([When::Now; 2]);
    }
    let mut times = [When::Now; 2];
    for (i, when) in times.iter_mut().enumerate() {
        let at = addr + i as u64 * 16;
        let (sec, nsec) = (k.read_u64(tid, at)?, k.read_u64(tid, at + 8)?);
        *when = match nsec {
            UTIME_NOW => When::Now,
            UTIME_OMIT => When::Omit,
            0..1_000_000_000 => When::At(Timespec { sec: sec as i64, nsec: nsec as u32 }),
            _ => return Err(Errno::EINVAL),
        };
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_have_the_sizes_of_the_abi() {
        assert_eq!(stat_bytes(&Stat::default()).len(), 128);
        assert_eq!(statx_bytes(&Stat::default(), 1).len(), 256);
    }

    #[test]
    fn device_numbers_go_both_ways() {
        for parts in [(1, 3), (136, 0), (8, 300), (0, 70000)] {
            assert_eq!(device_parts(device_number(parts)), parts);
        }
    }
}
