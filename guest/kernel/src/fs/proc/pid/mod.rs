//! /proc/<pid> and /proc/<pid>/task/<tid>: one process, one thread.

mod fd;
mod limits;
mod maps;
mod misc;
mod mounts;
mod ns;
mod stat;
mod status;

#[cfg(test)]
pub(super) use maps::{Line as MapsLine, line as maps_line};
#[cfg(test)]
pub(super) use mounts::escape;

use shallop_linux_abi::Errno;

use super::{directory, file, net, number, process, task};
use crate::fs::pseudo::tree::{Body, Directory, Entry, More, Numbers, Row, Subject, Text};
use crate::kernel::Kernel;
use crate::vfs::{FileKind, Location};
use crate::wait::Tid;

/// Only for the process's owner.
const fn private(name: &'static str, text: Text) -> Row {
    Row { name, mode: 0o400, body: Body::File(text) }
}

const fn setting(name: &'static str, text: Text, store: crate::fs::pseudo::tree::Store) -> Row {
    Row { name, mode: 0o644, body: Body::Setting(text, store) }
}

/// What a thread has and a process has, too.
macro_rules! common_rows {
    ($($more:expr),* $(,)?) => {
        &[
            $($more,)*
            Row { name: "cwd", mode: 0o777, body: Body::Magic(misc::cwd_text, misc::cwd) },
            Row { name: "exe", mode: 0o777, body: Body::Magic(misc::exe_text, misc::exe) },
            Row { name: "root", mode: 0o777, body: Body::Magic(misc::root_text, misc::root) },
            Row { name: "fd", mode: 0o500, body: Body::Directory(&fd::LINKS) },
            Row { name: "fdinfo", mode: 0o555, body: Body::Directory(&fd::INFO) },
            directory("ns", &ns::DIRECTORY),
            directory("net", &net::DIRECTORY),
            private("auxv", |k, s| Ok(process(k, s)?.auxv.clone())),
            file("cgroup", |_, _| Ok(b"0::/\n".to_vec())),
            file("cmdline", misc::cmdline),
            setting("comm", misc::comm, misc::set_comm),
            file("cpuset", |_, _| Ok(b"/\n".to_vec())),
            private("environ", misc::environ),
            file("gid_map", misc::id_map),
            private("io", misc::io),
            file("limits", limits::limits),
            setting("loginuid", |_, _| Ok(b"4294967295".to_vec()), |_, _, _| Err(Errno::EPERM)),
            file("maps", maps::maps),
            file("mountinfo", mounts::mountinfo),
            file("mounts", mounts::mounts),
            file("oom_score", |_, _| Ok(b"0\n".to_vec())),
            setting("oom_score_adj", |_, _| Ok(b"0\n".to_vec()), misc::set_oom_score_adj),
            private("personality", |_, _| Ok(b"00000000\n".to_vec())),
            file("schedstat", misc::schedstat),
            file("sessionid", |_, _| Ok(b"4294967295".to_vec())),
            file("setgroups", |_, _| Ok(b"allow\n".to_vec())),
            file("smaps", maps::smaps),
            file("smaps_rollup", maps::smaps_rollup),
            file("stat", stat::stat),
            file("statm", stat::statm),
            file("status", status::status),
            file("uid_map", misc::id_map),
            file("wchan", |_, _| Ok(b"0".to_vec())),
        ]
    };
}

/// /proc/<pid>
pub(super) static DIRECTORY: Directory = Directory {
    rows: common_rows![directory("task", &TASKS), file("coredump_filter", |_, _| Ok(b"00000033\n".to_vec())),],
    more: None,
};

/// /proc/<pid>/task/<tid>
static TASK: Directory = Directory { rows: common_rows![file("children", misc::children)], more: None };

/// /proc/<pid>/task
static TASKS: Directory = Directory { rows: &[], more: Some(More { find: find_task, list: list_tasks }) };

fn find_task(k: &Kernel, subject: &Subject, name: &[u8]) -> Option<Entry> {
    let tid = Tid(number(name)?);
    let process = k.processes.get(subject.pid)?;
    // The first thread of a process stays visible until it is reaped.
    if !process.tasks.contains(&tid) && tid.0 != process.pid.0 {
        return None;
    }
    let subject = Subject { tid, ..*subject };
    Some(Entry { mode: 0o555, body: Body::Directory(&TASK), subject, owner: None })
}

fn list_tasks(k: &Kernel, subject: &Subject) -> Numbers {
    let Some(process) = k.processes.get(subject.pid) else { return Vec::new() };
    let mut tids: Vec<u32> = process.tasks.iter().map(|tid| tid.0).collect();
    if process.is_zombie() {
        tids.push(process.pid.0);
    }
    tids.sort_unstable();
    tids.into_iter().map(|tid| (tid, FileKind::Directory)).collect()
}

/// Who owns a process's files: its effective ids, or root when it may not be looked at (PR_SET_DUMPABLE).
pub(super) fn owner(k: &Kernel, subject: &Subject) -> (u32, u32) {
    let dumpable = process(k, subject).is_ok_and(|process| process.dumpable);
    match task(k, subject) {
        Ok(task) if dumpable => (task.credentials.euid, task.credentials.egid),
        _ => (0, 0),
    }
}

/// A place's path as the asking task sees it, marked when the file has no name any more.
fn shown_path(k: &Kernel, caller: Tid, place: &Location) -> Vec<u8> {
    let mut path = match k.tasks.get(caller) {
        Some(task) => place.path_in(&task.fs.borrow().root),
        None => place.path(),
    };
    if place.parent.is_some() && place.inode.stat().is_ok_and(|stat| stat.nlink == 0) {
        path.extend_from_slice(b" (deleted)");
    }
    path
}
