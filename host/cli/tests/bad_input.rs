//! Bad input: damaged files of the store, damaged programs, Dockerfiles and contexts. Each gives one clear message that
//! names what is wrong, and a code that is not zero; nothing panics, hangs, or loses what was there.

use shallop_test_support::shallop::folder;
use shallop_test_support::{Finished, Shallop};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const BUSYBOX: &str = "catalog/busybox";

/// A copy of the shared home that may be damaged, where there is busybox.
fn home() -> Option<Shallop> {
    let binary = env!("CARGO_BIN_EXE_shallop");
    Shallop::shared(binary).needs("bad_input", &["busybox"]).then(|| Shallop::copy_of_shared(binary))
}

/// The shared home, for tests that only read it.
fn shared() -> Option<Shallop> {
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    shallop.needs("bad_input", &["busybox"]).then_some(shallop)
}

/// What must hold of every failure.
#[track_caller]
fn expect_clean_failure(done: &Finished) {
    assert!(!done.timed_out, "it hangs\n{}", done.outputs());
    assert!(done.code != 0, "it succeeds\n{}", done.outputs());
    assert!(done.code < 128, "a signal ended it\n{}", done.outputs());
    assert!(!done.stderr.trim().is_empty(), "it says nothing");
    for word in ["panicked", "RUST_BACKTRACE", "unreachable", "wasm trap", "wasm backtrace"] {
        assert!(!done.outputs().contains(word), "{word}\n{}", done.outputs());
    }
    assert!(done.stderr.lines().count() <= 12, "too many lines\n{}", done.stderr);
}

/// Changes the file at a path, whose content is given.
type Damage = fn(&Path, &[u8]);

/// Ways to damage a file, by name.
const DAMAGE: &[(&str, Damage)] = &[
    ("emptied", |path, _| fs::write(path, b"").expect("damage")),
    ("cut in half", |path, good| fs::write(path, &good[..good.len() / 2]).expect("damage")),
    ("changed at its head", |path, good| write_changed(path, good, 1)),
    ("changed in the middle", |path, good| write_changed(path, good, good.len() / 2)),
    ("changed at its end", |path, good| write_changed(path, good, good.len() - 2)),
    ("removed", |path, _| fs::remove_file(path).expect("damage")),
    ("made a folder", |path, _| {
        fs::remove_file(path).expect("damage");
        fs::create_dir(path).expect("damage");
    }),
];

fn write_changed(path: &Path, good: &[u8], at: usize) {
    let mut bad = good.to_vec();
    let end = bad.len().min(at + 64);
    bad[at..end].iter_mut().for_each(|byte| *byte ^= 0xa5);
    fs::write(path, bad).expect("damage");
}

/// Put a file back, whatever is in its place.
fn restore(path: &Path, good: &[u8]) {
    if path.is_dir() {
        fs::remove_dir_all(path).expect("remove the folder");
    }
    fs::write(path, good).expect("restore");
}

/// What `inspect` tells of busybox: the digest's digits at a JSON pointer.
fn busybox_digest(shallop: &Shallop, pointer: &str) -> String {
    let shown = shallop.run(&["inspect", BUSYBOX]).expect_code(0);
    let value: serde_json::Value = serde_json::from_str(&shown.stdout).expect("inspect prints JSON");
    let digest = value.pointer(pointer).and_then(|digest| digest.as_str()).expect("a digest");
    digest.trim_start_matches("sha256:").to_owned()
}

/// Everything that this reads comes from the layer.
const READ_ALL: &[&str] =
    &["run", "--rm", BUSYBOX, "sh", "-c", "cat /bin/busybox | wc -c; ls -lR /etc >/dev/null; echo fine"];

