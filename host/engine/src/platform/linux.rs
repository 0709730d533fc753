//! On Linux: requests for Linux sandboxes.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use shallop_build::{Network, RunStep};
use shallop_supervisor::{Request, own_streams};

use super::Starting;
use crate::build::Effects;
use crate::launch::{LinuxSandbox, Streams};
use crate::network::Access;
use crate::process::Process;
pub use crate::profile::Profile;
pub use crate::signals::Caught;
use crate::timings::Timings;
use crate::{Session, proxies};

/// The host name that steps see, as BuildKit's do.
const HOSTNAME: &str = "buildkitsandbox";

/// Whether Linux programs can run here, which `what` needs.
///
/// # Errors
/// Never on this system.
pub fn check_linux(_what: &str) -> Result<()> {
    Ok(())
}

/// What a container's worker is to be started with.
///
/// # Errors
/// When something of it cannot be opened, or a setting has a value that is none.
pub fn container_request(session: &Session, starting: Starting<'_>, timings: &mut Timings) -> Result<Request> {
    let Starting { options, profile, image, container, mut process, hostname } = starting;
    let upper = session.store.container_upper(&container.id);
    let open = |path: &Path| {
        File::options().read(true).write(true).open(path).with_context(|| format!("opening {}", path.display()))
    };
    let access = options.network.access()?;
    let lent = access.lent(&|| session.merged(&image.layers))?;
    let proxies = if access.policy.is_some() { proxies::configured()? } else { Vec::new() };
    let missing: Vec<String> = proxies::missing(&proxies, &process.env).collect();
    process.env.extend(missing);
    lent.join(&mut process.env);
    let sandbox = LinuxSandbox {
        arch: image.platform.architecture.clone(),
        hostname,
        process,
        layers: session.layers(&image.layers)?,
        upper_journal: open(&upper.journal)?,
        upper_data: open(&upper.data)?,
        volumes: options.volumes.clone(),
        network: access.policy,
        dns: access.dns,
        files: lent.files,
        tty: options.overrides.tty,
        interactive: options.interactive,
        limits: options.limits,
        strace: options.strace,
        translations: session.translations()?,
    };
    let (kernel, cpu) = session.engine_code()?;
    timings.point("code ready");
    let trace = options.strace.then(|| std::io::stderr().as_fd().try_clone_to_owned()).transpose()?;
    let profile = profile.map(Profile::stream).transpose()?;
    sandbox.request(kernel, cpu, Streams { stdio: own_streams(options.interactive)?, trace, profile })
}

/// Runs a build step over an empty writable layer, whose two files are given; its exit code.
///
/// # Errors
/// When it cannot be started, or a limit ended it.
pub fn run_step(
    effects: &Effects<'_>,
    step: &RunStep,
    (journal, data): (File, File),
    output: &mut dyn FnMut(&[u8]),
) -> Result<i32> {
    let none = Access::none();
    let access = if step.network == Network::None { &none } else { &effects.network };
    let lent = access.lent(&|| effects.session.merged(&step.layers))?;
    let mut env = step.env.clone();
    lent.join(&mut env);
    let sandbox = LinuxSandbox {
        arch: step.platform.architecture.clone(),
        hostname: HOSTNAME.into(),
        process: Process { argv: step.argv.clone(), env, workdir: step.workdir.clone(), user: step.user.clone() },
        layers: effects.session.layers(&step.layers)?,
        upper_journal: journal,
        upper_data: data,
        volumes: Vec::new(),
        network: access.policy.clone(),
        dns: access.dns.clone(),
        files: lent.files,
        tty: false,
        interactive: false,
        limits: effects.limits,
        strace: false,
        translations: effects.session.translations()?,
    };
    let (kernel, cpu) = effects.session.engine_code()?;
    let (mut ours, theirs) = std::io::pipe().context("making a pipe")?;
    let stderr = OwnedFd::from(theirs.try_clone()?);
    let stdin = File::open("/dev/null").context("opening /dev/null")?.into();
    let streams = Streams { stdio: [stdin, theirs.into(), stderr], trace: None, profile: None };
    let request = sandbox.request(kernel, cpu, streams)?;
    let mut worker = effects.session.worker()?.run(request)?;
    let mut buffer = [0; 16384];
    let mut log = Log { left: effects.log_limit, output };
    loop {
        match ours.read(&mut buffer).context("reading the step's output")? {
            0 => break,
            n => log.write(&buffer[..n], effects.log_limit),
        }
    }
    let outcome = worker.wait()?;
    for refused in &outcome.refused {
        (log.output)(format!("the network policy refused {refused}\n").as_bytes());
    }
    ensure!(outcome.report.is_none(), "{}", outcome.report.unwrap_or_default());
    if let Some(text) = effects.limits.ended("step", &outcome) {
        anyhow::bail!("{text}");
    }
    for text in effects.limits.met("step", &outcome) {
        (log.output)(format!("shallop: {text}\n").as_bytes());
    }
    Ok(outcome.exit_code())
}

/// A step's output on its way to the eye, cut off where it has become too much.
struct Log<'a> {
    left: u64,
    output: &'a mut dyn FnMut(&[u8]),
}

impl Log<'_> {
    fn write(&mut self, bytes: &[u8], limit: u64) {
        let shown = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        (self.output)(&bytes[..shown]);
        self.left -= shown as u64;
        if self.left == 0 && shown > 0 {
            // BuildKit's words.
            let text = format!("\n[output clipped, log limit {} KiB reached; --log-limit raises it]\n", limit >> 10);
            (self.output)(text.as_bytes());
        }
    }
}
