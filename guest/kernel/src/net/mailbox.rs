//! `Mailbox`: what a datagram socket inside the sandbox has received and not read.

use std::cell::RefCell;
use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::address::Address;
use super::channel::{Ancillary, Channel, Received};
use crate::wait::{Stop, Wait, WaitQueue};

pub struct Mailbox {
    channel: Channel,
    /// Who reads.
    queue: WaitQueue,
    /// Who finds it full and waits.
    pub room: WaitQueue,
    /// Where a datagram has to come from, of a connected socket.
    pub only_from: RefCell<Option<Address>>,
}

impl Mailbox {
    /// `queue` is the owning socket's.
    pub fn new(queue: &WaitQueue) -> Rc<Mailbox> {
        let queue = queue.clone();
        Rc::new(Mailbox { channel: Channel::default(), queue, room: WaitQueue::new(), only_from: RefCell::default() })
    }

    pub fn len(&self) -> usize {
        self.channel.len()
    }

    /// Whether so many bytes find room.
    pub fn has_room(&self, len: usize) -> bool {
        self.channel.is_empty() || self.channel.free() >= len
    }

    /// Whether its owner does not read any more.
    pub fn is_closed(&self) -> bool {
        self.channel.deaf.get()
    }

    pub fn put(&self, bytes: &[u8], from: Address, ancillary: Ancillary) {
        self.channel.put(bytes, from, ancillary);
        self.queue.wake();
    }

    /// The first datagram; what does not fit is lost.
    pub fn receive(&self, buf: &mut [u8], peek: bool, nonblock: bool) -> Result<Received, Stop> {
        if self.channel.is_empty() {
            return match (self.channel.ended.get(), nonblock) {
                (true, _) => Ok(Received::default()),
                (false, true) => Err(Errno::EAGAIN.into()),
                (false, false) => Err(Stop::Block(Wait::on(&self.queue))),
            };
        }
        let received = self.channel.take_one(buf, peek);
        if !peek {
            self.room.wake();
        }
        Ok(received)
    }

    /// shutdown(2) of the reading side.
    pub fn end(&self) {
        self.channel.ended.set(true);
        self.queue.wake();
        self.room.wake();
    }

    pub fn has_ended(&self) -> bool {
        self.channel.ended.get()
    }

    /// Bytes of the first datagram.
    pub fn available(&self) -> usize {
        self.channel.first_len()
    }

    /// The owner is gone.
    pub fn close(&self) {
        self.channel.deaf.set(true);
        self.channel.clear();
        self.room.wake();
    }
}
