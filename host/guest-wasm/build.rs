//! Builds the guest crates for wasm with the same cargo, rewrites the engine's guest accesses, and leaves the modules in OUT_DIR.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

mod rewrite;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR")).join("../..");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=rewrite.rs");
    println!("cargo::rerun-if-changed={}", root.join("guest").display());

    let kernel = build(&root, &out, "shallop-boot", "wasm32-wasip1", "shallop-boot.wasm");
    let hello = build(&root, &out, "shallop-hello-world", "wasm32-wasip1", "shallop-hello-world.wasm");
    let cpu = build(&root, &out, "shallop-cpu", "wasm32-unknown-unknown", "shallop_cpu.wasm");
    let cpu = rewrite::rewrite(&cpu).unwrap_or_else(|e| panic!("rewriting cpu.wasm: {e}"));
    for (name, wasm) in [("kernel.wasm", kernel), ("hello-world.wasm", hello), ("cpu.wasm", cpu)] {
        std::fs::write(out.join(format!("{name}.id")), identity(&wasm))
            .unwrap_or_else(|e| panic!("writing {name}.id: {e}"));
        std::fs::write(out.join(name), wasm).unwrap_or_else(|e| panic!("writing {name}: {e}"));
    }
}

/// A name for this content, so that a start need not hash the module again.
fn identity(wasm: &[u8]) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    wasm.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Builds one package for one wasm target and returns the module's bytes.
fn build(root: &Path, out: &Path, package: &str, target: &str, file: &str) -> Vec<u8> {
    let target_dir = out.join("guest");
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"));
    cargo.args(["build", "--release", "--locked", "--package", package, "--target", target]);
    cargo.arg("--manifest-path").arg(root.join("Cargo.toml")).arg("--target-dir").arg(&target_dir);
    // What the outer cargo set for the host's build must not reach the guest's.
    for variable in
        ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET"]
    {
        cargo.env_remove(variable);
    }
    // As one piece it is smaller, which a start feels, and faster.
    cargo.env("CARGO_PROFILE_RELEASE_LTO", "fat").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1");
    let status = cargo.status().unwrap_or_else(|e| panic!("running cargo for {package}: {e}"));
    assert!(
        status.success(),
        "building {package} for {target} failed; is the target there? (rustup target add {target})"
    );
    let path = target_dir.join(target).join("release").join(file);
    std::fs::read(&path).unwrap_or_else(|e| panic!("reading {}: {e}", path.display()))
}
