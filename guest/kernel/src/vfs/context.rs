//! `IoState`: the kernel's own state behind the file calls (locks, FIFOs, terminals).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::lock::LockTable;
use super::watch::Watches;
use crate::fs::pipe::Pipe;
use crate::signal::{SignalInfo, Target};
use crate::tty::Tty;
use crate::wait::WaitQueue;

/// Signals that files ask for while they have no kernel at hand (a terminal's ^C written through its master side).
pub type PendingSignals = Rc<RefCell<Vec<(Target, SignalInfo)>>>;

/// The kernel's own state behind the file calls. Built with `IoState::default()`.
#[derive(Default)]
pub struct IoState {
    pub locks: Rc<LockTable>,
    /// What inotify watches.
    pub watches: Rc<Watches>,
    /// FIFOs that someone has open, by (dev, ino).
    pub fifos: RefCell<HashMap<(u64, u64), Rc<Pipe>>>,
    /// Terminals by minor number of `/dev/pts`; 0 is the container's own (`-t`) when there is one.
    pub ttys: Rc<RefCell<Vec<Option<Rc<Tty>>>>>,
    pub pending_signals: PendingSignals,
    /// Woken when the host's stdin has bytes or is at its end.
    pub stdin: WaitQueue,
    /// Last inode number given to a pipe or an anonymous file.
    pub next_anonymous: Rc<Cell<u64>>,
}
