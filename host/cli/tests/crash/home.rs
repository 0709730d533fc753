//! A home of a test's own, and what must hold in it after everything that goes wrong.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use shallop_config::Dirs;
use shallop_store::Store;
use shallop_test_support::Shallop;
use shallop_test_support::oracle::skip;
use shallop_test_support::processes::translators;

const SUITE: &str = "crash";

/// An image that is there before anything goes wrong.
pub const BASE: &str = "shallop-test/base";

/// With busybox and [`BASE`], `None` where they cannot be had. The shared home is larger than needed.
pub fn new() -> Option<Shallop> {
    let binary = env!("CARGO_BIN_EXE_shallop");
    let shared = Shallop::shared(binary);
    if !shared.needs(SUITE, &["busybox"]) {
        return None;
    }
    let shallop = Shallop::private(binary);
    let layout = shallop.home().join("layout");
    let image = store(&shared).resolve("catalog.internal/busybox", None).unwrap();
    store(&shared).export_oci_layout(&image.id, &layout).unwrap();
    store(&shallop).import_oci_layout(&layout).unwrap();
    copy_code(&shared, &shallop);
    let folder = shallop_test_support::shallop::folder();
    let dockerfile = "FROM catalog.internal/busybox\nRUN echo before > /before\n";
    fs::write(folder.path().join("Dockerfile"), dockerfile).unwrap();
    shallop.run_in(folder.path(), &["build", "-t", BASE, "."]).expect_code(0);
    Some(shallop)
}

pub fn store(shallop: &Shallop) -> Store {
    Store::open(&Dirs::below(shallop.home())).unwrap()
}

/// Copies the modules of this build, to save time. Those of others, and translated code, only take room.
fn copy_code(from: &Shallop, to: &Shallop) {
    let [from, to] = [from, to].map(|shallop| Dirs::below(shallop.home()).code_cache());
    let end = format!("{}.cwasm", shallop_compiler::stamp(Path::new(env!("CARGO_BIN_EXE_shallop"))).unwrap());
    fs::create_dir_all(&to).unwrap();
    for name in names(&from).iter().filter(|name| name.ends_with(&end) && !name.starts_with("wasi-")) {
        // One that is removed meanwhile is made again.
        let _ = fs::copy(from.join(name), to.join(name));
    }
}

/// Copies a folder of the cache, to save time.
fn copy(from: &Shallop, to: &Shallop, folder: &str) {
    let cache = to.home().join("cache");
    fs::create_dir_all(&cache).unwrap();
    let _ = Command::new("cp").arg("-a").arg(from.home().join("cache").join(folder)).arg(cache).output();
}

/// Builds the catalog's busybox again, with the packages of the shared home; skips the test where that cannot be.
pub fn has_packages(shallop: &Shallop) -> bool {
    copy(&Shallop::shared(env!("CARGO_BIN_EXE_shallop")), shallop, "catalog");
    let done = shallop.run(&["catalog", "build", "busybox"]);
    if done.code != 0 {
        skip(SUITE, "catalog image busybox", done.stderr.lines().last().unwrap_or("no message"));
    }
    done.code == 0
}

/// Ends the translators that still work for it, and removes what they made.
pub fn forget_translations(shallop: &Shallop) {
    for pid in translators(shallop.home()) {
        // It may have ended by itself.
        let _ = Pid::from_raw(pid as i32).map(|pid| kill_process(pid, Signal::KILL));
    }
    let _ = fs::remove_dir_all(Dirs::below(shallop.home()).translations());
}

/// The store answers, and an image built before runs.
pub fn works(shallop: &Shallop) {
    let listed = shallop.run(&["images"]).expect_code(0).stdout;
    assert!(listed.contains(BASE), "{listed}");
    shallop.run(&["inspect", BASE]).expect_code(0);
    let ran = shallop.run(&["run", "--rm", BASE, "cat", "/before"]).expect_code(0);
    assert_eq!(ran.stdout, "before\n");
}

/// No container, no half-written file, no lock but the one that is always there.
pub fn clean(shallop: &Shallop) {
    let listed = shallop.run(&["ps", "-a"]).expect_code(0).stdout;
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let dirs = Dirs::below(shallop.home());
    assert_eq!(names(&dirs.ingest()), [""; 0]);
    assert_eq!(names(&dirs.locks()), ["sweep"]);
    assert_eq!(names(&dirs.state.join("steps")), [""; 0]);
    assert_eq!(names(&dirs.containers()), [""; 0]);
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}
