//! RUN: a command, in shell or exec form, or a script in a here-document.

use super::{CommandLine, Input, command};
use crate::error::Result;
use crate::heredoc::{self, Heredoc};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// In shell form with here-documents put back behind the command's line.
    pub command: CommandLine,
    pub network: Network,
    /// The command is nothing but a here-document that starts with `#!`: a script to execute.
    pub script: Option<Heredoc>,
}

/// What of the network a step may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    #[default]
    Default,
    None,
}

pub(super) fn parse(mut input: Input<'_>) -> Result<Run> {
    let network = match input.flags.value("network")?.as_deref() {
        None | Some("default") => Network::Default,
        Some("none") => Network::None,
        Some(other) => return Err(input.error(format!("RUN --network={other} is not done: only default and none are"))),
    };
    input.flags.not_yet(&["mount", "security", "device"], "RUN")?;
    let (command, script) = with_heredocs(&input);
    input.flags.finish()?;
    Ok(Run { command, network, script })
}

fn with_heredocs(input: &Input<'_>) -> (CommandLine, Option<Heredoc>) {
    let Some(first) = input.heredocs.first() else { return (command::parse(input), None) };
    let alone = input.heredocs.len() == 1 && heredoc::announced(input.arguments, input.escape).is_some();
    if alone {
        let script = first.content.starts_with("#!").then(|| first.clone());
        return (CommandLine::Shell(first.content.clone()), script);
    }
    let mut text = input.arguments.to_owned();
    for document in input.heredocs {
        text.push_str(&format!("\n{}{}", document.content, document.name));
    }
    (CommandLine::Shell(text), None)
}
