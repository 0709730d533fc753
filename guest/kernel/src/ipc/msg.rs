//! Message queues (msgget(2)): `Queue` keeps messages in order and finds them by type.

use std::collections::VecDeque;

use crate::wait::WaitQueue;

/// Most queues, bytes of a message, and bytes of a queue at first (MSGMNI, MSGMAX, MSGMNB).
pub const QUEUES_MAX: usize = 32000;
pub const MESSAGE_MAX: u64 = 8192;
pub const QUEUE_BYTES: u64 = 16384;

/// A message: its type, and its bytes.
pub type Message = (i64, Vec<u8>);

/// A queue.
#[derive(Default)]
pub struct Queue {
    messages: VecDeque<Message>,
    bytes: u64,
    /// Bytes that it may hold.
    pub limit: u64,
    /// Seconds since the epoch; 0 for never.
    pub sent: i64,
    pub received: i64,
    pub changed: i64,
    pub sender: u32,
    pub receiver: u32,
    /// Woken by every change, and by the queue's end.
    pub queue: WaitQueue,
}

/// Which messages a receiver takes (msgop(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Any,
    Type(i64),
    Not(i64),
    /// The lowest type up to this.
    UpTo(i64),
}

impl Queue {
    pub fn new(now: i64) -> Queue {
        Queue { limit: QUEUE_BYTES, changed: now, ..Queue::default() }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn count(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Whether one more message of this size has room.
    pub fn has_room(&self, size: u64) -> bool {
        self.bytes + size <= self.limit && self.count() < self.limit
    }

    pub fn push(&mut self, message: Message) {
        self.bytes += message.1.len() as u64;
        self.messages.push_back(message);
        self.queue.wake();
    }

    /// The place and size of the first message that fits.
    pub fn find(&self, which: Which) -> Option<(usize, u64)> {
        let at = match which {
            Which::Any => 0,
            Which::Type(kind) => self.messages.iter().position(|(k, _)| *k == kind)?,
            Which::Not(kind) => self.messages.iter().position(|(k, _)| *k != kind)?,
            Which::UpTo(most) => {
                let lowest = self.messages.iter().map(|(k, _)| *k).filter(|k| *k <= most).min()?;
                self.messages.iter().position(|(k, _)| *k == lowest)?
            }
        };
        self.messages.get(at).map(|(_, text)| (at, text.len() as u64))
    }

    pub fn take(&mut self, at: usize) -> Option<Message> {
        let message = self.messages.remove(at)?;
        self.bytes -= message.1.len() as u64;
        self.queue.wake();
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_by_type() {
        let mut queue = Queue::new(0);
        for kind in [3, 1, 2] {
            queue.push((kind, vec![0; kind as usize]));
        }
        assert_eq!(queue.find(Which::Any), Some((0, 3)));
        assert_eq!(queue.find(Which::Type(2)), Some((2, 2)));
        assert_eq!(queue.find(Which::Not(3)), Some((1, 1)));
        assert_eq!(queue.find(Which::UpTo(2)), Some((1, 1)));
        assert_eq!(queue.find(Which::Type(9)), None);
        assert_eq!(queue.take(0).map(|m| m.0), Some(3));
        assert_eq!((queue.bytes(), queue.count()), (3, 2));
    }
}
