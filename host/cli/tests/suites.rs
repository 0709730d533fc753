//! A short selection of the suites that `cargo xtask suites` runs: modules of CPython's test package.

use std::time::Duration;

use shallop_config::env;
use shallop_test_support::oracle::{find, skip};
use shallop_test_support::suite::{Known, Results};
use shallop_test_support::{Shallop, command, workspace};

const LIMIT: Duration = Duration::from_secs(600);

/// Modules that take seconds.
const MODULES: &[&str] = &["test_int", "test_bool", "test_struct", "test_shlex"];

#[test]
fn some_of_cpythons_own_tests() {
    let suite = "CPython's tests";
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    if find("apt-get").is_none() || find("dpkg-deb").is_none() {
        return skip(suite, "apt", "no apt-get and dpkg-deb in PATH");
    }
    if !shallop.needs(suite, &["python"]) {
        return;
    }
    let folder = workspace().join("tests/suites");
    let (image, driver) = ("shallop-test/cpython", folder.join("cpython.py"));
    let packages = ["libpython3.13-testsuite"];
    if let Err(error) = shallop.image_with(image, "python", &packages, &[(&driver, "/suite/cpython.py")]) {
        return skip(suite, packages[0], &error);
    }
    let table = std::fs::read_to_string(folder.join("known.txt")).expect("read the known failures");
    let known = Known::read(&table).expect("the known failures");
    let mut run = shallop.command(&["run", "--rm", image, "python3", "/suite/cpython.py"]);
    run.args(MODULES).env(env::SHALLOP_ENGINE.name, "lazy");
    let done = command::run(&mut run, b"", LIMIT).expect_code(0);
    let results = Results::read(&done.stdout);
    assert!(results.done && results.counts()[0] > 50, "{}", done.outputs());
    assert_eq!(known.news("cpython", &results), [], "{}", done.stderr);
}
