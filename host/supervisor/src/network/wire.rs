//! Questions of a worker and answers to it: JSON messages over a socket pair that keeps them apart (SOCK_SEQPACKET). An
//! answer that opens a socket carries it.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Bytes of a message at most.
const MAX_MESSAGE: usize = 16 << 10;

/// Which addresses of a name are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Family {
    V4,
    V6,
}

/// A worker's question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// A socket to an address: TCP (`stream`) or UDP.
    Open { stream: bool, to: SocketAddr },
    /// A name's addresses. The number is repeated in the answer.
    Resolve { id: u32, family: Family, name: String },
    /// An address's name, likewise.
    Reverse { id: u32, ip: IpAddr },
}

/// How looking a name up ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    Ok,
    /// There is no such name.
    NoName,
    /// It could not be found out.
    Failed,
    /// The policy does not allow to ask.
    Refused,
}

/// What was found out about a name or an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    pub id: u32,
    pub status: Status,
    pub addresses: Vec<IpAddr>,
    /// Of the address that was asked about.
    pub name: Option<String>,
}

impl Resolved {
    /// An answer about a name.
    pub(super) fn addresses(id: u32, status: Status, addresses: Vec<IpAddr>) -> Resolved {
        Resolved { id, status, addresses, name: None }
    }

    /// An answer about an address.
    pub(super) fn name(id: u32, found: Result<String, Status>) -> Resolved {
        let (status, name) = found.map_or_else(|status| (status, None), |name| (Status::Ok, Some(name)));
        Resolved { id, status, addresses: Vec::new(), name }
    }
}

/// The supervisor's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The socket comes with it.
    Opened,
    /// The errno for the program that asked.
    NotOpened(i32),
    Resolved(Resolved),
}

/// The two ends: the supervisor's and the worker's.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

pub(super) fn send(to: BorrowedFd<'_>, message: &impl Serialize, socket: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let json = serde_json::to_vec(message)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sockets = socket.as_slice();
    if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    sendmsg(to, &[IoSlice::new(&json)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The next message and its socket; `None` when the other side is gone.
pub(super) fn receive<T: DeserializeOwned>(
    from: BorrowedFd<'_>,
    flags: RecvFlags,
) -> io::Result<Option<(T, Option<OwnedFd>)>> {
    let mut bytes = vec![0; MAX_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        match recvmsg(from, &mut parts, &mut control, flags | RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            done => break done?,
        }
    };
    if message.bytes == 0 {
        return Ok(None);
    }
    let socket = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut received) => received.next(),
        _ => None,
    });
    Ok(Some((serde_json::from_slice(&bytes[..message.bytes])?, socket)))
}

/// The worker's side.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    /// Answers about names that came while a socket was waited for.
    early: VecDeque<Resolved>,
    closed: bool,
}

impl Client {
    pub fn new(socket: OwnedFd) -> Client {
        Client { socket, early: VecDeque::new(), closed: false }
    }

    /// A socket to an address, as [`Ask::Open`]; waits for the answer, which comes at once.
    ///
    /// # Errors
    /// The errno for the program that asked.
    pub fn open(&mut self, stream: bool, to: SocketAddr) -> Result<OwnedFd, i32> {
        let down = Errno::NETDOWN.raw_os_error();
        send(self.socket.as_fd(), &Ask::Open { stream, to }, None).map_err(|_| down)?;
        loop {
            match receive::<Answer>(self.socket.as_fd(), RecvFlags::empty()) {
                Ok(Some((Answer::Opened, Some(socket)))) => return Ok(socket),
                Ok(Some((Answer::NotOpened(errno), _))) => return Err(errno),
                Ok(Some((Answer::Resolved(resolved), _))) => self.early.push_back(resolved),
                Ok(Some((Answer::Opened, None))) => return Err(Errno::NFILE.raw_os_error()),
                Ok(None) | Err(_) => {
                    self.closed = true;
                    return Err(down);
                }
            }
        }
    }

    /// Asks as [`Ask::Resolve`].
    ///
    /// # Errors
    /// When nobody is there to answer.
    pub fn resolve(&mut self, id: u32, family: Family, name: &str) -> io::Result<()> {
        send(self.socket.as_fd(), &Ask::Resolve { id, family, name: name.to_owned() }, None)
    }

    /// Asks as [`Ask::Reverse`].
    ///
    /// # Errors
    /// When nobody is there to answer.
    pub fn reverse(&mut self, id: u32, ip: IpAddr) -> io::Result<()> {
        send(self.socket.as_fd(), &Ask::Reverse { id, ip }, None)
    }

    /// Readable when an answer has come; `None`: none will come any more.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        (!self.closed).then(|| self.socket.as_fd())
    }

    /// The next answer about a name that has come; never waits.
    pub fn answer(&mut self) -> Option<Resolved> {
        if let Some(resolved) = self.early.pop_front() {
            return Some(resolved);
        }
        if self.closed {
            return None;
        }
        match receive::<Answer>(self.socket.as_fd(), RecvFlags::DONTWAIT) {
            Ok(Some((Answer::Resolved(resolved), _))) => Some(resolved),
            Ok(Some(_)) => None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Ok(None) | Err(_) => {
                self.closed = true;
                None
            }
        }
    }
}
