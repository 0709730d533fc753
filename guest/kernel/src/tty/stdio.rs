//! The host's stdio where it is no terminal: files that pass bytes through.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_platform::Platform;

use crate::fs::pipe::take;
use crate::signal::SignalInfo;
use crate::signal::number::SIGPIPE;
use crate::vfs::{File, poll};
use crate::wait::{Stop, Wait, WaitQueue};

/// Bytes read ahead from the host.
const READ_AHEAD: usize = 65536;

/// The sandbox's standard input, shared by everyone who has it open.
pub struct HostInput {
    platform: &'static dyn Platform,
    buffer: RefCell<VecDeque<u8>>,
    ended: Cell<bool>,
    queue: WaitQueue,
}

impl HostInput {
    /// `queue` is woken by `tty::stdin_ready`.
    pub fn new(platform: &'static dyn Platform, queue: &WaitQueue) -> Rc<HostInput> {
        Rc::new(HostInput { platform, buffer: RefCell::default(), ended: Cell::new(false), queue: queue.clone() })
    }

    /// Gets what the host has, when nothing is left here.
    fn fill(&self) -> Result<(), Errno> {
        if !self.buffer.borrow().is_empty() || self.ended.get() {
            return Ok(());
        }
        let mut bytes = vec![0; READ_AHEAD];
        match self.platform.stdio_read(0, &mut bytes) {
            Ok(0) => self.ended.set(true),
            Ok(count) => self.buffer.borrow_mut().extend(&bytes[..count]),
            Err(Errno::EAGAIN) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    }
}

/// A descriptor of the host's stdio: 0 reads, 1 and 2 write.
pub struct StdioFile {
    pub fd: u32,
    pub input: Rc<HostInput>,
}

/// SIGPIPE for one who wrote to `file` what nobody will read. Where that is the host's pipe it ends the first process
/// too, as it ends programs outside: `shallop run … | head` has to come to its end.
pub fn broken_pipe(file: &dyn File) -> SignalInfo {
    SignalInfo { forced: file.as_any().is::<StdioFile>(), ..SignalInfo::kernel(SIGPIPE) }
}

impl File for StdioFile {
    fn read_at(&self, _offset: u64, buf: &mut [u8], nonblock: bool) -> Result<usize, Stop> {
        if self.fd != 0 {
            return Err(Errno::EBADF.into());
        }
        self.input.fill()?;
        let count = take(&mut self.input.buffer.borrow_mut(), buf);
        if count > 0 || self.input.ended.get() || buf.is_empty() {
            return Ok(count);
        }
        match nonblock {
            true => Err(Errno::EAGAIN.into()),
            false => Err(Stop::Block(Wait::on(&self.input.queue))),
        }
    }

    fn write_at(&self, _offset: u64, bytes: &[u8], _nonblock: bool) -> Result<usize, Stop> {
        if self.fd == 0 {
            return Err(Errno::EBADF.into());
        }
        Ok(self.input.platform.stdio_write(self.fd, bytes)?)
    }

    fn seekable(&self) -> bool {
        false
    }

    fn poll(&self) -> u32 {
        if self.fd != 0 {
            return poll::OUT;
        }
        match self.input.fill() {
            Err(_) => poll::IN | poll::ERR,
            Ok(()) if !self.input.buffer.borrow().is_empty() => poll::IN,
            Ok(()) if self.input.ended.get() => poll::IN | poll::HUP,
            Ok(()) => 0,
        }
    }

    fn wait_queue(&self) -> Option<WaitQueue> {
        (self.fd == 0).then(|| self.input.queue.clone())
    }

    fn available(&self) -> Option<usize> {
        (self.fd == 0).then(|| self.input.buffer.borrow().len())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
