//! [`Dns`]: what a container's /etc/resolv.conf says (resolv.conf(5)).

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};

/// The option without which a short name is looked up below the search list first; Docker's own name server sets it, too.
const NDOTS: &str = "ndots";

/// Which name servers are asked, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dns {
    /// With none, the container's own.
    servers: Vec<IpAddr>,
    search: Vec<String>,
    options: Vec<String>,
}

impl Dns {
    /// Reads the values of `--dns`, `--dns-search` and `--dns-option`. The search domain `.` stands for none.
    ///
    /// # Errors
    /// When one is no address, no domain, no option.
    pub fn parse(servers: &[String], search: &[String], options: &[String]) -> Result<Dns> {
        let server = |text: &String| {
            let address = text.trim().parse();
            address.with_context(|| format!("invalid argument \"{text}\" for --dns: it is not an IP address"))
        };
        for domain in search {
            let wrong = || format!("invalid argument \"{domain}\" for --dns-search: it is not a valid domain");
            ensure!(domain == "." || is_domain(domain), wrong());
        }
        for option in options {
            let plain = !option.is_empty() && option.chars().all(|c| c.is_ascii_graphic());
            ensure!(plain, "invalid argument \"{option}\" for --dns-option: write NAME or NAME:VALUE");
        }
        Ok(Dns {
            servers: servers.iter().map(server).collect::<Result<_>>()?,
            search: search.iter().filter(|domain| *domain != ".").cloned().collect(),
            options: options.to_vec(),
        })
    }

    /// The file, for a container with a network, or without one.
    pub fn resolv_conf(&self, network: bool) -> String {
        let mut servers: Vec<String> = self.servers.iter().map(IpAddr::to_string).collect();
        let mut options = self.options.clone();
        if servers.is_empty() && network {
            servers.push("127.0.0.11".to_owned());
            if !options.iter().any(|option| option.split(':').next() == Some(NDOTS)) {
                options.push(format!("{NDOTS}:0"));
            }
        }
        let mut text: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
        for (word, values) in [("search", &self.search), ("options", &options)] {
            if !values.is_empty() {
                text.push_str(&format!("{word} {}\n", values.join(" ")));
            }
        }
        text
    }
}

fn is_domain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let label = |label: &str| !label.is_empty() && label.chars().all(plain);
    text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(servers: &[&str], search: &[&str], options: &[&str]) -> String {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Dns::parse(&owned(servers), &owned(search), &owned(options)).unwrap().resolv_conf(true)
    }

    #[test]
    fn the_file_is_as_dockers() {
        assert_eq!(text(&[], &[], &[]), "nameserver 127.0.0.11\noptions ndots:0\n");
        assert_eq!(
            text(&["192.0.2.1", "2001:db8::1"], &["a.test", "b.test"], &["timeout:1", "rotate"]),
            "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch a.test b.test\noptions timeout:1 rotate\n"
        );
        assert_eq!(text(&["192.0.2.1"], &["."], &[]), "nameserver 192.0.2.1\n");
        assert_eq!(text(&[], &["x"], &["ndots:2"]), "nameserver 127.0.0.11\nsearch x\noptions ndots:2\n");
        assert_eq!(Dns::default().resolv_conf(false), "");
    }

    #[test]
    fn nonsense_is_refused() {
        let one = |text: &str| vec![text.to_owned()];
        for wrong in ["dns.test", "", "192.0.2", "192.0.2.1:53"] {
            assert!(Dns::parse(&one(wrong), &[], &[]).is_err(), "{wrong}");
        }
        for wrong in ["", "a b", "a..b", "a\nnameserver 192.0.2.1"] {
            assert!(Dns::parse(&[], &one(wrong), &[]).is_err(), "{wrong}");
            assert!(wrong.contains("..") || Dns::parse(&[], &[], &one(wrong)).is_err(), "{wrong}");
        }
    }
}
