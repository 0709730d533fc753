//! The Linux personality: serves the system calls of one sandbox's processes. This page is the atlas.
//!
//! Single-threaded by design: a `Kernel` owns everything, tasks run one at a time through `Platform::task_run`.
//! A system call handler runs to its end or returns `Stop::Block`; it is then called *again from its start* when one of
//! the wait queues it named is woken or its deadline passes, so it must not have side effects before it blocks (progress
//! is kept in the task's `SyscallProgress`).
#![forbid(unsafe_code)]

pub mod fs;
pub mod vfs;
pub mod wait;

pub use wait::{Stop, WaitQueue};
