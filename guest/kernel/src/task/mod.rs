//! Tasks (threads) and processes: their types and tables. Cut by verb: clone, exec, exit, wait, credentials.

pub mod clone;
pub mod credentials;
pub mod exec;
pub mod exit;
pub mod wait;
pub mod watch;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use shallop_linux_abi::rlimit::*;
use shallop_machine::Registers;
use shallop_platform::{HostTask, SpaceId};

use crate::dispatch::Call;
use crate::mm::Mm;
use crate::signal::{Actions, AltStack, Pending};
use crate::strace::Trace;
use crate::time::{AlarmId, PosixTimer};
use crate::vfs::fd_table::FdTable;
use crate::vfs::{FsContext, Location};
use crate::wait::{Tid, Wait, WaitQueue};

pub use credentials::{Capabilities, Credentials};
pub use watch::ProcessWatch;

/// A process id: the tid of its first task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pid(pub u32);

/// The sandbox's first process; its exit ends the sandbox.
pub const INIT: Pid = Pid(1);

/// What a system call keeps while it blocks and is called again; reset when a call starts.
#[derive(Default)]
pub struct SyscallProgress {
    /// Monotonic nanoseconds until which the call waits, fixed at its first run.
    pub deadline: Option<u64>,
    /// The last `Wait`'s deadline passed.
    pub timed_out: bool,
    /// A signal wants to be delivered: if the handler blocks now, the call is interrupted (it may leave what the caller
    /// is told then, as nanosleep's remaining time). With `done` > 0 the call then succeeds with `done`.
    pub interrupted: bool,
    /// Bytes or items already transferred.
    pub done: u64,
    pub saved: Option<Box<dyn Any>>,
}

/// Whether a task can run.
pub enum State {
    Runnable,
    Blocked(Blocked),
}

/// What a blocked task waits for, and how to take it out of there.
pub struct Blocked {
    pub wait: Wait,
    pub alarm: Option<AlarmId>,
}

/// Tells a vfork(2) parent that its child has given the address space back.
#[derive(Clone, Default)]
pub struct VforkDone {
    pub done: Rc<Cell<bool>>,
    pub queue: WaitQueue,
}

/// A thread.
pub struct Task {
    pub tid: Tid,
    pub pid: Pid,
    pub space: SpaceId,
    pub host: Option<HostTask>,
    pub registers: Registers,
    pub files: Rc<RefCell<FdTable>>,
    pub fs: Rc<RefCell<FsContext>>,
    pub credentials: Credentials,
    pub progress: SyscallProgress,
    /// Blocked signals, bit n-1 for signal n.
    pub mask: u64,
    /// The mask to go back to when the call in progress ends (sigsuspend, ppoll, pselect6, epoll_pwait).
    pub saved_mask: Option<u64>,
    pub pending: Pending,
    pub alt_stack: AltStack,
    /// /proc/pid/comm, at most 15 bytes.
    pub name: Vec<u8>,
    pub state: State,
    /// Whether the task is in the run queue.
    pub queued: bool,
    /// The call that blocks.
    pub call: Option<Call>,
    /// set_tid_address(2): zeroed and woken when the task ends.
    pub clear_child_tid: u64,
    /// set_robust_list(2).
    pub robust_list: u64,
    pub vfork: Option<VforkDone>,
    /// Nanoseconds of CPU used.
    pub cpu_time: u64,
    /// Half of a line of a trace.
    pub trace: Option<Box<Trace>>,
}

/// Whether a process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Running,
    /// Status as wait(2) encodes it; waits to be reaped.
    Zombie(u32),
}

