//! AF_UNIX datagrams: `Datagram`.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use shallop_linux_abi::Errno;

use super::{Bound, Target};
use crate::net::address::{Address, UnixName};
use crate::net::channel::{CAPACITY, Received, Sender};
use crate::net::mailbox::Mailbox;
use crate::net::{Common, Outgoing, Protocol, Socket, State};
use crate::vfs::poll;
use crate::wait::{Stop, Wait, WaitQueue};

/// Datagrams that may wait in one socket, before who sends has to wait (net.unix.max_dgram_qlen).
const MAX_WAITING: usize = 10;

/// Who datagrams go to.
struct Peer {
    mailbox: Weak<Mailbox>,
    name: UnixName,
    /// The other end of a socketpair(2), with who made it.
    credentials: Option<Sender>,
}

pub struct Datagram {
    common: Rc<Common>,
    mailbox: Rc<Mailbox>,
    bound: RefCell<Option<Rc<Bound>>>,
    peer: RefCell<Option<Peer>>,
    /// SHUT_WR.
    silent: Cell<bool>,
}

pub fn new(common: Rc<Common>) -> Rc<Socket> {
    let datagram = datagram(&common);
    Socket::new(common, Box::new(datagram))
}

/// Two sockets connected with each other (socketpair(2)).
pub fn pair(one: Rc<Common>, two: Rc<Common>) -> (Rc<Socket>, Rc<Socket>) {
    let (first, second) = (datagram(&one), datagram(&two));
    let peer = |of: &Datagram| {
        let (mailbox, credentials) = (Rc::downgrade(&of.mailbox), Some(of.common.owner));
        Some(Peer { mailbox, name: UnixName::default(), credentials })
    };
    *first.peer.borrow_mut() = peer(&second);
    *second.peer.borrow_mut() = peer(&first);
    (Socket::new(one, Box::new(first)), Socket::new(two, Box::new(second)))
}

fn datagram(common: &Rc<Common>) -> Datagram {
    Datagram {
        common: common.clone(),
        mailbox: Mailbox::new(&common.queue),
        bound: RefCell::default(),
        peer: RefCell::default(),
        silent: Cell::new(false),
    }
}

impl Datagram {
    /// The mailbox a datagram goes to.
    fn target(&self, to: Option<&Address>) -> Result<Rc<Mailbox>, Errno> {
        if let Some(to) = to {
            return mailbox(&*self.common.net.names.find(to, self.common.kind)?);
        }
        let mut peer = self.peer.borrow_mut();
        let found = peer.as_ref().ok_or(Errno::ENOTCONN)?.mailbox.upgrade().filter(|mailbox| !mailbox.is_closed());
        if found.is_none() {
            *peer = None;
            return Err(Errno::ECONNREFUSED);
        }
        found.ok_or(Errno::ECONNREFUSED)
    }

    /// The peer's mailbox, when it is full.
    fn full_peer(&self) -> Option<Rc<Mailbox>> {
        let mailbox = self.peer.borrow().as_ref()?.mailbox.upgrade()?;
        (mailbox.len() > MAX_WAITING && !mailbox.is_closed()).then_some(mailbox)
    }
}

fn mailbox(bound: &Bound) -> Result<Rc<Mailbox>, Errno> {
    match &bound.target {
        Target::Mailbox(mailbox) => mailbox.upgrade().ok_or(Errno::ECONNREFUSED),
        Target::Listener(_) => Err(Errno::EPROTOTYPE),
    }
}

impl Drop for Datagram {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

impl Protocol for Datagram {
    fn bind(&self, at: &Address) -> Result<(), Errno> {
        let Address::Unix(name) = at else { return Err(Errno::EINVAL) };
        if self.bound.borrow().is_some() {
            return Err(Errno::EINVAL);
        }
        let target = Target::Mailbox(Rc::downgrade(&self.mailbox));
        *self.bound.borrow_mut() = Some(self.common.net.names.bind(name, self.common.kind, target)?);
        Ok(())
    }

    fn connect(&self, to: &Address, _nonblock: bool) -> Result<(), Stop> {
        if *to == Address::Unspecified {
            *self.peer.borrow_mut() = None;
            *self.mailbox.only_from.borrow_mut() = None;
            return Ok(());
        }
        let bound = self.common.net.names.find(to, self.common.kind)?;
        let other = mailbox(&bound)?;
        if other.only_from.borrow().as_ref().is_some_and(|from| *from != self.local()) {
            return Err(Errno::EPERM.into());
        }
        *self.mailbox.only_from.borrow_mut() = Some(Address::Unix(bound.name.clone()));
        let peer = Peer { mailbox: Rc::downgrade(&other), name: bound.name.clone(), credentials: None };
        *self.peer.borrow_mut() = Some(peer);
        self.common.queue.wake();
        Ok(())
    }

    fn send(&self, message: Outgoing<'_>, nonblock: bool) -> Result<usize, Stop> {
        if self.silent.get() {
            return Err(Errno::EPIPE.into());
        }
        if message.bytes.len() > CAPACITY {
            return Err(Errno::EMSGSIZE.into());
        }
        let to = self.target(message.to.as_ref())?;
        if to.only_from.borrow().as_ref().is_some_and(|from| *from != self.local()) {
            return Err(Errno::EPERM.into());
        }
        if to.has_ended() {
            return Err(Errno::EPIPE.into());
        }
        let own = Rc::ptr_eq(&to, &self.mailbox);
        if to.len() > MAX_WAITING && !own || !to.has_room(message.bytes.len()) {
            return Err(if nonblock { Errno::EAGAIN.into() } else { Stop::Block(Wait::on(&to.room)) });
        }
        to.put(message.bytes, self.local(), message.ancillary);
        Ok(message.bytes.len())
    }

    fn receive(&self, buf: &mut [u8], peek: bool, nonblock: bool) -> Result<Received, Stop> {
        self.mailbox.receive(buf, peek, nonblock)
    }

    fn shutdown(&self, reading: bool, writing: bool) -> Result<(), Errno> {
        if reading {
            self.mailbox.end();
        }
        if writing {
            self.silent.set(true);
        }
        self.common.queue.wake();
        Ok(())
    }

    fn local(&self) -> Address {
        Address::Unix(self.bound.borrow().as_ref().map(|bound| bound.name.clone()).unwrap_or_default())
    }

    fn peer(&self) -> Result<Address, Errno> {
        self.peer.borrow().as_ref().map(|peer| Address::Unix(peer.name.clone())).ok_or(Errno::ENOTCONN)
    }

    fn peer_credentials(&self) -> Option<Sender> {
        self.peer.borrow().as_ref()?.credentials
    }

    fn poll(&self) -> u32 {
        let mut ready = if self.mailbox.len() > 0 || self.mailbox.has_ended() { poll::IN } else { 0 };
        if self.mailbox.has_ended() {
            ready |= poll::RDHUP;
        }
        if self.mailbox.has_ended() && self.silent.get() {
            ready |= poll::HUP;
        }
        if self.full_peer().is_none() {
            ready |= poll::OUT;
        }
        ready
    }

    fn other_queues(&self) -> Vec<WaitQueue> {
        self.full_peer().map(|mailbox| mailbox.room.clone()).into_iter().collect()
    }

    fn available(&self) -> Result<usize, Errno> {
        Ok(self.mailbox.available())
    }

    fn state(&self) -> State {
        if self.peer.borrow().is_some() { State::Connected } else { State::Unconnected }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
