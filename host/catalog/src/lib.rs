//! The catalog: base images made from Debian packages. `recipe` lists them, `apt` fetches, `deb` unpacks, `rootfs` collects.
//!
//! Maintainer scripts are not run: what they would have done for these images, the recipe does (`recipe.rs`, `settle` below).
#![forbid(unsafe_code)]

mod apt;
mod deb;
pub mod recipe;
mod rootfs;
pub mod substitute;

use std::path::Path;

use anyhow::{Context, Result};

pub use apt::{Apt, debian_mirror};
pub use recipe::{RECIPES, Recipe, lookup};
pub use rootfs::Rootfs;
pub use substitute::{Substitute, find as substitute};

/// The Debian name of the architecture that images are made for.
pub const ARCH: &str = "riscv64";

/// An image's files and what its configuration needs to know of them.
#[derive(Debug)]
pub struct Assembled {
    pub rootfs: Rootfs,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Package names and versions, sorted.
    pub packages: Vec<(String, String)>,
}

/// Fetches a recipe's packages and puts its files together. `cache` keeps downloads; `progress` is told of each phase.
pub fn assemble(recipe: &Recipe, cache: &Path, progress: &mut dyn FnMut(&str)) -> Result<Assembled> {
    progress("reading the package lists");
    let apt = Apt::prepare(&cache.join("apt").join(ARCH), ARCH)?;
    progress("fetching packages");
    let files = apt.download(recipe.packages)?;
    let mut rootfs = Rootfs::new()?;
    let mut controls = Vec::new();
    for (i, file) in files.iter().enumerate() {
        progress(&format!("unpacking {}/{}", i + 1, files.len()));
        let deb = deb::Deb::open(file)?;
        rootfs.unpack(&mut deb.data()?, recipe.leave_out).with_context(|| format!("unpacking {}", file.display()))?;
        controls.push(deb.control()?);
    }
    settle(recipe, &mut rootfs, &controls)?;
    let env = environment(recipe, &controls);
    let mut packages: Vec<_> = controls.iter().filter_map(|control| name_and_version(control)).collect();
    packages.sort();
    Ok(Assembled { rootfs, env, packages })
}

fn name_and_version(control: &str) -> Option<(String, String)> {
    Some((deb::field(control, "Package")?.to_owned(), deb::field(control, "Version")?.to_owned()))
}

fn environment(recipe: &Recipe, controls: &[String]) -> Vec<String> {
    let mut env: Vec<String> = recipe.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if let Some((variable, package)) = recipe.version_env {
        let versions = controls.iter().filter_map(|control| name_and_version(control));
        if let Some((_, version)) = versions.into_iter().find(|(name, _)| name == package) {
            env.push(format!("{variable}={}", version.split('-').next().unwrap_or(&version)));
        }
    }
    env
}

/// What maintainer scripts would have done for these packages.
fn settle(recipe: &Recipe, rootfs: &mut Rootfs, controls: &[String]) -> Result<()> {
    for dir in ["bin", "sbin", "lib"] {
        // base-files ships these links; the busybox image names them itself.
        if !rootfs.contains(dir) {
            rootfs.add_symlink(dir, &format!("usr/{dir}"));
        }
    }
    for (path, mode) in [
        ("dev", 0o755),
        ("etc", 0o755),
        ("home", 0o755),
        ("proc", 0o555),
        ("root", 0o700),
        ("run", 0o755),
        ("sys", 0o555),
        ("tmp", 0o1777),
        ("usr", 0o755),
        ("usr/bin", 0o755),
        ("usr/sbin", 0o755),
        ("usr/lib", 0o755),
        ("usr/local", 0o755),
        ("usr/local/bin", 0o755),
        ("usr/local/lib", 0o755),
        ("var", 0o755),
        ("var/tmp", 0o1777),
    ] {
        rootfs.add_directory(path, mode);
    }
    for (link, target) in recipe.links {
        rootfs.add_symlink(link, target);
    }
    for (path, mode, text) in recipe.files {
        rootfs.add_file(path, *mode, text.as_bytes())?;
    }
    accounts(rootfs)?;
    certificates(rootfs)?;
    dpkg_status(rootfs, controls)?;
    if recipe.applets {
        applets(rootfs)?;
    }
    Ok(())
}

