//! The Dockerfile front end: text → typed instructions with their places. No I/O.
//!
//! [`parse`] gives a [`Dockerfile`]; `expand` expands words, `ignore` matches `.dockerignore`, `pattern` shell patterns.
//! Reference: <https://docs.docker.com/reference/dockerfile/>; where that is silent, what BuildKit does.
#![forbid(unsafe_code)]

pub mod directives;
pub mod error;
pub mod expand;
mod flags;
pub mod heredoc;
pub mod ignore;
pub mod instruction;
mod lines;
pub mod pattern;
pub mod suggest;
mod words;

pub use error::{Error, Result, Span};
pub use instruction::{Arg, CommandLine, Copy, From, Healthcheck, Instruction, Kind, Network, Run, Source};

/// A parsed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    pub escape: char,
    /// `# syntax=`: the front end that the file asks for.
    pub syntax: Option<String>,
    /// ARGs before the first FROM.
    pub arguments: Vec<(Arg, Span)>,
    pub stages: Vec<Stage>,
}

/// FROM and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    pub from: From,
    pub span: Span,
    /// The text of the FROM line.
    pub text: String,
    pub instructions: Vec<Instruction>,
}

/// Parses a Dockerfile.
///
/// # Errors
/// The first thing that is wrong, with its line and column.
pub fn parse(text: &str) -> Result<Dockerfile> {
    refuse_nul(text)?;
    let directives = directives::parse(text)?;
    let escape = directives.escape;
    let mut file = Dockerfile { escape, syntax: directives.syntax, arguments: Vec::new(), stages: Vec::new() };
    for line in lines::split(text, escape)? {
        let instruction = instruction::parse(&line, escape)?;
        add(&mut file, instruction)?;
    }
    match file.stages.is_empty() {
        true => {
            let span = Span { line: 1, column: 1, end_line: 1 };
            Err(Error::new(span, "dockerfile contains no stages to build").hint("begin with FROM image"))
        }
        false => Ok(file),
    }
}

/// No argument or variable of a process can hold a NUL byte; it would end there unseen.
fn refuse_nul(text: &str) -> Result<()> {
    let Some(at) = text.find('\0') else { return Ok(()) };
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    Err(Error::new(Span { line, column, end_line: line }, "a NUL byte").hint("is it a text file?"))
}

fn add(file: &mut Dockerfile, instruction: Instruction) -> Result<()> {
    let Instruction { kind, span, text } = instruction;
    match (kind, file.stages.last_mut()) {
        (Kind::From(from), _) => {
            file.stages.push(Stage { from, span, text, instructions: Vec::new() });
        }
        (Kind::Arg(arguments), None) => file.arguments.extend(arguments.into_iter().map(|arg| (arg, span))),
        (_, None) => {
            return Err(Error::new(span, "no build stage in current context").hint("only ARG may stand before FROM"));
        }
        (kind, Some(stage)) => stage.instructions.push(Instruction { kind, span, text }),
    }
    Ok(())
}
