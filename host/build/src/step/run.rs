//! RUN: from the instruction and the stage so far to the process that a sandbox runs.

use anyhow::{Result, ensure};
use shallop_dockerfile::{CommandLine, Run};
use shallop_oci::Platform;

use crate::cache_key::Key;
use crate::effects::RunStep;

/// The shell of a shell-form command where SHELL sets none.
pub const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// The arguments of a command: a shell's with its text, or the exec form's own.
pub fn argv(command: &CommandLine, shell: Option<&[String]>) -> Vec<String> {
    match command {
        CommandLine::Exec(arguments) => arguments.clone(),
        CommandLine::Shell(text) => {
            let mut argv: Vec<String> = match shell {
                Some(shell) => shell.to_vec(),
                None => DEFAULT_SHELL.map(str::to_owned).to_vec(),
            };
            argv.push(text.clone());
            argv
        }
    }
}

/// Refuses what is not done.
pub fn check(run: &Run, platform: &Platform) -> Result<()> {
    ensure!(
        run.script.is_none(),
        "a here-document with its own interpreter line (#!) is not done yet; name the interpreter: RUN python3 <<EOF"
    );
    ensure!(platform.is_linux(), "RUN needs a Linux platform; an image for {platform} holds one WebAssembly module");
    Ok(())
}

/// The step's cache key. Proxies are in `step.env` but do not count.
pub fn key(step: &RunStep, run: &Run, proxies: &[String]) -> String {
    let mut key = Key::new("RUN", &step.layers);
    key.fields("argv", &step.argv);
    key.fields("env", step.env.iter().filter(|entry| !proxies.contains(entry)));
    key.field("workdir", step.workdir.as_bytes());
    key.field("user", step.user.as_bytes());
    key.field("platform", step.platform.to_string().as_bytes());
    key.field("network", format!("{:?}", run.network).as_bytes());
    key.finish()
}
