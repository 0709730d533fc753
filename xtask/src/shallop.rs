//! Building the `shallop` program and calling it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The wasm targets that the guest is built for.
const TARGETS: &[&str] = &["wasm32-wasip1", "wasm32-unknown-unknown"];

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in a folder of the workspace").to_owned()
}

/// Runs a command with its output shown; an error when it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {}", name(command)))?;
    ensure!(status.success(), "{} ended with {status}", name(command));
    Ok(())
}

/// A command's standard output; an error with its standard error when it fails.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("starting {}", name(command)))?;
    let report = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} ended with {}: {}", name(command), output.status, report.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// Whether a program can be found.
pub fn installed(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// Adds the wasm targets where rustup manages the toolchain.
pub fn add_targets() -> Result<()> {
    add_these_targets(TARGETS)
}

/// Adds targets where rustup manages the toolchain.
pub fn add_these_targets(targets: &[&str]) -> Result<()> {
    if !installed("rustup") {
        return Ok(());
    }
    let there = output(Command::new("rustup").args(["target", "list", "--installed"]).current_dir(root()))?;
    let missing: Vec<_> = targets.iter().filter(|target| !there.lines().any(|line| line == **target)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("adding targets: {}", missing.iter().map(|target| **target).collect::<Vec<_>>().join(", "));
    run(Command::new("rustup").args(["target", "add"]).args(missing).current_dir(root()))
}

/// Builds the program; its path.
pub fn build() -> Result<PathBuf> {
    add_targets()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(Command::new(cargo).args(["build", "--release", "--locked", "--package", "shallop-cli"]).current_dir(root()))?;
    // Beside this very program: both are built into one target folder.
    let own = std::env::current_exe().context("finding this program's file")?;
    Ok(own.with_file_name("shallop"))
}
