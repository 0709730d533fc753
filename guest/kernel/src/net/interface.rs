//! The network interfaces that programs see (netdevice(7)): `lo`, and `eth0` where there is a network outside.
//!
//! There are no packets behind them: connections to outside are the host's. What they show is what Docker's bridge shows.

use std::net::{IpAddr, Ipv4Addr};

use shallop_linux_abi::Errno;

use super::Domain;
use super::Socket;
use super::address::Address;
use crate::vfs::GuestMemory;
use crate::wait::Stop;

/// An interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    pub index: u32,
    pub name: &'static str,
    /// IFF_*.
    pub flags: u32,
    pub mtu: u32,
    /// ARPHRD_*.
    pub hardware: u16,
    pub mac: [u8; 6],
    pub address: Ipv4Addr,
    pub prefix: u8,
    /// Whether it has `::1`.
    pub loopback: bool,
}

const LO: Interface = Interface {
    index: 1,
    name: "lo",
    // UP, LOOPBACK, RUNNING, LOWER_UP.
    flags: 0x1_0049,
    mtu: 65536,
    hardware: 772,
    mac: [0; 6],
    address: Ipv4Addr::LOCALHOST,
    prefix: 8,
    loopback: true,
};

/// What programs see of the network.
#[derive(Debug, Clone, Copy, Default)]
pub struct Interfaces {
    /// The address on the network outside, when there is one.
    outside: Option<(Ipv4Addr, Ipv4Addr)>,
}

impl Interfaces {
    /// With a network outside: the own address there, and the gateway's.
    pub fn with_network(address: Ipv4Addr, gateway: Ipv4Addr) -> Interfaces {
        Interfaces { outside: Some((address, gateway)) }
    }

    /// The address on the network outside.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.outside.map(|(address, _)| address)
    }

    pub fn gateway(&self) -> Option<Ipv4Addr> {
        self.outside.map(|(_, gateway)| gateway)
    }

    /// Whether an address is this sandbox's own.
    pub fn is_own(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || ip.is_unspecified() || self.address().is_some_and(|own| ip == own)
    }

    pub fn list(&self) -> Vec<Interface> {
        let outside = self.address().map(|address| {
            let [a, b, c, d] = address.octets();
            Interface {
                index: 2,
                name: "eth0",
                // UP, BROADCAST, RUNNING, MULTICAST, LOWER_UP.
                flags: 0x1_1043,
                mtu: 1500,
                hardware: 1,
                mac: [0x02, 0x42, a, b, c, d],
                address,
                prefix: 16,
                loopback: false,
            }
        });
        std::iter::once(LO).chain(outside).collect()
    }
}

impl Interface {
    pub fn netmask(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0))
    }

    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.address) | !u32::from(self.netmask()))
    }
}

/// Requests of ioctl(2) (linux/sockios.h).
mod request {
    pub const SIOCOUTQ: u32 = 0x5411;
    pub const SIOCATMARK: u32 = 0x8905;
    pub const SIOCGIFNAME: u32 = 0x8910;
    pub const SIOCGIFCONF: u32 = 0x8912;
    pub const SIOCGIFFLAGS: u32 = 0x8913;
    pub const SIOCGIFADDR: u32 = 0x8915;
    pub const SIOCGIFDSTADDR: u32 = 0x8917;
    pub const SIOCGIFBRDADDR: u32 = 0x8919;
    pub const SIOCGIFNETMASK: u32 = 0x891b;
    pub const SIOCGIFMETRIC: u32 = 0x891d;
    pub const SIOCGIFMTU: u32 = 0x8921;
    pub const SIOCGIFHWADDR: u32 = 0x8927;
    pub const SIOCGIFINDEX: u32 = 0x8933;
    pub const SIOCGIFTXQLEN: u32 = 0x8942;
    /// Requests that change an interface.
    pub const CHANGES: [u32; 8] = [0x8914, 0x8916, 0x8918, 0x891a, 0x891c, 0x8922, 0x8924, 0x8943];
}

