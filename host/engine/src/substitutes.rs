//! Substitutes: images of the catalog in place of those that cannot be had, where a person accepts that.

use std::fs;
use std::io::{BufRead, ErrorKind, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use shallop_catalog::Substitute;
use shallop_oci::Reference;

use crate::Session;

/// Label that records which image a substitute stands in for.
pub const SUBSTITUTE_LABEL: &str = "org.shallop.substitute-for";

/// How substitutes are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Substitutes {
    Accept,
    /// Those that are configured are accepted; for others a terminal is asked, and without one the name is an error.
    Ask,
}

/// `substitutes.json`: `{ "accept": ["python", "alpine:3.18"] }`, where `"*"` is any image.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Configured {
    accept: Vec<String>,
}

impl Configured {
    /// Reads the file; without one nothing is accepted.
    fn load(path: &Path) -> Result<Configured> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Configured::default()),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        let told = || format!("{} is not like {{ \"accept\": [\"python\", \"alpine:3.18\"] }}", path.display());
        serde_json::from_slice(&text).with_context(told)
    }

    /// Whether an image is among those that are accepted: by its name, by its name and tag, or as any.
    fn accepts(&self, reference: &Reference) -> bool {
        let forms = [reference.familiar_name(), reference.familiar(), reference.repository(), reference.to_string()];
        self.accept.iter().any(|entry| entry == "*" || forms.contains(entry))
    }
}

/// Returns when a substitute may be used. `offer` says why the image cannot be had, and how the other is different.
///
/// # Errors
/// The offer and how to accept it, when nobody does; or what is wrong with the configuration.
pub(crate) fn accept(session: &Session, how: Substitutes, reference: &Reference, offer: &str) -> Result<()> {
    let configured = || Ok::<_, anyhow::Error>(Configured::load(&session.dirs.substitutes())?.accepts(reference));
    if how == Substitutes::Accept || configured()? {
        eprintln!("shallop: {offer}");
        return Ok(());
    }
    if !asked(offer)? {
        bail!("{offer}\nAccept it with --substitute");
    }
    Ok(())
}

/// What `pull` says after an image that cannot be had: which image of the catalog can stand in for it.
pub fn stand_in(reference: &Reference) -> Option<String> {
    let found = shallop_catalog::substitute(reference.library_name()?, reference.tag().unwrap_or("latest"))?;
    Some(offer(reference, &found))
}

pub(crate) fn offer(reference: &Reference, found: &Substitute) -> String {
    let differences = found.differences.iter().map(|d| format!("\n  - {d}")).collect::<String>();
    format!("{} can stand in for {}:{differences}", found.image, reference.familiar())
}

/// Asks a person at a terminal; no one else.
fn asked(offer: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(false);
    }
    eprint!("{offer}\nUse it? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_a_tag() {
        let accepts = |entries: &[&str], name: &str| {
            let accept = entries.iter().map(|entry| (*entry).to_owned()).collect();
            Configured { accept }.accepts(&Reference::parse_cli(name).unwrap())
        };
        assert!(accepts(&["python"], "python:3.9-slim"));
        assert!(accepts(&["alpine:3.18"], "docker.io/library/alpine:3.18"));
        assert!(accepts(&["docker.io/library/alpine"], "alpine:3.18"));
        assert!(!accepts(&["alpine:3.18"], "alpine:3.19"));
        assert!(accepts(&["nginx:latest"], "nginx"));
        assert!(!accepts(&["python"], "ghcr.io/x/python"));
        assert!(accepts(&["*"], "node:20"));
        assert!(!accepts(&["not a name", ""], "node:20"));
    }
}
