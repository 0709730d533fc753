//! Packages by the machine's own apt, for another architecture: a private state directory, the machine's mirrors and keys.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// The Debian release that every recipe is made for.
pub const SUITE: &str = "trixie";

/// A private apt: nothing of the machine's own package state is read or changed.
#[derive(Debug)]
pub struct Apt {
    dir: PathBuf,
    arch: &'static str,
}

impl Apt {
    /// Whether this machine has an apt with Debian sources.
    pub fn available() -> bool {
        Command::new("apt-get").arg("--version").output().is_ok_and(|o| o.status.success()) && source().is_ok()
    }

    /// Prepares the private state in `dir` and fetches the package lists when they are older than a day.
    pub fn prepare(dir: &Path, arch: &'static str) -> Result<Apt> {
        let apt = Apt { dir: dir.to_owned(), arch };
        for sub in ["state/lists/partial", "cache/archives/partial", "none/partial"] {
            fs::create_dir_all(dir.join(sub)).with_context(|| format!("creating {}/{sub}", dir.display()))?;
        }
        let (uri, key) = source()?;
        let signed = key.map(|key| format!(" signed-by={key}")).unwrap_or_default();
        let list = format!("deb [arch={arch}{signed}] {uri} {SUITE} main\n");
        let path = dir.join("sources.list");
        let changed = fs::read_to_string(&path).ok().as_deref() != Some(&list);
        fs::write(&path, list).with_context(|| format!("writing {}", path.display()))?;
        if changed || !is_fresh(&dir.join("updated")) {
            apt.run(&["update", "-qq"])?;
            fs::write(dir.join("updated"), "").context("writing the time of the update")?;
        }
        Ok(apt)
    }

