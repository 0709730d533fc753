//! Messages of NETLINK_ROUTE: what is answered to a request (struct nlmsghdr and what follows it).

use std::net::{Ipv4Addr, Ipv6Addr};

use shallop_linux_abi::Errno;

use crate::net::interface::{Interface, Interfaces};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_MULTI: u16 = 2;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_ADDR: u16 = 20;
const GET_ADDR: u16 = 22;
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// Bytes of struct nlmsghdr.
const HEADER: usize = 16;
/// Answers go into datagrams of about this many bytes.
const BATCH: usize = 8192;

/// A request's header.
struct Request<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    header: &'a [u8],
    body: &'a [u8],
}

impl<'a> Request<'a> {
    /// The first request of `bytes`, and what is behind it.
    fn split(bytes: &'a [u8]) -> Option<(Request<'a>, &'a [u8])> {
        let word = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let half = |at: usize| bytes.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        let len = word(0)? as usize;
        let whole = bytes.get(..len).filter(|_| len >= HEADER)?;
        let request = Request {
            kind: half(4)?,
            flags: half(6)?,
            sequence: word(8)?,
            header: &whole[..HEADER],
            body: &whole[HEADER..],
        };
        Some((request, bytes.get(len.next_multiple_of(4)..).unwrap_or(&[])))
    }
}

/// The datagrams that answer `bytes`, to a socket with this port number.
pub fn answers(interfaces: &Interfaces, mut bytes: &[u8], port: u32) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    while let Some((request, rest)) = Request::split(bytes) {
        bytes = rest;
        let dump = request.flags & NLM_F_DUMP == NLM_F_DUMP;
        match records(interfaces, &request, dump) {
            Ok((kind, records)) => answer(&request, (kind, records), port, dump, &mut datagrams),
            Err(errno) => datagrams.push(error(&request, port, errno.0)),
        }
        if !dump && request.flags & NLM_F_ACK != 0 {
            datagrams.push(error(&request, port, 0));
        }
    }
    datagrams
}

fn answer(
    request: &Request<'_>,
    (kind, records): (u16, Vec<Vec<u8>>),
    port: u32,
    dump: bool,
    datagrams: &mut Vec<Vec<u8>>,
) {
    let flags = if dump { NLM_F_MULTI } else { 0 };
    let mut datagram = Vec::new();
    for record in records {
        if datagram.len() > BATCH {
            datagrams.push(std::mem::take(&mut datagram));
        }
        datagram.extend(message(kind, flags, request.sequence, port, &record));
    }
    if !datagram.is_empty() {
        datagrams.push(datagram);
    }
    if dump {
        datagrams.push(message(NLMSG_DONE, NLM_F_MULTI, request.sequence, port, &[0; 4]));
    }
}

