//! The volume family: files below granted directories.
//!
//! A path is relative to its volume; its folders are resolved by cap-std, which does not leave the volume, and its last
//! component is used by itself, without following it when it is a symbolic link.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno as Os;
use shallop_host_abi::hypercall::open_flags;
use wasmtime::Linker;

use super::{bytes, bytes_mut, define, host_stat, io_errno, os_errno, put_stat};
use crate::handles::Handle;
use crate::kernel::Host;
use crate::process::Errno;

/// Longest path and component, as Linux has them.
const PATH_MAX: usize = 4096;
const NAME_MAX: usize = 255;

/// Entries of a directory that are looked at; more is an error.
const MAX_ENTRIES_BYTES: usize = 256 << 20;

/// Permission bits that a container may set on outside files: no set-id bits.
const MODE_MASK: u32 = 0o1777;

pub fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    define!(linker, "volume_stat", stat, root: u32, path: u32, path_len: u32, dst: u32);
    define!(linker, "volume_open", open, root: u32, path: u32, path_len: u32, flags: u32, mode: u32);
    define!(linker, "volume_read_dir", read_dir, root: u32, path: u32, path_len: u32, dst: u32, len: u32);
    define!(linker, "volume_make_dir", make_dir, root: u32, path: u32, path_len: u32, mode: u32);
    define!(linker, "volume_remove", remove, root: u32, path: u32, path_len: u32, directory: u32);
    define!(linker, "volume_rename", rename, root: u32, from: u32, from_len: u32, to: u32, to_len: u32);
    define!(linker, "volume_symlink", symlink, root: u32, target: u32, target_len: u32, path: u32, path_len: u32);
    define!(linker, "volume_link", hard_link, root: u32, from: u32, from_len: u32, to: u32, to_len: u32);
    define!(linker, "volume_read_link", read_link, root: u32, path: u32, path_len: u32, dst: u32, len: u32);
    define!(linker, "volume_set_mode", set_mode, root: u32, path: u32, path_len: u32, mode: u32);
    define!(linker, "volume_set_times", set_times, root: u32, path: u32, path_len: u32, atime: i64, mtime: i64);
    Ok(())
}

/// The folder of a path, and its last component in there.
struct Place<'a> {
    folder: Folder<'a>,
    name: OsString,
}

enum Folder<'a> {
    Root(&'a Dir),
    Below(Dir),
}

impl AsFd for Place<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.folder {
            Folder::Root(dir) => dir.as_fd(),
            Folder::Below(dir) => dir.as_fd(),
        }
    }
}

impl Place<'_> {
    /// What is there now; a link itself.
    fn stat(&self) -> Result<Stat, Errno> {
        rustix::fs::statat(self, &*self.name, AtFlags::SYMLINK_NOFOLLOW).map_err(os_errno)
    }

    fn open(&self, flags: OFlags, mode: Mode) -> Result<File, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        loop {
            match rustix::fs::openat(self, &*self.name, flags, mode) {
                Ok(descriptor) => return Ok(File::from(descriptor)),
                Err(Os::INTR) => {}
                Err(error) => return Err(os_errno(error)),
            }
        }
    }
}

/// Finds the folder of `path`; the empty path is the volume itself.
fn place<'a>(root: &'a Dir, path: &[u8]) -> Result<Place<'a>, Errno> {
    if path.is_empty() {
        return Ok(Place { folder: Folder::Root(root), name: OsString::from(".") });
    }
    check_path(path)?;
    let (folder, name) = match path.iter().rposition(|byte| *byte == b'/') {
        None => (Folder::Root(root), path),
        Some(at) => {
            let folder = Path::new(OsStr::from_bytes(&path[..at]));
            (Folder::Below(root.open_dir(folder).map_err(io_errno)?), &path[at + 1..])
        }
    };
    Ok(Place { folder, name: OsStr::from_bytes(name).to_owned() })
}

/// A path of ordinary components, each within its bounds.
fn check_path(path: &[u8]) -> Result<(), Errno> {
    if path.len() >= PATH_MAX {
        return Err(libc::ENAMETOOLONG);
    }
    for component in path.split(|byte| *byte == b'/') {
        if component.len() > NAME_MAX {
            return Err(libc::ENAMETOOLONG);
        }
        if matches!(component, b"" | b"." | b"..") || component.contains(&0) {
            return Err(libc::EINVAL);
        }
    }
    Ok(())
}

