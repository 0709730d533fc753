//! What of the network a sandbox may reach: [`Policy`].
//!
//! Never reached: the host's own addresses (but by `host-gateway`) and multicast. Not by default: link-local addresses, where
//! clouds keep their secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use anyhow::{Result, ensure};

/// The container's address, as the first one of Docker's default bridge has it.
pub const SUBNET_ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 2);
/// The address that stands for the host.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 1);

/// Names and addresses kept for one sandbox at most.
const MAX_KNOWN: usize = 4096;

/// One entry of an allow-list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// A name, an address, or `*.` and the end of a name.
    pub name: String,
    /// `None`: every port.
    pub port: Option<u16>,
}

impl Rule {
    /// Reads `NAME`, `NAME:PORT`, `*.DOMAIN:PORT`, `ADDRESS:PORT` or `[ADDRESS]:PORT`.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &str) -> Result<Rule> {
        let (name, port) = match text.rsplit_once(':') {
            _ if text.parse::<Ipv6Addr>().is_ok() => (text, None),
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        };
        let name = name.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
        let domain = name.strip_prefix("*.").unwrap_or(&name);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        ensure!(!domain.is_empty() && domain.chars().all(plain), "{text:?} is not NAME or NAME:PORT");
        let port = port.map(|port| port.parse()).transpose();
        let port = port.map_err(|_| anyhow::anyhow!("{text:?} is not NAME or NAME:PORT: no such port"))?;
        Ok(Rule { name, port })
    }

    /// Whether it is about this port, or about any where there is none.
    fn fits(&self, port: Option<u16>) -> bool {
        self.port.is_none() || port.is_none() || self.port == port
    }

    /// Whether it names this name.
    fn names(&self, name: &str) -> bool {
        match self.name.strip_prefix('*') {
            Some(end) => name.len() > end.len() && name.ends_with(end),
            None => self.name == name,
        }
    }
}

/// What a sandbox may reach.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// `None`: everything but what is always refused.
    pub allowed: Option<Vec<Rule>>,
    /// Names that are known here (`--add-host`).
    pub hosts: Vec<(String, IpAddr)>,
    /// The container's own.
    pub own_name: Option<String>,
}

/// What a program is told of an address that it may not reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// There is no way to it: ENETUNREACH.
    Unreachable,
    /// It is not allowed: EACCES.
    Denied,
}

/// Why something is refused: what the program is told, and what its user, if anything.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub told: Told,
    pub reason: Option<&'static str>,
}

impl Policy {
    /// Whether `host-gateway` was granted.
    pub fn reaches_host(&self) -> bool {
        self.hosts.iter().any(|(_, ip)| *ip == IpAddr::V4(GATEWAY))
    }

    /// The addresses of a name that are known here.
    pub fn known_here(&self, name: &str) -> Option<Vec<IpAddr>> {
        let mut found: Vec<_> = self.hosts.iter().filter(|(host, _)| host == name).map(|(_, ip)| *ip).collect();
        if self.own_name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name)) {
            found.push(SUBNET_ADDRESS.into());
        }
        (!found.is_empty()).then_some(found)
    }

    /// The name of an address that is known here.
    pub fn name_here(&self, ip: IpAddr) -> Option<&str> {
        let ip = plain(ip);
        let added = self.hosts.iter().find(|(_, known)| plain(*known) == ip).map(|(name, _)| name.as_str());
        added.or_else(|| match ip {
            _ if ip.is_loopback() => Some("localhost"),
            _ if ip == SUBNET_ADDRESS => self.own_name.as_deref(),
            _ => None,
        })
    }

    /// Whether an address's name may be asked for: one that nothing refuses, whatever the port.
    ///
    /// # Errors
    /// Without a reason where there is no name to be had.
    pub fn check_name_of(&self, ip: IpAddr, learned: &Learned) -> Result<(), Refusal> {
        let ip = plain(ip);
        let refuse = |reason| Err(Refusal { told: Told::Denied, reason });
        let nobody = ip.is_multicast() || ip == GATEWAY || is_own(SocketAddr::new(ip, 0));
        match self.lists(ip, None, learned) {
            _ if nobody || is_link_local(ip) && !self.names_address(ip, None) => refuse(None),
            false => refuse(Some("--network-allow does not name it")),
            true => Ok(()),
        }
    }

    /// Whether a name may be looked up.
    pub fn may_resolve(&self, name: &str) -> bool {
        let Some(rules) = &self.allowed else { return true };
        rules.iter().any(|rule| rule.names(name))
    }

    /// Where a connection to an address goes, or why not. `learned` are the names that were looked up.
    pub fn check(&self, to: SocketAddr, learned: &Learned) -> Result<SocketAddr, Refusal> {
        let to = SocketAddr::new(plain(to.ip()), to.port());
        let refuse = |reason| Err(Refusal { told: Told::Denied, reason: Some(reason) });
        if to.ip().is_multicast() || matches!(to.ip(), IpAddr::V4(ip) if ip.is_broadcast()) {
            return Err(Refusal { told: Told::Unreachable, reason: None });
        }
        if to.ip() == IpAddr::V4(GATEWAY) {
            return match self.reaches_host() && self.lists(to.ip(), Some(to.port()), learned) {
                true => Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), to.port())),
                false => refuse("the host is reached by --add-host host.docker.internal:host-gateway"),
            };
        }
        if is_link_local(to.ip()) && !self.names_address(to.ip(), Some(to.port())) {
            return refuse("link-local addresses are not reached, unless --network-allow names them");
        }
        if !self.lists(to.ip(), Some(to.port()), learned) {
            return refuse("--network-allow does not name it");
        }
        match is_own(to) {
            true => refuse("it is the host's own address, which is reached as host.docker.internal"),
            false => Ok(to),
        }
    }

    /// Whether the allow-list, where there is one, has an address: itself or by a name. Without a port, any will do.
    fn lists(&self, ip: IpAddr, port: Option<u16>, learned: &Learned) -> bool {
        let Some(rules) = &self.allowed else { return true };
        let names = learned.names_of(ip);
        let own = self.hosts.iter().filter(|(_, known)| *known == ip).map(|(name, _)| name.as_str());
        let names: Vec<&str> = names.chain(own).collect();
        let names_one = |rule: &Rule| names.iter().any(|name| rule.names(name));
        self.names_address(ip, port) || rules.iter().any(|rule| rule.fits(port) && names_one(rule))
    }

    /// Whether the allow-list has an address as such.
    fn names_address(&self, ip: IpAddr, port: Option<u16>) -> bool {
        let is_it = |rule: &Rule| rule.name.parse::<IpAddr>().is_ok_and(|named| plain(named) == ip);
        self.allowed.iter().flatten().any(|rule| rule.fits(port) && is_it(rule))
    }
}

