//! The catalog: base images made from Debian packages. `recipe` lists them, `apt` fetches, `deb` unpacks, `rootfs`
//! collects, `dpkg` writes the package database; `substitute` says which of them can stand in for which other image.
//!
//! Files are put together here, on the host. Maintainer scripts then run in a sandbox: [`LaidOut::script`] is for it.
#![forbid(unsafe_code)]

mod apt;
mod deb;
mod dpkg;
mod md5;
pub mod recipe;
mod rootfs;
pub mod substitute;

use std::path::Path;

use anyhow::{Context, Result};
use shallop_layer::merge::Merged;

pub use apt::{Apt, debian_mirror};
pub use recipe::{Interface, RECIPES, Recipe, lookup};
pub use rootfs::Rootfs;
pub use substitute::{Substitute, find as substitute};

/// An image's files, before the packages' scripts ran.
pub struct LaidOut {
    pub rootfs: Rootfs,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Shell commands that configure the packages and do the recipe's steps, to be run as root in the image. A line of
    /// output that begins with [`PHASE`] says what comes next. Empty where there is nothing to do.
    pub script: String,
}

/// What is asked of a recipe.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    pub recipe: &'a Recipe,
    /// Debian's name of the architecture.
    pub arch: &'static str,
    /// Keeps downloads.
    pub cache: &'a Path,
    /// The image is to hold the source that its packages came from, for its own apt.
    pub apt_sources: bool,
}

/// Begins lines in which the script says what it does next.
pub const PHASE: &str = "==> ";

/// Debian's name of a processor architecture, as an image's platform names it; `None` where no packages are laid out.
pub fn debian_arch(architecture: &str) -> Option<&'static str> {
    ["riscv64", "amd64", "arm64"].into_iter().find(|arch| *arch == architecture)
}

/// Fetches a recipe's packages and puts its files together, over the layers of its base; `progress` is told of each phase.
///
/// # Errors
/// When apt fails, a package is damaged, or the disk is full.
pub fn lay_out(order: Order<'_>, base: Option<Merged>, progress: &mut dyn FnMut(&str)) -> Result<LaidOut> {
    let recipe = order.recipe;
    let mut rootfs = Rootfs::new(base)?;
    let mut text = |path: &str| -> Result<String> {
        let bytes = rootfs.read(path).with_context(|| format!("reading /{path} of the base image"))?;
        Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
    };
    let (status, interests) = (text("var/lib/dpkg/status")?, text("var/lib/dpkg/triggers/File")?);
    progress("reading the package lists");
    let apt = Apt::prepare(&order.cache.join("apt").join(order.arch), order.arch)?;
    progress("fetching packages");
    let files = apt.download(recipe.packages, &status)?;
    let mut packages = Vec::new();
    for (i, file) in files.iter().enumerate() {
        progress(&format!("unpacking {}/{}", i + 1, files.len()));
        let package = unpack(file, &mut rootfs, recipe.leave_out);
        packages.push(package.with_context(|| format!("unpacking {}", file.display()))?);
    }
    add_own(order, &mut rootfs)?;
    if order.apt_sources {
        rootfs.add_file(apt::SOURCES, 0o644, apt::sources()?.as_bytes())?;
    }
    // An applet of busybox is a dpkg by name alone.
    let configurable = !status.is_empty() || packages.iter().any(|package| package.name() == "dpkg");
    let mut script = String::new();
    if configurable {
        dpkg::record(&mut rootfs, &packages, &status)?;
        script = dpkg::script(&packages, &interests);
    }
    for (command, meaning) in recipe.steps {
        script.push_str(&format!("echo '{PHASE}{meaning}'\n{command}\n"));
    }
    Ok(LaidOut { rootfs, env: environment(&recipe.interface, &packages), script })
}

fn unpack(file: &Path, rootfs: &mut Rootfs, leave_out: &[&str]) -> Result<dpkg::Package> {
    let deb = deb::Deb::open(file)?;
    let paths = rootfs.unpack(&mut deb.data()?, leave_out)?;
    dpkg::Package::new(deb.control_files()?, paths)
}

/// What the recipe has beside the packages.
fn add_own(order: Order<'_>, rootfs: &mut Rootfs) -> Result<()> {
    let recipe = order.recipe;
    for (path, mode) in recipe.directories {
        rootfs.add_directory(path, *mode)?;
    }
    for (link, target) in recipe.links {
        rootfs.add_symlink(link, &target.replace("{arch}", order.arch))?;
    }
    for (path, mode, text) in recipe.files {
        rootfs.add_file(path, *mode, text.as_bytes())?;
    }
    if recipe.applets { applets(rootfs) } else { Ok(()) }
}

fn environment(interface: &Interface, packages: &[dpkg::Package]) -> Vec<String> {
    let mut env: Vec<String> = interface.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if let Some(version) = &interface.version
        && let Some(package) = packages.iter().find(|package| package.name() == version.package)
    {
        env.push(format!("{}={}{}", version.variable, version.prefix, upstream(package.version())));
    }
    env
}

/// The upstream part of a Debian version: `5:8.0.2-3+deb13u3` → `8.0.2`, `20.19.2+dfsg-1` → `20.19.2`.
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let version = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
    // What Debian took out of the source is no part of the version.
    let end = ["+dfsg", "+ds", "~dfsg", "~ds"].iter().filter_map(|mark| version.find(mark)).min();
    &version[..end.unwrap_or(version.len())]
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
            rootfs.add_symlink(&path, "busybox")?;
        }
    }
    Ok(())
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use super::upstream;

    #[test]
    fn upstream_versions() {
        assert_eq!(upstream("3.13.5-2"), "3.13.5");
        assert_eq!(upstream("5:8.0.2-3+deb13u3"), "8.0.2");
        assert_eq!(upstream("20.19.2+dfsg-1+deb13u3"), "20.19.2");
        assert_eq!(upstream("21.0.13+9-1~deb13u2"), "21.0.13+9");
        assert_eq!(upstream("2.0"), "2.0");
    }
}
