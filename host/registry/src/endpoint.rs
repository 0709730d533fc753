//! [`Endpoint`]: one server that may have a repository; a registry's mirrors come before itself.

use shallop_oci::Reference;
use shallop_oci::reference::CATALOG_DOMAIN;

use crate::error::{RegistryError, Result};
use crate::settings::Settings;

pub(crate) const DOCKER_IO: &str = "docker.io";
/// The server that serves docker.io's images.
const DOCKER_IO_SERVER: &str = "registry-1.docker.io";
/// The name under which `config.json` keeps docker.io's credentials.
pub(crate) const DOCKER_IO_KEY: &str = "https://index.docker.io/v1/";

/// A server that speaks the distribution API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `host` or `host:port`.
    pub(crate) authority: String,
    /// What its credentials are kept under.
    pub(crate) key: String,
    /// What is known of its scheme; `None` is https, or plain http where that is taken.
    pub(crate) https: Option<bool>,
    pub(crate) insecure: bool,
    pub(crate) mirror: bool,
}

impl Endpoint {
    /// A registry itself, by its name in references.
    pub(crate) fn of_registry(registry: &str, settings: &Settings) -> Endpoint {
        let (authority, key) = match registry {
            DOCKER_IO => (DOCKER_IO_SERVER, DOCKER_IO_KEY),
            other => (other, other),
        };
        let authority = authority.to_ascii_lowercase();
        let insecure = settings.is_insecure(&authority);
        Endpoint { key: key.to_owned(), https: (!insecure).then_some(true), insecure, mirror: false, authority }
    }

    /// Where an image may be, in the order in which it is looked for.
    ///
    /// # Errors
    /// For the catalog's domain, which is never dialled.
    pub(crate) fn all(reference: &Reference, settings: &Settings) -> Result<Vec<Endpoint>> {
        if reference.domain() == CATALOG_DOMAIN {
            return Err(RegistryError::Name(format!("{CATALOG_DOMAIN} is no registry: its images are made here")));
        }
        let mirrors = settings.mirrors(reference.domain()).iter().map(|url| Endpoint {
            authority: url.authority().to_owned(),
            key: url.authority().to_owned(),
            https: Some(url.is_https()),
            insecure: settings.is_insecure(url.authority()),
            mirror: true,
        });
        Ok(mirrors.chain([Endpoint::of_registry(reference.domain(), settings)]).collect())
    }
}

/// The name under which `config.json` keeps the credentials of a server that a user typed (`shallop login SERVER`).
pub fn server_address(typed: Option<&str>) -> String {
    let Some(typed) = typed.filter(|typed| !typed.is_empty()) else { return DOCKER_IO_KEY.to_owned() };
    match host_of_key(typed) {
        "docker.io" | "index.docker.io" => DOCKER_IO_KEY.to_owned(),
        host => host.to_owned(),
    }
}

/// The registry that a name of `config.json` stands for: `host[:port]` of `https://host/v1/`.
pub(crate) fn host_of_key(key: &str) -> &str {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    rest.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(name: &str) -> Vec<Endpoint> {
        Endpoint::all(&Reference::parse(name).unwrap(), &Settings::default()).unwrap()
    }

    #[test]
    fn dockers_names() {
        let hub = &endpoints("python")[0];
        assert_eq!(
            (hub.authority.as_str(), hub.key.as_str(), hub.https),
            (DOCKER_IO_SERVER, DOCKER_IO_KEY, Some(true))
        );
        let local = &endpoints("localhost:5000/x")[0];
        assert_eq!((local.authority.as_str(), local.https, local.insecure), ("localhost:5000", None, true));
        assert!(Endpoint::all(&Reference::parse("catalog.internal/python").unwrap(), &Settings::default()).is_err());
    }

    #[test]
    fn typed_servers() {
        for (typed, key) in [
            (None, DOCKER_IO_KEY),
            (Some("docker.io"), DOCKER_IO_KEY),
            (Some("https://index.docker.io/v1/"), DOCKER_IO_KEY),
            (Some("https://registry.lan:5000/v2/"), "registry.lan:5000"),
            (Some("ghcr.io"), "ghcr.io"),
        ] {
            assert_eq!(server_address(typed), key);
        }
    }
}
