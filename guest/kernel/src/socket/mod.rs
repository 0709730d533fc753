//! Socket pairs (unix(7)): `SocketEnd` is one end, `Channel` the messages on their way to it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use shallop_linux_abi::Errno;

use crate::vfs::open_file::OpenFile;
use crate::vfs::{File, poll};
use crate::wait::{Stop, Wait, WaitQueue};

/// Bytes on their way in one direction (net.core.wmem_default).
pub const CAPACITY: usize = 212_992;
/// Most descriptors in one message (SCM_MAX_FD).
pub const MAX_FILES: usize = 253;

/// Socket types of socket(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Stream = 1,
    Datagram = 2,
    SeqPacket = 5,
}

/// What one send puts on its way.
struct Message {
    bytes: VecDeque<u8>,
    files: Vec<Rc<OpenFile>>,
}

/// One direction of a pair.
#[derive(Default)]
struct Channel {
    messages: RefCell<VecDeque<Message>>,
    used: Cell<usize>,
    /// Nothing will come any more.
    ended: Cell<bool>,
    /// Nobody will read any more.
    deaf: Cell<bool>,
}

/// One end of a socketpair(2).
pub struct SocketEnd {
    pub kind: Kind,
    incoming: Rc<Channel>,
    outgoing: Rc<Channel>,
    /// Who waits at this end, and at the other.
    queue: WaitQueue,
    other: WaitQueue,
    /// pid, uid and gid of who made the pair (SO_PEERCRED).
    pub peer: (u32, u32, u32),
}

/// What a receive gave.
#[derive(Default)]
pub struct Received {
    pub count: usize,
    pub files: Vec<Rc<OpenFile>>,
    /// The message was longer than the buffer, by so many bytes that are lost.
    pub lost: usize,
}

/// A connected pair.
pub fn pair(kind: Kind, peer: (u32, u32, u32)) -> (Rc<SocketEnd>, Rc<SocketEnd>) {
    let (there, back) = (Rc::new(Channel::default()), Rc::new(Channel::default()));
    let (here, other) = (WaitQueue::new(), WaitQueue::new());
    let end = |incoming: &Rc<Channel>, outgoing: &Rc<Channel>, queue: &WaitQueue, other: &WaitQueue| {
        let (incoming, outgoing) = (incoming.clone(), outgoing.clone());
        Rc::new(SocketEnd { kind, incoming, outgoing, queue: queue.clone(), other: other.clone(), peer })
    };
    (end(&there, &back, &here, &other), end(&back, &there, &other, &here))
}

impl SocketEnd {
    fn wait(&self, nonblock: bool) -> Stop {
        match nonblock {
            true => Errno::EAGAIN.into(),
            false => Stop::Block(Wait::on(&self.queue)),
        }
    }

    /// Sends; a stream takes what fits, other kinds all or nothing.
    pub fn send(&self, bytes: &[u8], files: Vec<Rc<OpenFile>>, nonblock: bool) -> Result<usize, Stop> {
        let channel = &self.outgoing;
        if channel.deaf.get() || channel.ended.get() {
            let gone = if self.kind == Kind::Datagram { Errno::ECONNREFUSED } else { Errno::EPIPE };
            return Err(if channel.ended.get() { Errno::EPIPE } else { gone }.into());
        }
        let stream = self.kind == Kind::Stream;
        if !stream && bytes.len() > CAPACITY {
            return Err(Errno::EMSGSIZE.into());
        }
        if stream && bytes.is_empty() {
            return Ok(0);
        }
        let free = CAPACITY.saturating_sub(channel.used.get());
        if free == 0 || !stream && bytes.len() > free {
            return Err(self.wait(nonblock));
        }
        let count = bytes.len().min(free);
        channel.put(&bytes[..count], files, stream);
        self.other.wake();
        Ok(count)
    }

    /// Receives into `buf`; 0 bytes when the other end is gone. `peek` leaves everything where it is.
    pub fn receive(&self, buf: &mut [u8], peek: bool, nonblock: bool) -> Result<Received, Stop> {
        let channel = &self.incoming;
        if channel.messages.borrow().is_empty() {
            let over = channel.ended.get() || channel.deaf.get();
            return if over { Ok(Received::default()) } else { Err(self.wait(nonblock)) };
        }
        let received =
            if self.kind == Kind::Stream { channel.take_bytes(buf, peek) } else { channel.take_one(buf, peek) };
        if !peek {
            self.other.wake();
        }
        Ok(received)
    }

    /// shutdown(2).
    pub fn shutdown(&self, reading: bool, writing: bool) {
        if reading {
            self.incoming.deaf.set(true);
        }
        if writing {
            self.outgoing.ended.set(true);
        }
        self.queue.wake();
        self.other.wake();
    }
}

impl Channel {
    fn put(&self, bytes: &[u8], files: Vec<Rc<OpenFile>>, stream: bool) {
        self.used.set(self.used.get() + bytes.len());
        let mut messages = self.messages.borrow_mut();
        match messages.back_mut() {
            Some(last) if stream && files.is_empty() && last.files.is_empty() => last.bytes.extend(bytes),
            _ => messages.push_back(Message { bytes: bytes.iter().copied().collect(), files }),
        }
    }

