//! TCP (tcp(7)): `Tcp`. Connections inside the sandbox are pairs of ends, without packets; those to outside are the host's.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::outside::Outside;
use super::ports::Claim;
use super::{any, destination, source};
use crate::net::address::Address;
use crate::net::channel::Received;
use crate::net::connection::{End, Listener, Style};
use crate::net::{Accepted, Common, Outgoing, Protocol, Socket, State, resolver};
use crate::vfs::poll;
use crate::wait::{Stop, Wait};

/// Fewest connections that may wait for an accept: who finds no room would have to send its packets again.
const MIN_BACKLOG: usize = 1024;

enum Phase {
    Fresh,
    Listening(Rc<Listener>),
    /// Connected with another socket of the sandbox.
    Inside {
        end: Rc<End>,
        local: SocketAddr,
        peer: SocketAddr,
    },
    /// A socket of the host, connected or on its way to be.
    Outside {
        outside: Rc<Outside>,
        local: SocketAddr,
        peer: SocketAddr,
        connected: bool,
    },
}

pub struct Tcp {
    common: Rc<Common>,
    claim: RefCell<Option<Rc<Claim>>>,
    phase: RefCell<Phase>,
    /// A connect that did not wait has succeeded, and the next one is to say so.
    unreported: Cell<bool>,
}

pub fn new(common: Rc<Common>) -> Rc<Socket> {
    with_phase(common, None, Phase::Fresh)
}

fn with_phase(common: Rc<Common>, claim: Option<Rc<Claim>>, phase: Phase) -> Rc<Socket> {
    let (claim, phase, unreported) = (RefCell::new(claim), RefCell::new(phase), Cell::new(false));
    Socket::new(common.clone(), Box::new(Tcp { common, claim, phase, unreported }))
}

fn inet(address: Address) -> Option<SocketAddr> {
    if let Address::Inet(at) = address { Some(at) } else { None }
}

impl Tcp {
    fn end(&self) -> Option<Rc<End>> {
        match &*self.phase.borrow() {
            Phase::Inside { end, .. } => Some(end.clone()),
            _ => None,
        }
    }

    /// The own port, taken now where none was asked for.
    fn bound(&self) -> Result<Rc<Claim>, Errno> {
        let mut claim = self.claim.borrow_mut();
        if claim.is_none() {
            *claim = Some(self.common.net.ports.claim(&self.common, any(self.common.domain))?);
        }
        claim.clone().ok_or(Errno::EADDRINUSE)
    }

    fn stop_listening(&self) {
        if self.state() != State::Listening {
            return;
        }
        if let Some(claim) = &*self.claim.borrow() {
            claim.listening.set(false);
        }
        *self.phase.borrow_mut() = Phase::Fresh;
        self.common.queue.wake();
    }

    /// The own address as others see it, when it connects to `to`.
    fn local_for(&self, to: SocketAddr) -> Result<SocketAddr, Errno> {
        let claim = self.bound()?;
        let own = claim.at.ip();
        let ip = if own.is_unspecified() { source(&self.common, to.ip()) } else { own };
        Ok(SocketAddr::new(ip, claim.at.port()))
    }

    /// The host's socket, when it is connected.
    fn outside(&self) -> Option<Rc<Outside>> {
        match &*self.phase.borrow() {
            Phase::Outside { outside, connected: true, .. } => Some(outside.clone()),
            _ => None,
        }
    }

    fn is_connecting(&self) -> bool {
        matches!(&*self.phase.borrow(), Phase::Outside { connected: false, .. })
    }

    /// Begins to connect with an address outside.
    fn connect_outside(&self, to: SocketAddr) -> Result<(), Errno> {
        let local = self.local_for(to)?;
        let outside = Rc::new(Outside::open(&self.common, true, to)?);
        *self.phase.borrow_mut() = Phase::Outside { outside, local, peer: to, connected: false };
        Ok(())
    }

    /// Goes on with a connection that is being made, waiting unless `nonblock`.
    fn finish(&self, nonblock: bool) -> Result<(), Stop> {
        self.settle();
        match (self.is_connecting(), nonblock) {
            (true, true) => Err(Errno::EALREADY.into()),
            (true, false) => Err(Stop::Block(Wait::on(&self.common.queue))),
            (false, _) => {
                self.unreported.set(false);
                Ok(self.common.take_error()?)
            }
        }
    }

