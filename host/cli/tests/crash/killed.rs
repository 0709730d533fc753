//! Commands that are killed at any moment.

use std::fs;
use std::io::Read;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use shallop_store::GcOptions;
use shallop_test_support::processes::{all_end, descendants};
use shallop_test_support::{Finished, Shallop, command};
use tempfile::TempDir;

use crate::home::{self, BASE, clean, store, works};

const LIMIT: Duration = Duration::from_secs(60);

/// Every file has a fixed time, so that the image's ID tells whether its content is right.
const DOCKERFILE: &str = "ARG SOURCE_DATE_EPOCH=1000000000
FROM shallop-test/base AS make
WORKDIR /w
COPY data.txt .
RUN i=0; while [ $i -lt 20 ]; do echo $i > f$i; i=$((i+1)); done; touch -d @1000000000 * .
RUN cat f* data.txt > all; touch -d @1000000000 all .
FROM shallop-test/base
COPY --from=make /w/all /all
RUN mkdir /d && cat /all /all > /d/twice && touch -d @1000000000 /d/twice /d /
RUN cp /d/twice /d/again && touch -d @1000000000 /d/again /d
";

/// A home of its own with one image, and a context to build.
struct Case {
    shallop: Shallop,
    folder: TempDir,
    /// What a build of the context gives.
    image: String,
    /// How long that takes.
    takes: Duration,
}

impl Case {
    /// `None` where the images cannot be had.
    fn new() -> Option<Case> {
        let shallop = home::new()?;
        let folder = shallop_test_support::shallop::folder();
        fs::write(folder.path().join("Dockerfile"), DOCKERFILE).unwrap();
        fs::write(folder.path().join("data.txt"), "data\n".repeat(1000)).unwrap();
        let mut case = Case { shallop, folder, image: String::new(), takes: Duration::ZERO };
        let begun = Instant::now();
        case.image = case.build();
        case.takes = begun.elapsed();
        Some(case)
    }

    /// Builds to the end; the image's ID.
    fn build(&self) -> String {
        self.shallop.run_in(self.folder.path(), &["build", "-q", "-t", "made", "."]).expect_code(0).stdout
    }

    /// Begins a build that has nothing in the cache.
    fn start(&self) -> Child {
        let everything =
            GcOptions { dangling_images: true, build_cache_older_than: Some(Duration::ZERO), ..GcOptions::default() };
        self.shallop.run(&["rmi", "made"]).expect_code(0);
        store(&self.shallop).gc(&everything).unwrap();
        let mut command = self.shallop.command(&["build", "-q", "-t", "made", "."]);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("start shallop")
    }

    /// After a build was killed.
    fn check(&self, when: Duration) {
        works(&self.shallop);
        assert_eq!(self.build(), self.image, "killed after {when:?}");
        clean(&self.shallop);
    }
}

/// Kills a command, wherever it is, and waits for the processes it had.
fn kill(child: Child) -> Finished {
    let pid = Pid::from_child(&child);
    // Stopped first: it starts nothing between the look at its children and its end.
    kill_process(pid, Signal::STOP).expect("stop a child of this process");
    let below = descendants(child.id());
    kill_process(pid, Signal::KILL).expect("kill a child of this process");
    let ended = end(child);
    all_end(&below);
    ended
}

fn end(mut child: Child) -> Finished {
    let mut stderr = String::new();
    let errors = child.stderr.take();
    let (status, timed_out) = command::wait(child, LIMIT);
    let _ = errors.map(|mut errors| errors.read_to_string(&mut stderr));
    Finished { code: command::code(status), timed_out, stdout: String::new(), stderr }
}

#[test]
fn a_build_can_be_killed_at_any_moment() {
    const MOMENTS: u32 = 20;
    let Some(case) = Case::new() else { return };
    for moment in 0..MOMENTS {
        let when = case.takes * moment / MOMENTS;
        let build = case.start();
        thread::sleep(when);
        kill(build);
        case.check(when);
    }
}

#[test]
fn a_steps_worker_can_be_killed_at_any_moment() {
    const MOMENTS: u32 = 6;
    let Some(case) = Case::new() else { return };
    for moment in 0..MOMENTS {
        let when = case.takes * moment / MOMENTS;
        let mut build = case.start();
        thread::sleep(when);
        let mut killed = false;
        while !killed && build.try_wait().unwrap().is_none() {
            for worker in descendants(build.id()) {
                let pid = Pid::from_raw(worker as i32).expect("a process has a number");
                killed |= kill_process(pid, Signal::KILL).is_ok();
            }
        }
        let ended = end(build);
        assert!(!ended.timed_out);
        // The worker may have done its work when it was killed.
        assert!(matches!(ended.code, 0 | 1), "{}", ended.outputs());
        assert_eq!(ended.code == 1, ended.stderr.contains("shallop: "), "{}", ended.outputs());
        case.check(when);
    }
}

#[test]
fn a_run_can_be_killed_at_any_moment() {
    const MOMENTS: u32 = 6;
    let Some(case) = Case::new() else { return };
    let begun = Instant::now();
    case.shallop.run(&["run", "--rm", BASE, "true"]).expect_code(0);
    let takes = begun.elapsed();
    for moment in 0..MOMENTS {
        let run = case.shallop.start(&["run", "--name", "killed", BASE, "sh", "-c", "while :; do echo > /f; done"]);
        let when = takes * 2 * moment / MOMENTS;
        thread::sleep(when);
        kill(run);
        let listed = case.shallop.run(&["ps", "-a"]).expect_code(0).stdout;
        // Killed early, it had not come so far as to make a container, or to start it.
        if let Some(line) = listed.lines().find(|line| line.contains("killed")) {
            assert!(line.contains("Exited (137)") || line.contains("Created"), "{line}");
            assert!(moment < MOMENTS / 2 || line.contains("Exited (137)"), "{line}");
            case.shallop.run(&["rm", "killed"]).expect_code(0);
        }
        // What was to be removed at its end is removed by the next one.
        let mut run = case.shallop.start(&["run", "--rm", BASE, "sh", "-c", "echo ready; sleep 100"]);
        run.stdout.as_mut().expect("stdout is piped").read_exact(&mut [0; 6]).expect("it is ready");
        kill(run);
        works(&case.shallop);
        clean(&case.shallop);
    }
}

#[test]
fn a_catalog_build_can_be_killed_at_any_moment() {
    const MOMENTS: u32 = 5;
    let Some(case) = Case::new() else { return };
    let shallop = &case.shallop;
    let build = ["catalog", "build", "busybox"];
    let begun = Instant::now();
    if !home::has_packages(shallop) {
        return;
    }
    let takes = begun.elapsed();
    for moment in 0..MOMENTS {
        let child = shallop.start(&build);
        thread::sleep(takes * moment / MOMENTS);
        kill(child);
        works(shallop);
    }
    shallop.run(&build).expect_code(0);
    let ran = shallop.run(&["run", "--rm", "catalog.internal/busybox", "echo", "runs"]).expect_code(0);
    assert_eq!(ran.stdout, "runs\n");
    clean(shallop);
}
