//! /proc/sysvipc (proc_sysvipc(5)): what is there of System V IPC, a line each.

use std::fmt::Write;

use shallop_linux_abi::Errno;

use super::file;
use crate::fs::pseudo::tree::{Directory, Row, Subject};
use crate::ipc::Permissions;
use crate::kernel::Kernel;

pub(super) static DIRECTORY: Directory = Directory { rows: &ROWS, more: None };

static ROWS: [Row; 3] = [file("msg", msg), file("sem", sem), file("shm", shm)];

type Text = Result<Vec<u8>, Errno>;

/// Key, id and mode.
fn head(id: u32, of: &Permissions) -> String {
    format!("{:10} {id:10}  {:4o} ", of.key, of.mode)
}

fn owners(of: &Permissions) -> String {
    format!("{:5} {:5} {:5} {:5}", of.uid, of.gid, of.creator_uid, of.creator_gid)
}

fn shm(k: &Kernel, _: &Subject) -> Text {
    let ids = "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid";
    let times = "      atime      dtime      ctime                   rss                  swap";
    let mut text = format!("{ids}{times}\n");
    for (id, entry) in k.ipc.shm.iter().filter(|(_, entry)| entry.item.object().is_some()) {
        let (of, segment) = (&entry.permissions, &entry.item);
        let size = segment.size;
        let users = format!("{:5} {:5}  {:5}", segment.creator, segment.last, k.attachments(segment));
        let times = format!("{:10} {:10} {:10}", segment.attached, segment.detached, segment.changed);
        let _ = writeln!(text, "{}{size:21} {users} {} {times} {size:21} {:21}", head(id, of), owners(of), 0);
    }
    Ok(text.into_bytes())
}

fn sem(k: &Kernel, _: &Subject) -> Text {
    let mut text = "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n".to_owned();
    for (id, entry) in k.ipc.sem.iter() {
        let (of, set) = (&entry.permissions, &entry.item);
        let times = format!("{:10} {:10}", set.operated, set.changed);
        let _ = writeln!(text, "{}{:10} {} {times}", head(id, of), set.semaphores.len(), owners(of));
    }
    Ok(text.into_bytes())
}

fn msg(k: &Kernel, _: &Subject) -> Text {
    let ids = "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid";
    let mut text = format!("{ids}      stime      rtime      ctime\n");
    for (id, entry) in k.ipc.msg.iter() {
        let (of, queue) = (&entry.permissions, &entry.item);
        let (sizes, users) = ((queue.bytes(), queue.count()), (queue.sender, queue.receiver));
        let counts = format!(" {:10} {:10} {:5} {:5}", sizes.0, sizes.1, users.0, users.1);
        let times = format!("{:10} {:10} {:10}", queue.sent, queue.received, queue.changed);
        let _ = writeln!(text, "{}{counts} {} {times}", head(id, of), owners(of));
    }
    Ok(text.into_bytes())
}
