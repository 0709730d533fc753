//! Sockets: making, naming and connecting them. `transfer` moves bytes, `message` is struct msghdr, `option` the options.

mod message;
mod option;
mod transfer;

use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::{at, open};

pub use message::{recvmmsg, recvmsg, sendmmsg, sendmsg};
pub use option::{getsockopt, setsockopt};
pub use transfer::{read_into, recvfrom, sendto, write_from};

use super::poll::{expired, fix_deadline};
use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::net::address::{Address, MAX_LEN, UnixName};
use crate::net::channel::Sender;
use crate::net::options::so;
use crate::net::{Common, Domain, Kind, Socket, inet, netlink, unix};
use crate::vfs::anonymous::{self, Label};
use crate::vfs::open_file::OpenFile;
use crate::vfs::path::Limits;
use crate::vfs::permission::{self, WRITE};
use crate::vfs::{FileKind, NewNode};
use crate::wait::{OnSignal, Stop, SysResult, Tid};

/// Types above this are no types at all (SOCK_MAX).
const TYPES: u32 = 11;
const PF_UNIX: u64 = 1;
const IPPROTO_ICMP: u64 = 1;
const IPPROTO_TCP: u64 = 6;
const IPPROTO_UDP: u64 = 17;
const IPPROTO_ICMPV6: u64 = 58;

/// An open file's socket; ENOTSOCK when it is something else.
fn socket_of(file: &OpenFile) -> Result<&Socket, Errno> {
    file.file.as_any().downcast_ref::<Socket>().ok_or(Errno::ENOTSOCK)
}

/// Domain, type and flags of the first two arguments.
fn sort(domain: u64, kind: u64) -> Result<(Domain, u32, u32), Errno> {
    let (flags, number) = (kind as u32 & !0xf, kind as u32 & 0xf);
    if flags & !(open::CLOEXEC | open::NONBLOCK) != 0 || number >= TYPES {
        return Err(Errno::EINVAL);
    }
    Ok((Domain::from_number(domain as u32).ok_or(Errno::EAFNOSUPPORT)?, number, flags))
}

/// The kind and protocol that sockets of a domain have, as Linux checks them.
fn checked(domain: Domain, number: u32, protocol: u64) -> Result<(Kind, u32), Errno> {
    let kind = Kind::from_number(number).ok_or(Errno::ESOCKTNOSUPPORT)?;
    match (domain, kind) {
        (Domain::Unix, _) if protocol != 0 && protocol != PF_UNIX => Err(Errno::EPROTONOSUPPORT),
        (Domain::Unix, Kind::Raw) => Ok((Kind::Datagram, 0)),
        (Domain::Unix, kind) => Ok((kind, 0)),
        (Domain::Netlink, Kind::Raw | Kind::Datagram) if protocol == u64::from(netlink::ROUTE) => {
            Ok((kind, netlink::ROUTE))
        }
        (Domain::Netlink, Kind::Raw | Kind::Datagram) => Err(Errno::EPROTONOSUPPORT),
        (Domain::Netlink, _) => Err(Errno::ESOCKTNOSUPPORT),
        (_, Kind::Stream) if matches!(protocol, 0 | IPPROTO_TCP) => Ok((kind, IPPROTO_TCP as u32)),
        (_, Kind::Datagram) if matches!(protocol, 0 | IPPROTO_UDP) => Ok((kind, IPPROTO_UDP as u32)),
        // ping(8) falls back to what it can do without them.
        (_, Kind::Datagram) if matches!(protocol, IPPROTO_ICMP | IPPROTO_ICMPV6) => Err(Errno::EACCES),
        (_, Kind::Raw) => Err(Errno::EPERM),
        (_, Kind::SeqPacket) => Err(Errno::ESOCKTNOSUPPORT),
        _ => Err(Errno::EPROTONOSUPPORT),
    }
}

/// Who a task is to others (struct ucred), with its effective ids.
fn owner(k: &Kernel, tid: Tid) -> Sender {
    let task = k.task(tid);
    Sender { pid: task.pid.0, uid: task.credentials.euid, gid: task.credentials.egid }
}

/// Puts a socket into the task's descriptors.
fn install(k: &Kernel, tid: Tid, socket: Rc<Socket>, flags: u32) -> Result<u32, Errno> {
    let owner = owner(k, tid);
    let place = anonymous::location(&k.io, Label::Socket, owner.uid, owner.gid, k.now_realtime());
    if let Ok(stat) = place.inode.stat() {
        k.net.register(&socket, stat.ino);
    }
    let file = OpenFile::new(socket, place, open::RDWR | flags & open::NONBLOCK, &k.io.locks);
    k.install(tid, file, flags & open::CLOEXEC != 0)
}

