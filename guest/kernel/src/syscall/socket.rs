//! Sockets: pairs of AF_UNIX sockets; there is no network and sockets have no names.

use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::open;

use super::rw::segments;
use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::signal::number::SIGPIPE;
use crate::signal::{SignalInfo, Target};
use crate::socket::{self, CAPACITY, Kind, MAX_FILES, Received, SocketEnd};
use crate::vfs::anonymous::{self, Label};
use crate::vfs::open_file::OpenFile;
use crate::wait::{Stop, SysResult, Tid};

const AF_UNIX: u32 = 1;
const MSG_CTRUNC: u32 = 8;
const MSG_PEEK: u32 = 2;
const MSG_TRUNC: u32 = 0x20;
const MSG_DONTWAIT: u32 = 0x40;
const MSG_NOSIGNAL: u32 = 0x4000;
const MSG_CMSG_CLOEXEC: u32 = 0x4000_0000;
const SOL_SOCKET: u32 = 1;
const SCM_RIGHTS: u32 = 1;
/// Bytes of struct cmsghdr.
const CONTROL_HEADER: usize = 16;
/// Longest control data that is read.
const CONTROL_MAX: u64 = 16 << 10;
/// Most bytes that one call moves; what is left is the caller's next call.
const CHUNK: u64 = 1 << 20;

/// `socket(domain, type, protocol)`
pub fn socket(_k: &mut Kernel, _call: &Call) -> SysResult {
    Err(Errno::EAFNOSUPPORT.into())
}

/// `socketpair(domain, type, protocol, fds)`
pub fn socketpair(k: &mut Kernel, call: &Call) -> SysResult {
    let [domain, kind, protocol, addr, ..] = call.args;
    let flags = kind as u32 & !0xf;
    let kind = match kind as u32 & 0xf {
        1 => Kind::Stream,
        2 | 3 => Kind::Datagram,
        5 => Kind::SeqPacket,
        _ => return Err(Errno::ESOCKTNOSUPPORT.into()),
    };
    match domain as u32 {
        AF_UNIX if flags & !(open::CLOEXEC | open::NONBLOCK) != 0 => return Err(Errno::EINVAL.into()),
        AF_UNIX if protocol > 1 => return Err(Errno::EPROTONOSUPPORT.into()),
        AF_UNIX => {}
        _ => return Err(Errno::EAFNOSUPPORT.into()),
    }
    let task = k.task(call.tid);
    let (uid, gid) = (task.credentials.euid, task.credentials.egid);
    let (first, second) = socket::pair(kind, (task.pid.0, uid, gid));
    let now = k.now_realtime();
    let open_end = |end: Rc<SocketEnd>| {
        let place = anonymous::location(&k.io, Label::Socket, uid, gid, now);
        OpenFile::new(end, place, open::RDWR | flags & open::NONBLOCK, &k.io.locks)
    };
    let cloexec = flags & open::CLOEXEC != 0;
    let undo = |fd: u32| drop(k.task(call.tid).files.borrow_mut().remove(fd));
    let a = k.install(call.tid, open_end(first), cloexec)?;
    let b = k.install(call.tid, open_end(second), cloexec).inspect_err(|_| undo(a))?;
    k.write_memory(call.tid, addr, &[a.to_le_bytes(), b.to_le_bytes()].concat()).inspect_err(|_| {
        undo(a);
        undo(b);
    })?;
    Ok(0)
}

fn end(file: &OpenFile) -> Result<&SocketEnd, Errno> {
    file.file.as_any().downcast_ref::<SocketEnd>().ok_or(Errno::ENOTSOCK)
}

/// bind, listen, accept: EOPNOTSUPP on a socket of a pair.
pub fn named(k: &mut Kernel, call: &Call) -> SysResult {
    end(&*k.file(call.tid, call.args[0])?)?;
    Err(Errno::EOPNOTSUPP.into())
}

/// `connect(fd, addr, len)`: EISCONN, both ends of a pair are.
pub fn connect(k: &mut Kernel, call: &Call) -> SysResult {
    end(&*k.file(call.tid, call.args[0])?)?;
    Err(Errno::EISCONN.into())
}

/// `getsockname(fd, addr, len)`, `getpeername`: an unnamed AF_UNIX address.
pub fn getsockname(k: &mut Kernel, call: &Call) -> SysResult {
    end(&*k.file(call.tid, call.args[0])?)?;
    write_name(k, call.tid, call.args[1], call.args[2])?;
    Ok(0)
}

/// The address of an unnamed socket, cut at what there is room for.
fn write_name(k: &Kernel, tid: Tid, addr: u64, len: u64) -> Result<(), Errno> {
    if addr == 0 || len == 0 {
        return Ok(());
    }
    let room = k.read_u32(tid, len)?;
    let name = (AF_UNIX as u16).to_le_bytes();
    k.write_memory(tid, addr, &name[..name.len().min(room as usize)])?;
    k.write_u32(tid, len, name.len() as u32)
}

