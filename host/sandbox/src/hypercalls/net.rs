//! The net family: sockets to outside, which somebody else makes ([`crate::Network`]), and answers about names.
//!
//! Sockets do not wait. That something changed on one is told once per change (edge-triggered epoll); what is the case
//! now, the kernel asks for.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown, sockopt};
use shallop_host_abi::hypercall::{MAX_ADDRESSES, MAX_NAME};
use wasmtime::Linker;

use super::{bytes, bytes_mut, define, os_errno};
use crate::kernel::Host;
use crate::launch::{Answered, Family, Network};
use crate::process::Errno;
use crate::slab::Slab;

/// Sockets to outside at most; the process has as many descriptors at least.
const MAX_SOCKETS: usize = 1 << 14;
/// Events fetched at a time.
const BATCH: usize = 64;
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

pub fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    define!(linker, "net_open", open, stream: u32, ip: u32, port: u32);
    define!(linker, "net_status", status, socket: u32);
    define!(linker, "net_receive", receive, socket: u32, dst: u32, len: u32, peek: u32);
    define!(linker, "net_send", send_bytes, socket: u32, src: u32, len: u32);
    define!(linker, "net_shutdown", shut_down, socket: u32, how: u32);
    define!(linker, "net_poll", poll_now, socket: u32);
    define!(linker, "net_available", available, socket: u32);
    define!(linker, "net_close", close, socket: u32);
    define!(linker, "net_events", events, dst: u32, len: u32);
    define!(linker, "net_resolve", resolve, id: u32, kind: u32, name: u32, name_len: u32);
    define!(linker, "net_reverse", reverse, id: u32, ip: u32);
    define!(linker, "net_answer", answer, dst: u32, len: u32);
    Ok(())
}

/// What the family acts on.
pub struct Net {
    network: Box<dyn Network>,
    sockets: Slab<OwnedFd>,
    epoll: OwnedFd,
    /// Sockets with news that were not told of.
    changed: BTreeSet<u32>,
    answers: VecDeque<Answered>,
}

impl Net {
    /// # Errors
    /// When the system gives no descriptor.
    pub fn new(network: Box<dyn Network>) -> std::io::Result<Net> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let (sockets, changed, answers) = (Slab::new(MAX_SOCKETS), BTreeSet::new(), VecDeque::new());
        Ok(Net { network, sockets, epoll, changed, answers })
    }

    /// What becomes readable when there is news: sockets, answers.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        let sockets = self.epoll.as_fd();
        [sockets, self.network.descriptor().unwrap_or(sockets)]
    }

    /// Fetches what is new; whether the kernel has something to ask for.
    pub fn fetch(&mut self) -> Result<bool, Errno> {
        while let Some(answered) = self.network.answer() {
            self.answers.push_back(answered);
        }
        let mut found = Vec::with_capacity(BATCH);
        epoll::wait(&self.epoll, spare_capacity(&mut found), Some(&NOW)).or_else(|error| match error {
            rustix::io::Errno::INTR => Ok(0),
            error => Err(os_errno(error)),
        })?;
        self.changed.extend(found.iter().map(|event| event.data.u64() as u32));
        Ok(!self.changed.is_empty() || !self.answers.is_empty())
    }

    fn add(&mut self, socket: OwnedFd) -> Result<u32, Errno> {
        let number = self.sockets.insert(socket).ok_or(libc::ENFILE)?;
        let socket = self.sockets.get(number).ok_or(libc::EBADF)?;
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        match epoll::add(&self.epoll, socket, EventData::new_u64(number.into()), flags) {
            Ok(()) => Ok(number),
            Err(error) => {
                self.sockets.remove(number);
                Err(os_errno(error))
            }
        }
    }
}

/// Networks are given to few sandboxes: who has none is told that it is down.
fn net(host: &mut Host) -> Result<&mut Net, Errno> {
    host.net.as_mut().ok_or(libc::ENETDOWN)
}

fn socket(host: &mut Host, number: u32) -> Result<&OwnedFd, Errno> {
    net(host)?.sockets.get(number).ok_or(libc::EBADF)
}

/// The address at `at`: 16 bytes.
fn address(memory: &[u8], at: u32) -> Result<IpAddr, Errno> {
    let octets: [u8; 16] = bytes(memory, at, 16)?.try_into().map_err(|_| libc::EFAULT)?;
    Ok(Ipv6Addr::from(octets).to_canonical())
}

fn open(memory: &mut [u8], host: &mut Host, stream: u32, ip: u32, port: u32) -> Result<u64, Errno> {
    let to = SocketAddr::new(address(memory, ip)?, u16::try_from(port).map_err(|_| libc::EINVAL)?);
    let net = net(host)?;
    let socket = net.network.open(stream != 0, to)?;
    net.add(socket).map(u64::from)
}