/// `socket(domain, type, protocol)`
pub fn socket(k: &mut Kernel, call: &Call) -> SysResult {
    let [domain, kind, protocol, ..] = call.args;
    let (domain, number, flags) = sort(domain, kind)?;
    let (kind, protocol) = checked(domain, number, protocol)?;
    let common = Rc::new(Common::new(&k.net, (domain, kind, protocol), owner(k, call.tid)));
    let socket = match (domain, kind) {
        (Domain::Unix, Kind::Stream | Kind::SeqPacket) => unix::stream::new(common),
        (Domain::Unix, _) => unix::datagram::new(common),
        (Domain::Netlink, _) => netlink::new(common),
        (_, Kind::Stream) => inet::tcp::new(common),
        _ => inet::udp::new(common),
    };
    Ok(install(k, call.tid, socket, flags)?.into())
}

/// `socketpair(domain, type, protocol, fds)`
pub fn socketpair(k: &mut Kernel, call: &Call) -> SysResult {
    let [domain, kind, protocol, addr, ..] = call.args;
    let (domain, number, flags) = sort(domain, kind)?;
    let (kind, protocol) = checked(domain, number, protocol)?;
    if domain != Domain::Unix {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let owner = owner(k, call.tid);
    let common = || Rc::new(Common::new(&k.net, (domain, kind, protocol), owner));
    let (first, second) = match kind {
        Kind::Stream | Kind::SeqPacket => unix::stream::pair(common(), common()),
        _ => unix::datagram::pair(common(), common()),
    };
    let undo = |fd: u32| drop(k.task(call.tid).files.borrow_mut().remove(fd));
    let a = install(k, call.tid, first, flags)?;
    let b = install(k, call.tid, second, flags).inspect_err(|_| undo(a))?;
    k.write_memory(call.tid, addr, &[a.to_le_bytes(), b.to_le_bytes()].concat()).inspect_err(|_| {
        undo(a);
        undo(b);
    })?;
    Ok(0)
}

/// An address argument for a socket; a path is not walked yet.
fn address(k: &Kernel, tid: Tid, socket: &Socket, addr: u64, len: u64) -> Result<Address, Errno> {
    let len = u64::from(len as u32);
    if len > MAX_LEN {
        return Err(Errno::EINVAL);
    }
    let mut bytes = vec![0; len as usize];
    k.read_memory(tid, addr, &mut bytes)?;
    Address::decode(&bytes, socket.common.domain)
}

/// An address argument of somebody to connect with or to send to: a path leads to a socket that may be written to.
fn destination(k: &Kernel, tid: Tid, socket: &Socket, addr: u64, len: u64) -> Result<Address, Errno> {
    let address = address(k, tid, socket, addr, len)?;
    let Address::Unix(name) = &address else { return Ok(address) };
    if name.text.is_empty() {
        return Err(Errno::EINVAL);
    }
    if name.is_abstract() {
        return Ok(address);
    }
    let location = k.resolve_at(tid, at::FDCWD as u64, &name.text, true)?;
    permission::check(&k.task(tid).credentials, &location.inode, WRITE)?;
    if location.inode.kind() != FileKind::Socket {
        return Err(Errno::ECONNREFUSED);
    }
    let stat = location.inode.stat()?;
    Ok(Address::Unix(UnixName { text: name.text.clone(), node: Some((stat.dev, stat.ino)) }))
}

/// Writes an address, cut at what there is room for, and its whole length.
fn write_address(k: &Kernel, tid: Tid, bytes: &[u8], addr: u64, len: u64) -> Result<(), Errno> {
    let room = k.read_u32(tid, len)?;
    if room > i32::MAX as u32 {
        return Err(Errno::EINVAL);
    }
    k.write_memory(tid, addr, &bytes[..bytes.len().min(room as usize)])?;
    k.write_u32(tid, len, bytes.len() as u32)
}

/// A wait on a socket ends, too, when its time-out is over (SO_RCVTIMEO, SO_SNDTIMEO).
fn timed(k: &mut Kernel, tid: Tid, socket: &Socket, option: u32, stop: Stop, over: Errno) -> Stop {
    let Stop::Block(mut wait) = stop else { return stop };
    let Some(time) = socket.common.options.timeout(option) else { return Stop::Block(wait) };
    let deadline = fix_deadline(k, tid, time);
    if expired(k, tid, Some(deadline)) {
        return over.into();
    }
    wait.deadline = Some(wait.deadline.map_or(deadline, |other| other.min(deadline)));
    wait.on_signal = OnSignal::Interrupt;
    Stop::Block(wait)
}

/// `bind(fd, addr, len)`
pub fn bind(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, addr, len, ..] = call.args;
    let file = k.file(call.tid, fd)?;
    let socket = socket_of(&file)?;
    let address = address(k, call.tid, socket, addr, len)?;
    match &address {
        Address::Unix(name) if !name.text.is_empty() && !name.is_abstract() => bind_path(k, call.tid, socket, name)?,
        _ => socket.protocol.bind(&address)?,
    }
    Ok(0)
}

