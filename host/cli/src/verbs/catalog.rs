//! `shallop catalog`: base images made from Debian packages.

use crate::output::say;
use std::io::IsTerminal;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use shallop_engine::Session;
use shallop_engine::catalog::{self, Built, Options};
use shallop_oci::Platform;

use crate::output::progress::{BuildProgress, Mode};
use crate::output::table::Table;

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  shallop catalog ls
  shallop catalog build python
  shallop catalog build --platform linux/amd64 debian")]
pub enum Catalog {
    /// Build one image of the catalog from packages fetched by this machine's apt
    Build {
        #[arg(value_name = "NAME")]
        name: String,
        /// Lay out the packages of another processor (linux/amd64, linux/arm64), without running their scripts
        #[arg(long, value_name = "PLATFORM")]
        platform: Option<String>,
        /// Let the image's own apt use the source that its packages came from
        #[arg(long)]
        apt_sources: bool,
        /// Translate all programs of the image now, not when they are run
        #[arg(long)]
        precompile: bool,
        /// Say nothing but the image's ID
        #[arg(short, long)]
        quiet: bool,
    },
    /// List the catalog
    #[command(alias = "list")]
    Ls,
}

impl Catalog {
    pub fn run(self) -> Result<u8> {
        match self {
            Catalog::Build { name, platform, apt_sources, precompile, quiet } => {
                let platform = platform.as_deref().map(str::parse::<Platform>).transpose()?.unwrap_or_default();
                build(&name, &Options { platform: platform.normalized(), apt_sources }, precompile, quiet)
            }
            Catalog::Ls => {
                let mut table = Table::new(&["NAME", "DESCRIPTION"]);
                for recipe in shallop_catalog::RECIPES {
                    table.row(vec![format!("catalog/{}", recipe.name), recipe.summary.to_owned()]);
                }
                table.row(vec!["catalog/hello-world".into(), "A greeting; part of this program".into()]);
                table.print();
                Ok(0)
            }
        }
    }
}

fn build(name: &str, options: &Options, precompile: bool, quiet: bool) -> Result<u8> {
    let short = name.trim_start_matches("catalog.internal/").trim_start_matches("catalog/");
    let Some(recipe) = shallop_catalog::lookup(short) else {
        let names: Vec<&str> = shallop_catalog::RECIPES.iter().map(|recipe| recipe.name).collect();
        bail!("the catalog has no {name}; it has: {}", names.join(", "));
    };
    if !shallop_catalog::Apt::available() {
        bail!("catalog images are made from Debian packages, and this machine has no apt with a Debian source");
    }
    let session = Session::open()?;
    let begun = Instant::now();
    let live = std::io::stderr().is_terminal();
    let mut last = String::new();
    let built = catalog::build(&session, recipe, options, &mut |phase| {
        // Counting phases (unpacking 3/80) are one line that moves on a terminal, one line in all elsewhere.
        let word = phase.rsplit_once(' ').map_or(phase, |(kind, _)| kind).to_owned();
        match (quiet, live) {
            (true, _) => {}
            (_, true) => eprint!("\r\x1b[K{:6.1}s {phase}", begun.elapsed().as_secs_f64()),
            (_, false) if word != last => eprintln!("{:6.1}s {phase}", begun.elapsed().as_secs_f64()),
            _ => {}
        }
        last = word;
    });
    if live && !quiet {
        eprint!("\r\x1b[K");
    }
    let Built { image: id, name, configured } = built.with_context(|| format!("building catalog/{short}"))?;
    if precompile && configured {
        let progress = BuildProgress::new(if quiet { Mode::Quiet } else { Mode::Auto });
        super::precompile::precompile(&session, &id, &progress)?;
    }
    if !quiet {
        eprintln!("{name} {} in {:.1}s", id.short(), begun.elapsed().as_secs_f64());
    }
    if !configured {
        // Also where only the ID is asked for: such an image does not work before that.
        eprintln!("packages for {} were laid out only: no processor here runs their scripts", options.platform);
    }
    if quiet {
        say!("{id}");
    }
    Ok(0)
}
