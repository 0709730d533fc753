//! `Kernel`: everything the sandbox's Linux owns, and the accessors that handlers use.

use std::collections::VecDeque;
use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_machine::Isa;
use shallop_platform::{Clock, Platform, SpaceId};

use crate::fs::mqueue::MessageQueues;
use crate::futex::FutexTable;
use crate::futex::condition::Conditions;
use crate::futex::pi::PiLocks;
use crate::ipc::Ipc;
use crate::load::Load;
use crate::net::Net;
use crate::profile::Profile;
use crate::signal::{SignalInfo, Target};
use crate::task::{Pid, Process, ProcessTable, Task, TaskTable};
use crate::time::Timers;
use crate::vfs::context::IoState;
use crate::vfs::mount::MountTable;
use crate::vfs::{GuestMemory, Timespec};
use crate::wait::{ReadyList, Tid};

/// One sandbox's Linux.
pub struct Kernel {
    pub platform: &'static dyn Platform,
    pub isa: &'static dyn Isa,
    /// Where wait queues put the tasks they wake.
    pub ready: ReadyList,
    pub mounts: MountTable,
    pub io: IoState,
    pub net: Rc<Net>,
    pub tasks: TaskTable,
    pub processes: ProcessTable,
    pub hostname: Vec<u8>,
    /// Bytes; MemTotal and cgroup memory.max.
    pub memory_limit: u64,
    pub tasks_max: u32,
    /// Monotonic nanoseconds when the sandbox started.
    pub boot_time: u64,
    pub timers: Timers,
    pub futexes: FutexTable,
    /// Futexes whose owners the kernel knows.
    pub pi_locks: PiLocks,
    pub conditions: Conditions,
    /// System V shared memory, semaphores and message queues.
    pub ipc: Ipc,
    /// POSIX message queues.
    pub queues: Rc<MessageQueues>,
    /// Tasks that can run, next first.
    pub run_queue: VecDeque<Tid>,
    /// Whether calls are traced.
    pub strace: bool,
    /// When samples are taken.
    pub profile: Option<Box<Profile>>,
    pub calls_since_poll: u32,
    /// The running task and when its slice began.
    pub slice: Option<(Tid, u64)>,
    pub load: Load,
    /// When the host is to interrupt the running task, as it was last told.
    pub alarm: Option<u64>,
    /// Where the search for a free process id goes on.
    pub next_pid: u32,
}

/// Guest memory of one address space; copyable, holds no borrow of the kernel.
#[derive(Clone, Copy)]
pub struct SpaceMemory {
    platform: &'static dyn Platform,
    space: SpaceId,
}

impl SpaceMemory {
    pub fn new(platform: &'static dyn Platform, space: SpaceId) -> SpaceMemory {
        SpaceMemory { platform, space }
    }

    /// Bytes up to a NUL (not included). EFAULT when unreadable before it, ENAMETOOLONG when longer than `max`.
    pub fn read_string(&self, addr: u64, max: usize) -> Result<Vec<u8>, Errno> {
        let mut out = Vec::new();
        let mut at = addr;
        let mut chunk = [0; 256];
        loop {
            let want = chunk.len().min(4096 - (at % 4096) as usize);
            let got = self.platform.read(self.space, at, &mut chunk[..want]);
            if let Some(end) = chunk[..got].iter().position(|b| *b == 0) {
                out.extend_from_slice(&chunk[..end]);
                return if out.len() > max { Err(Errno::ENAMETOOLONG) } else { Ok(out) };
            }
            if got < want {
                return Err(Errno::EFAULT);
            }
            out.extend_from_slice(&chunk[..got]);
            if out.len() > max {
                return Err(Errno::ENAMETOOLONG);
            }
            at += got as u64;
        }
    }

