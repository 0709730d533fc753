//! The recipes: which packages make an image, what is laid over them, how its process starts. A file per image.

mod busybox;
mod debian;
mod nginx;
mod node;
mod openjdk;
mod python;
mod redis;

/// One image of the catalog.
#[derive(Debug, Default)]
pub struct Recipe {
    /// Short name: the last part of `catalog.internal/<name>`.
    pub name: &'static str,
    pub summary: &'static str,
    /// The recipe whose image this one is laid over.
    pub base: Option<&'static str>,
    /// What `apt-get install` is asked for; dependencies follow. Apt's pattern `~E` is every essential package.
    pub packages: &'static [&'static str],
    /// Paths that are left out, with everything below them, as Docker's slim images do; licences stay.
    pub leave_out: &'static [&'static str],
    /// Directories that no package brings (path, mode).
    pub directories: &'static [(&'static str, u32)],
    /// Symlinks (path, target). `{arch}` in a target is Debian's name of the architecture.
    pub links: &'static [(&'static str, &'static str)],
    /// Files (path, mode, text).
    pub files: &'static [(&'static str, u32, &'static str)],
    /// Shell commands run as root in a sandbox over the configured packages, each with what it does.
    pub steps: &'static [(&'static str, &'static str)],
    /// A directory entry per applet of busybox.
    pub applets: bool,
    pub interface: Interface,
}

/// What a container starts from, as the official image of that name has it.
#[derive(Debug, Default)]
pub struct Interface {
    pub entrypoint: &'static [&'static str],
    pub command: &'static [&'static str],
    pub env: &'static [(&'static str, &'static str)],
    /// A variable with the upstream version of a package.
    pub version: Option<Version>,
    pub workdir: &'static str,
    /// `80/tcp`.
    pub ports: &'static [&'static str],
    pub volumes: &'static [&'static str],
    pub stop_signal: Option<&'static str>,
}

/// An environment variable that tells a package's upstream version, after `prefix`.
#[derive(Debug)]
pub struct Version {
    pub variable: &'static str,
    pub package: &'static str,
    pub prefix: &'static str,
}

/// Every recipe.
pub const RECIPES: &[Recipe] =
    &[debian::DEBIAN, python::PYTHON, busybox::BUSYBOX, node::NODE, openjdk::OPENJDK, nginx::NGINX, redis::REDIS];

/// The recipe called `name`.
pub fn lookup(name: &str) -> Option<&'static Recipe> {
    RECIPES.iter().find(|recipe| recipe.name == name)
}

const PATH: (&str, &str) = ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");

const SLIM: &[&str] =
    &["usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/linda"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_comes_before_what_lies_over_it() {
        for (at, recipe) in RECIPES.iter().enumerate() {
            let base = recipe.base.map(|base| RECIPES.iter().position(|other| other.name == base));
            assert!(base.is_none_or(|place| place.is_some_and(|place| place < at)), "{}", recipe.name);
        }
    }
}
