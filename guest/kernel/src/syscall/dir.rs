//! Names and directories: getdents64, mkdirat, mknodat, unlinkat, renameat2, linkat, symlinkat, readlinkat.

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::at;
use shallop_linux_abi::inotify::*;

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::task::credentials::cap;
use crate::vfs::open_file::OpenFile;
use crate::vfs::path::{Found, Last, Limits};
use crate::vfs::permission;
use crate::vfs::{DirEntry, FileKind, InodeRef, Location, NewNode};
use crate::wait::{SysResult, Tid};

use super::stat::device_parts;

/// Cookies of `.` and `..`; those of the file system come after them.
const OWN_ENTRIES: u64 = 2;

/// `getdents64(fd, buf, count)`
pub fn getdents64(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, buf, count, ..] = call.args;
    let file = k.file(call.tid, fd)?;
    if file.location.inode.kind() != FileKind::Directory {
        return Err(Errno::ENOTDIR.into());
    }
    if file.location.inode.stat()?.nlink == 0 {
        return Err(Errno::ENOENT.into());
    }
    let count = (count as u32).min(1 << 20) as usize;
    let mut out = Vec::new();
    let mut position = file.offset.get();
    'fill: loop {
        let entries = entries_after(k, call.tid, &file, position)?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            if !push_entry(&mut out, &entry, count) {
                break 'fill;
            }
            position = entry.next;
        }
    }
    if out.is_empty() && !entries_after(k, call.tid, &file, position)?.is_empty() {
        return Err(Errno::EINVAL.into());
    }
    k.write_memory(call.tid, buf, &out)?;
    file.offset.set(position);
    k.io.watches.tell(&file.location, IN_ACCESS);
    Ok(out.len() as u64)
}

/// The next entries, their cookies as the guest sees them.
fn entries_after(k: &Kernel, tid: Tid, file: &OpenFile, position: u64) -> Result<Vec<DirEntry>, Errno> {
    let location = &file.location;
    let own = |location: &Location, name: &[u8], next| -> Result<DirEntry, Errno> {
        Ok(DirEntry { ino: location.inode.stat()?.ino, kind: FileKind::Directory, name: name.to_vec(), next })
    };
    if position < OWN_ENTRIES {
        let parent = location.parent.as_deref().unwrap_or(location);
        let both = [own(location, b".", 1)?, own(parent, b"..", OWN_ENTRIES)?];
        return Ok(both.into_iter().skip(position as usize).collect());
    }
    let cookie = position - OWN_ENTRIES;
    let mut entries = match location.inode.kernel_view() {
        Some(view) => view.entries(k, tid)?.into_iter().filter(|e| e.next > cookie).collect(),
        None => location.inode.read_dir(cookie)?,
    };
    entries.iter_mut().for_each(|e| e.next += OWN_ENTRIES);
    Ok(entries)
}

/// Adds a struct linux_dirent64 when there is room.
fn push_entry(out: &mut Vec<u8>, entry: &DirEntry, limit: usize) -> bool {
    let length = (19 + entry.name.len() + 1).next_multiple_of(8);
    if out.len() + length > limit {
        return false;
    }
    let end = out.len() + length;
    out.extend(entry.ino.to_le_bytes());
    out.extend(entry.next.to_le_bytes());
    out.extend((length as u16).to_le_bytes());
    out.push(entry.kind.dirent_type());
    out.extend(&entry.name);
    out.resize(end, 0);
    true
}

fn walk(k: &Kernel, tid: Tid, dirfd: u64, path: u64) -> Result<Found, Errno> {
    let path = k.path_argument(tid, path)?;
    k.walk_at(tid, dirfd, &path, false, Limits { name_only: true, ..Limits::default() })
}

/// `mkdirat(dirfd, path, mode)`
pub fn mkdirat(k: &mut Kernel, call: &Call) -> SysResult {
    let [dirfd, path, mode, ..] = call.args;
    let found = walk(k, call.tid, dirfd, path)?;
    k.create_at(call.tid, &found, &NewNode::Directory, mode as u32 & 0o1777)?;
    Ok(0)
}

