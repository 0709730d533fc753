//! [`Settings`]: what the user configured of registries (`registries.json`), and the [`Limits`] of requests.
//!
//! The keys are those of Docker's `daemon.json`:
//!
//! ```json
//! {
//!   "registry-mirrors": ["https://mirror.example"],
//!   "mirrors": { "ghcr.io": ["https://mirror.example"] },
//!   "insecure-registries": ["registry.lan:5000", "10.0.0.0/8"]
//! }
//! ```
//!
//! `registry-mirrors` are docker.io's; `mirrors`, which Docker has not, are those of other registries.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use shallop_config::Dirs;

use crate::endpoint::DOCKER_IO;
use crate::error::{RegistryError, Result};
use crate::proxy::{in_network, is_loopback};
use crate::url::{self, Url};

/// Bytes of a configuration file.
pub(crate) const FILE_MAX: u64 = 1 << 20;

/// Where Docker keeps private certificate authorities: a folder per registry with `*.crt` in it.
const DOCKER_CERTIFICATES: &str = "/etc/docker/certs.d";

/// How long a request may take and how often it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Looking up a name and connecting.
    pub connect: Duration,
    /// Without a byte; and for an answer's head, in all.
    pub stall: Duration,
    /// Bytes a second, on average, that an answer must bring once `stall` has passed.
    pub slowest: u64,
    /// Tries of one request.
    pub tries: u32,
    /// Before the second try; each later one waits twice as long.
    pub pause: Duration,
    /// The longest wait that a registry may ask for (`Retry-After`).
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            slowest: 1024,
            tries: 5,
            pause: Duration::from_millis(500),
            patience: Duration::from_secs(60),
        }
    }
}

/// What is known before the first request.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// By registry.
    mirrors: BTreeMap<String, Vec<Url>>,
    insecure: Vec<String>,
    /// Folders with a folder per registry.
    certificates: Vec<PathBuf>,
    pub(crate) limits: Limits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Document {
    registry_mirrors: Vec<String>,
    mirrors: BTreeMap<String, Vec<String>>,
    insecure_registries: Vec<String>,
}

impl Settings {
    /// Reads `registries.json`; without one there are no mirrors.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub fn load(dirs: &Dirs) -> Result<Settings> {
        let path = dirs.registries();
        let mut settings = match read_limited(&path)? {
            Some(text) => Settings::from_json(&text).map_err(|why| RegistryError::File { path, why })?,
            None => Settings::default(),
        };
        settings.certificates = vec![dirs.certificates(), DOCKER_CERTIFICATES.into()];
        Ok(settings)
    }

    /// Other limits than the usual ones.
    pub fn with_limits(self, limits: Limits) -> Settings {
        Settings { limits, ..self }
    }

    /// From the text of `registries.json`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(text: &[u8]) -> std::result::Result<Settings, String> {
        let mut document: Document = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        document.mirrors.entry(DOCKER_IO.to_owned()).or_default().extend(document.registry_mirrors);
        let mut mirrors = BTreeMap::new();
        for (registry, addresses) in document.mirrors {
            let parsed: std::result::Result<Vec<Url>, String> = addresses.iter().map(|text| mirror(text)).collect();
            mirrors.insert(registry, parsed?);
        }
        Ok(Settings { mirrors, insecure: document.insecure_registries, ..Settings::default() })
    }

    /// A registry's mirrors, in the order in which they are asked.
    pub(crate) fn mirrors(&self, registry: &str) -> &[Url] {
        self.mirrors.get(registry).map_or(&[], Vec::as_slice)
    }

    /// Whether plain http, and certificates of nobody, are taken from `host[:port]`: loopback is this machine itself.
    pub(crate) fn is_insecure(&self, authority: &str) -> bool {
        let host = url::host(authority);
        let named = |entry: &String| match host.parse::<IpAddr>() {
            Ok(address) => entry == authority || in_network(entry, address),
            Err(_) => entry == authority,
        };
        is_loopback(host) || self.insecure.iter().any(named)
    }

    /// PEM files of authorities that are trusted for `host[:port]`, beside the machine's own.
    pub(crate) fn certificates(&self, authority: &str) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for folder in &self.certificates {
            // An authority has no '/', so it names a folder right below.
            let Ok(entries) = folder.join(authority).read_dir() else { continue };
            let paths = entries.flatten().map(|entry| entry.path());
            found.extend(paths.filter(|path| path.extension().is_some_and(|extension| extension == "crt")));
        }
        found.sort();
        Ok(found)
    }
}

fn mirror(text: &str) -> std::result::Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("mirror {e}"))?;
    match url.shown().trim_end_matches('/').ends_with(url.authority()) {
        true => Ok(url),
        false => Err(format!("mirror {text}: an address with a path is not supported")),
    }
}

/// A small file's content; `None` when there is no such file.
pub(crate) fn read_limited(path: &Path) -> Result<Option<Vec<u8>>> {
    let fail = |why: String| RegistryError::File { path: path.to_owned(), why };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(fail(e.to_string())),
    };
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(|e| fail(e.to_string()))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(fail(format!("it has more than {FILE_MAX} bytes")));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_keys() {
        let text = br#"{"registry-mirrors":["https://m.example/","http://localhost:1"],
            "mirrors":{"ghcr.io":["https://n.example"]},"insecure-registries":["lan:5000","10.0.0.0/8"]}"#;
        let settings = Settings::from_json(text).unwrap();
        assert_eq!(settings.mirrors("docker.io").len(), 2);
        assert_eq!(settings.mirrors("ghcr.io")[0].authority(), "n.example");
        assert!(settings.mirrors("quay.io").is_empty());
        for (authority, insecure) in [
            ("lan:5000", true),
            ("lan", false),
            ("10.9.8.7:5000", true),
            ("11.9.8.7", false),
            ("localhost:5000", true),
            ("127.0.0.9", true),
            ("[::1]:5000", true),
            ("ghcr.io", false),
        ] {
            assert_eq!(settings.is_insecure(authority), insecure, "{authority}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for text in [
            "{",
            r#"{"mirror":[]}"#,
            r#"{"registry-mirrors":["m.example"]}"#,
            r#"{"registry-mirrors":["https://m/x"]}"#,
        ] {
            assert!(Settings::from_json(text.as_bytes()).is_err(), "{text}");
        }
    }
}
