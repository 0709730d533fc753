//! Bad Dockerfiles and odd build contexts: one message that names the file and the line, and nothing is tagged.

use shallop_test_support::shallop::folder;
use shallop_test_support::{Finished, Shallop};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

/// The shared home, where there is busybox.
fn shared() -> Option<Shallop> {
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    shallop.needs("bad_builds", &["busybox"]).then_some(shallop)
}

/// Build `dockerfile` in `context` and tag it with a name of this process.
fn build(shallop: &Shallop, context: &Path, dockerfile: &[u8], tag: &str) -> Finished {
    fs::write(context.join("Dockerfile"), dockerfile).expect("write a Dockerfile");
    let tag = format!("bad-builds-{tag}-{}", std::process::id());
    shallop.run_in(context, &["build", "--no-cache", "--progress", "plain", "-t", &tag, "."])
}

/// Forget the image of [`build`].
fn forget(shallop: &Shallop, tag: &str) {
    shallop.run(&["rmi", "-f", &format!("bad-builds-{tag}-{}", std::process::id())]);
}

/// What must hold of every failure.
#[track_caller]
fn expect_clean_failure(done: &Finished) {
    assert!(!done.timed_out, "it hangs\n{}", done.outputs());
    assert!(done.code != 0 && done.code < 128, "code {}\n{}", done.code, done.outputs());
    assert!(!done.outputs().contains("panicked"), "{}", done.outputs());
    let messages = done.stderr.lines().filter(|line| line.starts_with("shallop: ")).count();
    assert_eq!(messages, 1, "one message\n{}", done.outputs());
}

/// Line 1 is a good FROM; what follows is wrong. The number of the line that the message names, and a part of it.
const BAD_LINES: &[(&str, u32, &str)] = &[
    ("FROMM x\n", 2, "unknown instruction: FROMM"),
    ("ENV A=\"x\n", 2, "double-quote"),
    ("COPY nothing /x\n", 2, "\"/nothing\": not found"),
    ("COPY ../../../etc/shadow /x\n", 2, "not found"),
    ("COPY /etc/shadow /x\n", 2, "not found"),
    ("COPY --from=nowhere /a /b\n", 2, "nowhere"),
    ("COPY --from=7 /a /b\n", 2, "7"),
    ("COPY --nothing=1 a b\n", 2, "nothing"),
    ("COPY a\n", 2, "COPY requires"),
    ("RUN <<EOF\necho hi\n", 2, "heredoc"),
    ("RUN true\nRUN exit 7\n", 3, "exit code: 7"),
    ("RUN echo \0\n", 2, "NUL"),
    ("WORKDIR\n", 2, "WORKDIR requires"),
    ("EXPOSE 99999999\n", 2, "99999999"),
    ("USER nobody-here\nRUN true\n", 3, "exit code"),
    ("SHELL sh\n", 2, "SHELL"),
    ("STOPSIGNAL\n", 2, "STOPSIGNAL"),
    ("FROM nothing:9\n", 2, "nothing:9"),
    ("FROM --platform=linux/amd64 catalog/busybox\n", 2, "linux/amd64"),
    ("FROM a b c\n", 2, "FROM requires"),
    ("ONBUILD FROM x\n", 2, "ONBUILD"),
];

#[test]
fn each_bad_line_is_named() {
    let Some(shallop) = shared() else { return };
    let context = folder();
    for (text, line, part) in BAD_LINES {
        let done = build(&shallop, context.path(), format!("FROM catalog/busybox\n{text}").as_bytes(), "line");
        expect_clean_failure(&done);
        let place = format!("Dockerfile:{line}:");
        assert!(
            done.stderr.contains(&place) && done.stderr.contains(part),
            "{text:?}: {place} {part}\n{}",
            done.stderr
        );
    }
    assert!(!shallop.has(&format!("bad-builds-line-{}", std::process::id())));
}

