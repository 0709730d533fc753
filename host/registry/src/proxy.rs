//! Proxies from the environment, by the rules that Docker's programs follow (Go's `httpproxy`): `HTTPS_PROXY`,
//! `HTTP_PROXY`, `NO_PROXY`, each in either case; loopback is never proxied.

use std::net::IpAddr;

use shallop_config::env;

use crate::url::Url;

/// What the environment says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Proxies {
    https: Option<String>,
    http: Option<String>,
    /// Entries of `NO_PROXY`.
    except: Vec<String>,
}

impl Proxies {
    pub(crate) fn from_env() -> Proxies {
        let get = |var: &env::Var| var.get_in_any_case().map(|value| value.to_string_lossy().into_owned());
        let except = get(&env::NO_PROXY).unwrap_or_default();
        Proxies {
            https: get(&env::HTTPS_PROXY),
            http: get(&env::HTTP_PROXY),
            except: except
                .split(',')
                .map(|entry| entry.trim().to_ascii_lowercase())
                .filter(|e| !e.is_empty())
                .collect(),
        }
    }

    /// The proxy for an address.
    pub(crate) fn for_url(&self, url: &Url) -> Option<&str> {
        let proxy = if url.is_https() { &self.https } else { &self.http };
        proxy.as_deref().filter(|_| !is_loopback(url.host()) && !self.excepts(url.host(), url.port()))
    }

    fn excepts(&self, host: &str, port: u16) -> bool {
        self.except.iter().any(|entry| {
            let (entry, wanted) = split_port(entry);
            wanted.is_none_or(|wanted| wanted == port) && matches(entry, host)
        })
    }
}

/// `localhost` and the addresses that never leave this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An entry and its port, when it has one.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some(rest) = entry.strip_prefix('[') {
        let (host, tail) = rest.split_once(']').unwrap_or((rest, ""));
        return (host, tail.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, port.parse().ok()),
        _ => (entry, None),
    }
}

/// `*`, an address or a network in CIDR form, `name` (it and what is below it), `.name` or `*.name` (only what is below).
fn matches(entry: &str, host: &str) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return in_network(entry, address);
    }
    let below = |name: &str| host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    match entry.strip_prefix('*').unwrap_or(entry).strip_prefix('.') {
        Some(name) => below(name),
        None => host == entry || below(entry),
    }
}

/// Whether an address is `network`, or in it when that is in CIDR form (`10.0.0.0/8`).
pub(crate) fn in_network(network: &str, address: IpAddr) -> bool {
    let (base, bits) = network.split_once('/').map_or((network, None), |(base, bits)| (base, Some(bits)));
    let Ok(base) = base.parse::<IpAddr>() else { return false };
    let Some(bits) = bits else { return base == address };
    let Ok(bits) = bits.parse::<u32>() else { return false };
    match (base, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) if bits <= 32 => same_head(a.to_bits().into(), b.to_bits().into(), 32 - bits),
        (IpAddr::V6(a), IpAddr::V6(b)) if bits <= 128 => same_head(a.to_bits(), b.to_bits(), 128 - bits),
        _ => false,
    }
}

/// Whether two numbers are the same but for their lowest bits.
fn same_head(a: u128, b: u128, free: u32) -> bool {
    a.checked_shr(free).unwrap_or(0) == b.checked_shr(free).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(except: &[&str]) -> Proxies {
        Proxies {
            https: Some("http://secure:3128".into()),
            http: Some("plain:3128".into()),
            except: except.iter().map(|e| (*e).to_owned()).collect(),
        }
    }

    fn proxied(except: &[&str], url: &str) -> bool {
        proxies(except).for_url(&Url::parse(url).unwrap()).is_some()
    }

    #[test]
    fn each_scheme_has_its_own() {
        let url = |text| Url::parse(text).unwrap();
        assert_eq!(proxies(&[]).for_url(&url("https://a/")), Some("http://secure:3128"));
        assert_eq!(proxies(&[]).for_url(&url("http://a/")), Some("plain:3128"));
        assert_eq!(Proxies::default().for_url(&url("https://a/")), None);
    }

    #[test]
    fn exceptions_are_gos() {
        for (except, url, used) in [
            ("example.com", "https://example.com/", false),
            ("example.com", "https://sub.example.com/", false),
            ("example.com", "https://notexample.com/", true),
            (".example.com", "https://example.com/", true),
            (".example.com", "https://sub.example.com/", false),
            ("*.example.com", "https://sub.example.com/", false),
            ("*", "https://anything/", false),
            ("10.0.0.0/8", "https://10.1.2.3/", false),
            ("10.0.0.0/8", "https://11.1.2.3/", true),
            ("0.0.0.0/0", "https://11.1.2.3/", false),
            ("10.1.2.3", "https://10.1.2.3:5000/", false),
            ("fd00::/8", "https://[fd00::1]/", false),
            ("registry:5000", "https://registry:5000/", false),
            ("registry:5000", "https://registry:5001/", true),
        ] {
            assert_eq!(proxied(&[except], url), used, "{except} {url}");
        }
        for loopback in ["http://localhost:5000/", "http://127.3.2.1/", "http://[::1]/"] {
            assert!(!proxied(&[], loopback), "{loopback}");
        }
    }
}