/// The names of addresses that a sandbox has asked for.
#[derive(Debug, Default)]
pub struct Learned(BTreeMap<IpAddr, BTreeSet<String>>);

impl Learned {
    pub fn note(&mut self, name: &str, addresses: &[IpAddr]) {
        for ip in addresses {
            if self.0.len() < MAX_KNOWN || self.0.contains_key(&plain(*ip)) {
                let names = self.0.entry(plain(*ip)).or_default();
                if names.len() < MAX_KNOWN {
                    names.insert(name.to_owned());
                }
            }
        }
    }

    fn names_of(&self, ip: IpAddr) -> impl Iterator<Item = &str> {
        self.0.get(&ip).into_iter().flatten().map(String::as_str)
    }
}

/// The IPv4 address in an IPv6 one that only wraps it: mapped, compatible, or by way of a translator (RFC 6052).
fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = ip else { return ip };
    let [a, b, c, d, e, f, g, h] = six.segments();
    let inner = || Ipv4Addr::from(u32::from(g) << 16 | u32::from(h));
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => inner().into(),
        (0, 0, 0, 0, 0, 0) if six != Ipv6Addr::LOCALHOST && six != Ipv6Addr::UNSPECIFIED => inner().into(),
        _ => ip,
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
    }
}

/// Whether an address is this machine's: the system sends to those from themselves, or over the loopback.
fn is_own(to: SocketAddr) -> bool {
    if to.ip().is_loopback() || to.ip().is_unspecified() {
        return true;
    }
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Connecting sends nothing. Where there is no way to it, it is not this machine.
    let probe = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((to.ip(), to.port().max(1)))?;
        socket.local_addr()
    });
    probe.is_ok_and(|from| from.ip() == to.ip() || from.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(policy: &Policy, to: &str) -> bool {
        policy.check(to.parse().unwrap(), &Learned::default()).is_err()
    }

    #[test]
    fn the_host_and_link_local_addresses_are_not_reached() {
        let open = Policy::default();
        for to in [
            "127.0.0.1:80",
            "[::1]:80",
            "[::ffff:127.0.0.1]:80",
            "0.0.0.0:80",
            "169.254.169.254:80",
            "[::ffff:169.254.169.254]:80",
            "[64:ff9b::a9fe:a9fe]:80",
            "[::169.254.169.254]:80",
            "[fe80::1]:80",
            "224.0.0.1:80",
            "172.17.0.1:80",
        ] {
            assert!(refused(&open, to), "{to}");
        }
        assert!(!refused(&open, "192.0.2.1:80"));
    }

    #[test]
    fn the_gateway_is_the_hosts_loopback_by_grant() {
        let policy = Policy { hosts: vec![("host.docker.internal".into(), GATEWAY.into())], ..Policy::default() };
        let to = policy.check("172.17.0.1:8080".parse().unwrap(), &Learned::default());
        assert_eq!(to.unwrap(), "127.0.0.1:8080".parse().unwrap());
        assert!(refused(&policy, "127.0.0.1:8080"));
    }

    #[test]
    fn an_allow_list_is_by_name_and_port() {
        let rules = ["example.com:443", "*.example.org", "192.0.2.9:25"].map(|text| Rule::parse(text).unwrap());
        let policy = Policy { allowed: Some(rules.to_vec()), ..Policy::default() };
        assert!(policy.may_resolve("example.com") && policy.may_resolve("a.b.example.org"));
        assert!(!policy.may_resolve("example.org") && !policy.may_resolve("badexample.org"));
        let mut learned = Learned::default();
        learned.note("example.com", &["192.0.2.1".parse().unwrap()]);
        let check = |to: &str| policy.check(to.parse().unwrap(), &learned).is_ok();
        assert!(check("192.0.2.1:443") && check("192.0.2.9:25"));
        assert!(!check("192.0.2.1:80") && !check("192.0.2.2:443") && !check("192.0.2.9:80"));
    }

    #[test]
    fn rules_are_read() {
        let rule = |name: &str, port| Rule { name: name.into(), port };
        assert_eq!(Rule::parse("Example.COM.:80").unwrap(), rule("example.com", Some(80)));
        assert_eq!(Rule::parse("[2001:db8::1]:80").unwrap(), rule("2001:db8::1", Some(80)));
        assert_eq!(Rule::parse("2001:db8::1").unwrap(), rule("2001:db8::1", None));
        for wrong in ["", "a b", "x:99999", ":80", "http://x"] {
            assert!(Rule::parse(wrong).is_err(), "{wrong}");
        }
    }
}
