//! /proc/<pid>/fd and fdinfo: open descriptors.

use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::open;

use super::{number, shown_path, task};
use crate::fs::pseudo::tree::{Body, Directory, Entry, More, Numbers, Subject};
use crate::kernel::Kernel;
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
    Ok(format!("pos:\t{position}\nflags:\t0{flags:o}\nmnt_id:\t{mount}\nino:\t{ino}\n").into_bytes())
}
