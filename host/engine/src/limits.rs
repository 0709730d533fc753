//! What a container or a step may use, and what is said when it wanted more.

use std::time::Duration;

use shallop_supervisor::Outcome;

/// Bytes of memory of a container, of a step; bytes of disk of both; bytes of a step's output that are shown.
pub const CONTAINER_MEMORY: u64 = 2 << 30;
pub const STEP_MEMORY: u64 = 4 << 30;
pub const DISK: u64 = 32 << 30;
pub const STEP_LOG: u64 = 2 << 20;

/// Linux threads of a container or a step, and as many as a worker counts.
pub const TASKS: u32 = 4096;
pub const MOST_TASKS: u32 = 65_536;

/// The limits of one sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes.
    pub memory: u64,
    /// Bytes that its writable layer may have.
    pub disk: u64,
    pub wall: Option<Duration>,
    /// Linux threads, those of all its processes.
    pub tasks: u32,
}

impl Limits {
    /// Those of a build step that nobody changed.
    pub fn of_step() -> Limits {
        Limits { memory: STEP_MEMORY, disk: DISK, wall: None, tasks: TASKS }
    }

    /// Why it was ended, when a limit did it; `what` is "container" or "step".
    pub fn ended(&self, what: &str, outcome: &Outcome) -> Option<String> {
        Some(match outcome.limit.as_deref()? {
            "memory" => {
                let limit = shown(self.memory);
                format!("the {what} was ended: it used more than its {limit} of memory (--memory raises the limit)")
            }
            "wall clock" => {
                let limit = self.wall.map_or(0, |wall| wall.as_secs());
                format!("the {what} was ended: its time was up after {limit} s (--timeout raises the limit)")
            }
            limit => format!("the {what} was ended by its {limit} limit"),
        })
    }

    /// What to say of the limits that it met and that end nothing.
    pub fn met(&self, what: &str, outcome: &Outcome) -> impl Iterator<Item = String> {
        let disk = format!("the {what} used all of its {} of disk (--disk raises the limit)", shown(self.disk));
        let tasks = format!(
            "the {what} had as many processes and threads as it may have ({}), or as this machine's vm.max_map_count has room \
             for (--pids-limit raises the first)",
            self.tasks
        );
        [outcome.disk_full.then_some(disk), outcome.crowded.then_some(tasks)].into_iter().flatten()
    }
}

fn shown(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
