//! Sockets of the host to addresses outside: [`Outside`] is one, asked for over `Platform` and granted by its policy.

use std::net::SocketAddr;
use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_platform::HostSocket;

use crate::kernel::Kernel;
use crate::net::{Common, Net};
use crate::wait::{Stop, Wait, WaitQueue};

/// An open one; closes with it.
pub struct Outside {
    net: Rc<Net>,
    socket: HostSocket,
    queue: WaitQueue,
}

impl Outside {
    /// A socket to an address: connecting (`stream`) or connected. `common` is the guest's socket, whose queue is woken.
    ///
    /// # Errors
    /// ENETUNREACH where there is no network, EACCES when the policy refuses, or why the host cannot.
    pub fn open(common: &Common, stream: bool, to: SocketAddr) -> Result<Outside, Errno> {
        let net = &common.net;
        if net.interfaces.address().is_none() {
            return Err(Errno::ENETUNREACH);
        }
        let socket = net.platform.net_open(stream, to)?;
        net.outside.borrow_mut().insert(socket, common.queue.clone());
        Ok(Outside { net: net.clone(), socket, queue: common.queue.clone() })
    }

    /// EINPROGRESS while it connects; else what went wrong, once.
    pub fn status(&self) -> Result<(), Errno> {
        self.net.platform.net_status(self.socket)
    }

    pub fn receive(&self, buf: &mut [u8], peek: bool, nonblock: bool) -> Result<usize, Stop> {
        self.net.platform.net_receive(self.socket, buf, peek).map_err(|errno| self.stop(errno, nonblock))
    }

    pub fn send(&self, bytes: &[u8], nonblock: bool) -> Result<usize, Stop> {
        self.net.platform.net_send(self.socket, bytes).map_err(|errno| self.stop(errno, nonblock))
    }

    fn stop(&self, errno: Errno, nonblock: bool) -> Stop {
        match errno {
            Errno::EAGAIN if !nonblock => Stop::Block(Wait::on(&self.queue)),
            errno => errno.into(),
        }
    }

    pub fn shutdown(&self, reading: bool, writing: bool) -> Result<(), Errno> {
        let how = match (reading, writing) {
            (true, false) => 0,
            (false, _) => 1,
            (true, true) => 2,
        };
        self.net.platform.net_shutdown(self.socket, how)
    }

    /// Bits of poll(2).
    pub fn poll(&self) -> u32 {
        self.net.platform.net_poll(self.socket)
    }

    pub fn available(&self) -> usize {
        self.net.platform.net_available(self.socket).unwrap_or(0)
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.net.outside.borrow_mut().remove(&self.socket);
        self.net.platform.net_close(self.socket);
    }
}

/// The host has news of sockets or names.
pub fn news(k: &Kernel) {
    for socket in k.platform.net_events() {
        if let Some(queue) = k.net.outside.borrow().get(&socket) {
            queue.wake();
        }
    }
    while let Some(answer) = k.platform.net_answer() {
        k.net.resolver.answered(&answer);
    }
}