fn message(kind: u16, flags: u16, sequence: u32, port: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = ((HEADER + body.len()) as u32).to_le_bytes().to_vec();
    bytes.extend(kind.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes.extend(sequence.to_le_bytes());
    bytes.extend(port.to_le_bytes());
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// NLMSG_ERROR; with 0 it is an acknowledgement.
fn error(request: &Request<'_>, port: u32, errno: i32) -> Vec<u8> {
    let body = [&(-errno).to_le_bytes()[..], request.header].concat();
    message(NLMSG_ERROR, 0, request.sequence, port, &body)
}

/// What a request asks for, as records of one kind of message.
fn records(interfaces: &Interfaces, request: &Request<'_>, dump: bool) -> Result<(u16, Vec<Vec<u8>>), Errno> {
    let family = request.body.first().copied().unwrap_or(0);
    match request.kind {
        GET_LINK if dump => Ok((NEW_LINK, interfaces.list().iter().map(link).collect())),
        GET_LINK => Ok((NEW_LINK, vec![link(&wanted_link(interfaces, request.body)?)])),
        GET_ADDR if dump => Ok((NEW_ADDR, interfaces.list().iter().flat_map(|one| addresses(one, family)).collect())),
        GET_ROUTE if dump => Ok((NEW_ROUTE, routes(interfaces, family))),
        GET_ADDR | GET_ROUTE => Err(Errno::EOPNOTSUPP),
        // Everything else of the kind changes something (their numbers go by fours: new, del, get, set).
        kind if kind >= NEW_LINK && kind % 4 != 2 => Err(Errno::EPERM),
        _ if dump => Ok((NLMSG_DONE, Vec::new())),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

/// The interface that RTM_GETLINK names, by index or by name.
fn wanted_link(interfaces: &Interfaces, body: &[u8]) -> Result<Interface, Errno> {
    const IFLA_IFNAME: u16 = 3;
    let index = body.get(4..8).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let name = attribute(body.get(16..).unwrap_or(&[]), IFLA_IFNAME);
    let name = name.map(|bytes| bytes.split(|byte| *byte == 0).next().unwrap_or_default());
    let list = interfaces.list();
    let found = list.iter().find(|one| match name {
        Some(name) if index == 0 => one.name.as_bytes() == name,
        _ => one.index == index,
    });
    found.copied().ok_or(Errno::ENODEV)
}

/// An attribute's value (struct rtattr).
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    while let [a, b, c, d, ..] = *bytes {
        let (len, kind) = (usize::from(u16::from_le_bytes([a, b])), u16::from_le_bytes([c, d]));
        let value = bytes.get(4..len)?;
        if kind == wanted {
            return Some(value);
        }
        bytes = bytes.get(len.next_multiple_of(4)..)?;
    }
    None
}

fn put(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend(((4 + value.len()) as u16).to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// struct ifinfomsg with attributes.
fn link(one: &Interface) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend(one.hardware.to_le_bytes());
    bytes.extend(one.index.to_le_bytes());
    bytes.extend(one.flags.to_le_bytes());
    bytes.extend([0; 4]);
    let number = |value: u32| value.to_le_bytes();
    put(&mut bytes, 3, format!("{}\0", one.name).as_bytes()); // IFLA_IFNAME
    put(&mut bytes, 13, &number(1000)); // IFLA_TXQLEN
    put(&mut bytes, 16, &[if one.loopback { 0 } else { 6 }]); // IFLA_OPERSTATE
    put(&mut bytes, 17, &[0]); // IFLA_LINKMODE
    put(&mut bytes, 4, &number(one.mtu)); // IFLA_MTU
    put(&mut bytes, 27, &number(0)); // IFLA_GROUP
    put(&mut bytes, 33, &[1]); // IFLA_CARRIER
    put(&mut bytes, 6, b"noqueue\0"); // IFLA_QDISC
    put(&mut bytes, 1, &one.mac); // IFLA_ADDRESS
    let broadcast = if one.loopback { [0; 6] } else { [0xff; 6] };
    put(&mut bytes, 2, &broadcast); // IFLA_BROADCAST
    bytes
}

/// struct ifaddrmsg with attributes, of the addresses of a family (0: of all).
fn addresses(one: &Interface, family: u8) -> Vec<Vec<u8>> {
    const SCOPE_HOST: u8 = 254;
    const PERMANENT: u8 = 0x80;
    let mut found = Vec::new();
    let scope = if one.loopback { SCOPE_HOST } else { 0 };
    if matches!(family, 0 | AF_INET) {
        let mut bytes = vec![AF_INET, one.prefix, PERMANENT, scope];
        bytes.extend(one.index.to_le_bytes());
        put(&mut bytes, 1, &one.address.octets()); // IFA_ADDRESS
        put(&mut bytes, 2, &one.address.octets()); // IFA_LOCAL
        if !one.loopback {
            put(&mut bytes, 4, &one.broadcast().octets()); // IFA_BROADCAST
        }
        put(&mut bytes, 3, format!("{}\0", one.name).as_bytes()); // IFA_LABEL
        put(&mut bytes, 8, &u32::from(PERMANENT).to_le_bytes()); // IFA_FLAGS
        found.push(bytes);
    }
    if one.loopback && matches!(family, 0 | AF_INET6) {
        let mut bytes = vec![AF_INET6, 128, PERMANENT, SCOPE_HOST];
        bytes.extend(one.index.to_le_bytes());
        put(&mut bytes, 1, &Ipv6Addr::LOCALHOST.octets());
        put(&mut bytes, 8, &u32::from(PERMANENT).to_le_bytes());
        found.push(bytes);
    }
    found
}

/// struct rtmsg with attributes: the way outside, and that to the network of `eth0`.
fn routes(interfaces: &Interfaces, family: u8) -> Vec<Vec<u8>> {
    let (Some(address), Some(gateway)) = (interfaces.address(), interfaces.gateway()) else { return Vec::new() };
    if !matches!(family, 0 | AF_INET) {
        return Vec::new();
    }
    const MAIN: u8 = 254;
    const BOOT: u8 = 3;
    const KERNEL: u8 = 2;
    const SCOPE_LINK: u8 = 253;
    let index = 2u32.to_le_bytes();
    let mut outside = vec![AF_INET, 0, 0, 0, MAIN, BOOT, 0, 1, 0, 0, 0, 0];
    put(&mut outside, 15, &u32::from(MAIN).to_le_bytes()); // RTA_TABLE
    put(&mut outside, 5, &gateway.octets()); // RTA_GATEWAY
    put(&mut outside, 4, &index); // RTA_OIF
    let mut near = vec![AF_INET, 16, 0, 0, MAIN, KERNEL, SCOPE_LINK, 1, 0, 0, 0, 0];
    let [a, b, ..] = address.octets();
    put(&mut near, 15, &u32::from(MAIN).to_le_bytes());
    put(&mut near, 1, &Ipv4Addr::new(a, b, 0, 0).octets()); // RTA_DST
    put(&mut near, 7, &address.octets()); // RTA_PREFSRC
    put(&mut near, 4, &index);
    vec![outside, near]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        message(kind, flags, 7, 0, body)
    }

    #[test]
    fn a_dump_ends_with_done() {
        let interfaces = Interfaces::with_network([172, 17, 0, 2].into(), [172, 17, 0, 1].into());
        let found = answers(&interfaces, &request(GET_ADDR, NLM_F_DUMP, &[0; 8]), 5);
        assert_eq!(found.len(), 2);
        let done = Request::split(&found[1]).unwrap().0;
        assert_eq!((done.kind, done.sequence), (NLMSG_DONE, 7));
    }

    #[test]
    fn changes_are_refused_and_nonsense_is_ignored() {
        let interfaces = Interfaces::default();
        let found = answers(&interfaces, &request(NEW_LINK, NLM_F_ACK, &[0; 16]), 5);
        assert_eq!(i32::from_le_bytes(found[0][16..20].try_into().unwrap()), -Errno::EPERM.0);
        assert!(answers(&interfaces, &[255; 40], 5).is_empty());
        assert!(answers(&interfaces, &[3, 0, 0, 0], 5).is_empty());
    }
}
