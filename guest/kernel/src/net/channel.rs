//! `Channel`: messages on their way in one direction, with what goes beside their bytes.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::address::Address;
use crate::vfs::open_file::OpenFile;

/// Bytes on their way in one direction (net.core.wmem_default).
pub const CAPACITY: usize = 212_992;

/// Bytes that a message counts beside its own, so that empty ones fill a channel too.
const OVERHEAD: usize = 64;

/// Who sent a message (struct ucred): pid, user, group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sender {
    pub pid: u32,
    pub uid: u32,
    pub gid: u32,
}

/// What goes beside a message's bytes.
#[derive(Clone, Default)]
pub struct Ancillary {
    /// Open files that are passed (SCM_RIGHTS).
    pub files: Vec<Rc<OpenFile>>,
    /// SCM_CREDENTIALS.
    pub sender: Sender,
}

/// What one send puts on its way.
struct Message {
    bytes: VecDeque<u8>,
    from: Address,
    ancillary: Ancillary,
}

/// What a receive gave.
#[derive(Default)]
pub struct Received {
    pub count: usize,
    pub ancillary: Ancillary,
    /// Who sent it, of a datagram.
    pub from: Option<Address>,
    /// The message was longer than the buffer, by so many bytes that are lost.
    pub lost: usize,
}

/// One direction of a connection, or what a datagram socket has received.
#[derive(Default)]
pub struct Channel {
    messages: RefCell<VecDeque<Message>>,
    used: Cell<usize>,
    /// Nothing will come any more.
    pub ended: Cell<bool>,
    /// Nobody will read any more.
    pub deaf: Cell<bool>,
    /// The sender gave the connection up; whoever reads next is told.
    pub reset: Cell<bool>,
}

impl Channel {
    pub fn is_empty(&self) -> bool {
        self.messages.borrow().is_empty()
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.messages.borrow().len()
    }

    /// Bytes that wait, of all messages.
    pub fn used(&self) -> usize {
        self.used.get()
    }

    /// Bytes of the first message.
    pub fn first_len(&self) -> usize {
        self.messages.borrow().front().map_or(0, |message| message.bytes.len())
    }

    pub fn free(&self) -> usize {
        CAPACITY.saturating_sub(self.used.get() + OVERHEAD * self.len().saturating_sub(1))
    }

    /// Puts a message of its own.
    pub fn put(&self, bytes: &[u8], from: Address, ancillary: Ancillary) {
        self.used.set(self.used.get() + bytes.len());
        self.messages.borrow_mut().push_back(Message { bytes: bytes.iter().copied().collect(), from, ancillary });
    }

    /// Puts bytes of a stream: behind the last ones, where nothing goes beside them.
    pub fn put_bytes(&self, bytes: &[u8], ancillary: Ancillary) {
        let mut messages = self.messages.borrow_mut();
        match messages.back_mut() {
            Some(last)
                if ancillary.files.is_empty()
                    && last.ancillary.files.is_empty()
                    && last.ancillary.sender == ancillary.sender =>
            {
                last.bytes.extend(bytes);
                self.used.set(self.used.get() + bytes.len());
            }
            _ => {
                drop(messages);
                self.put(bytes, Address::Unspecified, ancillary);
            }
        }
    }

    /// Bytes of the first message as far as they fit; `peek` leaves everything where it is.
    pub fn take_bytes(&self, buf: &mut [u8], peek: bool) -> Received {
        let mut messages = self.messages.borrow_mut();
        let Some(first) = messages.front_mut() else { return Received::default() };
        let count = copy(&first.bytes, buf);
        let ancillary = first.ancillary.clone();
        if !peek {
            first.ancillary.files.clear();
            first.bytes.drain(..count);
            self.used.set(self.used.get() - count);
            if first.bytes.is_empty() {
                messages.pop_front();
            }
        }
        Received { count, ancillary, from: None, lost: 0 }
    }

    /// One whole message; what does not fit is lost.
    pub fn take_one(&self, buf: &mut [u8], peek: bool) -> Received {
        let mut messages = self.messages.borrow_mut();
        let Some(first) = messages.front() else { return Received::default() };
        let count = copy(&first.bytes, buf);
        let (lost, len) = (first.bytes.len() - count, first.bytes.len());
        let (ancillary, from) = (first.ancillary.clone(), Some(first.from.clone()));
        if !peek {
            self.used.set(self.used.get() - len);
            messages.pop_front();
        }
        Received { count, ancillary, from, lost }
    }

    /// Drops what nobody will read. The messages may hold sockets, so they go when nothing is borrowed.
    pub fn clear(&self) {
        let unread = std::mem::take(&mut *self.messages.borrow_mut());
        self.used.set(0);
        drop(unread);
    }

    /// Tells of a reset, once.
    pub fn take_reset(&self) -> Result<(), Errno> {
        if self.reset.take() { Err(Errno::ECONNRESET) } else { Ok(()) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_join_what_datagrams_keep_apart() {
        let channel = Channel::default();
        channel.put_bytes(b"ab", Ancillary::default());
        channel.put_bytes(b"cd", Ancillary::default());
        let mut buf = [0; 8];
        assert_eq!(channel.take_bytes(&mut buf, true).count, 4);
        assert_eq!(channel.take_bytes(&mut buf[..3], false).count, 3);
        assert_eq!(channel.used(), 1);
        channel.clear();
        channel.put(b"abc", Address::Unspecified, Ancillary::default());
        channel.put(b"", Address::Unspecified, Ancillary::default());
        let first = channel.take_one(&mut buf[..2], false);
        assert_eq!((first.count, first.lost), (2, 1));
        assert_eq!((channel.take_one(&mut buf, false).count, channel.len()), (0, 0));
    }

    #[test]
    fn bytes_of_different_senders_are_told_apart() {
        let channel = Channel::default();
        let by = |pid| Ancillary { sender: Sender { pid, uid: 0, gid: 0 }, ..Ancillary::default() };
        channel.put_bytes(b"ab", by(1));
        channel.put_bytes(b"cd", by(2));
        let first = channel.take_bytes(&mut [0; 8], false);
        assert_eq!((first.count, first.ancillary.sender.pid), (2, 1));
    }
}