/// Makes the file of a socket and binds it there.
fn bind_path(k: &Kernel, tid: Tid, socket: &Socket, name: &UnixName) -> Result<(), Errno> {
    let limits = Limits { name_only: true, ..Limits::default() };
    let found = k.walk_at(tid, at::FDCWD as u64, &name.text, false, limits)?;
    let bound = socket.protocol.local() != Address::Unix(UnixName::default());
    if bound && found.location.is_none() {
        return Err(Errno::EINVAL);
    }
    let location = k.create_at(tid, &found, &NewNode::Socket, 0o777).map_err(|errno| match errno {
        Errno::EEXIST => Errno::EADDRINUSE,
        other => other,
    })?;
    let stat = location.inode.stat()?;
    socket.protocol.bind(&Address::Unix(UnixName { text: name.text.clone(), node: Some((stat.dev, stat.ino)) }))
}

/// `listen(fd, backlog)`
pub fn listen(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, backlog, ..] = call.args;
    // A negative one is the largest that there is.
    let backlog = backlog as u32 as usize;
    socket_of(&*k.file(call.tid, fd)?)?.protocol.listen(backlog)?;
    Ok(0)
}

/// `accept(fd, addr, len)`
pub fn accept(k: &mut Kernel, call: &Call) -> SysResult {
    accept_with(k, call, 0)
}

/// `accept4(fd, addr, len, flags)`
pub fn accept4(k: &mut Kernel, call: &Call) -> SysResult {
    let flags = call.args[3] as u32;
    if flags & !(open::CLOEXEC | open::NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    accept_with(k, call, flags)
}

fn accept_with(k: &mut Kernel, call: &Call, flags: u32) -> SysResult {
    let [fd, addr, len, ..] = call.args;
    let file = k.file(call.tid, fd)?;
    let socket = socket_of(&file)?;
    let accepted = match socket.protocol.accept(file.nonblock()) {
        Ok(accepted) => accepted,
        Err(stop) => return Err(timed(k, call.tid, socket, so::RCVTIMEO, stop, Errno::EAGAIN)),
    };
    if addr != 0 {
        write_address(k, call.tid, &accepted.peer.encode(socket.common.domain), addr, len)?;
    }
    Ok(install(k, call.tid, accepted.socket, flags)?.into())
}

/// `connect(fd, addr, len)`
pub fn connect(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, addr, len, ..] = call.args;
    let file = k.file(call.tid, fd)?;
    let socket = socket_of(&file)?;
    let to = destination(k, call.tid, socket, addr, len)?;
    match socket.protocol.connect(&to, file.nonblock()) {
        Ok(()) => Ok(0),
        Err(stop) => Err(timed(k, call.tid, socket, so::SNDTIMEO, stop, Errno::EINPROGRESS)),
    }
}

/// `getsockname(fd, addr, len)`
pub fn getsockname(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, addr, len, ..] = call.args;
    let file = k.file(call.tid, fd)?;
    let socket = socket_of(&file)?;
    write_address(k, call.tid, &socket.protocol.local().encode(socket.common.domain), addr, len)?;
    Ok(0)
}

/// `getpeername(fd, addr, len)`
pub fn getpeername(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, addr, len, ..] = call.args;
    let file = k.file(call.tid, fd)?;
    let socket = socket_of(&file)?;
    write_address(k, call.tid, &socket.protocol.peer()?.encode(socket.common.domain), addr, len)?;
    Ok(0)
}

/// `shutdown(fd, how)`
pub fn shutdown(k: &mut Kernel, call: &Call) -> SysResult {
    let file = k.file(call.tid, call.args[0])?;
    let (reading, writing) = match call.args[1] as u32 {
        0 => (true, false),
        1 => (false, true),
        2 => (true, true),
        _ => return Err(Errno::EINVAL.into()),
    };
    socket_of(&file)?.protocol.shutdown(reading, writing)?;
    Ok(0)
}
