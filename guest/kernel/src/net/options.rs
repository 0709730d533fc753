//! Socket options (socket(7), ip(7), ipv6(7), tcp(7), udp(7)): `Options` keeps what was set; `ROWS` says what can be.

use std::cell::RefCell;
use std::collections::BTreeMap;

use shallop_linux_abi::Errno;

use super::{Domain, Kind, Socket, State};

/// Levels.
pub mod level {
    pub const IP: u32 = 0;
    pub const SOCKET: u32 = 1;
    pub const TCP: u32 = 6;
    pub const UDP: u32 = 17;
    pub const IPV6: u32 = 41;
    pub const NETLINK: u32 = 270;
}

/// Options of SOL_SOCKET that have an effect here, and some names.
pub mod so {
    pub const REUSEADDR: u32 = 2;
    pub const TYPE: u32 = 3;
    pub const ERROR: u32 = 4;
    pub const BROADCAST: u32 = 6;
    pub const SNDBUF: u32 = 7;
    pub const RCVBUF: u32 = 8;
    pub const LINGER: u32 = 13;
    pub const REUSEPORT: u32 = 15;
    pub const PASSCRED: u32 = 16;
    pub const PEERCRED: u32 = 17;
    pub const RCVTIMEO: u32 = 20;
    pub const SNDTIMEO: u32 = 21;
    pub const BINDTODEVICE: u32 = 25;
    pub const ACCEPTCONN: u32 = 30;
    pub const SNDBUFFORCE: u32 = 32;
    pub const RCVBUFFORCE: u32 = 33;
    pub const MARK: u32 = 36;
    pub const PROTOCOL: u32 = 38;
    pub const DOMAIN: u32 = 39;
}

const IPV6_V6ONLY: u32 = 26;
const TCP_CONGESTION: u32 = 13;
const TCP_INFO: u32 = 11;

/// Default of SO_SNDBUF and SO_RCVBUF.
const BUFFER: u32 = super::channel::CAPACITY as u32;
/// Largest that can be asked for (net.core.wmem_max), and smallest that is given.
const BUFFER_MAX: u32 = 212_992;
const BUFFER_MIN: u32 = 2304;

/// How an option's value is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// An int that is 0 or 1.
    Switch,
    /// An int, with what it is at first.
    Number(u32),
    /// SO_SNDBUF, SO_RCVBUF: twice what was asked for.
    Buffer,
    /// A struct of so many bytes, zero at first.
    Struct(usize),
    /// Taken and forgotten: groups to join, devices.
    Ignored,
}