/// As [`place`], for a change: EROFS on a read-only volume, EBUSY for the volume itself.
fn place_mut<'a>(host: &'a Host, root: u32, path: &[u8]) -> Result<Place<'a>, Errno> {
    let root = host.handles.directory_mut(root)?;
    if path.is_empty() { Err(libc::EBUSY) } else { place(root, path) }
}

fn stat(memory: &mut [u8], host: &mut Host, root: u32, path: u32, path_len: u32, dst: u32) -> Result<u64, Errno> {
    let (root, _) = host.handles.directory(root)?;
    let stat = place(root, bytes(memory, path, path_len)?)?.stat()?;
    put_stat(memory, dst, &host_stat(&stat))
}

fn open(
    memory: &mut [u8],
    host: &mut Host,
    root: u32,
    path: u32,
    path_len: u32,
    flags: u32,
    mode: u32,
) -> Result<u64, Errno> {
    let (root, volume_read_only) = host.handles.directory(root)?;
    let has = |flag| flags & flag != 0;
    let changes = has(open_flags::WRITE) || has(open_flags::CREATE) || has(open_flags::TRUNCATE);
    if changes && volume_read_only {
        return Err(libc::EROFS);
    }
    let place = place(root, bytes(memory, path, path_len)?)?;
    let file = open_file(&place, flags, Mode::from_raw_mode(mode & MODE_MASK))?;
    let read_only = !has(open_flags::WRITE);
    host.handles.insert(Handle::Volume { file, read_only }).map(u64::from)
}

fn open_file(place: &Place<'_>, flags: u32, mode: Mode) -> Result<File, Errno> {
    let has = |flag| flags & flag != 0;
    let access = match (has(open_flags::READ), has(open_flags::WRITE)) {
        (true, true) => OFlags::RDWR,
        (false, true) => OFlags::WRONLY,
        (_, false) => OFlags::RDONLY,
    };
    if has(open_flags::CREATE) {
        match place.open(access | OFlags::CREATE | OFlags::EXCL, mode) {
            Ok(file) => {
                // The mode is the container's choice, whatever this process's umask is.
                rustix::fs::fchmod(&file, mode).map_err(os_errno)?;
                return Ok(file);
            }
            Err(libc::EEXIST) if !has(open_flags::EXCLUSIVE) => {}
            Err(errno) => return Err(errno),
        }
    }
    // Opening a device or a pipe may do something by itself, so look first.
    regular(&place.stat()?)?;
    let truncate = if has(open_flags::TRUNCATE) { OFlags::TRUNC } else { OFlags::empty() };
    let file = place.open(access | truncate, Mode::empty())?;
    regular(&rustix::fs::fstat(&file).map_err(os_errno)?)?;
    Ok(file)
}

/// Only plain files are read and written.
fn regular(stat: &Stat) -> Result<(), Errno> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(libc::EISDIR),
        FileType::Symlink => Err(libc::ELOOP),
        _ => Err(libc::ENXIO),
    }
}

