//! AF_UNIX sockets with connections (SOCK_STREAM, SOCK_SEQPACKET): `Stream`.

use std::any::Any;
use std::cell::RefCell;
use std::rc::{Rc, Weak};

use shallop_linux_abi::Errno;

use super::{Bound, Target};
use crate::net::address::{Address, UnixName};
use crate::net::channel::{Received, Sender};
use crate::net::connection::{self, End, Listener, Style};
use crate::net::{Accepted, Common, Kind, Outgoing, Protocol, Socket, State};
use crate::vfs::poll;
use crate::wait::Stop;

enum Phase {
    Fresh,
    Listening(Rc<Listener>),
    Connected(Rc<End>),
}

pub struct Stream {
    common: Rc<Common>,
    bound: RefCell<Option<Rc<Bound>>>,
    /// The name it was accepted under.
    local: UnixName,
    peer: RefCell<UnixName>,
    phase: RefCell<Phase>,
}

/// A socket that is not connected.
pub fn new(common: Rc<Common>) -> Rc<Socket> {
    with_phase(common, Phase::Fresh, UnixName::default(), UnixName::default())
}

/// Two connected sockets without names (socketpair(2)).
pub fn pair(one: Rc<Common>, two: Rc<Common>) -> (Rc<Socket>, Rc<Socket>) {
    let (here, there) = connection::pair(style(one.kind), (one.owner, &one.queue), (two.owner, &two.queue));
    let connected =
        |common, end| with_phase(common, Phase::Connected(Rc::new(end)), UnixName::default(), UnixName::default());
    (connected(one, here), connected(two, there))
}

fn with_phase(common: Rc<Common>, phase: Phase, local: UnixName, peer: UnixName) -> Rc<Socket> {
    let (peer, phase, bound) = (RefCell::new(peer), RefCell::new(phase), RefCell::default());
    Socket::new(common.clone(), Box::new(Stream { common, bound, local, peer, phase }))
}

fn style(kind: Kind) -> Style {
    if kind == Kind::SeqPacket { Style::Messages } else { Style::Bytes }
}

fn name_of(address: Address) -> UnixName {
    if let Address::Unix(name) = address { name } else { UnixName::default() }
}

impl Stream {
    fn end(&self) -> Option<Rc<End>> {
        match &*self.phase.borrow() {
            Phase::Connected(end) => Some(end.clone()),
            _ => None,
        }
    }

    fn listener(&self) -> Result<Rc<Listener>, Errno> {
        match &*self.phase.borrow() {
            Phase::Listening(listener) => Ok(listener.clone()),
            _ => Err(Errno::EINVAL),
        }
    }
}

impl Protocol for Stream {
    fn bind(&self, at: &Address) -> Result<(), Errno> {
        let Address::Unix(name) = at else { return Err(Errno::EINVAL) };
        if self.bound.borrow().is_some() {
            return Err(Errno::EINVAL);
        }
        let target = Target::Listener(RefCell::new(Weak::new()));
        *self.bound.borrow_mut() = Some(self.common.net.names.bind(name, self.common.kind, target)?);
        Ok(())
    }

    fn listen(&self, backlog: usize) -> Result<(), Errno> {
        let bound = self.bound.borrow().clone().ok_or(Errno::EINVAL)?;
        let mut phase = self.phase.borrow_mut();
        match &*phase {
            Phase::Connected(_) => return Err(Errno::EINVAL),
            Phase::Listening(listener) => listener.set_backlog(backlog),
            Phase::Fresh => {
                let common = &self.common;
                let listener = Listener::new(style(common.kind), common.owner, backlog, &common.queue);
                let listener = Rc::new(listener);
                if let Target::Listener(place) = &bound.target {
                    *place.borrow_mut() = Rc::downgrade(&listener);
                }
                *phase = Phase::Listening(listener);
            }
        }
        Ok(())
    }

    fn accept(&self, nonblock: bool) -> Result<Accepted, Stop> {
        let pending = self.listener()?.accept(nonblock)?;
        let common = Rc::new(self.common.accepted(&pending.queue));
        let (local, peer) = (name_of(pending.local), pending.peer);
        let phase = Phase::Connected(Rc::new(pending.end));
        Ok(Accepted { socket: with_phase(common, phase, local, name_of(peer.clone())), peer })
    }

    fn connect(&self, to: &Address, nonblock: bool) -> Result<(), Stop> {
        let bound = self.common.net.names.find(to, self.common.kind)?;
        let Target::Listener(place) = &bound.target else { return Err(Errno::ECONNREFUSED.into()) };
        let listener = place.borrow().upgrade().ok_or(Errno::ECONNREFUSED)?;
        match &*self.phase.borrow() {
            Phase::Fresh => {}
            Phase::Listening(_) => return Err(Errno::EINVAL.into()),
            Phase::Connected(_) => return Err(Errno::EISCONN.into()),
        }
        let addresses = (Address::Unix(bound.name.clone()), self.local());
        let end = listener.connect((self.common.owner, &self.common.queue), addresses, nonblock)?;
        *self.phase.borrow_mut() = Phase::Connected(Rc::new(end));
        *self.peer.borrow_mut() = bound.name.clone();
        Ok(())
    }

    fn send(&self, message: Outgoing<'_>, nonblock: bool) -> Result<usize, Stop> {
        let stream = self.common.kind == Kind::Stream;
        let Some(end) = self.end() else {
            return Err(if stream && message.to.is_some() { Errno::EOPNOTSUPP } else { Errno::ENOTCONN }.into());
        };
        if stream && message.to.is_some() {
            return Err(Errno::EISCONN.into());
        }
        end.send(message.bytes, message.ancillary, nonblock)
    }

    fn receive(&self, buf: &mut [u8], peek: bool, nonblock: bool) -> Result<Received, Stop> {
        let missing = if self.common.kind == Kind::Stream { Errno::EINVAL } else { Errno::ENOTCONN };
        self.end().ok_or(missing)?.receive(buf, peek, nonblock)
    }

    fn shutdown(&self, reading: bool, writing: bool) -> Result<(), Errno> {
        if reading && self.state() == State::Listening {
            *self.phase.borrow_mut() = Phase::Fresh;
            self.common.queue.wake();
        }
        if let Some(end) = self.end() {
            end.shutdown(reading, writing);
        }
        Ok(())
    }

    fn local(&self) -> Address {
        let bound = self.bound.borrow();
        Address::Unix(bound.as_ref().map_or_else(|| self.local.clone(), |bound| bound.name.clone()))
    }

    fn peer(&self) -> Result<Address, Errno> {
        self.end().ok_or(Errno::ENOTCONN)?;
        Ok(Address::Unix(self.peer.borrow().clone()))
    }

    fn peer_credentials(&self) -> Option<Sender> {
        self.end().map(|end| end.peer)
    }

    fn poll(&self) -> u32 {
        match &*self.phase.borrow() {
            Phase::Fresh => poll::OUT | poll::HUP,
            Phase::Listening(listener) => listener.poll(),
            Phase::Connected(end) => end.poll(),
        }
    }

    fn available(&self) -> Result<usize, Errno> {
        match &*self.phase.borrow() {
            Phase::Listening(_) => Err(Errno::EINVAL),
            Phase::Fresh => Ok(0),
            Phase::Connected(end) => Ok(end.available()),
        }
    }

    fn unsent(&self) -> usize {
        self.end().map_or(0, |end| end.unread())
    }

    fn state(&self) -> State {
        match &*self.phase.borrow() {
            Phase::Fresh => State::Unconnected,
            Phase::Listening(_) => State::Listening,
            Phase::Connected(_) => State::Connected,
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
