//! Scripts of `tests/programs` say the same inside a Debian container (riscv64) as on the machine the tests run on.
//!
//! Compared are stdout and the exit code; the words of stderr are the tools' own, which have other versions here.

use shallop_test_support::shallop::folder;
use shallop_test_support::{Finished, Shallop, command, oracle, workspace};
use std::process::Command;
use std::time::Duration;

const NATIVE_LIMIT: Duration = Duration::from_secs(60);
const INSIDE_LIMIT: Duration = Duration::from_secs(300);
const SCRIPTS: &str = "tests/programs";

/// What both runs know of the outside.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/root"),
    ("LC_ALL", "C"),
    ("PYTHONUTF8", "1"),
];

/// On this machine, in an empty folder.
fn run_native(interpreter: &str, script: &str) -> Finished {
    let work = folder();
    let mut native = Command::new(interpreter);
    native.arg(workspace().join(SCRIPTS).join(script)).current_dir(work.path());
    native.env_clear().envs(ENVIRONMENT.iter().copied());
    command::run(&mut native, b"", NATIVE_LIMIT)
}

/// In a container of `catalog/<image>`, in an empty folder.
fn run_inside(shallop: &Shallop, image: &str, interpreter: &str, script: &str) -> Finished {
    let volume = format!("{}:/t:ro", workspace().join(SCRIPTS).display());
    let mut inside = shallop.command(&["run", "--rm", "-v", &volume, "-w", "/work"]);
    for (name, value) in ENVIRONMENT {
        inside.arg("-e").arg(format!("{name}={value}"));
    }
    inside.args([&format!("catalog.internal/{image}"), interpreter, &format!("/t/{script}")]);
    command::run(&mut inside, b"", INSIDE_LIMIT)
}

fn compare(image: &str, interpreter: &str, script: &str) {
    let suite = format!("programs {script}");
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    if !oracle(&suite, &[(interpreter, interpreter)]) || !shallop.needs(&suite, &[image]) {
        return;
    }
    let native = run_native(interpreter, script);
    assert!(!native.timed_out, "on this machine:\n{}", native.outputs());
    let inside = run_inside(&shallop, image, interpreter, script);
    let expected = (native.code, native.stdout.as_str());
    let found = (inside.code, inside.stdout.as_str());
    let (line, left, right) = first_difference(expected.1, found.1);
    assert!(
        expected == found,
        "{script}: expected code {}, found {}; line {line}:\n  expected {left}\n  found    {right}\n--- stderr\n{}",
        expected.0,
        found.0,
        inside.stderr
    );
}

/// The number and the two texts of the first line that differs.
fn first_difference<'a>(left: &'a str, right: &'a str) -> (usize, &'a str, &'a str) {
    let (mut left, mut right) = (left.lines(), right.lines());
    for number in 1.. {
        match (left.next(), right.next()) {
            (None, None) => break,
            (a, b) if a == b => {}
            (a, b) => return (number, a.unwrap_or("(end)"), b.unwrap_or("(end)")),
        }
    }
    (0, "(the same)", "(the same)")
}

#[test]
fn text_tools() {
    compare("debian", "bash", "text.sh");
}

#[test]
fn file_tools() {
    compare("debian", "bash", "files.sh");
}

#[test]
fn bash_jobs_and_redirections() {
    compare("debian", "bash", "shell.sh");
}

#[test]
fn dash() {
    compare("debian", "dash", "posix.sh");
}

#[test]
fn python_processes() {
    compare("python", "python3", "processes.py");
}

#[test]
fn python_threads() {
    compare("python", "python3", "threads.py");
}

#[test]
fn python_storage() {
    compare("python", "python3", "storage.py");
}

#[test]
fn every_script_is_run() {
    let this = include_str!("programs.rs");
    for entry in std::fs::read_dir(workspace().join(SCRIPTS)).expect("read the folder of scripts") {
        let name = entry.expect("read a folder entry").file_name().to_string_lossy().into_owned();
        assert!(this.contains(&format!("\"{name}\"")), "{name} is not run");
    }
}
