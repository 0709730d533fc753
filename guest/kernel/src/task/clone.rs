//! New tasks and processes: clone(2), fork(2), vfork(2), threads.

use std::cell::RefCell;
use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::clone::*;

use super::{Life, Pid, Process, ProcessWatch, State, SyscallProgress, Task, VforkDone};
use crate::kernel::Kernel;
use crate::signal::{AltStack, Pending};
use crate::syscall::pidfd;
use crate::tunables::PID_MAX;
use crate::wait::{Tid, WaitQueue};

/// The words of clone(2) and clone3(2).
#[derive(Debug, Clone, Copy, Default)]
pub struct CloneArgs {
    /// Without the signal in the low byte.
    pub flags: u64,
    pub exit_signal: u32,
    /// New stack pointer, 0 to keep the parent's.
    pub stack: u64,
    pub tls: u64,
    pub parent_tid: u64,
    pub child_tid: u64,
    /// Where CLONE_PIDFD stores the descriptor.
    pub pidfd: u64,
}

/// What a new task is.
pub struct Cloned {
    pub tid: Tid,
    /// Set when the parent must wait for the child to give the address space back.
    pub vfork: Option<VforkDone>,
}

impl CloneArgs {
    fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }

    /// EINVAL for combinations that clone(2) forbids; EPERM for namespaces, which a container may not make.
    fn check(&self) -> Result<(), Errno> {
        if self.has(CLONE_NEW_ANY) {
            return Err(Errno::EPERM);
        }
        if self.has(CLONE_INTO_CGROUP) || self.has(CLONE_PIDFD) && self.has(CLONE_THREAD | CLONE_DETACHED) {
            return Err(Errno::EINVAL);
        }
        let thread_alone = self.has(CLONE_THREAD) && !self.has(CLONE_SIGHAND);
        let handlers_alone = self.has(CLONE_SIGHAND) && !self.has(CLONE_VM);
        let both = self.has(CLONE_CLEAR_SIGHAND) && self.has(CLONE_SIGHAND);
        if thread_alone || handlers_alone || both { Err(Errno::EINVAL) } else { Ok(()) }
    }
}

/// The lowest free id from where the last search ended.
fn free_id(k: &mut Kernel) -> Result<u32, Errno> {
    for _ in 0..PID_MAX {
        let id = k.next_pid;
        k.next_pid = if id + 1 >= PID_MAX { 2 } else { id + 1 };
        let used = k.tasks.get(Tid(id)).is_some() || k.processes.get(Pid(id)).is_some();
        if !used && !k.processes.iter().any(|p| p.pgid.0 == id || p.sid.0 == id) {
            return Ok(id);
        }
    }
    Err(Errno::EAGAIN)
}

/// Makes a task as the flags say and puts it in the run queue. `EAGAIN` at the limit of tasks, and where the host has no room.
pub fn clone(k: &mut Kernel, parent: Tid, args: &CloneArgs) -> Result<Cloned, Errno> {
    args.check()?;
    make(k, parent, args).map_err(|errno| match errno {
        Errno::EAGAIN | Errno::ENOMEM => {
            k.platform.crowded();
            Errno::EAGAIN
        }
        other => other,
    })
}

fn make(k: &mut Kernel, parent: Tid, args: &CloneArgs) -> Result<Cloned, Errno> {
    if k.tasks.count() >= k.tasks_max as usize {
        return Err(Errno::EAGAIN);
    }
    let tid = Tid(free_id(k)?);
    let mm = address_space(k, parent, args)?;
    let space = mm.borrow().space();
    let host = k.platform.task_create(space)?;
    let vfork = args.has(CLONE_VFORK).then(VforkDone::default);
    let task = new_task(k, parent, tid, args, space, vfork.clone());
    let watch = Rc::new(ProcessWatch::default());
    if args.has(CLONE_PIDFD)
        && let Err(errno) = give_pidfd(k, parent, Pid(tid.0), args, &watch)
    {
        k.platform.task_drop(host);
        return Err(errno);
    }
    k.tasks.insert(tid, Task { host: Some(host), ..task });
    if args.has(CLONE_THREAD) {
        k.process_of_mut(parent).tasks.push(tid);
    } else {
        new_process(k, parent, Pid(tid.0), args, mm, watch);
    }
    store_ids(k, parent, tid, args);
    k.enqueue(tid);
    Ok(Cloned { tid, vfork })
}

