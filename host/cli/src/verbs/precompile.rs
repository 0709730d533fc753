//! `--precompile` of the verbs that make images.

use anyhow::{Context, Result};
use shallop_build::{End, Progress};
use shallop_engine::Session;
use shallop_engine::precompile;
use shallop_oci::Digest;

use crate::output::progress::BuildProgress;

/// Translates all programs of an image, and shows how it goes.
pub fn precompile(session: &Session, image: &Digest, progress: &BuildProgress) -> Result<()> {
    let image = session.store.resolve(&image.to_string(), None)?;
    if image.platform.is_wasi() {
        return Ok(());
    }
    progress.begin("[precompile]");
    let mut tell = |done, all| progress.output(format!("{done} of {all} programs and libraries\n").as_bytes());
    let result = precompile::precompile(session, (&image.layers, &image.config.config), &mut tell);
    let result = result.context("translating the image's programs");
    match &result {
        Ok(report) if report.cached == report.all => progress.end(End::Cached),
        Ok(_) => progress.end(End::Done),
        Err(error) => progress.end(End::Failed(format!("{error:#}"))),
    }
    let report = result?;
    if report.failed > 0 {
        progress.say(&format!("{} of them could not be translated", report.failed));
    }
    if report.full > 0 {
        progress.say(&format!("{} of them have no room in the cache (SHALLOP_CACHE_LIMIT)", report.full));
    }
    Ok(())
}
