//! Translators that hang, die of their limits or cannot write: programs run on, and say the same.

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use shallop_config::{Dirs, env};
use shallop_test_support::oracle::skip;
use shallop_test_support::processes::translators;
use shallop_test_support::{Shallop, command};

use crate::home::{self, BASE};

const LIMIT: Duration = Duration::from_secs(240);

/// Long enough for a translator to be met at its work.
const COUNT: &str = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo $i";

fn arguments() -> [&'static str; 6] {
    ["run", "--rm", BASE, "sh", "-c", COUNT]
}

/// Does something to each translator of a command while that runs; how many there were.
fn disturb(shallop: &Shallop, mut running: Child, mut act: impl FnMut(Pid)) -> usize {
    let mut met = Vec::new();
    while running.try_wait().expect("look at a child").is_none() {
        for pid in translators(shallop.home()).into_iter().filter_map(|pid| Pid::from_raw(pid as i32)) {
            if !met.contains(&pid) {
                act(pid);
                met.push(pid);
            }
        }
        sleep(Duration::from_millis(2));
    }
    let mut text = String::new();
    std::io::Read::read_to_string(&mut running.stdout.take().expect("stdout is piped"), &mut text).expect("read it");
    let (status, timed_out) = command::wait(running, LIMIT);
    assert!(status.success() && !timed_out);
    assert_eq!(text, "20000\n");
    met.len()
}

#[test]
fn a_translator_that_hangs_is_not_waited_for() {
    let Some(shallop) = home::new() else { return };
    home::forget_translations(&shallop);
    let mut stopped = Vec::new();
    let met = disturb(&shallop, shallop.start(&arguments()), |pid| {
        // It may have ended by itself.
        let _ = kill_process(pid, Signal::STOP);
        stopped.push(pid);
    });
    assert!(met > 0, "no translator was met");
    home::works(&shallop);
    for pid in stopped {
        let _ = kill_process(pid, Signal::KILL);
    }
    home::clean(&shallop);
}

#[test]
fn a_translator_without_memory_only_costs_time() {
    let Some(shallop) = home::new() else { return };
    home::forget_translations(&shallop);
    let met = disturb(&shallop, shallop.start(&arguments()), |pid| {
        let none = Rlimit { current: Some(1 << 20), maximum: Some(1 << 20) };
        let _ = prlimit(Some(pid), Resource::As, none);
    });
    assert!(met > 0, "no translator was met");
    home::works(&shallop);
    home::clean(&shallop);
}

#[test]
fn a_cache_that_cannot_be_written_only_costs_time() {
    let Some(shallop) = home::new() else { return };
    home::forget_translations(&shallop);
    let cache = Dirs::below(shallop.home()).translations();
    std::fs::create_dir_all(&cache).expect("make the cache");
    for options in ["ro", "size=64k", "size=4m"] {
        let mut unshare = Command::new("unshare");
        let script = "mount -t tmpfs -o \"$1\" none \"$2\" || exit 77; shift 2; exec \"$@\"";
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", options]);
        unshare.arg(&cache).arg(shallop.binary()).args(arguments());
        shallop.set_environment(&mut unshare);
        // Tasks wait for their code, so that it is what runs.
        unshare.env(env::SHALLOP_TEST_HOT.name, "50");
        let done = command::run(&mut unshare, b"", LIMIT);
        if done.code != 0 && !done.stderr.is_empty() && done.stderr.contains("unshare") || done.code == 77 {
            return skip("crash", "a user namespace with tmpfs", "mount is not allowed");
        }
        assert_eq!(done.expect_code(0).stdout, "20000\n", "{options}");
    }
    home::works(&shallop);
}

#[test]
fn two_commands_share_a_cache() {
    let Some(shallop) = home::new() else { return };
    for _ in 0..3 {
        home::forget_translations(&shallop);
        let start = || {
            let mut command = shallop.command(&arguments());
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
            command.spawn().expect("start shallop")
        };
        let (first, second) = (start(), start());
        // One of them loses its translator, in the middle of something.
        let mut kills = 1;
        disturb(&shallop, first, |pid| {
            if kills > 0 {
                kills -= 1;
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        disturb(&shallop, second, |_| {});
        home::works(&shallop);
    }
    home::clean(&shallop);
}
