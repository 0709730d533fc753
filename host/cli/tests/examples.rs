//! The folders of `examples/`, built and run as their users would; and built again, from the cache.

use shallop_config::Dirs;
use shallop_test_support::shallop::{example, folder};
use shallop_test_support::{Finished, Shallop, command, oracle};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

fn home(suite: &str, images: &[&str]) -> Option<Shallop> {
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    shallop.needs(&format!("examples {suite}"), images).then_some(shallop)
}

/// `shallop build --progress plain -t test/<name> <flags> .`
#[track_caller]
fn build(shallop: &Shallop, context: &Path, name: &str, flags: &[&str]) -> Finished {
    let tag = format!("test/{name}");
    shallop.run_in(context, &[&["build", "--progress", "plain", "-t", &tag], flags, &["."]].concat()).expect_code(0)
}

fn run(shallop: &Shallop, flags: &[&str], name: &str, arguments: &[&str]) -> Finished {
    let image = format!("test/{name}");
    shallop.run(&[&["run", "--rm"], flags, &[&*image], arguments].concat())
}

/// Build once more: each of the Dockerfile's steps but `FROM` comes from the cache, and the image is the same.
#[track_caller]
fn all_cached(shallop: &Shallop, context: &Path, name: &str, flags: &[&str]) {
    let image = || shallop.run(&["inspect", &format!("test/{name}")]).expect_code(0).stdout;
    let before = image();
    let again = build(shallop, context, name, flags);
    let output = again.outputs();
    let steps = output.lines().filter(|line| line.starts_with('#') && line.contains(" [") && !line.contains("] FROM "));
    let cached = output.lines().filter(|line| line.starts_with('#') && line.ends_with(" CACHED"));
    let (steps, cached) = (steps.count(), cached.count());
    assert!(steps > 0 && cached == steps, "{cached} of {steps} steps were cached\n{output}");
    assert_eq!(before, image(), "the image changed");
}

#[test]
fn listing() {
    let Some(shallop) = home("listing", &["busybox"]) else { return };
    let context = example("listing");
    build(&shallop, context.path(), "listing", &["--substitute"]);
    let done = run(&shallop, &[], "listing", &[]).expect_code(0);
    for name in ["etc", "proc", "tmp", "usr"] {
        let line = done.stdout.lines().find(|line| line.ends_with(&format!(" {name}"))).unwrap_or_default();
        assert!(line.starts_with('d'), "{name}\n{}", done.outputs());
    }
}

