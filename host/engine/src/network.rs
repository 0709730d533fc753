//! What of the network a container or a step gets: [`Settings`], from flags to a policy and to what is lent with it.

use std::net::IpAddr;

use anyhow::{Context, Result, bail, ensure};
use shallop_layer::merge::Merged;
use shallop_supervisor::network::{GATEWAY, Policy, Rule};

use crate::dns::Dns;
use crate::mirrors::{self, Lent};

/// What `--add-host` takes in place of an address: the host itself.
const HOST_GATEWAY: &str = "host-gateway";

/// The flags about the network.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `--network`: `default`, `bridge` or `none`.
    pub mode: Option<String>,
    /// `NAME:ADDRESS` or `NAME=ADDRESS`.
    pub hosts: Vec<String>,
    /// `NAME` or `NAME:PORT`; with none, everything is allowed.
    pub allowed: Vec<String>,
    /// Lend the machine's own pip, npm and apt settings.
    pub host_mirrors: bool,
    pub dns: Dns,
}

/// What they come to.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// `None`: no network but the container's own loopback.
    pub policy: Option<Policy>,
    pub dns: Dns,
    host_mirrors: bool,
}

impl Settings {
    /// # Errors
    /// When a flag has a value that is none.
    pub fn access(&self) -> Result<Access> {
        let none = match self.mode.as_deref() {
            None | Some("default" | "bridge") => false,
            Some("none") => true,
            Some("host") => bail!("--network host: a container's network is its own; see --add-host NAME:host-gateway"),
            Some(other) => bail!("--network {other}: named networks are not done yet; there are default and none"),
        };
        if none {
            let useless = !self.allowed.is_empty() || self.host_mirrors;
            ensure!(!useless, "--network none leaves nothing to --network-allow or --host-mirrors");
            return Ok(Access { dns: self.dns.clone(), ..Access::default() });
        }
        let hosts = self.hosts.iter().map(|text| host(text)).collect::<Result<_>>()?;
        let rules = self.allowed.iter().map(|text| Rule::parse(text).context("--network-allow"));
        let rules = rules.collect::<Result<Vec<_>>>()?;
        let allowed = (!rules.is_empty()).then_some(rules);
        let policy = Some(Policy { allowed, hosts, ..Policy::default() });
        Ok(Access { policy, dns: self.dns.clone(), host_mirrors: self.host_mirrors })
    }
}

impl Access {
    /// What the machine lends to programs of an image with these files, when it was asked to.
    ///
    /// # Errors
    /// When the image's files or the machine's settings cannot be read.
    pub fn lent(&self, image: &dyn Fn() -> Result<Merged>) -> Result<Lent> {
        match self.host_mirrors && self.policy.is_some() {
            true => mirrors::lend(&image()?),
            false => Ok(Lent::default()),
        }
    }

    /// Without any network, for a step that wants none.
    pub fn none() -> Access {
        Access::default()
    }
}

/// Reads a value of `--add-host`.
fn host(text: &str) -> Result<(String, IpAddr)> {
    let wrong = || format!("invalid argument \"{text}\" for --add-host: write NAME:ADDRESS or NAME:host-gateway");
    let (name, address) = text.split_once(['=', ':']).with_context(wrong)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    ensure!(!name.is_empty() && name.chars().all(plain), wrong());
    let address = match address {
        HOST_GATEWAY => GATEWAY.into(),
        other => other.trim_matches(['[', ']']).parse().with_context(wrong)?,
    };
    Ok((name.to_ascii_lowercase(), address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(mode: &str) -> Settings {
        Settings { mode: Some(mode.into()), ..Settings::default() }
    }

    #[test]
    fn modes_are_dockers() {
        assert!(settings("none").access().unwrap().policy.is_none());
        assert!(settings("bridge").access().unwrap().policy.is_some());
        for wrong in ["host", "mynet", "container:x"] {
            assert!(settings(wrong).access().is_err(), "{wrong}");
        }
        assert!(Settings { host_mirrors: true, ..settings("none") }.access().is_err());
    }

    #[test]
    fn hosts_have_a_name_and_an_address() {
        assert_eq!(host("db:10.0.0.5").unwrap(), ("db".into(), "10.0.0.5".parse().unwrap()));
        assert_eq!(host("Six=::1").unwrap(), ("six".into(), "::1".parse().unwrap()));
        assert_eq!(host("host.docker.internal:host-gateway").unwrap().1, IpAddr::V4(GATEWAY));
        for wrong in ["db", "db:", ":1.2.3.4", "a b:1.2.3.4", "db:other"] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
    }
}
