//! Port numbers: `Claim` is a bound address, `Ports` all of them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};

use shallop_linux_abi::Errno;

use crate::net::connection::Listener;
use crate::net::mailbox::Mailbox;
use crate::net::options::so;
use crate::net::{Common, Domain, Kind};

/// Ports that are given to sockets that ask for none (net.ipv4.ip_local_port_range).
pub const EPHEMERAL: std::ops::RangeInclusive<u16> = 32768..=60999;

/// A bound address, taken as long as this lives.
pub struct Claim {
    pub at: SocketAddr,
    kind: Kind,
    /// An IPv6 socket that takes IPv4 too.
    dual: bool,
    reuse_address: bool,
    reuse_port: bool,
    uid: u32,
    pub listener: RefCell<Weak<Listener>>,
    pub mailbox: RefCell<Weak<Mailbox>>,
    /// Whether connections come in.
    pub listening: Cell<bool>,
}

impl Claim {
    /// Whether what is sent to `ip` is for it.
    fn covers(&self, ip: IpAddr) -> bool {
        match (self.at.ip(), ip) {
            (own, other) if own == other => true,
            (IpAddr::V4(own), IpAddr::V4(_)) => own.is_unspecified(),
            (IpAddr::V6(own), IpAddr::V6(_)) => own.is_unspecified(),
            (IpAddr::V6(own), IpAddr::V4(_)) => own.is_unspecified() && self.dual,
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
        }
    }

    /// Whether both cannot be had at once.
    fn conflicts(&self, other: &Claim) -> bool {
        let overlap = self.covers(other.at.ip()) || other.covers(self.at.ip());
        if !overlap || self.kind != other.kind {
            return false;
        }
        if self.reuse_port && other.reuse_port && self.uid == other.uid {
            return false;
        }
        let listening = self.listening.get() || other.listening.get();
        !(self.reuse_address && other.reuse_address && (self.kind == Kind::Datagram || !listening))
    }
}

/// All bound addresses, by port.
#[derive(Default)]
pub struct Ports(RefCell<BTreeMap<u16, Vec<Weak<Claim>>>>);

impl Ports {
    /// Takes an address; with port 0 any port that is free there.
    pub fn claim(&self, common: &Common, at: SocketAddr) -> Result<Rc<Claim>, Errno> {
        if at.port() != 0 {
            return self.take(common, at);
        }
        let mut random = [0; 2];
        common.net.platform.random(&mut random);
        let (first, count) = (*EPHEMERAL.start(), EPHEMERAL.len() as u16);
        let start = u16::from_le_bytes(random) % count;
        (0..count)
            .map(|i| first + (start + i) % count)
            .find_map(|port| self.take(common, SocketAddr::new(at.ip(), port)).ok())
            .ok_or(Errno::EADDRINUSE)
    }

    fn take(&self, common: &Common, at: SocketAddr) -> Result<Rc<Claim>, Errno> {
        let options = &common.options;
        let claim = Rc::new(Claim {
            at,
            kind: common.kind,
            dual: common.domain == Domain::Inet6 && !options.v6_only(),
            reuse_address: options.is_on(so::REUSEADDR),
            reuse_port: options.is_on(so::REUSEPORT),
            uid: common.owner.uid,
            listener: RefCell::default(),
            mailbox: RefCell::default(),
            listening: Cell::new(false),
        });
        let mut ports = self.0.borrow_mut();
        let claims = ports.entry(at.port()).or_default();
        claims.retain(|other| other.strong_count() > 0);
        if claims.iter().filter_map(Weak::upgrade).any(|other| other.conflicts(&claim)) {
            return Err(Errno::EADDRINUSE);
        }
        claims.push(Rc::downgrade(&claim));
        Ok(claim)
    }

    /// Whether a bound socket may begin to listen: another one may have come to do so.
    pub fn may_listen(&self, claim: &Rc<Claim>) -> bool {
        let before = claim.listening.replace(true);
        let free = !self.at(claim.at.port()).iter().any(|other| !Rc::ptr_eq(other, claim) && other.conflicts(claim));
        claim.listening.set(before);
        free
    }

    fn at(&self, port: u16) -> Vec<Rc<Claim>> {
        self.0.borrow().get(&port).into_iter().flatten().filter_map(Weak::upgrade).collect()
    }

    /// The claims that what is sent to an address is for, the most exact first.
    fn matching(&self, kind: Kind, to: SocketAddr) -> Vec<Rc<Claim>> {
        let mut found = self.at(to.port());
        found.retain(|claim| claim.kind == kind && claim.covers(to.ip()));
        found.sort_by_key(|claim| claim.at.ip() != to.ip());
        found
    }

    /// Who accepts connections to an address.
    pub fn listener(&self, to: SocketAddr) -> Option<Rc<Listener>> {
        self.matching(Kind::Stream, to).iter().find_map(|claim| claim.listener.borrow().upgrade())
    }

    /// Who receives datagrams to an address from another: a socket connected with that one comes first.
    pub fn mailbox(&self, to: SocketAddr, from: SocketAddr) -> Option<Rc<Mailbox>> {
        use crate::net::address::Address;
        let found = self.matching(Kind::Datagram, to);
        let mailboxes: Vec<_> = found.iter().filter_map(|claim| claim.mailbox.borrow().upgrade()).collect();
        let wanted = Some(Address::Inet(from));
        let connected = mailboxes.iter().find(|mailbox| *mailbox.only_from.borrow() == wanted);
        connected.or_else(|| mailboxes.iter().find(|mailbox| mailbox.only_from.borrow().is_none())).cloned()
    }
}