/// Sends what the segments hold; a stream may take less.
fn send(k: &mut Kernel, tid: Tid, fd: u64, parts: &[(u64, u64)], files: Vec<Rc<OpenFile>>, flags: u32) -> SysResult {
    let file = k.file(tid, fd)?;
    let end = end(&file)?;
    let total: u64 = parts.iter().map(|(_, len)| len).sum();
    if end.kind != Kind::Stream && total > CAPACITY as u64 {
        return Err(Errno::EMSGSIZE.into());
    }
    let mut bytes = Vec::new();
    for (addr, len) in parts {
        let want = (*len).min(CHUNK - bytes.len() as u64) as usize;
        let at = bytes.len();
        bytes.resize(at + want, 0);
        k.read_memory(tid, *addr, &mut bytes[at..])?;
    }
    // What a stream took before it had to wait is kept; descriptors went with the first bytes.
    let nonblock = file.nonblock() || flags & MSG_DONTWAIT != 0;
    let mut done = k.task(tid).progress.done as usize;
    loop {
        let files = if done == 0 { files.clone() } else { Vec::new() };
        match end.send(bytes.get(done..).unwrap_or(&[]), files, nonblock) {
            Ok(count) => done += count,
            Err(Stop::Block(wait)) => {
                k.task_mut(tid).progress.done = done as u64;
                return Err(Stop::Block(wait));
            }
            Err(_) if done > 0 => return Ok(done as u64),
            Err(Stop::Errno(Errno::EPIPE)) => {
                if flags & MSG_NOSIGNAL == 0 && end.kind == Kind::Stream {
                    k.send_signal(Target::Task(tid), SignalInfo::kernel(SIGPIPE));
                }
                return Err(Errno::EPIPE.into());
            }
            Err(stop) => return Err(stop),
        }
        if done >= bytes.len() {
            return Ok(done as u64);
        }
    }
}

/// Receives into the segments.
fn receive(k: &mut Kernel, tid: Tid, fd: u64, parts: &[(u64, u64)], flags: u32) -> Result<Received, Stop> {
    let file = k.file(tid, fd)?;
    let total = parts.iter().map(|(_, len)| len).sum::<u64>().min(CHUNK);
    let mut buf = vec![0; total as usize];
    let nonblock = file.nonblock() || flags & MSG_DONTWAIT != 0;
    let received = end(&file)?.receive(&mut buf, flags & MSG_PEEK != 0, nonblock)?;
    let mut rest = &buf[..received.count];
    for (addr, len) in parts {
        let (now, later) = rest.split_at(rest.len().min(usize::try_from(*len).unwrap_or(usize::MAX)));
        k.write_memory(tid, *addr, now)?;
        rest = later;
    }
    Ok(received)
}

/// `sendto(fd, buf, len, flags, addr, addrlen)`
pub fn sendto(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, buf, len, flags, addr, _] = call.args;
    if addr != 0 {
        end(&*k.file(call.tid, fd)?)?;
        return Err(Errno::EISCONN.into());
    }
    send(k, call.tid, fd, &[(buf, len)], Vec::new(), flags as u32)
}

/// `recvfrom(fd, buf, len, flags, addr, addrlen)`
pub fn recvfrom(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, buf, len, flags, _, addr_len] = call.args;
    let received = receive(k, call.tid, fd, &[(buf, len)], flags as u32)?;
    if addr_len != 0 {
        k.write_u32(call.tid, addr_len, 0)?;
    }
    let lost = if flags as u32 & MSG_TRUNC != 0 { received.lost } else { 0 };
    Ok((received.count + lost) as u64)
}

/// struct msghdr, without its name.
struct Header {
    parts: Vec<(u64, u64)>,
    control: u64,
    control_len: u64,
}

fn header(k: &Kernel, tid: Tid, addr: u64) -> Result<Header, Errno> {
    let word = |at: u64| k.read_u64(tid, addr.wrapping_add(at));
    let parts = segments(k, tid, word(16)?, word(24)?).map_err(|errno| match errno {
        Errno::EINVAL => Errno::EMSGSIZE,
        other => other,
    })?;
    Ok(Header { parts, control: word(32)?, control_len: word(40)? })
}

