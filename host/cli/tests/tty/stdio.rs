//! `-i` and `-t` alone, and stdio that is no terminal.

use crate::{Terminal, ready};
use shallop_test_support::{Shallop, command};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A shell command on the host in which `$S` is shallop.
fn host(shallop: &Shallop, script: &str) -> command::Finished {
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).env("S", shallop.binary());
    shallop.set_environment(&mut shell);
    command::run(&mut shell, b"", LIMIT)
}

#[test]
fn stdin_is_passed_on_with_i_alone() {
    let Some(shallop) = ready(&["busybox"]) else { return };
    let done = host(&shallop, "echo hi | $S run --rm -i catalog/busybox cat").expect_code(0);
    assert_eq!(done.stdout, "hi\n");
    let done = host(&shallop, "echo hi | $S run --rm catalog/busybox cat").expect_code(0);
    assert_eq!(done.stdout, "");
    let done = host(&shallop, "head -c 5000000 /dev/zero | $S run --rm -i catalog/busybox cat | wc -c").expect_code(0);
    assert_eq!(done.stdout.trim(), "5000000");
}

#[test]
fn a_terminal_for_input_that_is_none_is_refused() {
    let Some(shallop) = ready(&["busybox"]) else { return };
    let done = host(&shallop, "echo hi | $S run --rm -it catalog/busybox cat");
    done.expect_code(1).expect_error("the input device is not a TTY");
}

#[test]
fn a_terminal_without_input_writes_to_anything() {
    let Some(shallop) = ready(&["busybox"]) else { return };
    let done = host(&shallop, "$S run --rm -t catalog/busybox sh -c 'tty; test -t 0 && echo yes'").expect_code(0);
    assert_eq!(done.stdout, "/dev/pts/0\r\nyes\r\n");
    let mut terminal = Terminal::shallop(&shallop, &["run", "--rm", "-t", "catalog/busybox", "stty", "size"]);
    terminal.expect("24 80\r");
    assert_eq!(terminal.wait(), 0);
    assert!(terminal.is_cooked());
}

#[test]
fn a_reader_that_goes_away_ends_the_writer() {
    let Some(shallop) = ready(&["busybox"]) else { return };
    let code = |run: &str| {
        let script = format!("exec 3>&1; {{ $S run --rm {run}; echo $? >&3; }} | head -n 1 >/dev/null");
        host(&shallop, &script).expect_code(0).stdout.trim().to_owned()
    };
    assert_eq!(code("catalog/busybox yes"), "141");
    assert_eq!(code("catalog/busybox sh -c 'while :; do echo x; done'"), "141");
    assert_eq!(code("catalog/busybox sh -c 'yes; echo $? >&2'"), "0");
    assert_eq!(code("-t catalog/busybox sh -c 'while :; do echo x; done'"), "129");
}
