//! `run --profile`: the file names the functions that the time went to.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use shallop_test_support::shallop::folder;
use shallop_test_support::{Shallop, command, oracle, workspace};

/// Nanoseconds by the function that was run, `(interpreted)` or not, of all tasks.
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
        let name = name.strip_suffix(" (interpreted)").unwrap_or(name);
        *times.entry(name.to_owned()).or_default() += weight.as_u64().expect("weights are numbers");
    }
    times
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
    let suite = "profile of a C program";
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    if !oracle(suite, &[("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu")]) || !shallop.needs(suite, &["busybox"]) {
        return;
    }
    let folder = folder();
    let program = folder.path().join("hot");
    let mut gcc = Command::new("riscv64-linux-gnu-gcc");
    gcc.args(["-O1", "-static"]).arg(workspace().join("tests/profile/hot.c")).arg("-o").arg(&program);
    command::run(&mut gcc, b"", Duration::from_secs(120)).expect_code(0);
    let volume = format!("{}:/t:ro", folder.path().display());
    let times = profiled(&shallop, &["-v", &volume, "catalog.internal/busybox", "/t/hot", "200"]);
    let all: u64 = times.values().sum();
    assert!(times.get("hot").is_some_and(|hot| hot * 2 > all), "{times:#?}");
}

#[test]
fn python_spends_its_time_in_its_interpreter() {
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    if !shallop.needs("profile of Python", &["python"]) {
        return;
    }
    let script = "x = 0\nfor i in range(1500000): x += i & 3\nprint(x)";
    let times = profiled(&shallop, &["catalog.internal/python", "python3", "-c", script]);
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
