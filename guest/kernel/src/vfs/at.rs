//! What the file calls' handlers share: descriptors, `*at` path arguments, and the checks before a directory changes.

use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::{PATH_MAX, at};
use shallop_linux_abi::inotify::IN_CREATE;
use shallop_linux_abi::rlimit::RLIMIT_NOFILE;

use super::open_file::OpenFile;
use super::path::{Found, Last, Limits, Walk};
use super::permission::{self, EXEC, WRITE};
use super::{FileKind, Location, NewAttr, NewNode};
use crate::kernel::Kernel;
use crate::wait::Tid;

impl Kernel {
    /// The open file of a descriptor argument, O_PATH ones included.
    pub fn any_file(&self, tid: Tid, fd: u64) -> Result<Rc<OpenFile>, Errno> {
        self.task(tid).files.borrow().get(fd as u32)
    }

    /// As [`Kernel::any_file`]; EBADF when it was opened with O_PATH.
    pub fn file(&self, tid: Tid, fd: u64) -> Result<Rc<OpenFile>, Errno> {
        self.any_file(tid, fd).and_then(|file| if file.is_path() { Err(Errno::EBADF) } else { Ok(file) })
    }

    /// Soft RLIMIT_NOFILE of the task's process.
    pub fn open_files_limit(&self, tid: Tid) -> u64 {
        self.process_of(tid).rlimits[RLIMIT_NOFILE].0
    }

    /// Gives an open file the lowest free descriptor.
    pub fn install(&self, tid: Tid, file: Rc<OpenFile>, cloexec: bool) -> Result<u32, Errno> {
        let limit = self.open_files_limit(tid);
        self.task(tid).files.borrow_mut().insert(file, cloexec, 0, limit)
    }

    /// EMFILE when [`Kernel::install`] would say so: for calls that make a file before they open it.
    pub fn check_descriptors(&self, tid: Tid) -> Result<(), Errno> {
        self.task(tid).files.borrow().free(0, self.open_files_limit(tid)).map(drop)
    }

    /// A path argument; ENAMETOOLONG from PATH_MAX on.
    pub fn path_argument(&self, tid: Tid, addr: u64) -> Result<Vec<u8>, Errno> {
        self.read_string(tid, addr, PATH_MAX - 1)
    }

    /// Where relative paths of an `*at` call start.
    pub fn base(&self, tid: Tid, dirfd: u64) -> Result<Location, Errno> {
        match dirfd as i32 {
            at::FDCWD => Ok(self.task(tid).fs.borrow().cwd.clone()),
            _ => Ok(self.any_file(tid, dirfd)?.location.clone()),
        }
    }

    /// Walks a path for a task; `dirfd` is looked at only when the path is relative, or all of it is below there.
    pub fn walk_at(&self, tid: Tid, dirfd: u64, path: &[u8], follow: bool, limits: Limits) -> Result<Found, Errno> {
        let relative = path.first() != Some(&b'/') || limits.in_root;
        let base = if relative { self.base(tid, dirfd)? } else { self.task(tid).fs.borrow().cwd.clone() };
        let task = self.task(tid);
        let root = if limits.in_root { base.clone() } else { task.fs.borrow().root.clone() };
        if limits.in_root && root.inode.kind() != FileKind::Directory {
            return Err(Errno::ENOTDIR);
        }
        let walk = Walk {
            mounts: &self.mounts,
            credentials: &task.credentials,
            root: &root,
            kernel: Some((self, tid)),
            limits,
        };
        walk.walk(&base, path, follow)
    }

    /// The place a path leads to; ENOENT when there is none.
    pub fn resolve_at(&self, tid: Tid, dirfd: u64, path: &[u8], follow: bool) -> Result<Location, Errno> {
        self.walk_at(tid, dirfd, path, follow, Limits::default())?.location.ok_or(Errno::ENOENT)
    }

    /// The place that (dirfd, path, flags) name: AT_EMPTY_PATH means the descriptor itself, AT_SYMLINK_NOFOLLOW a last link.
    pub fn resolve_flags(&self, tid: Tid, dirfd: u64, path: &[u8], flags: u32) -> Result<Location, Errno> {
        if path.is_empty() && flags & at::EMPTY_PATH != 0 {
            return self.base(tid, dirfd);
        }
        self.resolve_at(tid, dirfd, path, flags & at::SYMLINK_NOFOLLOW == 0)
    }

