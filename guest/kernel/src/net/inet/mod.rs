//! AF_INET and AF_INET6: `tcp` and `udp` over the sandbox's own loopback and, by `outside`, over the host's sockets;
//! `ports` is who has which port.

pub mod outside;
pub mod ports;
pub mod tcp;
pub mod udp;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use shallop_linux_abi::Errno;

use self::ports::Claim;
use super::address::Address;
use super::{Common, Domain};

/// What sockets to IPv6 addresses outside show as their own: a private one, so that programs which compare addresses
/// take IPv4 first.
const OUTSIDE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

/// The address that stands for all of a domain.
fn any(domain: Domain) -> SocketAddr {
    match domain {
        Domain::Inet6 => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
        _ => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
    }
}

/// Where an address leads: "any address" is this machine.
fn destination(to: SocketAddr) -> SocketAddr {
    match to.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), to.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), to.port()),
        _ => to,
    }
}

/// The address that packets to `to` have as their source.
fn source(common: &Common, to: IpAddr) -> IpAddr {
    match to {
        IpAddr::V4(ip) if ip.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V4(_) => common.net.interfaces.address().map_or(Ipv4Addr::LOCALHOST.into(), IpAddr::V4),
        IpAddr::V6(ip) if ip.is_loopback() => ip.into(),
        IpAddr::V6(_) => OUTSIDE_V6.into(),
    }
}

/// Binds as the caller asks: EADDRNOTAVAIL for addresses that are not this sandbox's.
fn bind(common: &Common, claim: &mut Option<std::rc::Rc<Claim>>, at: &Address) -> Result<(), Errno> {
    let at = match at {
        Address::Inet(at) => *at,
        Address::Unspecified if common.domain == Domain::Inet => any(Domain::Inet),
        _ => return Err(Errno::EAFNOSUPPORT),
    };
    if claim.is_some() {
        return Err(Errno::EINVAL);
    }
    if !common.net.interfaces.is_own(at.ip()) {
        return Err(Errno::EADDRNOTAVAIL);
    }
    *claim = Some(common.net.ports.claim(common, at)?);
    Ok(())
}
