//! The `shallop` command: parses arguments, hands over to a verb, turns its result into an exit code.
//!
//! `verbs/<verb>.rs` hold each verb's arguments, help and action; `output` renders tables, JSON and progress.
#![forbid(unsafe_code)]

mod output;
mod platform;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

/// Builds Dockerfiles and runs containers inside WebAssembly sandboxes
#[derive(Debug, Parser)]
#[command(
    name = "shallop",
    version,
    propagate_version = false,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(after_help = "Examples:
  shallop run --rm catalog/hello-world
  shallop build -t app .
  shallop run --rm -it catalog/debian sh
  shallop run --rm -v ./site:/site:ro catalog/python python3 -m zipfile -l /site/a.zip")]
struct Cli {
    #[command(subcommand)]
    verb: verbs::Verb,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(|verb| verb.to_str()) {
        Some(shallop_supervisor::VERB) => return internal(shallop_worker::main(arguments)),
        Some(shallop_compiler::VERB) => {
            let path = arguments.next().unwrap_or_default();
            let stops = arguments.next();
            return internal(shallop_compiler::main(path.as_ref(), stops.as_deref().and_then(|word| word.to_str())));
        }
        #[cfg(target_os = "linux")]
        Some(shallop_supervisor::jobs::VERB) => {
            let cache = arguments.next().unwrap_or_default();
            let numbers = [(); 2].map(|()| arguments.next().unwrap_or_default().to_string_lossy().parse());
            return internal(shallop_compiler::translator::main(cache.as_ref(), numbers));
        }
        _ => {}
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Docker's code for a command line that it cannot use.
            let code = if error.use_stderr() { 125 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let failure = cli.verb.failure_code();
    match cli.verb.run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::error(&error);
            ExitCode::from(failure)
        }
    }
}

/// A process of our own that the user did not ask for by name: its errors go to its parent.
fn internal(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
