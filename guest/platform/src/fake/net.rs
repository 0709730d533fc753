//! The network of the fake host: a world of servers that send back what they get, and of names.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use shallop_host_abi::hypercall::resolved;
use shallop_linux_abi::Errno;

use crate::{Family, HostSocket, Resolved, Result};

const IN: u32 = 1;
const OUT: u32 = 4;

struct FakeSocket {
    stream: bool,
    /// It connects until it was asked about once.
    connecting: bool,
    /// What comes back: datagrams, or pieces of a stream.
    waiting: VecDeque<Vec<u8>>,
    ended: bool,
}

/// The world outside.
#[derive(Default)]
pub struct FakeNet {
    /// Where servers are; elsewhere connections are refused.
    pub servers: RefCell<BTreeSet<SocketAddr>>,
    pub names: RefCell<BTreeMap<String, Vec<IpAddr>>>,
    sockets: RefCell<BTreeMap<u32, FakeSocket>>,
    next: Cell<u32>,
    events: RefCell<BTreeSet<u32>>,
    answers: RefCell<VecDeque<Resolved>>,
}

impl FakeNet {
    fn with<T>(&self, socket: HostSocket, act: impl FnOnce(&mut FakeSocket) -> Result<T>) -> Result<T> {
        act(self.sockets.borrow_mut().get_mut(&socket.0).ok_or(Errno::EBADF)?)
    }

    /// How many sockets are open.
    pub fn open_sockets(&self) -> usize {
        self.sockets.borrow().len()
    }

    pub(super) fn has_news(&self) -> bool {
        !self.events.borrow().is_empty() || !self.answers.borrow().is_empty()
    }

    pub(super) fn open(&self, stream: bool, to: SocketAddr) -> Result<HostSocket> {
        if !self.servers.borrow().contains(&to) {
            return Err(Errno::ECONNREFUSED);
        }
        self.next.set(self.next.get() + 1);
        let number = self.next.get();
        let socket = FakeSocket { stream, connecting: stream, waiting: VecDeque::new(), ended: false };
        self.sockets.borrow_mut().insert(number, socket);
        self.events.borrow_mut().insert(number);
        Ok(HostSocket(number))
    }

    pub(super) fn status(&self, socket: HostSocket) -> Result<()> {
        self.events.borrow_mut().insert(socket.0);
        self.with(socket, |socket| match std::mem::take(&mut socket.connecting) {
            true => Err(Errno::EINPROGRESS),
            false => Ok(()),
        })
    }

    pub(super) fn receive(&self, socket: HostSocket, buf: &mut [u8], peek: bool) -> Result<usize> {
        self.with(socket, |socket| {
            let Some(mut first) = socket.waiting.pop_front() else {
                return if socket.ended { Ok(0) } else { Err(Errno::EAGAIN) };
            };
            let count = first.len().min(buf.len());
            buf[..count].copy_from_slice(&first[..count]);
            if peek {
                socket.waiting.push_front(first);
            } else if socket.stream && count < first.len() {
                socket.waiting.push_front(first.split_off(count));
            }
            Ok(count)
        })
    }

    pub(super) fn send(&self, socket: HostSocket, bytes: &[u8]) -> Result<usize> {
        self.events.borrow_mut().insert(socket.0);
        self.with(socket, |socket| {
            socket.waiting.push_back(bytes.to_vec());
            Ok(bytes.len())
        })
    }

    pub(super) fn shutdown(&self, socket: HostSocket, _how: u32) -> Result<()> {
        self.events.borrow_mut().insert(socket.0);
        self.with(socket, |socket| {
            socket.ended = true;
            Ok(())
        })
    }

    pub(super) fn poll(&self, socket: HostSocket) -> u32 {
        let bits = self.with(socket, |socket| {
            let readable = !socket.waiting.is_empty() || socket.ended;
            Ok(if socket.connecting { 0 } else { OUT } | if readable { IN } else { 0 })
        });
        bits.unwrap_or(0)
    }

    pub(super) fn available(&self, socket: HostSocket) -> Result<usize> {
        self.with(socket, |socket| Ok(socket.waiting.front().map_or(0, Vec::len)))
    }

    pub(super) fn close(&self, socket: HostSocket) {
        self.sockets.borrow_mut().remove(&socket.0);
    }

    pub(super) fn take_events(&self) -> Vec<HostSocket> {
        std::mem::take(&mut *self.events.borrow_mut()).into_iter().map(HostSocket).collect()
    }

    pub(super) fn resolve(&self, id: u32, family: Family, name: &str) -> Result<()> {
        let answer = match self.names.borrow().get(name) {
            Some(all) => {
                let addresses = all.iter().filter(|ip| ip.is_ipv4() == (family == Family::V4)).copied().collect();
                Resolved { id, status: resolved::OK, addresses, name: None }
            }
            None => Resolved { id, status: resolved::NO_NAME, addresses: Vec::new(), name: None },
        };
        self.answers.borrow_mut().push_back(answer);
        Ok(())
    }

    pub(super) fn reverse(&self, id: u32, ip: IpAddr) -> Result<()> {
        let names = self.names.borrow();
        let name = names.iter().find(|(_, all)| all.contains(&ip)).map(|(name, _)| name.clone());
        let status = if name.is_some() { resolved::OK } else { resolved::NO_NAME };
        self.answers.borrow_mut().push_back(Resolved { id, status, addresses: Vec::new(), name });
        Ok(())
    }

    pub(super) fn take_answer(&self) -> Option<Resolved> {
        self.answers.borrow_mut().pop_front()
    }
}
