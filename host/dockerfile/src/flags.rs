//! Flags of an instruction: `--name=value` words before its arguments.

use crate::error::{Error, Result, Span};
use crate::{suggest, words};

/// The flags that stood before the arguments.
#[derive(Debug, Default)]
pub struct Flags {
    found: Vec<(String, Option<String>)>,
    span: Span,
    /// Names that were asked for: what the instruction has.
    known: Vec<&'static str>,
}

/// Takes the flags off the front of an instruction's arguments; the rest is returned beside them.
pub fn take(arguments: &str, escape: char, span: Span) -> Result<(Flags, &str)> {
    let mut flags = Flags { found: Vec::new(), span, known: Vec::new() };
    let mut rest = arguments.trim_start();
    while rest.starts_with("--") {
        let raw = words::split_raw(rest, escape).into_iter().next().unwrap_or_default();
        rest = rest[raw.len()..].trim_start();
        if raw == "--" {
            break;
        }
        let plain = words::unquote(&raw, escape).ok_or_else(|| Error::new(span, format!("unclosed quote in {raw}")))?;
        let (name, value) = match plain[2..].split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (plain[2..].to_owned(), None),
        };
        flags.found.push((name, value));
    }
    Ok((flags, rest))
}

impl Flags {
    /// A flag with a value, taken out.
    pub fn value(&mut self, name: &'static str) -> Result<Option<String>> {
        let values = self.all(name)?;
        match values.len() {
            0 | 1 => Ok(values.into_iter().next()),
            _ => Err(Error::new(self.span, format!("duplicate flag specified: {name}"))),
        }
    }

    /// A flag that may stand several times, taken out.
    pub fn all(&mut self, name: &'static str) -> Result<Vec<String>> {
        self.known.push(name);
        let mut values = Vec::new();
        for (flag, value) in &self.found {
            if flag == name {
                let missing = || Error::new(self.span, format!("missing a value on flag: {name}"));
                values.push(value.clone().ok_or_else(missing)?);
            }
        }
        self.found.retain(|(flag, _)| flag != name);
        Ok(values)
    }

    /// A flag that is true when it stands alone, taken out.
    pub fn boolean(&mut self, name: &'static str) -> Result<bool> {
        self.known.push(name);
        let mut result = false;
        for (flag, value) in &self.found {
            if flag == name {
                result = match value.as_deref() {
                    None | Some("true") => true,
                    Some("false") => false,
                    Some(other) => {
                        return Err(Error::new(
                            self.span,
                            format!("expecting boolean value for flag {name}, not: {other}"),
                        ));
                    }
                };
            }
        }
        self.found.retain(|(flag, _)| flag != name);
        Ok(result)
    }

    /// Refuses a flag that BuildKit knows and we do not yet.
    pub fn not_yet(&mut self, names: &[&'static str], instruction: &str) -> Result<()> {
        self.known.extend(names);
        match self.found.iter().find(|(flag, _)| names.contains(&flag.as_str())) {
            Some((flag, _)) => Err(Error::new(self.span, format!("{instruction} --{flag} is not done yet"))),
            None => Ok(()),
        }
    }

    /// Refuses what nobody took.
    pub fn finish(self) -> Result<()> {
        match self.found.first() {
            Some((flag, _)) => {
                let error = Error::new(self.span, format!("unknown flag: --{flag}"));
                Err(match suggest::nearest(flag, &self.known) {
                    Some(name) => error.hint(format!("did you mean {name}?")),
                    None => error,
                })
            }
            None => Ok(()),
        }
    }
}
