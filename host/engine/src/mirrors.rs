//! `--host-mirrors`: lends a container or a step the machine's own package settings: where pip, npm and apt fetch from,
//! proxies, and the certificates of whom to trust. No names, no passwords; for the time that it runs, never in a layer.
//!
//! The files are below [`FOLDER`], which is on a file system of the container's that no layer is made of; the programs are
//! told of them by environment variables.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use shallop_config::env;
use shallop_layer::merge::Merged;

use crate::proxies;

/// Where the lent files are in the container.
const FOLDER: &str = "/dev/shm/.shallop";

/// Longest bundle of certificates, and longest settings file.
const MAX_BUNDLE: u64 = 4 << 20;
const MAX_SETTINGS: u64 = 1 << 20;

/// Where systems keep their certificates.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Variables by which programs are told of a bundle of certificates.
const BUNDLE_VARIABLES: [&str; 6] =
    ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "PIP_CERT"];

/// What is lent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lent {
    /// `(NAME, value)`, for where the container's own environment does not name them.
    pub env: Vec<(String, String)>,
    /// Path and text.
    pub files: Vec<(String, String)>,
}

impl Lent {
    fn set(&mut self, name: &str, value: impl AsRef<str>) {
        self.env.push((name.to_owned(), value.as_ref().to_owned()));
    }

    fn file(&mut self, name: &str, text: String) -> String {
        let path = format!("{FOLDER}/{name}");
        self.files.push((path.clone(), text));
        path
    }

    /// The environment with what it lacks of this.
    pub fn join(&self, env: &mut Vec<String>) {
        let missing: Vec<String> = proxies::missing(&self.env, env).collect();
        env.extend(missing);
    }
}

/// Reads the machine's settings, for programs of an image with these files.
///
/// # Errors
/// When the image's files cannot be read.
pub fn lend(image: &Merged) -> Result<Lent> {
    let mut lent = Lent::default();
    let bundle = bundle().map(|text| lent.file("ca-certificates.crt", text));
    if let Some(path) = &bundle {
        BUNDLE_VARIABLES.iter().for_each(|name| lent.set(name, path));
    }
    proxies(&mut lent);
    pip(&mut lent);
    npm(&mut lent);
    if let Some(release) = debian_release(image)? {
        apt(&mut lent, &release, bundle.as_deref());
    }
    Ok(lent)
}

/// A text file of this machine, unless it is too long.
fn read(path: &Path, limit: u64) -> Option<String> {
    let length = fs::metadata(path).ok()?.len();
    if length > limit { None } else { fs::read_to_string(path).ok() }
}

/// Whom this machine trusts.
fn bundle() -> Option<String> {
    let named = BUNDLE_VARIABLES.iter().filter_map(std::env::var_os).map(PathBuf::from);
    let usual = BUNDLES.iter().map(PathBuf::from);
    let trusts = |text: &String| text.contains("BEGIN CERTIFICATE") && !text.contains("PRIVATE KEY");
    named.chain(usual).find_map(|path| read(&path, MAX_BUNDLE).filter(trusts))
}

/// An address without the name and password in it.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// Those that this command itself is told of.
fn proxies(lent: &mut Lent) {
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"] {
        for name in [name.to_owned(), name.to_lowercase()] {
            if let Ok(value) = std::env::var(&name)
                && !value.is_empty()
            {
                lent.set(&name, without_credentials(&value));
            }
        }
    }
}

/// Addresses of pip's settings: its variables, else its files, the most particular last.
fn pip(lent: &mut Lent) {
    let home = env::HOME.get().map(PathBuf::from);
    let of_user = [".pip/pip.conf", ".config/pip/pip.conf"].map(|name| Some(home.as_ref()?.join(name)));
    let named = std::env::var_os("PIP_CONFIG_FILE").map(PathBuf::from);
    let files = [Some(PathBuf::from("/etc/pip.conf"))].into_iter().chain(of_user).chain([named]).flatten();
    let texts: Vec<String> = files.filter_map(|path| read(&path, MAX_SETTINGS)).collect();
    for (key, name) in [
        ("index-url", "PIP_INDEX_URL"),
        ("extra-index-url", "PIP_EXTRA_INDEX_URL"),
        ("trusted-host", "PIP_TRUSTED_HOST"),
        ("timeout", "PIP_DEFAULT_TIMEOUT"),
    ] {
        let of_files = || texts.iter().rev().find_map(|text| setting(text, key));
        if let Some(value) = std::env::var(name).ok().filter(|value| !value.is_empty()).or_else(of_files) {
            let words: Vec<String> = value.split_whitespace().map(without_credentials).collect();
            lent.set(name, words.join(" "));
        }
    }
}

