//! What bounds a translator whose worker has ended: it goes on in the background, for those who start later.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Resource, Rlimit, setpriority_process, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::translated::{Claim, claim};

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long what was asked for may take where another process is at it already: on a busy machine, commands that follow each
/// other would leave one such process each, with all its memory.
const PATIENCE_BESIDE: Duration = Duration::from_secs(10);

/// How much less important than other processes it is.
const NICENESS: i32 = 19;

/// From a worker's end on.
pub struct Alone {
    /// Seconds of CPU time of this process until which it goes ahead.
    last: u64,
    end: Instant,
    /// One process at a time translates what nobody asked for.
    claim: Claim,
}

impl Alone {
    /// Steps back behind everything, and has the host end this process when it uses more than so many seconds of CPU time.
    ///
    /// # Errors
    /// When that cannot be had.
    pub fn begin(cache: &Path, seconds: u64) -> Result<Alone> {
        let used = used();
        let limit = Some(used.saturating_add(seconds));
        setrlimit(Resource::Cpu, Rlimit { current: limit, maximum: limit }).context("limiting CPU time")?;
        step_back()?;
        // It begins nothing more when a quarter is left, to come to its end by itself.
        let last = used.saturating_add(seconds - seconds / 4);
        let claim = claim(cache);
        let patience = if claim.is_ours() { PATIENCE } else { PATIENCE_BESIDE };
        Ok(Alone { last, end: Instant::now() + patience, claim })
    }

    /// Whether it may go on with what was asked for.
    pub fn may_go_on(&self) -> bool {
        Instant::now() < self.end
    }

    /// Whether it may translate what nobody asked for.
    pub fn may_go_ahead(&self) -> bool {
        self.claim.is_ours() && self.may_go_on() && used() < self.last
    }
}

/// Seconds of CPU time that this process has used.
fn used() -> u64 {
    u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).unwrap_or(0)
}

/// Niceness belongs to threads, and those that compile are there already.
fn step_back() -> Result<()> {
    for task in std::fs::read_dir("/proc/self/task").context("looking for this process's threads")? {
        let number = task?.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(thread) = number.and_then(Pid::from_raw) else { continue };
        // One that has ended meanwhile needs nothing.
        let _ = setpriority_process(Some(thread), NICENESS);
    }
    setpriority_process(None, NICENESS).context("stepping back behind others")?;
    step_back_as_session(NICENESS);
    Ok(())
}

/// Has the whole session step back. Where the kernel groups processes by session, niceness counts inside a group alone
/// (sched(7), "The autogroup feature"); where it does not, there is no such file.
pub fn step_back_as_session(niceness: i32) {
    let _ = std::fs::write("/proc/self/autogroup", niceness.to_string());
}
