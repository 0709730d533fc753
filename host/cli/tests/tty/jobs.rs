//! Keys that end, stop and continue programs (job control).

use crate::{Terminal, bash, busybox, ready};

/// They say `up` themselves: before they run a key is for the shell, which ignores some.
const SLEEP: &str = "sh -c \"echo u''p; exec sleep 1000\"";
const CAT: &str = "sh -c \"echo u''p; exec cat\"";
const PIPELINE: &str = "sh -c \"echo u''p; exec sleep 1000\" | cat | cat";
const LOOP: &str = "sh -c \"echo u''p; while :; do :; done\"";

/// Starts `command`, which says `up` when it runs, presses `key` and waits for the prompt.
#[track_caller]
fn press(shell: &mut Terminal, command: &str, key: &str) -> String {
    shell.ask(command, "\r\nup\r\n");
    shell.send(key);
    shell.expect("=> ")
}

/// What `$?` is.
#[track_caller]
fn status(shell: &mut Terminal) -> String {
    shell.ask("echo st''atus $?.", "\r\nstatus ");
    let status = shell.expect(".");
    shell.expect("=> ");
    status
}

/// Control-C, control-\ and control-D against programs of several kinds.
#[track_caller]
fn ending_keys(mut shell: Terminal) {
    for command in [SLEEP, CAT, PIPELINE, LOOP] {
        press(&mut shell, command, "\x03");
        assert_eq!(status(&mut shell), "130", "{command}\n{}", shell.screen());
    }
    // Busybox's shell ignores SIGQUIT until it has given way to another program.
    shell.ask("echo up > file", "=> ");
    press(&mut shell, "cat file -", "\x1c");
    assert_eq!(status(&mut shell), "131");
    press(&mut shell, CAT, "\x04");
    assert_eq!(status(&mut shell), "0");
    press(&mut shell, "echo u''p; while :; do :; done", "\x03");
    shell.ask("trap 'echo ca''ught' INT; sh -c 'kill -INT $PPID'", "\r\ncaught\r\n");
    shell.expect("=> ");
    shell.line("exit 3");
    assert_eq!(shell.wait(), 3);
}

#[test]
fn keys_end_the_foreground_program_of_busybox() {
    let Some(shallop) = ready(&["busybox"]) else { return };
    ending_keys(busybox(&shallop));
}

#[test]
fn keys_end_the_foreground_program_of_bash() {
    let Some(shallop) = ready(&["debian"]) else { return };
    ending_keys(bash(&shallop));
}

/// Stops a program, lets it run in the background and in the foreground again.
#[track_caller]
fn stopping(mut shell: Terminal) {
    let shown = press(&mut shell, SLEEP, "\x1a");
    assert!(shown.contains("Stopped"), "{shown}");
    shell.ask("jobs", "Stopped");
    shell.expect("=> ");
    shell.ask("bg", "sleep 1000");
    shell.expect("=> ");
    shell.ask("jobs", "Running");
    shell.expect("=> ");
    shell.ask("fg", "sleep 1000");
    shell.send("\x03");
    shell.expect("=> ");
    // A background program that reads from the terminal stops until it is in the foreground.
    shell.ask("cat &", "=> ");
    shell.ask("sleep 0.2; jobs", "Stopped");
    shell.expect("=> ");
    shell.ask("fg", "cat\r\n");
    shell.ask("to cat", "\r\nto cat\r\n");
    shell.send("\x04");
    shell.expect("=> ");
    shell.send("\x04");
    assert_eq!(shell.wait(), 0);
}

#[test]
fn jobs_of_busybox() {
    let Some(shallop) = ready(&["busybox"]) else { return };
    stopping(busybox(&shallop));
}

#[test]
fn jobs_of_bash() {
    let Some(shallop) = ready(&["debian"]) else { return };
    stopping(bash(&shallop));
}

#[test]
fn python_is_interrupted() {
    let Some(shallop) = ready(&["python"]) else { return };
    let arguments = ["run", "-it", "--rm", "-e", "PYTHON_BASIC_REPL=1", "catalog/python", "python3", "-q"];
    let mut python = Terminal::shallop(&shallop, &arguments);
    python.expect(">>> ");
    for program in [r#"exec("print('u' 'p')\nwhile 1: pass")"#, "import time; print('u' 'p'); time.sleep(1000)"] {
        python.ask(program, "\r\nup\r\n");
        python.send("\x03");
        python.expect("KeyboardInterrupt");
        python.expect(">>> ");
    }
    python.ask("1x\x7f + 2", "\r\n3\r\n");
    python.expect(">>> ");
    python.send("\x04");
    assert_eq!(python.wait(), 0);
}
