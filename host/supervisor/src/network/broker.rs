//! The supervisor's side of a sandbox's network: [`Broker`], a thread that answers one worker's questions.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, connect, socket_with, sockopt};

use super::names::{Names, of_family};
use super::policy::{Learned, Policy, Refusal, Told};
use super::wire::{self, Answer, Ask, Family, Resolved, Status};

/// Names that are looked up at a time; who asks for more is told to try again.
const MAX_LOOKUPS: usize = 32;
/// Refusals that are kept to be told.
const MAX_TOLD: usize = 100;

/// Serves one worker until it is gone.
#[derive(Debug)]
pub struct Broker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    socket: OwnedFd,
    policy: Policy,
    names: Names,
    learned: Mutex<Learned>,
    refused: Mutex<BTreeSet<String>>,
    lookups: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Broker {
    /// Starts the thread; gives the worker's end of the socket too.
    ///
    /// # Errors
    /// When the system gives no socket or thread.
    pub fn start(policy: Policy) -> Result<(Broker, OwnedFd)> {
        let (ours, theirs) = wire::pair().context("making the network's socket")?;
        let shared = Arc::new(Shared {
            socket: ours,
            policy,
            names: Names::default(),
            learned: Mutex::default(),
            refused: Mutex::default(),
            lookups: AtomicUsize::new(0),
        });
        let served = shared.clone();
        let serve = move || served.serve();
        std::thread::Builder::new().name("network".into()).spawn(serve).context("starting the network's thread")?;
        Ok((Broker { shared }, theirs))
    }

    /// What the policy refused, a sentence for each.
    pub fn refused(&self) -> Vec<String> {
        lock(&self.shared.refused).iter().cloned().collect()
    }
}

impl Shared {
    fn serve(self: &Arc<Shared>) {
        // A message that is none is the end, as is a worker that is gone.
        while let Ok(Some((ask, _))) = wire::receive::<Ask>(self.socket.as_fd(), RecvFlags::empty()) {
            let answered = match ask {
                Ask::Open { stream, to } => self.open(stream, to),
                Ask::Resolve { id, family, name } => self.resolve(id, family, name),
                Ask::Reverse { id, ip } => self.reverse(id, ip),
            };
            if answered.is_err() {
                return;
            }
        }
    }

    fn answer(&self, answer: &Answer) -> io::Result<()> {
        wire::send(self.socket.as_fd(), answer, None)
    }

    fn open(&self, stream: bool, to: SocketAddr) -> io::Result<()> {
        let allowed = self.policy.check(to, &lock(&self.learned));
        let opened = match allowed {
            Ok(to) => open(stream, to),
            Err(Refusal { told, reason }) => {
                if let Some(reason) = reason {
                    let kind = if stream { "TCP" } else { "UDP" };
                    self.tell(format!("{kind} to {to}: {reason}"));
                }
                Err(errno(told))
            }
        };
        match opened {
            Ok(socket) => wire::send(self.socket.as_fd(), &Answer::Opened, Some(socket.as_fd())),
            Err(errno) => self.answer(&Answer::NotOpened(errno.raw_os_error())),
        }
    }

    fn tell(&self, refusal: String) {
        let mut refused = lock(&self.refused);
        if refused.len() < MAX_TOLD {
            refused.insert(refusal);
        }
    }

    fn resolve(self: &Arc<Shared>, id: u32, family: Family, name: String) -> io::Result<()> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let answer = |status, addresses| self.answer(&Answer::Resolved(Resolved::addresses(id, status, addresses)));
        if let Some(addresses) = self.policy.known_here(&name) {
            return answer(Status::Ok, of_family(addresses, family));
        }
        if !is_name(&name) {
            return answer(Status::NoName, Vec::new());
        }
        if !self.policy.may_resolve(&name) {
            self.tell(format!("the name {name}: --network-allow does not name it"));
            return answer(Status::Refused, Vec::new());
        }
        self.look_up(Resolved::addresses(id, Status::Failed, Vec::new()), move |shared| {
            let (status, addresses) = shared.found(&name, family);
            Resolved::addresses(id, status, addresses)
        })
    }

    fn reverse(self: &Arc<Shared>, id: u32, ip: IpAddr) -> io::Result<()> {
        let answer = |found| self.answer(&Answer::Resolved(Resolved::name(id, found)));
        if let Some(name) = self.policy.name_here(ip) {
            return answer(Ok(name.to_owned()));
        }
        match self.policy.check_name_of(ip, &lock(&self.learned)) {
            Ok(()) => {}
            Err(Refusal { reason: Some(reason), .. }) => {
                self.tell(format!("the name of {ip}: {reason}"));
                return answer(Err(Status::Refused));
            }
            Err(Refusal { reason: None, .. }) => return answer(Err(Status::NoName)),
        }
        let found = move |shared: &Shared| {
            let found = shared.names.name_of(ip).map(|name| name.trim_end_matches('.').to_owned());
            Resolved::name(id, found.and_then(|name| if is_name(&name) { Ok(name) } else { Err(Status::NoName) }))
        };
        self.look_up(Resolved::name(id, Err(Status::Failed)), found)
    }

    /// Finds an answer on a thread of its own, since that may take seconds; where there are too many of them, it is `busy`.
    fn look_up(
        self: &Arc<Shared>,
        busy: Resolved,
        find: impl FnOnce(&Shared) -> Resolved + Send + 'static,
    ) -> io::Result<()> {
        if self.lookups.fetch_add(1, Ordering::Relaxed) >= MAX_LOOKUPS {
            self.lookups.fetch_sub(1, Ordering::Relaxed);
            return self.answer(&Answer::Resolved(busy));
        }
        let shared = self.clone();
        let look_up = move || {
            let _ = shared.answer(&Answer::Resolved(find(&shared)));
            shared.lookups.fetch_sub(1, Ordering::Relaxed);
        };
        std::thread::Builder::new().name("resolver".into()).spawn(look_up).map(drop)
    }

    fn found(&self, name: &str, family: Family) -> (Status, Vec<IpAddr>) {
        match self.names.resolve(name, family) {
            Ok(addresses) => {
                lock(&self.learned).note(name, &addresses);
                (Status::Ok, addresses)
            }
            Err(status) => (status, Vec::new()),
        }
    }
}

