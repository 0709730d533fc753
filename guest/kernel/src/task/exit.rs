//! Ends of tasks and processes: exit(2), exit_group(2), death by signal.

use std::cell::RefCell;
use std::rc::Rc;

use shallop_linux_abi::signal::*;

use super::{INIT, Life, Pid, Task};
use crate::futex::{self, pi};
use crate::kernel::Kernel;
use crate::signal::{Disposition, SignalInfo, Target, default_action};
use crate::vfs::GuestMemory;
use crate::wait::Tid;

/// Bit of an entry of a robust list: its word is a lock whose owner the kernel knows.
const PI_ENTRY: u64 = 1;
/// Entries of a robust list that are looked at (ROBUST_LIST_LIMIT).
const ROBUST_LIMIT: u32 = 2048;

/// Ends one task; the process with its last. `code` is exit(2)'s argument.
pub fn task(k: &mut Kernel, tid: Tid, code: u32) {
    let pid = k.task(tid).pid;
    drop_task(k, tid);
    if k.process(pid).tasks.is_empty() {
        end_process(k, pid, (code & 0xff) << 8);
    }
}

/// exit_group(2).
pub fn group(k: &mut Kernel, pid: Pid, code: u32) {
    end_all(k, pid, (code & 0xff) << 8);
}

/// The process dies of a signal.
pub fn by_signal(k: &mut Kernel, pid: Pid, signal: u32) {
    let core = default_action(signal) == Disposition::Core && k.process(pid).rlimits[4].0 != 0;
    end_all(k, pid, signal | if core { 0x80 } else { 0 });
}

fn end_all(k: &mut Kernel, pid: Pid, status: u32) {
    for tid in k.process(pid).tasks.clone() {
        drop_task(k, tid);
    }
    end_process(k, pid, status);
}

/// Takes a task out of everything and tells those who wait for its end.
pub fn drop_task(k: &mut Kernel, tid: Tid) {
    release_futexes(k, tid);
    let Some(mut task) = k.tasks.remove(tid) else { return };
    let slice = k.slice.filter(|(running, _)| *running == tid);
    let running_for = slice.map_or(0, |(_, start)| k.now_monotonic().saturating_sub(start));
    detach(k, &mut task);
    let (uid, name) = (task.credentials.uid, std::mem::take(&mut task.name));
    let process = k.process_mut(task.pid);
    process.tasks.retain(|t| *t != tid);
    process.cpu_time += task.cpu_time + running_for;
    if process.tasks.is_empty() {
        process.uid = uid;
        process.name = name;
    }
}

/// Gives back what the task holds of the host and of others' attention.
fn detach(k: &mut Kernel, task: &mut Task) {
    if let super::State::Blocked(blocked) = &task.state {
        for queue in &blocked.wait.queues {
            queue.remove(task.tid);
        }
        if let Some(alarm) = blocked.alarm {
            k.timers.cancel(alarm);
        }
    }
    if let Some(host) = task.host.take() {
        k.platform.task_drop(host);
    }
    if let Some(vfork) = task.vfork.take() {
        vfork.done.set(true);
        vfork.queue.wake();
    }
}

/// The cleared tid word and the robust list, which other tasks of the same memory wait on.
pub fn release_futexes(k: &mut Kernel, tid: Tid) {
    let task = k.task_mut(tid);
    let (clear, robust) = (std::mem::take(&mut task.clear_child_tid), std::mem::take(&mut task.robust_list));
    let (pid, memory) = (task.pid, k.memory(tid));
    if robust != 0 {
        walk_robust_list(k, tid, pid, robust);
    }
    for lock in k.pi_locks.of(tid) {
        if let Some(granted) = k.pi_locks.grant(lock) {
            let word = granted.tid.0 | pi::WAITERS | pi::OWNER_DIED;
            // A word that is gone is its new owner's matter.
            let _ = k.write_u32(granted.tid, granted.addr, word);
        }
    }
    if clear != 0 && memory.write(clear, &[0; 4]).is_ok() {
        let key = futex::key(k, pid, clear);
        k.futexes.wake(key, 1, u32::MAX);
    }
}

/// Marks the robust futexes that the task still holds (get_robust_list(2), the kernel's robust-futexes text).
fn walk_robust_list(k: &mut Kernel, tid: Tid, pid: Pid, head: u64) {
    let memory = k.memory(tid);
    let (Ok(first), Ok(offset), Ok(pending)) =
        (memory.read_u64(head), memory.read_u64(head.wrapping_add(8)), memory.read_u64(head.wrapping_add(16)))
    else {
        return;
    };
    let mut entry = first;
    for _ in 0..ROBUST_LIMIT {
        let at = entry & !PI_ENTRY;
        if at == head || at == 0 {
            break;
        }
        let Ok(next) = memory.read_u64(at) else { break };
        if at != pending & !PI_ENTRY {
            abandon(k, tid, pid, entry, offset);
        }
        entry = next;
    }
    if pending & !PI_ENTRY != 0 {
        abandon(k, tid, pid, pending, offset);
    }
}

