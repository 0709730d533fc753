//! Debian packages beyond the catalog's, for images of tests: riscv64 binaries and upstream sources, by the machine's apt.
//!
//! The mirror and its keys are those that `shallop catalog build` found; nothing of the machine's own package state is
//! read or changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Shallop;
use crate::command;

const FETCH_LIMIT: Duration = Duration::from_secs(900);

/// What could not be done, for people.
type Result<T> = std::result::Result<T, String>;

/// Apt with state of its own.
struct Apt {
    /// Where it keeps lists and archives.
    dir: PathBuf,
    sources: PathBuf,
}

impl Apt {
    /// Runs `apt-get` in a folder; `options` are its `-o`.
    fn run(&self, folder: &Path, options: &[String], arguments: &[&str]) -> Result<()> {
        let path = |name: &str| self.dir.join(name).display().to_string();
        let mut apt = Command::new("apt-get");
        let own = [
            format!("Dir::State={}", path("state")),
            format!("Dir::Cache={}", path("cache")),
            format!("Dir::Etc::sourcelist={}", self.sources.display()),
            "Dir::State::status=/dev/null".into(),
            "Dir::Etc::sourceparts=/dev/null".into(),
            "APT::Architecture=riscv64".into(),
            "APT::Architectures=riscv64".into(),
            "APT::Install-Recommends=false".into(),
            "APT::Sandbox::User=".into(),
            "Acquire::Languages=none".into(),
            "Debug::NoLocking=true".into(),
        ];
        for option in own.iter().chain(options) {
            apt.arg("-o").arg(option);
        }
        apt.args(arguments).current_dir(folder);
        let done = command::run(&mut apt, b"", FETCH_LIMIT);
        if done.code == 0 { Ok(()) } else { Err(format!("apt-get {}: {}", arguments.join(" "), done.stderr.trim())) }
    }
}

fn io<T>(path: &Path, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|error| format!("{}: {error}", path.display()))
}

fn new_folder(path: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(path);
    io(path, fs::create_dir_all(path))
}

fn with_ending(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let entries = io(folder, fs::read_dir(folder))?.flatten().map(|entry| entry.path());
    let mut found: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    found.sort();
    Ok(found)
}

fn call(command: &mut Command) -> Result<()> {
    let done = command::run(command, b"", FETCH_LIMIT);
    if done.code == 0 { Ok(()) } else { Err(format!("{command:?}: {}", done.stderr.trim())) }
}

/// Unpacks packages and what they depend on below `root`, but for those that `status` (an image's dpkg database) has.
/// `cache` is the cache folder of a home in which a catalog image was built.
pub fn unpack(cache: &Path, status: &str, packages: &[&str], root: &Path) -> Result<()> {
    let dir = cache.join("catalog/apt/riscv64");
    let apt = Apt { sources: dir.join("sources.list"), dir };
    let parent = root.parent().unwrap_or(Path::new("."));
    let (debs, there) = (parent.join("debs"), parent.join("status"));
    new_folder(&debs.join("partial"))?;
    // What is only unpacked is as good.
    let status = status.replace("\nStatus: install ok unpacked\n", "\nStatus: install ok installed\n");
    io(&there, fs::write(&there, status))?;
    let options =
        [format!("Dir::State::status={}", there.display()), format!("Dir::Cache::archives={}", debs.display())];
    apt.run(parent, &options, &[&["install", "--download-only", "-y", "-qq"], packages].concat())?;
    new_folder(root)?;
    for deb in with_ending(&debs, ".deb")? {
        call(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(root))?;
    }
    Ok(())
}

impl Shallop {
    /// Makes the image `name`: `catalog.internal/<base>` with Debian packages unpacked over it, then `files` (a path here,
    /// a path of the image) copied, each whole.
    pub fn image_with(&self, name: &str, base: &str, packages: &[&str], files: &[(&Path, &str)]) -> Result<()> {
        let context = self.home().join("test-images").join(name.replace('/', "-"));
        let (mark, root) = (context.join("packages"), context.join("root"));
        let wanted = packages.join(" ");
        if !fs::read_to_string(&mark).is_ok_and(|there| there == wanted) {
            new_folder(&context)?;
            let status = ["run", "--rm", &format!("catalog.internal/{base}"), "cat", "/var/lib/dpkg/status"];
            let status = self.run(&status).stdout;
            unpack(&self.home().join("cache"), &status, packages, &root)?;
            new_folder(&context.join("debs"))?;
            io(&mark, fs::write(&mark, &wanted))?;
        }
        let mut dockerfile = format!("FROM catalog.internal/{base}\nCOPY root/ /\n");
        for (index, (from, to)) in files.iter().enumerate() {
            let place = context.join(format!("file{index}"));
            let _ = fs::remove_dir_all(&place);
            call(Command::new("cp").arg("-rT").arg(from).arg(&place))?;
            dockerfile.push_str(&format!("COPY file{index} {to}\n"));
        }
        io(&context, fs::write(context.join("Dockerfile"), dockerfile))?;
        let built = self.run(&["build", "-q", "-t", name, &context.to_string_lossy()]);
        if built.code == 0 { Ok(()) } else { Err(built.outputs()) }
    }

    /// The unpacked upstream source of a Debian source package.
    pub fn source(&self, package: &str) -> Result<PathBuf> {
        let dir = self.home().join("test-sources");
        let folder = dir.join(package);
        let mark = folder.join("unpacked");
        if mark.exists() {
            return Ok(folder.join("source"));
        }
        new_folder(&folder.join("source"))?;
        let binary = self.home().join("cache/catalog/apt/riscv64/sources.list");
        let list = io(&binary, fs::read_to_string(&binary))?.replacen("deb ", "deb-src ", 1);
        let sources = dir.join("sources.list");
        for sub in ["state/lists/partial", "cache/archives/partial"] {
            io(&dir, fs::create_dir_all(dir.join(sub)))?;
        }
        io(&sources, fs::write(&sources, list))?;
        let apt = Apt { dir, sources };
        apt.run(&folder, &[], &["update", "-qq"])?;
        // Debian's own changes are not wanted, so that it is no matter when their files are missing.
        let fetched = apt.run(&folder, &[], &["source", "--download-only", "-qq", package]);
        let archives: Vec<_> = ["gz", "bz2", "xz"]
            .iter()
            .flat_map(|kind| with_ending(&folder, &format!(".orig.tar.{kind}")).unwrap_or_default())
            .collect();
        let Some(archive) = archives.first() else { return Err(fetched.err().unwrap_or("no source".into())) };
        let mut tar = Command::new("tar");
        call(
            tar.args(["--strip-components=1", "--no-same-owner", "-xf"])
                .arg(archive)
                .arg("-C")
                .arg(folder.join("source")),
        )?;
        io(&mark, fs::write(&mark, ""))?;
        Ok(folder.join("source"))
    }
}