#[test]
fn what_is_no_dockerfile_is_named() {
    let Some(shallop) = shared() else { return };
    let context = folder();
    for (bytes, part) in
        [(&b""[..], "no stages"), (b"# nothing\n", "no stages"), (b"RUN true\n", "FROM"), (b"\xff\xfe\0", "UTF-8")]
    {
        let done = build(&shallop, context.path(), bytes, "none");
        expect_clean_failure(&done);
        assert!(done.stderr.contains("Dockerfile") && done.stderr.contains(part), "{part}\n{}", done.stderr);
    }
    fs::remove_file(context.path().join("Dockerfile")).expect("remove it");
    let missing = shallop.run_in(context.path(), &["build", "."]);
    expect_clean_failure(&missing);
    missing.expect_error("Dockerfile").expect_error("no such file");
    fs::create_dir(context.path().join("Dockerfile")).expect("a folder in its place");
    expect_clean_failure(&shallop.run_in(context.path(), &["build", "."]));
    let nowhere = shallop.run_in(context.path(), &["build", "/nothing/here"]);
    expect_clean_failure(&nowhere);
    nowhere.expect_error("/nothing/here");
}

#[test]
fn names_of_all_kinds_are_copied() {
    let Some(shallop) = shared() else { return };
    let context = folder();
    let odd = context.path().join("odd");
    fs::create_dir(&odd).expect("create a folder");
    let long = "l".repeat(255);
    let names =
        ["sp ace", "new\nline", "-dash", "qu\"ote'", "ünïcode", "*", "?", "[x]", "back\\slash", "$HOME", "#", &long];
    for name in names {
        fs::write(odd.join(name), name).expect("write a file");
    }
    for target in ["/nothing/here", "dangling", "/etc/passwd", "../../../../etc/passwd"] {
        std::os::unix::fs::symlink(target, odd.join(format!("link{}", target.len()))).expect("make a link");
    }
    rustix::fs::mknodat(rustix::fs::CWD, odd.join("fifo"), rustix::fs::FileType::Fifo, 0o644.into(), 0)
        .expect("a fifo");
    let _socket = UnixListener::bind(odd.join("socket")).expect("a socket");
    let check = "FROM catalog/busybox\nCOPY odd /odd\n\
        RUN test -p /odd/fifo && test ! -e /odd/socket && test \"$(readlink /odd/link11)\" = /etc/passwd\n\
        RUN ls /odd | wc -l && cat '/odd/sp ace' '/odd/*' /odd/-dash /odd/\\[x\\]\n";
    let done = build(&shallop, context.path(), check.as_bytes(), "odd").expect_code(0);
    let listed = format!(" {}\n", names.len() + 4 + 1);
    assert!(done.outputs().contains(&listed), "{listed}\n{}", done.outputs());
    assert!(done.outputs().contains("sp ace*-dash[x]"), "{}", done.outputs());
    forget(&shallop, "odd");
}

#[test]
fn names_that_no_layer_can_hold_are_named() {
    let Some(shallop) = shared() else { return };
    let context = folder();
    let odd = context.path().join("odd");
    fs::create_dir(&odd).expect("create a folder");
    let text = b"FROM catalog/busybox\nCOPY odd /odd\n";
    let bad = odd.join(std::ffi::OsStr::from_bytes(b"\xff\xfe"));
    fs::write(&bad, b"x").expect("write a file");
    let done = build(&shallop, context.path(), text, "odd");
    expect_clean_failure(&done);
    done.expect_error("Dockerfile:2").expect_error(r"odd/\xff\xfe");
    fs::rename(&bad, odd.join(".wh.passwd")).expect("rename it");
    let done = build(&shallop, context.path(), text, "odd");
    expect_clean_failure(&done);
    done.expect_error("Dockerfile:2").expect_error("odd/.wh.passwd");
    // What is ignored cannot be wrong.
    fs::write(context.path().join(".dockerignore"), "odd/.wh*\n").expect("write it");
    build(&shallop, context.path(), text, "ignored").expect_code(0);
    forget(&shallop, "ignored");
    fs::write(context.path().join(".dockerignore"), b"\xff\xfe\n").expect("write it");
    let done = build(&shallop, context.path(), text, "odd");
    expect_clean_failure(&done);
    done.expect_error(".dockerignore");
}

