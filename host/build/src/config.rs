//! What instructions do to the image's configuration and history, as BuildKit writes them.

use anyhow::{Result, bail, ensure};
use shallop_dockerfile::{CommandLine, Healthcheck, Kind};
use shallop_oci::config::Empty;
use shallop_oci::{Config, History, ImageConfig};

use crate::effects::Cached;
use crate::expose;
use crate::go;
use crate::scope::Expander;
use crate::signal;
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

/// Applies an instruction that changes no files. `has_cmd`: the stage has had a CMD of its own, which a later ENTRYPOINT
/// then leaves alone.
pub fn apply(image: &mut ImageConfig, kind: &Kind, expand: &Expander, has_cmd: bool) -> Result<()> {
    let history = change(&mut image.config, kind, expand, has_cmd)?;
    if let Kind::Maintainer(name) = kind {
        image.author = Some(name.clone());
    }
    remember(image, &history, None);
    Ok(())
}

/// Changes the configuration; the history's line.
fn change(config: &mut Config, kind: &Kind, expand: &Expander, has_cmd: bool) -> Result<String> {
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
            config.args_escaped = Some(true);
            format!("CMD {}", go::quoted(&words))
        }
        Kind::Entrypoint(command) => {
            let words = argv(command, config.shell.as_deref());
            config.entrypoint = Some(words.clone());
            // A new entrypoint drops the base image's command.
            if !has_cmd {
                config.cmd = None;
            }
            format!("ENTRYPOINT {}", go::quoted(&words))
        }
        Kind::Expose(ports) => expose::apply(config, ports, expand)?,
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
            ensure!(signal::is_signal(&signal), "invalid signal: {signal}");
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

fn set_env(env: &mut Vec<String>, name: &str, value: &str) {
    let entry = format!("{name}={value}");
    match env.iter_mut().find(|e| e.split('=').next() == Some(name)) {
        Some(existing) => *existing = entry,
        None => env.push(entry),
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
                let nanoseconds = go::duration(text)?;
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
    let text = format!(
        "HEALTHCHECK {{Test:[{}] Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        health.test.join(" "),
        go::shown(health.interval),
        go::shown(health.timeout),
        go::shown(health.start_period),
        go::shown(health.start_interval),
        health.retries
    );
    config.healthcheck = Some(health);
    Ok(text)
}
