//! Connections inside the sandbox: `End` is one end of one, `Listener` where they are accepted. AF_UNIX sockets and the
//! loopback's TCP are made of them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::address::Address;
use super::channel::{Ancillary, CAPACITY, Channel, Received, Sender};
use crate::vfs::poll;
use crate::wait::{Stop, Wait, WaitQueue};

/// Most connections that wait to be accepted (net.core.somaxconn).
const MAX_BACKLOG: usize = 4096;

/// How a connection treats its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// AF_UNIX, a stream of bytes.
    Bytes,
    /// AF_UNIX, messages kept apart (SOCK_SEQPACKET).
    Messages,
    /// TCP: as bytes; that the other end is closed shows at the second write.
    Tcp,
}

/// One end.
pub struct End {
    style: Style,
    incoming: Rc<Channel>,
    outgoing: Rc<Channel>,
    /// Who waits at this end, and at the other.
    queue: WaitQueue,
    other: WaitQueue,
    /// Who is at the other end (SO_PEERCRED).
    pub peer: Sender,
    /// This end reads no more (SHUT_RD).
    closed: Cell<bool>,
    /// A write went to an end that was closed.
    lost: Cell<bool>,
    /// Closing it is an error to the other end: nobody accepted it, or SO_LINGER says so.
    pub abort: Cell<bool>,
}

/// A connected pair. Each side is who it is and the queue of who waits there.
pub fn pair(style: Style, here: (Sender, &WaitQueue), there: (Sender, &WaitQueue)) -> (End, End) {
    let (one, two) = (Rc::new(Channel::default()), Rc::new(Channel::default()));
    let end = |incoming: &Rc<Channel>, outgoing: &Rc<Channel>, queue: &WaitQueue, other: (Sender, &WaitQueue)| End {
        style,
        incoming: incoming.clone(),
        outgoing: outgoing.clone(),
        queue: queue.clone(),
        other: other.1.clone(),
        peer: other.0,
        closed: Cell::new(false),
        lost: Cell::new(false),
        abort: Cell::new(false),
    };
    (end(&one, &two, here.1, there), end(&two, &one, there.1, here))
}

impl End {
    fn wait(&self, nonblock: bool) -> Stop {
        match nonblock {
            true => Errno::EAGAIN.into(),
            false => Stop::Block(Wait::on(&self.queue)),
        }
    }

    /// Sends; a stream takes what fits, messages go whole or not at all.
    pub fn send(&self, bytes: &[u8], ancillary: Ancillary, nonblock: bool) -> Result<usize, Stop> {
        let channel = &self.outgoing;
        if channel.ended.get() {
            return Err(Errno::EPIPE.into());
        }
        self.incoming.take_reset()?;
        if channel.deaf.get() {
            return self.send_to_nobody(bytes.len());
        }
        let stream = self.style != Style::Messages;
        if !stream && bytes.len() > CAPACITY {
            return Err(Errno::EMSGSIZE.into());
        }
        if stream && bytes.is_empty() {
            return Ok(0);
        }
        let free = channel.free();
        if free == 0 || !stream && bytes.len() > free {
            return Err(self.wait(nonblock));
        }
        let count = bytes.len().min(free);
        match stream {
            true => channel.put_bytes(&bytes[..count], ancillary),
            false => channel.put(bytes, Address::Unspecified, ancillary),
        }
        self.other.wake();
        Ok(count)
    }

    /// The other end is closed: TCP learns that from the answer to what it sends first.
    fn send_to_nobody(&self, len: usize) -> Result<usize, Stop> {
        if self.style == Style::Tcp && !self.lost.replace(true) {
            self.queue.wake();
            return Ok(len);
        }
        Err(Errno::EPIPE.into())
    }

    /// Receives into `buf`; 0 bytes when the other end is gone. `peek` leaves everything where it is.
    pub fn receive(&self, buf: &mut [u8], peek: bool, nonblock: bool) -> Result<Received, Stop> {
        let channel = &self.incoming;
        if channel.is_empty() {
            channel.take_reset()?;
            return if self.over() { Ok(Received::default()) } else { Err(self.wait(nonblock)) };
        }
        let received = match self.style {
            Style::Messages => Received { from: None, ..channel.take_one(buf, peek) },
            Style::Bytes | Style::Tcp => channel.take_bytes(buf, peek),
        };
        if !peek {
            self.other.wake();
        }
        Ok(received)
    }

    /// Whether nothing will come any more behind what is there.
    fn over(&self) -> bool {
        self.incoming.ended.get() || self.closed.get()
    }

    /// shutdown(2).
    pub fn shutdown(&self, reading: bool, writing: bool) {
        if reading {
            self.closed.set(true);
            // TCP goes on taking what comes.
            self.incoming.deaf.set(self.style != Style::Tcp);
        }
        if writing {
            self.outgoing.ended.set(true);
        }
        self.queue.wake();
        self.other.wake();
    }

    pub fn poll(&self) -> u32 {
        let (incoming, outgoing) = (&self.incoming, &self.outgoing);
        let over = self.over();
        let reset = incoming.reset.get();
        let mut ready = if over || reset || !incoming.is_empty() { poll::IN } else { 0 };
        if over || reset {
            ready |= poll::RDHUP;
        }
        if reset {
            ready |= poll::ERR;
        }
        let broken = match self.style {
            Style::Tcp => self.lost.get() || outgoing.ended.get(),
            Style::Bytes | Style::Messages => outgoing.deaf.get() || outgoing.ended.get(),
        };
        if reset || over && broken {
            ready |= poll::HUP;
        }
        if outgoing.deaf.get() || outgoing.ended.get() || outgoing.free() >= CAPACITY / 3 {
            ready |= poll::OUT;
        }
        ready
    }

