//! AF_NETLINK, NETLINK_ROUTE (rtnetlink(7)): who asks is told of interfaces, addresses and routes; nothing can be changed.

mod message;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use shallop_linux_abi::Errno;

use super::address::Address;
use super::channel::{Ancillary, Received};
use super::mailbox::Mailbox;
use super::{Common, Outgoing, Protocol, Socket, State};
use crate::vfs::poll;
use crate::wait::Stop;

/// The one protocol that there is.
pub const ROUTE: u32 = 0;

/// Numbers given to sockets that ask for none go up from here: they are no process ids.
const FIRST_PORT: u32 = 0x8000_0000;

pub struct Netlink {
    common: Rc<Common>,
    mailbox: Rc<Mailbox>,
    port: Cell<u32>,
    groups: Cell<u32>,
    peer: RefCell<Option<Address>>,
}

pub fn new(common: Rc<Common>) -> Rc<Socket> {
    let mailbox = Mailbox::new(&common.queue);
    let (port, groups, peer) = (Cell::new(0), Cell::new(0), RefCell::default());
    Socket::new(common.clone(), Box::new(Netlink { common, mailbox, port, groups, peer }))
}

impl Netlink {
    /// Where others put messages for it.
    pub fn mailbox(&self) -> Weak<Mailbox> {
        Rc::downgrade(&self.mailbox)
    }

    fn take_port(&self, wanted: u32) {
        let net = &self.common.net;
        self.port.set(match wanted {
            0 => {
                net.netlink_port.set(net.netlink_port.get().wrapping_add(1));
                FIRST_PORT | net.netlink_port.get()
            }
            wanted => wanted,
        });
    }
}

impl Protocol for Netlink {
    fn bind(&self, at: &Address) -> Result<(), Errno> {
        let Address::Netlink { port, groups } = at else { return Err(Errno::EINVAL) };
        if self.port.get() != 0 && *port != self.port.get() {
            return Err(Errno::EINVAL);
        }
        self.groups.set(*groups);
        // The first socket of a process has the process's number.
        let own = if *port == 0 && self.common.net.netlink_port.get() == 0 { self.common.owner.pid } else { *port };
        if self.port.get() == 0 {
            self.take_port(own);
            self.common.net.netlink_port.set(self.common.net.netlink_port.get().max(1));
        }
        Ok(())
    }

    fn connect(&self, to: &Address, _nonblock: bool) -> Result<(), Stop> {
        let other = matches!(to, Address::Netlink { port, .. } if *port != 0);
        if other {
            return Err(Errno::EPERM.into());
        }
        *self.peer.borrow_mut() = Some(to.clone());
        if self.port.get() == 0 {
            self.take_port(0);
        }
        Ok(())
    }

    fn send(&self, message: Outgoing<'_>, _nonblock: bool) -> Result<usize, Stop> {
        match message.to {
            None | Some(Address::Netlink { port: 0, .. }) => {}
            Some(_) => return Err(Errno::ECONNREFUSED.into()),
        }
        if self.port.get() == 0 {
            self.take_port(0);
        }
        for answer in message::answers(&self.common.net.interfaces, message.bytes, self.port.get()) {
            if self.mailbox.has_room(answer.len()) {
                self.mailbox.put(&answer, Address::Netlink { port: 0, groups: 0 }, Ancillary::default());
            }
        }
        Ok(message.bytes.len())
    }

    fn receive(&self, buf: &mut [u8], peek: bool, nonblock: bool) -> Result<Received, Stop> {
        self.mailbox.receive(buf, peek, nonblock)
    }

    fn shutdown(&self, _reading: bool, _writing: bool) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn local(&self) -> Address {
        Address::Netlink { port: self.port.get(), groups: self.groups.get() }
    }

    fn peer(&self) -> Result<Address, Errno> {
        Ok(Address::Netlink { port: 0, groups: 0 })
    }

    fn poll(&self) -> u32 {
        if self.mailbox.len() > 0 { poll::IN | poll::OUT } else { poll::OUT }
    }

    fn available(&self) -> Result<usize, Errno> {
        Ok(self.mailbox.available())
    }

    fn state(&self) -> State {
        State::Unconnected
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}
