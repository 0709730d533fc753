//! Processes below one of ours, by `/proc`: who they are, and whether they end.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

/// The first word of a translator's command line. It may outlive the command that started it, for a while.
const TRANSLATOR: &str = "shallop-translator";

fn words(pid: u32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

fn is_translator(pid: u32) -> bool {
    words(pid).first().is_some_and(|word| word == TRANSLATOR)
}

/// The translators that keep their code below a folder.
pub fn translators(home: &Path) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let below = |pid: &u32| words(*pid).iter().any(|word| Path::new(word).starts_with(home));
    pids.filter(|pid| is_translator(*pid) && below(pid) && lives(*pid)).collect()
}

/// The processes below `pid`, itself and translators not among them.
pub fn descendants(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(parent) = all.get(next).copied() {
        next += 1;
        let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    all.split_off(1).into_iter().filter(|pid| !is_translator(*pid)).collect()
}

/// Whether a process is there and is no zombie.
fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Wait until none of the processes lives; but for translators, which were not recognised before.
#[track_caller]
pub fn all_end(pids: &[u32]) {
    let deadline = Instant::now() + LIMIT;
    while pids.iter().any(|pid| lives(*pid) && !is_translator(*pid)) {
        assert!(Instant::now() < deadline, "left behind: {pids:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
