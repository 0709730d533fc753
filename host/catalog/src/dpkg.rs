//! dpkg's database of packages that were laid out without it, and the script that has dpkg configure them.
//!
//! After this the image is where `dpkg --unpack` would have left it (deb-*(5), dpkg's `doc/triggers.txt`): each package is
//! `unpacked`, its control files and list of paths are in `info/`, interests in triggers are noted. Only preinst scripts did
//! not run; the script runs them first.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

use crate::deb::field;
use crate::rootfs::Rootfs;

const ADMIN: &str = "var/lib/dpkg";

/// What dpkg records of one package.
#[derive(Debug)]
pub struct Package {
    name: String,
    version: String,
    architecture: String,
    /// The stem of its files in `info/`: `libc6:riscv64` where several architectures can be installed, `dash`.
    stem: String,
    control: String,
    /// All other control files.
    files: BTreeMap<String, Vec<u8>>,
    /// Every path of the package.
    paths: Vec<String>,
}

impl Package {
    /// From a package's control files and the paths of its data.
    pub fn new(mut files: BTreeMap<String, Vec<u8>>, paths: Vec<String>) -> Result<Package> {
        let control = String::from_utf8(files.remove("control").unwrap_or_default()).context("a control file")?;
        let value = |name: &str| {
            let value = field(&control, name).with_context(|| format!("a control file without {name}"))?;
            ensure!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.:~".contains(&b)), "{name}: {value:?}");
            Ok(value.to_owned())
        };
        let (name, version, architecture) = (value("Package")?, value("Version")?, value("Architecture")?);
        let stem = match field(&control, "Multi-Arch") {
            Some("same") => format!("{name}:{architecture}"),
            _ => name.clone(),
        };
        Ok(Package { name, version, architecture, stem, control: control.trim_end().to_owned(), files, paths })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn version(&self) -> &str {
        &self.version
    }

    fn text(&self, file: &str) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.files.get(file).map(Vec::as_slice).unwrap_or_default())
    }

    /// Its stanza in the status file.
    fn status(&self, rootfs: &mut Rootfs) -> Result<String> {
        let (first, rest) = self.control.split_once('\n').unwrap_or((&self.control, ""));
        let mut conffiles = String::new();
        // A line may begin with a flag (deb-conffiles(5)): `remove-on-upgrade /etc/x`, of a file that is not there.
        for path in self.text("conffiles").lines().map(str::trim).filter(|line| line.starts_with('/')) {
            if let Some(bytes) = rootfs.read(&path[1..])? {
                conffiles.push_str(&format!(" {path} {}\n", crate::md5::hex(&bytes)));
            }
        }
        if !conffiles.is_empty() {
            conffiles.insert_str(0, "Conffiles:\n");
        }
        Ok(format!("{first}\nStatus: install ok unpacked\n{conffiles}{rest}\n\n"))
    }

    /// Its interests in triggers: name or path, and whether who activates it waits.
    fn interests(&self) -> Vec<(String, bool)> {
        let text = self.text("triggers").into_owned();
        let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        words
            .filter_map(|words| match words[..] {
                ["interest" | "interest-await", name] => Some((name.to_owned(), true)),
                ["interest-noawait", name] => Some((name.to_owned(), false)),
                _ => None,
            })
            .collect()
    }
}

/// Adds `packages` to the image's database; `status` is the status file of what is configured below them.
pub fn record(rootfs: &mut Rootfs, packages: &[Package], status: &str) -> Result<()> {
    let mut status = status.to_owned();
    for package in packages {
        status.push_str(&package.status(rootfs)?);
        let info = format!("{ADMIN}/info/{}", package.stem);
        let list = package.paths.iter().map(|path| format!("/{path}\n")).collect::<String>();
        rootfs.add_file(&format!("{info}.list"), 0o644, format!("/.\n{list}").as_bytes())?;
        for (name, bytes) in &package.files {
            let mode = if SCRIPTS.contains(&name.as_str()) { 0o755 } else { 0o644 };
            rootfs.add_file(&format!("{info}.{name}"), mode, bytes)?;
        }
    }
    rootfs.add_file(&format!("{ADMIN}/info/format"), 0o644, b"1\n")?;
    rootfs.add_file(&format!("{ADMIN}/status"), 0o644, status.as_bytes())?;
    for (file, lines) in triggers(packages) {
        let path = format!("{ADMIN}/triggers/{file}");
        let mut text = rootfs.read(&path)?.unwrap_or_default();
        text.extend(lines.as_bytes());
        rootfs.add_file(&path, 0o644, &text)?;
    }
    Ok(())
}

const SCRIPTS: &[&str] = &["config", "postinst", "postrm", "preinst", "prerm"];

/// The files of `triggers/`: `File` for paths, one of its own for each other trigger.
fn triggers(packages: &[Package]) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for package in packages {
        for (name, waits) in package.interests() {
            let flag = if waits { "" } else { "/noawait" };
            let stem = &package.stem;
            match name.starts_with('/') {
                true => files.entry("File".into()).or_default().push_str(&format!("{name} {stem}{flag}\n")),
                false if name.contains('/') => {}
                false => files.entry(name).or_default().push_str(&format!("{stem}{flag}\n")),
            }
        }
    }
    files
}

/// Triggers on paths, of packages below, that these packages' files activate.
fn activated(interests: &str, packages: &[Package]) -> BTreeSet<String> {
    let paths = interests.lines().filter_map(|line| line.split(' ').next()?.strip_prefix('/'));
    let touched = |dir: &&str| {
        let below =
            |path: &String| path.strip_prefix(*dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        packages.iter().any(|package| package.paths.iter().any(below))
    };
    paths.filter(touched).map(|path| format!("/{path}")).collect()
}

/// The shell script that runs the packages' preinst scripts and has dpkg configure them; to be run as root in the image.
/// `interests` is the triggers file of the image below.
pub fn script(packages: &[Package], interests: &str) -> String {
    let mut script =
        String::from("export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true LC_ALL=C.UTF-8\n");
    let first = packages.iter().find(|package| package.name == "base-passwd");
    // Other scripts name users.
    let ordered = first.into_iter().chain(packages.iter().filter(|package| package.name != "base-passwd"));
    for package in ordered.filter(|package| package.files.contains_key("preinst")) {
        let Package { name, architecture, stem, .. } = package;
        script.push_str(&format!(
            "DPKG_MAINTSCRIPT_PACKAGE={name} DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 DPKG_MAINTSCRIPT_ARCH={architecture} \
             DPKG_MAINTSCRIPT_NAME=preinst DPKG_ADMINDIR=/{ADMIN} DPKG_ROOT= /{ADMIN}/info/{stem}.preinst install\n"
        ));
    }
    for path in activated(interests, packages) {
        script.push_str(&format!("dpkg-trigger --no-await --by-package=dpkg {path}\n"));
    }
    script.push_str("dpkg --force-unsafe-io --configure -a\n");
    // What only this run needed; caches with times in them.
    script.push_str(&format!("rm -f /{ADMIN}/*-old /var/cache/debconf/*-old /var/cache/ldconfig/aux-cache\n"));
    script.push_str(
        "rm -f /var/log/dpkg.log /var/log/alternatives.log /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow-\n",
    );
    script
}
