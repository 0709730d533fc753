//! What instructions do to the image's configuration and history, as BuildKit writes them.

use anyhow::{Result, bail};
use shallop_dockerfile::{CommandLine, Healthcheck, Kind};
use shallop_oci::config::Empty;
use shallop_oci::{Config, History, ImageConfig};

use crate::effects::Cached;
use crate::scope::Expander;
use crate::step::run::argv;

/// What an image without a base gets.
pub const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Adds a line to the history. With a `result` the step may have made a layer; without, it has the time of the one before.
pub fn remember(config: &mut ImageConfig, created_by: &str, result: Option<&Cached>) {
    let created = match result {
        Some(result) => Some(result.created.clone()),
        None => config.created.clone(),
    };
    config.created.clone_from(&created);
    config.history.push(History {
        created,
        created_by: Some(created_by.to_owned()),
        comment: Some("buildkit.dockerfile.v0".to_owned()),
        empty_layer: result.is_none_or(|result| result.layer.is_none()),
        ..History::default()
    });
}

/// Applies an instruction that changes no files.
pub fn apply(image: &mut ImageConfig, kind: &Kind, expand: &Expander) -> Result<()> {
    let history = change(&mut image.config, kind, expand)?;
    if let Kind::Maintainer(name) = kind {
        image.author = Some(name.clone());
    }
    remember(image, &history, None);
    Ok(())
}

/// Changes the configuration; the history's line.
fn change(config: &mut Config, kind: &Kind, expand: &Expander) -> Result<String> {
    Ok(match kind {
        Kind::Env(pairs) => {
            let pairs = expanded(pairs, expand)?;
            for (name, value) in &pairs {
                set_env(&mut config.env, name, value);
            }
            format!("ENV {}", joined(&pairs))
        }
        Kind::Label(pairs) => {
            let pairs = expanded(pairs, expand)?;
            config.labels.extend(pairs.iter().cloned());
            format!("LABEL {}", joined(&pairs))
        }
        Kind::Cmd(command) => {
            let words = argv(command, config.shell.as_deref());
            config.cmd = Some(words.clone());
            config.args_escaped = matches!(command, CommandLine::Shell(_)).then_some(true);
            format!("CMD {}", quoted(&words))
        }
        Kind::Entrypoint(command) => {
            let words = argv(command, config.shell.as_deref());
            config.entrypoint = Some(words.clone());
            // A new entrypoint drops the base image's command.
            config.cmd = None;
            format!("ENTRYPOINT {}", quoted(&words))
        }
        Kind::Expose(ports) => expose(config, ports, expand)?,
        Kind::User(user) => {
            config.user = expand.word(user)?;
            format!("USER {}", config.user)
        }
        Kind::Volume(paths) => {
            let paths = paths.iter().map(|path| expand.word(path)).collect::<Result<Vec<_>>>()?;
            if paths.iter().any(String::is_empty) {
                bail!("VOLUME specified can not be an empty string");
            }
            config.volumes.extend(paths.iter().map(|path| (path.clone(), Empty {})));
            format!("VOLUME [{}]", paths.join(" "))
        }
        Kind::Shell(words) => {
            config.shell = Some(words.clone());
            format!("SHELL [{}]", words.join(" "))
        }
        Kind::Stopsignal(signal) => {
            let signal = expand.word(signal)?;
            config.stop_signal = Some(signal.clone());
            format!("STOPSIGNAL {signal}")
        }
        Kind::Healthcheck(check) => healthcheck(config, check)?,
        Kind::Maintainer(name) => format!("MAINTAINER {name}"),
        Kind::From(_) | Kind::Arg(_) | Kind::Workdir(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Run(_) => String::new(),
    })
}

fn expanded(pairs: &[(String, String)], expand: &Expander) -> Result<Vec<(String, String)>> {
    pairs.iter().map(|(name, value)| Ok((expand.word(name)?, expand.word(value)?))).collect()
}

fn joined(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

/// Go's `%q` of a list.
fn quoted(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" "))
}

fn set_env(env: &mut Vec<String>, name: &str, value: &str) {
    let entry = format!("{name}={value}");
    match env.iter_mut().find(|e| e.split('=').next() == Some(name)) {
        Some(existing) => *existing = entry,
        None => env.push(entry),
    }
}

fn expose(config: &mut Config, ports: &[String], expand: &Expander) -> Result<String> {
    let mut all = Vec::new();
    for text in ports {
        for word in expand.words(text)? {
            all.extend(port_range(&word)?);
        }
    }
    config.exposed_ports.extend(all.iter().map(|port| (port.clone(), Empty {})));
    Ok(format!("EXPOSE [{}]", all.join(" ")))
}

/// `80`, `80/udp`, `8000-8003/tcp`.
fn port_range(word: &str) -> Result<Vec<String>> {
    let (ports, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        bail!("invalid proto: {protocol} in EXPOSE {word}");
    }
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) if first <= last => Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect()),
        _ => bail!("invalid containerPort: {word}"),
    }
}

fn healthcheck(config: &mut Config, check: &Healthcheck) -> Result<String> {
    let mut health = shallop_oci::Healthcheck::default();
    match check {
        Healthcheck::None => health.test = vec!["NONE".into()],
        Healthcheck::Check { command, durations, retries } => {
            health.test = match command {
                CommandLine::Exec(words) => [&["CMD".to_owned()], &words[..]].concat(),
                CommandLine::Shell(text) => vec!["CMD-SHELL".into(), text.clone()],
            };
            for (flag, text) in durations {
                let nanoseconds = duration(text)?;
                match flag.as_str() {
                    "interval" => health.interval = nanoseconds,
                    "timeout" => health.timeout = nanoseconds,
                    "start-period" => health.start_period = nanoseconds,
                    _ => health.start_interval = nanoseconds,
                }
            }
            health.retries = retries.unwrap_or(0).into();
        }
    }
    let shown = |n: i64| if n == 0 { "0s".to_owned() } else { format!("{}s", n as f64 / 1e9) };
    let text = format!(
        "HEALTHCHECK {{Test:[{}] Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        health.test.join(" "),
        shown(health.interval),
        shown(health.timeout),
        shown(health.start_period),
        shown(health.start_interval),
        health.retries
    );
    config.healthcheck = Some(health);
    Ok(text)
}

/// Nanoseconds of Go's notation: `1m30s`, `500ms`.
fn duration(text: &str) -> Result<i64> {
    const UNITS: [(&str, f64); 6] = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        match (number.parse::<f64>(), UNITS.iter().find(|(name, _)| *name == unit)) {
            (Ok(number), Some((_, scale))) => total += number * scale,
            _ => bail!("invalid duration \"{text}\": write for example 30s or 1m30s"),
        }
        rest = next;
    }
    Ok(total as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_durations() {
        assert_eq!(port_range("8000-8002/udp").unwrap(), ["8000/udp", "8001/udp", "8002/udp"]);
        assert!(port_range("x").is_err() && port_range("9-8").is_err() && port_range("80/icmp").is_err());
        assert_eq!(duration("1m30s").unwrap(), 90_000_000_000);
        assert_eq!(duration("500ms").unwrap(), 500_000_000);
        assert!(duration("5").is_err());
    }
}