fn read_dir(
    memory: &mut [u8],
    host: &mut Host,
    root: u32,
    path: u32,
    path_len: u32,
    dst: u32,
    len: u32,
) -> Result<u64, Errno> {
    let (root, _) = host.handles.directory(root)?;
    let place = place(root, bytes(memory, path, path_len)?)?;
    let entries = entries(place.open(OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?)?;
    let target = bytes_mut(memory, dst, len)?;
    if entries.len() <= target.len() {
        target[..entries.len()].copy_from_slice(&entries);
    }
    Ok(entries.len() as u64)
}

/// Each entry but `.` and `..` as kind (`DT_*`), length of the name as u16 LE, name.
fn entries(folder: File) -> Result<Vec<u8>, Errno> {
    let mut list = Vec::new();
    for entry in rustix::fs::Dir::new(folder).map_err(os_errno)? {
        let entry = entry.map_err(os_errno)?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        let len = u16::try_from(name.len()).map_err(|_| libc::EIO)?;
        list.push(directory_kind(entry.file_type()));
        list.extend_from_slice(&len.to_le_bytes());
        list.extend_from_slice(name);
        if list.len() > MAX_ENTRIES_BYTES {
            return Err(libc::EOVERFLOW);
        }
    }
    Ok(list)
}

fn directory_kind(kind: FileType) -> u8 {
    match kind {
        FileType::RegularFile => libc::DT_REG,
        FileType::Directory => libc::DT_DIR,
        FileType::Symlink => libc::DT_LNK,
        FileType::Fifo => libc::DT_FIFO,
        FileType::Socket => libc::DT_SOCK,
        FileType::CharacterDevice => libc::DT_CHR,
        FileType::BlockDevice => libc::DT_BLK,
        FileType::Unknown => libc::DT_UNKNOWN,
    }
}

fn make_dir(memory: &mut [u8], host: &mut Host, root: u32, path: u32, len: u32, mode: u32) -> Result<u64, Errno> {
    let place = place_mut(host, root, bytes(memory, path, len)?)?;
    let mode = Mode::from_raw_mode(mode & MODE_MASK);
    rustix::fs::mkdirat(&place, &*place.name, Mode::RWXU).map_err(os_errno)?;
    let made = place.open(OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    rustix::fs::fchmod(made, mode).map(|()| 0).map_err(os_errno)
}

fn remove(memory: &mut [u8], host: &mut Host, root: u32, path: u32, len: u32, directory: u32) -> Result<u64, Errno> {
    let place = place_mut(host, root, bytes(memory, path, len)?)?;
    let flags = if directory == 0 { AtFlags::empty() } else { AtFlags::REMOVEDIR };
    rustix::fs::unlinkat(&place, &*place.name, flags).map(|()| 0).map_err(os_errno)
}

fn rename(
    memory: &mut [u8],
    host: &mut Host,
    root: u32,
    from: u32,
    from_len: u32,
    to: u32,
    to_len: u32,
) -> Result<u64, Errno> {
    let from = place_mut(host, root, bytes(memory, from, from_len)?)?;
    let to = place_mut(host, root, bytes(memory, to, to_len)?)?;
    rustix::fs::renameat(&from, &*from.name, &to, &*to.name).map(|()| 0).map_err(os_errno)
}

fn symlink(
    memory: &mut [u8],
    host: &mut Host,
    root: u32,
    target: u32,
    target_len: u32,
    path: u32,
    path_len: u32,
) -> Result<u64, Errno> {
    let place = place_mut(host, root, bytes(memory, path, path_len)?)?;
    let target = bytes(memory, target, target_len)?;
    if target.len() >= PATH_MAX {
        return Err(libc::ENAMETOOLONG);
    }
    rustix::fs::symlinkat(target, &place, &*place.name).map(|()| 0).map_err(os_errno)
}

fn hard_link(
    memory: &mut [u8],
    host: &mut Host,
    root: u32,
    from: u32,
    from_len: u32,
    to: u32,
    to_len: u32,
) -> Result<u64, Errno> {
    let from = place_mut(host, root, bytes(memory, from, from_len)?)?;
    let to = place_mut(host, root, bytes(memory, to, to_len)?)?;
    rustix::fs::linkat(&from, &*from.name, &to, &*to.name, AtFlags::empty()).map(|()| 0).map_err(os_errno)
}

fn read_link(
    memory: &mut [u8],
    host: &mut Host,
    root: u32,
    path: u32,
    path_len: u32,
    dst: u32,
    len: u32,
) -> Result<u64, Errno> {
    let (root, _) = host.handles.directory(root)?;
    let place = place(root, bytes(memory, path, path_len)?)?;
    let target = rustix::fs::readlinkat(&place, &*place.name, Vec::new()).map_err(os_errno)?;
    let buffer = bytes_mut(memory, dst, len)?;
    let count = buffer.len().min(target.as_bytes().len());
    buffer[..count].copy_from_slice(&target.as_bytes()[..count]);
    Ok(count as u64)
}

/// By way of a descriptor: chmod by name would follow a link that appears meanwhile.
fn set_mode(memory: &mut [u8], host: &mut Host, root: u32, path: u32, len: u32, mode: u32) -> Result<u64, Errno> {
    let root = host.handles.directory_mut(root)?;
    let place = place(root, bytes(memory, path, len)?)?;
    let file = match FileType::from_raw_mode(place.stat()?.st_mode) {
        FileType::Directory => place.open(OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?,
        FileType::RegularFile => place.open(OFlags::RDONLY, Mode::empty()).or_else(|errno| {
            if errno == libc::EACCES { place.open(OFlags::WRONLY, Mode::empty()) } else { Err(errno) }
        })?,
        _ => return Err(libc::EOPNOTSUPP),
    };
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode & MODE_MASK)).map(|()| 0).map_err(os_errno)
}

fn set_times(
    memory: &mut [u8],
    host: &mut Host,
    root: u32,
    path: u32,
    path_len: u32,
    atime: i64,
    mtime: i64,
) -> Result<u64, Errno> {
    let root = host.handles.directory_mut(root)?;
    let place = place(root, bytes(memory, path, path_len)?)?;
    let times = Timestamps { last_access: timespec(atime), last_modification: timespec(mtime) };
    rustix::fs::utimensat(&place, &*place.name, &times, AtFlags::SYMLINK_NOFOLLOW).map(|()| 0).map_err(os_errno)
}

/// Nanoseconds since 1970; `i64::MIN` leaves the time alone.
fn timespec(ns: i64) -> Timespec {
    match ns {
        i64::MIN => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        ns => Timespec { tv_sec: ns.div_euclid(1_000_000_000), tv_nsec: ns.rem_euclid(1_000_000_000) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume() -> (tempfile::TempDir, Dir) {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::from_std_file(File::open(folder.path()).unwrap());
        (folder, dir)
    }

    #[test]
    fn paths_are_plain_and_bounded() {
        assert_eq!(check_path(b"a/b.c"), Ok(()));
        for bad in [&b"/a"[..], b"a//b", b"a/", b"../a", b"a/./b", b"a\0b"] {
            assert_eq!(check_path(bad), Err(libc::EINVAL), "{bad:?}");
        }
        assert_eq!(check_path(&[b'x'; 256]), Err(libc::ENAMETOOLONG));
        assert_eq!(check_path(&b"x/".repeat(2100)), Err(libc::ENAMETOOLONG));
    }

    #[test]
    fn links_do_not_lead_out() {
        let (folder, dir) = volume();
        std::os::unix::fs::symlink("/etc", folder.path().join("out")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("file")).unwrap();
        assert!(place(&dir, b"out/hostname").is_err());
        let link = place(&dir, b"file").unwrap();
        assert_eq!(open_file(&link, open_flags::READ, Mode::empty()).err(), Some(libc::ELOOP));
        assert_eq!(FileType::from_raw_mode(link.stat().unwrap().st_mode), FileType::Symlink);
    }

    #[test]
    fn create_opens_what_is_there_unless_exclusive() {
        let (_folder, dir) = volume();
        let file = place(&dir, b"f").unwrap();
        let flags = open_flags::CREATE | open_flags::WRITE;
        open_file(&file, flags, Mode::from_raw_mode(0o640)).unwrap();
        assert_eq!(file.stat().unwrap().st_mode & 0o7777, 0o640);
        open_file(&file, flags, Mode::from_raw_mode(0o600)).unwrap();
        assert_eq!(open_file(&file, flags | open_flags::EXCLUSIVE, Mode::RUSR).err(), Some(libc::EEXIST));
        assert_eq!(open_file(&place(&dir, b"").unwrap(), open_flags::READ, Mode::empty()).err(), Some(libc::EISDIR));
    }

    #[test]
    fn pipes_are_not_opened() {
        let (folder, dir) = volume();
        rustix::fs::mknodat(File::open(folder.path()).unwrap(), "p", FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert_eq!(open_file(&place(&dir, b"p").unwrap(), open_flags::READ, Mode::empty()).err(), Some(libc::ENXIO));
    }

    #[test]
    fn directory_entries_have_their_kinds() {
        let (folder, dir) = volume();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        let list = entries(place(&dir, b"").unwrap().open(OFlags::RDONLY, Mode::empty()).unwrap()).unwrap();
        assert_eq!(list, [&[libc::DT_DIR, 3, 0][..], b"sub"].concat());
    }

    #[test]
    fn times_before_1970_round_down() {
        assert_eq!((timespec(-1).tv_sec, timespec(-1).tv_nsec), (-1, 999_999_999));
        assert_eq!(timespec(i64::MIN).tv_nsec, UTIME_OMIT);
    }
}
