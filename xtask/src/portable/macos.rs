//! Type-checking for macOS, of the crates that need no C compiler for it. Nothing is linked.

use anyhow::Result;

use super::{cargo, step};
use crate::shallop::run;

pub const TARGETS: &[&str] = &["aarch64-apple-darwin", "x86_64-apple-darwin"];

/// Crates, all of whose dependencies are Rust.
const CHECKED: &[&str] = &[
    "shallop-build",
    "shallop-config",
    "shallop-dockerfile",
    "shallop-host-abi",
    "shallop-layer",
    "shallop-oci",
    "shallop-supervisor",
];

/// Those that are left out, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("shallop-store", "SQLite and zstd are C"),
    ("shallop-registry", "ring is C; it uses the store"),
    ("shallop-catalog", "xz and zstd are C"),
    ("shallop-sandbox", "wasmtime has helpers in C"),
    ("shallop-compiler, shallop-worker", "they use the sandbox"),
    ("shallop-engine, shallop-cli", "they use all of these"),
    ("shallop-address-space", "it is for Linux alone"),
];

pub fn type_check(target: &str) -> Result<()> {
    step(&format!("type-checking for {target}: {}", CHECKED.join(", ")));
    run(&mut cargo("check", CHECKED, target))
}

pub fn tell_left_out() {
    LEFT_OUT.iter().for_each(|(name, reason)| println!("not checked for macOS: {name} ({reason})"));
}
