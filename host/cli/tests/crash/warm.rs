//! Warm code of large programs: what is never hot in one process is translated when one after another has it warm.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use shallop_test_support::oracle::oracle;
use shallop_test_support::processes::translators;
use shallop_test_support::{Shallop, command, workspace};

use crate::home::{self, BASE};
use crate::translator::{LIMIT, modules, wait_for};

/// An image with the program in a home of its own; `None` where it cannot be had.
fn vast() -> Option<Shallop> {
    let shallop = home::new()?;
    if !oracle("crash", &[("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu")]) {
        return None;
    }
    let folder = shallop_test_support::shallop::folder();
    let mut gcc = Command::new("riscv64-linux-gnu-gcc");
    gcc.args(["-O1", "-static"]).arg(workspace().join("tests/translator/vast.c"));
    command::run(gcc.arg("-o").arg(folder.path().join("vast")), b"", LIMIT).expect_code(0);
    fs::write(folder.path().join("Dockerfile"), format!("FROM {BASE}\nCOPY vast /\n")).unwrap();
    shallop.run_in(folder.path(), &["build", "-q", "-t", "vast", "."]).expect_code(0);
    Some(shallop)
}

/// A command whose translator has the time for all that there is.
fn run(shallop: &Shallop, arguments: &[&str]) -> Command {
    let mut command = shallop.command(&["run", "--rm", "-i", "vast"]);
    command.args(arguments).env("SHALLOP_TEST_LINGER", "60");
    command
}

/// The modules of the program, which handles faults.
fn precise(shallop: &Shallop) -> Option<Vec<PathBuf>> {
    let mut all = modules(shallop);
    all.retain(|path| path.to_string_lossy().contains("-precise-"));
    (!all.is_empty()).then_some(all)
}

#[test]
fn what_is_warm_in_two_processes_is_translated_after_the_end() {
    let Some(shallop) = vast() else { return };
    for times in [1, 2] {
        command::run(&mut run(&shallop, &["/vast", "10"]), b"", LIMIT).expect_code(0);
        wait_for("the translator stays", || translators(shallop.home()).is_empty().then_some(()));
        assert_eq!(precise(&shallop).is_some(), times == 2, "after {times}: {:?}", modules(&shallop));
    }
    let all = precise(&shallop).unwrap();
    assert!(all.iter().all(|path| !path.to_string_lossy().contains("-whole/")), "{all:?}");
}

#[test]
fn what_is_warm_in_many_processes_is_translated_before_the_end() {
    let Some(shallop) = vast() else { return };
    let script = "for process in 1 2 3 4; do /vast 10; done; read end";
    let mut child = run(&shallop, &["sh", "-c", script]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    wait_for("nothing is translated", || precise(&shallop));
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert_eq!(command::code(command::wait(child, LIMIT).0), 0);
}