fn status(_: &mut [u8], host: &mut Host, number: u32) -> Result<u64, Errno> {
    let socket = socket(host, number)?;
    if !ready(socket)?.intersects(PollFlags::OUT | PollFlags::ERR | PollFlags::HUP) {
        return Err(libc::EINPROGRESS);
    }
    match sockopt::socket_error(socket).map_err(os_errno)? {
        Ok(()) => Ok(0),
        Err(error) => Err(os_errno(error)),
    }
}

fn receive(memory: &mut [u8], host: &mut Host, number: u32, dst: u32, len: u32, peek: u32) -> Result<u64, Errno> {
    let place = bytes_mut(memory, dst, len)?;
    let peek = if peek != 0 { RecvFlags::PEEK } else { RecvFlags::empty() };
    let (count, _) = recv(socket(host, number)?, place, RecvFlags::DONTWAIT | peek).map_err(os_errno)?;
    Ok(count as u64)
}

fn send_bytes(memory: &mut [u8], host: &mut Host, number: u32, src: u32, len: u32) -> Result<u64, Errno> {
    let from = bytes(memory, src, len)?;
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    send(socket(host, number)?, from, flags).map(|count| count as u64).map_err(os_errno)
}

fn shut_down(_: &mut [u8], host: &mut Host, number: u32, how: u32) -> Result<u64, Errno> {
    let how = match how {
        0 => Shutdown::Read,
        1 => Shutdown::Write,
        2 => Shutdown::Both,
        _ => return Err(libc::EINVAL),
    };
    shutdown(socket(host, number)?, how).map(|()| 0).map_err(os_errno)
}

/// What poll(2) says now.
fn ready(socket: &OwnedFd) -> Result<PollFlags, Errno> {
    let mut fds = [PollFd::new(socket, PollFlags::IN | PollFlags::OUT | PollFlags::RDHUP)];
    match poll(&mut fds, Some(&NOW)) {
        Ok(_) => Ok(fds[0].revents()),
        Err(rustix::io::Errno::INTR) => Ok(PollFlags::empty()),
        Err(error) => Err(os_errno(error)),
    }
}

fn poll_now(_: &mut [u8], host: &mut Host, number: u32) -> Result<u64, Errno> {
    Ok(ready(socket(host, number)?)?.bits().into())
}

fn available(_: &mut [u8], host: &mut Host, number: u32) -> Result<u64, Errno> {
    rustix::io::ioctl_fionread(socket(host, number)?).map_err(os_errno)
}

fn close(_: &mut [u8], host: &mut Host, number: u32) -> Result<u64, Errno> {
    let net = net(host)?;
    net.changed.remove(&number);
    net.sockets.remove(number).map(|_| 0).ok_or(libc::EBADF)
}

fn events(memory: &mut [u8], host: &mut Host, dst: u32, len: u32) -> Result<u64, Errno> {
    let place = bytes_mut(memory, dst, len)?;
    let net = net(host)?;
    let mut written = 0;
    for place in place.chunks_exact_mut(4) {
        let Some(number) = net.changed.pop_first() else { break };
        place.copy_from_slice(&number.to_le_bytes());
        written += 4;
    }
    Ok(written)
}

fn resolve(memory: &mut [u8], host: &mut Host, id: u32, kind: u32, name: u32, name_len: u32) -> Result<u64, Errno> {
    if name_len as usize > MAX_NAME {
        return Err(libc::ENAMETOOLONG);
    }
    let name = std::str::from_utf8(bytes(memory, name, name_len)?).map_err(|_| libc::EINVAL)?;
    let family = match kind {
        4 => Family::V4,
        6 => Family::V6,
        _ => return Err(libc::EINVAL),
    };
    net(host)?.network.resolve(id, family, name).map(|()| 0)
}

fn reverse(memory: &mut [u8], host: &mut Host, id: u32, ip: u32) -> Result<u64, Errno> {
    let ip = address(memory, ip)?;
    net(host)?.network.reverse(id, ip).map(|()| 0)
}

fn answer(memory: &mut [u8], host: &mut Host, dst: u32, len: u32) -> Result<u64, Errno> {
    let place = bytes_mut(memory, dst, len)?;
    let Some(answered) = net(host)?.answers.pop_front() else { return Ok(0) };
    let addresses = &answered.addresses[..answered.addresses.len().min(MAX_ADDRESSES)];
    let name = answered.name.as_deref().filter(|name| name.len() <= MAX_NAME).unwrap_or_default();
    let mut record = Vec::with_capacity(16 + 16 * addresses.len() + name.len());
    for word in [answered.id, answered.status, addresses.len() as u32, name.len() as u32] {
        record.extend(word.to_le_bytes());
    }
    for address in addresses {
        record.extend(match address {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        });
    }
    record.extend(name.as_bytes());
    place.get_mut(..record.len()).ok_or(libc::EINVAL)?.copy_from_slice(&record);
    Ok(record.len() as u64)
}
