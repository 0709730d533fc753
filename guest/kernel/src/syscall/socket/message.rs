//! struct msghdr and its control messages: sendmsg, recvmsg, sendmmsg, recvmmsg.

use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::transfer::{Along, from_bytes, msg, receive, send};
use super::{destination, socket_of};
use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::net::channel::{Ancillary, Received, Sender};
use crate::net::options::{level, so};
use crate::net::{Domain, Socket};
use crate::syscall::rw::{Segment, segments};
use crate::task::credentials::cap;
use crate::vfs::open_file::OpenFile;
use crate::wait::{Stop, SysResult, Tid};

const SCM_RIGHTS: u32 = 1;
const SCM_CREDENTIALS: u32 = 2;
/// Bytes of struct cmsghdr.
const CONTROL_HEADER: usize = 16;
/// Longest control data that is read.
const CONTROL_MAX: u64 = 16 << 10;
/// Most descriptors in one message (SCM_MAX_FD).
const MAX_FILES: usize = 253;
/// Bytes of struct mmsghdr, and where in it the count is.
const MANY: u64 = 64;
const MANY_COUNT: u64 = 56;
/// Most messages of one call (UIO_MAXIOV).
const MAX_MANY: u64 = 1024;

/// struct msghdr.
struct Header {
    at: u64,
    name: u64,
    name_len: u32,
    parts: Vec<Segment>,
    control: u64,
    control_len: u64,
}

fn header(k: &Kernel, tid: Tid, addr: u64) -> Result<Header, Errno> {
    let word = |at: u64| k.read_u64(tid, addr.wrapping_add(at));
    let parts = segments(k, tid, word(16)?, word(24)?).map_err(|errno| match errno {
        Errno::EINVAL => Errno::EMSGSIZE,
        other => other,
    })?;
    Ok(Header {
        at: addr,
        name: word(0)?,
        name_len: word(8)? as u32,
        parts,
        control: word(32)?,
        control_len: word(40)?,
    })
}

/// What the control messages of a send ask for.
fn ancillary(k: &Kernel, tid: Tid, socket: &Socket, header: &Header) -> Result<Ancillary, Errno> {
    let mut found = Along::of(k, tid).ancillary;
    if header.control == 0 || header.control_len < CONTROL_HEADER as u64 {
        return Ok(found);
    }
    if header.control_len > CONTROL_MAX {
        return Err(Errno::ENOBUFS);
    }
    let mut bytes = vec![0; header.control_len as usize];
    k.read_memory(tid, header.control, &mut bytes)?;
    let mut rest = &bytes[..];
    while rest.len() >= CONTROL_HEADER {
        let len = u64::from_le_bytes(std::array::from_fn(|i| rest[i]));
        let len =
            usize::try_from(len).ok().filter(|l| (CONTROL_HEADER..=rest.len()).contains(l)).ok_or(Errno::EINVAL)?;
        let value = &rest[CONTROL_HEADER..len];
        // Those of IP choose interfaces and the like, of which there is one.
        if socket.common.domain == Domain::Unix && word(rest, 8) == level::SOCKET {
            match word(rest, 12) {
                SCM_RIGHTS => passed_files(k, tid, value, &mut found.files)?,
                SCM_CREDENTIALS => found.sender = claimed(k, tid, value)?,
                _ => return Err(Errno::EINVAL),
            }
        }
        rest = rest.get(len.next_multiple_of(8)..).unwrap_or(&[]);
    }
    Ok(found)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

/// The open files that SCM_RIGHTS names.
fn passed_files(k: &Kernel, tid: Tid, value: &[u8], files: &mut Vec<Rc<OpenFile>>) -> Result<(), Errno> {
    for fd in value.chunks_exact(4) {
        files.push(k.any_file(tid, word(fd, 0).into())?);
    }
    if files.len() > MAX_FILES { Err(Errno::EINVAL) } else { Ok(()) }
}

/// Who the sender says that it is: itself, unless it may say otherwise.
fn claimed(k: &Kernel, tid: Tid, value: &[u8]) -> Result<Sender, Errno> {
    if value.len() < 12 {
        return Err(Errno::EINVAL);
    }
    let says = Sender { pid: word(value, 0), uid: word(value, 4), gid: word(value, 8) };
    let task = k.task(tid);
    let who = &task.credentials;
    let pid = says.pid == task.pid.0 || who.has(cap::SYS_ADMIN);
    let uid = [who.uid, who.euid, who.suid].contains(&says.uid) || who.has(cap::SETUID);
    let gid = [who.gid, who.egid, who.sgid].contains(&says.gid) || who.has(cap::SETGID);
    match pid && uid && gid {
        true => Ok(says),
        false => Err(Errno::EPERM),
    }
}

/// `sendmsg(fd, msg, flags)`
pub fn sendmsg(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, message, flags, ..] = call.args;
    send_one(k, call.tid, fd, message, flags as u32)
}

fn send_one(k: &mut Kernel, tid: Tid, fd: u64, message: u64, flags: u32) -> SysResult {
    let file = k.file(tid, fd)?;
    let socket = socket_of(&file)?;
    let header = header(k, tid, message)?;
    let to = match header.name {
        0 => None,
        _ if header.name_len == 0 => None,
        name => Some(destination(k, tid, socket, name, header.name_len.into())?),
    };
    let along = Along { to, ancillary: ancillary(k, tid, socket, &header)? };
    send(k, tid, &file, &header.parts, along, flags)
}

/// `recvmsg(fd, msg, flags)`
pub fn recvmsg(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, message, flags, ..] = call.args;
    receive_one(k, call.tid, fd, message, flags as u32)
}

