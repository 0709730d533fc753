//! `Queue`: messages by priority, who waits for one or for room, and who is to be told of the first (mq_overview(7)).

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};

use crate::net::address::Address;
use crate::net::channel::Ancillary;
use crate::net::mailbox::Mailbox;
use crate::task::{Pid, ProcessWatch};
use crate::wait::WaitQueue;

/// Bytes that SIGEV_THREAD sends to a netlink socket; the last one says why.
pub const COOKIE_BYTES: usize = 32;
const WOKEN: u8 = 1;
const REMOVED: u8 = 2;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub priority: u32,
    pub bytes: Vec<u8>,
}

/// How many messages, and of how many bytes, a queue is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub messages: u64,
    pub bytes: u64,
}

/// How a process is told that a message came to an empty queue (mq_notify(3)).
pub enum How {
    Nothing,
    Signal {
        signal: u32,
        value: u64,
    },
    /// By a message to a netlink socket, on which the C library has a thread wait.
    Socket {
        cookie: [u8; COOKIE_BYTES],
        mailbox: Weak<Mailbox>,
    },
}

/// A process that asked to be told.
pub struct Listener {
    pub pid: Pid,
    /// Of the process: its number may be another's by now.
    pub watch: Rc<ProcessWatch>,
    pub how: How,
}

impl Listener {
    fn send(&self, why: u8) {
        let How::Socket { cookie, mailbox } = &self.how else { return };
        let mut bytes = *cookie;
        bytes[COOKIE_BYTES - 1] = why;
        if let Some(mailbox) = mailbox.upgrade().filter(|mailbox| mailbox.has_room(bytes.len())) {
            mailbox.put(&bytes, Address::Netlink { port: 0, groups: 0 }, Ancillary::default());
        }
    }
}

/// A call that waits: a receiver until it has a message, a sender until its own was taken.
pub struct Waiter {
    message: RefCell<Option<Message>>,
    done: Cell<bool>,
    pub queue: WaitQueue,
}

type Waiters = RefCell<VecDeque<Rc<Waiter>>>;

/// Held by a call that waits; dropping it takes the call out.
pub struct Waiting {
    queue: Rc<Queue>,
    pub waiter: Rc<Waiter>,
}

impl Waiting {
    pub fn is_done(&self) -> bool {
        self.waiter.done.get()
    }

    /// What a receiver was given.
    pub fn take(&self) -> Option<Message> {
        self.waiter.message.take()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        for waiters in [&self.queue.receivers, &self.queue.senders] {
            waiters.borrow_mut().retain(|waiter| !Rc::ptr_eq(waiter, &self.waiter));
        }
    }
}

/// A queue.
pub struct Queue {
    pub size: Size,
    /// The highest priority first; within one as they came.
    messages: RefCell<BTreeMap<Reverse<u32>, VecDeque<Vec<u8>>>>,
    count: Cell<u64>,
    bytes: Cell<u64>,
    receivers: Waiters,
    senders: Waiters,
    listener: RefCell<Option<Listener>>,
    /// Woken by every change.
    pub changed: WaitQueue,
}

impl Queue {
    pub fn new(size: Size) -> Rc<Queue> {
        Rc::new(Queue {
            size,
            messages: RefCell::default(),
            count: Cell::new(0),
            bytes: Cell::new(0),
            receivers: RefCell::default(),
            senders: RefCell::default(),
            listener: RefCell::default(),
            changed: WaitQueue::new(),
        })
    }

    pub fn count(&self) -> u64 {
        self.count.get()
    }