#[test]
fn ten_thousand_files_are_copied() {
    let Some(shallop) = shared() else { return };
    let context = folder();
    for n in 0..100 {
        let part = context.path().join(format!("many/{n}"));
        fs::create_dir_all(&part).expect("create a folder");
        (0..100).for_each(|m| fs::write(part.join(m.to_string()), [n as u8]).expect("write a file"));
    }
    let text = b"FROM catalog/busybox\nCOPY many /many\nRUN find /many -type f | wc -l\n";
    let done = build(&shallop, context.path(), text, "many").expect_code(0);
    assert!(done.outputs().contains(" 10000\n"), "{}", done.outputs());
    forget(&shallop, "many");
}

/// A generator of bytes that look a little like a Dockerfile.
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % below
    }

    fn dockerfile(&mut self) -> Vec<u8> {
        const WORDS: &[&str] = &[
            "FROM ",
            "COPY ",
            "RUN ",
            "ENV ",
            "ARG ",
            "--from=",
            "--mount=",
            "<<EOF",
            "EOF",
            "\n",
            "\n",
            "\\\n",
            "\"",
            "'",
            "[",
            "]",
            "$",
            "${",
            "}",
            ":-",
            "#",
            "# syntax=",
            "# escape=`\n",
            "\t",
            " ",
            "=",
            "/",
            "..",
            "a",
            "b",
            "catalog/busybox",
            " AS ",
            "ADD ",
            "\r\n",
            "\0",
            "\u{feff}",
            "é",
            "CMD ",
            "HEALTHCHECK ",
            "ONBUILD ",
            "SHELL ",
            "USER ",
            "VOLUME ",
            "LABEL ",
            "--chown=",
        ];
        let mut bytes = Vec::new();
        for _ in 0..1 + self.next(60) {
            match self.next(20) {
                0 => bytes.push(self.next(256) as u8),
                _ => bytes.extend(WORDS[self.next(WORDS.len())].as_bytes()),
            }
        }
        bytes
    }
}

#[test]
fn noise_never_panics() {
    let Some(shallop) = shared() else { return };
    let context = folder();
    let mut noise = Noise(1);
    for round in 0..300 {
        let text = noise.dockerfile();
        fs::write(context.path().join("Dockerfile"), &text).expect("write a Dockerfile");
        let done = shallop.run_in(context.path(), &["build", "."]);
        if done.code != 0 {
            assert!(!done.outputs().contains("panicked"), "round {round}: {text:?}\n{}", done.outputs());
            expect_clean_failure(&done);
        }
    }
}

#[test]
fn sizes_that_nobody_writes_work_or_are_named() {
    let Some(shallop) = shared() else { return };
    let context = folder();
    let lines = |line: &str, count: usize| format!("FROM catalog/busybox\n{}", line.repeat(count)).into_bytes();
    build(&shallop, context.path(), &lines("ENV A=b\n", 5_000), "huge").expect_code(0);
    forget(&shallop, "huge");
    let continued = format!("FROM catalog/busybox\nRUN true {}\n", "\\\n x".repeat(20_000));
    build(&shallop, context.path(), continued.as_bytes(), "huge").expect_code(0);
    forget(&shallop, "huge");
    let cases = [
        format!("FROM catalog/busybox\nENV A={}\n", "${A:-".repeat(100_000)),
        format!("FROM catalog/busybox\nCMD {}\n", "[".repeat(200_000)),
        format!("FROM catalog/busybox\nENV A=x\n{}", "ENV A=$A$A$A$A\n".repeat(40)),
        format!("FROM catalog/busybox\nENV A=\"{}\n", "x".repeat(5 << 20)),
        format!("FROM catalog/busybox\nWORKDIR /{}\n", "d/".repeat(50_000)),
        (0..5_000).map(|n| format!("FROM catalog/busybox AS s{n}\n")).collect::<String>()
            + "COPY --from=s0 /nothing /\n",
    ];
    for text in cases {
        let done = build(&shallop, context.path(), text.as_bytes(), "huge");
        assert!(!done.timed_out && done.code < 2, "{}\n{}", &text[..60], done.code);
        if done.code != 0 {
            expect_clean_failure(&done);
            let message = done.stderr.find("shallop: ").map_or("", |at| &done.stderr[at..]);
            assert!(message.len() < 10_000, "a message of {} bytes for {}", message.len(), &text[..60]);
        }
        forget(&shallop, "huge");
    }
}