#[test]
fn damaged_layer_files_are_mended_or_named() {
    let Some(shallop) = home() else { return };
    let hex = busybox_digest(&shallop, "/0/RootFS/Layers/0");
    let layer = shallop.home().join("data/layers").join(&hex);
    for name in ["index", "aligned", "tar"] {
        let path = layer.join(name);
        let good = fs::read(&path).expect("read a layer's file");
        for (how, damage) in DAMAGE {
            damage(&path, &good);
            let done = shallop.run(READ_ALL);
            let context = format!("{name} {how}\n{}", done.outputs());
            assert!(!done.timed_out && done.code < 126, "{context}");
            // What can be made from the tar is made again. A tar of the right length is taken as it is.
            let can_work = name != "tar" || how.starts_with("changed");
            if can_work && done.code == 0 {
                assert!(done.stdout.ends_with("fine\n"), "{context}");
            } else {
                assert!(name == "tar", "{context}");
                expect_clean_failure(&done);
                assert!(done.stderr.contains(&hex), "{context}");
            }
            restore(&path, &good);
        }
    }
    shallop.run(READ_ALL).expect_code(0);
}

#[test]
fn damaged_documents_are_named() {
    let Some(shallop) = home() else { return };
    let hex = busybox_digest(&shallop, "/0/Id");
    let path = shallop.home().join("data/blobs/sha256").join(&hex);
    let good = fs::read(&path).expect("read the configuration");
    for (how, damage) in DAMAGE {
        damage(&path, &good);
        let done = shallop.run(&["run", "--rm", BUSYBOX, "true"]);
        expect_clean_failure(&done);
        assert!(done.stderr.contains(&hex), "{how}\n{}", done.outputs());
        restore(&path, &good);
    }
    shallop.run(&["run", "--rm", BUSYBOX, "true"]).expect_code(0);
}

#[test]
fn damaged_code_is_compiled_again() {
    let Some(shallop) = home() else { return };
    shallop.run(&["run", "--rm", BUSYBOX, "true"]).expect_code(0);
    let folder = shallop.home().join("cache/code");
    let entries = fs::read_dir(folder).expect("read the code cache").map(|entry| entry.expect("an entry").path());
    let is_cpu = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"cpu-"));
    let time = |path: &PathBuf| path.metadata().and_then(|meta| meta.modified()).expect("a time");
    let path = entries.filter(is_cpu).max_by_key(time).expect("the engine's code");
    let good = fs::read(&path).expect("read code");
    for (how, damage) in DAMAGE {
        damage(&path, &good);
        let done = shallop.run(READ_ALL).expect_code(0);
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        assert_eq!(done.stderr.contains(&name), *how != "removed", "{how}\n{}", done.outputs());
    }
}

/// Programs inside that cannot be run.
const BROKEN_PROGRAMS: &str = r##"
try() { chmod +x "$2"; timeout 20 "$2" true >/dev/null 2>/tmp/error; echo "$1 $?"; }
cd /tmp
for n in 64 100 500 5000; do head -c $n /bin/busybox >cut; try "cut$n" ./cut; done
for at in 4 5 6 16 18 32 33 54 129; do
    cp /bin/busybox flipped
    printf '\377' | dd of=flipped bs=1 seek=$at conv=notrunc 2>/dev/null
    try "flip$at" ./flipped
done
printf '#!/tmp/loop\n' >loop && try loop /tmp/loop
printf '#!/tmp/b\n' >a; printf '#!/tmp/a\n' >b; chmod +x b; try mutual /tmp/a
printf '#!/nonexistent\n' >none; try none /tmp/none
head -c 100000 /dev/zero | tr '\0' A >letters; try letters /tmp/letters
i=0
while [ $i -lt 64 ]; do
    cp /bin/busybox random
    head -c 16 /dev/urandom | dd of=random bs=1 seek=$((i * 7)) conv=notrunc 2>/dev/null
    chmod +x random; timeout 20 ./random true >/dev/null 2>&1
    i=$((i + 1))
done
echo alive
"##;

