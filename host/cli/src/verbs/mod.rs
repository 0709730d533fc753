//! The verbs, a file each, and Docker's management forms of them (`image ls` for `images` …).

mod build;
mod catalog;
mod images;
mod inspect;
mod limits;
mod load;
mod login;
mod network;
mod precompile;
mod ps;
mod pull;
mod rm;
mod rmi;
mod run;
mod save;
mod tag;
mod version;

use anyhow::Result;
use clap::Subcommand;

/// Every verb. Help text comes from each verb's own `Args`.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Build(build::Args),
    /// Build with BuildKit's spelling: `shallop buildx build …`
    #[command(subcommand)]
    Buildx(Buildx),
    /// Build with an older spelling: `shallop builder build …`
    #[command(subcommand)]
    Builder(Buildx),
    Run(run::Args),
    Images(images::Args),
    Inspect(inspect::Args),
    Rmi(rmi::Args),
    Tag(tag::Args),
    Pull(pull::Args),
    Save(save::Args),
    Load(load::Args),
    Login(login::Args),
    Logout(login::Out),
    Ps(ps::Args),
    Rm(rm::Args),
    Version(version::Args),
    /// Manage images
    #[command(subcommand)]
    Image(Image),
    /// Manage containers
    #[command(subcommand)]
    Container(Container),
    /// Base images made from Debian packages
    #[command(subcommand)]
    Catalog(catalog::Catalog),
}

#[derive(Debug, Subcommand)]
pub enum Buildx {
    Build(build::Args),
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one is made per process")]
pub enum Image {
    Build(build::Args),
    #[command(alias = "list")]
    Ls(images::Args),
    Inspect(inspect::Args),
    #[command(alias = "remove")]
    Rm(rmi::Args),
    Tag(tag::Args),
    Pull(pull::Args),
    Save(save::Args),
    Load(load::Args),
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one is made per process")]
pub enum Container {
    Run(run::Args),
    #[command(aliases = ["ps", "list"])]
    Ls(ps::Args),
    Inspect(inspect::Args),
    #[command(alias = "remove")]
    Rm(rm::Args),
}

impl Verb {
    /// The exit code when the verb itself fails: Docker gives 125 for `run`, 1 for the others.
    pub fn failure_code(&self) -> u8 {
        match self {
            Verb::Run(_) | Verb::Container(Container::Run(_)) => 125,
            _ => 1,
        }
    }

    /// Does it; the result is the exit code.
    pub fn run(self) -> Result<u8> {
        match self {
            Verb::Build(args)
            | Verb::Buildx(Buildx::Build(args))
            | Verb::Builder(Buildx::Build(args))
            | Verb::Image(Image::Build(args)) => args.run(),
            Verb::Run(args) | Verb::Container(Container::Run(args)) => args.run(),
            Verb::Images(args) | Verb::Image(Image::Ls(args)) => args.run(),
            Verb::Inspect(args) => args.run(inspect::Of::Anything),
            Verb::Image(Image::Inspect(args)) => args.run(inspect::Of::Image),
            Verb::Container(Container::Inspect(args)) => args.run(inspect::Of::Container),
            Verb::Rmi(args) | Verb::Image(Image::Rm(args)) => args.run(),
            Verb::Tag(args) | Verb::Image(Image::Tag(args)) => args.run(),
            Verb::Pull(args) | Verb::Image(Image::Pull(args)) => args.run(),
            Verb::Save(args) | Verb::Image(Image::Save(args)) => args.run(),
            Verb::Load(args) | Verb::Image(Image::Load(args)) => args.run(),
            Verb::Login(args) => args.run(),
            Verb::Logout(args) => args.run(),
            Verb::Ps(args) | Verb::Container(Container::Ls(args)) => args.run(),
            Verb::Rm(args) | Verb::Container(Container::Rm(args)) => args.run(),
            Verb::Version(args) => args.run(),
            Verb::Catalog(catalog) => catalog.run(),
        }
    }
}