/// What can be set: level, name, form. It has no effect unless this crate asks for it.
const ROWS: &[(u32, u32, Form)] = {
    use Form::*;
    &[
        (level::SOCKET, 1, Switch), // SO_DEBUG
        (level::SOCKET, so::REUSEADDR, Switch),
        (level::SOCKET, 5, Switch), // SO_DONTROUTE
        (level::SOCKET, so::BROADCAST, Switch),
        (level::SOCKET, so::SNDBUF, Buffer),
        (level::SOCKET, so::RCVBUF, Buffer),
        (level::SOCKET, 9, Switch),     // SO_KEEPALIVE
        (level::SOCKET, 10, Switch),    // SO_OOBINLINE
        (level::SOCKET, 11, Switch),    // SO_NO_CHECK
        (level::SOCKET, 12, Number(0)), // SO_PRIORITY
        (level::SOCKET, so::LINGER, Struct(8)),
        (level::SOCKET, so::REUSEPORT, Switch),
        (level::SOCKET, so::PASSCRED, Switch),
        (level::SOCKET, 18, Number(1)), // SO_RCVLOWAT
        (level::SOCKET, so::RCVTIMEO, Struct(16)),
        (level::SOCKET, so::SNDTIMEO, Struct(16)),
        (level::SOCKET, 29, Switch),    // SO_TIMESTAMP
        (level::SOCKET, 35, Switch),    // SO_TIMESTAMPNS
        (level::SOCKET, 40, Switch),    // SO_RXQ_OVFL
        (level::SOCKET, 46, Number(0)), // SO_BUSY_POLL
        (level::SOCKET, 60, Switch),    // SO_ZEROCOPY
        (level::IP, 1, Number(0)),      // IP_TOS
        (level::IP, 2, Number(64)),     // IP_TTL
        (level::IP, 8, Switch),         // IP_PKTINFO
        (level::IP, 10, Number(1)),     // IP_MTU_DISCOVER
        (level::IP, 11, Switch),        // IP_RECVERR
        (level::IP, 12, Switch),        // IP_RECVTTL
        (level::IP, 13, Switch),        // IP_RECVTOS
        (level::IP, 15, Switch),        // IP_FREEBIND
        (level::IP, 24, Switch),        // IP_BIND_ADDRESS_NO_PORT
        (level::IP, 32, Ignored),       // IP_MULTICAST_IF
        (level::IP, 33, Number(1)),     // IP_MULTICAST_TTL
        (level::IP, 34, Number(1)),     // IP_MULTICAST_LOOP
        (level::IP, 35, Ignored),       // IP_ADD_MEMBERSHIP
        (level::IP, 36, Ignored),       // IP_DROP_MEMBERSHIP
        (level::IPV6, 16, Number(64)),  // IPV6_UNICAST_HOPS
        (level::IPV6, 17, Ignored),     // IPV6_MULTICAST_IF
        (level::IPV6, 18, Number(1)),   // IPV6_MULTICAST_HOPS
        (level::IPV6, 19, Number(1)),   // IPV6_MULTICAST_LOOP
        (level::IPV6, 20, Ignored),     // IPV6_ADD_MEMBERSHIP
        (level::IPV6, 23, Number(1)),   // IPV6_MTU_DISCOVER
        (level::IPV6, 25, Switch),      // IPV6_RECVERR
        (level::IPV6, IPV6_V6ONLY, Switch),
        (level::IPV6, 49, Switch),     // IPV6_RECVPKTINFO
        (level::IPV6, 51, Switch),     // IPV6_RECVHOPLIMIT
        (level::IPV6, 66, Switch),     // IPV6_RECVTCLASS
        (level::IPV6, 67, Number(0)),  // IPV6_TCLASS
        (level::IPV6, 72, Ignored),    // IPV6_ADDR_PREFERENCES
        (level::TCP, 1, Switch),       // TCP_NODELAY
        (level::TCP, 2, Number(536)),  // TCP_MAXSEG
        (level::TCP, 3, Switch),       // TCP_CORK
        (level::TCP, 4, Number(7200)), // TCP_KEEPIDLE
        (level::TCP, 5, Number(75)),   // TCP_KEEPINTVL
        (level::TCP, 6, Number(9)),    // TCP_KEEPCNT
        (level::TCP, 7, Number(6)),    // TCP_SYNCNT
        (level::TCP, 8, Number(60)),   // TCP_LINGER2
        (level::TCP, 9, Number(0)),    // TCP_DEFER_ACCEPT
        (level::TCP, 10, Number(0)),   // TCP_WINDOW_CLAMP
        (level::TCP, 12, Switch),      // TCP_QUICKACK
        (level::TCP, 18, Number(0)),   // TCP_USER_TIMEOUT
        (level::TCP, 23, Number(0)),   // TCP_FASTOPEN
        (level::TCP, 25, Number(0)),   // TCP_NOTSENT_LOWAT
        (level::TCP, 30, Switch),      // TCP_FASTOPEN_CONNECT
        (level::UDP, 1, Switch),       // UDP_CORK
        (level::NETLINK, 1, Ignored),  // NETLINK_ADD_MEMBERSHIP
        (level::NETLINK, 2, Ignored),  // NETLINK_DROP_MEMBERSHIP
        (level::NETLINK, 3, Switch),   // NETLINK_PKTINFO
        (level::NETLINK, 10, Switch),  // NETLINK_CAP_ACK
        (level::NETLINK, 11, Switch),  // NETLINK_EXT_ACK
        (level::NETLINK, 12, Switch),  // NETLINK_GET_STRICT_CHK
    ]
};

fn form(level: u32, name: u32) -> Option<Form> {
    ROWS.iter().find(|row| (row.0, row.1) == (level, name)).map(|row| row.2)
}

