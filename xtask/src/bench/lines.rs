//! The lines of the table: [`all`].

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::contenders::{Contenders, words};
use super::measure::Job;
use crate::shallop::{installed, root};

/// What a line should not exceed.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// Times native.
    Ratio(f64),
    Milliseconds(f64),
    None,
}

/// The same work by each contender; `None` where it has no such form.
pub struct Line {
    /// Of the mean, where there are several rows.
    pub title: &'static str,
    /// One for each time that a job gives.
    pub names: Vec<&'static str>,
    pub native: Option<Job>,
    pub shallop: Job,
    pub qemu: Option<Job>,
    pub goal: Goal,
}

/// Programs of `kernels.c` and their sizes, in the order of its arguments.
const KERNELS: &[(&str, &str)] = &[
    ("C: fib", "36"),
    ("C: sha256", "100000"),
    ("C: sort", "20"),
    ("C: hash table", "15000000"),
    ("C: nbody", "1500000"),
    ("C: switch VM", "6000000"),
    ("C: goto VM", "6000000"),
];

/// Functions of `tests/bench/compute.py`.
const PYTHON: &[&str] = &["Python: nbody", "Python: fannkuch", "Python: records"];

/// Functions of `tests/bench/compute.lua`.
const LUA: &[&str] = &["Lua: fib", "Lua: tables and sort", "Lua: strings", "Lua: floating point"];

/// 200 × fork and exec of a program, in a shell.
const FORKS: &str = "i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done";

const PRINT: &[&str] = &["python3", "-c", "print(1)"];

/// The lines of programs whose code may be translated already.
pub fn all(c: &Contenders) -> Result<Vec<Line>> {
    let mut lines: Vec<Line> = kernels(c).into_iter().collect();
    lines.push(python(c));
    lines.extend(lua(c));
    lines.extend(starting(c));
    lines.extend(system_calls(c));
    lines.push(rebuild(c)?);
    Ok(lines)
}

/// To be the last line, since it removes the translated code that the other lines want.
pub fn cold_python(c: &Contenders) -> Line {
    Line {
        title: "",
        names: vec!["python3 -c, nothing translated"],
        native: Some(Job::wall(c.native(PRINT))),
        shallop: Job { before: Some(Contenders::forget_translations), ..Job::wall(c.shallop(PRINT)) },
        qemu: None,
        goal: Goal::Milliseconds(1000.0),
    }
}

fn kernels(c: &Contenders) -> Option<Line> {
    let sizes = KERNELS.iter().map(|(_, size)| *size);
    let with_sizes = |program: Vec<String>| Job::printed([program, words(&sizes.clone().collect::<Vec<_>>())].concat());
    let native = c.native_kernels.as_ref()?;
    Some(Line {
        title: "C",
        names: KERNELS.iter().map(|(name, _)| *name).collect(),
        native: Some(with_sizes(words(&[native]))),
        shallop: with_sizes(c.shallop(&["/bench/kernels"])),
        qemu: c.qemu(&["/bench/kernels"]).map(with_sizes),
        goal: Goal::Ratio(1.7),
    })
}

fn python(c: &Contenders) -> Line {
    let script = &["python3", "/bench/compute.py"];
    Line {
        title: "Python",
        names: PYTHON.to_vec(),
        native: Some(Job::printed(c.native(script))),
        shallop: Job::printed(c.shallop(script)),
        qemu: c.qemu(script).map(Job::printed),
        goal: Goal::Ratio(3.5),
    }
}

fn lua(c: &Contenders) -> Option<Line> {
    let script = &["lua5.4", "/bench/compute.lua"];
    let in_image = &["/usr/bin/lua5.4", "/bench/compute.lua"];
    c.has_lua.then(|| Line {
        title: "Lua",
        names: LUA.to_vec(),
        native: installed("lua5.4").then(|| Job::printed(c.native(script))),
        shallop: Job::printed(c.shallop(in_image)),
        qemu: c.qemu(in_image).map(Job::printed),
        goal: Goal::Ratio(3.0),
    })
}

