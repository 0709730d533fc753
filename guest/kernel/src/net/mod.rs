//! Sockets (socket(7)): `Socket` is one, `Protocol` what its family and type do, `Net` what all of a sandbox share.
//!
//! | module | what lives there |
//! |---|---|
//! | `address` | struct sockaddr |
//! | `options` | setsockopt(2), getsockopt(2) |
//! | `channel`, `connection`, `mailbox` | what sockets inside the sandbox are made of: messages on their way, connected pairs and listeners, received datagrams |
//! | `unix`, `inet`, `netlink` | the families |
//! | `resolver` | the sandbox's name server |
//! | `interface` | the network interfaces that programs see |

pub mod address;
pub mod channel;
pub mod connection;
pub mod inet;
pub mod interface;
pub(crate) mod mailbox;
pub mod netlink;
pub mod options;
pub mod resolver;
pub mod unix;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use shallop_linux_abi::Errno;
use shallop_platform::{HostSocket, Platform};

use self::address::Address;
use self::channel::{Ancillary, Received, Sender};
use self::inet::ports::Ports;
use self::interface::Interfaces;
use self::options::Options;
use self::resolver::Resolver;
use crate::vfs::{File, GuestMemory, poll};
use crate::wait::{Stop, WaitQueue};

/// Address families that there are (AF_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    Unix = 1,
    Inet = 2,
    Inet6 = 10,
    Netlink = 16,
}

impl Domain {
    pub fn from_number(number: u32) -> Option<Domain> {
        [Domain::Unix, Domain::Inet, Domain::Inet6, Domain::Netlink].into_iter().find(|d| *d as u32 == number)
    }
}

/// Socket types of socket(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Stream = 1,
    Datagram = 2,
    Raw = 3,
    SeqPacket = 5,
}

impl Kind {
    pub fn from_number(number: u32) -> Option<Kind> {
        [Kind::Stream, Kind::Datagram, Kind::Raw, Kind::SeqPacket].into_iter().find(|kind| *kind as u32 == number)
    }
}

/// What all sockets of a sandbox share.
pub struct Net {
    pub platform: &'static dyn Platform,
    pub interfaces: Interfaces,
    pub ports: Ports,
    pub names: unix::Names,
    pub resolver: Resolver,
    /// Who waits for news of the host's sockets.
    pub outside: RefCell<BTreeMap<HostSocket, WaitQueue>>,
    /// Sockets by inode number, for /proc/net.
    sockets: RefCell<BTreeMap<u64, Weak<Socket>>>,
    /// Last port number given to a netlink socket.
    netlink_port: Cell<u32>,
}

impl Net {
    pub fn new(platform: &'static dyn Platform, interfaces: Interfaces) -> Rc<Net> {
        Rc::new(Net {
            platform,
            interfaces,
            ports: Ports::default(),
            names: unix::Names::default(),
            resolver: Resolver::new(platform),
            outside: RefCell::default(),
            sockets: RefCell::default(),
            netlink_port: Cell::new(0),
        })
    }

    /// The sockets that there are, with their inode numbers.
    pub fn sockets(&self) -> Vec<(u64, Rc<Socket>)> {
        let sockets = self.sockets.borrow();
        sockets.iter().filter_map(|(ino, socket)| Some((*ino, socket.upgrade()?))).collect()
    }

    /// Notes a new socket under its inode number.
    pub fn register(&self, socket: &Rc<Socket>, ino: u64) {
        socket.ino.set(ino);
        self.sockets.borrow_mut().insert(ino, Rc::downgrade(socket));
    }
}

/// What a socket's protocol sees of it.
pub struct Common {
    pub net: Rc<Net>,
    pub domain: Domain,
    pub kind: Kind,
    /// As SO_PROTOCOL tells it.
    pub protocol: u32,
    /// Who made it.
    pub owner: Sender,
    pub options: Options,
    /// Who waits at it.
    pub queue: WaitQueue,
    /// What SO_ERROR, or else the next call, tells.
    pub error: Cell<Option<Errno>>,
}

impl Common {
    pub fn new(net: &Rc<Net>, (domain, kind, protocol): (Domain, Kind, u32), owner: Sender) -> Common {
        Common {
            net: net.clone(),
            domain,
            kind,
            protocol,
            owner,
            options: Options::default(),
            queue: WaitQueue::new(),
            error: Cell::new(None),
        }
    }

    /// A socket that a connection gives: as the listening one, waiting in the connection's queue.
    fn accepted(&self, queue: &WaitQueue) -> Common {
        let fresh = Common::new(&self.net, (self.domain, self.kind, self.protocol), self.owner);
        Common { options: self.options.clone(), queue: queue.clone(), ..fresh }
    }

