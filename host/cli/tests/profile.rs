//! `run --profile`: the file names the functions that the time went to.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use shallop_test_support::shallop::folder;
use shallop_test_support::{Shallop, command, oracle, workspace};
use tempfile::TempDir;

/// What follows the name of a function that was interpreted.
const INTERPRETED: &str = " (interpreted)";

/// Nanoseconds by the function that was run, of all tasks.
fn self_times(profile: &str) -> BTreeMap<String, u64> {
    let json: Value = serde_json::from_str(profile).expect("the profile is JSON");
    let frames = json["shared"]["frames"].as_array().expect("there are frames");
    let whole = &json["profiles"][0];
    let (samples, weights) = (whole["samples"].as_array(), whole["weights"].as_array());
    let (samples, weights) = (samples.expect("there are samples"), weights.expect("they have weights"));
    assert_eq!((whole["type"].as_str(), samples.len()), (Some("sampled"), weights.len()));
    let mut times = BTreeMap::new();
    for (sample, weight) in samples.iter().zip(weights) {
        let last = sample.as_array().and_then(|stack| stack.last()).and_then(Value::as_u64).expect("a stack");
        let name = frames[last as usize]["name"].as_str().expect("frames have names");
        *times.entry(name.to_owned()).or_default() += weight.as_u64().expect("weights are numbers");
    }
    times
}

/// The same of functions, interpreted or not.
fn merged(times: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut merged = BTreeMap::new();
    for (name, time) in times {
        *merged.entry(name.strip_suffix(INTERPRETED).unwrap_or(&name).to_owned()).or_default() += time;
    }
    merged
}

/// `hot.c` compiled into a folder, as `hot`; `None` where that, or busybox, cannot be had.
fn hot(suite: &str) -> Option<(Shallop, TempDir)> {
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    if !oracle(suite, &[("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu")]) || !shallop.needs(suite, &["busybox"]) {
        return None;
    }
    let folder = folder();
    let mut gcc = Command::new("riscv64-linux-gnu-gcc");
    gcc.args(["-O1", "-static"]).arg(workspace().join("tests/profile/hot.c")).arg("-o").arg(folder.path().join("hot"));
    command::run(&mut gcc, b"", Duration::from_secs(120)).expect_code(0);
    Some((shallop, folder))
}

/// Runs with `--profile`; what went where.
fn profiled(shallop: &Shallop, arguments: &[&str]) -> BTreeMap<String, u64> {
    let folder = folder();
    let file = folder.path().join("profile.json");
    let path = file.to_string_lossy();
    shallop.run(&[&["run", "--rm", "--profile", &path], arguments].concat()).expect_code(0);
    self_times(&std::fs::read_to_string(&file).expect("the profile is there"))
}

#[test]
fn a_hot_function_is_named() {
    let Some((shallop, folder)) = hot("profile of a C program") else { return };
    let volume = format!("{}:/t:ro", folder.path().display());
    let times = merged(profiled(&shallop, &["-v", &volume, "catalog.internal/busybox", "/t/hot", "200"]));
    let all: u64 = times.values().sum();
    assert!(times.get("hot").is_some_and(|hot| hot * 2 > all), "{times:#?}");
}

/// What a translator has to look for first is interpreted for about half of the time that this takes.
#[test]
fn what_a_run_translated_is_there_at_the_next_start() {
    let Some((shallop, folder)) = hot("profile of a C program that runs again") else { return };
    std::fs::write(folder.path().join("Dockerfile"), "FROM catalog.internal/busybox\nCOPY hot /\n").unwrap();
    shallop.run_in(folder.path(), &["build", "-q", "-t", "shallop-test/hot", "."]).expect_code(0);
    // Libraries stay code when ldconfig has mapped them.
    let after = "/hot 1 maps-itself && exec /hot 100";
    for program in [&["/hot", "100"][..], &["/hot", "100", "handles-faults"], &["sh", "-c", after]] {
        let arguments = [&["shallop-test/hot"], program].concat();
        let mut first = shallop.command(&[&["run", "--rm"], &arguments[..]].concat());
        command::run(first.env("SHALLOP_TEST_HOT", "100"), b"", Duration::from_secs(120)).expect_code(0);
        let times = profiled(&shallop, &arguments);
        let time = |name: &str| times.get(name).copied().unwrap_or(0);
        assert!(time("hot") > 4 * time(&format!("hot{INTERPRETED}")), "{program:?}: {times:#?}");
    }
}

#[test]
fn python_spends_its_time_in_its_interpreter() {
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    if !shallop.needs("profile of Python", &["python"]) {
        return;
    }
    let script = "x = 0\nfor i in range(1500000): x += i & 3\nprint(x)";
    let times = merged(profiled(&shallop, &["catalog.internal/python", "python3", "-c", script]));
    let all: u64 = times.values().sum();
    assert!(times.get("_PyEval_EvalFrameDefault").is_some_and(|time| time * 10 > all), "{times:#?}");
}

#[test]
fn what_cannot_be_profiled_is_told() {
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    let hello = "catalog.internal/hello-world";
    shallop.run(&["run", "--rm", "--profile", "/dev/null", hello]).expect_code(125).expect_error("WASI");
    if shallop.needs("profile", &["busybox"]) {
        let nowhere = "/no/such/folder/p.json";
        let done = shallop.run(&["run", "--rm", "--profile", nowhere, "catalog.internal/busybox", "true"]);
        done.expect_code(125).expect_error(nowhere);
    }
}
