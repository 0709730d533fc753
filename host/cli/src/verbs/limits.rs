//! Flags of `run` and `build` that say how much may be used.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use shallop_config::size;
use shallop_engine::limits::{Limits, MOST_TASKS, TASKS};

/// The flags that both have alike.
#[derive(Debug, Args)]
pub struct LimitArgs {
    /// Limit of what the container's, or each step's, own files take on disk: bytes, or with k, m, g
    #[arg(long, value_name = "SIZE", default_value = "32g")]
    disk: String,
    /// End the container, or a step, after so many seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Limit of the processes and threads of the container, or of each step (-1: as many as there can be)
    #[arg(long, value_name = "NUMBER", default_value_t = i64::from(TASKS), allow_negative_numbers = true)]
    pids_limit: i64,
}

impl LimitArgs {
    /// The limits, with that of `--memory`.
    pub fn limits(&self, memory: &str) -> Result<Limits> {
        Ok(Limits {
            memory: at_least("--memory", memory, 6 << 20, "6m")?,
            disk: at_least("--disk", &self.disk, 1 << 20, "1m")?,
            wall: self.timeout.map(Duration::from_secs),
            tasks: tasks(self.pids_limit),
        })
    }
}

/// As Docker reads it: what is not above 0 is no limit.
fn tasks(limit: i64) -> u32 {
    u32::try_from(limit).ok().filter(|limit| *limit > 0).map_or(MOST_TASKS, |limit| limit.min(MOST_TASKS))
}

/// A size that is no smaller than makes sense.
pub fn at_least(flag: &str, text: &str, minimum: u64, shown: &str) -> Result<u64> {
    let bytes = || {
        let bytes = size::parse(text)?;
        ensure!(bytes >= minimum, "the minimum is {shown}");
        Ok(bytes)
    };
    bytes().with_context(|| format!("invalid argument \"{text}\" for {flag}"))
}