    /// Fails with what went wrong since the last call.
    pub fn take_error(&self) -> Result<(), Errno> {
        self.error.take().map_or(Ok(()), Err)
    }
}

/// What a send brings.
pub struct Outgoing<'a> {
    pub bytes: &'a [u8],
    /// The address given with it.
    pub to: Option<Address>,
    pub ancillary: Ancillary,
}

/// What a family and type of sockets do. Calls that would wait return `Stop::Block` unless `nonblock`, then EAGAIN (and
/// EINPROGRESS from `connect`).
pub trait Protocol {
    fn bind(&self, at: &Address) -> Result<(), Errno>;
    fn listen(&self, _backlog: usize) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    /// A connection that came in: what its socket shares, its protocol, and who is at the other end.
    fn accept(&self, _nonblock: bool) -> Result<Accepted, Stop> {
        Err(Errno::EOPNOTSUPP.into())
    }
    fn connect(&self, to: &Address, nonblock: bool) -> Result<(), Stop>;
    fn send(&self, message: Outgoing<'_>, nonblock: bool) -> Result<usize, Stop>;
    fn receive(&self, buf: &mut [u8], peek: bool, nonblock: bool) -> Result<Received, Stop>;
    fn shutdown(&self, reading: bool, writing: bool) -> Result<(), Errno>;
    /// The socket's own address.
    fn local(&self) -> Address;
    /// ENOTCONN when it is not connected.
    fn peer(&self) -> Result<Address, Errno>;
    /// Who is at the other end (SO_PEERCRED).
    fn peer_credentials(&self) -> Option<Sender> {
        None
    }
    /// Learns what became of a connection that is being made.
    fn settle(&self) {}
    fn poll(&self) -> u32;
    /// Queues beside the socket's own that `poll` depends on.
    fn other_queues(&self) -> Vec<WaitQueue> {
        Vec::new()
    }
    /// Bytes that a receive would give (FIONREAD).
    fn available(&self) -> Result<usize, Errno>;
    /// Bytes that were sent and not taken (SIOCOUTQ).
    fn unsent(&self) -> usize {
        0
    }
    fn state(&self) -> State;
    /// SO_LINGER's end with no time: a connection is reset when it is closed.
    fn abort_on_close(&self, _on: bool) {}
    fn as_any(&self) -> &dyn Any;
}

/// What accept(2) gives.
pub struct Accepted {
    pub socket: Rc<Socket>,
    pub peer: Address,
}

/// What /proc/net shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Unconnected,
    Connecting,
    Connected,
    /// The other end has closed.
    CloseWait,
    Listening,
}

/// An open socket.
pub struct Socket {
    pub common: Rc<Common>,
    pub protocol: Box<dyn Protocol>,
    ino: Cell<u64>,
}

impl Socket {
    pub fn new(common: Rc<Common>, protocol: Box<dyn Protocol>) -> Rc<Socket> {
        Rc::new(Socket { common, protocol, ino: Cell::new(0) })
    }

    /// Whether each receive gives one message.
    pub fn keeps_messages(&self) -> bool {
        self.common.kind != Kind::Stream
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.ino.get() != 0 {
            self.common.net.sockets.borrow_mut().remove(&self.ino.get());
        }
    }
}

impl File for Socket {
    fn read_at(&self, _offset: u64, buf: &mut [u8], nonblock: bool) -> Result<usize, Stop> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.protocol.receive(buf, false, nonblock).map(|received| received.count)
    }

    fn write_at(&self, _offset: u64, bytes: &[u8], nonblock: bool) -> Result<usize, Stop> {
        self.protocol.send(Outgoing { bytes, to: None, ancillary: Ancillary::default() }, nonblock)
    }

    fn seekable(&self) -> bool {
        false
    }

    fn poll(&self) -> u32 {
        self.protocol.settle();
        let error = if self.common.error.get().is_some() { poll::ERR } else { 0 };
        self.protocol.poll() | error
    }

    fn wait_queue(&self) -> Option<WaitQueue> {
        Some(self.common.queue.clone())
    }

    fn wait_queues(&self) -> Vec<WaitQueue> {
        let mut queues = self.protocol.other_queues();
        queues.push(self.common.queue.clone());
        queues
    }

    fn available(&self) -> Option<usize> {
        self.protocol.available().ok()
    }

    fn ioctl(&self, request: u32, arg: u64, memory: &dyn GuestMemory) -> Result<u64, Stop> {
        interface::ioctl(self, request, arg, memory)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
