//! The host's resolver, asked for the addresses of names and the names of addresses.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dns_lookup::LookupErrorKind;

use super::wire::{Family, Status};

/// How long an answer is given again: programs ask for IPv4 and IPv6 addresses one after the other.
const FRESH: Duration = Duration::from_secs(5);
/// Answers kept at most.
const MAX_KEPT: usize = 1024;

/// What was found: all addresses, or how it ended.
type Found = Result<Vec<IpAddr>, Status>;

/// Answers of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<HashMap<String, (Instant, Found)>>);

impl Names {
    /// A name's addresses of a family; may take the seconds that the host's resolver takes.
    pub fn resolve(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, Status> {
        let kept = self.kept(name);
        let found = kept.unwrap_or_else(|| {
            let found = look_up(name);
            self.keep(name, &found);
            found
        })?;
        Ok(of_family(found, family))
    }

    /// An address's name; may take as long.
    pub fn name_of(&self, ip: IpAddr) -> Result<String, Status> {
        match dns_lookup::getnameinfo(&SocketAddr::new(ip, 0), libc::NI_NAMEREQD) {
            Ok((name, _)) => Ok(name),
            Err(error) => Err(match error.kind() {
                LookupErrorKind::NoName | LookupErrorKind::NoData => Status::NoName,
                _ => Status::Failed,
            }),
        }
    }

    fn kept(&self, name: &str) -> Option<Found> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(name).filter(|(when, _)| when.elapsed() < FRESH).map(|(_, found)| found.clone())
    }

    fn keep(&self, name: &str, found: &Found) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, (when, _)| when.elapsed() < FRESH);
        }
        if kept.len() < MAX_KEPT && *found != Err(Status::Failed) {
            kept.insert(name.to_owned(), (Instant::now(), found.clone()));
        }
    }
}

/// Those of a family.
pub(super) fn of_family(addresses: Vec<IpAddr>, family: Family) -> Vec<IpAddr> {
    addresses.into_iter().filter(|ip| ip.is_ipv4() == (family == Family::V4)).collect()
}

fn look_up(name: &str) -> Found {
    match (name, 0).to_socket_addrs() {
        Ok(found) => {
            let mut addresses: Vec<IpAddr> = Vec::new();
            found.map(|at| at.ip()).for_each(|ip| {
                if !addresses.contains(&ip) {
                    addresses.push(ip);
                }
            });
            Ok(addresses)
        }
        Err(error) => Err(status(&error)),
    }
}

/// The library tells only by text (gai_strerror(3)) whether a name is not there or the resolver does not answer.
fn status(error: &io::Error) -> Status {
    const NO_NAME: [&str; 3] = ["not known", "No address associated", "Name does not resolve"];
    let text = error.to_string();
    match NO_NAME.iter().any(|part| text.contains(part)) {
        true => Status::NoName,
        false => Status::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_names_of_themselves() {
        let names = Names::default();
        assert_eq!(names.resolve("192.0.2.7", Family::V4), Ok(vec!["192.0.2.7".parse().unwrap()]));
        assert_eq!(names.resolve("192.0.2.7", Family::V6), Ok(vec![]));
    }

    #[test]
    fn the_loopback_has_a_name() {
        assert!(Names::default().name_of("127.0.0.1".parse().unwrap()).unwrap().starts_with("localhost"));
    }

    #[test]
    fn missing_names_are_told_from_silence() {
        let said = |text: &str| status(&io::Error::other(format!("failed to lookup address information: {text}")));
        assert_eq!(said("Name or service not known"), Status::NoName);
        assert_eq!(said("Temporary failure in name resolution"), Status::Failed);
    }
}