#[test]
fn broken_programs_fail_alone() {
    let Some(shallop) = shared() else { return };
    let done = shallop.run(&["run", "--rm", BUSYBOX, "sh", "-c", BROKEN_PROGRAMS]).expect_code(0);
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(lines.last(), Some(&"alive"), "{}", done.outputs());
    for line in &lines[..lines.len() - 1] {
        // A shell takes what the kernel refuses for a script (POSIX): 126, 127, or 2 for a syntax error.
        let code = line.rsplit(' ').next().expect("a code");
        assert!(matches!(code, "2" | "126" | "127"), "{line}\n{}", done.outputs());
    }
    assert_eq!(lines.len(), 18, "{}", done.outputs());
}

#[test]
fn what_cannot_be_started_says_so() {
    let Some(shallop) = shared() else { return };
    let files = folder();
    let put = |name: &str, bytes: &[u8], mode| {
        let path = files.path().join(name);
        fs::write(&path, bytes).expect("write a program");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set its mode");
    };
    put("garbage", b"\x01\x02\x03 garbage", 0o755);
    put("half", b"\x7fELF\x02\x01\x01", 0o755);
    put("foreign", &fs::read(shallop.binary()).expect("a program of this machine")[..4096], 0o755);
    put("plain", b"#!/bin/sh\n", 0o644);
    put("loop", b"#!/v/loop\n", 0o755);
    let volume = format!("{}:/v", files.path().display());
    let cases = [
        ("/v/garbage", 126, "exec format error"),
        ("/v/half", 126, "exec format error"),
        ("/v/foreign", 126, "exec format error"),
        ("/v/plain", 126, "permission denied"),
        ("/etc", 126, "directory"),
        ("/v/nothing", 127, "no such file"),
        ("nothing", 127, "not found"),
        ("/v/loop", 126, "too many levels of symbolic links"),
    ];
    for (program, code, text) in cases {
        let done = shallop.run(&["run", "--rm", "-v", &volume, BUSYBOX, program]);
        expect_clean_failure(&done);
        done.expect_code(code).expect_error(program).expect_error(text);
    }
}

#[test]
fn broken_modules_are_named() {
    let shallop = Shallop::private(env!("CARGO_BIN_EXE_shallop"));
    let files = folder();
    let header = b"\0asm\x01\0\0\0";
    let mut noise = header.to_vec();
    noise.extend((0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8));
    let modules: [(&str, &[u8]); 6] = [
        ("empty.wasm", b""),
        ("text.wasm", b"garbage"),
        ("half.wasm", b"\0asm"),
        ("cut.wasm", b"\0asm\x01\0\0\0\x01\xff"),
        ("noise.wasm", &noise),
        ("no-start.wasm", header),
    ];
    for (name, bytes) in modules {
        fs::write(files.path().join(name), bytes).expect("write a module");
        let done = shallop.run_in(files.path(), &["run", "--rm", name]);
        expect_clean_failure(&done);
        assert!(done.stderr.contains(name) || name == "no-start.wasm", "{}", done.outputs());
    }
    let done = shallop.run_in(files.path(), &["run", "--rm", "missing.wasm"]);
    expect_clean_failure(&done);
    done.expect_code(125).expect_error("missing.wasm");
}

#[test]
fn what_is_not_there_is_named() {
    let Some(shallop) = shared() else { return };
    let cases: [(&[&str], &[&str]); 6] = [
        (&["nothing:9", "true"], &["nothing:9", "catalog"]),
        (&["alpine", "true"], &["alpine", "--substitute"]),
        (&["BAD NAME", "true"], &["BAD NAME", "lowercase"]),
        (&["--platform", "linux/amd64", BUSYBOX, "true"], &["linux/amd64", "linux/riscv64"]),
        (&["-u", "nobody-here", BUSYBOX, "true"], &["nobody-here"]),
        (&["-m", "12q", BUSYBOX, "true"], &["12q", "k, m"]),
    ];
    for (arguments, words) in cases {
        let done = shallop.run(&[&["run", "--rm"], arguments].concat());
        expect_clean_failure(&done);
        words.iter().for_each(|word| assert!(done.stderr.contains(word), "{word}\n{}", done.outputs()));
    }
}
