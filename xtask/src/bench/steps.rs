//! Lines of what people put into RUN: packages, pip, a compiler, git; and an image of the catalog. They take minutes, and
//! what is fetched comes from the machine's own mirrors.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use super::contenders::{BASE, Contenders, base_images, packages, utf8, words};
use super::lines::{Goal, Line};
use super::measure::Job;
use super::roots::{self, Lent, Root, unpack};
use crate::shallop::{installed, output, root, run as call};

/// The catalog's Python with compiler and git, the project and a repository.
const IMAGE: &str = "bench-steps";
const DEBIAN: &str = "catalog.internal/debian";

/// Commits of the repository.
const COMMITS: usize = 50;

/// Installed by apt with what they depend on, which is little.
const PACKAGES: &str = "bc dc file jq tree less zip unzip patch time rsync psmisc bsdextrautils pv moreutils netcat-openbsd socat ed m4 mawk";

/// Prepares the image.
pub fn all(shallop: &Path) -> Result<Vec<Line>> {
    base_images(shallop)?;
    let context = root().join("target/bench/steps");
    fs::create_dir_all(&context)?;
    packages(shallop, &["gcc", "libc6-dev", "make", "git"], "usr/bin/git", &context.join("tools"))?;
    call(Command::new("cp").arg("-rT").arg(root().join("tests/bench/project")).arg(context.join("project")))?;
    let repository = repository(&context)?;
    let copied = repository.as_ref().map_or("", |_| "COPY repository /bench/repository\n");
    let text = format!("FROM {BASE}\nCOPY tools/root/ /\nCOPY project /bench/project\n{copied}");
    fs::write(context.join("Dockerfile"), text)?;
    call(Command::new(shallop).args(["build", "-q", "-t", IMAGE]).arg(&context).stdout(Stdio::null()))?;
    let others = Others::prepare(shallop)?;
    let shallop = utf8(shallop)?;
    let mut lines = vec![compile(&shallop, &others, &utf8(&context)?)];
    lines.extend(repository.map(|path| clone(&shallop, &others, &path)).transpose()?);
    lines.extend([pip(&shallop, &others), apt(&shallop, &others), catalog(&shallop, &others)]);
    Ok(lines)
}

/// What the same scripts are run by, where this is root.
#[derive(Default)]
struct Others {
    /// The images unpacked, where the kernel has qemu-user run their programs and the children of those.
    steps: Option<Root>,
    debian: Option<Root>,
    /// Debian of this machine.
    native: Option<Root>,
    /// Arguments of mmdebstrap for what the catalog's Python consists of.
    bootstrap: Option<Vec<String>>,
}

impl Others {
    fn prepare(shallop: &Path) -> Result<Others> {
        if !roots::are_allowed()? {
            println!("(this is not root: no comparison with qemu-user)");
            return Ok(Others::default());
        }
        let lent = Lent::of(shallop, DEBIAN)?;
        let native = roots::native(&lent)?;
        let bootstrap = native.is_some().then(|| bootstrap(shallop, &lent)).transpose()?;
        if !Path::new("/proc/sys/fs/binfmt_misc/qemu-riscv64").exists() {
            println!("(binfmt_misc does not have qemu-riscv64: no comparison with qemu-user)");
            return Ok(Others { native, bootstrap, ..Others::default() });
        }
        let unpacked = |image, name| Root::prepare(&unpack(shallop, image, name)?, &lent).map(Some);
        let (steps, debian) = (unpacked(IMAGE, "steps-root")?, unpacked(DEBIAN, "debian-root")?);
        Ok(Others { steps, debian, native, bootstrap })
    }

    /// A script in the image of most lines.
    fn steps(&self, script: &str) -> Option<Job> {
        self.steps.as_ref().map(|root| root.script(script))
    }

    fn bootstrap(&self, more: &[&str]) -> Option<Job> {
        let job = Job::wall([words(&["mmdebstrap"]), words(more), self.bootstrap.clone()?].concat());
        // It takes minutes: no run to warm caches.
        Some(Job { before: Some(|| Ok(())), ..job })
    }
}

/// Arguments of mmdebstrap for a root that is thrown away, with the packages of the catalog's Python.
fn bootstrap(shallop: &Path, lent: &Lent) -> Result<Vec<String>> {
    let list = ["dpkg-query", "-W", "-f", "${Package},"];
    let packages = output(Command::new(shallop).args(["run", "--rm", BASE]).args(list))?;
    let include = format!("--include={}", packages.trim_end_matches(','));
    let format = ["-q", "--variant=essential", "--format=null"];
    Ok([words(&format), words(&[&include, lent.suite()?, "/dev/null", &lent.source])].concat())
}

