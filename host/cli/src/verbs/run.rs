//! `shallop run`: create a container from an image and run it in the foreground.

use anyhow::{Context, Result, ensure};
use shallop_engine::network::Settings;
use shallop_engine::run::{self, Options};
use shallop_engine::{Session, Volume, process::Overrides};

use super::limits::LimitArgs;
use super::network::{DnsArgs, NetworkArgs};
use super::pull::Policy;
use crate::output::pull::{PullProgress, To};

/// Create and run a new container from an image, or run a WASI module file
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    override_usage = "shallop run [OPTIONS] IMAGE [COMMAND] [ARG...]",
    after_help = "Examples:
  shallop run --rm catalog/hello-world
  shallop run --rm -it catalog/debian bash
  shallop run --rm -v ./data:/data:ro catalog/python python3 /data/app.py
  shallop run --rm app.wasm one two"
)]
pub struct Args {
    /// Automatically remove the container when it exits
    #[arg(long)]
    rm: bool,
    /// Assign a name to the container
    #[arg(long)]
    name: Option<String>,
    /// Keep STDIN open
    #[arg(short, long)]
    interactive: bool,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    tty: bool,
    /// Set environment variables (NAME=value, or NAME to pass it on)
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Username or UID (format: <name|uid>[:<group|gid>])
    #[arg(short, long)]
    user: Option<String>,
    /// Bind mount a host folder or file: host:container[:ro]
    #[arg(short, long, value_name = "HOST:CONTAINER[:ro]")]
    volume: Vec<String>,
    /// Overwrite the default ENTRYPOINT of the image
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Memory limit: bytes, or with k, m, g
    #[arg(short, long, value_name = "SIZE", default_value = "2g")]
    memory: String,
    #[command(flatten)]
    limits: LimitArgs,
    /// Run for this platform: linux/riscv64 or wasi/wasm
    #[arg(long)]
    platform: Option<String>,
    /// Container host name
    #[arg(short = 'h', long)]
    hostname: Option<String>,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    dns: DnsArgs,
    /// Accept a catalog image in place of one that cannot be had
    #[arg(long)]
    substitute: bool,
    /// Pull the image before running
    #[arg(long, value_enum, default_value = "missing")]
    pull: Policy,
    /// Suppress the pull output
    #[arg(short, long)]
    quiet: bool,
    /// Print each system call to stderr, as strace does
    #[arg(long)]
    strace: bool,
    /// Print where the time of the start went
    #[arg(long)]
    timings: bool,
    /// Write where the program's time went, by function, to a file for speedscope (https://www.speedscope.app)
    #[arg(long, value_name = "FILE")]
    profile: Option<std::path::PathBuf>,
    /// Print usage
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// An image or a .wasm file, then the command to run in place of the image's own
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "IMAGE [COMMAND] [ARG...]"
    )]
    image_and_command: Vec<String>,
}

impl Args {
    pub fn run(self) -> Result<u8> {
        let network = Settings { dns: self.dns.settings()?, ..self.network.settings() };
        network.access()?;
        let (image, arguments) = self.image_and_command.split_first().context("name an image")?;
        ensure!(!image.starts_with('-'), "unknown flag: {image}\nSee 'shallop run --help'");
        let options = Options {
            image: image.clone(),
            overrides: Overrides {
                entrypoint: self.entrypoint,
                arguments: arguments.to_vec(),
                env: self.env,
                workdir: self.workdir,
                user: self.user,
                tty: self.tty,
            },
            name: self.name,
            remove: self.rm,
            interactive: self.interactive,
            hostname: self.hostname,
            platform: self.platform,
            volumes: self.volume.iter().map(|v| Volume::parse(v)).collect::<Result<_>>()?,
            limits: self.limits.limits(&self.memory)?,
            network,
            substitute: self.substitute,
            pull: self.pull.into(),
            strace: self.strace,
            timings: self.timings,
            profile: self.profile,
        };
        let progress = PullProgress::new(To::Stderr, self.quiet);
        let code = run::run(&Session::open_to_run()?, options, &progress)?;
        Ok(code as u8)
    }
}
