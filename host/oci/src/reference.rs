//! [`Reference`]: an image's name, `[domain[:port]/]path[:tag][@digest]`, by the rules of Docker's `distribution/reference`.

use std::fmt;
use std::str::FromStr;

use crate::Digest;

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DOMAIN: &str = "index.docker.io";
const OFFICIAL: &str = "library/";
/// Stands for [`CATALOG_DOMAIN`] on the command line.
const CATALOG_SHORT: &str = "catalog/";
/// The domain of the catalog's images. It is never dialled.
pub const CATALOG_DOMAIN: &str = "catalog.internal";
const DEFAULT_TAG: &str = "latest";
/// Bytes of domain and path together.
const NAME_MAX: usize = 255;
const TAG_MAX: usize = 128;

/// A complete reference: the domain is always there, and a tag, a digest, or both.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no reference, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("invalid reference format")]
    Format,
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    UpperCase(String),
    #[error("invalid reference format: repository name must not be more than {NAME_MAX} characters")]
    TooLong,
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId(String),
    #[error("invalid reference format: {0}")]
    Digest(#[from] crate::DigestError),
}

impl Reference {
    /// Parses what stands in files and documents. `python` becomes `docker.io/library/python:latest`.
    ///
    /// # Errors
    /// [`ReferenceError`].
    pub fn parse(text: &str) -> Result<Reference, ReferenceError> {
        if text.len() == 64 && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c)) {
            return Err(ReferenceError::LooksLikeId(text.to_owned()));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse()?)),
            None => (text, None),
        };
        let (domain, rest) = split_domain(name);
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        let mut path = path.to_owned();
        if domain == DEFAULT_DOMAIN && !path.contains('/') {
            path.insert_str(0, OFFICIAL);
        }
        check_path(&path)?;
        if !valid_domain(domain) || !tag.is_none_or(valid_tag) {
            return Err(ReferenceError::Format);
        }
        if domain.len() + 1 + path.len() > NAME_MAX {
            return Err(ReferenceError::TooLong);
        }
        let tag = tag.or((digest.is_none()).then_some(DEFAULT_TAG)).map(str::to_owned);
        Ok(Reference { domain: domain.to_owned(), path, tag, digest })
    }

    /// Parses what a user typed: as [`Reference::parse`], and `catalog/x` is `catalog.internal/x`.
    ///
    /// # Errors
    /// [`ReferenceError`].
    pub fn parse_cli(text: &str) -> Result<Reference, ReferenceError> {
        match text.strip_prefix(CATALOG_SHORT) {
            Some(rest) => Reference::parse(&format!("{CATALOG_DOMAIN}/{rest}")),
            None => Reference::parse(text),
        }
    }

    /// `docker.io`, `localhost:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// `library/python`.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Domain and path: `docker.io/library/python`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The repository as Docker shows it: `python`, `user/app`, `ghcr.io/a/b`.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.repository();
        }
        // Docker drops `library/` only from names with two parts.
        match self.path.strip_prefix(OFFICIAL) {
            Some(rest) if !rest.contains('/') => rest.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The whole reference as Docker shows it: `python:latest`.
    pub fn familiar(&self) -> String {
        self.with_suffix(self.familiar_name())
    }

    /// `Some(name)` for an official Docker Hub image: `python` of `docker.io/library/python`.
    pub fn library_name(&self) -> Option<&str> {
        if self.domain == DEFAULT_DOMAIN { self.path.strip_prefix(OFFICIAL) } else { None }
    }

    /// `Some(name)` for an image of the catalog: `python` of `catalog.internal/python`.
    pub fn catalog_name(&self) -> Option<&str> {
        (self.domain == CATALOG_DOMAIN).then_some(self.path.as_str())
    }

    /// The same repository and tag without the digest; the tag is `latest` when there was none.
    pub fn tagged(&self) -> Reference {
        let tag = self.tag.clone().unwrap_or_else(|| DEFAULT_TAG.to_owned());
        Reference { tag: Some(tag), digest: None, ..self.clone() }
    }

    fn with_suffix(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(&digest.to_string());
        }
        name
    }
}

impl fmt::Display for Reference {
    /// The canonical form, `docker.io/library/python:latest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_suffix(self.repository()))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Reference, ReferenceError> {
        Reference::parse(text)
    }
}

/// The domain and the rest. The first part is a domain when it has '.', ':', an upper-case letter, or is `localhost`.
fn split_domain(name: &str) -> (&str, &str) {
    let is_domain = |s: &str| s.contains(['.', ':']) || s == "localhost" || s.bytes().any(|c| c.is_ascii_uppercase());
    match name.split_once('/') {
        Some((first, rest)) if is_domain(first) => (if first == LEGACY_DOMAIN { DEFAULT_DOMAIN } else { first }, rest),
        _ => (DEFAULT_DOMAIN, name),
    }
}

