//! Waiting for children: wait4(2), waitid(2).

use shallop_linux_abi::Errno;

use super::{Life, Pid};
use crate::kernel::Kernel;

/// Which children a wait is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Any,
    Process(Pid),
    Group(Pid),
}

/// Which changes of state count.
#[derive(Debug, Clone, Copy, Default)]
pub struct What {
    pub exited: bool,
    pub stopped: bool,
    pub continued: bool,
    /// WNOWAIT: leave it to be waited for again.
    pub keep: bool,
    /// __WCLONE: only children without SIGCHLD.
    pub clones: bool,
    /// __WALL.
    pub all: bool,
}

/// A change of state that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News {
    pub pid: Pid,
    pub uid: u32,
    pub status: u32,
    /// CPU nanoseconds.
    pub cpu_time: u64,
}

/// Looks for a child with news and takes them. `None` when there is none yet; ECHILD when no child could ever have.
pub fn look(k: &mut Kernel, parent: Pid, who: Who, what: What) -> Result<Option<News>, Errno> {
    let mut any = false;
    let mut found = None;
    for child in &k.process(parent).children {
        let Some(process) = k.processes.get(*child) else { continue };
        let fits = match who {
            Who::Any => true,
            Who::Process(pid) => pid == *child,
            Who::Group(group) => group == process.pgid,
        };
        let kind = what.all || what.clones == (process.exit_signal != shallop_linux_abi::signal::SIGCHLD);
        if !fits || !kind {
            continue;
        }
        any = true;
        let status = match (process.life, process.news) {
            (Life::Zombie(status), _) if what.exited => Some(status),
            (Life::Running, Some(0xffff)) if what.continued => Some(0xffff),
            (Life::Running, Some(status)) if what.stopped && status != 0xffff => Some(status),
            _ => None,
        };
        if let Some(status) = status {
            let cpu_time = process.cpu_time + process.children_cpu_time;
            found = Some(News { pid: *child, uid: process.uid, status, cpu_time });
            break;
        }
    }
    let Some(news) = found else {
        return if any { Ok(None) } else { Err(Errno::ECHILD) };
    };
    if !what.keep {
        take(k, parent, &news);
    }
    Ok(Some(news))
}

fn take(k: &mut Kernel, parent: Pid, news: &News) {
    if k.process(news.pid).is_zombie() {
        k.process_mut(parent).children_cpu_time += news.cpu_time;
        reap(k, news.pid);
    } else {
        k.process_mut(news.pid).news = None;
    }
}

/// Forgets a zombie.
pub fn reap(k: &mut Kernel, pid: Pid) {
    let Some(process) = k.processes.remove(pid) else { return };
    process.watch.reap();
    if let Some(parent) = k.processes.get_mut(process.ppid) {
        parent.children.retain(|c| *c != pid);
    }
}