/// `key = value` of a settings file, with the lines below it that go on.
fn setting(text: &str, key: &str) -> Option<String> {
    let mut lines = text.lines();
    let first = lines.find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key && !line.starts_with([' ', '\t'])).then(|| value.trim().to_owned())
    })?;
    let more = lines.take_while(|line| line.starts_with([' ', '\t']) && !line.trim().is_empty()).map(str::trim);
    Some(std::iter::once(first.as_str()).chain(more).collect::<Vec<_>>().join(" ").trim().to_owned())
}

/// npm's registry: its variable, else its files.
fn npm(lent: &mut Lent) {
    let home = env::HOME.get().map(PathBuf::from);
    let files = [home.map(|home| home.join(".npmrc")), Some("/usr/etc/npmrc".into()), Some("/etc/npmrc".into())];
    let texts = files.into_iter().flatten().filter_map(|path| read(&path, MAX_SETTINGS));
    let named = ["npm_config_registry", "NPM_CONFIG_REGISTRY"].into_iter().find_map(|name| std::env::var(name).ok());
    let registry = named.or_else(|| texts.into_iter().find_map(|text| setting(&text, "registry")));
    if let Some(registry) = registry.filter(|value| value.contains("://")) {
        lent.set("npm_config_registry", without_credentials(registry.trim_matches('"')));
    }
}

/// The release that an image's own Debian is of.
fn debian_release(image: &Merged) -> Result<Option<String>> {
    let Some(text) = image_file(image, b"/usr/lib/os-release")? else { return Ok(None) };
    let value = |key: &str| setting(&text, key).map(|value| value.trim_matches('"').to_owned());
    Ok(value("VERSION_CODENAME").filter(|_| value("ID").as_deref() == Some("debian")))
}

fn image_file(image: &Merged, path: &[u8]) -> Result<Option<String>> {
    let Some(node) = image.find(path)? else { return Ok(None) };
    let mut bytes = vec![0; 16 << 10];
    let count = image.read(&node, 0, &mut bytes)?;
    bytes.truncate(count);
    Ok(String::from_utf8(bytes).ok())
}

/// A configuration that takes the place of the image's sources, since those name mirrors that this machine may not reach.
fn apt(lent: &mut Lent, release: &str, bundle: Option<&str>) {
    let Some(mirror) = shallop_catalog::debian_mirror() else { return };
    let mirror = without_credentials(&mirror);
    // The suite that catalog images are made from; a mirror need not have the others, and apt fails where one is missing.
    let sources = lent.file("sources.list", format!("deb {mirror} {release} main\n"));
    let mut config = format!("Dir::Etc::sourcelist \"{sources}\";\nDir::Etc::sourceparts \"/dev/null\";\n");
    if let Some(bundle) = bundle {
        config.push_str(&format!("Acquire::https::CaInfo \"{bundle}\";\n"));
    }
    for scheme in ["http", "https"] {
        if let Some(proxy) = apt_proxy(scheme) {
            config.push_str(&format!("Acquire::{scheme}::Proxy \"{}\";\n", without_credentials(&proxy)));
        }
    }
    let path = lent.file("apt.conf", config);
    lent.set("APT_CONFIG", path);
}

/// The proxy that the machine's apt uses.
fn apt_proxy(scheme: &str) -> Option<String> {
    let name = format!("Acquire::{scheme}::Proxy");
    let said = Command::new("apt-config").args(["shell", "PROXY", &name]).output().ok()?;
    let text = String::from_utf8(said.stdout).ok()?;
    let value = text.trim().strip_prefix("PROXY=")?.trim_matches('\'').to_owned();
    value.contains("://").then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_stay_here() {
        assert_eq!(without_credentials("https://me:secret@mirror.test/simple"), "https://mirror.test/simple");
        assert_eq!(without_credentials("http://mirror.test:8080/a@b"), "http://mirror.test:8080/a@b");
        assert_eq!(without_credentials("mirror.test"), "mirror.test");
    }

    #[test]
    fn settings_are_read_with_their_further_lines() {
        let text = "[global]\nindex-url = https://a.test/simple\nextra-index-url =\n    https://b.test\n    https://c.test\n[x]\n";
        assert_eq!(setting(text, "index-url").unwrap(), "https://a.test/simple");
        assert_eq!(setting(text, "extra-index-url").unwrap(), "https://b.test https://c.test");
        assert_eq!(setting(text, "cert"), None);
    }

    #[test]
    fn the_containers_own_environment_comes_first() {
        let lent = Lent { env: ["A", "B"].map(|name| (name.into(), "lent".into())).to_vec(), files: vec![] };
        let mut env = vec!["A=own".to_owned()];
        lent.join(&mut env);
        assert_eq!(env, ["A=own", "B=lent"]);
    }
}
