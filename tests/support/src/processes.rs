//! Processes below one of ours, by `/proc`: who they are, and whether they end.

use std::fs;
use std::time::{Duration, Instant};

/// Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

/// The processes below `pid`, itself not among them.
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
    all.split_off(1)
}

/// Whether a process is there and is no zombie.
fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Wait until none of the processes lives.
#[track_caller]
pub fn all_end(pids: &[u32]) {
    let deadline = Instant::now() + LIMIT;
    while pids.iter().any(|pid| lives(*pid)) {
        assert!(Instant::now() < deadline, "left behind: {pids:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
