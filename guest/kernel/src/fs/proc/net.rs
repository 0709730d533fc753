//! /proc/<pid>/net (proc_pid_net(5)): interfaces, routes, and the sandbox's sockets.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::file;
use crate::fs::pseudo::tree::{Directory, Row, Subject};
use crate::kernel::Kernel;
use crate::net::address::Address;
use crate::net::{Domain, Kind, Socket, State, options};

pub(super) static DIRECTORY: Directory = Directory { rows: &ROWS, more: None };

static ROWS: [Row; 13] = [
    file("dev", dev),
    file("tcp", |k, _| Ok(inet(k, Domain::Inet, Kind::Stream))),
    file("tcp6", |k, _| Ok(inet(k, Domain::Inet6, Kind::Stream))),
    file("udp", |k, _| Ok(inet(k, Domain::Inet, Kind::Datagram))),
    file("udp6", |k, _| Ok(inet(k, Domain::Inet6, Kind::Datagram))),
    // There are no raw sockets.
    file("raw", |_, _| Ok(inet_head(Domain::Inet, Kind::Datagram).into_bytes())),
    file("raw6", |_, _| Ok(inet_head(Domain::Inet6, Kind::Datagram).into_bytes())),
    file("unix", unix),
    file("route", route),
    file(
        "arp",
        |_, _| Ok(b"IP address       HW type     Flags       HW address            Mask     Device\n".to_vec()),
    ),
    file("if_inet6", |_, _| Ok(b"00000000000000000000000000000001 01 80 10 80       lo\n".to_vec())),
    file("netlink", |_, _| {
        Ok(b"sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n".to_vec())
    }),
    file("sockstat", sockstat),
];

fn dev(k: &Kernel, _: &Subject) -> Result<Vec<u8>, Errno> {
    let mut text = "Inter-|   Receive                                                |  Transmit\n \
                    face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"
        .to_owned();
    let zeroes = "       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0";
    for one in k.net.interfaces.list() {
        let _ = writeln!(text, "{:>6}:{zeroes}", one.name);
    }
    Ok(text.into_bytes())
}

fn route(k: &Kernel, _: &Subject) -> Result<Vec<u8>, Errno> {
    let head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";
    let mut lines = vec![head.to_owned()];
    if let (Some(address), Some(gateway)) = (k.net.interfaces.address(), k.net.interfaces.gateway()) {
        let [a, b, ..] = address.octets();
        let word = |ip: Ipv4Addr| u32::from_le_bytes(ip.octets());
        lines.push(format!("eth0\t00000000\t{:08X}\t0003\t0\t0\t0\t00000000\t0\t0\t0", word(gateway)));
        let near = word(Ipv4Addr::new(a, b, 0, 0));
        lines.push(format!("eth0\t{near:08X}\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0"));
    }
    Ok(lines.iter().map(|line| format!("{line:<127}\n")).collect::<String>().into_bytes())
}

/// An address as these tables have it: words of the machine's byte order, then the port.
fn inet_address(at: SocketAddr, domain: Domain) -> String {
    let word = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let ip = match (at.ip(), domain) {
        (IpAddr::V4(ip), Domain::Inet) => format!("{:08X}", word(&ip.octets())),
        (ip, _) => {
            let octets = match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            octets.chunks_exact(4).map(|bytes| format!("{:08X}", word(bytes))).collect()
        }
    };
    format!("{ip}:{:04X}", at.port())
}

/// Sockets of a domain and kind that have a port, with their addresses.
fn inet_sockets(k: &Kernel, domain: Domain, kind: Kind) -> Vec<(u64, Rc<Socket>, SocketAddr, SocketAddr)> {
    let all = k.net.sockets().into_iter();
    let of_kind = all.filter(|(_, socket)| socket.common.domain == domain && socket.common.kind == kind);
    of_kind
        .filter_map(|(ino, socket)| {
            let Address::Inet(local) = socket.protocol.local() else { return None };
            let any = if domain == Domain::Inet { "0.0.0.0:0" } else { "[::]:0" };
            let peer = match socket.protocol.peer() {
                Ok(Address::Inet(peer)) => peer,
                _ => any.parse().ok()?,
            };
            (local.port() != 0).then_some((ino, socket, local, peer))
        })
        .collect()
}

/// The first line of /proc/net/tcp and those like it.
fn inet_head(domain: Domain, kind: Kind) -> String {
    let six = domain == Domain::Inet6;
    let (local, remote) = ("local_address", if six { "remote_address" } else { "rem_address" });
    let width = if six { 38 } else { 14 };
    let more = if kind == Kind::Datagram { " ref pointer drops" } else { "" };
    let rest = "st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
    format!("  sl  {local:<width$}{remote:<width$}{rest}{more}\n")
}

/// /proc/net/tcp and those like it.
fn inet(k: &Kernel, domain: Domain, kind: Kind) -> Vec<u8> {
    let mut text = inet_head(domain, kind);
    for (number, (ino, socket, local, peer)) in inet_sockets(k, domain, kind).into_iter().enumerate() {
        let state = options::tcp_state(socket.protocol.state());
        let (sent, received) = (socket.protocol.unsent(), socket.protocol.available().unwrap_or(0));
        let (local, peer) = (inet_address(local, domain), inet_address(peer, domain));
        let more = if kind == Kind::Datagram { "2 0000000000000000 0" } else { "1 0000000000000000 100 0 0 10 0" };
        let line = format!(
            "{number:>4}: {local} {peer} {state:02X} {sent:08X}:{received:08X} 00:00000000 00000000 {:>5}        0 {ino} {more}",
            socket.common.owner.uid
        );
        let _ = writeln!(text, "{line:<149}");
    }
    text.into_bytes()
}

fn unix(k: &Kernel, _: &Subject) -> Result<Vec<u8>, Errno> {
    let mut bytes = b"Num       RefCount Protocol Flags    Type St Inode Path\n".to_vec();
    for (ino, socket) in k.net.sockets() {
        let Address::Unix(name) = socket.protocol.local() else { continue };
        let (flags, state) = match socket.protocol.state() {
            State::Listening => (0x10000, 1),
            State::Connected => (0, 3),
            _ => (0, 1),
        };
        let kind = socket.common.kind as u32;
        bytes.extend(
            format!("0000000000000000: 00000002 00000000 {flags:08X} {kind:04X} {state:02X} {ino:>5}").into_bytes(),
        );
        if !name.text.is_empty() {
            bytes.push(b' ');
            bytes.extend(name.text.iter().map(|byte| if *byte == 0 { b'@' } else { *byte }));
        }
        bytes.push(b'\n');
    }
    Ok(bytes)
}

fn sockstat(k: &Kernel, _: &Subject) -> Result<Vec<u8>, Errno> {
    let count = |kind| inet_sockets(k, Domain::Inet, kind).len();
    let (all, tcp, udp) = (k.net.sockets().len(), count(Kind::Stream), count(Kind::Datagram));
    Ok(format!("sockets: used {all}\nTCP: inuse {tcp} orphan 0 tw 0 alloc {tcp} mem 0\nUDP: inuse {udp} mem 0\n")
        .into_bytes())
}
