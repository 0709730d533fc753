//! The instructions, a file each: their types and grammar. [`parse`] turns a logical line into an [`Instruction`].

pub mod add;
pub mod arg;
pub mod command;
pub mod copy;
pub mod env;
pub mod expose;
pub mod from;
pub mod healthcheck;
pub mod label;
mod name_value;
pub mod run;
pub mod shell;
pub mod volume;

use crate::error::{Error, Result, Span};
use crate::flags;
use crate::heredoc::Heredoc;
use crate::lines::Line;
use crate::suggest;

pub use arg::Arg;
pub use command::CommandLine;
pub use copy::{Copy, Source};
pub use from::From;
pub use healthcheck::Healthcheck;
pub use run::{Network, Run};

/// One instruction with its place and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    pub kind: Kind,
    pub span: Span,
    /// The text with continuation lines joined, as it shows in progress.
    pub text: String,
}

/// What an instruction says. Texts are not expanded yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    From(From),
    Arg(Vec<Arg>),
    Env(Vec<(String, String)>),
    Label(Vec<(String, String)>),
    Workdir(String),
    Copy(Copy),
    /// Local files only; no URLs, no archives.
    Add(Copy),
    Run(Run),
    Cmd(CommandLine),
    Entrypoint(CommandLine),
    Expose(Vec<String>),
    User(String),
    Volume(Vec<String>),
    Shell(Vec<String>),
    Stopsignal(String),
    Healthcheck(Healthcheck),
    Maintainer(String),
}

/// Every keyword, for suggestions.
const KEYWORDS: &[&str] = &[
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// What a grammar gets to see of its line.
pub struct Input<'a> {
    pub arguments: &'a str,
    pub flags: flags::Flags,
    pub escape: char,
    pub span: Span,
    pub heredocs: &'a [Heredoc],
    pub keyword: &'a str,
}

impl Input<'_> {
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::new(self.span, message)
    }

    /// The single argument that an instruction wants.
    fn single(&self) -> Result<String> {
        match self.arguments.is_empty() {
            true => Err(self.error(format!("{} requires exactly one argument", self.keyword))),
            false => Ok(self.arguments.to_owned()),
        }
    }
}

/// Reads one instruction.
pub fn parse(line: &Line, escape: char) -> Result<Instruction> {
    let (keyword, arguments) = match line.text.split_once(char::is_whitespace) {
        Some((keyword, arguments)) => (keyword, arguments.trim()),
        None => (line.text.as_str(), ""),
    };
    let keyword = keyword.to_ascii_uppercase();
    if !KEYWORDS.contains(&keyword.as_str()) {
        return Err(unknown(&keyword, line.span));
    }
    let (mut flags, arguments) = flags::take(arguments, escape, line.span)?;
    if !matches!(keyword.as_str(), "FROM" | "COPY" | "ADD" | "RUN" | "HEALTHCHECK" | "ONBUILD") {
        std::mem::take(&mut flags).finish()?;
    }
    let input = Input { arguments, flags, escape, span: line.span, heredocs: &line.heredocs, keyword: &keyword };
    Ok(Instruction { kind: kind(input)?, span: line.span, text: line.text.clone() })
}

fn kind(input: Input<'_>) -> Result<Kind> {
    if input.arguments.is_empty() && input.keyword != "FROM" && input.keyword != "HEALTHCHECK" {
        let wants = match input.keyword {
            "WORKDIR" | "USER" | "STOPSIGNAL" | "MAINTAINER" => "exactly one argument",
            "COPY" | "ADD" => "at least two arguments",
            _ => "at least one argument",
        };
        return Err(input.error(format!("{} requires {wants}", input.keyword)));
    }
    Ok(match input.keyword {
        "FROM" => Kind::From(from::parse(input)?),
        "ARG" => Kind::Arg(arg::parse(&input)?),
        "ENV" => Kind::Env(env::parse(&input)?),
        "LABEL" => Kind::Label(label::parse(&input)?),
        "WORKDIR" => Kind::Workdir(input.single()?),
        "USER" => Kind::User(input.single()?),
        "STOPSIGNAL" => Kind::Stopsignal(input.single()?),
        "MAINTAINER" => Kind::Maintainer(input.single()?),
        "COPY" => Kind::Copy(copy::parse(input)?),
        "ADD" => Kind::Add(add::parse(input)?),
        "RUN" => Kind::Run(run::parse(input)?),
        "CMD" => Kind::Cmd(command::parse(&input)),
        "ENTRYPOINT" => Kind::Entrypoint(command::parse(&input)),
        "EXPOSE" => Kind::Expose(expose::parse(&input)),
        "VOLUME" => Kind::Volume(volume::parse(&input)?),
        "SHELL" => Kind::Shell(shell::parse(&input)?),
        "HEALTHCHECK" => Kind::Healthcheck(healthcheck::parse(input)?),
        other => return Err(input.error(format!("{other} is not done yet"))),
    })
}

fn unknown(keyword: &str, span: Span) -> Error {
    let error = Error::new(span, format!("unknown instruction: {keyword}"));
    match suggest::nearest(keyword, KEYWORDS) {
        Some(known) => error.hint(format!("did you mean {known}?")),
        None => error,
    }
}
