//! Variables of a stage: ARGs and where they come from, ENV over them.

use anyhow::{Result, anyhow};
use shallop_dockerfile::{Arg, expand};

use crate::arguments::Arguments;

/// The ARGs in force.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// ARGs before the first FROM: seen only where a stage declares the name again.
    outer: Vec<(String, String)>,
    /// Declared here, in order; `None` has no value.
    declared: Vec<(String, Option<String>)>,
}

impl Scope {
    /// A stage's scope below the global one.
    pub fn new(outer: Vec<(String, String)>) -> Scope {
        Scope { outer, declared: Vec::new() }
    }

    /// Declares an ARG: what was given, else its default, else the global ARG of that name.
    pub fn declare(&mut self, arg: &Arg, given: &Arguments, escape: char) -> Result<()> {
        let default = match &arg.default {
            Some(text) => Some(expand::word(text, escape, &|name: &str| self.lookup(name)).map_err(|e| anyhow!(e))?),
            None => self.outer.iter().rev().find(|(name, _)| *name == arg.name).map(|(_, value)| value.clone()),
        };
        let value = given.given(&arg.name).or(default);
        match self.declared.iter_mut().find(|(name, _)| *name == arg.name) {
            Some(existing) => existing.1 = value.or_else(|| existing.1.take()),
            None => self.declared.push((arg.name.clone(), value)),
        }
        Ok(())
    }

    /// The platform arguments, which FROM sees without an ARG.
    pub fn add_automatic(&mut self, given: &Arguments) {
        for name in [
            "BUILDPLATFORM",
            "BUILDOS",
            "BUILDARCH",
            "BUILDVARIANT",
            "TARGETPLATFORM",
            "TARGETOS",
            "TARGETARCH",
            "TARGETVARIANT",
        ] {
            if self.lookup(name).is_none() {
                self.declared.push((name.to_owned(), given.automatic(name)));
            }
        }
    }

    pub fn lookup(&self, name: &str) -> Option<String> {
        self.declared.iter().rev().find(|(n, _)| n == name).and_then(|(_, value)| value.clone())
    }

    /// What a stage may refer to.
    pub fn globals(&self) -> Vec<(String, String)> {
        self.declared.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect()
    }

    /// `NAME=value` of an ARG, or its name where it has no value.
    pub fn describe(&self, name: &str) -> String {
        match self.lookup(name) {
            Some(value) => format!("{name}={value}"),
            None => name.to_owned(),
        }
    }

    /// The ARGs that a RUN sees as `NAME=value`: those with a value that no ENV covers.
    pub fn environment(&self, env: &[String]) -> Vec<String> {
        let is_covered = |name: &str| env.iter().any(|entry| entry.split('=').next() == Some(name));
        let seen = self.declared.iter().filter(|(name, _)| !is_covered(name));
        seen.filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?))).collect()
    }

    /// Expands with ENV before ARG.
    pub fn expander(&self, env: &[String], escape: char) -> Expander {
        Expander { scope: self.clone(), env: env.to_vec(), escape }
    }
}

/// Expands words of one stage as it stands.
pub struct Expander {
    scope: Scope,
    env: Vec<String>,
    escape: char,
}

impl Expander {
    fn get(&self, name: &str) -> Option<String> {
        let entry = self.env.iter().rev().find_map(|entry| entry.split_once('=').filter(|(n, _)| *n == name));
        entry.map(|(_, value)| value.to_owned()).or_else(|| self.scope.lookup(name))
    }

    pub fn word(&self, text: &str) -> Result<String> {
        expand::word(text, self.escape, &|name: &str| self.get(name)).map_err(|e| anyhow!("{e} in \"{text}\""))
    }

    pub fn words(&self, text: &str) -> Result<Vec<String>> {
        expand::words(text, self.escape, &|name: &str| self.get(name)).map_err(|e| anyhow!("{e} in \"{text}\""))
    }

    /// A here-document: variables are expanded, quotes stay.
    pub fn document(&self, text: &str) -> Result<String> {
        expand::document(text, &|name: &str| self.get(name)).map_err(|e| anyhow!("{e} in a here-document"))
    }
}
