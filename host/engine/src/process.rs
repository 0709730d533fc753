//! What runs in a container: the image's defaults joined with the command line's flags, as Docker joins them.

use anyhow::{Result, ensure};

/// PATH where the image sets none.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image's (or a step's) defaults.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub env: Vec<String>,
    pub workdir: String,
    pub user: String,
}

/// The command line's wishes; `None` and empty leave the image's.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub entrypoint: Option<String>,
    pub arguments: Vec<String>,
    pub env: Vec<String>,
    pub workdir: Option<String>,
    pub user: Option<String>,
    pub tty: bool,
}

/// The process to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub argv: Vec<String>,
    pub env: Vec<String>,
    pub workdir: String,
    pub user: String,
}

impl Process {
    /// Joins defaults and flags.
    ///
    /// # Errors
    /// When neither names a command.
    pub fn resolve(defaults: &Defaults, flags: &Overrides, hostname: &str) -> Result<Process> {
        let entrypoint = match flags.entrypoint.as_deref() {
            None => defaults.entrypoint.clone(),
            Some("") => Vec::new(),
            Some(program) => vec![program.to_owned()],
        };
        // A given entrypoint drops the image's command, as does any argument.
        let arguments = match flags.entrypoint.is_none() && flags.arguments.is_empty() {
            true => defaults.command.clone(),
            false => flags.arguments.clone(),
        };
        let argv = [entrypoint, arguments].concat();
        ensure!(
            !argv.is_empty(),
            "no command specified: the image has neither ENTRYPOINT nor CMD; name a command after it"
        );
        let workdir = flags.workdir.clone().unwrap_or_else(|| defaults.workdir.clone());
        Ok(Process {
            argv,
            env: environment(defaults, flags, hostname),
            workdir: crate::volume::normalise(&workdir),
            user: flags.user.clone().unwrap_or_else(|| defaults.user.clone()),
        })
    }
}

fn environment(defaults: &Defaults, flags: &Overrides, hostname: &str) -> Vec<String> {
    let mut env = Vec::new();
    set(&mut env, DEFAULT_PATH);
    set(&mut env, &format!("HOSTNAME={hostname}"));
    if flags.tty {
        set(&mut env, "TERM=xterm");
    }
    defaults.env.iter().for_each(|entry| set(&mut env, entry));
    for entry in &flags.env {
        match entry.contains('=') {
            true => set(&mut env, entry),
            false => from_own_environment(&mut env, entry),
        }
    }
    env
}

/// `-e NAME` takes the caller's value, or takes NAME away where there is none.
fn from_own_environment(env: &mut Vec<String>, name: &str) {
    match std::env::var(name) {
        Ok(value) => set(env, &format!("{name}={value}")),
        Err(_) => env.retain(|e| e.split('=').next() != Some(name)),
    }
}

/// Replaces or adds one `NAME=value`.
fn set(env: &mut Vec<String>, entry: &str) {
    let name = entry.split('=').next();
    match env.iter_mut().find(|e| e.split('=').next() == name) {
        Some(existing) => *existing = entry.to_owned(),
        None => env.push(entry.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Defaults {
        let list = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        Defaults {
            entrypoint: list(&["/e"]),
            command: list(&["c"]),
            env: list(&["A=1"]),
            workdir: "/w".into(),
            user: String::new(),
        }
    }

    #[test]
    fn arguments_replace_the_command_and_an_entrypoint_replaces_both() {
        let argv = |flags| Process::resolve(&image(), &flags, "h").unwrap().argv;
        assert_eq!(argv(Overrides::default()), ["/e", "c"]);
        assert_eq!(argv(Overrides { arguments: vec!["x".into()], ..Overrides::default() }), ["/e", "x"]);
        assert_eq!(argv(Overrides { entrypoint: Some("sh".into()), ..Overrides::default() }), ["sh"]);
    }

    #[test]
    fn no_command_is_an_error() {
        let error = Process::resolve(&Defaults::default(), &Overrides::default(), "h").unwrap_err();
        assert!(error.to_string().contains("no command specified"));
    }

    #[test]
    fn later_environment_wins() {
        let flags = Overrides { env: vec!["A=2".into(), "B=".into()], ..Overrides::default() };
        let env = Process::resolve(&image(), &flags, "h").unwrap().env;
        assert_eq!(env, [DEFAULT_PATH, "HOSTNAME=h", "A=2", "B="]);
    }
}