/// `mknodat(dirfd, path, mode, dev)`
pub fn mknodat(k: &mut Kernel, call: &Call) -> SysResult {
    let [dirfd, path, mode, dev, ..] = call.args;
    let mode = mode as u32;
    let (major, minor) = device_parts(dev);
    let kind = if mode & 0o170000 == 0 { Some(FileKind::Regular) } else { FileKind::from_mode(mode) };
    let node = match kind.ok_or(Errno::EINVAL)? {
        FileKind::Regular => NewNode::Regular,
        FileKind::Fifo => NewNode::Fifo,
        FileKind::Socket => NewNode::Socket,
        FileKind::CharDevice => NewNode::CharDevice(major, minor),
        FileKind::BlockDevice => NewNode::BlockDevice(major, minor),
        FileKind::Directory => return Err(Errno::EPERM.into()),
        FileKind::Symlink => return Err(Errno::EINVAL.into()),
    };
    let device = matches!(node, NewNode::CharDevice(..) | NewNode::BlockDevice(..));
    // A character device 0:0 is a whiteout, which everyone may make.
    if device && !matches!(node, NewNode::CharDevice(0, 0)) && !k.task(call.tid).credentials.has(cap::MKNOD) {
        return Err(Errno::EPERM.into());
    }
    let found = walk(k, call.tid, dirfd, path)?;
    k.create_at(call.tid, &found, &node, mode)?;
    Ok(0)
}

/// `symlinkat(target, dirfd, path)`
pub fn symlinkat(k: &mut Kernel, call: &Call) -> SysResult {
    let [target, dirfd, path, ..] = call.args;
    let target = k.path_argument(call.tid, target)?;
    if target.is_empty() {
        return Err(Errno::ENOENT.into());
    }
    let found = walk(k, call.tid, dirfd, path)?;
    // The umask does not touch the mode of links, which is never looked at.
    let created = k.create_at(call.tid, &found, &NewNode::Symlink(target), 0o777)?;
    drop(created);
    Ok(0)
}