/// CLONE_PIDFD: the parent gets a descriptor of the child, which the child itself does not inherit.
fn give_pidfd(k: &Kernel, parent: Tid, pid: Pid, args: &CloneArgs, watch: &Rc<ProcessWatch>) -> Result<(), Errno> {
    let fd = pidfd::install(k, parent, pid, watch, 0)?;
    k.write_u32(parent, args.pidfd, fd).inspect_err(|_| {
        let unused = k.task(parent).files.borrow_mut().remove(fd);
        drop(unused);
    })
}

fn address_space(k: &Kernel, parent: Tid, args: &CloneArgs) -> Result<Rc<RefCell<crate::mm::Mm>>, Errno> {
    let process = k.process_of(parent);
    match args.has(CLONE_VM) {
        true => Ok(process.mm.clone()),
        false => Ok(Rc::new(RefCell::new(process.mm.borrow().fork()?))),
    }
}

fn new_task(
    k: &Kernel,
    parent: Tid,
    tid: Tid,
    args: &CloneArgs,
    space: shallop_platform::SpaceId,
    vfork: Option<VforkDone>,
) -> Task {
    let from = k.task(parent);
    let mut registers = from.registers.clone();
    let tls = args.has(CLONE_SETTLS).then_some(args.tls);
    k.isa.set_clone(&mut registers, args.stack, tls);
    let files = match args.has(CLONE_FILES) {
        true => from.files.clone(),
        false => Rc::new(RefCell::new(from.files.borrow().clone())),
    };
    let fs = match args.has(CLONE_FS) {
        true => from.fs.clone(),
        false => Rc::new(RefCell::new(from.fs.borrow().clone())),
    };
    // A new address space keeps the alternate stack; a task in the same one needs its own.
    let keeps_alt_stack = !args.has(CLONE_VM) || args.has(CLONE_VFORK);
    Task {
        tid,
        pid: if args.has(CLONE_THREAD) { from.pid } else { Pid(tid.0) },
        space,
        host: None,
        registers,
        files,
        fs,
        credentials: from.credentials.clone(),
        progress: SyscallProgress::default(),
        mask: from.mask,
        saved_mask: None,
        pending: Pending::default(),
        alt_stack: if keeps_alt_stack { from.alt_stack } else { AltStack::default() },
        name: from.name.clone(),
        state: State::Runnable,
        queued: false,
        call: None,
        clear_child_tid: if args.has(CLONE_CHILD_CLEARTID) { args.child_tid } else { 0 },
        robust_list: 0,
        vfork,
        cpu_time: 0,
        trace: None,
    }
}

fn new_process(
    k: &mut Kernel,
    parent: Tid,
    pid: Pid,
    args: &CloneArgs,
    mm: Rc<RefCell<crate::mm::Mm>>,
    watch: Rc<ProcessWatch>,
) {
    let started = k.now_monotonic();
    let uid = k.task(parent).credentials.uid;
    let from = k.process_of(parent);
    let ppid = if args.has(CLONE_PARENT) { from.ppid } else { from.pid };
    let mut actions = from.actions.clone();
    if args.has(CLONE_CLEAR_SIGHAND) {
        actions.exec();
    }
    let process = Process {
        pid,
        ppid,
        pgid: from.pgid,
        sid: from.sid,
        exe: from.exe.clone(),
        cmdline: from.cmdline.clone(),
        environ: from.environ.clone(),
        auxv: from.auxv.clone(),
        mm,
        tasks: vec![Tid(pid.0)],
        children: Vec::new(),
        tty: from.tty,
        rlimits: from.rlimits,
        life: Life::Running,
        stopped: None,
        news: None,
        exit_signal: args.exit_signal,
        watch,
        child_queue: WaitQueue::new(),
        signal_queue: WaitQueue::new(),
        actions,
        pending: Pending::default(),
        pending_shown: Rc::default(),
        subreaper: false,
        dumpable: from.dumpable,
        death_signal: 0,
        execed: false,
        nice: from.nice,
        started,
        cpu_time: 0,
        children_cpu_time: 0,
        itimers: Default::default(),
        timers: Vec::new(),
        name: from.name.clone(),
        uid,
    };
    k.processes.insert(pid, process);
    if let Some(parent) = k.processes.get_mut(ppid) {
        parent.children.push(pid);
    }
}

/// CLONE_PARENT_SETTID and CLONE_CHILD_SETTID; as on Linux, a bad pointer is not an error.
fn store_ids(k: &Kernel, parent: Tid, tid: Tid, args: &CloneArgs) {
    if args.has(CLONE_PARENT_SETTID) {
        let _ = k.write_u32(parent, args.parent_tid, tid.0);
    }
    if args.has(CLONE_CHILD_SETTID) {
        let _ = k.write_u32(tid, args.child_tid, tid.0);
    }
}
