//! `#!` lines (execve(2), "Interpreter scripts").

use shallop_linux_abi::Errno;

/// A script's first line.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub interpreter: Vec<u8>,
    /// All the rest of the line, as one argument.
    pub argument: Option<Vec<u8>>,
}

/// Reads the line at the file's start; `None` when it is no script. ENOEXEC when nothing is named, or cut off.
pub fn parse(start: &[u8]) -> Result<Option<Line>, Errno> {
    let Some(rest) = start.strip_prefix(b"#!") else { return Ok(None) };
    let end = rest.iter().position(|b| *b == b'\n' || *b == 0);
    let line = rest[..end.unwrap_or(rest.len())].trim_ascii();
    let split = line.iter().position(|b| matches!(b, b' ' | b'\t'));
    // Without its end in sight, only the argument may have been cut.
    if line.is_empty() || end.is_none() && split.is_none() && start.len() == crate::tunables::SCRIPT_LINE {
        return Err(Errno::ENOEXEC);
    }
    let (interpreter, argument) = match split {
        Some(at) => (&line[..at], Some(line[at..].trim_ascii().to_vec())),
        None => (line, None),
    };
    Ok(Some(Line { interpreter: interpreter.to_vec(), argument }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_interpreter_and_one_argument() {
        let line = parse(b"#! /usr/bin/env  python3 -u \necho").unwrap().unwrap();
        assert_eq!(line.interpreter, b"/usr/bin/env");
        assert_eq!(line.argument.as_deref(), Some(&b"python3 -u"[..]));
        assert_eq!(parse(b"#!/bin/sh").unwrap().unwrap().argument, None);
        assert_eq!(parse(b"\x7fELF"), Ok(None));
        assert_eq!(parse(b"#!  \n"), Err(Errno::ENOEXEC));
    }
}
