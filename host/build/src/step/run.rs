//! RUN: from the instruction and the stage so far to the process that a sandbox runs.

use anyhow::{Result, ensure};
use shallop_dockerfile::heredoc::Heredoc;
use shallop_dockerfile::{CommandLine, Run};
use shallop_layer::tar::{Entry, Kind, Writer};
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

/// Refuses what no sandbox can do.
pub fn check(platform: &Platform) -> Result<()> {
    ensure!(platform.is_linux(), "RUN needs a Linux platform; an image for {platform} holds one WebAssembly module");
    Ok(())
}

/// The folder that a script with its own interpreter line lies in while its step runs. It is in a layer that only the step
/// sees, because /dev (where BuildKit puts it) is a file system of its own.
const SCRIPT_FOLDER: &str = ".shallop-script";

/// A here-document that begins with `#!`: a file that is executed, by its name.
pub struct Script<'a>(pub &'a Heredoc);

impl Script<'_> {
    /// Its path in the step's sandbox.
    pub fn path(&self) -> String {
        format!("/{SCRIPT_FOLDER}/{}", self.0.name.replace('/', "_"))
    }

    /// Writes the layer that holds it.
    pub fn write(&self, out: &mut dyn std::io::Write) -> Result<()> {
        let mut writer = Writer::new(out);
        writer.append(&Entry::new(SCRIPT_FOLDER, 0o755, Kind::Dir), &mut std::io::empty())?;
        let mut content = self.0.content.as_bytes();
        let kind = Kind::File { size: content.len() as u64 };
        writer.append(&Entry::new(self.path().trim_start_matches('/'), 0o755, kind), &mut content)?;
        Ok(writer.finish()?)
    }
}

/// The step's cache key. Proxies are in `step.env` but do not count.
pub fn key(step: &RunStep, run: &Run, proxies: &[String]) -> String {
    let mut key = Key::new("RUN", &step.layers);
    key.fields("argv", &step.argv);
    key.fields("env", step.env.iter().filter(|entry| !proxies.contains(entry)));
    key.field("workdir", step.workdir.as_bytes());
    key.field("user", step.user.as_bytes());
    key.field("platform", step.platform.to_string().as_bytes());
    if let Some(script) = &run.script {
        key.field("script", script.content.as_bytes());
    }
    key.field("network", format!("{:?}", step.network).as_bytes());
    key.finish()
}
