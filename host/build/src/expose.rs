//! EXPOSE: port specifications. A host's part (`127.0.0.1:80:8080`) is checked and left out, as BuildKit does it.

use std::net::IpAddr;

use anyhow::{Context as _, Result, bail, ensure};
use shallop_oci::Config;
use shallop_oci::config::Empty;

use crate::scope::Expander;

/// Adds the ports; the history's line. Specifications are sorted as they are written.
pub fn apply(config: &mut Config, ports: &[String], expand: &Expander) -> Result<String> {
    let mut written = ports.to_vec();
    written.sort();
    let mut all = Vec::new();
    for text in &written {
        for word in expand.words(text)? {
            all.extend(port_range(&word)?);
        }
    }
    config.exposed_ports.extend(all.iter().map(|port| (port.clone(), Empty {})));
    Ok(format!("EXPOSE [{}]", all.join(" ")))
}

/// `[[ip:]host:]port[-port][/protocol]`.
fn port_range(word: &str) -> Result<Vec<String>> {
    let (host, port) = match word.rsplit_once(':') {
        Some((host, port)) => (Some(host), port),
        None => (None, word),
    };
    let (ports, protocol) = port.split_once('/').unwrap_or((port, ""));
    ensure!(!ports.is_empty(), "no port specified: {word}");
    let protocol = match protocol.to_ascii_lowercase() {
        empty if empty.is_empty() => "tcp".to_owned(),
        known if matches!(known.as_str(), "tcp" | "udp" | "sctp") => known,
        other => bail!("invalid proto: {other} in EXPOSE {word}"),
    };
    let (first, last) = range(ports).with_context(|| format!("invalid containerPort: {ports}"))?;
    if let Some(host) = host {
        check_host(host, first != last)?;
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

/// `[ip:]port[-port]`, the part that says where a host would publish the port.
fn check_host(host: &str, is_range: bool) -> Result<()> {
    let (address, ports) = host.rsplit_once(':').unwrap_or(("", host));
    if !ports.is_empty() {
        let (first, last) = range(ports).with_context(|| format!("invalid hostPort: {ports}"))?;
        ensure!(!is_range || first != last, "invalid ranges specified for container and host Ports: {host}");
    }
    let plain = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    ensure!(plain.is_empty() || plain.parse::<IpAddr>().is_ok(), "invalid IP address: {plain}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        assert_eq!(port_range("8000-8002/udp").unwrap(), ["8000/udp", "8001/udp", "8002/udp"]);
        assert_eq!(port_range("[::1]:8080:80").unwrap(), ["80/tcp"]);
        assert_eq!(port_range("127.0.0.1::80/SCTP").unwrap(), ["80/sctp"]);
        for wrong in ["x", "9-8", "80/icmp", "", "1:", "h:80", "host:80:80", "1-2:80-90:80", "80-70:80", "99999"] {
            assert!(port_range(wrong).is_err(), "{wrong}");
        }
    }
}
