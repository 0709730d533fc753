//! The container's tree: the overlay at the root, the kernel's own file systems, volumes, the engine's files.

use std::rc::Rc;

use shallop_host_abi::{Bind, LaunchSpec};
use shallop_linux_abi::Errno;
use shallop_platform::Platform;

use super::users::User;
use super::{CANNOT_RUN, FAILED, Failure};
use crate::fs::dev::DevFs;
use crate::fs::devpts::DevPts;
use crate::fs::host::{HostDir, host_file};
use crate::fs::overlay::Overlay;
use crate::fs::proc::ProcFs;
use crate::fs::sys::SysFs;
use crate::fs::tmpfs::Tmpfs;
use crate::kernel::Kernel;
use crate::task::Credentials;
use crate::vfs::mount::MountTable;
use crate::vfs::path::{Found, Limits, Walk};
use crate::vfs::{FileKind, FileSystem, InodeRef, Location, NewAttr, NewNode};
use crate::wait::Stop;

/// Bytes of /dev/shm, as Docker's default.
const SHM_BYTES: u64 = 64 << 20;
/// Bytes of the file system that holds the engine's files (/etc/hosts …).
const ENGINE_FILES_BYTES: u64 = 16 << 20;
/// Dangling links followed when a mount point is made.
const MAX_LINKS: u32 = 8;

/// A table with the image at its root.
pub fn root(platform: &'static dyn Platform, spec: &LaunchSpec) -> Result<MountTable, Failure> {
    let overlay = Overlay::mount(platform, &spec.layers, spec.upper_journal, spec.upper_data, spec.disk_limit)
        .map_err(|text| Failure::new(FAILED, format!("the image cannot be opened: {text}")))?;
    Ok(MountTable::new(overlay))
}

/// Mounts everything but the root.
pub fn mount_all(k: &mut Kernel, spec: &LaunchSpec, user: &User) -> Result<(), Failure> {
    mount_special(k).map_err(|(target, errno)| failed(target, errno))?;
    // Outer mount points first, whatever the order they were given in.
    let mut mounts: Vec<_> = spec.mounts.iter().collect();
    mounts.sort_by_key(|mount| mount.target.matches('/').count());
    for mount in mounts {
        let target = mount.target.as_bytes();
        mount_volume(k, target, &mount.bind, mount.read_only, user).map_err(|errno| failed(&mount.target, errno))?;
    }
    mount_engine_files(k, &spec.overlay_files).map_err(|(target, errno)| failed(&target, errno))
}

fn failed(target: &str, errno: Errno) -> Failure {
    Failure::new(FAILED, format!("{target} cannot be mounted: {}", errno.text()))
}

/// The file systems that every container has.
fn mount_special(k: &mut Kernel) -> Result<(), (&'static str, Errno)> {
    let platform = k.platform;
    let pts = DevPts::new(platform, &k.io.ttys);
    let special: [(&str, Rc<dyn FileSystem>); 6] = [
        ("/proc", ProcFs::new()),
        ("/dev", DevFs::new(platform)),
        ("/dev/pts", pts),
        ("/dev/mqueue", k.queues.clone()),
        ("/dev/shm", Tmpfs::new(platform, SHM_BYTES)),
        ("/sys", SysFs::new()),
    ];
    for (target, fs) in special {
        let place = directory(k, target.as_bytes()).map_err(|errno| (target, errno))?;
        let root = fs.root();
        let source = if target == "/dev/shm" { "shm" } else { fs.name() };
        k.mounts.mount(&place, fs, root, source.as_bytes(), target == "/sys").map_err(|errno| (target, errno))?;
    }
    Ok(())
}

fn mount_volume(k: &mut Kernel, target: &[u8], bind: &Bind, read_only: bool, user: &User) -> Result<(), Errno> {
    let platform = k.platform;
    let (place, fs, root): (Location, Rc<dyn FileSystem>, InodeRef) = match bind {
        Bind::Directory(handle) => {
            let fs = HostDir::mount(platform, *handle, read_only, user.uid, user.gid)?;
            (directory(k, target)?, fs.clone(), fs.root())
        }
        Bind::File(handle) => {
            let inode = host_file(platform, *handle, read_only, user.uid, user.gid)?;
            (file(k, target, 0)?, inode.fs(), inode)
        }
        Bind::Tmpfs => {
            let fs = Tmpfs::new(platform, k.memory_limit);
            (directory(k, target)?, fs.clone(), fs.root())
        }
    };
    k.mounts.mount(&place, fs.clone(), root, fs.name().as_bytes(), read_only)
}

/// Puts the engine's texts over the image's files, each writable, none of it kept.
fn mount_engine_files(k: &mut Kernel, files: &[(String, String)]) -> Result<(), (String, Errno)> {
    if files.is_empty() {
        return Ok(());
    }
    let fs = Tmpfs::new(k.platform, ENGINE_FILES_BYTES);
    for (n, (target, text)) in files.iter().enumerate() {
        let with_target = |errno| (target.clone(), errno);
        let attr = NewAttr { mode: 0o644, uid: 0, gid: 0, now: k.now_realtime() };
        let inode = fs.root().create(n.to_string().as_bytes(), &NewNode::Regular, &attr).map_err(with_target)?;
        write_all(&inode, text.as_bytes()).map_err(with_target)?;
        let place = file(k, target.as_bytes(), 0).map_err(with_target)?;
        k.mounts.mount(&place, fs.clone(), inode, b"shallop", false).map_err(with_target)?;
    }
    Ok(())
}

