//! `shallop build`: a Dockerfile to an image.

use crate::output::say;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use shallop_build::Request;
use shallop_engine::Session;
use shallop_engine::build::Effects;
use shallop_engine::proxies;
use shallop_engine::pull::{Finding, Policy};
use shallop_engine::substitutes::Substitutes;
use shallop_oci::{Platform, Reference};

use super::limits::LimitArgs;
use super::network::NetworkArgs;
use super::precompile::precompile;
use crate::output::progress::{BuildProgress, Mode};
use crate::output::pull::PullProgress;

/// Build an image from a Dockerfile
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  shallop build -t app .
  shallop build -t app:1.0 -f docker/Dockerfile --build-arg VERSION=3 .
  shallop build --target test --no-cache .")]
pub struct Args {
    /// Name and optionally a tag (format: name:tag)
    #[arg(short, long, value_name = "NAME")]
    tag: Vec<String>,
    /// Name of the Dockerfile (default: PATH/Dockerfile; - reads stdin)
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Set a build-time variable
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
    /// Set metadata for the image
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// Set the target build stage
    #[arg(long)]
    target: Option<String>,
    /// Build for this platform: linux/riscv64 or wasi/wasm
    #[arg(long)]
    platform: Option<String>,
    /// Do not use the cache
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    network: NetworkArgs,
    /// Print the image ID only
    #[arg(short, long)]
    quiet: bool,
    /// How progress is shown
    #[arg(long, value_enum, default_value = "auto")]
    progress: Mode,
    /// Accept catalog images in place of ones that cannot be had
    #[arg(long)]
    substitute: bool,
    /// Always attempt to pull all referenced images
    #[arg(long)]
    pull: bool,
    /// Translate all programs of the image now, not when they are run
    #[arg(long)]
    precompile: bool,
    /// Memory limit of each step: bytes, or with k, m, g
    #[arg(short, long, value_name = "SIZE", default_value = "4g")]
    memory: String,
    #[command(flatten)]
    limits: LimitArgs,
    /// How much of a step's output is shown
    #[arg(long, value_name = "SIZE", default_value = "2m")]
    log_limit: String,
    /// Write the image ID to a file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Accepted for Docker's sake: nothing is left behind anyway
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, default_missing_value = "true")]
    rm: bool,
    /// Accepted for Docker's sake: images always go to the local store
    #[arg(long)]
    load: bool,
    /// The build context: a folder
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

impl Args {
    pub fn run(self) -> Result<u8> {
        ensure!(
            !self.path.to_string_lossy().contains("://"),
            "{}: remote build contexts are not done yet; name a folder",
            self.path.display()
        );
        ensure!(self.path.is_dir(), "path \"{}\" not found: the build context must be a folder", self.path.display());
        for tag in &self.tag {
            Reference::parse_cli(tag).with_context(|| format!("invalid tag \"{tag}\""))?;
        }
        let limits = self.limits.limits(&self.memory)?;
        let log_limit = super::limits::at_least("--log-limit", &self.log_limit, 1 << 10, "1k")?;
        let (dockerfile_path, dockerfile) = dockerfile(&self.path, self.file.as_deref())?;
        let build_platform = Platform::linux_riscv64();
        let platform = match &self.platform {
            Some(text) => text.parse().with_context(|| format!("--platform={text}"))?,
            None => build_platform.clone(),
        };
        ensure!(platform.is_supported(), "platform {platform} is not supported; there are linux/riscv64 and wasi/wasm");
        let network = self.network.settings().access()?;
        let mut arguments: Vec<_> = self.build_arg.iter().filter_map(|text| build_arg(text)).collect();
        let given: Vec<String> = self.build_arg.clone();
        let proxies = proxies::configured()?;
        arguments.extend(proxies::missing(&proxies, &given).filter_map(|text| build_arg(&text)));
        let progress = BuildProgress::new(if self.quiet { Mode::Quiet } else { self.progress });
        progress.say(&format!("building {} for {platform}", dockerfile_path.display()));
        let request = Request {
            dockerfile_path,
            dockerfile,
            context: self.path,
            tags: self.tag.clone(),
            arguments,
            labels: self.label.iter().map(|text| pair(text)).collect(),
            target: self.target,
            platform,
            build_platform,
            no_cache: self.no_cache,
            no_network: network.policy.is_none(),
        };
        let session = Session::open()?;
        let substitutes = if self.substitute { Substitutes::Accept } else { Substitutes::Ask };
        let policy = if self.pull { Policy::Always } else { Policy::Missing };
        let pulling = PullProgress::beside_bars(self.quiet || progress.is_live());
        let finding = Finding { policy, substitutes, progress: &pulling };
        let effects = Effects { session: &session, finding, limits, log_limit, network };
        let built = shallop_build::build(&request, &effects, &effects, &progress)?;
        if self.precompile {
            precompile(&session, &built.image, &progress)?;
        }
        if let Some(path) = &self.iidfile {
            std::fs::write(path, built.image.to_string()).with_context(|| format!("writing {}", path.display()))?;
        }
        if self.quiet {
            say!("{}", built.image);
        } else {
            eprintln!("writing image {}", built.image);
            for tag in &self.tag {
                eprintln!("naming to {}", Reference::parse_cli(tag)?.tagged());
            }
        }
        Ok(0)
    }
}

/// The Dockerfile's path, as errors name it, and its text.
fn dockerfile(context: &Path, file: Option<&Path>) -> Result<(PathBuf, String)> {
    if file == Some(Path::new("-")) {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("reading the Dockerfile from stdin")?;
        return Ok(("Dockerfile".into(), text));
    }
    let usual = ["Dockerfile", "dockerfile"].map(|name| context.join(name));
    let path = match file {
        Some(path) => path.to_owned(),
        // In lower case only where there is no other.
        None => usual.iter().find(|path| path.exists()).unwrap_or(&usual[0]).clone(),
    };
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read dockerfile: open {}", path.display()))?;
    Ok((path, text))
}

/// `NAME=value`, or `NAME` with the value of the environment.
fn build_arg(text: &str) -> Option<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => std::env::var(text).ok().map(|value| (text.to_owned(), value)),
    }
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}