/// `linkat(olddirfd, oldpath, newdirfd, newpath, flags)`
pub fn linkat(k: &mut Kernel, call: &Call) -> SysResult {
    let [old_dirfd, old, new_dirfd, new, flags, _] = call.args;
    let flags = flags as u32;
    if flags & !(at::SYMLINK_FOLLOW | at::EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let old = k.path_argument(call.tid, old)?;
    let nofollow = if flags & at::SYMLINK_FOLLOW != 0 { 0 } else { at::SYMLINK_NOFOLLOW };
    let target = k.resolve_flags(call.tid, old_dirfd, &old, flags & at::EMPTY_PATH | nofollow)?;
    let found = walk(k, call.tid, new_dirfd, new)?;
    if found.location.is_some() {
        return Err(Errno::EEXIST.into());
    }
    if found.slash {
        return Err(Errno::ENOENT.into());
    }
    if target.mount != found.parent.mount {
        return Err(Errno::EXDEV.into());
    }
    if target.inode.kind() == FileKind::Directory {
        return Err(Errno::EPERM.into());
    }
    k.check_change_directory(call.tid, &found.parent)?;
    found.parent.inode.link(&found.name, &target.inode)?;
    k.io.watches.tell_self(&target.inode, IN_ATTRIB);
    k.io.watches.tell_name(&found.parent.inode, &found.name, &target.inode, IN_CREATE, 0);
    Ok(0)
}

/// `unlinkat(dirfd, path, flags)`
pub fn unlinkat(k: &mut Kernel, call: &Call) -> SysResult {
    let [dirfd, path, flags, ..] = call.args;
    let flags = flags as u32;
    if flags & !at::REMOVEDIR != 0 {
        return Err(Errno::EINVAL.into());
    }
    let directory = flags & at::REMOVEDIR != 0;
    let found = walk(k, call.tid, dirfd, path)?;
    let location = k.check_remove(call.tid, &found, directory)?;
    if found.slash && location.inode.kind() != FileKind::Directory {
        return Err(Errno::ENOTDIR.into());
    }
    match (location.inode.kind() == FileKind::Directory, directory) {
        (true, true) => found.parent.inode.remove_dir(&found.name)?,
        (false, false) => found.parent.inode.unlink(&found.name)?,
        (true, false) => return Err(Errno::EISDIR.into()),
        (false, true) => return Err(Errno::ENOTDIR.into()),
    }
    k.io.watches.tell_unlinked(&location.inode);
    k.io.watches.tell_name(&found.parent.inode, &found.name, &location.inode, IN_DELETE, 0);
    Ok(0)
}

/// `renameat(olddirfd, old, newdirfd, new)`
pub fn renameat(k: &mut Kernel, call: &Call) -> SysResult {
    rename(k, call, 0)
}

/// `renameat2(olddirfd, old, newdirfd, new, flags)`: RENAME_NOREPLACE, RENAME_EXCHANGE; RENAME_WHITEOUT is EINVAL.
pub fn renameat2(k: &mut Kernel, call: &Call) -> SysResult {
    rename(k, call, call.args[4] as u32)
}

fn rename(k: &mut Kernel, call: &Call, flags: u32) -> SysResult {
    const NOREPLACE: u32 = 1;
    const EXCHANGE: u32 = 2;
    if flags & !(NOREPLACE | EXCHANGE) != 0 || flags == NOREPLACE | EXCHANGE {
        return Err(Errno::EINVAL.into());
    }
    let [old_dirfd, old, new_dirfd, new, ..] = call.args;
    let from = walk(k, call.tid, old_dirfd, old)?;
    let to = walk(k, call.tid, new_dirfd, new)?;
    if from.last != Last::Name || to.last != Last::Name {
        return Err(Errno::EBUSY.into());
    }
    let source = from.location.clone().ok_or(Errno::ENOENT)?;
    if flags & NOREPLACE != 0 && to.location.is_some() {
        return Err(Errno::EEXIST.into());
    }
    if from.parent.mount != to.parent.mount || source.mount != from.parent.mount {
        let busy = source.mount != from.parent.mount && from.parent.mount == to.parent.mount;
        return Err(if busy { Errno::EBUSY } else { Errno::EXDEV }.into());
    }
    let directory = source.inode.kind() == FileKind::Directory;
    if !directory && (from.slash || to.slash) {
        return Err(Errno::ENOTDIR.into());
    }
    if flags & EXCHANGE != 0 {
        return exchange(k, call.tid, &from, &to, &source);
    }
    check_rename(k, call.tid, &from, &to, &source, directory)?;
    if to.location.as_ref().is_some_and(|target| target.same(&source)) {
        return Ok(0);
    }
    from.parent.inode.rename(&from.name, &to.parent.inode, &to.name)?;
    if directory {
        follow_move(k, &source, &to);
    }
    tell_moved(k, &from, &to, &source.inode, to.location.as_ref());
    Ok(0)
}

/// RENAME_EXCHANGE: over a third name, which nobody sees as tasks do not run meanwhile.
fn exchange(k: &mut Kernel, tid: Tid, from: &Found, to: &Found, source: &Location) -> SysResult {
    let target = to.location.clone().ok_or(Errno::ENOENT)?;
    let target_directory = target.inode.kind() == FileKind::Directory;
    if !target_directory && to.slash {
        return Err(Errno::ENOTDIR.into());
    }
    if k.mounts.is_mount_root(&target) {
        return Err(Errno::EBUSY.into());
    }
    let who = &k.task(tid).credentials;
    for (found, place, other) in [(from, source, to), (to, &target, from)] {
        k.check_change_directory(tid, &found.parent)?;
        permission::check_sticky(who, &found.parent.inode.stat()?, &place.inode.stat()?)?;
        if place.inode.kind() == FileKind::Directory && other.parent_chain().any(|above| above.same(place)) {
            return Err(Errno::EINVAL.into());
        }
    }
    if target.same(source) {
        return Ok(0);
    }
    let mut random = [0; 8];
    k.platform.random(&mut random);
    let aside = format!(".exchange-{:016x}", u64::from_le_bytes(random)).into_bytes();
    let (a, b) = (&from.parent.inode, &to.parent.inode);
    a.rename(&from.name, a, &aside)?;
    if let Err(errno) = b.rename(&to.name, a, &from.name) {
        a.rename(&aside, a, &from.name)?;
        return Err(errno.into());
    }
    a.rename(&aside, b, &to.name)?;
    follow_move(k, source, to);
    follow_move(k, &target, from);
    tell_moved(k, from, to, &source.inode, None);
    tell_moved(k, to, from, &target.inode, None);
    Ok(0)
}

/// Tells who watches: a name went, a name came, what had that name lost it, the file moved.
fn tell_moved(k: &Kernel, from: &Found, to: &Found, moved: &InodeRef, replaced: Option<&Location>) {
    let watches = &k.io.watches;
    if watches.is_idle() {
        return;
    }
    let cookie = watches.new_cookie();
    watches.tell_name(&from.parent.inode, &from.name, moved, IN_MOVED_FROM, cookie);
    watches.tell_name(&to.parent.inode, &to.name, moved, IN_MOVED_TO, cookie);
    if let Some(replaced) = replaced {
        watches.tell_unlinked(&replaced.inode);
    }
    watches.tell_self(moved, IN_MOVE_SELF);
}

/// Tasks whose current directory is in a directory that moved stay there, under its new name.
fn follow_move(k: &Kernel, source: &Location, to: &Found) {
    let target = to.parent.child(&to.name, source.inode.clone());
    for task in k.tasks.iter() {
        let Ok(mut context) = task.fs.try_borrow_mut() else { continue };
        if let Some(place) = moved(&context.cwd, source, &target) {
            context.cwd = place;
        }
    }
}

/// Where `place` is now, if it was `source` or below it.
fn moved(place: &Location, source: &Location, target: &Location) -> Option<Location> {
    if place.same(source) {
        return Some(target.clone());
    }
    let parent = moved(place.parent.as_deref()?, source, target)?;
    Some(Location { parent: Some(std::rc::Rc::new(parent)), ..place.clone() })
}

fn check_rename(
    k: &Kernel,
    tid: Tid,
    from: &Found,
    to: &Found,
    source: &Location,
    directory: bool,
) -> Result<(), Errno> {
    let who = &k.task(tid).credentials;
    k.check_change_directory(tid, &from.parent)?;
    k.check_change_directory(tid, &to.parent)?;
    permission::check_sticky(who, &from.parent.inode.stat()?, &source.inode.stat()?)?;
    if directory && to.parent_chain().any(|place| place.same(source)) {
        return Err(Errno::EINVAL);
    }
    let Some(target) = &to.location else { return Ok(()) };
    if k.mounts.is_mount_root(target) {
        return Err(Errno::EBUSY);
    }
    permission::check_sticky(who, &to.parent.inode.stat()?, &target.inode.stat()?)?;
    match (directory, target.inode.kind() == FileKind::Directory) {
        (true, false) => Err(Errno::ENOTDIR),
        (false, true) => Err(Errno::EISDIR),
        _ => Ok(()),
    }
}

impl Found {
    /// The directories from the parent up to the root.
    fn parent_chain(&self) -> impl Iterator<Item = &Location> {
        std::iter::successors(Some(&self.parent), |place| place.parent.as_deref())
    }
}

/// `readlinkat(dirfd, path, buf, size)`
pub fn readlinkat(k: &mut Kernel, call: &Call) -> SysResult {
    let [dirfd, path, buf, size, ..] = call.args;
    if size as i32 <= 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = k.path_argument(call.tid, path)?;
    let location = k.resolve_flags(call.tid, dirfd, &path, at::EMPTY_PATH | at::SYMLINK_NOFOLLOW)?;
    if location.inode.kind() != FileKind::Symlink {
        return Err(if path.is_empty() { Errno::ENOENT } else { Errno::EINVAL }.into());
    }
    let target = match location.inode.kernel_view() {
        Some(view) => view.read_link(k, call.tid)?,
        None => location.inode.read_link()?,
    };
    let count = target.len().min(size as i32 as usize);
    k.write_memory(call.tid, buf, &target[..count])?;
    Ok(count as u64)
}