/// base-passwd's postinst: /etc/passwd and /etc/group from its master files; shadow files that lock every account.
fn accounts(rootfs: &mut Rootfs) -> Result<()> {
    const SHADOW: u32 = 42;
    let Some(passwd) = rootfs.read("usr/share/base-passwd/passwd.master")? else { return Ok(()) };
    let group = rootfs.read("usr/share/base-passwd/group.master")?.context("base-passwd has no group.master")?;
    // The master's root has no password field of its own: an account that nobody can log into.
    let passwd = String::from_utf8(passwd)?.replacen("root:*:", "root:x:", 1).replace(":*:", ":x:");
    let group = String::from_utf8(group)?.replace(":*:", ":x:");
    let shadow = |text: &str, tail: &str| {
        text.lines().filter_map(|l| l.split(':').next()).map(|name| format!("{name}:*:{tail}\n")).collect::<String>()
    };
    rootfs.add_file("etc/shadow", 0o640, shadow(&passwd, "20000:0:99999:7:::").as_bytes())?;
    rootfs.add_file("etc/gshadow", 0o640, shadow(&group, ":").as_bytes())?;
    rootfs.own("etc/shadow", 0o640, SHADOW);
    rootfs.own("etc/gshadow", 0o640, SHADOW);
    rootfs.add_file("etc/passwd", 0o644, passwd.as_bytes())?;
    rootfs.add_file("etc/group", 0o644, group.as_bytes())
}

/// ca-certificates' postinst: one file with every certificate.
fn certificates(rootfs: &mut Rootfs) -> Result<()> {
    let paths: Vec<String> = rootfs.below("usr/share/ca-certificates").map(str::to_owned).collect();
    let mut bundle = Vec::new();
    for path in paths.iter().filter(|path| path.ends_with(".crt")) {
        bundle.extend(rootfs.read(path)?.unwrap_or_default());
    }
    if bundle.is_empty() {
        return Ok(());
    }
    rootfs.add_directory("etc/ssl/certs", 0o755);
    rootfs.add_file("etc/ssl/certs/ca-certificates.crt", 0o644, &bundle)
}

/// dpkg's own database: every package unpacked, none configured, which is the truth.
fn dpkg_status(rootfs: &mut Rootfs, controls: &[String]) -> Result<()> {
    if !rootfs.contains("usr/bin/dpkg") {
        return Ok(());
    }
    let mut status = String::new();
    for control in controls {
        let (first, rest) = control.trim_end().split_once('\n').unwrap_or((control, ""));
        status.push_str(&format!("{first}\nStatus: install ok unpacked\n{rest}\n\n"));
    }
    rootfs.add_file("var/lib/dpkg/status", 0o644, status.as_bytes())
}

/// busybox's own `--install`: a symlink per applet. The list is in the program itself, as NUL-separated names in
/// alphabetical order.
fn applets(rootfs: &mut Rootfs) -> Result<()> {
    let program = ["usr/bin/busybox", "bin/busybox"].into_iter().find(|path| rootfs.contains(path));
    let program = program.context("the package has no busybox program")?;
    let bytes = rootfs.read(program)?.context("busybox is no regular file")?;
    let start = find(&bytes, b"[\0[[\0a").context("busybox holds no list of applets")?;
    let names = bytes[start..].split(|byte| *byte == 0).take_while(|name| !name.is_empty());
    for name in names.map(String::from_utf8_lossy).filter(|name| name != "busybox") {
        let path = format!("usr/bin/{name}");
        if !rootfs.contains(&path) {
            rootfs.add_symlink(&path, "busybox");
        }
    }
    Ok(())
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}
