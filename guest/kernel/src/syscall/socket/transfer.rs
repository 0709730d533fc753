//! Sending and receiving: what read, write, sendto, recvfrom and the message calls share.

use shallop_linux_abi::Errno;

use super::{destination, socket_of, timed, write_address};
use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::net::address::Address;
use crate::net::channel::{Ancillary, CAPACITY, Received, Sender};
use crate::net::options::so;
use crate::net::{Domain, Kind, Outgoing, Socket};
use crate::signal::number::SIGPIPE;
use crate::signal::{SignalInfo, Target};
use crate::syscall::rw::Segment;
use crate::vfs::open_file::OpenFile;
use crate::wait::{Stop, SysResult, Tid};

/// Flags of send(2) and recv(2).
pub mod msg {
    pub const OOB: u32 = 1;
    pub const PEEK: u32 = 2;
    pub const CTRUNC: u32 = 8;
    pub const TRUNC: u32 = 0x20;
    pub const DONTWAIT: u32 = 0x40;
    pub const WAITALL: u32 = 0x100;
    pub const ERRQUEUE: u32 = 0x2000;
    pub const NOSIGNAL: u32 = 0x4000;
    pub const WAITFORONE: u32 = 0x1_0000;
    pub const CMSG_CLOEXEC: u32 = 0x4000_0000;
}

/// Most bytes that one call moves of a stream; what is left is the caller's next call.
const CHUNK: u64 = 1 << 20;

/// What goes with a send beside its bytes.
#[derive(Default)]
pub struct Along {
    pub to: Option<Address>,
    pub ancillary: Ancillary,
}

impl Along {
    /// Nothing but who sends.
    pub fn of(k: &Kernel, tid: Tid) -> Along {
        Along { to: None, ancillary: Ancillary { files: Vec::new(), sender: sender(k, tid) } }
    }
}

/// Who a task is as the sender of a message: its real ids.
pub fn sender(k: &Kernel, tid: Tid) -> Sender {
    let task = k.task(tid);
    Sender { pid: task.pid.0, uid: task.credentials.uid, gid: task.credentials.gid }
}

/// The bytes that segments hold, as far as one call takes them.
fn gather(k: &Kernel, tid: Tid, parts: &[Segment], skip: u64) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    let mut skip = skip;
    for (addr, len) in parts {
        let skipped = skip.min(*len);
        skip -= skipped;
        let want = (len - skipped).min(CHUNK - bytes.len() as u64) as usize;
        let at = bytes.len();
        bytes.resize(at + want, 0);
        k.read_memory(tid, addr.wrapping_add(skipped), &mut bytes[at..])?;
    }
    Ok(bytes)
}

