//! SOURCE_DATE_EPOCH (reproducible-builds.org/specs/source-date-epoch): one time for all that a build adds to the history.

use anyhow::{Context as _, Result};

use crate::scope::Scope;

/// The time that a build argument, or an ARG before the first FROM, sets; RFC 3339. Empty is the same as not set.
pub fn of(globals: &Scope, given: Option<String>) -> Result<Option<String>> {
    let Some(text) = given.or_else(|| globals.lookup("SOURCE_DATE_EPOCH")).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let seconds = text.parse::<i64>().ok().filter(|seconds| (0..=253_402_300_799).contains(seconds));
    let seconds = seconds.with_context(|| format!("invalid SOURCE_DATE_EPOCH: {text}"))?;
    Ok(Some(shallop_oci::time::format(seconds, 0)))
}
