//! `shallop save`: images as one archive.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use shallop_engine::{Session, images};
use shallop_oci::{Digest, Reference};

/// Save one or more images to a tar archive (to STDOUT by default)
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The archive is an OCI layout with Docker's manifest.json. Docker, podman and skopeo (oci-archive:, docker-archive:) read it.

Examples:
  shallop save -o app.tar app:1.0
  shallop save python debian | zstd > images.tar.zst"
)]
pub struct Args {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

impl Args {
    pub fn run(self) -> Result<u8> {
        ensure!(
            self.output.is_some() || !std::io::stdout().is_terminal(),
            "cowardly refusing to save to a terminal. Use the -o flag or redirect"
        );
        let session = Session::open()?;
        let mut chosen = Vec::new();
        for name in &self.images {
            choose(&session, name, &mut chosen)?;
        }
        match &self.output {
            Some(path) => to_file(&session, &chosen, path)?,
            None => {
                let mut out = BufWriter::with_capacity(256 << 10, std::io::stdout().lock());
                session.store.save(&chosen, &mut out)?;
                out.flush().context("writing the archive to stdout")?;
            }
        }
        Ok(0)
    }
}

/// The image with the names that it is saved under: the one that was given, none for an id, all of a repository that was
/// given without a tag.
fn choose(session: &Session, name: &str, chosen: &mut Vec<(Digest, Vec<Reference>)>) -> Result<()> {
    let add = |chosen: &mut Vec<(Digest, Vec<Reference>)>, id: Digest, names: Vec<Reference>| match chosen
        .iter_mut()
        .find(|(known, _)| *known == id)
    {
        Some((_, known)) => names.into_iter().for_each(|name| {
            if !known.contains(&name) {
                known.push(name);
            }
        }),
        None => chosen.push((id, names)),
    };
    let reference = Reference::parse_cli(name).ok();
    let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
    if let Some(reference) = reference.as_ref().filter(|_| !has_tag) {
        let same = |tag: &&Reference| tag.repository() == reference.repository();
        let mut found = false;
        for image in session.store.images()? {
            let names: Vec<Reference> = image.tags.iter().filter(same).cloned().collect();
            if !names.is_empty() {
                found = true;
                add(chosen, image.id, names);
            }
        }
        if found {
            return Ok(());
        }
    }
    let image = images::local(session, name)?;
    let own = reference.map(|reference| reference.tagged()).filter(|reference| image.tags.contains(reference));
    add(chosen, image.id, own.into_iter().collect());
    Ok(())
}

/// Writes beside the file's place, for its owner's eyes as Docker does, and renames. What is no regular file is written to.
fn to_file(session: &Session, chosen: &[(Digest, Vec<Reference>)], path: &Path) -> Result<()> {
    let write = |file: &File| -> Result<()> {
        let mut out = BufWriter::with_capacity(256 << 10, file);
        session.store.save(chosen, &mut out)?;
        out.flush().with_context(|| format!("writing {}", path.display()))
    };
    if path.metadata().is_ok_and(|meta| !meta.is_file()) {
        let file = File::options().write(true).open(path).with_context(|| format!("opening {}", path.display()))?;
        return write(&file);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let draft = tempfile::Builder::new().prefix(".shallop-save-").tempfile_in(folder);
    let draft = draft.with_context(|| format!("writing in {}", folder.display()))?;
    write(draft.as_file())?;
    draft.persist(path).with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}
