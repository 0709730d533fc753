//! `run`: create a container, start it in the foreground, wait for it, clean up.

use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use shallop_oci::Platform;
use shallop_store::{Container, ContainerState, Image, NewContainer, StoreError};
use shallop_supervisor::{Outcome, Request, Worker};

use crate::images;
use crate::limits::Limits;
use crate::network::Settings;
use crate::platform::{Caught, Profile, Starting};
use crate::process::{Defaults, Overrides, Process};
use crate::pull::{Finding, Policy, Progress};
use crate::substitutes::Substitutes;
use crate::terminal::RawTerminal;
use crate::timings::Timings;
use crate::volume::Volume;
use crate::{Session, platform, wasi};

/// The flags of `run`.
#[derive(Debug, Clone)]
pub struct Options {
    /// A name, an id, or the path of a `.wasm` file.
    pub image: String,
    pub overrides: Overrides,
    pub name: Option<String>,
    pub remove: bool,
    pub interactive: bool,
    pub hostname: Option<String>,
    pub platform: Option<String>,
    pub volumes: Vec<Volume>,
    pub limits: Limits,
    pub network: Settings,
    pub substitute: bool,
    pub pull: Policy,
    pub strace: bool,
    pub timings: bool,
    /// Where to write a profile.
    pub profile: Option<PathBuf>,
}

/// Runs a container to its end; its exit code. `progress` is told of a pull.
pub fn run(session: &Session, options: Options, progress: &dyn Progress) -> Result<i32> {
    let mut timings = Timings::default();
    if options.overrides.tty && options.interactive && !std::io::stdin().is_terminal() {
        // Docker's words and its code: 1, not the 125 of other failures.
        say("the input device is not a TTY");
        return Ok(1);
    }
    if is_wasm_file(&options.image) {
        ensure!(options.profile.is_none(), "--profile: only Linux programs can be profiled, not WASI modules");
        let request = wasi::file_request(session, &options)?;
        let outcome = supervise(session, request, options.overrides.tty, &mut timings)?;
        return finish(&options, outcome, &mut timings);
    }
    let platform = options.platform.as_deref().map(str::parse::<Platform>).transpose()?;
    if let Some(platform) = platform.as_ref().filter(|platform| !platform.is_supported()) {
        anyhow::bail!("platform {platform} is not supported; there are linux/riscv64 and wasi/wasm");
    }
    let substitutes = if options.substitute { Substitutes::Accept } else { Substitutes::Ask };
    let finding = Finding { policy: options.pull, substitutes, progress };
    let image = images::find(session, &options.image, platform.as_ref(), &finding)?;
    timings.point("image found");
    if !image.platform.is_wasi() {
        platform::check_linux(&options.image)?;
    }
    // What cannot go now goes with a later command.
    let _ = session.store.remove_abandoned_containers();
    let container = create(session, &options, &image)?;
    timings.point("container created");
    let profile = options.profile.as_deref().map(Profile::new).transpose()?;
    // Its process comes to its end while that is recorded.
    let mut worker = None;
    let outcome = start(session, (&options, profile.as_ref()), &image, &container, (&mut worker, &mut timings));
    let code = outcome.as_ref().map_or(125, Outcome::exit_code);
    match options.remove {
        true => remove(session, &container.id)?,
        false => session.store.set_container_state(&container.id, ContainerState::Exited { code })?,
    }
    timings.point("container's end recorded");
    if let Some(profile) = profile {
        profile.finish(&options.image)?;
    }
    finish(&options, outcome?, &mut timings)
}

fn is_wasm_file(image: &str) -> bool {
    image.ends_with(".wasm") && Path::new(image).is_file()
}

/// Removes a container that ended. Another command may hold its lock for a look, or remove it first.
fn remove(session: &Session, id: &str) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(1);
    let begun = Instant::now();
    loop {
        match session.store.remove_container(id) {
            Err(StoreError::NoSuchContainer { .. }) => return Ok(()),
            Err(StoreError::Conflict(_)) if begun.elapsed() < PATIENCE => sleep(Duration::from_millis(5)),
            done => return Ok(done?),
        }
    }
}