/// Bytes of an interface's name in struct ifreq, and of the whole.
const NAME: usize = 16;
const IFREQ: usize = 40;

/// ioctl(2) on a socket.
pub fn ioctl(socket: &Socket, request: u32, arg: u64, memory: &dyn GuestMemory) -> Result<u64, Stop> {
    let interfaces = socket.common.net.interfaces.list();
    match request {
        request::SIOCOUTQ => memory.write(arg, &(socket.protocol.unsent() as u32).to_le_bytes())?,
        request::SIOCATMARK => memory.write(arg, &[0; 4])?,
        request::SIOCGIFCONF => configuration(&interfaces, arg, memory)?,
        request::SIOCGIFNAME => {
            let mut record = [0; IFREQ];
            memory.read(arg, &mut record)?;
            let index = u32::from_le_bytes([record[16], record[17], record[18], record[19]]);
            let found = interfaces.iter().find(|one| one.index == index).ok_or(Errno::ENODEV)?;
            memory.write(arg, &name_bytes(found))?;
        }
        _ if request::CHANGES.contains(&request) => return Err(Errno::EPERM.into()),
        _ => {
            let mut name = [0; NAME];
            memory.read(arg, &mut name)?;
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            let value = |one: &Interface| value(one, request);
            let found = interfaces.iter().find(|one| one.name.as_bytes() == name);
            let known = value(&LO).ok_or(Errno::ENOTTY)?;
            let value = found.and_then(value).ok_or(Errno::ENODEV)?;
            debug_assert!(known.len() <= IFREQ - NAME);
            memory.write(arg.wrapping_add(NAME as u64), &value)?;
        }
    }
    Ok(0)
}

fn name_bytes(one: &Interface) -> [u8; NAME] {
    let mut bytes = [0; NAME];
    bytes[..one.name.len()].copy_from_slice(one.name.as_bytes());
    bytes
}

/// What a request tells of an interface, as the union in struct ifreq holds it.
fn value(one: &Interface, request: u32) -> Option<Vec<u8>> {
    let address = |ip: Ipv4Addr| Address::Inet((ip, 0).into()).encode(Domain::Inet);
    Some(match request {
        request::SIOCGIFFLAGS => ((one.flags & 0xffff) as u16).to_le_bytes().to_vec(),
        request::SIOCGIFADDR | request::SIOCGIFDSTADDR => address(one.address),
        request::SIOCGIFBRDADDR if one.loopback => address(Ipv4Addr::UNSPECIFIED),
        request::SIOCGIFBRDADDR => address(one.broadcast()),
        request::SIOCGIFNETMASK => address(one.netmask()),
        request::SIOCGIFMETRIC => 0u32.to_le_bytes().to_vec(),
        request::SIOCGIFMTU => one.mtu.to_le_bytes().to_vec(),
        request::SIOCGIFINDEX => one.index.to_le_bytes().to_vec(),
        request::SIOCGIFTXQLEN => 1000u32.to_le_bytes().to_vec(),
        request::SIOCGIFHWADDR => [&one.hardware.to_le_bytes()[..], &one.mac, &[0; 8]].concat(),
        _ => return None,
    })
}

/// struct ifconf: length and place of an array of struct ifreq; without a place only the length is told.
fn configuration(interfaces: &[Interface], arg: u64, memory: &dyn GuestMemory) -> Result<(), Errno> {
    let mut head = [0; 16];
    memory.read(arg, &mut head)?;
    let room = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let place = u64::from_le_bytes(std::array::from_fn(|i| head[8 + i]));
    let mut bytes = Vec::new();
    for one in interfaces {
        bytes.extend(name_bytes(one));
        bytes.extend(value(one, request::SIOCGIFADDR).unwrap_or_default());
        bytes.resize(bytes.len().next_multiple_of(IFREQ), 0);
    }
    if place != 0 {
        bytes.truncate(room / IFREQ * IFREQ);
        memory.write(place, &bytes)?;
    }
    memory.write(arg, &(bytes.len() as u32).to_le_bytes())
}
