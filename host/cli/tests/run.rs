//! `shallop run` as a user knows it from Docker: exit codes, environment, folders, users, entry points, stdin.

use shallop_test_support::{Finished, Shallop};

const BUSYBOX: &str = "catalog.internal/busybox";

/// The shared home with busybox, or nothing where it cannot be had.
fn busybox() -> Option<Shallop> {
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    shallop.needs("run", &["busybox"]).then_some(shallop)
}

/// `shallop run --rm <flags> busybox <command>`.
fn run(shallop: &Shallop, flags: &[&str], command: &[&str]) -> Finished {
    shallop.run(&[&["run", "--rm"], flags, &[BUSYBOX], command].concat())
}

/// What a shell script prints when it ends well.
#[track_caller]
fn prints(shallop: &Shallop, flags: &[&str], script: &str) -> String {
    run(shallop, flags, &["sh", "-c", script]).expect_code(0).stdout
}

#[test]
fn exit_codes_are_dockers() {
    let Some(shallop) = busybox() else { return };
    let code = |command: &[&str], code: i32| run(&shallop, &[], command).expect_code(code);
    code(&["true"], 0);
    code(&["sh", "-c", "exit 3"], 3);
    code(&["sh", "-c", "exit 255"], 255);
    code(&["sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137);
    // As on Linux, the first process of a container cannot kill itself.
    code(&["sh", "-c", "kill -9 $$; exit 5"], 5);
    code(&["no-such-program"], 127).expect_error("no-such-program");
    code(&["/etc"], 126);
    code(&["/etc/passwd"], 126).expect_error("/etc/passwd");
    shallop.run(&["run", "--rm", "--no-such-flag", BUSYBOX]).expect_code(125).expect_error("--no-such-flag");
    shallop.run(&["run"]).expect_code(125);
}

#[test]
fn a_missing_image_is_told() {
    let Some(shallop) = busybox() else { return };
    let done = shallop.run(&["run", "--rm", "catalog.internal/no-such-image", "true"]).expect_code(125);
    done.expect_error("no-such-image");
    shallop.run(&["run", "--rm", "not a name", "true"]).expect_code(125).expect_error("invalid reference format");
}

#[test]
fn hello_world_needs_no_system() {
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    let done = shallop.run(&["run", "--rm", "catalog.internal/hello-world"]).expect_code(0);
    assert!(done.stdout.to_lowercase().contains("hello"), "{}", done.outputs());
    let short = shallop.run(&["run", "--rm", "catalog/hello-world"]).expect_code(0);
    assert_eq!(done.stdout, short.stdout);
}

#[test]
fn a_module_that_nobody_reads_ends_quietly() {
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = shallop.command(&["run", "--rm", "catalog/hello-world"]);
    let child = command.stdout(writer).stderr(std::process::Stdio::piped()).spawn().expect("it starts");
    let done = child.wait_with_output().expect("it ends");
    assert_eq!((done.status.code(), String::from_utf8_lossy(&done.stderr)), (Some(141), "".into()));
}

#[test]
fn environment() {
    let Some(shallop) = busybox() else { return };
    let script = "echo \"$A|$EMPTY|${ABSENT-unset}|$SPACES\"";
    let flags = ["-e", "A=one", "--env", "EMPTY=", "-e", "ABSENT", "-e", "SPACES=two  words"];
    assert_eq!(prints(&shallop, &flags, script), "one||unset|two  words\n");
    // A name alone takes the value of the caller; nothing else of the caller's environment goes in.
    let mut command = shallop.command(&["run", "--rm", "-e", "PASSED", BUSYBOX, "sh", "-c", "echo $PASSED/$SECRET"]);
    command.env("PASSED", "on").env("SECRET", "no");
    let done = shallop_test_support::run(&mut command, b"", std::time::Duration::from_secs(120)).expect_code(0);
    assert_eq!(done.stdout, "on/\n");
    let variables = prints(&shallop, &[], "env | cut -d= -f1 | sort | tr '\\n' ' '");
    for name in ["HOME", "HOSTNAME", "PATH"] {
        assert!(variables.split_whitespace().any(|other| other == name), "{name} in {variables}");
    }
    assert!(!variables.contains("SHALLOP"), "{variables}");
}

#[test]
fn working_folder() {
    let Some(shallop) = busybox() else { return };
    assert_eq!(prints(&shallop, &[], "pwd"), "/\n");
    assert_eq!(prints(&shallop, &["-w", "/tmp"], "pwd"), "/tmp\n");
    assert_eq!(prints(&shallop, &["--workdir", "/made/for/this"], "pwd; ls -A"), "/made/for/this\n");
}

#[test]
fn users() {
    let Some(shallop) = busybox() else { return };
    assert_eq!(prints(&shallop, &[], "id -u; id -g"), "0\n0\n");
    assert_eq!(prints(&shallop, &["-u", "1234:567"], "id -u; id -g"), "1234\n567\n");
    assert_eq!(prints(&shallop, &["--user", "root"], "id -un"), "root\n");
    let script = "touch /root-only 2>/dev/null && echo written || echo refused";
    assert_eq!(prints(&shallop, &["-u", "1234"], script), "refused\n");
    assert_eq!(prints(&shallop, &[], script), "written\n");
    run(&shallop, &["-u", "nobody-at-all"], &["true"]).expect_code(125).expect_error("nobody-at-all");
}

#[test]
fn entry_points() {
    let Some(shallop) = busybox() else { return };
    let done = run(&shallop, &["--entrypoint", "echo"], &["one", "two"]).expect_code(0);
    assert_eq!(done.stdout, "one two\n");
    let done = run(&shallop, &["--entrypoint", "/bin/sh"], &["-c", "echo $0 $1", "zero", "-x"]).expect_code(0);
    assert_eq!(done.stdout, "zero -x\n");
    run(&shallop, &["--entrypoint", "nothing-here"], &[]).expect_code(127);
}

#[test]
fn arguments_arrive_unchanged() {
    let Some(shallop) = busybox() else { return };
    let odd = ["a b", "", "*", "$HOME", "--flag", "ünïcode", "tab\there", "'\"\\"];
    let done = run(&shallop, &[], &[&["printf", "[%s]\\n"], &odd[..]].concat()).expect_code(0);
    let expected: String = odd.iter().map(|argument| format!("[{argument}]\n")).collect();
    assert_eq!(done.stdout, expected);
}

#[test]
fn standard_input() {
    let Some(shallop) = busybox() else { return };
    let count = &["run", "--rm", "-i", BUSYBOX, "wc", "-c"];
    let input = vec![b'x'; 1 << 20];
    assert_eq!(shallop.run_with(count, &input).expect_code(0).stdout.trim(), "1048576");
    assert_eq!(shallop.run_with(count, b"").expect_code(0).stdout.trim(), "0");
    // Without -i there is nothing to read.
    let done = shallop.run_with(&["run", "--rm", BUSYBOX, "wc", "-c"], b"not read").expect_code(0);
    assert_eq!(done.stdout.trim(), "0");
    // A program that ends before it has read all is no failure.
    shallop.run_with(&["run", "--rm", "-i", BUSYBOX, "head", "-c", "1"], &input).expect_code(0);
}

#[test]
fn outputs_are_kept_apart() {
    let Some(shallop) = busybox() else { return };
    let done = run(&shallop, &[], &["sh", "-c", "echo out; echo err >&2"]).expect_code(0);
    assert_eq!((&*done.stdout, &*done.stderr), ("out\n", "err\n"));
    let large = prints(&shallop, &[], "seq 1 200000");
    assert_eq!(large.lines().count(), 200_000);
    assert!(large.ends_with("\n200000\n"));
}

#[test]
fn names_and_hosts() {
    let Some(shallop) = busybox() else { return };
    assert_eq!(prints(&shallop, &["-h", "some-host"], "hostname; cat /etc/hostname"), "some-host\nsome-host\n");
    let name = format!("kept-{}", std::process::id());
    shallop.run(&["run", "--name", &name, BUSYBOX, "sh", "-c", "exit 4"]).expect_code(4);
    let listed = shallop.run(&["ps", "-a"]).expect_code(0).stdout;
    let line = listed.lines().find(|line| line.contains(&name)).expect("the container is listed");
    assert!(line.contains("Exited (4)"), "{line}");
    shallop.run(&["run", "--name", &name, BUSYBOX, "true"]).expect_code(125).expect_error(&name);
    shallop.run(&["rm", &name]).expect_code(0);
    assert!(!shallop.run(&["ps", "-a"]).stdout.contains(&name));
}

#[test]
fn containers_do_not_change_their_image() {
    let Some(shallop) = busybox() else { return };
    let script = "ls /added 2>/dev/null; touch /added; rm /bin/true; ls /added";
    for _ in 0..2 {
        assert_eq!(prints(&shallop, &[], script), "/added\n");
    }
}

#[test]
fn networks_and_platforms_that_are_not_there() {
    let Some(shallop) = busybox() else { return };
    run(&shallop, &["--network", "none"], &["true"]).expect_code(0);
    run(&shallop, &["--network", "host"], &["true"]).expect_code(125).expect_error("host");
    run(&shallop, &["--platform", "linux/s390x"], &["true"]).expect_code(125).expect_error("linux/s390x");
    run(&shallop, &["-m", "1k"], &["true"]).expect_code(125).expect_error("6m");
}