fn receive_one(k: &mut Kernel, tid: Tid, fd: u64, message: u64, flags: u32) -> SysResult {
    let file = k.file(tid, fd)?;
    let socket = socket_of(&file)?;
    let header = header(k, tid, message)?;
    let received = receive(k, tid, &file, &header.parts, flags)?;
    let mut control = Control { k, tid, header: &header, written: 0, cut: false };
    if socket.common.domain == Domain::Unix && socket.common.options.is_on(so::PASSCRED) {
        control.credentials(received.ancillary.sender)?;
    }
    control.files(&received.ancillary.files, flags & msg::CMSG_CLOEXEC != 0)?;
    let (written, cut) = (control.written, control.cut);
    write_result(k, tid, &header, &received, socket.common.domain)?;
    let mut result = if cut { msg::CTRUNC } else { 0 } | flags & msg::CMSG_CLOEXEC;
    if received.lost > 0 {
        result |= msg::TRUNC;
    }
    k.write_u64(tid, message.wrapping_add(40), written)?;
    k.write_u32(tid, message.wrapping_add(48), result)?;
    let lost = if flags & msg::TRUNC != 0 { received.lost } else { 0 };
    Ok((received.count + lost) as u64)
}

/// The sender's address and its length.
fn write_result(k: &Kernel, tid: Tid, header: &Header, received: &Received, domain: Domain) -> Result<(), Errno> {
    let name = from_bytes(received, domain);
    if header.name != 0 {
        let room = name.len().min(header.name_len as usize);
        k.write_memory(tid, header.name, &name[..room])?;
        k.write_u32(tid, header.at.wrapping_add(8), name.len() as u32)?;
    }
    Ok(())
}

/// Writes control messages, as far as there is room.
struct Control<'a> {
    k: &'a Kernel,
    tid: Tid,
    header: &'a Header,
    written: u64,
    cut: bool,
}

impl Control<'_> {
    /// Bytes that a message may still have behind its header.
    fn room(&self) -> usize {
        let len = if self.header.control == 0 { 0 } else { self.header.control_len };
        usize::try_from(len.saturating_sub(self.written)).unwrap_or(usize::MAX).saturating_sub(CONTROL_HEADER)
    }

    fn put(&mut self, kind: u32, value: &[u8]) -> Result<(), Errno> {
        let len = CONTROL_HEADER + value.len();
        let mut bytes = (len as u64).to_le_bytes().to_vec();
        bytes.extend(level::SOCKET.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(value);
        self.k.write_memory(self.tid, self.header.control.wrapping_add(self.written), &bytes)?;
        self.written = (self.written + len.next_multiple_of(8) as u64).min(self.header.control_len);
        Ok(())
    }

    fn credentials(&mut self, sender: Sender) -> Result<(), Errno> {
        let value: Vec<u8> = [sender.pid, sender.uid, sender.gid].iter().flat_map(|word| word.to_le_bytes()).collect();
        let room = self.room().min(value.len());
        self.cut |= room < value.len();
        if room == 0 { Ok(()) } else { self.put(SCM_CREDENTIALS, &value[..room]) }
    }

    /// Gives the receiver descriptors and tells it of them.
    fn files(&mut self, files: &[Rc<OpenFile>], cloexec: bool) -> Result<(), Errno> {
        let mut fds: Vec<u8> = Vec::new();
        for file in files.iter().take(self.room() / 4) {
            match self.k.install(self.tid, file.clone(), cloexec) {
                Ok(fd) => fds.extend(fd.to_le_bytes()),
                Err(_) => break,
            }
        }
        self.cut |= fds.len() < files.len() * 4;
        if fds.is_empty() { Ok(()) } else { self.put(SCM_RIGHTS, &fds) }
    }
}

/// Does up to `count` messages of an array of struct mmsghdr. What the first one has to wait for, or fails of, is the call's
/// result; behind it, it is how many were done.
fn many(
    k: &mut Kernel,
    tid: Tid,
    (at, count): (u64, u64),
    mut one: impl FnMut(&mut Kernel, u64, bool) -> SysResult,
) -> SysResult {
    let mut done = 0;
    while done < u64::from(count as u32).min(MAX_MANY) {
        let place = at.wrapping_add(done * MANY);
        match one(k, place, done > 0) {
            Ok(bytes) => k.write_u32(tid, place.wrapping_add(MANY_COUNT), bytes as u32)?,
            Err(_) if done > 0 => break,
            Err(stop) => return Err(stop),
        }
        k.task_mut(tid).progress.done = 0;
        done += 1;
    }
    Ok(done)
}

/// `sendmmsg(fd, messages, count, flags)`
pub fn sendmmsg(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, at, count, flags, ..] = call.args;
    let tid = call.tid;
    many(k, tid, (at, count), |k, place, later| {
        let wait = if later { msg::DONTWAIT } else { 0 };
        send_one(k, tid, fd, place, flags as u32 | wait)
    })
}

/// `recvmmsg(fd, messages, count, flags, timeout)`: waits for the first message only.
pub fn recvmmsg(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, at, count, flags, timeout, _] = call.args;
    let tid = call.tid;
    let deadline = crate::syscall::poll::deadline(k, tid, timeout)?;
    let flags = flags as u32 & !msg::WAITFORONE;
    let result = many(k, tid, (at, count), |k, place, later| {
        let wait = if later { msg::DONTWAIT } else { 0 };
        receive_one(k, tid, fd, place, flags | wait)
    });
    let Err(Stop::Block(mut wait)) = result else { return result };
    if crate::syscall::poll::expired(k, tid, deadline) {
        return Err(Errno::EAGAIN.into());
    }
    wait.deadline = wait.deadline.or(deadline);
    Err(Stop::Block(wait))
}
