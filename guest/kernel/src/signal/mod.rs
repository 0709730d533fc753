//! Signals: sets, actions, pending queues; `send` makes them pending, `deliver` acts on them.

pub mod send;

use crate::task::Pid;
use crate::wait::Tid;

/// Signal numbers (signal(7), asm-generic).
pub mod number {
    pub const SIGHUP: u32 = 1;
    pub const SIGINT: u32 = 2;
    pub const SIGQUIT: u32 = 3;
    pub const SIGILL: u32 = 4;
    pub const SIGTRAP: u32 = 5;
    pub const SIGABRT: u32 = 6;
    pub const SIGBUS: u32 = 7;
    pub const SIGFPE: u32 = 8;
    pub const SIGKILL: u32 = 9;
    pub const SIGUSR1: u32 = 10;
    pub const SIGSEGV: u32 = 11;
    pub const SIGUSR2: u32 = 12;
    pub const SIGPIPE: u32 = 13;
    pub const SIGALRM: u32 = 14;
    pub const SIGTERM: u32 = 15;
    pub const SIGSTKFLT: u32 = 16;
    pub const SIGCHLD: u32 = 17;
    pub const SIGCONT: u32 = 18;
    pub const SIGSTOP: u32 = 19;
    pub const SIGTSTP: u32 = 20;
    pub const SIGTTIN: u32 = 21;
    pub const SIGTTOU: u32 = 22;
    pub const SIGURG: u32 = 23;
    pub const SIGXCPU: u32 = 24;
    pub const SIGXFSZ: u32 = 25;
    pub const SIGVTALRM: u32 = 26;
    pub const SIGPROF: u32 = 27;
    pub const SIGWINCH: u32 = 28;
    pub const SIGIO: u32 = 29;
    pub const SIGPWR: u32 = 30;
    pub const SIGSYS: u32 = 31;
}

/// Who gets a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// One task (tgkill, faults, SIGPIPE).
    Task(Tid),
    /// Any task of a process that does not block it.
    Process(Pid),
    /// Every process of a process group (terminals).
    Group(Pid),
}

/// A signal and where it comes from: the words of siginfo_t (sigaction(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalInfo {
    pub signal: u32,
    /// si_code.
    pub code: i32,
    pub errno: i32,
    pub pid: u32,
    pub uid: u32,
    /// si_status of SIGCHLD, si_value of queued signals, si_addr of faults (by signal and code).
    pub value: u64,
}

impl SignalInfo {
    /// A signal that the kernel itself sends (SI_KERNEL).
    pub fn kernel(signal: u32) -> SignalInfo {
        SignalInfo { signal, code: 0x80, ..SignalInfo::default() }
    }
}
