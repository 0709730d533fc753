//! `cargo xtask bench`: the figures that matter, beside native and what else is installed, as medians and ratios.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::shallop::{build, installed, root};

/// Runs of each line; `cargo xtask bench 9` takes more.
const RUNS: usize = 5;

/// One line of the table: the same work by each contender; `None` where it has no such form.
struct Work {
    name: &'static str,
    shallop: Vec<String>,
    native: Option<Vec<String>>,
    /// Program and arguments inside an unpacked image, for qemu-user.
    goal: &'static str,
}

pub fn run(arguments: &[String]) -> Result<()> {
    let runs = arguments.first().map_or(Ok(RUNS), |n| n.parse()).context("the argument is the number of runs")?;
    let shallop = build()?;
    for image in ["python", "busybox"] {
        let there = Command::new(&shallop).args(["image", "inspect", &format!("catalog.internal/{image}")]).output()?;
        if !there.status.success() {
            ensure!(
                Command::new(&shallop).args(["catalog", "build", image]).status()?.success(),
                "catalog build {image} failed"
            );
        }
    }
    let qemu = Qemu::prepare()?;
    println!("{:<34}{:>12}{:>12}{:>8}{:>14}{:>8}  goal", "", "native", "shallop", "ratio", "qemu-riscv64", "ratio");
    for work in works(&shallop)? {
        let native = work.native.as_ref().map(|words| median(runs, words)).transpose()?;
        let ours = median(runs, &work.shallop)?;
        let theirs = qemu.as_ref().and_then(|q| q.same(&work)).map(|words| median(runs, &words)).transpose()?;
        let ratio = |time: Option<Duration>| match (time, native) {
            (Some(time), Some(native)) => format!("{:.1}x", time.as_secs_f64() / native.as_secs_f64()),
            _ => "-".into(),
        };
        println!(
            "{:<34}{:>12}{:>12}{:>8}{:>14}{:>8}  {}",
            work.name,
            show(native),
            show(Some(ours)),
            ratio(Some(ours)),
            show(theirs),
            ratio(theirs),
            work.goal
        );
    }
    containers(runs)
}

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|word| (*word).to_owned()).collect()
}

/// 200 × fork and exec of a program, in a shell.
const FORKS: &str = "i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done";

fn works(shallop: &Path) -> Result<Vec<Work>> {
    let program = shallop.to_str().context("the path of the program is not UTF-8")?;
    let in_image = |image: &str, command: &[&str]| {
        let mut line = words(&[program, "run", "--rm", image]);
        line.extend(words(command));
        line
    };
    let context = rebuild_context()?;
    let rebuild = words(&[program, "build", "-q", "-t", "bench-rebuild", context.to_str().context("a path")?]);
    // The first build fills the cache.
    ensure!(quiet(&rebuild)?.success(), "the first build of the rebuild benchmark failed");
    let print = &["python3", "-c", "print(1)"];
    Ok(vec![
        Work {
            name: "busybox true, whole process",
            shallop: in_image("catalog.internal/busybox", &["true"]),
            native: Some(words(&["/bin/true"])),
            goal: "60 ms",
        },
        Work {
            name: "python3 -c 'print(1)'",
            shallop: in_image("catalog.internal/python", print),
            native: Some(words(print)),
            goal: "1.2 s",
        },
        Work {
            name: "200 x fork+exec in dash",
            shallop: in_image("catalog.internal/python", &["dash", "-c", FORKS]),
            native: Some(words(&["dash", "-c", FORKS])),
            goal: "1 s",
        },
        Work { name: "no-op rebuild, 8 steps", shallop: rebuild, native: None, goal: "50 ms" },
    ])
}

/// A Dockerfile of eight steps.
fn rebuild_context() -> Result<PathBuf> {
    let dir = root().join("target/bench-rebuild");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("data.txt"), "data\n")?;
    let text = "FROM catalog.internal/busybox\nENV A=1\nWORKDIR /w\nCOPY data.txt .\nRUN cat data.txt > copy\nRUN echo $A > a\nLABEL b=c\nCMD [\"cat\", \"a\"]\n";
    std::fs::write(dir.join("Dockerfile"), text)?;
    Ok(dir)
}

fn quiet(words: &[String]) -> Result<std::process::ExitStatus> {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().with_context(|| format!("starting {}", words[0]))
}

/// Median wall time, after one run that warms caches.
fn median(runs: usize, words: &[String]) -> Result<Duration> {
    ensure!(quiet(words)?.success(), "{} failed", words.join(" "));
    let mut times = Vec::new();
    for _ in 0..runs.max(1) {
        let start = Instant::now();
        quiet(words)?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}

fn show(time: Option<Duration>) -> String {
    time.map_or("-".into(), |time| format!("{:.1} ms", time.as_secs_f64() * 1000.0))
}

/// qemu-user, with Debian's cross libc as its root; it runs what is installed there.
struct Qemu {
    dir: PathBuf,
}

impl Qemu {
    fn prepare() -> Result<Option<Qemu>> {
        if !installed("qemu-riscv64-static") || !installed("riscv64-linux-gnu-gcc") {
            println!("(qemu-riscv64-static or riscv64-linux-gnu-gcc is not installed: no comparison with qemu-user)");
            return Ok(None);
        }
        let dir = root().join("target/bench-qemu");
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join("true.c"), "int main(void) { return 0; }\n")?;
        let mut gcc = Command::new("riscv64-linux-gnu-gcc");
        gcc.args(["-O2", "-static", "-o"]).arg(dir.join("true")).arg(dir.join("true.c"));
        ensure!(gcc.status()?.success(), "riscv64-linux-gnu-gcc failed");
        Ok(Some(Qemu { dir }))
    }

    fn same(&self, work: &Work) -> Option<Vec<String>> {
        let program = self.dir.join("true").display().to_string();
        match work.name {
            "busybox true, whole process" => Some(words(&["qemu-riscv64-static", &program])),
            "200 x fork+exec in dash" => {
                let forks = FORKS.replace("/bin/true", &format!("qemu-riscv64-static {program}"));
                Some(words(&["dash", "-c", &forks]))
            }
            _ => None,
        }
    }
}

/// Other container tools, where they are installed and work.
fn containers(runs: usize) -> Result<()> {
    for tool in ["podman", "docker"] {
        if !installed(tool) {
            continue;
        }
        let line = words(&[tool, "run", "--rm", "busybox", "true"]);
        match median(runs, &line) {
            Ok(time) => println!("{:<34}{:>12}{:>12}", format!("busybox true by {tool}"), "", show(Some(time))),
            Err(_) => println!("{tool} is installed but cannot run busybox here"),
        }
    }
    Ok(())
}
