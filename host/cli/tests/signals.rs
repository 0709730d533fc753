//! Signals to `shallop run` without a terminal, ends from outside, and what is left afterwards.

use rustix::process::{Pid, Signal, kill_process};
use shallop_test_support::processes::{all_end, descendants};
use shallop_test_support::{Shallop, command};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout};
use std::time::{Duration, Instant};

const BUSYBOX: &str = "catalog.internal/busybox";
const LIMIT: Duration = Duration::from_secs(60);

fn busybox() -> Option<Shallop> {
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    shallop.needs("signals", &["busybox"]).then_some(shallop)
}

/// A container in the background whose script prints `ready` first.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    fn start(shallop: &Shallop, flags: &[&str], script: &str) -> Running {
        let script = format!("{script}\n");
        let mut child = shallop.start(&[&["run"], flags, &[BUSYBOX, "sh", "-c", &script]].concat());
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut running = Running { child, stdout };
        assert_eq!(running.line(), "ready");
        running
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("read a line");
        line.trim_end().to_owned()
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signal a child of this process");
    }

    /// Its exit code and the rest of its output.
    fn end(mut self) -> (i32, String) {
        let (status, timed_out) = command::wait(self.child, LIMIT);
        assert!(!timed_out, "it does not end");
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("read the rest");
        (command::code(status), rest)
    }
}

#[test]
fn signals_are_passed_on() {
    let Some(shallop) = busybox() else { return };
    for (signal, name) in [(Signal::TERM, "TERM"), (Signal::INT, "INT"), (Signal::HUP, "HUP"), (Signal::USR1, "USR1")] {
        let script = format!("trap 'echo got {name}; exit 42' {name}; echo ready; while :; do sleep 0.01; done");
        let running = Running::start(&shallop, &["--rm"], &script);
        running.signal(signal);
        assert_eq!(running.end(), (42, format!("got {name}\n")));
    }
}

#[test]
fn a_handled_signal_does_not_end() {
    let Some(shallop) = busybox() else { return };
    let script = "n=0; trap 'n=$((n+1)); echo $n; [ $n = 2 ] && exit 6' USR1; echo ready; while :; do sleep 0.01; done";
    let mut running = Running::start(&shallop, &["--rm"], script);
    running.signal(Signal::USR1);
    assert_eq!(running.line(), "1");
    running.signal(Signal::USR1);
    assert_eq!(running.end(), (6, "2\n".to_owned()));
}

#[test]
fn the_first_process_needs_a_handler() {
    let Some(shallop) = busybox() else { return };
    // Linux keeps signals without handlers from the first process of a pid namespace.
    let running = Running::start(&shallop, &["--rm"], "echo ready; exec sleep 1");
    running.signal(Signal::TERM);
    assert_eq!(running.end().0, 0);
}

#[test]
fn a_closed_output_ends_it() {
    let Some(shallop) = busybox() else { return };
    let Running { child, stdout } = Running::start(&shallop, &["--rm"], "echo ready; exec yes");
    drop(stdout);
    let (status, timed_out) = command::wait(child, LIMIT);
    assert!(!timed_out, "it does not end");
    assert_ne!(command::code(status), 0);
}

#[test]
fn killing_the_command_ends_the_container() {
    let Some(shallop) = busybox() else { return };
    let name = format!("killed-{}", std::process::id());
    let running = Running::start(&shallop, &["--name", &name], "echo ready; while :; do :; done");
    let workers = descendants(running.pid());
    assert!(!workers.is_empty(), "the container runs in a process of its own");
    running.signal(Signal::KILL);
    assert_eq!(running.end().0, 137);
    all_end(&workers);
    // It can be listed and removed.
    let listed = shallop.run(&["ps", "-a"]).expect_code(0).stdout;
    let line = listed.lines().find(|line| line.contains(&name)).expect("the container is listed");
    assert!(!line.contains("Up "), "{line}");
    shallop.run(&["rm", &name]).expect_code(0);
}

#[test]
fn killing_the_worker_ends_the_command() {
    let Some(shallop) = busybox() else { return };
    let name = format!("worker-{}", std::process::id());
    let running = Running::start(&shallop, &["--name", &name], "echo ready; while :; do :; done");
    let workers = descendants(running.pid());
    for worker in &workers {
        let pid = Pid::from_raw(*worker as i32).expect("a process has a number");
        // One may have ended with the other.
        let _ = kill_process(pid, Signal::KILL);
    }
    assert_eq!(running.end().0, 137);
    let listed = shallop.run(&["ps", "-a"]).expect_code(0).stdout;
    let line = listed.lines().find(|line| line.contains(&name)).expect("the container is listed");
    assert!(line.contains("Exited (137)"), "{line}");
    shallop.run(&["rm", &name]).expect_code(0);
}

#[test]
fn a_time_limit_ends_a_loop() {
    let Some(shallop) = busybox() else { return };
    let script = "while :; do :; done & sleep 1000";
    let done = shallop.run(&["run", "--rm", "--timeout", "1", BUSYBOX, "sh", "-c", script]).expect_code(137);
    done.expect_error("--timeout");
}

#[test]
fn background_processes_end_with_the_first() {
    let Some(shallop) = busybox() else { return };
    let started = Instant::now();
    let script = "sleep 1000 & (while :; do :; done) & echo done";
    let done = shallop.run(&["run", "--rm", BUSYBOX, "sh", "-c", script]).expect_code(0);
    assert_eq!(done.stdout, "done\n");
    assert!(started.elapsed() < LIMIT);
}

#[test]
fn nothing_is_left_behind() {
    let Some(shallop) = busybox() else { return };
    let running = Running::start(&shallop, &["--rm"], "echo ready; sleep 0.1; exit 0");
    let workers = descendants(running.pid());
    assert_eq!(running.end().0, 0);
    all_end(&workers);
}
