//! `cargo xtask check-portable`: the program for Windows, linked and tried under wine; parts of it for macOS, type-checked.
//!
//! Everything is built in a target folder of its own, so that the one of every day stays as it is.

mod macos;
mod windows;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::shallop::{add_targets, add_these_targets, installed, root};

/// Programs that the check needs, and the Debian packages that bring them.
const NEEDED: &[(&str, &str)] =
    &[("x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64"), ("wine", "wine wine64"), ("rustc", "rustc")];

pub fn run() -> Result<()> {
    let missing: Vec<_> = NEEDED.iter().filter(|(program, _)| !installed(program)).collect();
    for (program, package) in &missing {
        println!("not installed: {program} (apt-get install {package})");
    }
    if !missing.is_empty() {
        bail!("something that the check needs is missing");
    }
    add_targets()?;
    add_these_targets(&[windows::TARGET])?;
    add_these_targets(macos::TARGETS)?;
    let program = windows::build()?;
    windows::try_out(&program)?;
    macos::TARGETS.iter().try_for_each(|target| macos::type_check(target))?;
    macos::tell_left_out();
    Ok(())
}

/// cargo in the workspace, with the check's own target folder.
fn cargo(verb: &str, packages: &[&str], target: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([verb, "--release", "--locked", "--target", target]);
    cargo.args(packages.iter().flat_map(|package| ["--package", package]));
    cargo.arg("--target-dir").arg(target_folder()).current_dir(root());
    cargo
}

fn target_folder() -> PathBuf {
    root().join("target/portable")
}

fn step(text: &str) {
    println!("==> {text}");
}