/// Whether sockets of this domain and kind have options of that level.
fn has_level(socket: &Socket, level: u32) -> bool {
    let common = &socket.common;
    match level {
        level::SOCKET => true,
        level::IP => matches!(common.domain, Domain::Inet | Domain::Inet6),
        level::IPV6 => common.domain == Domain::Inet6,
        level::TCP => matches!(common.domain, Domain::Inet | Domain::Inet6) && common.kind == Kind::Stream,
        level::UDP => matches!(common.domain, Domain::Inet | Domain::Inet6) && common.kind == Kind::Datagram,
        level::NETLINK => common.domain == Domain::Netlink,
        _ => false,
    }
}

/// What was set.
#[derive(Debug, Clone, Default)]
pub struct Options(RefCell<BTreeMap<(u32, u32), Vec<u8>>>);

impl Options {
    fn bytes(&self, level: u32, name: u32) -> Option<Vec<u8>> {
        if let Some(bytes) = self.0.borrow().get(&(level, name)) {
            return Some(bytes.clone());
        }
        let number = |value: u32| value.to_le_bytes().to_vec();
        Some(match form(level, name)? {
            Form::Switch => number(0),
            Form::Number(value) => number(value),
            Form::Buffer => number(BUFFER),
            Form::Struct(len) => vec![0; len],
            Form::Ignored => return None,
        })
    }

    fn number(&self, level: u32, name: u32) -> u32 {
        self.bytes(level, name).map_or(0, |bytes| word(&bytes, 0))
    }

    /// Whether a switch of SOL_SOCKET is on.
    pub fn is_on(&self, name: u32) -> bool {
        self.number(level::SOCKET, name) != 0
    }

    /// IPV6_V6ONLY.
    pub fn v6_only(&self) -> bool {
        self.number(level::IPV6, IPV6_V6ONLY) != 0
    }

    /// SO_RCVTIMEO or SO_SNDTIMEO in nanoseconds; `None`: wait for ever.
    pub fn timeout(&self, name: u32) -> Option<u64> {
        let bytes = self.0.borrow().get(&(level::SOCKET, name))?.clone();
        let part = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let time = part(0).saturating_mul(1_000_000_000).saturating_add(part(8).saturating_mul(1000));
        (time != 0).then_some(time)
    }