/// Marks the word of an entry, if it is the task's. Who waits for a lock is given it later.
fn abandon(k: &mut Kernel, tid: Tid, pid: Pid, entry: u64, offset: u64) {
    let (addr, memory) = ((entry & !PI_ENTRY).wrapping_add(offset), k.memory(tid));
    let Ok(word) = memory.read_u32(addr) else { return };
    if word & pi::TID_MASK != tid.0 {
        return;
    }
    let _ = memory.write_u32(addr, word & pi::WAITERS | pi::OWNER_DIED);
    if word & pi::WAITERS != 0 && entry & PI_ENTRY == 0 {
        let key = futex::key(k, pid, addr);
        k.futexes.wake(key, 1, u32::MAX);
    }
}

/// The last task is gone: children go to a new parent, the parent is told.
fn end_process(k: &mut Kernel, pid: Pid, status: u32) {
    crate::strace::exited(k, Tid(pid.0), status);
    let process = k.process_mut(pid);
    process.life = Life::Zombie(status);
    process.stopped = None;
    process.watch.end();
    k.ipc.process_ended(pid);
    let process = k.process_mut(pid);
    let children = std::mem::take(&mut process.children);
    let timers = std::mem::take(&mut process.itimers);
    let posix = std::mem::take(&mut process.timers);
    let alarms = timers.into_iter().filter_map(|t| t.2).chain(posix.into_iter().flatten().filter_map(|t| t.alarm));
    for alarm in alarms {
        k.timers.cancel(alarm);
    }
    release_memory(k, pid);
    if k.process(pid).sid == pid {
        crate::tty::job::session_ended(k, pid);
    }
    reparent(k, pid, children);
    if pid != INIT {
        tell_parent(k, pid, status);
    }
}

/// A zombie keeps no memory.
fn release_memory(k: &mut Kernel, pid: Pid) {
    k.detach_segments(pid);
    let none = crate::mm::Mm::none(k.platform);
    let process = k.process_mut(pid);
    process.exe = None;
    process.mm = Rc::new(RefCell::new(none));
}

fn reparent(k: &mut Kernel, pid: Pid, children: Vec<Pid>) {
    let new_parent = adopter(k, pid);
    for child in children {
        let Some(process) = k.processes.get_mut(child) else { continue };
        process.ppid = new_parent;
        let (signal, zombie) = (process.death_signal, process.is_zombie());
        if let Some(parent) = k.processes.get_mut(new_parent) {
            parent.children.push(child);
        }
        if signal != 0 && !zombie {
            k.send_signal(Target::Process(child), SignalInfo::kernel(signal));
        }
        if zombie && let Life::Zombie(status) = k.process(child).life {
            tell_parent(k, child, status);
        }
    }
}

/// The nearest living subreaper above, or the first process.
fn adopter(k: &Kernel, pid: Pid) -> Pid {
    let mut at = k.process(pid).ppid;
    while let Some(process) = k.processes.get(at) {
        if process.subreaper && !process.is_zombie() {
            return at;
        }
        if at == process.ppid || at == INIT {
            break;
        }
        at = process.ppid;
    }
    INIT
}

/// SIGCHLD; a parent that does not care for children has them reaped at once.
fn tell_parent(k: &mut Kernel, pid: Pid, status: u32) {
    let process = k.process(pid);
    let (ppid, signal, uid) = (process.ppid, process.exit_signal, process.uid);
    let Some(parent) = k.processes.get(ppid).filter(|p| !p.is_zombie()) else {
        return;
    };
    let action = parent.actions.get(SIGCHLD);
    let careless = signal == SIGCHLD && (action.handler == SIG_IGN || action.flags & SA_NOCLDWAIT != 0);
    let queue = parent.child_queue.clone();
    if signal != 0 {
        let (code, value) = match status & 0x7f {
            0 => (CLD_EXITED, status >> 8 & 0xff),
            by => (if status & 0x80 != 0 { CLD_DUMPED } else { CLD_KILLED }, by),
        };
        let info = SignalInfo { signal, code, pid: pid.0, uid, value: value.into(), ..SignalInfo::default() };
        k.send_signal(Target::Process(ppid), info);
    }
    if careless {
        super::wait::reap(k, pid);
    }
    queue.wake();
}