fn starting(c: &Contenders) -> [Line; 3] {
    let forks = &["dash", "-c", FORKS];
    [
        Line {
            title: "",
            names: vec!["/bin/true"],
            native: Some(Job::wall(c.native(&["/bin/true"]))),
            shallop: Job::wall(c.shallop(&["/bin/true"])),
            qemu: c.qemu(&["/bin/true"]).map(Job::wall),
            goal: Goal::Milliseconds(12.0),
        },
        Line {
            title: "",
            names: vec!["python3 -c 'print(1)'"],
            native: Some(Job::wall(c.native(PRINT))),
            shallop: Job::wall(c.shallop(PRINT)),
            qemu: c.qemu(PRINT).map(Job::wall),
            goal: Goal::Milliseconds(45.0),
        },
        Line {
            title: "",
            names: vec!["200 x fork+exec in dash"],
            native: Some(Job::wall(c.native(forks))),
            shallop: Job::wall(c.shallop(forks)),
            // The shell is the host's: a child of qemu-user's guest would be a program of the host too.
            qemu: c
                .qemu(&["/bin/true"])
                .map(|qemu| Job::wall(c.native(&["dash", "-c", &FORKS.replace("/bin/true", &qemu.join(" "))]))),
            goal: Goal::Ratio(2.5),
        },
    ]
}

fn system_calls(c: &Contenders) -> [Line; 3] {
    let files = |name, in_image: &str, on_host: &str, ratio| Line {
        title: "",
        names: vec![name],
        native: c.root.as_ref().map(|root| Job::wall(c.native(&["sh", "-c", &on_host.replace("ROOT", root)]))),
        shallop: Job::wall(c.shallop(&["sh", "-c", in_image])),
        qemu: c.root.as_ref().and_then(|root| {
            let program = on_host.split_whitespace().next()?;
            let qemu = c.qemu(&[&format!("/usr/bin/{program}")])?;
            let script = on_host.replacen(program, &qemu.join(" "), 1).replace("ROOT", root);
            Some(Job::wall(c.native(&["sh", "-c", &script])))
        }),
        goal: Goal::Ratio(ratio),
    };
    let getppid = &["python3", "/bench/getppid.py"];
    [
        // Other file systems hold nothing that the host has.
        files("find / | wc -l", "find / -xdev | wc -l", "find ROOT -xdev | wc -l", 3.0),
        files(
            "tar cf - /usr | wc -c",
            "tar cf - /usr 2>/dev/null | wc -c",
            "tar cf - ROOT/usr 2>/dev/null | wc -c",
            2.5,
        ),
        Line {
            title: "",
            names: vec!["300,000 x os.getppid in Python"],
            native: Some(Job::printed(c.native(getppid))),
            shallop: Job::printed(c.shallop(getppid)),
            qemu: c.qemu(getppid).map(Job::printed),
            goal: Goal::Ratio(2.5),
        },
    ]
}

fn rebuild(c: &Contenders) -> Result<Line> {
    let context = rebuild_context()?;
    let context = context.to_str().context("the path of the workspace is not UTF-8")?;
    let job = Job::wall(words(&[&c.program, "build", "-q", "-t", "bench-rebuild", context]));
    Ok(Line {
        title: "",
        names: vec!["no-op rebuild, 8 steps"],
        native: None,
        shallop: job,
        qemu: None,
        goal: Goal::Milliseconds(50.0),
    })
}

/// A Dockerfile of eight steps.
fn rebuild_context() -> Result<PathBuf> {
    let dir = root().join("target/bench/rebuild");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("data.txt"), "data\n")?;
    let text = "FROM catalog.internal/busybox\nENV A=1\nWORKDIR /w\nCOPY data.txt .\nRUN cat data.txt > copy\nRUN echo $A > a\nLABEL b=c\nCMD [\"cat\", \"a\"]\n";
    std::fs::write(dir.join("Dockerfile"), text)?;
    Ok(dir)
}
