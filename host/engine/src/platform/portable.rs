//! On other systems: WASI modules alone. What needs a Linux sandbox is an error that says so.

use std::fs::File;
use std::path::Path;

use anyhow::{Result, bail};
use shallop_build::RunStep;
use shallop_oci::{Config, Digest};
use shallop_supervisor::{Request, Worker};

use super::Starting;
use crate::Session;
use crate::build::Effects;
use crate::precompile::Report;
use crate::timings::Timings;

/// How people call this system.
const SYSTEM: &str = if cfg!(windows) { "Windows" } else { std::env::consts::OS };

/// Whether Linux programs can run here, which `what` needs.
///
/// # Errors
/// Always on this system.
pub fn check_linux(what: &str) -> Result<()> {
    bail!("{what}: Linux images are not run on {SYSTEM} yet: there are wasi/wasm images and .wasm files")
}

/// # Errors
/// As [`check_linux`].
pub fn container_request(_: &Session, starting: Starting<'_>, _: &mut Timings) -> Result<Request> {
    check_linux(&starting.options.image)?;
    bail!("there is no request for a Linux sandbox")
}

/// # Errors
/// As [`check_linux`].
pub fn run_step(_: &Effects<'_>, _: &RunStep, _: (File, File), _: &mut dyn FnMut(&[u8])) -> Result<i32> {
    check_linux("RUN")?;
    Ok(1)
}

/// # Errors
/// As [`check_linux`].
pub fn precompile(_: &Session, _: (&[Digest], &Config), _: &mut dyn FnMut(usize, usize)) -> Result<Report> {
    check_linux("--precompile")?;
    Ok(Report::default())
}

/// A profile of a Linux program, of which there are none.
pub struct Profile;

impl Profile {
    /// # Errors
    /// As [`check_linux`].
    pub fn new(_: &Path) -> Result<Profile> {
        check_linux("--profile")?;
        Ok(Profile)
    }

    /// # Errors
    /// None.
    pub fn finish(self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// The system tells every process of a console of Ctrl-C; nothing is passed on.
pub struct Caught;

impl Caught {
    /// # Errors
    /// None.
    pub fn new() -> Result<Caught> {
        Ok(Caught)
    }

    /// # Errors
    /// None.
    pub fn forward(self, _: &Worker, _tty: bool) -> Result<()> {
        Ok(())
    }
}
