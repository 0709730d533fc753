//! Flags of `run` and `build` that say how much may be used.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use shallop_config::size;
use shallop_engine::limits::Limits;

/// The limits of `--memory`, `--disk` and `--timeout` (seconds).
pub fn limits(memory: &str, disk: &str, timeout: Option<u64>) -> Result<Limits> {
    Ok(Limits {
        memory: at_least("--memory", memory, 6 << 20, "6m")?,
        disk: at_least("--disk", disk, 1 << 20, "1m")?,
        wall: timeout.map(Duration::from_secs),
    })
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