    /// Bytes that wait here, of all messages.
    pub fn available(&self) -> usize {
        self.incoming.used()
    }

    /// Bytes that the other end has not read (SIOCOUTQ).
    pub fn unread(&self) -> usize {
        self.outgoing.used()
    }

    /// Whether the other end said that it sends no more (TCP: CLOSE_WAIT).
    pub fn ended(&self) -> bool {
        self.incoming.ended.get()
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let abort = self.abort.get() || !self.incoming.is_empty();
        self.incoming.deaf.set(true);
        self.incoming.clear();
        if abort {
            self.outgoing.reset.set(true);
        }
        self.outgoing.ended.set(true);
        self.other.wake();
    }
}

/// A connection that nobody has accepted yet: its end and that end's queue, and the addresses of both ends.
pub struct Pending {
    pub end: End,
    pub queue: WaitQueue,
    pub local: Address,
    pub peer: Address,
}

/// Where connections come in.
pub struct Listener {
    pending: RefCell<VecDeque<Pending>>,
    backlog: Cell<usize>,
    /// Who accepts.
    queue: WaitQueue,
    /// Who wants to connect and finds no room.
    room: WaitQueue,
    pub style: Style,
    /// Who listens: what SO_PEERCRED tells to who connects.
    pub owner: Sender,
}

impl Listener {
    pub fn new(style: Style, owner: Sender, backlog: usize, queue: &WaitQueue) -> Listener {
        let backlog = Cell::new(backlog.min(MAX_BACKLOG));
        Listener { pending: RefCell::default(), backlog, queue: queue.clone(), room: WaitQueue::new(), style, owner }
    }

    pub fn set_backlog(&self, backlog: usize) {
        self.backlog.set(backlog.min(MAX_BACKLOG));
        self.room.wake();
    }

    /// Connections that wait, and how many may.
    pub fn waiting(&self) -> (usize, usize) {
        (self.pending.borrow().len(), self.backlog.get())
    }

    /// Connects who is `from` and waits in `queue`; the addresses are those of the listener's end. Waits while the backlog
    /// is full.
    pub fn connect(
        &self,
        from: (Sender, &WaitQueue),
        (local, peer): (Address, Address),
        nonblock: bool,
    ) -> Result<End, Stop> {
        if self.pending.borrow().len() > self.backlog.get() {
            return Err(if nonblock { Errno::EAGAIN.into() } else { Stop::Block(Wait::on(&self.room)) });
        }
        let queue = WaitQueue::new();
        let (ours, theirs) = pair(self.style, from, (self.owner, &queue));
        theirs.abort.set(true);
        self.pending.borrow_mut().push_back(Pending { end: theirs, queue, local, peer });
        self.queue.wake();
        Ok(ours)
    }

    /// The next connection.
    pub fn accept(&self, nonblock: bool) -> Result<Pending, Stop> {
        match self.pending.borrow_mut().pop_front() {
            Some(pending) => {
                pending.end.abort.set(false);
                self.room.wake();
                Ok(pending)
            }
            None if nonblock => Err(Errno::EAGAIN.into()),
            None => Err(Stop::Block(Wait::on(&self.queue))),
        }
    }

    pub fn poll(&self) -> u32 {
        if self.pending.borrow().is_empty() { 0 } else { poll::IN }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.room.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected(style: Style) -> (End, End) {
        pair(style, (Sender::default(), &WaitQueue::new()), (Sender::default(), &WaitQueue::new()))
    }

    #[test]
    fn a_closed_end_is_the_end_of_file_and_a_broken_pipe() {
        let (a, b) = connected(Style::Bytes);
        a.send(b"x", Ancillary::default(), false).unwrap();
        drop(a);
        assert_eq!(b.poll() & (poll::IN | poll::HUP), poll::IN | poll::HUP);
        assert_eq!(b.receive(&mut [0; 4], false, true).unwrap().count, 1);
        assert_eq!(b.receive(&mut [0; 4], false, true).unwrap().count, 0);
        assert!(matches!(b.send(b"y", Ancillary::default(), false), Err(Stop::Errno(Errno::EPIPE))));
    }

    #[test]
    fn closing_with_unread_bytes_resets() {
        let (a, b) = connected(Style::Tcp);
        b.send(b"never read", Ancillary::default(), false).unwrap();
        drop(a);
        assert!(matches!(b.receive(&mut [0; 4], false, true), Err(Stop::Errno(Errno::ECONNRESET))));
        assert_eq!(b.receive(&mut [0; 4], false, true).unwrap().count, 0);
    }

    #[test]
    fn tcp_learns_of_a_closed_end_from_its_first_write() {
        let (a, b) = connected(Style::Tcp);
        drop(a);
        assert_eq!(b.send(b"y", Ancillary::default(), false).unwrap(), 1);
        assert!(matches!(b.send(b"y", Ancillary::default(), false), Err(Stop::Errno(Errno::EPIPE))));
    }

    #[test]
    fn a_backlog_is_finite_and_what_nobody_accepted_is_reset() {
        let listener = Listener::new(Style::Bytes, Sender::default(), 0, &WaitQueue::new());
        let queue = WaitQueue::new();
        let connect =
            || listener.connect((Sender::default(), &queue), (Address::Unspecified, Address::Unspecified), true);
        let first = connect().unwrap();
        assert!(matches!(connect(), Err(Stop::Errno(Errno::EAGAIN))));
        drop(listener);
        assert!(matches!(first.receive(&mut [0; 1], false, true), Err(Stop::Errno(Errno::ECONNRESET))));
    }
}
