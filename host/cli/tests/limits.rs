//! Programs that want more than there is: memory, time, processes, threads, descriptors, disk. The container meets its
//! limit, with an errno or by its end; the host and the next container do not notice.

use rustix::process::{Pid, Signal, kill_process};
use shallop_test_support::shallop::folder;
use shallop_test_support::{Finished, Shallop, command, oracle, workspace};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const BUSYBOX: &str = "catalog/busybox";
const MIB: u64 = 1 << 20;

fn shared(images: &[&str]) -> Option<Shallop> {
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    shallop.needs("limits", images).then_some(shallop)
}

/// The folder with the compiled `tests/limits/bombs.c`, where there is a compiler for it.
fn bombs() -> Option<PathBuf> {
    let compiler = "riscv64-linux-gnu-gcc";
    if !oracle::oracle("limits", &[(compiler, "gcc-riscv64-linux-gnu")]) {
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("limits").join(std::process::id().to_string());
    fs::create_dir_all(&folder).expect("create the folder of programs");
    let program = folder.join(format!("bombs-{:?}", std::thread::current().id()));
    let source = workspace().join("tests/limits/bombs.c");
    let mut gcc = Command::new(compiler);
    gcc.args(["-std=gnu11", "-O1", "-static", "-pthread"]).arg(source).arg("-o").arg(&program);
    command::run(&mut gcc, b"", Duration::from_secs(120)).expect_code(0);
    Some(program)
}

/// Run a mode of the bombs.
fn run_bomb(shallop: &Shallop, program: &Path, flags: &[&str], mode: &[&str]) -> Finished {
    let volume = format!("{}:/bombs:ro", program.display());
    shallop.run(&[&["run", "--rm", "--timeout", "120", "-v", &volume], flags, &[BUSYBOX, "/bombs"], mode].concat())
}

#[test]
fn refusals_are_errnos() {
    let Some(shallop) = shared(&["busybox"]) else { return };
    let Some(program) = bombs() else { return };
    let expect = |mode: &str, wanted: &[&str]| {
        let done = run_bomb(&shallop, &program, &[], &[mode]).expect_code(0);
        let stdout = done.stdout.trim_end();
        assert!(wanted.contains(&stdout), "{mode}: {wanted:?} is wanted\n{}", done.outputs());
    };
    expect("recursion", &["signal 11"]);
    expect("threads", &["EAGAIN after many"]);
    // What runs out first depends on the host: the number of tasks, or of mappings.
    expect("processes", &["EAGAIN after many, all gone\nfork works", "ENOMEM after many, all gone\nfork works"]);
    expect("mappings", &["ENOMEM after many"]);
    expect("space", &["ENOMEM"]);
    expect("descriptors", &["EMFILE after many"]);
}

/// The memory limit ended it, soon.
#[track_caller]
fn expect_memory_end(done: Finished, limit: &str) {
    done.expect_code(137).expect_error(limit).expect_error("--memory raises the limit");
}

#[test]
fn memory_ends_at_its_limit() {
    let Some(shallop) = shared(&["busybox"]) else { return };
    let Some(program) = bombs() else { return };
    expect_memory_end(run_bomb(&shallop, &program, &["--memory", "128m"], &["touch", "8000"]), "128 MiB");
    expect_memory_end(run_bomb(&shallop, &program, &["--memory", "128m"], &["pipes"]), "128 MiB");
    let fits = run_bomb(&shallop, &program, &["--memory", "512m"], &["touch", "300"]).expect_code(0);
    assert_eq!(fits.stdout, "touched all\n");
}

#[test]
fn python_meets_the_limit_too() {
    let Some(shallop) = shared(&["python"]) else { return };
    let script = "kept = []\nwhile True: kept.append(bytearray(1 << 20))";
    let done = shallop.run(&["run", "--rm", "--memory", "64m", "catalog/python", "python3", "-c", script]);
    expect_memory_end(done, "64 MiB");
}

#[test]
fn endless_work_ends_in_time() {
    let Some(shallop) = shared(&["busybox"]) else { return };
    shallop.run(&["run", "--rm", BUSYBOX, "true"]).expect_code(0);
    for script in
        ["while :; do :; done", "f() { f | f & }; f; sleep 100", "sleep 100", "trap '' TERM INT; cat /dev/zero"]
    {
        let begun = Instant::now();
        let done = shallop.run(&[
            "run",
            "--rm",
            "--timeout",
            "1",
            BUSYBOX,
            "sh",
            "-c",
            &format!("{{ {script}; }} >/dev/null"),
        ]);
        done.expect_code(137).expect_error("time was up");
        // Generous: other tests run at the same time.
        assert!(begun.elapsed() < Duration::from_secs(40), "{script}: {:?}", begun.elapsed());
    }
}

/// The worker of a running `shallop run`.
fn worker_of(parent: &Child) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", parent.id())).ok()?;
    Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
}

