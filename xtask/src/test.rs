//! `cargo xtask test`: all tests, and a count of what was skipped for want of an oracle.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shallop::{add_targets, installed, root};

/// Programs that tests compare with, and the Debian packages that bring them.
const ORACLES: &[(&str, &str)] = &[
    ("qemu-riscv64-static", "qemu-user-static"),
    ("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu"),
    ("gcc", "gcc"),
    ("strace", "strace"),
    ("skopeo", "skopeo"),
    ("docker-registry", "docker-registry"),
    ("python3", "python3"),
];

pub fn run(arguments: &[String]) -> Result<()> {
    add_targets()?;
    let required = std::env::var_os("SHALLOP_TEST_REQUIRE_ORACLES").is_some();
    let missing: Vec<_> = ORACLES.iter().filter(|(program, _)| !installed(program)).collect();
    for (program, package) in &missing {
        println!("not installed: {program} (apt-get install {package}); tests that need it are skipped");
    }
    if required && !missing.is_empty() {
        bail!("SHALLOP_TEST_REQUIRE_ORACLES is set and something is missing");
    }
    let skips = root().join("target/test-skips");
    let _ = fs::remove_file(&skips);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    if installed("cargo-nextest") {
        command.args(["nextest", "run", "--no-fail-fast"]);
    } else {
        command.args(["test", "--no-fail-fast"]);
    }
    command.args(["--release", "--locked", "--workspace"]).args(arguments).current_dir(root());
    let status = command.env("SHALLOP_TEST_SKIPS", &skips).status().context("starting cargo")?;
    report(&fs::read_to_string(&skips).unwrap_or_default());
    if !status.success() {
        bail!("some tests failed");
    }
    Ok(())
}

/// Each line of the file is `suite: reason`.
fn report(skips: &str) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in skips.lines() {
        *counts.entry(line).or_default() += 1;
    }
    match counts.is_empty() {
        true => println!("nothing was skipped"),
        false => counts.iter().for_each(|(what, count)| println!("skipped {count} × {what}")),
    }
}
