//! Socket addresses (struct sockaddr): `Address`, and its forms in guest memory.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use shallop_linux_abi::Errno;

use super::Domain;

/// Longest path in a struct sockaddr_un.
const UNIX_PATH: usize = 108;
/// struct sockaddr_storage.
pub const MAX_LEN: u64 = 128;

/// The address of an AF_UNIX socket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnixName {
    /// A path, or NUL and an abstract name; empty for an unnamed socket.
    pub text: Vec<u8>,
    /// Device and inode number of a path's socket.
    pub node: Option<(u64, u64)>,
}

impl UnixName {
    pub fn is_abstract(&self) -> bool {
        self.text.first() == Some(&0)
    }
}

/// Where a socket is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Address {
    /// AF_UNSPEC: no address, or the end of a connection.
    #[default]
    Unspecified,
    Unix(UnixName),
    /// An IPv4 address that came in an IPv6 one (`::ffff:1.2.3.4`) is an IPv4 address here.
    Inet(SocketAddr),
    Netlink {
        port: u32,
        groups: u32,
    },
}

impl Address {
    /// Reads a struct sockaddr for a socket of `domain`.
    ///
    /// # Errors
    /// EINVAL when it is too short or long, EAFNOSUPPORT when it is of another family.
    pub fn decode(bytes: &[u8], domain: Domain) -> Result<Address, Errno> {
        let family = u16::from_le_bytes(bytes.get(..2).and_then(|b| b.try_into().ok()).ok_or(Errno::EINVAL)?);
        match (Domain::from_number(family.into()), domain) {
            _ if family == 0 => Ok(Address::Unspecified),
            (Some(Domain::Unix), Domain::Unix) => decode_unix(&bytes[2..]),
            (Some(Domain::Inet), Domain::Inet) => decode_inet(bytes).ok_or(Errno::EINVAL),
            (Some(Domain::Inet6), Domain::Inet6) => decode_inet6(bytes).ok_or(Errno::EINVAL),
            (Some(Domain::Netlink), Domain::Netlink) => decode_netlink(bytes).ok_or(Errno::EINVAL),
            (_, Domain::Unix | Domain::Netlink) => Err(Errno::EINVAL),
            (_, Domain::Inet) if bytes.len() < 16 => Err(Errno::EINVAL),
            (_, Domain::Inet6) if bytes.len() < 24 => Err(Errno::EINVAL),
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    /// The struct sockaddr that a socket of `domain` shows; whole, whatever room there is for it.
    pub fn encode(&self, domain: Domain) -> Vec<u8> {
        let mut bytes = (domain as u16).to_le_bytes().to_vec();
        match self {
            Address::Unspecified if domain == Domain::Inet => bytes.resize(16, 0),
            Address::Unspecified if domain == Domain::Inet6 => bytes.resize(28, 0),
            Address::Unspecified => {}
            Address::Unix(name) => {
                bytes.extend(&name.text);
                if !name.text.is_empty() && !name.is_abstract() {
                    bytes.push(0);
                }
            }
            Address::Inet(at) => encode_inet(&mut bytes, *at, domain),
            Address::Netlink { port, groups } => {
                bytes.extend([0, 0]);
                bytes.extend(port.to_le_bytes());
                bytes.extend(groups.to_le_bytes());
            }
        }
        bytes
    }
}

fn decode_unix(path: &[u8]) -> Result<Address, Errno> {
    if path.len() > UNIX_PATH {
        return Err(Errno::EINVAL);
    }
    let len = match path.first() {
        None | Some(0) => path.len(),
        Some(_) => path.iter().position(|byte| *byte == 0).unwrap_or(path.len()),
    };
    Ok(Address::Unix(UnixName { text: path[..len].to_vec(), node: None }))
}

fn decode_inet(bytes: &[u8]) -> Option<Address> {
    let rest = bytes.get(2..16)?;
    let port = u16::from_be_bytes([rest[0], rest[1]]);
    let ip = Ipv4Addr::new(rest[2], rest[3], rest[4], rest[5]);
    Some(Address::Inet(SocketAddr::new(ip.into(), port)))
}

fn decode_inet6(bytes: &[u8]) -> Option<Address> {
    // The scope was not there in the first form of it.
    let rest = bytes.get(2..24)?;
    let port = u16::from_be_bytes([rest[0], rest[1]]);
    let octets: [u8; 16] = rest[6..22].try_into().ok()?;
    let scope = bytes.get(24..28).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let ip = Ipv6Addr::from(octets);
    Some(Address::Inet(match ip.to_ipv4_mapped() {
        Some(ip) => SocketAddr::new(ip.into(), port),
        None => SocketAddrV6::new(ip, port, 0, scope).into(),
    }))
}

fn decode_netlink(bytes: &[u8]) -> Option<Address> {
    let word = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    Some(Address::Netlink { port: word(4)?, groups: word(8)? })
}

fn encode_inet(bytes: &mut Vec<u8>, at: SocketAddr, domain: Domain) {
    bytes.extend(at.port().to_be_bytes());
    match (at.ip(), domain) {
        (IpAddr::V4(ip), Domain::Inet) => {
            bytes.extend(ip.octets());
            bytes.resize(16, 0);
        }
        (ip, _) => {
            let (ip, scope) = match (ip, at) {
                (IpAddr::V4(ip), _) => (ip.to_ipv6_mapped(), 0),
                (IpAddr::V6(ip), SocketAddr::V6(full)) => (ip, full.scope_id()),
                (IpAddr::V6(ip), _) => (ip, 0),
            };
            bytes.extend([0; 4]);
            bytes.extend(ip.octets());
            bytes.extend(scope.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_they_were() {
        for (text, domain) in
            [("127.0.0.1:80", Domain::Inet), ("[::1]:53", Domain::Inet6), ("10.0.0.1:9", Domain::Inet6)]
        {
            let address = Address::Inet(text.parse().unwrap());
            assert_eq!(Address::decode(&address.encode(domain), domain), Ok(address));
        }
        let name = Address::Unix(UnixName { text: b"/run/x".to_vec(), node: None });
        let bytes = name.encode(Domain::Unix);
        assert_eq!((bytes.len(), Address::decode(&bytes, Domain::Unix)), (9, Ok(name)));
    }

    #[test]
    fn short_and_foreign_addresses_are_refused() {
        assert_eq!(Address::decode(&[2], Domain::Inet), Err(Errno::EINVAL));
        assert_eq!(Address::decode(&[2, 0, 0, 80, 127, 0], Domain::Inet), Err(Errno::EINVAL));
        assert_eq!(Address::decode(&[10; 28], Domain::Inet), Err(Errno::EAFNOSUPPORT));
        assert_eq!(Address::decode(&[1; 200], Domain::Unix), Err(Errno::EINVAL));
        assert_eq!(Address::decode(&[0, 0], Domain::Inet6), Ok(Address::Unspecified));
    }
}
