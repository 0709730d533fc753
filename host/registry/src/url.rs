//! [`Url`]: an absolute http or https address, its origin, and what a `Location` means seen from it (RFC 3986, section 5).

use std::fmt;

use crate::error::{RegistryError, Result};

/// Bytes of an address.
const MAX: usize = 16 << 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    https: bool,
    /// `host` or `host:port`, lower case, the scheme's own port left out.
    authority: String,
    /// From the first '/' on, without fragment.
    path: String,
}

impl Url {
    /// Reads an absolute address.
    ///
    /// # Errors
    /// When it is not http or https, has a user's name in it, or holds what may not be in an address.
    pub(crate) fn parse(text: &str) -> Result<Url> {
        let bad = |why: &str| RegistryError::protocol(format!("{text:.200}"), why);
        if text.len() > MAX || !text.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(bad("it is no valid address"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("it is no absolute address"))?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(bad("only http and https are spoken")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.is_empty() || authority.contains(['@', '\\']) {
            return Err(bad("it has no plain host"));
        }
        let authority = authority.to_ascii_lowercase();
        let own_port = if https { ":443" } else { ":80" };
        let authority = authority.strip_suffix(own_port).unwrap_or(&authority).to_owned();
        let path = if tail.starts_with('/') { tail.to_owned() } else { format!("/{tail}") };
        Ok(Url { https, authority, path })
    }

    pub(crate) fn new(https: bool, authority: &str, path: &str) -> Result<Url> {
        Url::parse(&format!("{}://{authority}{path}", if https { "https" } else { "http" }))
    }

    /// What a `Location` header says, seen from here.
    ///
    /// # Errors
    /// As [`Url::parse`].
    pub(crate) fn join(&self, location: &str) -> Result<Url> {
        let scheme = if self.https { "https" } else { "http" };
        let is_absolute = location.split_once("://").is_some_and(|(scheme, _)| !scheme.contains(['/', '?', '#']));
        if is_absolute {
            return Url::parse(location);
        }
        if location.starts_with("//") {
            return Url::parse(&format!("{scheme}:{location}"));
        }
        let path = self.path.split('?').next().unwrap_or_default();
        let path = match location.as_bytes().first() {
            Some(b'/') => location.to_owned(),
            Some(b'?') => format!("{path}{location}"),
            _ => format!("{}/{location}", path.rsplit_once('/').map_or("", |(folder, _)| folder)),
        };
        Url::parse(&format!("{scheme}://{}{path}", self.authority))
    }

    /// The same address with one more parameter.
    pub(crate) fn with_query(&self, name: &str, value: &str) -> Url {
        let mark = if self.path.contains('?') { '&' } else { '?' };
        let path = format!("{}{mark}{}={}", self.path, encode(name), encode(value));
        Url { path, ..self.clone() }
    }

    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// The host without its port; an IPv6 address without its brackets.
    pub(crate) fn host(&self) -> &str {
        host(&self.authority)
    }

    pub(crate) fn port(&self) -> u16 {
        let given = self.authority.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
        given.and_then(|(_, port)| port.parse().ok()).unwrap_or(if self.https { 443 } else { 80 })
    }

    /// Whether secrets for one may be sent to the other.
    pub(crate) fn same_origin(&self, other: &Url) -> bool {
        self.https == other.https && self.authority == other.authority
    }

    /// Without its parameters, which may hold a signature: for messages.
    pub(crate) fn shown(&self) -> String {
        let url = self.to_string();
        url.split('?').next().unwrap_or_default().to_owned()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.https { "https" } else { "http" }, self.authority, self.path)
    }
}

/// The host of `host`, `host:port`, `[v6]:port`.
pub(crate) fn host(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
pub(crate) fn encode(text: &str) -> String {
    let keep = |c: u8| c.is_ascii_alphanumeric() || b"-._~".contains(&c);
    text.bytes().map(|c| if keep(c) { char::from(c).to_string() } else { format!("%{c:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_seen_from_the_request() {
        let from = Url::parse("https://Example.COM:443/v2/a/blobs/x?y=1").unwrap();
        for (location, meant) in [
            ("http://other:80/z", "http://other/z"),
            ("//cdn.example/z?a=b#c", "https://cdn.example/z?a=b"),
            ("/z", "https://example.com/z"),
            ("z", "https://example.com/v2/a/blobs/z"),
            ("?q", "https://example.com/v2/a/blobs/x?q"),
            ("/r?to=http://else/", "https://example.com/r?to=http://else/"),
        ] {
            assert_eq!(from.join(location).unwrap().to_string(), meant, "{location}");
        }
    }

    #[test]
    fn origins_differ_by_scheme_host_and_port() {
        let url = |text| Url::parse(text).unwrap();
        let a = url("https://a/x");
        assert!(a.same_origin(&url("https://A:443/y")));
        for other in ["http://a/x", "https://a:444/x", "https://b/x", "https://sub.a/"] {
            assert!(!a.same_origin(&url(other)), "{other}");
        }
        assert_eq!((url("http://[::1]:5000/").host(), url("http://[::1]:5000/").port()), ("::1", 5000));
        assert_eq!((url("http://[::1]/").port(), url("https://h?q").to_string().as_str()), (80, "https://h/?q"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["", "ftp://a/", "a/b", "http://", "http:///x", "http://user:pw@host/", "http://a/\r\nX: y", "http://ä/"]
        {
            assert!(Url::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn parameters_are_encoded() {
        let url = Url::parse("https://a/token").unwrap();
        let url = url.with_query("scope", "repository:a/b:pull").with_query("x", "1 &");
        assert_eq!(url.to_string(), "https://a/token?scope=repository%3Aa%2Fb%3Apull&x=1%20%26");
        assert_eq!(url.shown(), "https://a/token");
    }
}
