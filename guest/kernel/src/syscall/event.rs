//! eventfd2: `EventFile` is a counter that can be waited for.

use std::any::Any;
use std::cell::Cell;
use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::open;

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::vfs::anonymous::{self, Label};
use crate::vfs::open_file::OpenFile;
use crate::vfs::{File, poll};
use crate::wait::{Stop, SysResult, Wait, WaitQueue};

const SEMAPHORE: u32 = 1;

/// An eventfd (eventfd(2)).
pub struct EventFile {
    count: Cell<u64>,
    semaphore: bool,
    queue: WaitQueue,
}

impl EventFile {
    fn wait(&self, nonblock: bool) -> Stop {
        match nonblock {
            true => Errno::EAGAIN.into(),
            false => Stop::Block(Wait::on(&self.queue)),
        }
    }
}

impl File for EventFile {
    fn read_at(&self, _offset: u64, buf: &mut [u8], nonblock: bool) -> Result<usize, Stop> {
        let Some(out) = buf.get_mut(..8) else { return Err(Errno::EINVAL.into()) };
        let count = self.count.get();
        if count == 0 {
            return Err(self.wait(nonblock));
        }
        let taken = if self.semaphore { 1 } else { count };
        self.count.set(count - taken);
        out.copy_from_slice(&taken.to_le_bytes());
        self.queue.wake();
        Ok(8)
    }

    fn write_at(&self, _offset: u64, bytes: &[u8], nonblock: bool) -> Result<usize, Stop> {
        let value = bytes.get(..8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
        let Some(value) = value.filter(|v| *v != u64::MAX) else { return Err(Errno::EINVAL.into()) };
        match self.count.get().checked_add(value) {
            Some(sum) if sum != u64::MAX => self.count.set(sum),
            _ => return Err(self.wait(nonblock)),
        }
        self.queue.wake();
        Ok(bytes.len())
    }

    fn seekable(&self) -> bool {
        false
    }

    fn poll(&self) -> u32 {
        let readable = if self.count.get() > 0 { poll::IN } else { 0 };
        readable | if self.count.get() < u64::MAX - 1 { poll::OUT } else { 0 }
    }

    fn wait_queue(&self) -> Option<WaitQueue> {
        Some(self.queue.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `eventfd2(initial, flags)`
pub fn eventfd2(k: &mut Kernel, call: &Call) -> SysResult {
    let (initial, flags) = (call.args[0] as u32, call.args[1] as u32);
    if flags & !(SEMAPHORE | open::CLOEXEC | open::NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let file =
        EventFile { count: Cell::new(initial.into()), semaphore: flags & SEMAPHORE != 0, queue: WaitQueue::new() };
    let place = anonymous::location(&k.io, Label::Anon("eventfd"), 0, 0, k.now_realtime());
    let file = OpenFile::new(Rc::new(file), place, open::RDWR | flags & open::NONBLOCK, &k.io.locks);
    Ok(k.install(call.tid, file, flags & open::CLOEXEC != 0)?.into())
}