fn write_all(inode: &InodeRef, bytes: &[u8]) -> Result<(), Errno> {
    let errno = |stop| if let Stop::Errno(errno) = stop { errno } else { Errno::EIO };
    let file = inode.open(shallop_linux_abi::file::open::WRONLY).map_err(errno)?;
    let mut done = 0;
    while done < bytes.len() {
        match file.write_at(done as u64, &bytes[done..], true).map_err(errno)? {
            0 => return Err(Errno::ENOSPC),
            count => done += count,
        }
    }
    Ok(())
}

/// The program's first directory, made when it is missing.
pub fn working_directory(k: &Kernel, path: &str) -> Result<Location, Failure> {
    let path = if path.is_empty() { "/" } else { path };
    let text = |errno: Errno| format!("working directory {path}: {}", errno.text());
    let place = directory(k, path.as_bytes()).map_err(|errno| Failure::new(CANNOT_RUN, text(errno)))?;
    match place.inode.kind() {
        FileKind::Directory => Ok(place),
        _ => Err(Failure::new(CANNOT_RUN, text(Errno::ENOTDIR))),
    }
}

/// Walks as root does, from the root.
fn walk(k: &Kernel, path: &[u8], follow: bool) -> Result<Found, Errno> {
    let root = k.mounts.root();
    let credentials = Credentials::new(0, 0, Vec::new());
    let limits = Limits::default();
    Walk { mounts: &k.mounts, credentials: &credentials, root: &root, kernel: None, limits }.walk(&root, path, follow)
}

/// The directory at an absolute path, made with all its parents (root's, mode 755) where missing.
fn directory(k: &Kernel, path: &[u8]) -> Result<Location, Errno> {
    let mut at = k.mounts.root();
    let ends = path.iter().enumerate().skip(1).filter(|(_, b)| **b == b'/').map(|(i, _)| i).chain([path.len()]);
    for end in ends {
        let found = walk(k, &path[..end], true)?;
        at = match found.location {
            Some(location) => location,
            None => create(k, &found, &NewNode::Directory, 0o755)?,
        };
    }
    Ok(at)
}

/// The file at an absolute path, made empty where missing; links are followed, as far as they dangle.
fn file(k: &Kernel, path: &[u8], links: u32) -> Result<Location, Errno> {
    if links > MAX_LINKS {
        return Err(Errno::ELOOP);
    }
    let cut = path.iter().rposition(|b| *b == b'/').ok_or(Errno::EINVAL)?;
    directory(k, &path[..cut.max(1)])?;
    match walk(k, path, true) {
        Ok(Found { location: Some(location), .. }) => Ok(location),
        Ok(found) => create(k, &found, &NewNode::Regular, 0o644),
        Err(Errno::ENOENT) => {
            // A link into a directory that is missing too.
            let link = walk(k, path, false)?.location.ok_or(Errno::ENOENT)?;
            let target = link.inode.read_link()?;
            let target = if target.starts_with(b"/") { target } else { [&path[..=cut], &target].concat() };
            file(k, &target, links + 1)
        }
        Err(errno) => Err(errno),
    }
}

fn create(k: &Kernel, found: &Found, node: &NewNode, mode: u32) -> Result<Location, Errno> {
    let attr = NewAttr { mode, uid: 0, gid: 0, now: k.now_realtime() };
    let inode = found.parent.inode.create(&found.name, node, &attr)?;
    Ok(found.parent.child(&found.name, inode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn mount_points_are_made_and_links_followed() {
        let (k, _) = testing::kernel();
        let root = k.mounts.root();
        let attr = NewAttr { mode: 0o777, uid: 0, gid: 0, now: k.now_realtime() };
        let etc = directory(&k, b"/etc").unwrap();
        etc.inode.create(b"resolv.conf", &NewNode::Symlink(b"../run/resolve/stub.conf".to_vec()), &attr).unwrap();
        let made = file(&k, b"/etc/resolv.conf", 0).unwrap();
        assert_eq!(made.path(), b"/run/resolve/stub.conf");
        assert!(directory(&k, b"/a/b/c").unwrap().same(&walk(&k, b"/a/b/c", true).unwrap().location.unwrap()));
        root.inode.create(b"loop", &NewNode::Symlink(b"loop".to_vec()), &attr).unwrap();
        assert_eq!(file(&k, b"/loop", 0).err(), Some(Errno::ELOOP));
        assert_eq!(directory(&k, b"/run/resolve/stub.conf/x").err(), Some(Errno::ENOTDIR));
    }

    #[test]
    fn the_engines_files_cover_the_images() {
        let (mut k, _) = testing::kernel();
        mount_engine_files(&mut k, &[("/etc/hosts".into(), "127.0.0.1 localhost\n".into())]).unwrap();
        let place = walk(&k, b"/etc/hosts", true).unwrap().location.unwrap();
        assert_eq!(place.inode.stat().unwrap().size, 20);
        assert!(k.mounts.is_mount_root(&place));
    }
}