/// Sends what the segments hold; a stream sends all, waiting for room, unless it may not wait.
pub fn send(k: &mut Kernel, tid: Tid, file: &OpenFile, parts: &[Segment], along: Along, flags: u32) -> SysResult {
    let socket = socket_of(file)?;
    if flags & msg::OOB != 0 {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let total: u64 = parts.iter().map(|(_, len)| len).sum();
    if socket.keeps_messages() && total > CAPACITY as u64 {
        return Err(Errno::EMSGSIZE.into());
    }
    let nonblock = file.nonblock() || flags & msg::DONTWAIT != 0;
    // What a stream took before it had to wait is kept; descriptors went with the first bytes.
    let mut done = k.task(tid).progress.done;
    loop {
        let bytes = gather(k, tid, parts, done)?;
        let ancillary = match done {
            0 => along.ancillary.clone(),
            _ => Ancillary { files: Vec::new(), ..along.ancillary },
        };
        match socket.protocol.send(Outgoing { bytes: &bytes, to: along.to.clone(), ancillary }, nonblock) {
            Ok(count) => done += count as u64,
            Err(stop) => return stopped(k, tid, socket, done, stop, flags),
        }
        if done >= total || socket.keeps_messages() {
            return Ok(done);
        }
    }
}

/// A send that cannot go on.
fn stopped(k: &mut Kernel, tid: Tid, socket: &Socket, done: u64, stop: Stop, flags: u32) -> SysResult {
    match timed(k, tid, socket, so::SNDTIMEO, stop, Errno::EAGAIN) {
        Stop::Block(wait) => {
            k.task_mut(tid).progress.done = done;
            Err(Stop::Block(wait))
        }
        _ if done > 0 => Ok(done),
        Stop::Errno(Errno::EPIPE) => {
            if flags & msg::NOSIGNAL == 0 && socket.common.kind == Kind::Stream {
                k.send_signal(Target::Task(tid), SignalInfo::kernel(SIGPIPE));
            }
            Err(Errno::EPIPE.into())
        }
        stop => Err(stop),
    }
}

/// Puts bytes into segments, behind the first `skip` bytes of room.
fn scatter(k: &Kernel, tid: Tid, parts: &[Segment], mut skip: u64, mut bytes: &[u8]) -> Result<(), Errno> {
    for (addr, len) in parts {
        let skipped = skip.min(*len);
        skip -= skipped;
        let room = usize::try_from(len - skipped).unwrap_or(usize::MAX);
        let (now, later) = bytes.split_at(bytes.len().min(room));
        k.write_memory(tid, addr.wrapping_add(skipped), now)?;
        bytes = later;
    }
    Ok(())
}

/// Receives into the segments; `count` of the result is all of this call.
pub fn receive(k: &mut Kernel, tid: Tid, file: &OpenFile, parts: &[Segment], flags: u32) -> Result<Received, Stop> {
    let socket = socket_of(file)?;
    if flags & msg::ERRQUEUE != 0 {
        return Err(Errno::EAGAIN.into());
    }
    if flags & msg::OOB != 0 {
        let has_none = matches!(socket.common.domain, Domain::Inet | Domain::Inet6);
        return Err(if has_none { Errno::EINVAL } else { Errno::EOPNOTSUPP }.into());
    }
    let total = parts.iter().map(|(_, len)| len).sum::<u64>().min(CHUNK);
    let nonblock = file.nonblock() || flags & msg::DONTWAIT != 0;
    let peek = flags & msg::PEEK != 0;
    let all = flags & msg::WAITALL != 0 && !peek && !socket.keeps_messages();
    let mut done = k.task(tid).progress.done;
    loop {
        let mut buf = vec![0; (total - done) as usize];
        match socket.protocol.receive(&mut buf, peek, nonblock) {
            Ok(received) => {
                scatter(k, tid, parts, done, &buf[..received.count])?;
                done += received.count as u64;
                let over = !all || received.count == 0 || done >= total || !received.ancillary.files.is_empty();
                if over {
                    return Ok(Received { count: done as usize, ..received });
                }
            }
            Err(stop) => match timed(k, tid, socket, so::RCVTIMEO, stop, Errno::EAGAIN) {
                Stop::Block(wait) => {
                    k.task_mut(tid).progress.done = done;
                    return Err(Stop::Block(wait));
                }
                _ if done > 0 => return Ok(Received { count: done as usize, ..Received::default() }),
                stop => return Err(stop),
            },
        }
    }
}

/// read(2) and readv(2) of a socket.
pub fn read_into(k: &mut Kernel, tid: Tid, file: &OpenFile, parts: &[Segment]) -> SysResult {
    if parts.iter().all(|(_, len)| *len == 0) {
        return Ok(0);
    }
    Ok(receive(k, tid, file, parts, 0)?.count as u64)
}

/// write(2) and writev(2) of a socket.
pub fn write_from(k: &mut Kernel, tid: Tid, file: &OpenFile, parts: &[Segment]) -> SysResult {
    let along = Along::of(k, tid);
    send(k, tid, file, parts, along, 0)
}

/// `sendto(fd, buf, len, flags, addr, addrlen)`
pub fn sendto(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, buf, len, flags, addr, addr_len] = call.args;
    let mut along = Along::of(k, call.tid);
    let file = k.file(call.tid, fd)?;
    if addr != 0 {
        along.to = Some(destination(k, call.tid, socket_of(&file)?, addr, addr_len)?);
    }
    send(k, call.tid, &file, &[(buf, len)], along, flags as u32)
}

/// The address that a receive tells, empty when it tells none.
pub fn from_bytes(received: &Received, domain: Domain) -> Vec<u8> {
    match &received.from {
        None | Some(Address::Unspecified) => Vec::new(),
        Some(Address::Unix(name)) if name.text.is_empty() => Vec::new(),
        Some(address) => address.encode(domain),
    }
}

/// `recvfrom(fd, buf, len, flags, addr, addrlen)`
pub fn recvfrom(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, buf, len, flags, addr, addr_len] = call.args;
    let file = k.file(call.tid, fd)?;
    let domain = socket_of(&file)?.common.domain;
    let received = receive(k, call.tid, &file, &[(buf, len)], flags as u32)?;
    if addr != 0 {
        write_address(k, call.tid, &from_bytes(&received, domain), addr, addr_len)?;
    }
    let lost = if flags as u32 & msg::TRUNC != 0 { received.lost } else { 0 };
    Ok((received.count + lost) as u64)
}
