//! The translator outlives its worker for a while: what it does then is there at the next start, whatever happens to it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use shallop_config::Dirs;
use shallop_test_support::processes::{all_end, translators};
use shallop_test_support::{Finished, Shallop, command};

use crate::home::{self, BASE};

pub const LIMIT: Duration = Duration::from_secs(300);

/// Ends before its hot code is compiled.
const COUNT: &str = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; echo $i";

fn count(shallop: &Shallop) -> Finished {
    let done = shallop.run(&["run", "--rm", BASE, "sh", "-c", COUNT]).expect_code(0);
    assert_eq!(done.stdout, "3000\n");
    done
}

/// The modules of translated code.
pub fn modules(shallop: &Shallop) -> Vec<PathBuf> {
    let files = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let regions = files(Dirs::below(shallop.home()).translations());
    let mut all: Vec<PathBuf> = regions.flat_map(files).collect();
    all.retain(|path| path.extension().is_some_and(|extension| extension == "cwasm"));
    all
}

#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        match look() {
            Some(found) => return found,
            None => assert!(Instant::now() < deadline, "{what}"),
        }
        sleep(Duration::from_millis(5));
    }
}

fn kill(pid: u32) {
    // It may have ended by itself.
    let _ = kill_process(Pid::from_raw(pid as i32).expect("a process has a number"), Signal::KILL);
}

#[test]
fn what_was_hot_is_translated_after_the_end() {
    let Some(shallop) = home::new() else { return };
    count(&shallop);
    wait_for("no translator", || Some(translators(shallop.home())).filter(|found| !found.is_empty()));
    wait_for("nothing is translated", || (!modules(&shallop).is_empty()).then_some(()));
    wait_for("the translator stays", || translators(shallop.home()).is_empty().then_some(()));
    count(&shallop);
}

#[test]
fn what_was_left_is_translated_after_a_later_end() {
    let Some(shallop) = home::new() else { return };
    let cache = Dirs::below(shallop.home()).translations();
    fs::create_dir_all(&cache).unwrap();
    let lock = fs::File::create(cache.join("lock")).unwrap();
    // As if another process went ahead already.
    lock.lock().unwrap();
    count(&shallop);
    wait_for("nothing is translated", || (!modules(&shallop).is_empty()).then_some(()));
    wait_for("the translator stays", || translators(shallop.home()).is_empty().then_some(()));
    let whole = || modules(&shallop).iter().any(|module| module.to_string_lossy().contains("-whole/"));
    assert!(!whole());
    drop(lock);
    let mut run = shallop.command(&["run", "--rm", BASE, "sh", "-c", "sleep 0.2"]);
    command::run(run.env("SHALLOP_TEST_LINGER", "60"), b"", LIMIT).expect_code(0);
    wait_for("nothing is translated as a whole", || whole().then_some(()));
    translators(shallop.home()).into_iter().for_each(kill);
}

#[test]
fn nothing_of_the_caller_stays_open() {
    let Some(shallop) = home::new() else { return };
    let mut sh = Command::new("sh");
    sh.args(["-c", "exec 7</dev/zero; \"$@\"; echo done; exit 3", "sh"]).arg(shallop.binary());
    sh.args(["run", "--rm", BASE, "sh", "-c", COUNT]).stdin(Stdio::null());
    shallop.set_environment(&mut sh);
    // Comes back when both pipes are closed.
    let done = command::run(&mut sh, b"", LIMIT).expect_code(3);
    assert_eq!(done.stdout, "3000\ndone\n");
    for pid in translators(shallop.home()) {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        for target in entries.filter_map(|entry| fs::read_link(entry.path()).ok()) {
            let text = target.to_string_lossy();
            let own = text.starts_with("socket:") || text == "/dev/null" || target.starts_with(shallop.home());
            assert!(own || text.starts_with("/memfd:"), "{text}");
        }
        assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or("/".into()), PathBuf::from("/"));
        kill(pid);
    }
}

#[test]
fn a_translator_can_be_killed_at_any_moment() {
    const MOMENTS: u64 = 12;
    let Some(shallop) = home::new() else { return };
    for moment in 0..MOMENTS {
        count(&shallop);
        sleep(Duration::from_millis(moment * 40));
        let found = translators(shallop.home());
        found.iter().copied().for_each(kill);
        all_end(&found);
    }
    home::works(&shallop);
    home::clean(&shallop);
}

#[test]
fn an_image_is_translated_ahead() {
    let Some(shallop) = home::new() else { return };
    let folder = shallop_test_support::shallop::folder();
    fs::write(folder.path().join("Dockerfile"), format!("FROM {BASE}\nRUN true\n")).unwrap();
    let build = || shallop.run_in(folder.path(), &["build", "--precompile", "-t", "made", "."]).expect_code(0).stderr;
    let first = build();
    assert!(first.contains("programs and libraries"), "{first}");
    let all = modules(&shallop);
    let whole = |path: &PathBuf| path.parent().is_some_and(|folder| folder.to_string_lossy().ends_with("-whole"));
    assert!(!all.is_empty() && all.iter().all(whole), "{all:?}\n{first}");
    let second = build();
    assert!(second.contains("[precompile]\n#3 CACHED"), "{second}");
    // A limit that is exceeded makes room only when there is something new.
    let mut small = shallop.command(&["build", "--precompile", "-q", "."]);
    small.env("SHALLOP_CACHE_LIMIT", "1k").current_dir(folder.path());
    command::run(&mut small, b"", LIMIT).expect_code(0);
    assert_eq!(modules(&shallop), all);
    count(&shallop);
    wait_for("the translator stays", || translators(shallop.home()).is_empty().then_some(()));
    let later = modules(&shallop);
    // What runs may need functions that nothing calls by name.
    assert!(later.iter().all(whole) && all.iter().all(|module| later.contains(module)), "{later:?}");
}