/// Whether it can be a host's name: no more than letters, digits, hyphens, underscores and dots, and not too long.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !name.is_empty() && name.len() <= 253 && name.bytes().all(plain)
}

fn errno(told: Told) -> Errno {
    match told {
        Told::Unreachable => Errno::NETUNREACH,
        Told::Denied => Errno::ACCESS,
    }
}

/// A socket that does not wait, connecting or connected.
fn open(stream: bool, to: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = if stream { SocketType::STREAM } else { SocketType::DGRAM };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if stream {
        // The sandbox's kernel passes on what a program writes as it comes; holding small pieces back is not for two.
        sockopt::set_tcp_nodelay(&socket, true)?;
    }
    match connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::GATEWAY;
    use super::super::wire::Client;
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    fn client(policy: Policy) -> (Broker, Client) {
        let (broker, socket) = Broker::start(policy).unwrap();
        (broker, Client::new(socket))
    }

    fn next(client: &mut Client) -> Resolved {
        loop {
            if let Some(resolved) = client.answer() {
                return resolved;
            }
            let fd = client.descriptor().unwrap();
            let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
            rustix::event::poll(&mut fds, None).unwrap();
        }
    }

    #[test]
    fn a_server_of_the_host_is_reached_by_grant_alone() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let hosts = vec![("host.docker.internal".into(), GATEWAY.into())];
        let (_broker, mut granted) = client(Policy { hosts, ..Policy::default() });
        let socket = granted.open(true, (GATEWAY, port).into()).unwrap();
        let (mut accepted, _) = server.accept().unwrap();
        accepted.write_all(b"hello").unwrap();
        drop(accepted);
        let mut stream = TcpStream::from(socket);
        stream.set_nonblocking(false).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");

        let (broker, mut other) = client(Policy::default());
        assert_eq!(other.open(true, (GATEWAY, port).into()).unwrap_err(), Errno::ACCESS.raw_os_error());
        assert_eq!(other.open(true, ([127, 0, 0, 1], port).into()).unwrap_err(), Errno::ACCESS.raw_os_error());
        assert_eq!(broker.refused().len(), 2);
    }

    #[test]
    fn names_are_answered_under_their_numbers() {
        let hosts = vec![("db".into(), "192.0.2.1".parse().unwrap())];
        let (broker, mut client) = client(Policy { allowed: Some(vec![]), hosts, ..Policy::default() });
        client.resolve(7, Family::V4, "DB.").unwrap();
        assert_eq!(next(&mut client), Resolved::addresses(7, Status::Ok, vec!["192.0.2.1".parse().unwrap()]));
        client.resolve(8, Family::V6, "db").unwrap();
        assert_eq!(next(&mut client), Resolved::addresses(8, Status::Ok, vec![]));
        client.resolve(9, Family::V4, "other.test").unwrap();
        assert_eq!(next(&mut client).status, Status::Refused);
        client.resolve(10, Family::V4, "no name").unwrap();
        assert_eq!(next(&mut client).status, Status::NoName);
        assert_eq!(broker.refused(), ["the name other.test: --network-allow does not name it"]);
    }
    #[test]
    fn addresses_have_names() {
        let hosts = vec![("db".into(), "192.0.2.1".parse().unwrap())];
        let policy = Policy { hosts, own_name: Some("box".into()), ..Policy::default() };
        let (broker, mut open) = client(policy.clone());
        let ask = |client: &mut Client, ip: &str| {
            client.reverse(7, ip.parse().unwrap()).unwrap();
            let Resolved { id: 7, status, addresses: _, name } = next(client) else { panic!("another number") };
            (status, name)
        };
        for (ip, name) in [("192.0.2.1", "db"), ("172.17.0.2", "box"), ("127.0.0.1", "localhost"), ("::1", "localhost")]
        {
            assert_eq!(ask(&mut open, ip), (Status::Ok, Some(name.into())), "{ip}");
        }
        // The machine's own names are nobody's business.
        for ip in ["172.17.0.1", "0.0.0.0", "169.254.169.254", "224.0.0.1"] {
            assert_eq!(ask(&mut open, ip), (Status::NoName, None), "{ip}");
        }
        assert!(broker.refused().is_empty());
        let (broker, mut listed) = client(Policy { allowed: Some(vec![]), ..policy });
        assert_eq!(ask(&mut listed, "203.0.113.2").0, Status::Refused);
        assert_eq!(broker.refused(), ["the name of 203.0.113.2: --network-allow does not name it"]);
    }
}