/// A line of `/proc/PID/status` in bytes.
fn status_bytes(pid: Pid, line: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let number = status.lines().find_map(|text| text.strip_prefix(line))?;
    number.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Bytes that the containers' folders take on disk.
fn containers_bytes(shallop: &Shallop) -> u64 {
    let du = Command::new("du").arg("-sk").arg(shallop.home().join("state/containers")).output().expect("start du");
    let text = String::from_utf8_lossy(&du.stdout).into_owned();
    text.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

/// Reads a child's stdout up to a line.
fn read_to_line(child: &mut Child, line: &str) {
    let stdout = child.stdout.as_mut().expect("stdout is piped");
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(line.as_bytes()) && stdout.read(&mut byte).expect("read") == 1 {
        text.push(byte[0]);
    }
    assert!(text.ends_with(line.as_bytes()), "'{line}' did not come: {}", String::from_utf8_lossy(&text));
}

#[test]
fn a_large_file_is_on_disk_and_goes_with_its_container() {
    let binary = env!("CARGO_BIN_EXE_shallop");
    if !Shallop::shared(binary).needs("limits", &["busybox"]) {
        return;
    }
    let shallop = Shallop::copy_of_shared(binary);
    let script = "dd if=/dev/zero of=/big bs=1M count=1024 2>/dev/null && wc -c </big && echo ready && cat";
    let mut command =
        shallop.command(&["run", "--rm", "-i", BUSYBOX, "sh", "-c", &script.replace("wc -c </big", "stat -c %s /big")]);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("start shallop");
    read_to_line(&mut child, "1073741824\nready\n");
    let worker = worker_of(&child).expect("the worker");
    let anonymous = status_bytes(worker, "RssAnon:").expect("its memory");
    let shared = status_bytes(worker, "RssShmem:").expect("its memory");
    assert!(anonymous + shared < 200 * MIB, "the worker has {} MiB of memory", (anonymous + shared) / MIB);
    assert!(containers_bytes(&shallop) >= 1000 * MIB, "the file is on disk");
    drop(child.stdin.take());
    let (status, timed_out) = command::wait(child, Duration::from_secs(60));
    assert!(status.success() && !timed_out);
    assert!(containers_bytes(&shallop) < MIB, "its disk is free again");
}

#[test]
fn a_hundred_thousand_files() {
    let Some(shallop) = shared(&["busybox"]) else { return };
    let Some(program) = bombs() else { return };
    let done = run_bomb(&shallop, &program, &[], &["files", "100000"]).expect_code(0);
    assert_eq!(done.stdout, "100000 seen\n0 left\n");
}

#[test]
fn a_slow_reader_gets_all_and_costs_no_memory() {
    let Some(shallop) = shared(&["busybox"]) else { return };
    let mut child = shallop.start(&["run", "--rm", BUSYBOX, "dd", "if=/dev/zero", "bs=1M", "count=200"]);
    let mut stdout = child.stdout.take().expect("stdout is piped");
    let mut first = [0; 4096];
    stdout.read_exact(&mut first).expect("the beginning");
    // Nothing else is read until the pipe is full and the writer waits.
    let worker = worker_of(&child).expect("the worker");
    let mut most = 0;
    for _ in 0..20 {
        most = most.max(status_bytes(worker, "RssAnon:").unwrap_or(0));
        std::thread::yield_now();
    }
    let mut rest = 0;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match stdout.read(&mut buffer).expect("read") {
            0 => break,
            n => rest += n as u64,
        }
    }
    assert_eq!(rest + 4096, 200 * MIB);
    assert!(most < 100 * MIB, "the worker has {} MiB", most / MIB);
    assert!(command::wait(child, Duration::from_secs(60)).0.success());
}

#[test]
fn a_fork_bomb_leaves_the_host_and_others_alone() {
    let Some(shallop) = shared(&["busybox"]) else { return };
    let mut bomb = shallop.start(&[
        "run",
        "--rm",
        "--timeout",
        "100",
        BUSYBOX,
        "sh",
        "-c",
        "echo go; f() { f | f & }; f; sleep 100",
    ]);
    read_to_line(&mut bomb, "go\n");
    let worker = worker_of(&bomb).expect("the worker");
    for _ in 0..3 {
        let other = shallop.run(&["run", "--rm", BUSYBOX, "sh", "-c", "echo other | cat"]).expect_code(0);
        assert_eq!(other.stdout, "other\n");
        // Whatever is inside, outside there is one process.
        let children =
            fs::read_to_string(format!("/proc/{0}/task/{0}/children", worker.as_raw_nonzero())).unwrap_or_default();
        assert!(children.trim().is_empty(), "{children}");
    }
    kill_process(Pid::from_child(&bomb), Signal::KILL).expect("kill it");
    let (_, timed_out) = command::wait(bomb, Duration::from_secs(60));
    assert!(!timed_out);
    // The worker goes with its supervisor.
    let ends = Instant::now() + Duration::from_secs(60);
    while Path::new(&format!("/proc/{}/fd/0", worker.as_raw_nonzero())).exists() {
        assert!(Instant::now() < ends, "the worker stays");
        std::thread::yield_now();
    }
    shallop.run(&["run", "--rm", BUSYBOX, "true"]).expect_code(0);
}

#[test]
fn the_disk_ends_at_its_limit() {
    let Some(shallop) = shared(&["busybox"]) else { return };
    let script = "df -m / | tail -1 | awk '{print $2}'; dd if=/dev/zero of=/big bs=1M count=64; \
                  echo dd: $?; rm /big; echo small >/small && cat /small";
    let done = shallop.run(&["run", "--rm", "--disk", "16m", BUSYBOX, "sh", "-c", script]).expect_code(0);
    assert_eq!(done.stdout, "16\ndd: 1\nsmall\n", "{}", done.outputs());
    let done = done.expect_error("No space left on device");
    done.expect_error("the container used all of its 16 MiB of disk (--disk raises the limit)");
    let done = shallop.run(&["run", "--rm", "--disk", "10k", BUSYBOX, "true"]);
    done.expect_code(125).expect_error("invalid argument \"10k\" for --disk");
    // Names take room, too.
    let script = "i=0; while : >/file-with-a-name-of-some-length-$i; do i=$((i+1)); done 2>/dev/null; echo full";
    let done = shallop.run(&["run", "--rm", "--disk", "1m", "--timeout", "100", BUSYBOX, "sh", "-c", script]);
    done.expect_error("(--disk raises the limit)");
}

/// Build an image of one `RUN`.
fn step(shallop: &Shallop, flags: &[&str], command: &str) -> Finished {
    let dockerfile = format!("FROM catalog.internal/busybox\nRUN {command}\n");
    let context = folder();
    let context = context.path().to_string_lossy().into_owned();
    let fixed = ["build", "--no-cache", "--progress", "plain", "-f", "-"];
    shallop.run_with(&[&fixed[..], flags, &[&context]].concat(), dockerfile.as_bytes())
}

#[test]
fn build_steps_meet_their_limits() {
    let binary = env!("CARGO_BIN_EXE_shallop");
    if !Shallop::shared(binary).needs("limits", &["busybox"]) {
        return;
    }
    let shallop = Shallop::copy_of_shared(binary);
    let done = step(&shallop, &["--memory", "64m"], "x=aaaaaaaa; while :; do x=$x$x; done");
    done.expect_code(1).expect_error("the step was ended: it used more than its 64 MiB of memory (--memory raises");
    for endless in ["while :; do :; done", "f() { f | f & }; f; sleep 100"] {
        let done = step(&shallop, &["--timeout", "1"], endless);
        done.expect_code(1).expect_error("the step was ended: its time was up after 1 s (--timeout raises the limit)");
    }
    let done = step(&shallop, &["--disk", "8m"], "dd if=/dev/zero of=/big bs=1M count=64");
    let done = done.expect_code(1).expect_error("No space left on device");
    done.expect_error("the step used all of its 8 MiB of disk (--disk raises the limit)");
    let done = step(&shallop, &["--log-limit", "64k"], "yes a-flood-of-words | head -c 20000000; exit 3");
    let done = done.expect_code(1).expect_error("[output clipped, log limit 64 KiB reached; --log-limit raises it]");
    assert!(done.stderr.len() < 1 << 20, "{} bytes were shown", done.stderr.len());
    let forks = "i=0; while [ $i -lt 5000 ]; do sleep 100 & i=$((i+1)); done";
    let done = step(&shallop, &[], forks).expect_code(1).expect_error("Resource temporarily unavailable");
    done.expect_error("the step had as many processes and threads as it may have (4096)");
    let forks = "sleep 9 & sleep 9 & sleep 9 & sleep 9 & sleep 9";
    let done =
        step(&shallop, &["--pids-limit", "3"], forks).expect_code(1).expect_error("Resource temporarily unavailable");
    done.expect_error(
        "as it may have (3), or as this machine's vm.max_map_count has room for (--pids-limit raises the first)",
    );
    step(&shallop, &["--pids-limit", "-1"], "cat /sys/fs/cgroup/pids.max; sleep 0 & wait")
        .expect_code(0)
        .expect_error("65536");
    let left = fs::read_dir(shallop.home().join("state/steps")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "files of steps are left");
    step(&shallop, &[], "true").expect_code(0);
}
