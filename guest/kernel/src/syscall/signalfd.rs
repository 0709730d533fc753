//! signalfd4: `SignalFile` reads a process's pending signals.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::open;
use shallop_linux_abi::signal::SIGCHLD;

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::signal::{SignalInfo, UNBLOCKABLE, mask};
use crate::vfs::anonymous::{self, Label};
use crate::vfs::open_file::OpenFile;
use crate::vfs::{File, poll};
use crate::wait::{Stop, SysResult, Tid, Wait, WaitQueue};

/// Bytes of struct signalfd_siginfo.
const INFO_BYTES: usize = 128;

/// A signalfd (signalfd(2)). Reads go through [`SignalFile::collect`], which has the kernel at hand.
pub struct SignalFile {
    mask: Cell<u64>,
    /// What is pending in the process that made it, as `Process::pending_shown` has it.
    shown: Rc<Cell<u64>>,
    queue: WaitQueue,
    /// Taken from the process, not yet read.
    taken: RefCell<VecDeque<SignalInfo>>,
}

impl SignalFile {
    /// Takes as many of the caller's pending signals as `bytes` have room for.
    pub fn collect(&self, k: &mut Kernel, tid: Tid, bytes: u64) {
        let room = usize::try_from(bytes).unwrap_or(usize::MAX) / INFO_BYTES;
        let pid = k.task(tid).pid;
        while self.taken.borrow().len() < room.min(64) {
            let mask = self.mask.get();
            let own = k.task_mut(tid).pending.take(mask);
            let Some(info) = own.or_else(|| k.process_mut(pid).pending.take(mask)) else { break };
            self.taken.borrow_mut().push_back(info);
        }
        crate::signal::show_pending(k, pid);
    }
}

/// struct signalfd_siginfo: signo, errno, code, pid, uid, fd, tid, band, overrun, trapno, status, int, ptr, …
fn record(info: &SignalInfo) -> [u8; INFO_BYTES] {
    let mut out = [0; INFO_BYTES];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &info.signal.to_le_bytes());
    put(4, &info.errno.to_le_bytes());
    put(8, &info.code.to_le_bytes());
    put(12, &info.pid.to_le_bytes());
    put(16, &info.uid.to_le_bytes());
    let low = (info.value as u32).to_le_bytes();
    if info.signal == SIGCHLD {
        put(40, &low);
    } else {
        put(44, &low);
        put(48, &info.value.to_le_bytes());
    }
    out
}

impl File for SignalFile {
    fn read_at(&self, _offset: u64, buf: &mut [u8], nonblock: bool) -> Result<usize, Stop> {
        if buf.len() < INFO_BYTES {
            return Err(Errno::EINVAL.into());
        }
        let mut taken = self.taken.borrow_mut();
        if taken.is_empty() {
            return match nonblock {
                true => Err(Errno::EAGAIN.into()),
                false => Err(Stop::Block(Wait::on(&self.queue))),
            };
        }
        let mut done = 0;
        for place in buf.chunks_exact_mut(INFO_BYTES) {
            let Some(info) = taken.pop_front() else { break };
            place.copy_from_slice(&record(&info));
            done += INFO_BYTES;
        }
        Ok(done)
    }

    fn seekable(&self) -> bool {
        false
    }

    fn poll(&self) -> u32 {
        let ready = self.shown.get() & self.mask.get() != 0 || !self.taken.borrow().is_empty();
        if ready { poll::IN } else { 0 }
    }

    fn wait_queue(&self) -> Option<WaitQueue> {
        Some(self.queue.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `signalfd4(fd, mask, size, flags)`: fd -1 makes a new one, else its mask is changed.
pub fn signalfd4(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, addr, size, flags, ..] = call.args;
    let flags = flags as u32;
    if flags & !(open::CLOEXEC | open::NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let mask = mask::read(k, call.tid, addr, size)? & !UNBLOCKABLE;
    if fd as i32 != -1 {
        let file = k.file(call.tid, fd)?;
        let signals = file.file.as_any().downcast_ref::<SignalFile>().ok_or(Errno::EINVAL)?;
        signals.mask.set(mask);
        signals.queue.wake();
        return Ok(fd);
    }
    let process = k.process_of(call.tid);
    let file = SignalFile {
        mask: Cell::new(mask),
        shown: process.pending_shown.clone(),
        queue: process.signal_queue.clone(),
        taken: RefCell::default(),
    };
    let place = anonymous::location(&k.io, Label::Anon("signalfd"), 0, 0, k.now_realtime());
    let file = OpenFile::new(Rc::new(file), place, open::RDWR | flags & open::NONBLOCK, &k.io.locks);
    Ok(k.install(call.tid, file, flags & open::CLOEXEC != 0)?.into())
}
