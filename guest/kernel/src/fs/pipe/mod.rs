//! Pipes and FIFOs (pipe(7)): `Pipe` is the buffer, `PipeEnd` an open end of it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::open;

use crate::vfs::{File, poll};
use crate::wait::{Stop, Wait, WaitQueue};

/// Bytes a new pipe holds.
pub const CAPACITY: usize = 65536;
/// Largest capacity that F_SETPIPE_SZ gives (fs.pipe-max-size).
pub const MAX_CAPACITY: usize = 1 << 20;
/// Writes up to this size are not mixed with others (PIPE_BUF).
pub const ATOMIC: usize = 4096;

/// The buffer between writers and readers.
pub struct Pipe {
    buffer: RefCell<VecDeque<u8>>,
    capacity: Cell<usize>,
    readers: Cell<u32>,
    writers: Cell<u32>,
    /// How often each side was opened, for FIFO opens that wait for the other side.
    opened: Cell<(u64, u64)>,
    /// Who reads: woken by bytes, by the other side's comings and goings.
    queue: WaitQueue,
    /// Who writes: woken by room.
    room: WaitQueue,
}

impl Default for Pipe {
    fn default() -> Pipe {
        Pipe {
            buffer: RefCell::default(),
            capacity: Cell::new(CAPACITY),
            readers: Cell::new(0),
            writers: Cell::new(0),
            opened: Cell::new((0, 0)),
            queue: WaitQueue::new(),
            room: WaitQueue::new(),
        }
    }
}

impl Pipe {
    pub fn capacity(&self) -> usize {
        self.capacity.get()
    }

    /// F_SETPIPE_SZ: EBUSY when more is in it, EPERM above the maximum. Returns the size that was set.
    pub fn set_capacity(&self, bytes: usize) -> Result<usize, Errno> {
        if bytes > MAX_CAPACITY {
            return Err(Errno::EPERM);
        }
        let bytes = bytes.max(ATOMIC).next_power_of_two();
        if bytes < self.buffer.borrow().len() {
            return Err(Errno::EBUSY);
        }
        self.capacity.set(bytes);
        self.room.wake();
        Ok(bytes)
    }

    /// (readers, writers) opened so far.
    pub fn opened(&self) -> (u64, u64) {
        self.opened.get()
    }

    pub fn readers(&self) -> u32 {
        self.readers.get()
    }

    pub fn writers(&self) -> u32 {
        self.writers.get()
    }

    pub fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    /// Takes up to `buf.len()` bytes: 0 when there are no writers left, EAGAIN or blocking when it is empty.
    fn read(&self, buf: &mut [u8], nonblock: bool) -> Result<usize, Stop> {
        if buf.is_empty() {
            return Ok(0);
        }
        let mut buffer = self.buffer.borrow_mut();
        if buffer.is_empty() {
            return match (self.writers.get(), nonblock) {
                (0, _) => Ok(0),
                (_, true) => Err(Errno::EAGAIN.into()),
                (_, false) => Err(Stop::Block(Wait::on(&self.queue))),
            };
        }
        let count = take(&mut buffer, buf);
        self.room.wake();
        Ok(count)
    }

    /// Up to `max` of the bytes at its front, which stay there. As [`Pipe::read`] when there are none.
    pub fn peek(&self, max: usize, nonblock: bool) -> Result<Vec<u8>, Stop> {
        let buffer = self.buffer.borrow();
        if buffer.is_empty() {
            drop(buffer);
            self.read(&mut [0], nonblock)?;
            return Ok(Vec::new());
        }
        Ok(buffer.iter().take(max).copied().collect())
    }

    /// Puts in what fits. EPIPE without readers.
    fn write(&self, bytes: &[u8], nonblock: bool) -> Result<usize, Stop> {
        if self.readers.get() == 0 {
            return Err(Errno::EPIPE.into());
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        let mut buffer = self.buffer.borrow_mut();
        let free = self.capacity.get().saturating_sub(buffer.len());
        if free == 0 || (bytes.len() <= ATOMIC && free < bytes.len()) {
            return match nonblock {
                true => Err(Errno::EAGAIN.into()),
                false => Err(Stop::Block(Wait::on(&self.room))),
            };
        }
        let count = free.min(bytes.len());
        buffer.extend(&bytes[..count]);
        self.queue.wake();
        Ok(count)
    }
}

/// Moves bytes from the front of `from` into `buf`.
pub fn take(from: &mut VecDeque<u8>, buf: &mut [u8]) -> usize {
    let count = from.len().min(buf.len());
    let (front, back) = from.as_slices();
    let first = front.len().min(count);
    buf[..first].copy_from_slice(&front[..first]);
    buf[first..count].copy_from_slice(&back[..count - first]);
    from.drain(..count);
    count
}

/// An open end; a FIFO opened for both is one that reads and writes.
pub struct PipeEnd {
    pub pipe: Rc<Pipe>,
    reads: bool,
    writes: bool,
}

impl PipeEnd {
    /// An end for open(2)'s access mode in `flags`. It counts from now on.
    pub fn new(pipe: &Rc<Pipe>, flags: u32) -> PipeEnd {
        let mode = flags & open::ACCMODE;
        let (reads, writes) = (mode != open::WRONLY, mode != open::RDONLY);
        pipe.readers.set(pipe.readers.get() + u32::from(reads));
        pipe.writers.set(pipe.writers.get() + u32::from(writes));
        let (r, w) = pipe.opened.get();
        pipe.opened.set((r + u64::from(reads), w + u64::from(writes)));
        pipe.queue.wake();
        pipe.room.wake();
        PipeEnd { pipe: pipe.clone(), reads, writes }
    }