    /// What a call on a connection that is not made yet gets.
    fn not_connected(&self, errno: Errno, nonblock: bool) -> Stop {
        match (self.is_connecting(), nonblock) {
            (true, true) => Errno::EAGAIN.into(),
            (true, false) => Stop::Block(Wait::on(&self.common.queue)),
            (false, _) => errno.into(),
        }
    }

    /// Connects with a listener of the sandbox.
    fn connect_inside(&self, to: SocketAddr, nonblock: bool) -> Result<(), Stop> {
        let local = self.local_for(to)?;
        let who = (self.common.owner, &self.common.queue);
        let net = &self.common.net;
        let end = match to == resolver::ADDRESS && net.interfaces.address().is_some() {
            true => net.resolver.connect(who)?,
            false => {
                let listener = net.ports.listener(to).ok_or(Errno::ECONNREFUSED)?;
                listener.connect(who, (Address::Inet(to), Address::Inet(local)), nonblock)?
            }
        };
        end.abort.set(self.common.options.aborts());
        *self.phase.borrow_mut() = Phase::Inside { end: Rc::new(end), local, peer: to };
        Ok(())
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        self.stop_listening();
    }
}

impl Protocol for Tcp {
    fn bind(&self, at: &Address) -> Result<(), Errno> {
        super::bind(&self.common, &mut self.claim.borrow_mut(), at)
    }

    fn listen(&self, backlog: usize) -> Result<(), Errno> {
        let backlog = backlog.max(MIN_BACKLOG);
        match &*self.phase.borrow() {
            Phase::Fresh => {}
            Phase::Listening(listener) => {
                listener.set_backlog(backlog);
                return Ok(());
            }
            _ => return Err(Errno::EINVAL),
        }
        let claim = self.bound()?;
        if !self.common.net.ports.may_listen(&claim) {
            return Err(Errno::EADDRINUSE);
        }
        let listener = Rc::new(Listener::new(Style::Tcp, self.common.owner, backlog, &self.common.queue));
        *claim.listener.borrow_mut() = Rc::downgrade(&listener);
        claim.listening.set(true);
        *self.phase.borrow_mut() = Phase::Listening(listener);
        Ok(())
    }

    fn accept(&self, nonblock: bool) -> Result<Accepted, Stop> {
        let listener = match &*self.phase.borrow() {
            Phase::Listening(listener) => listener.clone(),
            _ => return Err(Errno::EINVAL.into()),
        };
        let pending = listener.accept(nonblock)?;
        let common = Rc::new(self.common.accepted(&pending.queue));
        pending.end.abort.set(common.options.aborts());
        let (local, peer) = inet(pending.local).zip(inet(pending.peer)).ok_or(Errno::ECONNABORTED)?;
        let phase = Phase::Inside { end: Rc::new(pending.end), local, peer };
        let socket = with_phase(common, self.claim.borrow().clone(), phase);
        Ok(Accepted { socket, peer: Address::Inet(peer) })
    }

    fn connect(&self, to: &Address, nonblock: bool) -> Result<(), Stop> {
        self.settle();
        self.common.take_error()?;
        match &*self.phase.borrow() {
            Phase::Fresh => {}
            Phase::Inside { .. } | Phase::Outside { connected: true, .. } if self.unreported.take() => return Ok(()),
            Phase::Outside { connected: false, .. } => {}
            _ => return Err(Errno::EISCONN.into()),
        }
        if self.is_connecting() {
            return self.finish(nonblock);
        }
        let Address::Inet(to) = to else { return Ok(()) };
        let to = destination(*to);
        let done = match self.common.net.interfaces.is_own(to.ip()) {
            true => self.connect_inside(to, nonblock),
            false => {
                self.connect_outside(to)?;
                return if nonblock { Err(Errno::EINPROGRESS.into()) } else { self.finish(false) };
            }
        };
        // Who does not wait learns of it later, however soon it was.
        match done {
            Ok(()) if nonblock => self.unreported.set(true),
            Err(Stop::Errno(Errno::ECONNREFUSED)) if nonblock => self.common.error.set(Some(Errno::ECONNREFUSED)),
            done => return done,
        }
        self.common.queue.wake();
        Err(Errno::EINPROGRESS.into())
    }

