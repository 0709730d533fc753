//! `shallop pull`: an image from a registry.

use anyhow::{Context, Result, bail};
use shallop_engine::{Session, pull, substitutes};
use shallop_oci::{Platform, Reference};

use super::precompile::precompile;
use crate::output::progress::{BuildProgress, Mode};
use crate::output::pull::{PullProgress, To};
use crate::output::say;

/// Download an image from a registry
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  shallop pull python
  shallop pull localhost:5000/app:1.0
  shallop pull python@sha256:…")]
pub struct Args {
    /// Download all tagged images in the repository (not done yet)
    #[arg(short, long)]
    all_tags: bool,
    /// Pull for this platform (default: linux/riscv64, else wasi/wasm)
    #[arg(long)]
    platform: Option<String>,
    /// Print the image's name only
    #[arg(short, long)]
    quiet: bool,
    /// Translate all programs of the image now, not when they are run
    #[arg(long)]
    precompile: bool,
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    name: String,
}

impl Args {
    pub fn run(self) -> Result<u8> {
        if self.all_tags {
            bail!("--all-tags is not done yet: name the tag");
        }
        let reference = Reference::parse_cli(&self.name)?;
        if let Some(name) = reference.catalog_name() {
            bail!("{} comes from no registry; it is made here: shallop catalog build {name}", reference.familiar());
        }
        let platform =
            self.platform.as_deref().map(|text| text.parse::<Platform>().with_context(|| format!("--platform={text}")));
        let platform = platform.transpose()?;
        let session = Session::open()?;
        let has_tag = self.name.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
        if !has_tag && !self.quiet {
            say!("Using default tag: latest");
        }
        let progress = PullProgress::new(To::Stdout, self.quiet);
        let pulled = match pull::pull(&session, &reference, platform.as_ref(), &progress) {
            Ok(pulled) => pulled,
            Err(error) => match substitutes::stand_in(&reference) {
                Some(offer) => bail!("{error:#}\n{offer}\nTake it with --substitute of run and build"),
                None => return Err(error),
            },
        };
        if !self.quiet {
            let status = if pulled.newer { "Downloaded newer image for" } else { "Image is up to date for" };
            say!("Digest: {}\nStatus: {status} {}", pulled.digest, reference.familiar());
        }
        say!("{reference}");
        if self.precompile {
            let progress = BuildProgress::new(if self.quiet { Mode::Quiet } else { Mode::Auto });
            precompile(&session, &pulled.image.id, &progress)?;
        }
        Ok(0)
    }
}

/// When `run` and `build` ask a registry: `--pull`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Policy {
    Always,
    #[default]
    Missing,
    Never,
}

impl From<Policy> for pull::Policy {
    fn from(policy: Policy) -> pull::Policy {
        match policy {
            Policy::Always => pull::Policy::Always,
            Policy::Missing => pull::Policy::Missing,
            Policy::Never => pull::Policy::Never,
        }
    }
}
