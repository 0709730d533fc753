//! A short selection of the suites that `cargo xtask suites` runs: what takes seconds of each.

use std::time::Duration;

use shallop_test_support::Shallop;
use shallop_test_support::oracle::{find, skip};
use shallop_test_support::suite::{Known, Results, Suite};

const LIMIT: Duration = Duration::from_secs(600);

/// Those that take no second, and no locale.
const BASH: &[&str] = &[
    "run-appendop",
    "run-arith",
    "run-array",
    "run-braces",
    "run-case",
    "run-comsub",
    "run-cond",
    "run-dollars",
    "run-heredoc",
    "run-ifs",
    "run-lastpipe",
    "run-mapfile",
    "run-more-exp",
    "run-nameref",
    "run-posixpipe",
    "run-quote",
    "run-redir",
    "run-set-e",
    "run-tilde",
    "run-vredir",
];

/// Runs `items` of a suite, of which at least so many tests are to pass.
#[track_caller]
fn some_of(name: &str, items: &[&str], passed: usize) {
    let suite = Suite::named(name).expect("a suite of this name");
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    let what = format!("{name}'s own tests");
    if find("apt-get").is_none() || find("dpkg-deb").is_none() {
        return skip(&what, "apt", "no apt-get and dpkg-deb in PATH");
    }
    if !shallop.needs(&what, &[suite.base]) {
        return;
    }
    if let Err(error) = suite.image(&shallop) {
        return skip(&what, "apt, a mirror, gcc-riscv64-linux-gnu", &error);
    }
    let done = suite.run(&shallop, items, "lazy", LIMIT).expect_code(0);
    let results = Results::read(&done.stdout);
    assert!(results.done && results.counts()[0] >= passed, "{:?}\n{}", results.counts(), done.outputs());
    let known = Known::of_the_tree().expect("the known failures");
    assert_eq!(known.news(name, &results), [], "{}", done.stderr);
}

#[test]
fn some_of_cpythons_own_tests() {
    some_of("cpython", &["test_int", "test_bool", "test_struct", "test_shlex"], 50);
}

#[test]
fn some_of_bashs_own_tests() {
    some_of("bash", BASH, BASH.len());
}

#[test]
fn some_of_busyboxs_own_tests() {
    some_of("busybox", &["awk", "sed", "grep", "sort", "tar", "cp", "find", "xargs"], 200);
}

#[test]
fn some_of_ashs_own_tests() {
    let folders = ["ash-quoting", "ash-heredoc", "ash-redir", "ash-psubst", "ash-arith", "ash-alias", "ash-getopts"];
    some_of("ash", &folders, 100);
}

#[test]
fn some_of_perls_own_tests() {
    let files = ["closure", "die_exit", "hash", "pack", "sort", "sprintf", "substr"].map(|name| format!("op/{name}.t"));
    let files = files.iter().map(String::as_str).chain(["base/*.t", "cmd/*.t", "io/dup.t"]);
    some_of("perl", &files.collect::<Vec<_>>(), 20);
}
