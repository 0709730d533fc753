//! Signals: sets, actions, pending queues; `send` makes them pending, `deliver` acts on them.

pub mod deliver;
pub mod mask;
pub mod send;

use std::collections::VecDeque;

use shallop_linux_abi::signal::*;

use crate::kernel::Kernel;
use crate::task::Pid;
use crate::wait::Tid;

/// Signal numbers.
pub use shallop_linux_abi::signal as number;

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
    /// Does to the first process what it does to others, although that one has no default actions.
    pub forced: bool,
}

impl SignalInfo {
    /// A signal that the kernel itself sends (SI_KERNEL).
    pub fn kernel(signal: u32) -> SignalInfo {
        SignalInfo { signal, code: SI_KERNEL, ..SignalInfo::default() }
    }

    /// A signal that a process sends (SI_USER).
    pub fn user(signal: u32, pid: Pid, uid: u32) -> SignalInfo {
        SignalInfo { signal, code: SI_USER, pid: pid.0, uid, ..SignalInfo::default() }
    }

    /// Whether the first process cannot do as if nothing had come: the host's SIGKILL, and what [`SignalInfo::forced`]
    /// marks.
    pub(crate) fn is_forced(&self) -> bool {
        self.forced || self.signal == SIGKILL && self.code == SI_KERNEL
    }

    pub(crate) fn is_fault(&self) -> bool {
        matches!(self.signal, SIGSEGV | SIGBUS | SIGILL | SIGFPE | SIGTRAP) && self.code > 0 && self.code != SI_KERNEL
    }

    /// The 128 bytes of siginfo_t, as on every 64-bit Linux.
    pub fn bytes(&self) -> [u8; 128] {
        let mut out = [0; 128];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.signal.to_le_bytes());
        put(4, &self.errno.to_le_bytes());
        put(8, &self.code.to_le_bytes());
        if self.is_fault() {
            put(16, &self.value.to_le_bytes());
        } else {
            put(16, &self.pid.to_le_bytes());
            put(20, &self.uid.to_le_bytes());
            put(24, &self.value.to_le_bytes());
        }
        out
    }

    /// From the bytes that rt_sigqueueinfo(2) is given.
    pub fn from_bytes(signal: u32, bytes: &[u8; 128]) -> SignalInfo {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        SignalInfo {
            signal,
            errno: word(4) as i32,
            code: word(8) as i32,
            pid: word(16),
            uid: word(20),
            value: u64::from(word(24)) | u64::from(word(28)) << 32,
            forced: false,
        }
    }
}

/// The bit of a signal in a mask.
pub fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

/// SIGKILL and SIGSTOP cannot be blocked, caught or ignored.
pub const UNBLOCKABLE: u64 = 1 << (SIGKILL - 1) | 1 << (SIGSTOP - 1);

/// One entry of sigaction(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Action {
    /// SIG_DFL, SIG_IGN or an address.
    pub handler: u64,
    pub flags: u64,
    pub mask: u64,
}

/// All of a process's actions, by signal number less one.
#[derive(Debug, Clone, Copy)]
pub struct Actions(pub [Action; NSIG as usize]);

impl Default for Actions {
    fn default() -> Self {
        Actions([Action::default(); NSIG as usize])
    }
}

impl Actions {
    pub fn get(&self, signal: u32) -> Action {
        self.0[signal as usize - 1]
    }

    pub fn get_mut(&mut self, signal: u32) -> &mut Action {
        &mut self.0[signal as usize - 1]
    }

    /// execve(2): handlers go back to the default, ignored signals stay ignored.
    pub fn exec(&mut self) {
        for action in &mut self.0 {
            *action =
                Action { handler: if action.handler == SIG_IGN { SIG_IGN } else { SIG_DFL }, ..Action::default() };
        }
    }

    /// Whether the signal would do nothing.
    pub fn ignores(&self, signal: u32) -> bool {
        let handler = self.get(signal).handler;
        handler == SIG_IGN && bit(signal) & UNBLOCKABLE == 0
            || handler == SIG_DFL && default_action(signal) == Disposition::Ignore
    }
}

/// What a signal does when nothing was set (signal(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    Terminate,
    /// Terminate, and dump core where cores are dumped.
    Core,
    Ignore,
    Stop,
    Continue,
}

