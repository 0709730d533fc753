//! UDP (udp(7)): `Udp`. Datagrams inside the sandbox go straight to the mailbox of who is bound there; for each address
//! outside that is sent to there is a socket of the host, as a router keeps a flow.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::outside::Outside;
use super::ports::Claim;
use super::{any, destination, source};
use crate::net::address::Address;
use crate::net::channel::{Ancillary, Received};
use crate::net::mailbox::Mailbox;
use crate::net::options::so;
use crate::net::{Common, Outgoing, Protocol, Socket, State, resolver};
use crate::vfs::poll;
use crate::wait::Stop;

/// Longest datagram, with its headers.
const MAX_DATAGRAM: usize = 65_507;
/// Addresses outside that one socket keeps open; who sends to more loses the answers of others.
const MAX_FLOWS: usize = 64;

pub struct Udp {
    common: Rc<Common>,
    claim: RefCell<Option<Rc<Claim>>>,
    mailbox: Rc<Mailbox>,
    peer: Cell<Option<SocketAddr>>,
    /// Sockets of the host by the address that they are connected with.
    flows: RefCell<BTreeMap<SocketAddr, Rc<Outside>>>,
    /// SHUT_WR.
    silent: Cell<bool>,
}

pub fn new(common: Rc<Common>) -> Rc<Socket> {
    let mailbox = Mailbox::new(&common.queue);
    let (claim, peer, silent) = (RefCell::default(), Cell::new(None), Cell::new(false));
    let flows = RefCell::default();
    Socket::new(common.clone(), Box::new(Udp { common, claim, mailbox, peer, flows, silent }))
}

impl Udp {
    /// The own port, taken now where none was asked for.
    fn bound(&self) -> Result<Rc<Claim>, Errno> {
        if self.claim.borrow().is_none() {
            self.take(any(self.common.domain))?;
        }
        self.claim.borrow().clone().ok_or(Errno::EADDRINUSE)
    }

    fn take(&self, at: SocketAddr) -> Result<(), Errno> {
        let mut claim = self.claim.borrow_mut();
        super::bind(&self.common, &mut claim, &Address::Inet(at))?;
        if let Some(claim) = &*claim {
            *claim.mailbox.borrow_mut() = Rc::downgrade(&self.mailbox);
        }
        Ok(())
    }

    /// The address that others see.
    fn local_for(&self, to: IpAddr) -> Result<SocketAddr, Errno> {
        let claim = self.bound()?;
        let own = claim.at.ip();
        let ip = if own.is_unspecified() { source(&self.common, to) } else { own };
        Ok(SocketAddr::new(ip, claim.at.port()))
    }

    /// Puts a datagram where it belongs. One to nobody is lost; a connected socket hears of that.
    fn send_inside(&self, bytes: &[u8], to: SocketAddr) -> Result<(), Errno> {
        let from = self.local_for(to.ip())?;
        if to == resolver::ADDRESS && self.common.net.interfaces.address().is_some() {
            self.common.net.resolver.datagram(bytes, &self.mailbox);
            return Ok(());
        }
        match self.common.net.ports.mailbox(to, from) {
            Some(mailbox) if mailbox.has_room(bytes.len()) && !mailbox.has_ended() => {
                mailbox.put(bytes, Address::Inet(from), Ancillary::default());
            }
            Some(_) => {}
            None if self.peer.get() == Some(to) => {
                self.common.error.set(Some(Errno::ECONNREFUSED));
                self.common.queue.wake();
            }
            None => {}
        }
        Ok(())
    }

    /// The host's socket to an address.
    fn flow(&self, to: SocketAddr) -> Result<Rc<Outside>, Errno> {
        self.bound()?;
        let mut flows = self.flows.borrow_mut();
        if let Some(flow) = flows.get(&to) {
            return Ok(flow.clone());
        }
        if flows.len() >= MAX_FLOWS {
            flows.pop_first();
        }
        let flow = Rc::new(Outside::open(&self.common, false, to)?);
        flows.insert(to, flow.clone());
        Ok(flow)
    }

    /// What came from outside.
    fn receive_outside(&self, buf: &mut [u8], peek: bool) -> Result<Option<Received>, Errno> {
        for (from, flow) in &*self.flows.borrow() {
            match flow.receive(buf, peek, true) {
                Ok(count) => {
                    let from = Some(Address::Inet(*from));
                    return Ok(Some(Received { count, from, ..Received::default() }));
                }
                // That nobody is there, a connected socket alone is told.
                Err(Stop::Errno(errno)) if errno != Errno::EAGAIN && self.peer.get() == Some(*from) => {
                    return Err(errno);
                }
                Err(_) => {}
            }
        }
        Ok(None)
    }