/// A repository of the project with some history, where git is installed.
fn repository(context: &Path) -> Result<Option<PathBuf>> {
    let path = context.join("repository");
    if !installed("git") {
        println!("(git is not installed: no clone)");
        return Ok(None);
    }
    if !path.join(".git").exists() {
        let git = |arguments: &[&str]| {
            let person = ["-c", "user.name=bench", "-c", "user.email=bench@example.invalid"];
            call(Command::new("git").args(person).arg("-C").arg(&path).args(arguments).stdout(Stdio::null()))
        };
        call(Command::new("cp").arg("-rT").arg(context.join("project")).arg(&path))?;
        git(&["init", "-q"])?;
        for commit in 0..COMMITS {
            fs::write(path.join("notes.txt"), format!("{commit}\n").repeat(commit + 1))?;
            git(&["add", "."])?;
            git(&["commit", "-q", "-m", "change"])?;
        }
    }
    Ok(Some(path))
}

/// A script in the image, with the machine's mirrors.
fn inside(shallop: &str, image: &str, script: &str) -> Job {
    Job::wall(words(&[shallop, "run", "--rm", "--host-mirrors", image, "sh", "-ec", script]))
}

/// A script that runs in a folder of its own, which goes again.
fn apart(script: &str) -> String {
    format!("d=$(mktemp -d); trap 'rm -rf $d' EXIT; cd $d; {script}")
}

/// A script here.
fn here(script: &str) -> Job {
    Job::wall(words(&["sh", "-ec", script]))
}

fn line(name: &'static str, native: Option<Job>, shallop: Job, qemu: Option<Job>) -> Line {
    Line { title: "", names: vec![name], native, shallop, qemu, goal: Goal::None }
}

fn compile(shallop: &str, others: &Others, context: &str) -> Line {
    let make = |from: &str| apart(&format!("cp -r {from}/project . && make -s -C project check"));
    let native = (installed("gcc") && installed("make")).then(|| here(&make(context)));
    let script = make("/bench");
    line("gcc and make, a small C project", native, inside(shallop, IMAGE, &script), others.steps(&script))
}

fn clone(shallop: &str, others: &Others, repository: &Path) -> Result<Line> {
    let native = here(&apart(&format!("git clone -q --no-local {} clone", utf8(repository)?)));
    let trust = "export HOME=$PWD; git config --global safe.directory '*'";
    let script = apart(&format!("{trust}; git clone -q --no-local /bench/repository clone"));
    let ours = inside(shallop, IMAGE, &script);
    Ok(line("git clone of a local repository", Some(native), ours, others.steps(&script)))
}

fn pip(shallop: &str, others: &Others) -> Line {
    let install = "python3 -m pip install -q --no-cache-dir --disable-pip-version-check --target flask flask";
    let has_pip =
        Command::new("python3").args(["-m", "pip", "--version"]).output().is_ok_and(|done| done.status.success());
    let native = has_pip.then(|| here(&apart(install)));
    let script = apart(install);
    line("pip install flask", native, inside(shallop, IMAGE, &script), others.steps(&script))
}

fn apt(shallop: &str, others: &Others) -> Line {
    let script = format!("apt-get update -qq && apt-get install -y -qq --no-install-recommends {PACKAGES}");
    let [native, qemu] =
        [&others.native, &others.debian].map(|root| root.as_ref().map(|root| root.script_in_copy(&script)));
    line("apt-get install of 20 packages", native, inside(shallop, DEBIAN, &script), qemu)
}

/// The others make Python's root alone, at once, and pack nothing.
fn catalog(shallop: &str, others: &Others) -> Line {
    let script = "\"$0\" catalog build -q debian && \"$0\" catalog build -q python";
    let build = Job::wall(words(&["sh", "-ec", script, shallop]));
    let ours = Job { before: Some(Contenders::forget_translations), ..build };
    let qemu = others.debian.as_ref().and_then(|_| others.bootstrap(&["--architectures=riscv64"]));
    let line = line("catalog build debian, python, cold", others.bootstrap(&[]), ours, qemu);
    Line { goal: Goal::Milliseconds(90_000.0), ..line }
}
