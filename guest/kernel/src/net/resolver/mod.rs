//! The sandbox's name server, at an address of its own (as Docker's 127.0.0.11): it passes questions on to the host's
//! resolver. Programs reach it over UDP and TCP, as /etc/resolv.conf tells them to.

mod message;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::rc::{Rc, Weak};

use shallop_linux_abi::Errno;
use shallop_platform::{Platform, Resolved};

use self::message::{Code, Data, Query, Wanted};
use super::address::Address;
use super::channel::{Ancillary, Sender};
use super::connection::{self, End, Style};
use super::mailbox::Mailbox;
use crate::wait::WaitQueue;

/// Where it listens.
pub const ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 11), 53));

/// Questions that wait for an answer at most.
const MAX_PENDING: usize = 1024;
/// Connections at a time, and bytes of questions kept for one.
const MAX_STREAMS: usize = 256;
const MAX_BUFFER: usize = 4096;
/// Longest answer over UDP (RFC 1035); who needs more asks again over TCP.
const MAX_DATAGRAM: usize = 512;

/// Where an answer goes.
#[derive(Clone)]
enum Reply {
    Datagram(Weak<Mailbox>),
    Stream(u32),
}

/// A connection of somebody who asks.
struct Stream {
    end: End,
    read: Vec<u8>,
}

pub struct Resolver {
    platform: &'static dyn Platform,
    pending: RefCell<BTreeMap<u32, (Query, Reply)>>,
    streams: RefCell<BTreeMap<u32, Stream>>,
    next: Cell<u32>,
}

impl Resolver {
    pub fn new(platform: &'static dyn Platform) -> Resolver {
        Resolver { platform, pending: RefCell::default(), streams: RefCell::default(), next: Cell::new(0) }
    }

    fn number(&self) -> u32 {
        self.next.set(self.next.get().wrapping_add(1));
        self.next.get()
    }

    /// A question in a datagram; the answer comes into the asking socket's mailbox.
    pub fn datagram(&self, bytes: &[u8], mailbox: &Rc<Mailbox>) {
        self.ask(bytes, Reply::Datagram(Rc::downgrade(mailbox)));
    }

    /// Connects who is `from` and waits in `queue`.
    pub fn connect(&self, from: (Sender, &WaitQueue)) -> Result<End, Errno> {
        let mut streams = self.streams.borrow_mut();
        streams.retain(|_, stream| !stream.end.ended());
        if streams.len() >= MAX_STREAMS {
            return Err(Errno::ECONNREFUSED);
        }
        let (ours, end) = connection::pair(Style::Tcp, from, (Sender::default(), &WaitQueue::new()));
        streams.insert(self.number(), Stream { end, read: Vec::new() });
        Ok(ours)
    }

    /// Somebody sent on a connection: takes the questions that are whole.
    pub fn pump(&self) {
        let mut questions = Vec::new();
        for (number, stream) in &mut *self.streams.borrow_mut() {
            let mut buf = [0; 1024];
            while stream.read.len() < MAX_BUFFER {
                match stream.end.receive(&mut buf, false, true) {
                    Ok(received) if received.count > 0 => stream.read.extend(&buf[..received.count]),
                    _ => break,
                }
            }
            while let Some(question) = take_question(&mut stream.read) {
                questions.push((question, *number));
            }
        }
        questions.into_iter().for_each(|(question, number)| self.ask(&question, Reply::Stream(number)));
    }

    fn ask(&self, bytes: &[u8], reply: Reply) {
        let query = match Query::parse(bytes) {
            Ok(query) => query,
            Err(refusal) => return refusal.into_iter().for_each(|answer| self.send(&reply, &answer)),
        };
        let id = self.number();
        let busy = self.pending.borrow().len() >= MAX_PENDING;
        let asked = match query.wanted() {
            // Of other kinds there is nothing, whatever the name.
            Wanted::Other => return self.send(&reply, &query.answer(Code::Ok, &[], usize::MAX)),
            _ if busy => Err(Errno::EAGAIN),
            Wanted::Addresses(family) => self.platform.net_resolve(id, family, query.name()),
            Wanted::NameOf(ip) => self.platform.net_reverse(id, ip),
        };
        if asked.is_err() {
            return self.send(&reply, &query.answer(Code::Failed, &[], usize::MAX));
        }
        self.pending.borrow_mut().insert(id, (query, reply));
    }

    /// An answer of the host's.
    pub fn answered(&self, answer: &Resolved) {
        let Some((query, reply)) = self.pending.borrow_mut().remove(&answer.id) else { return };
        let limit = if matches!(reply, Reply::Datagram(_)) { MAX_DATAGRAM } else { usize::MAX };
        let addresses = answer.addresses.iter().copied().map(Data::Address);
        let found: Vec<Data> = addresses.chain(answer.name.iter().cloned().map(Data::Name)).collect();
        self.send(&reply, &query.answer(Code::of(answer.status), &found, limit));
    }

    fn send(&self, reply: &Reply, bytes: &[u8]) {
        match reply {
            Reply::Datagram(mailbox) => {
                if let Some(mailbox) = mailbox.upgrade().filter(|mailbox| mailbox.has_room(bytes.len())) {
                    mailbox.put(bytes, Address::Inet(ADDRESS), Ancillary::default());
                }
            }
            Reply::Stream(number) => {
                let streams = self.streams.borrow();
                let Some(stream) = streams.get(number) else { return };
                let framed = [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
                // A client that does not read loses its answer.
                let _ = stream.end.send(&framed, Ancillary::default(), true);
            }
        }
    }
}

/// The first question of a connection: its length in two bytes, then so many.
fn take_question(read: &mut Vec<u8>) -> Option<Vec<u8>> {
    let len = usize::from(u16::from_be_bytes([*read.first()?, *read.get(1)?]));
    if len > MAX_BUFFER - 2 {
        // Nobody asks that much: nothing of this connection means anything any more.
        read.clear();
        return None;
    }
    (read.len() >= 2 + len).then(|| read.drain(..2 + len).skip(2).collect())
}