/// Tells what there is to tell, and gives the exit code.
fn finish(options: &Options, outcome: Outcome, timings: &mut Timings) -> Result<i32> {
    if let Some(report) = &outcome.report {
        say(report);
    }
    let ended = options.limits.ended("container", &outcome).into_iter();
    ended.chain(options.limits.met("container", &outcome)).for_each(|text| say(&text));
    for refused in &outcome.refused {
        say(&format!("the network policy refused {refused}"));
    }
    if options.timings {
        eprint!("{}", timings.report());
    }
    Ok(outcome.exit_code())
}

/// A line on stderr; one that cannot be written is nobody's loss.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "shallop: {text}");
}

fn create(session: &Session, options: &Options, image: &Image) -> Result<Container> {
    let process = Process::resolve(&defaults(image), &options.overrides, "")?;
    Ok(session.store.create_container(&NewContainer {
        name: options.name.clone(),
        image: image.id,
        image_name: options.image.clone(),
        command: process.argv,
        layers: image.layers.clone(),
        config: json!({
            "Tty": options.overrides.tty,
            "OpenStdin": options.interactive,
            "Memory": options.limits.memory,
            "AutoRemove": options.remove,
            "Binds": options.volumes.iter().map(|v| format!("{}:{}", v.source.display(), v.target)).collect::<Vec<_>>(),
        }),
    })?)
}

/// An image's defaults for the process.
pub fn defaults(image: &Image) -> Defaults {
    let config = &image.config.config;
    Defaults {
        entrypoint: config.entrypoint.clone().unwrap_or_default(),
        command: config.cmd.clone().unwrap_or_default(),
        env: config.env.clone(),
        workdir: config.working_dir.clone(),
        user: config.user.clone(),
    }
}

/// Docker's default host name: the id's first twelve digits.
fn short(id: &str) -> String {
    id.chars().take(12).collect()
}

fn start(
    session: &Session,
    (options, profile): (&Options, Option<&Profile>),
    image: &Image,
    container: &Container,
    (running, timings): (&mut Option<Worker>, &mut Timings),
) -> Result<Outcome> {
    let _running = session.store.lock_container(&container.id)?;
    let hostname = options.hostname.clone().unwrap_or_else(|| short(&container.id));
    let process = Process::resolve(&defaults(image), &options.overrides, &hostname)?;
    let request = if image.platform.is_wasi() {
        ensure!(profile.is_none(), "--profile: only Linux programs can be profiled, not WASI modules");
        match wasi::image_request(session, options, image, process) {
            Err(error) if error.is::<wasi::NoSuchProgram>() => {
                return Ok(Outcome { status: 127 << 8, report: Some(error.to_string()), ..Outcome::default() });
            }
            request => request?,
        }
    } else {
        let container = Starting { options, profile, image, container, process, hostname };
        platform::container_request(session, container, timings)?
    };
    let record = |pid| session.store.set_container_state(&container.id, ContainerState::Running { pid });
    // Before the terminal is raw: a signal that ended this process now would leave it so.
    let signals = Caught::new()?;
    let tty = options.overrides.tty && options.interactive;
    let terminal = if tty { RawTerminal::enter()? } else { None };
    let begun = timings.elapsed();
    let worker = running.insert(session.worker()?.run(request)?);
    timings.point("worker started");
    record(worker.pid())?;
    signals.forward(worker, tty)?;
    session.store.shorten_log();
    let outcome = worker.wait();
    drop(terminal);
    timings.point("worker ended");
    let outcome = outcome?;
    timings.worker(begun, &outcome.marks);
    Ok(outcome)
}

/// Starts a worker that no container record belongs to, and waits.
fn supervise(session: &Session, request: Request, tty: bool, timings: &mut Timings) -> Result<Outcome> {
    let begun = timings.elapsed();
    let signals = Caught::new()?;
    let mut worker = session.worker()?.run(request)?;
    signals.forward(&worker, tty)?;
    let outcome = worker.wait()?;
    timings.point("worker ended");
    timings.worker(begun, &outcome.marks);
    Ok(outcome)
}
