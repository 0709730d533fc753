//! The sandbox's view of the supervisor's network: [`network`].

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};

use shallop_sandbox::{Answered, Family, Network, resolved};
use shallop_supervisor::network::{self, Client, Status};

/// What the supervisor is asked over.
struct Asked(Client);

/// The network that is asked for over `socket`.
pub fn network(socket: OwnedFd) -> Box<dyn Network> {
    Box::new(Asked(Client::new(socket)))
}

impl Network for Asked {
    fn open(&mut self, stream: bool, to: SocketAddr) -> Result<OwnedFd, i32> {
        self.0.open(stream, to)
    }

    fn resolve(&mut self, id: u32, family: Family, name: &str) -> Result<(), i32> {
        let family = match family {
            Family::V4 => network::Family::V4,
            Family::V6 => network::Family::V6,
        };
        self.0.resolve(id, family, name).map_err(|_| libc::ENETDOWN)
    }

    fn reverse(&mut self, id: u32, ip: IpAddr) -> Result<(), i32> {
        self.0.reverse(id, ip).map_err(|_| libc::ENETDOWN)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.descriptor()
    }

    fn answer(&mut self) -> Option<Answered> {
        let answer = self.0.answer()?;
        let status = match answer.status {
            Status::Ok => resolved::OK,
            Status::NoName => resolved::NO_NAME,
            Status::Failed => resolved::FAILED,
            Status::Refused => resolved::REFUSED,
        };
        Some(Answered { id: answer.id, status, addresses: answer.addresses, name: answer.name })
    }
}