    fn is_ready_outside(&self) -> bool {
        self.flows.borrow().iter().any(|(to, flow)| {
            let ready = flow.poll();
            let failed = ready & poll::ERR != 0;
            if failed && self.peer.get() != Some(*to) {
                // As in `receive_outside`: nobody is told, and the next look finds it gone.
                let _ = flow.status();
            }
            ready & poll::IN != 0 && !failed || failed && self.peer.get() == Some(*to)
        })
    }

    /// Where a datagram goes.
    fn target(&self, to: Option<Address>) -> Result<SocketAddr, Errno> {
        match to {
            Some(Address::Inet(to)) if to.port() == 0 => Err(Errno::EINVAL),
            Some(Address::Inet(to)) => Ok(destination(to)),
            Some(_) => Err(Errno::EAFNOSUPPORT),
            None => self.peer.get().ok_or(Errno::EDESTADDRREQ),
        }
    }

    /// ENETUNREACH for what nothing leads to, EACCES for broadcasts of who did not say that it means them.
    fn check_reachable(&self, to: IpAddr) -> Result<(), Errno> {
        let broadcast = matches!(to, IpAddr::V4(ip) if ip.is_broadcast());
        match self.common.net.interfaces.is_own(to) {
            true => Ok(()),
            false if broadcast && !self.common.options.is_on(so::BROADCAST) => Err(Errno::EACCES),
            false if broadcast || to.is_multicast() => Err(Errno::ENETUNREACH),
            false if self.common.net.interfaces.address().is_none() => Err(Errno::ENETUNREACH),
            false => Ok(()),
        }
    }
}

impl Protocol for Udp {
    fn bind(&self, at: &Address) -> Result<(), Errno> {
        match at {
            Address::Inet(at) => self.take(*at),
            Address::Unspecified => self.take(any(self.common.domain)),
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    fn connect(&self, to: &Address, _nonblock: bool) -> Result<(), Stop> {
        let Address::Inet(to) = to else {
            self.peer.set(None);
            *self.mailbox.only_from.borrow_mut() = None;
            return Ok(());
        };
        let to = destination(*to);
        self.check_reachable(to.ip())?;
        self.bound()?;
        if to.is_ipv6() && !self.common.net.interfaces.is_own(to.ip()) {
            // Whether there is a way, the host knows.
            self.flow(to)?;
        }
        self.peer.set(Some(to));
        *self.mailbox.only_from.borrow_mut() = Some(Address::Inet(to));
        Ok(())
    }

    fn send(&self, message: Outgoing<'_>, nonblock: bool) -> Result<usize, Stop> {
        self.common.take_error()?;
        if self.silent.get() {
            return Err(Errno::EPIPE.into());
        }
        if message.bytes.len() > MAX_DATAGRAM {
            return Err(Errno::EMSGSIZE.into());
        }
        let to = self.target(message.to)?;
        self.check_reachable(to.ip())?;
        if !self.common.net.interfaces.is_own(to.ip()) {
            return self.flow(to)?.send(message.bytes, nonblock);
        }
        self.send_inside(message.bytes, to)?;
        Ok(message.bytes.len())
    }

    fn receive(&self, buf: &mut [u8], peek: bool, nonblock: bool) -> Result<Received, Stop> {
        self.common.take_error()?;
        if self.mailbox.len() == 0
            && let Some(received) = self.receive_outside(buf, peek)?
        {
            return Ok(received);
        }
        self.mailbox.receive(buf, peek, nonblock)
    }

    fn shutdown(&self, reading: bool, writing: bool) -> Result<(), Errno> {
        self.peer.get().ok_or(Errno::ENOTCONN)?;
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
        let claim = self.claim.borrow();
        Address::Inet(match (claim.as_ref(), self.peer.get()) {
            (Some(claim), Some(peer)) if claim.at.ip().is_unspecified() => {
                SocketAddr::new(source(&self.common, peer.ip()), claim.at.port())
            }
            (Some(claim), _) => claim.at,
            (None, _) => any(self.common.domain),
        })
    }

    fn peer(&self) -> Result<Address, Errno> {
        self.peer.get().map(Address::Inet).ok_or(Errno::ENOTCONN)
    }

    fn poll(&self) -> u32 {
        let mut ready = poll::OUT;
        let inside = self.mailbox.len() > 0 || self.mailbox.has_ended() || self.common.error.get().is_some();
        if inside || self.is_ready_outside() {
            ready |= poll::IN;
        }
        if self.mailbox.has_ended() {
            ready |= poll::RDHUP;
        }
        if self.mailbox.has_ended() && self.silent.get() {
            ready |= poll::HUP;
        }
        ready
    }

    fn available(&self) -> Result<usize, Errno> {
        let outside = || self.flows.borrow().values().map(|flow| flow.available()).find(|count| *count > 0);
        Ok(if self.mailbox.len() > 0 { self.mailbox.available() } else { outside().unwrap_or(0) })
    }

    fn state(&self) -> State {
        if self.peer.get().is_some() { State::Connected } else { State::Unconnected }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Udp {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}
