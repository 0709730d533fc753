//! /proc/<pid>/fd and fdinfo: open descriptors.

use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::open;

use super::{number, shown_path, task};
use crate::epoll::EpollFile;
use crate::fs::pseudo::tree::{Body, Directory, Entry, More, Numbers, Subject};
use crate::kernel::Kernel;
use crate::syscall::inotify::InotifyFile;
use crate::syscall::pidfd::PidFile;
use crate::vfs::open_file::OpenFile;
use crate::vfs::{FileKind, Location};

pub(super) static LINKS: Directory =
    Directory { rows: &[], more: Some(More { find: find_link, list: |k, s| list(k, s, FileKind::Symlink) }) };

pub(super) static INFO: Directory =
    Directory { rows: &[], more: Some(More { find: find_info, list: |k, s| list(k, s, FileKind::Regular) }) };

/// The open file and whether it is closed at exec; ENOENT when the descriptor is not open.
fn slot(k: &Kernel, subject: &Subject) -> Result<(Rc<OpenFile>, bool), Errno> {
    let files = task(k, subject)?.files.clone();
    let files = files.try_borrow().map_err(|_| Errno::ENOENT)?;
    let slot = files.slot(subject.fd).map_err(|_| Errno::ENOENT)?;
    Ok((slot.file.clone(), slot.cloexec))
}

fn find(k: &Kernel, subject: &Subject, name: &[u8]) -> Option<(Subject, Rc<OpenFile>)> {
    let subject = Subject { fd: number(name)?, ..*subject };
    let (file, _) = slot(k, &subject).ok()?;
    Some((subject, file))
}

fn find_link(k: &Kernel, subject: &Subject, name: &[u8]) -> Option<Entry> {
    let (subject, file) = find(k, subject, name)?;
    let mode = 0o100 | if file.readable() { 0o400 } else { 0 } | if file.writable() { 0o200 } else { 0 };
    Some(Entry { mode, body: Body::Magic(target, place), subject, owner: None })
}

fn find_info(k: &Kernel, subject: &Subject, name: &[u8]) -> Option<Entry> {
    let (subject, _) = find(k, subject, name)?;
    Some(Entry { mode: 0o400, body: Body::File(info), subject, owner: None })
}

fn list(k: &Kernel, subject: &Subject, kind: FileKind) -> Numbers {
    let Ok(task) = task(k, subject) else { return Vec::new() };
    let Ok(files) = task.files.try_borrow() else { return Vec::new() };
    files.iter().map(|(fd, _)| (fd, kind)).collect()
}

fn target(k: &Kernel, subject: &Subject) -> Result<Vec<u8>, Errno> {
    let (file, _) = slot(k, subject)?;
    Ok(shown_path(k, subject.caller, &file.location))
}

fn place(k: &Kernel, subject: &Subject) -> Result<Location, Errno> {
    let (file, _) = slot(k, subject)?;
    Ok(file.location.clone())
}

fn info(k: &Kernel, subject: &Subject) -> Result<Vec<u8>, Errno> {
    let (file, cloexec) = slot(k, subject)?;
    let flags = file.flags() | if cloexec { open::CLOEXEC } else { 0 };
    let ino = file.location.inode.stat().map_or(0, |stat| stat.ino);
    let (position, mount) = (file.offset.get(), file.location.mount);
    let more = details(&file);
    Ok(format!("pos:\t{position}\nflags:\t0{flags:o}\nmnt_id:\t{mount}\nino:\t{ino}\n{more}").into_bytes())
}

/// What is said of some kinds of files only (proc_pid_fdinfo(5)).
fn details(file: &OpenFile) -> String {
    if let Some(process) = file.file.as_any().downcast_ref::<PidFile>() {
        let pid = process.pid().map_or(-1, |pid| i64::from(pid.0));
        return format!("Pid:\t{pid}\nNSpid:\t{pid}\n");
    }
    if let Some(inotify) = file.file.as_any().downcast_ref::<InotifyFile>() {
        let watch = |(wd, (dev, ino)): (i32, (u64, u64))| format!("inotify wd:{wd} ino:{ino:x} sdev:{dev:x}\n");
        return inotify.watcher.describe().into_iter().map(watch).collect();
    }
    let Some(set) = file.file.as_any().downcast_ref::<EpollFile>() else { return String::new() };
    let item = |(fd, events, data): (u32, u32, u64)| format!("tfd: {fd:8} events: {events:8x} data: {data:16x}\n");
    set.describe().into_iter().map(item).collect()
}
