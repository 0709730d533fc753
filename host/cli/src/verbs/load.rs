//! `shallop load`: images from an archive.

use std::fs::File;
use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use shallop_engine::Session;

use crate::output::say;
use crate::platform;

/// Load images from a tar archive or STDIN
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Takes what `save` of Docker, podman and shallop writes, and skopeo's oci-archive: and docker-archive:, also compressed by
gzip or zstd.

Examples:
  shallop load -i app.tar
  shallop load < images.tar.gz"
)]
pub struct Args {
    /// Read from a file, instead of STDIN
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Suppress the load output
    #[arg(short, long)]
    quiet: bool,
}

impl Args {
    pub fn run(self) -> Result<u8> {
        let (file, name) = match &self.input {
            Some(path) => {
                let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
                let is_folder = file.metadata().is_ok_and(|meta| meta.is_dir());
                ensure!(!is_folder, "{} is a folder: name an archive", path.display());
                (file, path.display().to_string())
            }
            None => {
                ensure!(!std::io::stdin().is_terminal(), "requested load from stdin, but stdin is empty");
                (platform::stdin()?, "the archive".to_owned())
            }
        };
        let session = Session::open()?;
        let loaded = session.store.load(file, &name)?;
        if self.quiet {
            return Ok(0);
        }
        for loaded in loaded {
            if let (Some(name), Some(old)) = (&loaded.name, &loaded.replaced) {
                let name = name.familiar();
                say!("The image {name} already exists, renaming the old one with ID {old} to empty string");
            }
            match &loaded.name {
                Some(name) => say!("Loaded image: {}", name.familiar()),
                None => say!("Loaded image ID: {}", loaded.id),
            }
        }
        Ok(0)
    }
}
