//! /proc (proc(5)): the kernel's state as text. The modules are laid out as the tree is.
//!
//! | module | files |
//! |---|---|
//! | `root` | `/proc/cpuinfo`, `meminfo`, `stat`, `uptime` … |
//! | `setting` | `/proc/sys` |
//! | `net` | `/proc/<pid>/net` |
//! | `sysvipc` | `/proc/sysvipc` |
//! | `pid` | `/proc/<pid>`, `task/<tid>` |

#[cfg(test)]
mod live;
mod net;
mod pid;
mod root;
mod setting;
mod sysvipc;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::pseudo::tree::{Body, Directory, Entry, Handle, More, Node, Numbers, Row, Subject, TreeFs};
use crate::kernel::Kernel;
use crate::task::{Pid, Process, Task};
use crate::vfs::{FileKind, FileSystem, InodeRef};
use crate::wait::Tid;

/// f_type (statfs(2)).
const MAGIC: u64 = 0x9fa0;

/// The file system of /proc.
pub struct ProcFs(Handle);

impl ProcFs {
    pub fn new() -> Rc<ProcFs> {
        let device = super::anonymous_device();
        let tree = TreeFs { name: "proc", magic: MAGIC, device, file_size: 0, root: &ROOT };
        Rc::new(ProcFs(Handle(Rc::new(tree))))
    }
}

impl FileSystem for ProcFs {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn dev(&self) -> u64 {
        self.0.dev()
    }

    fn root(&self) -> InodeRef {
        self.0.root()
    }

    fn statfs(&self) -> (u64, u64, u64, u64, u64, u64) {
        self.0.statfs()
    }
}

const fn file(name: &'static str, text: super::pseudo::tree::Text) -> Row {
    Row { name, mode: 0o444, body: Body::File(text) }
}

const fn link(name: &'static str, text: super::pseudo::tree::Text) -> Row {
    Row { name, mode: 0o777, body: Body::Link(text) }
}

const fn directory(name: &'static str, directory: &'static Directory) -> Row {
    Row { name, mode: 0o555, body: Body::Directory(directory) }
}

static ROOT: Directory = Directory { rows: &ROWS, more: Some(More { find: find_process, list: list_processes }) };

static ROWS: [Row; 23] = [
    link("self", root::self_link),
    link("thread-self", root::thread_self),
    link("mounts", |_, _| Ok(b"self/mounts".to_vec())),
    link("net", |_, _| Ok(b"self/net".to_vec())),
    directory("sys", &setting::DIRECTORY),
    directory("sysvipc", &sysvipc::DIRECTORY),
    file("cgroups", root::cgroups),
    file("cmdline", root::cmdline),
    file("cpuinfo", root::cpuinfo),
    file("devices", root::devices),
    file("diskstats", |_, _| Ok(Vec::new())),
    file("filesystems", root::filesystems),
    file("interrupts", |_, _| Ok(b"           CPU0       \n".to_vec())),
    file("loadavg", root::loadavg),
    file("meminfo", root::meminfo),
    file("misc", |_, _| Ok(Vec::new())),
    file("modules", |_, _| Ok(Vec::new())),
    file("partitions", |_, _| Ok(b"major minor  #blocks  name\n\n".to_vec())),
    file("stat", root::stat),
    file("swaps", |_, _| Ok(b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_vec())),
    file("uptime", root::uptime),
    file("version", root::version),
    file("vmstat", root::vmstat),
];

/// The process whose `/proc/<pid>` this is.
pub fn directory_of(inode: &InodeRef) -> Option<Pid> {
    let node = inode.as_any().downcast_ref::<Node>()?;
    node.subject_of(&pid::DIRECTORY).map(|subject| subject.pid)
}

/// A number as names have it: digits, no zero before them.
fn number(name: &[u8]) -> Option<u32> {
    let number: u32 = std::str::from_utf8(name).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == name).then_some(number)
}

/// `/proc/<pid>`; a thread's own number works too, but is not listed.
fn find_process(k: &Kernel, subject: &Subject, name: &[u8]) -> Option<Entry> {
    let number = number(name)?;
    let (pid, tid) = match k.processes.get(Pid(number)) {
        Some(process) => (process.pid, Tid(number)),
        None => (k.tasks.get(Tid(number))?.pid, Tid(number)),
    };
    let subject = Subject { caller: subject.caller, pid, tid, fd: 0 };
    let owner = Some(pid::owner(k, &subject));
    Some(Entry { mode: 0o555, body: Body::Directory(&pid::DIRECTORY), subject, owner })
}

fn list_processes(k: &Kernel, _: &Subject) -> Numbers {
    let mut pids: Vec<u32> = k.processes.iter().map(|process| process.pid.0).collect();
    pids.sort_unstable();
    pids.into_iter().map(|pid| (pid, FileKind::Directory)).collect()
}

/// The process a file is about; ESRCH when it was reaped.
fn process<'a>(k: &'a Kernel, subject: &Subject) -> Result<&'a Process, Errno> {
    k.processes.get(subject.pid).ok_or(Errno::ESRCH)
}

/// The task a file is about: for `/proc/<pid>` of a process whose first thread ended, any that lives.
fn task<'a>(k: &'a Kernel, subject: &Subject) -> Result<&'a Task, Errno> {
    let other = || process(k, subject).ok().and_then(|process| k.tasks.get(*process.tasks.first()?));
    k.tasks.get(subject.tid).or_else(other).ok_or(Errno::ESRCH)
}