fn valid_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[') {
        Some(rest) => {
            let Some((address, tail)) = rest.split_once(']') else { return false };
            if address.is_empty() || !address.bytes().all(|c| c.is_ascii_hexdigit() || c == b':') {
                return false;
            }
            match tail.strip_prefix(':') {
                Some(port) => (None, Some(port)),
                None if tail.is_empty() => return true,
                None => return false,
            }
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(domain), None),
        },
    };
    let good_port = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit()));
    let label = |s: &str| {
        !s.is_empty()
            && s.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !s.starts_with('-')
            && !s.ends_with('-')
    };
    good_port && host.is_none_or(|host| host.split('.').all(label))
}

fn check_path(path: &str) -> Result<(), ReferenceError> {
    if path.bytes().any(|c| c.is_ascii_uppercase()) {
        let shown = path.strip_prefix(OFFICIAL).unwrap_or(path);
        return Err(ReferenceError::UpperCase(shown.to_owned()));
    }
    if path.split('/').all(valid_component) { Ok(()) } else { Err(ReferenceError::Format) }
}

/// `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`.
fn valid_component(text: &str) -> bool {
    let alphanumeric = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = text.as_bytes();
    let edges = bytes.first().is_some_and(|c| alphanumeric(*c)) && bytes.last().is_some_and(|c| alphanumeric(*c));
    let joints = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).filter(|s| !s.is_empty());
    edges && joints.into_iter().all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|c| c == b'-'))
}

fn valid_tag(tag: &str) -> bool {
    let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    tag.len() <= TAG_MAX
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|c| word(c) || c == b'.' || c == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn names_are_completed_and_shown_short() {
        let digest = format!("sha256:{HEX}");
        for (text, canonical, familiar) in [
            ("python", "docker.io/library/python:latest", "python:latest"),
            ("python:3.13", "docker.io/library/python:3.13", "python:3.13"),
            ("library/python", "docker.io/library/python:latest", "python:latest"),
            ("docker.io/python", "docker.io/library/python:latest", "python:latest"),
            ("index.docker.io/user/app:x", "docker.io/user/app:x", "user/app:x"),
            ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
            ("user/app", "docker.io/user/app:latest", "user/app:latest"),
            ("ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1"),
            ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
            ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
            ("[::1]:5000/x:y", "[::1]:5000/x:y", "[::1]:5000/x:y"),
            ("Foo/bar", "Foo/bar:latest", "Foo/bar:latest"),
            ("a__b/c.d/e---f", "docker.io/a__b/c.d/e---f:latest", "a__b/c.d/e---f:latest"),
            ("catalog.internal/python", "catalog.internal/python:latest", "catalog.internal/python:latest"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(
                (reference.to_string().as_str(), reference.familiar().as_str()),
                (canonical, familiar),
                "{text}"
            );
            assert_eq!(Reference::parse(canonical).unwrap(), reference);
        }
        let both = Reference::parse(&format!("x:1@{digest}")).unwrap();
        assert_eq!((both.tag(), both.digest().unwrap().hex().as_str()), (Some("1"), HEX));
        let only = Reference::parse(&format!("x@{digest}")).unwrap();
        assert_eq!((only.tag(), only.tagged().familiar().as_str()), (None, "x:latest"));
    }

    #[test]
    fn bad_names_are_refused_in_dockers_words() {
        let long = format!("a/{}", "b".repeat(250));
        for (text, message) in [
            ("", "invalid reference format"),
            (":tag", "invalid reference format"),
            ("a//b", "invalid reference format"),
            ("a/", "invalid reference format"),
            ("/a", "invalid reference format"),
            ("a:", "invalid reference format"),
            ("a:b:c", "invalid reference format"),
            ("a:-x", "invalid reference format"),
            ("a b", "invalid reference format"),
            ("a___b", "invalid reference format"),
            ("-a", "invalid reference format"),
            ("a..b/c", "invalid reference format"),
            ("a:99999/", "invalid reference format"),
            ("exämple", "invalid reference format"),
            ("Python", "invalid reference format: repository name (Python) must be lowercase"),
            ("user/App", "invalid reference format: repository name (user/App) must be lowercase"),
            (HEX, &format!("invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings")),
            ("a@sha256:12", "invalid reference format: invalid checksum digest length"),
            (&long, "invalid reference format: repository name must not be more than 255 characters"),
        ] {
            assert_eq!(Reference::parse(text).unwrap_err().to_string(), message, "{text}");
        }
        assert!(Reference::parse(&format!("a:{}", "t".repeat(129))).is_err());
    }

    #[test]
    fn the_catalogs_short_form_is_for_the_command_line() {
        let short = Reference::parse_cli("catalog/python:3").unwrap();
        assert_eq!(short.to_string(), "catalog.internal/python:3");
        assert_eq!(short.catalog_name(), Some("python"));
        assert_eq!(Reference::parse("catalog/python").unwrap().domain(), "docker.io");
        assert_eq!(Reference::parse("python").unwrap().library_name(), Some("python"));
    }
}
