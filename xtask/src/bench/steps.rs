//! Lines of what people put into RUN: packages, pip, a compiler, git; and an image of the catalog. They take minutes, and
//! what is fetched comes from the machine's own mirrors.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use super::contenders::{BASE, Contenders, base_images, packages, unpack, utf8, words};
use super::lines::{Goal, Line};
use super::measure::Job;
use crate::shallop::{installed, output, root, run as call};

/// The catalog's Python with compiler and git, the project and a repository.
const IMAGE: &str = "bench-steps";

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
    let unpacked = unpacked(shallop)?;
    let shallop = utf8(shallop)?;
    let mut lines = vec![compile(&shallop, unpacked.as_deref(), &utf8(&context)?)];
    lines.extend(repository.map(|path| clone(&shallop, unpacked.as_deref(), &path)).transpose()?);
    lines.extend([pip(&shallop), apt(&shallop), catalog(&shallop)]);
    Ok(lines)
}

/// The image unpacked, where the kernel has qemu-user run its programs and their children, and where its root may be changed.
fn unpacked(shallop: &Path) -> Result<Option<String>> {
    let is_root = output(Command::new("id").arg("-u"))?.trim() == "0";
    if !is_root || !Path::new("/proc/sys/fs/binfmt_misc/qemu-riscv64").exists() {
        println!("(binfmt_misc does not have qemu-riscv64, or this is not root: no comparison with qemu-user)");
        return Ok(None);
    }
    let unpacked = unpack(shallop, IMAGE, "steps-root")?;
    for (device, minor) in [("null", "3"), ("urandom", "9")] {
        let path = unpacked.join("dev").join(device);
        if !path.exists() {
            call(Command::new("mknod").args(["-m", "666"]).arg(path).args(["c", "1", minor]))?;
        }
    }
    Ok(Some(utf8(&unpacked)?))
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

/// A script in the unpacked image.
fn under_qemu(root: &str, script: &str) -> Job {
    Job::wall(words(&["chroot", root, "sh", "-ec", script]))
}

fn line(name: &'static str, native: Option<Job>, shallop: Job, goal: Goal) -> Line {
    Line { title: "", names: vec![name], native, shallop, qemu: None, goal }
}

fn compile(shallop: &str, unpacked: Option<&str>, context: &str) -> Line {
    let make = |from: &str| apart(&format!("cp -r {from}/project . && make -s -C project check"));
    let native = (installed("gcc") && installed("make")).then(|| here(&make(context)));
    let script = make("/bench");
    let line = line("gcc and make, a small C project", native, inside(shallop, IMAGE, &script), Goal::None);
    Line { qemu: unpacked.map(|root| under_qemu(root, &script)), ..line }
}

fn clone(shallop: &str, unpacked: Option<&str>, repository: &Path) -> Result<Line> {
    let native = here(&apart(&format!("git clone -q --no-local {} clone", utf8(repository)?)));
    let trust = "export HOME=$PWD; git config --global safe.directory '*'";
    let script = apart(&format!("{trust}; git clone -q --no-local /bench/repository clone"));
    let line = line("git clone of a local repository", Some(native), inside(shallop, IMAGE, &script), Goal::None);
    Ok(Line { qemu: unpacked.map(|root| under_qemu(root, &script)), ..line })
}

fn pip(shallop: &str) -> Line {
    let install = "python3 -m pip install -q --no-cache-dir --disable-pip-version-check --target flask flask";
    let has_pip =
        Command::new("python3").args(["-m", "pip", "--version"]).output().is_ok_and(|done| done.status.success());
    line(
        "pip install flask",
        has_pip.then(|| here(&apart(install))),
        inside(shallop, IMAGE, &format!("cd /tmp; {install}")),
        Goal::None,
    )
}

fn apt(shallop: &str) -> Line {
    let script = format!("apt-get update -qq && apt-get install -y -qq --no-install-recommends {PACKAGES}");
    line("apt-get install of 20 packages", None, inside(shallop, "catalog.internal/debian", &script), Goal::None)
}

fn catalog(shallop: &str) -> Line {
    let script = "\"$0\" catalog build -q debian && \"$0\" catalog build -q python";
    let build = Job::wall(words(&["sh", "-ec", script, shallop]));
    let ours = Job { before: Some(Contenders::forget_translations), ..build };
    line("catalog build debian, python, cold", None, ours, Goal::Milliseconds(90_000.0))
}