    /// EROFS on a read-only mount.
    pub fn check_writable(&self, at: &Location) -> Result<(), Errno> {
        if self.mounts.read_only(at) { Err(Errno::EROFS) } else { Ok(()) }
    }

    /// The right to add or remove names in `directory`.
    pub fn check_change_directory(&self, tid: Tid, directory: &Location) -> Result<(), Errno> {
        permission::check(&self.task(tid).credentials, &directory.inode, WRITE | EXEC)?;
        self.check_writable(directory)
    }

    /// Creates what `found` says is missing; EEXIST when it is not. `mode` is masked by the umask here.
    pub fn create_at(&self, tid: Tid, found: &Found, node: &NewNode, mode: u32) -> Result<Location, Errno> {
        if found.location.is_some() {
            return Err(Errno::EEXIST);
        }
        let directory = matches!(node, NewNode::Directory);
        if found.slash && !directory {
            return Err(Errno::ENOENT);
        }
        if directory && self.mounts.read_only(&found.parent) {
            return Err(Errno::EROFS);
        }
        // Names of /proc are looked up before anyone asks whether they could be made.
        if found.parent.inode.kernel_view().is_some() && found.parent.inode.fs().name() == "proc" {
            return Err(Errno::ENOENT);
        }
        self.check_change_directory(tid, &found.parent)?;
        let attr = self.new_attr(tid, &found.parent, mode, directory)?;
        let inode = found.parent.inode.create(&found.name, node, &attr)?;
        self.io.watches.tell_name(&found.parent.inode, &found.name, &inode, IN_CREATE, 0);
        Ok(found.parent.child(&found.name, inode))
    }

    /// Owner and mode of a new file in `parent`; ENOENT when that was removed.
    fn new_attr(&self, tid: Tid, parent: &Location, mode: u32, directory: bool) -> Result<NewAttr, Errno> {
        let parent = parent.inode.stat()?;
        if parent.nlink == 0 {
            return Err(Errno::ENOENT);
        }
        let task = self.task(tid);
        let inherits = parent.mode & 0o2000 != 0;
        let mut mode = mode & 0o7777 & !task.fs.borrow().umask;
        if inherits && directory {
            mode |= 0o2000;
        }
        let gid = if inherits { parent.gid } else { task.credentials.fsgid };
        Ok(NewAttr { mode, uid: task.credentials.fsuid, gid, now: self.now_realtime() })
    }

    /// O_TMPFILE: a regular file in `directory`'s file system that has no name. Its place shows its inode number.
    pub fn create_nameless(
        &self,
        tid: Tid,
        directory: &Location,
        mode: u32,
        linkable: bool,
    ) -> Result<Location, Errno> {
        self.check_change_directory(tid, directory)?;
        let attr = self.new_attr(tid, directory, mode, false)?;
        let inode = directory.inode.create_nameless(&attr, linkable)?;
        let name = format!("#{}", inode.stat()?.ino);
        Ok(directory.child(name.as_bytes(), inode))
    }

    /// The checks before `found`'s name goes away: rights, sticky bit, mount points. `directory`: rmdir(2)'s rules.
    pub fn check_remove(&self, tid: Tid, found: &Found, directory: bool) -> Result<Location, Errno> {
        match (found.last, directory) {
            (Last::Name, _) => {}
            (Last::Dot, true) => return Err(Errno::EINVAL),
            (Last::DotDot, true) => return Err(Errno::ENOTEMPTY),
            (Last::Root, true) => return Err(Errno::EBUSY),
            (_, false) => return Err(Errno::EISDIR),
        }
        let location = found.location.clone().ok_or(Errno::ENOENT)?;
        self.check_change_directory(tid, &found.parent)?;
        let (parent, child) = (found.parent.inode.stat()?, location.inode.stat()?);
        permission::check_sticky(&self.task(tid).credentials, &parent, &child)?;
        if self.mounts.is_mount_root(&location) {
            return Err(Errno::EBUSY);
        }
        Ok(location)
    }
}
