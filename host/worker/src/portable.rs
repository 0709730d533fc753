//! On other systems: names of files come in a folder, and nothing but wasm's own boundary holds the module.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use shallop_sandbox::{Events, Grant, WasiLaunch};
use shallop_supervisor::wire::{self, Access, Kind, Outcome, Received, Workload};

use crate::{failed, outcome};

/// The worker process. Its first argument is the folder that the supervisor made; its stdio is the container's.
///
/// # Errors
/// When the outcome cannot be told.
pub fn main(mut arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let folder = PathBuf::from(arguments.next().context("a worker is started by shallop, with a folder")?);
    let ran = wire::receive_request(&folder).and_then(|received| run(&folder, received));
    wire::send_outcome(&folder, &ran.unwrap_or_else(|error| failed(&error)))
}

fn run(folder: &Path, received: Received) -> Result<Outcome> {
    let events = Events::new().context("making the events")?;
    listen(folder.to_owned(), events.clone())?;
    let grants = received.grants.into_iter().map(grant).collect::<Result<_>>()?;
    let Workload { kind, memory_limit, wall_limit } = received.workload;
    let Kind::Wasi { argv, env, preopens } = kind else { bail!("Linux sandboxes do not run on this system") };
    let module = received.code.first().context("no module was handed over")?;
    let module = File::open(module).with_context(|| format!("opening {}", module.display()))?;
    let launch = WasiLaunch { argv, env, preopens, grants, memory_limit, wall_limit, events };
    shallop_sandbox::run_wasi(module, launch).map(outcome)
}

fn grant((access, path): (Access, PathBuf)) -> Result<Grant> {
    match access {
        Access::Directory { read_only } => Ok(Grant::Directory { dir: path, read_only }),
        _ => bail!("{}: a WASI module can be given folders only", path.display()),
    }
}

/// Ends the sandbox when its supervisor is gone.
fn listen(folder: PathBuf, events: Arc<Events>) -> Result<()> {
    let wait = move || {
        // Without the lock nobody can tell that the supervisor lives.
        let _ = wire::wait_for_supervisor(&folder);
        events.kill();
    };
    std::thread::Builder::new().name("control".into()).spawn(wait).context("starting the control thread")?;
    Ok(())
}