    pub fn read_u32(&self, addr: u64) -> Result<u32, Errno> {
        let mut bytes = [0; 4];
        self.read(addr, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub fn read_u64(&self, addr: u64) -> Result<u64, Errno> {
        let mut bytes = [0; 8];
        self.read(addr, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub fn write_u32(&self, addr: u64, value: u32) -> Result<(), Errno> {
        self.write(addr, &value.to_le_bytes())
    }

    pub fn write_u64(&self, addr: u64, value: u64) -> Result<(), Errno> {
        self.write(addr, &value.to_le_bytes())
    }
}

impl GuestMemory for SpaceMemory {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), Errno> {
        match self.platform.read(self.space, addr, buf) == buf.len() {
            true => Ok(()),
            false => Err(Errno::EFAULT),
        }
    }

    fn write(&self, addr: u64, bytes: &[u8]) -> Result<(), Errno> {
        match self.platform.write(self.space, addr, bytes) == bytes.len() {
            true => Ok(()),
            false => Err(Errno::EFAULT),
        }
    }
}

impl Kernel {
    /// The task `tid`, which exists while one of its calls is served.
    ///
    /// # Panics
    /// When there is no such task; use `tasks.get` for numbers that come from a guest.
    pub fn task(&self, tid: Tid) -> &Task {
        self.tasks.get(tid).expect("a task of the kernel's own lists exists")
    }

    /// As [`Kernel::task`].
    pub fn task_mut(&mut self, tid: Tid) -> &mut Task {
        self.tasks.get_mut(tid).expect("a task of the kernel's own lists exists")
    }

    /// The process `pid`; panics as [`Kernel::task`] does.
    pub fn process(&self, pid: Pid) -> &Process {
        self.processes.get(pid).expect("a process of the kernel's own lists exists")
    }

    pub fn process_mut(&mut self, pid: Pid) -> &mut Process {
        self.processes.get_mut(pid).expect("a process of the kernel's own lists exists")
    }

    pub fn process_of(&self, tid: Tid) -> &Process {
        self.process(self.task(tid).pid)
    }

    pub fn process_of_mut(&mut self, tid: Tid) -> &mut Process {
        let pid = self.task(tid).pid;
        self.process_mut(pid)
    }

    /// Guest memory of the task's process.
    pub fn memory(&self, tid: Tid) -> SpaceMemory {
        SpaceMemory { platform: self.platform, space: self.task(tid).space }
    }

    /// Fills `buf` from the task's memory; EFAULT when any of it is unreadable.
    pub fn read_memory(&self, tid: Tid, addr: u64, buf: &mut [u8]) -> Result<(), Errno> {
        self.memory(tid).read(addr, buf)
    }

    pub fn write_memory(&self, tid: Tid, addr: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.memory(tid).write(addr, bytes)
    }

    /// Bytes up to a NUL (not included); ENAMETOOLONG when there are more than `max`.
    pub fn read_string(&self, tid: Tid, addr: u64, max: usize) -> Result<Vec<u8>, Errno> {
        self.memory(tid).read_string(addr, max)
    }

    pub fn read_u32(&self, tid: Tid, addr: u64) -> Result<u32, Errno> {
        self.memory(tid).read_u32(addr)
    }

    pub fn read_u64(&self, tid: Tid, addr: u64) -> Result<u64, Errno> {
        self.memory(tid).read_u64(addr)
    }

    pub fn write_u32(&self, tid: Tid, addr: u64, value: u32) -> Result<(), Errno> {
        self.memory(tid).write_u32(addr, value)
    }

    pub fn write_u64(&self, tid: Tid, addr: u64, value: u64) -> Result<(), Errno> {
        self.memory(tid).write_u64(addr, value)
    }

    /// Monotonic nanoseconds.
    pub fn now_monotonic(&self) -> u64 {
        self.platform.now(Clock::Monotonic)
    }

    pub fn now_realtime(&self) -> Timespec {
        let now = self.platform.now(Clock::Realtime);
        Timespec { sec: (now / 1_000_000_000) as i64, nsec: (now % 1_000_000_000) as u32 }
    }

    /// Makes a signal pending for a task, a process, or a process group, and wakes who must act on it.
    pub fn send_signal(&mut self, target: Target, info: SignalInfo) {
        crate::signal::send::send(self, target, info);
    }
}