    /// Downloads `packages` and what they depend on, but for what `status` (dpkg's file) has; the files, in apt's order.
    /// Signatures and digests are apt's to check.
    pub fn download(&self, packages: &[&str], status: &str) -> Result<Vec<PathBuf>> {
        let mut there = tempfile::NamedTempFile::new().context("making a temporary file")?;
        // Packages of an image for another processor are unpacked only, and as good.
        let status = status.replace("\nStatus: install ok unpacked\n", "\nStatus: install ok installed\n");
        there.write_all(status.as_bytes()).context("writing a temporary file (is the disk full?)")?;
        let status = format!("Dir::State::status={}", there.path().display());
        // Apt leaves out of the list what is in its archive folder: it is asked with an empty one.
        let nothing = format!("Dir::Cache::archives={}", self.dir.join("none").display());
        let ask = ["install", "-o", &status, "-o", &nothing, "--print-uris", "-y", "-qq"];
        let uris = self.run(&[&ask, packages].concat())?;
        let mut files = Vec::new();
        for line in uris.lines().filter(|line| line.starts_with('\'')) {
            // 'URI' name size digest
            let name = line.split_whitespace().nth(1).context("apt printed a line without a file name")?;
            ensure!(!name.contains('/'), "apt named a file outside its folder: {name}");
            files.push(self.dir.join("cache/archives").join(name));
        }
        if files.iter().any(|file| !file.exists()) {
            self.run(&[&["install", "-o", &status, "--download-only", "-y", "-qq"], packages].concat())?;
        }
        match files.iter().find(|file| !file.exists()) {
            Some(missing) => bail!("apt downloaded no {}", missing.display()),
            None => Ok(files),
        }
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("apt-get");
        for (option, value) in self.options() {
            command.arg("-o").arg(format!("{option}={value}"));
        }
        let output = command.args(arguments).env("LC_ALL", "C.UTF-8").output().context("starting apt-get")?;
        if !output.status.success() {
            let report = String::from_utf8_lossy(&output.stderr);
            bail!("apt-get {} failed:\n{}", arguments.join(" "), report.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn options(&self) -> Vec<(&'static str, String)> {
        let path = |sub: &str| self.dir.join(sub).display().to_string();
        vec![
            ("Dir::State", path("state")),
            // The machine's own packages are none of the image's.
            ("Dir::State::status", "/dev/null".into()),
            ("Dir::Cache", path("cache")),
            ("Dir::Etc::sourcelist", path("sources.list")),
            ("Dir::Etc::sourceparts", "/dev/null".into()),
            ("APT::Architecture", self.arch.into()),
            ("APT::Architectures", self.arch.into()),
            ("APT::Install-Recommends", "false".into()),
            ("APT::Sandbox::User", String::new()),
            ("Acquire::Languages", "none".into()),
            ("Debug::NoLocking", "true".into()),
            // Only the index of packages is of use.
            ("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", "false".into()),
        ]
    }
}

/// Where an image holds the source that its packages came from.
pub const SOURCES: &str = "etc/apt/sources.list.d/debian.sources";

/// The machine's source, as the image's own apt reads it (sources.list(5), deb822 style).
pub fn sources() -> Result<String> {
    let (uri, _) = source()?;
    let key = "/usr/share/keyrings/debian-archive-keyring.gpg";
    Ok(format!("Types: deb\nURIs: {uri}\nSuites: {SUITE}\nComponents: main\nSigned-By: {key}\n"))
}

fn is_fresh(path: &Path) -> bool {
    let age = fs::metadata(path).and_then(|meta| meta.modified()).map(|time| time.elapsed().unwrap_or_default());
    age.is_ok_and(|age| age.as_secs() < 24 * 3600)
}

/// The machine's first Debian source: its URI and its keyring.
fn source() -> Result<(String, Option<String>)> {
    let mut texts = Vec::new();
    let lists = Path::new("/etc/apt/sources.list.d");
    let mut paths: Vec<PathBuf> = fs::read_dir(lists).into_iter().flatten().flatten().map(|e| e.path()).collect();
    paths.sort();
    paths.insert(0, "/etc/apt/sources.list".into());
    for path in paths {
        if let Ok(text) = fs::read_to_string(&path) {
            texts.push(text);
        }
    }
    texts
        .iter()
        .find_map(|text| deb822(text).or_else(|| one_line(text)))
        .context("this machine's apt has no Debian source; catalog images are made from Debian packages")
}

/// A source in deb822 form whose URI is a Debian archive.
fn deb822(text: &str) -> Option<(String, Option<String>)> {
    text.split("\n\n").find_map(|stanza| {
        let uri = crate::deb::field(stanza, "URIs")?.split_whitespace().next()?;
        is_debian(uri).then(|| (uri.to_owned(), crate::deb::field(stanza, "Signed-By").map(str::to_owned)))
    })
}

/// A `deb [options] URI suite components` line.
fn one_line(text: &str) -> Option<(String, Option<String>)> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => ("", rest),
        };
        let uri = rest.split_whitespace().next()?;
        let key = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
        is_debian(uri).then(|| (uri.to_owned(), key.map(str::to_owned)))
    })
}

/// The address that this machine's apt fetches Debian's packages from.
pub fn debian_mirror() -> Option<String> {
    source().ok().map(|(uri, _)| uri)
}

fn is_debian(uri: &str) -> bool {
    uri.trim_end_matches('/').ends_with("/debian")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_source_are_read() {
        let text = "Types: deb\n# a comment\nURIs: http://mirror.example/debian\nSuites: x\nSigned-By: /k.gpg\n";
        assert_eq!(deb822(text), Some(("http://mirror.example/debian".into(), Some("/k.gpg".into()))));
        let line = "# c\ndeb [arch=amd64 signed-by=/k] https://mirror.example/debian/ stable main\n";
        assert_eq!(one_line(line), Some(("https://mirror.example/debian/".into(), Some("/k".into()))));
        assert_eq!(one_line("deb https://other.example/node_20.x nodistro main"), None);
    }
}