    /// Bytes of as many messages as fit, but not past one that carries descriptors.
    fn take_bytes(&self, buf: &mut [u8], peek: bool) -> Received {
        let mut messages = self.messages.borrow_mut();
        let Some(first) = messages.front_mut() else { return Received::default() };
        let count = copy(&first.bytes, buf);
        let files = if peek { first.files.clone() } else { std::mem::take(&mut first.files) };
        if !peek {
            first.bytes.drain(..count);
            self.used.set(self.used.get() - count);
            if first.bytes.is_empty() {
                messages.pop_front();
            }
        }
        Received { count, files, lost: 0 }
    }

    /// One whole message; what does not fit is lost.
    fn take_one(&self, buf: &mut [u8], peek: bool) -> Received {
        let mut messages = self.messages.borrow_mut();
        let Some(first) = messages.front_mut() else { return Received::default() };
        let count = copy(&first.bytes, buf);
        let lost = first.bytes.len() - count;
        let files = if peek { first.files.clone() } else { std::mem::take(&mut first.files) };
        if !peek {
            self.used.set(self.used.get() - first.bytes.len());
            messages.pop_front();
        }
        Received { count, files, lost }
    }
}

/// Copies from the front; returns how many bytes.
fn copy(from: &VecDeque<u8>, buf: &mut [u8]) -> usize {
    let count = from.len().min(buf.len());
    let (front, back) = from.as_slices();
    let first = front.len().min(count);
    buf[..first].copy_from_slice(&front[..first]);
    buf[first..count].copy_from_slice(&back[..count - first]);
    count
}

impl Drop for SocketEnd {
    fn drop(&mut self) {
        self.incoming.deaf.set(true);
        let unread = std::mem::take(&mut *self.incoming.messages.borrow_mut());
        drop(unread);
        self.outgoing.ended.set(true);
        self.other.wake();
    }
}

impl File for SocketEnd {
    fn read_at(&self, _offset: u64, buf: &mut [u8], nonblock: bool) -> Result<usize, Stop> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.receive(buf, false, nonblock).map(|received| received.count)
    }

    fn write_at(&self, _offset: u64, bytes: &[u8], nonblock: bool) -> Result<usize, Stop> {
        self.send(bytes, Vec::new(), nonblock)
    }

    fn seekable(&self) -> bool {
        false
    }

    fn poll(&self) -> u32 {
        let (incoming, outgoing) = (&self.incoming, &self.outgoing);
        let over = incoming.ended.get() || incoming.deaf.get();
        let mut ready = if over || !incoming.messages.borrow().is_empty() { poll::IN } else { 0 };
        if over {
            ready |= poll::RDHUP;
        }
        if incoming.ended.get() && outgoing.deaf.get() {
            ready |= poll::HUP;
        }
        if outgoing.deaf.get() || outgoing.used.get() < CAPACITY {
            ready |= poll::OUT;
        }
        ready
    }

    fn wait_queue(&self) -> Option<WaitQueue> {
        Some(self.queue.clone())
    }

    fn available(&self) -> Option<usize> {
        let messages = self.incoming.messages.borrow();
        Some(match self.kind {
            Kind::Stream => self.incoming.used.get(),
            _ => messages.front().map_or(0, |message| message.bytes.len()),
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_join_what_datagrams_keep_apart() {
        let (a, b) = pair(Kind::Stream, (1, 0, 0));
        a.send(b"ab", vec![], false).unwrap();
        a.send(b"cd", vec![], false).unwrap();
        let mut buf = [0; 8];
        assert_eq!(b.receive(&mut buf, true, true).unwrap().count, 4);
        assert_eq!(b.receive(&mut buf[..3], false, true).unwrap().count, 3);
        assert_eq!(b.available(), Some(1));
        let (a, b) = pair(Kind::Datagram, (1, 0, 0));
        a.send(b"abc", vec![], false).unwrap();
        a.send(b"", vec![], false).unwrap();
        let first = b.receive(&mut buf[..2], false, true).unwrap();
        assert_eq!((first.count, first.lost), (2, 1));
        assert_eq!(b.receive(&mut buf, false, true).unwrap().count, 0);
        assert!(matches!(b.receive(&mut buf, false, true), Err(Stop::Errno(Errno::EAGAIN))));
    }

    #[test]
    fn a_closed_end_is_the_end_of_file_and_a_broken_pipe() {
        let (a, b) = pair(Kind::Stream, (1, 0, 0));
        a.send(b"x", vec![], false).unwrap();
        drop(a);
        assert_eq!(b.poll() & (poll::IN | poll::HUP), poll::IN | poll::HUP);
        assert_eq!(b.receive(&mut [0; 4], false, true).unwrap().count, 1);
        assert_eq!(b.receive(&mut [0; 4], false, true).unwrap().count, 0);
        assert!(matches!(b.send(b"y", vec![], false), Err(Stop::Errno(Errno::EPIPE))));
    }
}