    /// Bytes of all messages.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    pub fn is_full(&self) -> bool {
        self.count() >= self.size.messages
    }

    /// Gives a message to who has waited longest for one, else keeps it. Gives who is to be told of it, once.
    pub fn send(&self, message: Message) -> Option<Listener> {
        let receiver = self.receivers.borrow_mut().pop_front();
        let told = match receiver {
            Some(receiver) => {
                self.finish(&receiver, Some(message));
                None
            }
            None => {
                self.put(message);
                (self.count() == 1).then(|| self.take_listener()).flatten()
            }
        };
        self.changed.wake();
        told
    }

    /// The first message; the room is for who has waited longest to send one.
    pub fn receive(&self) -> Option<Message> {
        let message = self.take()?;
        let sender = self.senders.borrow_mut().pop_front();
        if let Some(sender) = sender {
            if let Some(message) = sender.message.take() {
                self.put(message);
            }
            self.finish(&sender, None);
        }
        self.changed.wake();
        Some(message)
    }

    /// Waits behind all others: for a message, or for room for one.
    pub fn wait(self: &Rc<Queue>, message: Option<Message>) -> Waiting {
        let waiters = if message.is_some() { &self.senders } else { &self.receivers };
        let waiter =
            Rc::new(Waiter { message: RefCell::new(message), done: Cell::new(false), queue: WaitQueue::new() });
        waiters.borrow_mut().push_back(waiter.clone());
        Waiting { queue: self.clone(), waiter }
    }

    fn finish(&self, waiter: &Waiter, message: Option<Message>) {
        *waiter.message.borrow_mut() = message;
        waiter.done.set(true);
        waiter.queue.wake();
    }

    fn put(&self, message: Message) {
        self.count.set(self.count.get() + 1);
        self.bytes.set(self.bytes.get() + message.bytes.len() as u64);
        self.messages.borrow_mut().entry(Reverse(message.priority)).or_default().push_back(message.bytes);
    }

    fn take(&self) -> Option<Message> {
        let mut messages = self.messages.borrow_mut();
        let mut first = messages.first_entry()?;
        let (priority, bytes) = (first.key().0, first.get_mut().pop_front()?);
        if first.get().is_empty() {
            first.remove();
        }
        self.count.set(self.count.get() - 1);
        self.bytes.set(self.bytes.get() - bytes.len() as u64);
        Some(Message { priority, bytes })
    }

    /// Has a process told of the next first message; `false` when another one is to be.
    pub fn listen(&self, listener: Listener) -> bool {
        let free = self.with_listener(|there| there.is_none());
        if free {
            *self.listener.borrow_mut() = Some(listener);
        }
        free
    }

    /// Tells a process nothing any more.
    pub fn forget(&self, pid: Pid) {
        if self.with_listener(|there| there.is_some_and(|listener| listener.pid == pid))
            && let Some(listener) = self.listener.take()
        {
            listener.send(REMOVED);
        }
    }

    /// Looks at who is to be told, if that one still lives.
    pub fn with_listener<T>(&self, look: impl FnOnce(Option<&Listener>) -> T) -> T {
        let mut listener = self.listener.borrow_mut();
        *listener = listener.take().filter(|listener| !listener.watch.ended());
        look(listener.as_ref())
    }

    fn take_listener(&self) -> Option<Listener> {
        self.with_listener(|_| ());
        let listener = self.listener.take()?;
        listener.send(WOKEN);
        Some(listener)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(priority: u32, text: &str) -> Message {
        Message { priority, bytes: text.into() }
    }

    fn listener(pid: u32) -> Listener {
        Listener { pid: Pid(pid), watch: Rc::default(), how: How::Nothing }
    }

    #[test]
    fn the_highest_priority_comes_first_and_then_the_oldest() {
        let queue = Queue::new(Size { messages: 4, bytes: 8 });
        for (priority, text) in [(1, "a"), (9, "b"), (1, "c"), (9, "d")] {
            assert!(queue.send(message(priority, text)).is_none());
        }
        assert!(queue.is_full() && queue.bytes() == 4);
        let order: Vec<_> = std::iter::from_fn(|| queue.receive()).map(|m| m.bytes).collect();
        assert_eq!(order, [b"b", b"d", b"a", b"c"]);
        assert_eq!((queue.count(), queue.bytes()), (0, 0));
    }

    #[test]
    fn waiting_calls_are_served_in_turn_and_leave_when_dropped() {
        let queue = Queue::new(Size { messages: 1, bytes: 8 });
        let (first, second) = (queue.wait(None), queue.wait(None));
        drop(first);
        queue.send(message(0, "one"));
        assert!(second.is_done() && queue.count() == 0);
        assert_eq!(second.take(), Some(message(0, "one")));
        queue.send(message(0, "two"));
        let (third, fourth) = (queue.wait(Some(message(0, "three"))), queue.wait(Some(message(5, "four"))));
        drop(fourth);
        assert_eq!(queue.receive(), Some(message(0, "two")));
        assert!(third.is_done() && queue.is_full());
        assert_eq!(queue.receive(), Some(message(0, "three")));
        assert_eq!(queue.receive(), None);
    }

    #[test]
    fn one_process_is_told_of_the_first_message_once() {
        let queue = Queue::new(Size { messages: 4, bytes: 8 });
        assert!(queue.listen(listener(1)) && !queue.listen(listener(2)));
        queue.forget(Pid(2));
        let told = queue.send(message(0, "a"));
        assert_eq!(told.map(|listener| listener.pid), Some(Pid(1)));
        assert!(queue.listen(listener(2)) && queue.send(message(0, "b")).is_none());
        queue.forget(Pid(2));
        assert!(queue.listen(listener(3)));
        queue.with_listener(|there| there.inspect(|listener| listener.watch.end()).is_some());
        assert!(queue.listen(listener(4)), "one that has ended does not count");
    }
}