    fn send(&self, message: Outgoing<'_>, nonblock: bool) -> Result<usize, Stop> {
        self.settle();
        self.common.take_error()?;
        if let Some(outside) = self.outside() {
            return if message.bytes.is_empty() { Ok(0) } else { outside.send(message.bytes, nonblock) };
        }
        let end = self.end().ok_or_else(|| self.not_connected(Errno::EPIPE, nonblock))?;
        let sent = end.send(message.bytes, message.ancillary, nonblock);
        if self.peer() == Ok(Address::Inet(resolver::ADDRESS)) {
            self.common.net.resolver.pump();
        }
        sent
    }

    fn receive(&self, buf: &mut [u8], peek: bool, nonblock: bool) -> Result<Received, Stop> {
        self.settle();
        self.common.take_error()?;
        if let Some(outside) = self.outside() {
            return Ok(Received { count: outside.receive(buf, peek, nonblock)?, ..Received::default() });
        }
        self.end().ok_or_else(|| self.not_connected(Errno::ENOTCONN, nonblock))?.receive(buf, peek, nonblock)
    }

    fn shutdown(&self, reading: bool, writing: bool) -> Result<(), Errno> {
        if self.state() == State::Listening {
            if reading {
                self.stop_listening();
            }
            return Ok(());
        }
        if let Some(outside) = self.outside() {
            return outside.shutdown(reading, writing);
        }
        self.end().ok_or(Errno::ENOTCONN)?.shutdown(reading, writing);
        Ok(())
    }

    fn local(&self) -> Address {
        Address::Inet(match &*self.phase.borrow() {
            Phase::Inside { local, .. } | Phase::Outside { local, .. } => *local,
            _ => self.claim.borrow().as_ref().map_or(any(self.common.domain), |claim| claim.at),
        })
    }

    fn peer(&self) -> Result<Address, Errno> {
        match &*self.phase.borrow() {
            Phase::Inside { peer, .. } | Phase::Outside { peer, connected: true, .. } => Ok(Address::Inet(*peer)),
            _ => Err(Errno::ENOTCONN),
        }
    }

    fn settle(&self) {
        let status = match &*self.phase.borrow() {
            Phase::Outside { outside, connected: false, .. } => outside.status(),
            _ => return,
        };
        match status {
            Err(Errno::EINPROGRESS) => {}
            Err(errno) => {
                self.common.error.set(Some(errno));
                *self.phase.borrow_mut() = Phase::Fresh;
            }
            Ok(()) => {
                if let Phase::Outside { connected, .. } = &mut *self.phase.borrow_mut() {
                    *connected = true;
                    self.unreported.set(true);
                }
            }
        }
    }

    fn poll(&self) -> u32 {
        match &*self.phase.borrow() {
            Phase::Fresh if self.common.error.get().is_some() => poll::IN | poll::OUT | poll::HUP | poll::RDHUP,
            Phase::Fresh => poll::OUT | poll::HUP,
            Phase::Listening(listener) => listener.poll(),
            Phase::Inside { end, .. } => end.poll(),
            Phase::Outside { outside, connected: true, .. } => outside.poll(),
            Phase::Outside { .. } => 0,
        }
    }

    fn available(&self) -> Result<usize, Errno> {
        match &*self.phase.borrow() {
            Phase::Listening(_) => Err(Errno::EINVAL),
            Phase::Fresh => Ok(0),
            Phase::Inside { end, .. } => Ok(end.available()),
            Phase::Outside { outside, .. } => Ok(outside.available()),
        }
    }

    fn unsent(&self) -> usize {
        self.end().map_or(0, |end| end.unread())
    }

    fn state(&self) -> State {
        match &*self.phase.borrow() {
            Phase::Fresh => State::Unconnected,
            Phase::Listening(_) => State::Listening,
            Phase::Inside { end, .. } if end.ended() => State::CloseWait,
            Phase::Inside { .. } | Phase::Outside { connected: true, .. } => State::Connected,
            Phase::Outside { .. } => State::Connecting,
        }
    }

    fn abort_on_close(&self, on: bool) {
        if let Some(end) = self.end() {
            end.abort.set(on);
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