    /// SO_LINGER with no time: closing resets the connection.
    pub fn aborts(&self) -> bool {
        let linger = self.bytes(level::SOCKET, so::LINGER).unwrap_or_default();
        word(&linger, 0) != 0 && word(&linger, 4) == 0
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// setsockopt(2). `privileged`: the caller has CAP_NET_ADMIN.
pub fn set(socket: &Socket, level: u32, name: u32, value: &[u8], privileged: bool) -> Result<(), Errno> {
    if !has_level(socket, level) {
        return Err(missing(socket, false));
    }
    if level == level::SOCKET && matches!(name, so::SNDBUFFORCE | so::RCVBUFFORCE | so::MARK) && !privileged {
        return Err(Errno::EPERM);
    }
    if level == level::SOCKET && name == so::BINDTODEVICE {
        return bind_to_device(value);
    }
    if (level, name) == (level::TCP, TCP_CONGESTION) {
        let known = [&b"cubic"[..], b"reno"].contains(&value.split(|b| *b == 0).next().unwrap_or_default());
        return if known { Ok(()) } else { Err(Errno::ENOENT) };
    }
    let form = form(level, name).ok_or(Errno::ENOPROTOOPT)?;
    let needed = if let Form::Struct(len) = form { len } else { 4 };
    if form != Form::Ignored && value.len() < needed {
        // Options of IP may be single bytes.
        let short = matches!(level, level::IP) && value.len() == 1;
        if !short {
            return Err(Errno::EINVAL);
        }
    }
    let number = if value.len() >= 4 { word(value, 0) } else { value.first().copied().unwrap_or(0).into() };
    let kept = match form {
        Form::Ignored => return Ok(()),
        Form::Switch => u32::from(number != 0).to_le_bytes().to_vec(),
        Form::Number(_) => number.to_le_bytes().to_vec(),
        Form::Buffer => number.min(BUFFER_MAX).saturating_mul(2).max(BUFFER_MIN).to_le_bytes().to_vec(),
        Form::Struct(len) => checked_struct(name, &value[..len])?,
    };
    socket.common.options.0.borrow_mut().insert((level, name), kept);
    if (level, name) == (level::SOCKET, so::LINGER) {
        socket.protocol.abort_on_close(socket.common.options.aborts());
    }
    Ok(())
}

/// EDOM for times that are none.
fn checked_struct(name: u32, value: &[u8]) -> Result<Vec<u8>, Errno> {
    if matches!(name, so::RCVTIMEO | so::SNDTIMEO) {
        let micros = i64::from_le_bytes(std::array::from_fn(|i| value[8 + i]));
        if !(0..1_000_000).contains(&micros) {
            return Err(Errno::EDOM);
        }
        // A negative time is none.
        if value[7] & 0x80 != 0 {
            return Ok(vec![0; value.len()]);
        }
    }
    Ok(value.to_vec())
}

fn bind_to_device(value: &[u8]) -> Result<(), Errno> {
    match value.split(|byte| *byte == 0).next().unwrap_or_default() {
        b"" | b"lo" => Ok(()),
        _ => Err(Errno::ENODEV),
    }
}

/// What is said of a level that a socket does not have.
fn missing(socket: &Socket, asked: bool) -> Errno {
    match socket.common.domain {
        Domain::Unix => Errno::EOPNOTSUPP,
        Domain::Inet if asked => Errno::EOPNOTSUPP,
        _ => Errno::ENOPROTOOPT,
    }
}

/// getsockopt(2): the value's bytes, whole.
pub fn get(socket: &Socket, level: u32, name: u32) -> Result<Vec<u8>, Errno> {
    let common = &socket.common;
    if !has_level(socket, level) {
        return Err(missing(socket, true));
    }
    let number = |value: u32| Ok(value.to_le_bytes().to_vec());
    match (level, name) {
        (level::SOCKET, so::TYPE) => number(common.kind as u32),
        (level::SOCKET, so::ERROR) => {
            socket.protocol.settle();
            number(common.error.take().map_or(0, |errno| errno.0 as u32))
        }
        (level::SOCKET, so::ACCEPTCONN) => number((socket.protocol.state() == State::Listening).into()),
        (level::SOCKET, so::PROTOCOL) => number(common.protocol),
        (level::SOCKET, so::DOMAIN) => number(common.domain as u32),
        (level::SOCKET, so::PEERCRED) => Ok(credentials(socket)),
        (level::SOCKET, so::BINDTODEVICE) => Ok(Vec::new()),
        (level::TCP, TCP_CONGESTION) => Ok(b"cubic\0\0\0\0\0\0\0\0\0\0\0".to_vec()),
        (level::TCP, TCP_INFO) => Ok(tcp_info(socket)),
        _ => common.options.bytes(level, name).ok_or(Errno::ENOPROTOOPT),
    }
}

/// struct ucred; without a peer pid 0 and no users.
fn credentials(socket: &Socket) -> Vec<u8> {
    let words = match socket.protocol.peer_credentials() {
        Some(peer) => [peer.pid, peer.uid, peer.gid],
        None => [0, u32::MAX, u32::MAX],
    };
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// struct tcp_info, of which the state is known.
fn tcp_info(socket: &Socket) -> Vec<u8> {
    let mut info = vec![0; 104];
    info[0] = tcp_state(socket.protocol.state());
    info
}

/// The numbers of include/net/tcp_states.h.
pub fn tcp_state(state: State) -> u8 {
    match state {
        State::Connected => 1,
        State::Connecting => 2,
        State::Unconnected => 7,
        State::CloseWait => 8,
        State::Listening => 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_unique() {
        for (i, row) in ROWS.iter().enumerate() {
            assert!(ROWS[..i].iter().all(|other| (other.0, other.1) != (row.0, row.1)), "{row:?} twice");
        }
    }

    #[test]
    fn times_are_checked() {
        let mut value = [0; 16];
        value[8] = 5;
        assert_eq!(checked_struct(so::RCVTIMEO, &value), Ok(value.to_vec()));
        value[15] = 0x80;
        assert_eq!(checked_struct(so::RCVTIMEO, &value), Err(Errno::EDOM));
    }
}
