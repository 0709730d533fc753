//! By a folder: the supervisor writes the request, the worker its outcome. While the supervisor lives, it holds the lock of
//! a third file, so that the worker knows.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::{Access, Kind, Outcome, VERSION, Workload};
use crate::Request;

/// The files of the folder.
const REQUEST: &str = "request.json";
const OUTCOME: &str = "outcome.json";
const ALIVE: &str = "alive";

/// What is written of a [`Request`].
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    version: u32,
    workload: Workload,
    code: Vec<PathBuf>,
    grants: Vec<(Access, PathBuf)>,
}

/// The worker's view of a [`Request`]. Its stdio is the worker's own.
#[derive(Debug)]
pub struct Received {
    pub workload: Workload,
    pub code: Vec<PathBuf>,
    pub grants: Vec<(Access, PathBuf)>,
}

/// Writes a request into a folder; the result is the lock that tells the worker that its supervisor lives.
pub fn hand_over(folder: &Path, request: &Request) -> Result<File> {
    if matches!(request.workload.kind, Kind::Linux { .. }) {
        bail!("Linux sandboxes do not run on this system");
    }
    let written = Written {
        version: VERSION,
        workload: request.workload.clone(),
        code: request.code.clone(),
        grants: request.grants.iter().map(|grant| (grant.access, grant.descriptor.clone())).collect(),
    };
    fs::write(folder.join(REQUEST), serde_json::to_vec(&written)?).context("writing the request")?;
    let alive = File::create(folder.join(ALIVE)).context("making a lock")?;
    alive.lock().context("locking it")?;
    Ok(alive)
}

/// Reads what [`hand_over`] wrote.
pub fn receive_request(folder: &Path) -> Result<Received> {
    let json = fs::read(folder.join(REQUEST)).context("reading the request")?;
    let Written { version, workload, code, grants } = serde_json::from_slice(&json).context("reading the request")?;
    ensure!(version == VERSION, "the supervisor speaks version {version}, this worker {VERSION}");
    Ok(Received { workload, code, grants })
}

/// Returns when the supervisor is gone.
pub fn wait_for_supervisor(folder: &Path) -> Result<()> {
    File::open(folder.join(ALIVE))?.lock_shared().context("waiting for the supervisor")
}

/// Says how the sandbox ended. Without its supervisor nobody reads that, and the folder goes.
pub fn send_outcome(folder: &Path, outcome: &Outcome) -> Result<()> {
    let alone = File::open(folder.join(ALIVE)).is_ok_and(|alive| alive.try_lock_shared().is_ok());
    if alone {
        return fs::remove_dir_all(folder).context("removing the request");
    }
    fs::write(folder.join(OUTCOME), serde_json::to_vec(outcome)?).context("writing the outcome")
}

/// How the sandbox ended, as far as its worker came to say it.
pub fn outcome(folder: &Path) -> Option<Outcome> {
    serde_json::from_slice(&fs::read(folder.join(OUTCOME)).ok()?).ok()
}