/// The open files that SCM_RIGHTS records name.
fn passed_files(k: &Kernel, tid: Tid, header: &Header) -> Result<Vec<Rc<OpenFile>>, Errno> {
    let mut files = Vec::new();
    if header.control == 0 || header.control_len < CONTROL_HEADER as u64 {
        return Ok(files);
    }
    if header.control_len > CONTROL_MAX {
        return Err(Errno::ENOBUFS);
    }
    let mut bytes = vec![0; header.control_len as usize];
    k.read_memory(tid, header.control, &mut bytes)?;
    let mut rest = &bytes[..];
    while rest.len() >= CONTROL_HEADER {
        let len = u64::from_le_bytes(std::array::from_fn(|i| rest[i]));
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| rest[at + i]));
        let len =
            usize::try_from(len).ok().filter(|l| (CONTROL_HEADER..=rest.len()).contains(l)).ok_or(Errno::EINVAL)?;
        if (word(8), word(12)) == (SOL_SOCKET, SCM_RIGHTS) {
            for fd in rest[CONTROL_HEADER..len].chunks_exact(4) {
                let fd = u32::from_le_bytes([fd[0], fd[1], fd[2], fd[3]]);
                files.push(k.any_file(tid, fd.into())?);
            }
        }
        rest = rest.get(len.next_multiple_of(8)..).unwrap_or(&[]);
    }
    if files.len() > MAX_FILES { Err(Errno::EINVAL) } else { Ok(files) }
}

/// `sendmsg(fd, msg, flags)`
pub fn sendmsg(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, message, flags, ..] = call.args;
    let header = header(k, call.tid, message)?;
    let files = passed_files(k, call.tid, &header)?;
    send(k, call.tid, fd, &header.parts, files, flags as u32)
}

/// `recvmsg(fd, msg, flags)`
pub fn recvmsg(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, message, flags, ..] = call.args;
    let flags = flags as u32;
    let header = header(k, call.tid, message)?;
    let received = receive(k, call.tid, fd, &header.parts, flags)?;
    let (control_len, cut) = deliver_files(k, call.tid, &header, &received.files, flags)?;
    let mut result = if cut { MSG_CTRUNC } else { 0 };
    if received.lost > 0 {
        result |= MSG_TRUNC;
    }
    // No name; control length; flags.
    k.write_u32(call.tid, message.wrapping_add(8), 0)?;
    k.write_u64(call.tid, message.wrapping_add(40), control_len)?;
    k.write_u32(call.tid, message.wrapping_add(48), result)?;
    let lost = if flags & MSG_TRUNC != 0 { received.lost } else { 0 };
    Ok((received.count + lost) as u64)
}

/// Gives the receiver descriptors and tells it of them; returns the control bytes written and whether some were cut.
fn deliver_files(
    k: &Kernel,
    tid: Tid,
    header: &Header,
    files: &[Rc<OpenFile>],
    flags: u32,
) -> Result<(u64, bool), Errno> {
    if files.is_empty() {
        return Ok((0, false));
    }
    let room = usize::try_from(header.control_len).unwrap_or(usize::MAX).saturating_sub(CONTROL_HEADER) / 4;
    let mut fds: Vec<u8> = Vec::new();
    for file in files.iter().take(if header.control == 0 { 0 } else { room }) {
        match k.install(tid, file.clone(), flags & MSG_CMSG_CLOEXEC != 0) {
            Ok(fd) => fds.extend(fd.to_le_bytes()),
            Err(_) => break,
        }
    }
    let cut = fds.len() < files.len() * 4;
    if fds.is_empty() {
        return Ok((0, cut));
    }
    let len = CONTROL_HEADER + fds.len();
    let mut control = (len as u64).to_le_bytes().to_vec();
    control.extend(SOL_SOCKET.to_le_bytes());
    control.extend(SCM_RIGHTS.to_le_bytes());
    control.extend(fds);
    k.write_memory(tid, header.control, &control)?;
    Ok(((len.next_multiple_of(8) as u64).min(header.control_len), cut))
}

/// `setsockopt(fd, level, name, value, len)`
pub fn setsockopt(k: &mut Kernel, call: &Call) -> SysResult {
    end(&*k.file(call.tid, call.args[0])?)?;
    if call.args[1] as u32 == SOL_SOCKET { Ok(0) } else { Err(Errno::EOPNOTSUPP.into()) }
}

/// `getsockopt(fd, level, name, value, len)`
pub fn getsockopt(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, level, name, value, len, _] = call.args;
    let file = k.file(call.tid, fd)?;
    let end = end(&file)?;
    if level as u32 != SOL_SOCKET {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let words: &[u32] = &match name {
        3 => vec![end.kind as u32],
        7 | 8 => vec![CAPACITY as u32],
        17 => vec![end.peer.0, end.peer.1, end.peer.2],
        39 => vec![AF_UNIX],
        2 | 4 | 9 | 16 | 30 | 38 => vec![0],
        _ => return Err(Errno::ENOPROTOOPT.into()),
    };
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    let room = k.read_u32(call.tid, len)? as usize;
    let count = bytes.len().min(room);
    k.write_memory(call.tid, value, &bytes[..count])?;
    k.write_u32(call.tid, len, count as u32)?;
    Ok(0)
}

/// `shutdown(fd, how)`
pub fn shutdown(k: &mut Kernel, call: &Call) -> SysResult {
    let file = k.file(call.tid, call.args[0])?;
    let end = end(&file)?;
    match call.args[1] {
        0 => end.shutdown(true, false),
        1 => end.shutdown(false, true),
        2 => end.shutdown(true, true),
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}