pub fn default_action(signal: u32) -> Disposition {
    match signal {
        SIGCHLD | SIGURG | SIGWINCH => Disposition::Ignore,
        SIGCONT => Disposition::Continue,
        SIGSTOP | SIGTSTP | SIGTTIN | SIGTTOU => Disposition::Stop,
        SIGQUIT | SIGILL | SIGTRAP | SIGABRT | SIGBUS | SIGFPE | SIGSEGV | SIGXCPU | SIGXFSZ | SIGSYS => {
            Disposition::Core
        }
        _ => Disposition::Terminate,
    }
}

/// Whether the signal would do nothing to the task's process.
pub fn is_ignored(k: &Kernel, tid: Tid, signal: u32) -> bool {
    k.process_of(tid).actions.ignores(signal)
}

/// Brings `Process::pending_shown` up to date.
pub fn show_pending(k: &Kernel, pid: Pid) {
    let Some(process) = k.processes.get(pid) else { return };
    let tasks = process.tasks.iter().filter_map(|tid| k.tasks.get(*tid));
    process.pending_shown.set(tasks.fold(process.pending.set, |set, task| set | task.pending.set));
}

/// sigaltstack(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AltStack {
    pub sp: u64,
    pub flags: u32,
    pub size: u64,
}

impl Default for AltStack {
    fn default() -> Self {
        AltStack { sp: 0, flags: SS_DISABLE, size: 0 }
    }
}

impl AltStack {
    pub fn holds(&self, sp: u64) -> bool {
        self.flags & SS_DISABLE == 0 && sp > self.sp && sp - self.sp <= self.size
    }
}

/// Signals that wait for delivery.
#[derive(Debug, Clone, Default)]
pub struct Pending {
    pub set: u64,
    queue: VecDeque<SignalInfo>,
}

impl Pending {
    /// Adds one: standard signals once, real-time signals as often as they are sent. False when the queue is full.
    pub fn add(&mut self, info: SignalInfo) -> bool {
        let known = self.set & bit(info.signal) != 0;
        if known && info.signal < SIGRTMIN {
            return true;
        }
        if self.queue.len() >= crate::tunables::QUEUED_SIGNALS {
            return false;
        }
        self.set |= bit(info.signal);
        self.queue.push_back(info);
        true
    }

    /// Takes the most urgent one of `allowed`: faults first, then the lowest number.
    pub fn take(&mut self, allowed: u64) -> Option<SignalInfo> {
        const FAULTS: u64 =
            1 << (SIGSEGV - 1) | 1 << (SIGBUS - 1) | 1 << (SIGILL - 1) | 1 << (SIGTRAP - 1) | 1 << (SIGFPE - 1);
        let ready = self.set & allowed;
        if ready == 0 {
            return None;
        }
        let first = if ready & bit(SIGKILL) != 0 {
            bit(SIGKILL)
        } else if ready & FAULTS != 0 {
            ready & FAULTS
        } else {
            ready
        };
        let signal = first.trailing_zeros() + 1;
        let at = self.queue.iter().position(|i| i.signal == signal)?;
        let info = self.queue.remove(at)?;
        if !self.queue.iter().any(|i| i.signal == signal) {
            self.set &= !bit(signal);
        }
        Some(info)
    }

    /// Forgets these signals.
    pub fn discard(&mut self, signals: u64) {
        if self.set & signals != 0 {
            self.set &= !signals;
            self.queue.retain(|i| bit(i.signal) & signals == 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_signals_merge_and_real_time_signals_queue() {
        let mut pending = Pending::default();
        for signal in [SIGUSR1, SIGUSR1, 40, 40, SIGKILL] {
            pending.add(SignalInfo::kernel(signal));
        }
        let taken: Vec<u32> = std::iter::from_fn(|| pending.take(!0).map(|i| i.signal)).collect();
        assert_eq!(taken, [SIGKILL, SIGUSR1, 40, 40]);
        assert_eq!(pending.set, 0);
    }

    #[test]
    fn siginfo_of_a_child_has_its_words_where_linux_has_them() {
        let info = SignalInfo { signal: SIGCHLD, code: CLD_EXITED, pid: 7, uid: 8, value: 3, ..SignalInfo::default() };
        let bytes = info.bytes();
        assert_eq!((bytes[0], bytes[8], bytes[16], bytes[20], bytes[24]), (17, 1, 7, 8, 3));
        assert_eq!(SignalInfo::from_bytes(SIGCHLD, &bytes), info);
    }
}