    /// Bytes that a write would take now, at least one: EPIPE without readers, EAGAIN or blocking when it is full.
    pub fn room(&self, nonblock: bool) -> Result<usize, Stop> {
        if self.pipe.readers.get() == 0 {
            return Err(Errno::EPIPE.into());
        }
        match (self.pipe.capacity.get().saturating_sub(self.pipe.buffer.borrow().len()), nonblock) {
            (0, true) => Err(Errno::EAGAIN.into()),
            (0, false) => Err(Stop::Block(Wait::on(&self.pipe.room))),
            (room, _) => Ok(room),
        }
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        let pipe = &self.pipe;
        pipe.readers.set(pipe.readers.get() - u32::from(self.reads));
        pipe.writers.set(pipe.writers.get() - u32::from(self.writes));
        if pipe.readers.get() + pipe.writers.get() == 0 {
            pipe.buffer.borrow_mut().clear();
        }
        pipe.queue.wake();
        pipe.room.wake();
    }
}

impl File for PipeEnd {
    fn read_at(&self, _offset: u64, buf: &mut [u8], nonblock: bool) -> Result<usize, Stop> {
        self.pipe.read(buf, nonblock)
    }

    fn write_at(&self, _offset: u64, bytes: &[u8], nonblock: bool) -> Result<usize, Stop> {
        self.pipe.write(bytes, nonblock)
    }

    fn seekable(&self) -> bool {
        false
    }

    fn poll(&self) -> u32 {
        let used = self.pipe.buffer.borrow().len();
        let mut ready = 0;
        if self.reads {
            ready |= if used > 0 { poll::IN } else { 0 };
            // A FIFO that never had a writer has not hung up.
            ready |= if self.pipe.writers.get() == 0 && self.pipe.opened.get().1 > 0 { poll::HUP } else { 0 };
        }
        if self.writes {
            ready |= if self.pipe.capacity.get() - used >= ATOMIC { poll::OUT } else { 0 };
            ready |= if self.pipe.readers.get() == 0 { poll::ERR } else { 0 };
        }
        ready
    }

    fn wait_queue(&self) -> Option<WaitQueue> {
        Some(if self.reads { self.pipe.queue.clone() } else { self.pipe.room.clone() })
    }

    fn wait_queues(&self) -> Vec<WaitQueue> {
        let sides = [(self.reads, &self.pipe.queue), (self.writes, &self.pipe.room)];
        sides.into_iter().filter(|(has, _)| *has).map(|(_, queue)| queue.clone()).collect()
    }

    fn available(&self) -> Option<usize> {
        Some(self.pipe.buffer.borrow().len())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (PipeEnd, PipeEnd) {
        let pipe = Rc::new(Pipe::default());
        (PipeEnd::new(&pipe, open::RDONLY), PipeEnd::new(&pipe, open::WRONLY))
    }

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let (reader, writer) = pair();
        assert_eq!(writer.write_at(0, b"hello", false).unwrap(), 5);
        let mut buf = [0; 3];
        assert_eq!(reader.read_at(0, &mut buf, false).unwrap(), 3);
        assert_eq!(&buf, b"hel");
        assert_eq!(reader.available(), Some(2));
    }

    #[test]
    fn an_empty_pipe_blocks_until_its_writers_are_gone() {
        let (reader, writer) = pair();
        assert!(matches!(reader.read_at(0, &mut [0; 1], false), Err(Stop::Block(_))));
        assert!(matches!(reader.read_at(0, &mut [0; 1], true), Err(Stop::Errno(Errno::EAGAIN))));
        drop(writer);
        assert_eq!(reader.read_at(0, &mut [0; 1], false).unwrap(), 0);
        assert_eq!(reader.poll(), poll::HUP);
    }

    #[test]
    fn writing_without_readers_is_a_broken_pipe() {
        let (reader, writer) = pair();
        drop(reader);
        assert!(matches!(writer.write_at(0, b"x", false), Err(Stop::Errno(Errno::EPIPE))));
        assert_ne!(writer.poll() & poll::ERR, 0);
    }

    #[test]
    fn small_writes_are_whole_or_wait() {
        let (_reader, writer) = pair();
        assert_eq!(writer.write_at(0, &vec![1; CAPACITY - 100], false).unwrap(), CAPACITY - 100);
        assert!(matches!(writer.write_at(0, &[2; 101], true), Err(Stop::Errno(Errno::EAGAIN))));
        assert_eq!(writer.write_at(0, &vec![3; 5000], true).unwrap(), 100);
    }
}
