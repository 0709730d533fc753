//! `shallop images`: the list of images.

use crate::output::say;
use anyhow::Result;
use serde_json::json;
use shallop_engine::Session;
use shallop_oci::{Digest, Reference};
use shallop_store::ImageSummary;

use crate::output::format::Format;
use crate::output::table::Table;
use crate::output::{ago, size};

/// List images
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  shallop images
  shallop images --format json
  shallop images -q python")]
pub struct Args {
    /// Show all images (there are no hidden ones)
    #[arg(short, long)]
    all: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    /// Don't truncate IDs
    #[arg(long)]
    no_trunc: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// table or json
    #[arg(long, default_value = "table")]
    format: Format,
    /// Only images of this repository (name or name:tag)
    #[arg(value_name = "REPOSITORY[:TAG]")]
    repository: Option<String>,
}

/// One line: an image under one of its names.
struct Line<'a> {
    image: &'a ImageSummary,
    repository: String,
    tag: String,
    /// What the repository's registry calls it.
    digest: String,
}

const NONE: &str = "<none>";

impl Args {
    pub fn run(self) -> Result<u8> {
        let images = Session::open()?.store.images()?;
        let lines: Vec<Line<'_>> = images.iter().flat_map(lines).filter(|line| self.wants(line)).collect();
        if self.quiet {
            let mut ids: Vec<String> = lines.iter().map(|line| self.id(line.image)).collect();
            ids.dedup();
            ids.iter().for_each(|id| say!("{id}"));
            return Ok(0);
        }
        match self.format {
            Format::Json => lines.iter().for_each(|line| say!("{}", as_json(line))),
            Format::Table => self.table(&lines),
        }
        Ok(0)
    }

    fn wants(&self, line: &Line<'_>) -> bool {
        let Some(wanted) = &self.repository else { return true };
        let wanted = match wanted.strip_prefix("catalog/") {
            Some(name) => format!("catalog.internal/{name}"),
            None => wanted.clone(),
        };
        wanted == line.repository || wanted == format!("{}:{}", line.repository, line.tag)
    }

    fn id(&self, image: &ImageSummary) -> String {
        if self.no_trunc { image.id.to_string() } else { image.id.short() }
    }

    fn table(&self, lines: &[Line<'_>]) {
        let mut columns = vec!["REPOSITORY", "TAG"];
        if self.digests {
            columns.push("DIGEST");
        }
        columns.extend(["IMAGE ID", "CREATED", "SIZE"]);
        let mut table = Table::new(&columns);
        for line in lines {
            let mut row = vec![line.repository.clone(), line.tag.clone()];
            if self.digests {
                row.push(line.digest.clone());
            }
            row.extend([self.id(line.image), ago(line.image.created), size(line.image.size)]);
            table.row(row);
        }
        table.print();
    }
}

fn lines(image: &ImageSummary) -> Vec<Line<'_>> {
    let line = |name: &Reference| {
        let same = |origin: &&Reference| origin.repository() == name.repository();
        let origin = image.origins.iter().find(same).and_then(Reference::digest);
        Line {
            image,
            repository: name.familiar_name(),
            tag: name.tag().unwrap_or(NONE).to_owned(),
            digest: origin.map_or_else(|| NONE.to_owned(), Digest::to_string),
        }
    };
    // An image that was pulled by its digest has a repository and no tag.
    let names: Vec<&Reference> = match image.tags.is_empty() {
        true => image.origins.iter().take(1).collect(),
        false => image.tags.iter().collect(),
    };
    match names.is_empty() {
        true => vec![Line { image, repository: NONE.into(), tag: NONE.into(), digest: NONE.into() }],
        false => names.into_iter().map(line).collect(),
    }
}

fn as_json(line: &Line<'_>) -> serde_json::Value {
    json!({
        "Repository": line.repository,
        "Tag": line.tag,
        "ID": line.image.id.to_string(),
        "Digest": line.digest,
        "CreatedAt": shallop_oci::time::format(line.image.created, 0),
        "CreatedSince": ago(line.image.created),
        "Size": size(line.image.size),
        "Platform": line.image.platform.to_string(),
    })
}
