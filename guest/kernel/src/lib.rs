//! The Linux personality: serves the system calls of one sandbox's processes. This page is the atlas.
//!
//! | module | what lives there |
//! |---|---|
//! | `launch` | from the launch spec to a running init process |
//! | `dispatch` | the scheduler loop and the way from a task's exit to its handler |
//! | `table` | a row per system call: number, handler, argument formats, support, note |
//! | `strace`, `quirks` | what the table is also read for: traces, the page of what differs from Linux |
//! | `profile/` | where tasks spend their time, for `run --profile` |
//! | `tunables` | the numbers that could be others |
//! | `syscall/` | thin doors, a file per family of calls |
//! | `task/` | tasks and processes, cut by verb |
//! | `signal/`, `mm/`, `futex/`, `time/`, `loader/` | signals, address space map, futexes, timers, ELF and `#!` |
//! | `ipc/` | System V shared memory, semaphores, message queues (POSIX ones are files: `fs/mqueue`) |
//! | `vfs/`, `fs/`, `tty/`, `epoll/` | files: traits and walking, file systems, line discipline, event sets |
//! | `net/` | sockets: AF_UNIX, the sandbox's own TCP and UDP, netlink |
//! | `wait` | blocking and waking |
//!
//! Single-threaded by design: a `Kernel` owns everything, tasks run one at a time through `Platform::task_run`.
//! A system call handler runs to its end or returns `Stop::Block`; it is then called *again from its start* when one of
//! the wait queues it named is woken or its deadline passes, so it must not have side effects before it blocks (progress
//! is kept in the task's `SyscallProgress`).
#![forbid(unsafe_code)]

pub mod dispatch;
pub mod epoll;
pub mod fs;
pub mod futex;
pub mod ipc;
pub mod launch;
pub mod load;
pub mod loader;
pub mod mm;
pub mod net;
pub mod profile;
pub mod quirks;
pub mod signal;
pub mod strace;
pub mod syscall;
pub mod table;
pub mod task;
pub mod time;
pub mod tty;
pub mod tunables;
pub mod vfs;
pub mod wait;

mod kernel;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use dispatch::{Call, Handler};
pub use kernel::{Kernel, SpaceMemory};
pub use launch::boot;
pub use signal::{SignalInfo, Target};
pub use task::{Credentials, Pid, Process, SyscallProgress, Task};
pub use wait::{Stop, SysResult, Tid, Wait, WaitQueue};