#[test]
fn a_configured_substitute() {
    if !Shallop::shared(env!("CARGO_BIN_EXE_shallop")).needs("examples a_configured_substitute", &["busybox"]) {
        return;
    }
    let shallop = Shallop::copy_of_shared(env!("CARGO_BIN_EXE_shallop"));
    let file = Dirs::below(shallop.home()).substitutes();
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let run = |image: &str| shallop.run(&["run", "--rm", image, "echo", "here"]);
    fs::write(&file, r#"{ "accept": ["alpine:3.18"] }"#).unwrap();
    let done = run("alpine:3.18").expect_code(0);
    assert!(done.stdout == "here\n" && done.stderr.contains("busybox in place of Alpine"), "{}", done.outputs());
    run("alpine:3.19").expect_code(125).expect_error("--substitute");
    fs::write(&file, r#"["alpine"]"#).unwrap();
    run("alpine:3.18").expect_code(125).expect_error("substitutes.json is not like");
}

#[test]
fn hello_python() {
    let Some(shallop) = home("hello-python", &["python"]) else { return };
    let context = example("hello-python");
    build(&shallop, context.path(), "hello-python", &["--substitute"]);
    let done = run(&shallop, &[], "hello-python", &[]).expect_code(0);
    assert_eq!(done.stdout, "Hello, Docker!\n");
    all_cached(&shallop, context.path(), "hello-python", &["--substitute"]);
}

/// A dictionary with many anagrams, the same at each run.
fn words() -> String {
    let mut state = 12345u32;
    let mut words = String::new();
    for _ in 0..20_000 {
        for _ in 0..3 + state % 5 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            words.push(char::from(b'a' + (state >> 24) as u8 % 6));
        }
        words.push('\n');
    }
    words
}

#[test]
fn anagrams_as_on_this_machine() {
    let Some(shallop) = home("anagrams", &["python"]) else { return };
    if !oracle("examples anagrams", &[("python3", "python3")]) {
        return;
    }
    let context = example("anagrams");
    build(&shallop, context.path(), "anagrams", &[]);
    let data = folder();
    let file = data.path().join("words.txt");
    fs::write(&file, words()).expect("write the dictionary");
    let mut native = Command::new("python3");
    native.arg(context.path().join("src/anagrams.py")).env("WORDS", &file);
    let expected = command::run(&mut native, b"", LIMIT).expect_code(0).stdout;
    let volume = format!("{}:/data/words.txt:ro", file.display());
    let found = run(&shallop, &["-v", &volume], "anagrams", &[]).expect_code(0).stdout;
    assert_eq!(found, expected);
    assert!(found.starts_with("{3: "), "{found}");
    all_cached(&shallop, context.path(), "anagrams", &[]);
}

#[test]
fn a_changed_file_is_built_again() {
    let Some(shallop) = home("changed", &["python"]) else { return };
    let context = example("anagrams");
    // Other steps than those of the test above, which runs at the same time.
    let dockerfile = context.path().join("Dockerfile");
    let text = fs::read_to_string(&dockerfile).expect("read the Dockerfile");
    fs::write(&dockerfile, text.replace("WORKDIR /data", "ENV CHANGED=1\nWORKDIR /data"))
        .expect("change the Dockerfile");
    build(&shallop, context.path(), "changed", &[]);
    let program = context.path().join("src/anagrams.py");
    let text = fs::read_to_string(&program).expect("read the program");
    fs::write(&program, format!("{text}print(\"changed\")\n")).expect("change the program");
    let done = build(&shallop, context.path(), "changed", &[]);
    let output = done.outputs();
    let ran = output.lines().filter(|line| line.contains("RUN ")).count();
    assert!(ran >= 2, "both RUN steps are there\n{output}");
    let file = context.path().join("words");
    fs::write(&file, "ab\nba\n").expect("write a dictionary");
    let volume = format!("{}:/data/words.txt:ro", file.display());
    let done = run(&shallop, &["-v", &volume], "changed", &[]).expect_code(0);
    assert_eq!(done.stdout, "{2: 2}\nchanged\n");
}

#[test]
fn shell() {
    let Some(shallop) = home("shell", &["debian"]) else { return };
    let context = example("shell");
    build(&shallop, context.path(), "shell", &[]);
    let done = run(&shallop, &[], "shell", &[]).expect_code(0);
    assert!(done.stdout.contains("* lines: 5\n* sum: 55\n"), "{}", done.outputs());
    assert!(done.stdout.contains("caught TERM\n") && done.stdout.ends_with("left with 0\n"), "{}", done.outputs());
    all_cached(&shallop, context.path(), "shell", &[]);
}

#[test]
fn multi_stage() {
    let Some(shallop) = home("multi-stage", &["python", "busybox"]) else { return };
    let context = example("multi-stage");
    let built = build(&shallop, context.path(), "multi-stage", &["--build-arg", "TITLE=High water"]);
    assert!(!built.outputs().contains("this stage is never built"), "{}", built.outputs());
    let page = run(&shallop, &[], "multi-stage", &[]).expect_code(0).stdout;
    assert!(page.contains("High water"), "{page}");
    if oracle("examples multi-stage", &[("python3", "python3")]) {
        let file = context.path().join("expected.html");
        let mut native = Command::new("python3");
        native.current_dir(context.path()).args(["page.py", "tides.json"]).arg(&file).env("TITLE", "High water");
        command::run(&mut native, b"", LIMIT).expect_code(0);
        assert_eq!(page, fs::read_to_string(&file).expect("read the page"));
    }
    // The user, the owner of the files and the arguments of the entry point.
    let done = run(&shallop, &["--entrypoint", "sh"], "multi-stage", &["-c", "id -u; stat -c %u:%g /srv/page.html"]);
    assert_eq!(done.expect_code(0).stdout, "1000\n1000:1000\n");
    run(&shallop, &[], "multi-stage", &["/no/such/page"]).expect_code(1);
    // The first stage alone, by its name.
    build(&shallop, context.path(), "multi-stage-make", &["--target", "make"]);
    let done = run(&shallop, &[], "multi-stage-make", &["ls", "/out"]).expect_code(0);
    assert_eq!(done.stdout, "page.html\n");
}

#[test]
fn wasi_greeting() {
    let Some(shallop) = home("wasi-greeting", &[]) else { return };
    if !oracle("examples wasi-greeting", &[("rustc", "rustc and its target wasm32-wasip1")]) {
        return;
    }
    let context = example("wasi-greeting");
    let mut rustc = Command::new("rustc");
    rustc.current_dir(context.path()).args(["--target", "wasm32-wasip1", "-O", "greeting.rs"]);
    command::run(&mut rustc, b"", LIMIT).expect_code(0);
    build(&shallop, context.path(), "wasi-greeting", &["--platform", "wasi/wasm"]);
    assert_eq!(run(&shallop, &[], "wasi-greeting", &[]).expect_code(7).stdout, "Hello, WASI!\n");
    let data = folder();
    fs::write(data.path().join("note.txt"), "a note\n").expect("write a note");
    let volume = format!("{}:/data:ro", data.path().display());
    let done = run(&shallop, &["-v", &volume], "wasi-greeting", &["Ann"]).expect_code(7);
    assert_eq!(done.stdout, "Hello, Ann!\na note\n");
    // The file itself, without an image.
    let file = context.path().join("greeting.wasm");
    let done = shallop.run(&["run", "--rm", &file.display().to_string(), "Bob"]).expect_code(7);
    assert_eq!(done.stdout, "Hello, Bob!\n");
}