/// A process: what its tasks share.
pub struct Process {
    pub pid: Pid,
    pub ppid: Pid,
    pub pgid: Pid,
    pub sid: Pid,
    pub exe: Option<Location>,
    /// NUL-terminated strings, as /proc/pid/cmdline shows.
    pub cmdline: Vec<u8>,
    pub environ: Vec<u8>,
    pub auxv: Vec<u8>,
    /// The address map; shared after vfork(2).
    pub mm: Rc<RefCell<Mm>>,
    /// Living tasks, the first one (if alive) first.
    pub tasks: Vec<Tid>,
    pub children: Vec<Pid>,
    /// st_rdev of the controlling terminal.
    pub tty: Option<(u32, u32)>,
    /// Soft and hard, by RLIMIT number.
    pub rlimits: [(u64, u64); 16],
    pub life: Life,
    /// The signal that stopped it.
    pub stopped: Option<u32>,
    /// A stop or continuation that wait4 has not told yet: its wait status.
    pub news: Option<u32>,
    /// Sent to the parent at the end; 0 for none.
    pub exit_signal: u32,
    /// What those who hold a pidfd of it see.
    pub watch: Rc<ProcessWatch>,
    /// Woken when a child changes state.
    pub child_queue: WaitQueue,
    /// Woken when a signal becomes pending (sigtimedwait, signalfd).
    pub signal_queue: WaitQueue,
    pub actions: Box<Actions>,
    pub pending: Pending,
    /// Every pending signal of the process and its tasks, for those who have no kernel at hand (signalfd).
    pub pending_shown: Rc<Cell<u64>>,
    pub subreaper: bool,
    pub dumpable: bool,
    /// PR_SET_PDEATHSIG.
    pub death_signal: u32,
    pub execed: bool,
    pub nice: i8,
    /// Monotonic nanoseconds.
    pub started: u64,
    /// CPU nanoseconds of ended tasks, and of waited-for children.
    pub cpu_time: u64,
    pub children_cpu_time: u64,
    /// ITIMER_REAL, VIRTUAL and PROF: next expiry (0: off), interval, its alarm.
    pub itimers: [(u64, u64, Option<AlarmId>); 3],
    pub timers: Vec<Option<PosixTimer>>,
    /// Name of the first task, kept for a zombie.
    pub name: Vec<u8>,
    /// Credentials at the end, for SIGCHLD's si_uid and /proc.
    pub uid: u32,
}

impl Process {
    pub fn space(&self) -> SpaceId {
        self.mm.borrow().space()
    }

    pub fn is_zombie(&self) -> bool {
        matches!(self.life, Life::Zombie(_))
    }
}

/// The limits that a container starts with (Docker's).
pub fn default_rlimits() -> [(u64, u64); 16] {
    let mut limits = [(RLIM_INFINITY, RLIM_INFINITY); 16];
    limits[RLIMIT_STACK] = (crate::tunables::STACK_BYTES, RLIM_INFINITY);
    limits[RLIMIT_CORE] = (0, RLIM_INFINITY);
    limits[RLIMIT_NOFILE] = (crate::tunables::OPEN_FILES, crate::tunables::OPEN_FILES);
    limits[RLIMIT_MEMLOCK] = (8 << 20, 8 << 20);
    limits[RLIMIT_SIGPENDING] = (4096, 4096);
    limits[RLIMIT_MSGQUEUE] = (819_200, 819_200);
    limits[RLIMIT_NICE] = (0, 0);
    limits[RLIMIT_RTPRIO] = (0, 0);
    limits
}

macro_rules! table {
    ($(#[$doc:meta])* $table:ident, $id:ident, $item:ident) => {
        $(#[$doc])*
        #[derive(Default)]
        pub struct $table {
            slots: Vec<Option<Box<$item>>>,
            count: usize,
        }

        impl $table {
            pub fn get(&self, id: $id) -> Option<&$item> {
                self.slots.get(id.0 as usize)?.as_deref()
            }

            pub fn get_mut(&mut self, id: $id) -> Option<&mut $item> {
                self.slots.get_mut(id.0 as usize)?.as_deref_mut()
            }

            pub fn insert(&mut self, id: $id, item: $item) {
                self.insert_boxed(id, Box::new(item));
            }

            pub fn insert_boxed(&mut self, id: $id, item: Box<$item>) {
                let index = id.0 as usize;
                if self.slots.len() <= index {
                    self.slots.resize_with(index + 1, || None);
                }
                self.count += usize::from(self.slots[index].is_none());
                self.slots[index] = Some(item);
            }

            pub fn remove(&mut self, id: $id) -> Option<Box<$item>> {
                let item = self.slots.get_mut(id.0 as usize)?.take()?;
                self.count -= 1;
                Some(item)
            }

            /// How many there are.
            pub fn count(&self) -> usize {
                self.count
            }

            /// All of them, by number.
            pub fn iter(&self) -> impl Iterator<Item = &$item> {
                self.slots.iter().flatten().map(|b| &**b)
            }

            pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut $item> {
                self.slots.iter_mut().flatten().map(|b| &mut **b)
            }
        }
    };
}

table!(
    /// All tasks, by tid.
    TaskTable, Tid, Task
);
table!(
    /// All processes, zombies included, by pid.
    ProcessTable, Pid, Process
);
