//! Signals to the `shallop` command and its worker: what the container sees, exit codes, the host's terminal afterwards.

use crate::{Terminal, busybox, ready};
use rustix::process::{Pid, Signal, kill_process};
use shallop_test_support::Shallop;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// The workers that are children of a process.
fn workers(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("read /proc").filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.strip_prefix("PPid:").is_some_and(|p| p.trim() == parent.to_string()))
    };
    let is_worker = |pid: &u32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        arguments.starts_with(b"shallop-worker\0")
    };
    pids.filter(is_child).filter(is_worker).collect()
}

/// A program in a container with a terminal (`-it`), which has said `up`.
fn running(shallop: &Shallop, script: &str) -> Terminal {
    let script = format!("{script}\necho up; while :; do sleep 0.05; done");
    let mut terminal = Terminal::shallop(shallop, &["run", "-it", "--rm", "catalog/busybox", "sh", "-c", &script]);
    terminal.expect("up\r\n");
    terminal
}

#[test]
fn the_terminal_is_raw_while_the_container_runs() {
    let Some(shallop) = ready(&["busybox"]) else { return };
    let mut shell = busybox(&shallop);
    assert!(!shell.is_cooked());
    shell.line("exit 4");
    assert_eq!(shell.wait(), 4);
    assert!(shell.is_cooked());
}

#[test]
fn signals_reach_the_first_process() {
    let Some(shallop) = ready(&["busybox"]) else { return };
    for (name, signal) in [("TERM", Signal::TERM), ("INT", Signal::INT), ("HUP", Signal::HUP), ("USR1", Signal::USR1)] {
        let mut terminal = running(&shallop, &format!("trap 'echo got {name}; exit 9' {name}"));
        terminal.signal(signal);
        terminal.expect(&format!("got {name}\r\n"));
        assert_eq!(terminal.wait(), 9, "{name}");
        assert!(terminal.is_cooked(), "{name}");
    }
}

#[test]
fn the_third_request_ends_who_does_not_listen() {
    let Some(shallop) = ready(&["busybox"]) else { return };
    let mut terminal = running(&shallop, "trap 'echo no' TERM");
    for _ in 0..2 {
        terminal.signal(Signal::TERM);
        terminal.expect("no\r\n");
    }
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.wait(), 137);
    assert!(terminal.is_cooked());
}

#[test]
fn a_killed_worker_is_a_killed_container() {
    let Some(shallop) = ready(&["busybox"]) else { return };
    let name = format!("killed-{}", std::process::id());
    let script = "echo up; sleep 1000";
    let run = ["run", "-it", "--name", &name, "catalog/busybox", "sh", "-c", script];
    let mut terminal = Terminal::shallop(&shallop, &run);
    terminal.expect("up\r\n");
    let workers = workers(terminal.pid());
    assert_eq!(workers.len(), 1, "{workers:?}");
    kill_process(Pid::from_raw(workers[0] as i32).expect("a process id"), Signal::KILL).expect("kill the worker");
    assert_eq!(terminal.wait(), 137);
    assert!(terminal.is_cooked());
    let listed = shallop.run(&["ps", "-a"]).expect_code(0);
    let line = listed.stdout.lines().find(|line| line.contains(&name)).unwrap_or_default().to_owned();
    shallop.run(&["rm", &name]).expect_code(0);
    assert!(line.contains("Exited (137)"), "{}", listed.outputs());
}

#[test]
fn a_signal_to_the_whole_group_leaves_the_worker_to_its_supervisor() {
    let Some(shallop) = ready(&["busybox"]) else { return };
    let mut terminal = running(&shallop, "trap 'echo got it; exit 9' TERM");
    for pid in workers(terminal.pid()) {
        kill_process(Pid::from_raw(pid as i32).expect("a process id"), Signal::TERM).expect("signal the worker");
    }
    terminal.signal(Signal::TERM);
    terminal.expect("got it");
    assert_eq!(terminal.wait(), 9);
}

#[test]
fn a_terminal_that_goes_away_takes_the_container_along() {
    let Some(shallop) = ready(&["busybox"]) else { return };
    let terminal = running(&shallop, "");
    let workers = workers(terminal.pid());
    assert_eq!(workers.len(), 1, "{workers:?}");
    let mut left = terminal.close();
    let end = Instant::now() + Duration::from_secs(60);
    while left.try_wait().expect("wait for a child").is_none() {
        assert!(Instant::now() < end, "shallop goes on without its terminal");
        thread::sleep(Duration::from_millis(10));
    }
    assert!(!fs::exists(format!("/proc/{}", workers[0])).expect("look for the worker"), "the worker is left");
}
