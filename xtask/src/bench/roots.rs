//! Roots to run programs in that are not shallop's: an image [`unpack`]ed, Debian for this machine; with mirrors lent ([`Root`]).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use shallop_config::Dirs;

use super::contenders::{utf8, words};
use super::measure::Job;
use crate::shallop::{installed, output, root, run as call};

/// Mounts `/proc` for itself and its children alone, and runs the rest of its words in the root.
const ENTER: &str = r#"mount -t proc proc "$0/proc"; exec chroot "$0" env -i "$@""#;

/// Does that in a copy of the root.
const ENTER_COPY: &str = r#"copy=$(mktemp -d); trap 'umount "$copy/proc"; rm -rf "$copy"' EXIT; cp -a "$0/." "$copy"
mount -t proc proc "$copy/proc"; chroot "$copy" env -i "$@""#;

/// What `--host-mirrors` lends, which no layer has.
pub struct Lent {
    /// `NAME=value`
    env: Vec<String>,
    /// A tar file.
    files: PathBuf,
    /// A line of `sources.list`.
    pub source: String,
}

impl Lent {
    pub fn of(shallop: &Path, image: &str) -> Result<Lent> {
        const FILES: &str = "dev/shm/.shallop";
        let say = |command: &[&str]| {
            output(Command::new(shallop).args(["run", "--rm", "--host-mirrors", image]).args(command))
        };
        let files = root().join("target/bench/lent.tar");
        let tar = Command::new(shallop)
            .args(["run", "--rm", "--host-mirrors", image, "tar", "-C", "/", "-c", FILES])
            .stdout(fs::File::create(&files)?)
            .status()?;
        ensure!(tar.success(), "packing what is lent ended with {tar}");
        let sources = say(&["cat", &format!("/{FILES}/sources.list")])?;
        let source = sources.lines().find(|line| line.starts_with("deb ")).context("no archive is lent")?.to_owned();
        Ok(Lent { env: say(&["env"])?.lines().map(str::to_owned).collect(), files, source })
    }

    /// The suite that the archive's line names.
    pub fn suite(&self) -> Result<&str> {
        self.source.split_whitespace().nth(2).with_context(|| format!("no suite in {:?}", self.source))
    }
}

/// A root, for who may change into one.
pub struct Root {
    path: String,
    env: Vec<String>,
}

impl Root {
    /// Makes ready what is in this folder.
    pub fn prepare(path: &Path, lent: &Lent) -> Result<Root> {
        for (device, minor) in [("null", "3"), ("urandom", "9")] {
            let file = path.join("dev").join(device);
            if !file.exists() {
                call(Command::new("mknod").args(["-m", "666"]).arg(file).args(["c", "1", minor]))?;
            }
        }
        for file in ["etc/hosts", "etc/resolv.conf"] {
            fs::copy(Path::new("/").join(file), path.join(file)).with_context(|| format!("copying /{file}"))?;
        }
        call(Command::new("tar").arg("-xf").arg(&lent.files).arg("-C").arg(path))?;
        Ok(Root { path: utf8(path)?, env: lent.env.clone() })
    }

    /// A script in it.
    pub fn script(&self, script: &str) -> Job {
        self.enter(ENTER, script)
    }

    /// A script in a copy of it, which goes again.
    pub fn script_in_copy(&self, script: &str) -> Job {
        self.enter(ENTER_COPY, script)
    }

    fn enter(&self, how: &str, script: &str) -> Job {
        let enter = words(&["unshare", "--mount", "sh", "-ec", how, &self.path]);
        Job::wall([enter, self.env.clone(), words(&["sh", "-ec", script])].concat())
    }
}

/// Whether this is root, who may change roots and make devices.
pub fn are_allowed() -> Result<bool> {
    Ok(output(Command::new("id").arg("-u"))?.trim() == "0" && installed("unshare"))
}

/// Debian for this machine, where mmdebstrap is installed.
pub fn native(lent: &Lent) -> Result<Option<Root>> {
    if !installed("mmdebstrap") {
        println!("(mmdebstrap is not installed: no Debian of this machine, or of qemu-user, beside the catalog's)");
        return Ok(None);
    }
    let path = root().join("target/bench/native-root");
    if !path.join("etc/debian_version").exists() {
        call(Command::new("mmdebstrap").args(["-q", "--variant=apt", lent.suite()?]).arg(&path).arg(&lent.source))?;
        // As images of Debian have it.
        fs::write(path.join("etc/dpkg/dpkg.cfg.d/docker"), "force-unsafe-io\n")?;
    }
    Root::prepare(&path, lent).map(Some)
}

/// Unpacks an image's layers to a folder of this name, without owners and devices; only when it is another image than last time.
pub fn unpack(shallop: &Path, image: &str, name: &str) -> Result<PathBuf> {
    let dir = root().join("target/bench").join(name);
    let mark = dir.with_file_name(format!("{name}.layers"));
    let inspected = output(Command::new(shallop).args(["image", "inspect", image]))?;
    let (_, layers) = inspected.split_once("\"Layers\"").context("the image has no layers")?;
    let layers: Vec<_> = layers.split('"').filter_map(|word| word.strip_prefix("sha256:")).collect();
    if fs::read_to_string(&mark).is_ok_and(|text| text == layers.join("\n")) {
        return Ok(dir);
    }
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir)?;
    for layer in &layers {
        let tar = Dirs::from_env()?.layers().join(layer).join("tar");
        let mut command = Command::new("tar");
        command.args(["--no-same-owner", "--exclude=dev/*", "-xf"]).arg(&tar).arg("-C").arg(&dir);
        call(&mut command)?;
    }
    ensure!(dir.join("usr").is_dir(), "{} was not unpacked", dir.display());
    fs::write(mark, layers.join("\n"))?;
    Ok(dir)
}
