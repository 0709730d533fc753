//! `shallop tag`: another name for an image.

use anyhow::{Context, Result};
use shallop_engine::Session;
use shallop_oci::Reference;

/// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  shallop tag app:1.0 app:latest")]
pub struct Args {
    #[arg(value_name = "SOURCE_IMAGE[:TAG]")]
    source: String,
    #[arg(value_name = "TARGET_IMAGE[:TAG]")]
    target: String,
}

impl Args {
    pub fn run(self) -> Result<u8> {
        let session = Session::open()?;
        let target = Reference::parse_cli(&self.target).with_context(|| format!("\"{}\"", self.target))?;
        let image = session.store.resolve(&self.source, None)?;
        session.store.tag(&target.tagged(), &image.id)?;
        Ok(0)
    }
}
