//! Replacing a process's program: execve(2).

use std::cell::RefCell;
use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_machine::Registers;

use super::exit;
use crate::kernel::Kernel;
use crate::loader::{self, Program};
use crate::signal::AltStack;
use crate::syscall::mq;
use crate::vfs::Location;
use crate::wait::Tid;

/// Bytes of a task's name (TASK_COMM_LEN without its NUL).
pub const NAME_BYTES: usize = 15;

/// Runs `program` from the file at `location` in the task's process. After an error nothing has changed. Other tasks of
/// the process end; the task gets the process's id as its own.
pub fn exec(k: &mut Kernel, tid: Tid, location: Location, program: Program) -> Result<(), Errno> {
    let env: Vec<u8> = joined(&program.env);
    let name = base_name(&program.path);
    let loaded = loader::load(k, tid, location, program)?;
    let host = k.platform.task_create(loaded.mm.space())?;
    let credentials = loader::exec_credentials(k, tid, &loaded.stat);

    // Its locks have the number that it had when it took them.
    exit::release_futexes(k, tid);
    let tid = become_only_task(k, tid);
    let isa = k.isa;
    let mut files = k.task(tid).files.clone();
    // Two: the task's and this one. A table shared with another process becomes this one's own.
    if Rc::strong_count(&files) > 2 {
        let own = files.borrow().clone();
        files = Rc::new(RefCell::new(own));
    }
    let closed = files.borrow_mut().close_on_exec();
    let space = loaded.mm.space();
    let task = k.task_mut(tid);
    task.files = files;
    let old_host = task.host.replace(host);
    task.space = space;
    task.registers = Registers::default();
    isa.start(&mut task.registers, loaded.pc, loaded.sp);
    task.credentials = credentials;
    task.alt_stack = AltStack::default();
    task.name = name;
    let vfork = task.vfork.take();
    let (pid, uid) = (task.pid, task.credentials.uid);
    if let Some(host) = old_host {
        k.platform.task_drop(host);
    }
    let timers = std::mem::take(&mut k.process_mut(pid).timers);
    for alarm in timers.into_iter().flatten().filter_map(|t| t.alarm) {
        k.timers.cancel(alarm);
    }
    let process = k.process_mut(pid);
    process.mm = Rc::new(RefCell::new(loaded.mm));
    process.exe = Some(loaded.exe);
    process.cmdline = joined(&loaded.argv);
    process.environ = env;
    process.auxv = loaded.auxv;
    process.actions.exec();
    process.execed = true;
    process.dumpable = true;
    process.uid = uid;
    closed.iter().for_each(|file| mq::closed(file, pid));
    drop(closed);
    if let Some(vfork) = vfork {
        vfork.done.set(true);
        vfork.queue.wake();
    }
    Ok(())
}

fn joined(strings: &[Vec<u8>]) -> Vec<u8> {
    strings.iter().flat_map(|s| s.iter().copied().chain([0])).collect()
}

fn base_name(path: &[u8]) -> Vec<u8> {
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or(path);
    name[..name.len().min(NAME_BYTES)].to_vec()
}

/// Ends the process's other tasks; the one that stays takes the process's number. Returns its tid.
fn become_only_task(k: &mut Kernel, tid: Tid) -> Tid {
    let pid = k.task(tid).pid;
    for other in k.process(pid).tasks.clone() {
        if other != tid {
            exit::drop_task(k, other);
        }
    }
    let leader = Tid(pid.0);
    if tid != leader
        && let Some(mut task) = k.tasks.remove(tid)
    {
        task.tid = leader;
        k.tasks.insert_boxed(leader, task);
        k.process_mut(pid).tasks = vec![leader];
        if let Some((running, _)) = &mut k.slice {
            *running = leader;
        }
    }
    leader
}
