//! Runs `kernel.wasm` over the hypercalls: [`run`], and [`Host`], what all of them act on.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use shallop_address_space::Stability;
use wasmtime::{Linker, Memory, Module, Store, Trap};

use crate::config::Stops;
use crate::cpu::Cpu;
use crate::handles::Handles;
use crate::hypercalls;
use crate::hypercalls::net::Net;
use crate::launch::{Artifacts, Launch, Met, Outcome, Ready};
use crate::limits::{self, Interrupt, Limits, Ticker};
use crate::own_code::{OwnCode, Part};
use crate::process::{Errno, Process};
use crate::slab::Slab;
use crate::task::Task;
use crate::translation::Translation;
use crate::{Events, config, wasi_min};

/// Processes and tasks of one sandbox at most; the kernel's own limits are lower.
const MAX_SPACES: usize = 8192;
const MAX_TASKS: usize = 65536;

/// Points of the start-up, as [`Outcome::marks`] numbers them. The kernel's own follow at [`KERNEL_MARK`].
const KERNEL_LOADED: u32 = 1;
const KERNEL_INSTANTIATED: u32 = 2;
const CPU_LOADED: u32 = 3;
const FIRST_TASK: u32 = 4;
const KERNEL_MARK: u32 = 100;

/// Marks kept.
const MAX_MARKS: usize = 256;

/// Bytes of samples at most.
const MAX_PROFILE: u64 = 256 << 20;

/// Bytes of the kernel's own error output that are kept for the report.
const MAX_CONSOLE: usize = 16 << 10;

/// The exit status when the sandbox itself failed, as `docker run` has it, as wait(2) encodes it.
const FAILED: u32 = 125 << 8;
/// Ended by SIGKILL, as wait(2) encodes it.
const KILLED: u32 = 9;

/// The state behind one sandbox's hypercalls.
pub struct Host {
    // In this order, because tasks use the memories of their process.
    pub tasks: Slab<Task>,
    pub spaces: Slab<Process>,
    pub cpu: Cpu,
    pub translation: Option<Arc<Translation>>,
    pub memory: Option<Memory>,
    pub handles: Handles,
    pub own_code: OwnCode,
    /// `None`: there is no network outside.
    pub net: Option<Net>,
    pub events: Arc<Events>,
    pub interrupt: Arc<Interrupt>,
    /// Watch stdin in `event_wait`: it was not reported since the last read.
    pub stdin_armed: bool,
    pub trace: Option<OwnedFd>,
    pub profile: Option<ProfileStream>,
    pub spec: Vec<u8>,
    pub console: Console,
    pub exit: Option<u32>,
    pub met: Met,
    timeline: Timeline,
}

impl Host {
    /// Notes what is translated already.
    fn prepare(&mut self, ready: Vec<Ready>) {
        let Some(translation) = &self.translation else { return };
        for ready in ready {
            if let Ok((file, Stability::Immutable)) = self.handles.mappable(ready.grant) {
                translation.prepare(file, ready);
            }
        }
    }

    /// A handle's file, which is to change at a place.
    pub fn changing(&mut self, handle: u32, start: u64, len: u64) -> Result<&File, Errno> {
        if let Some(file) = self.handles.own(handle) {
            self.changes(Part::new(file, start, len))?;
        }
        self.handles.file_mut(handle)
    }

    /// Forgets what was translated of mappings that have some of a part of a file, which is to change: all of them, so that
    /// what is left of one need not be watched.
    pub fn changes(&mut self, part: Part) -> Result<(), Errno> {
        for code in self.own_code.take(&part) {
            if let Some(translation) = &self.translation {
                translation.forget(&code);
            }
            let (spaces, cpu) = (&mut self.spaces, &self.cpu);
            spaces.iter_mut().try_for_each(|process| process.cut_part(cpu, &code))?;
        }
        Ok(())
    }

    pub fn mark_kernel(&mut self, point: u32) {
        self.timeline.mark(KERNEL_MARK.saturating_add(point));
    }

    pub fn mark_task(&mut self) {
        if !std::mem::replace(&mut self.timeline.task_ran, true) {
            self.timeline.mark(FIRST_TASK);
        }
    }
}

/// The file that the kernel writes samples to.
pub struct ProfileStream {
    pub file: OwnedFd,
    /// Bytes that it may still get.
    pub left: u64,
}

impl ProfileStream {
    fn new(file: OwnedFd) -> ProfileStream {
        ProfileStream { file, left: MAX_PROFILE }
    }
}

/// When points of the start-up were reached.
struct Timeline {
    start: Instant,
    marks: Vec<(u32, Duration)>,
    task_ran: bool,
}

impl Timeline {
    fn mark(&mut self, point: u32) {
        if self.marks.len() < MAX_MARKS {
            self.marks.push((point, self.start.elapsed()));
        }
    }
}

/// The end of what the kernel said on its own stdout and stderr.
#[derive(Default)]
pub struct Console(Vec<u8>);

impl Console {
    pub fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&bytes[bytes.len().saturating_sub(MAX_CONSOLE)..]);
        let surplus = self.0.len().saturating_sub(MAX_CONSOLE);
        self.0.drain(..surplus);
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).trim().to_owned()
    }
}

/// Runs one Linux sandbox to its end. Stdin, stdout and stderr are this process's.
///
/// # Errors
/// When it cannot start. What goes wrong later is in [`Outcome::report`].
pub fn run(artifacts: Artifacts, mut launch: Launch) -> Result<(Outcome, Remains)> {
    let mut timeline = Timeline { start: Instant::now(), marks: Vec::new(), task_ran: false };
    // What it could not prepare is only slower, or already done by the caller before it gave up its rights.
    shallop_address_space::prepare();
    let engine = config::engine(Stops::Anywhere)?;
    let tasks = config::engine(Stops::ByWord)?;
    let events = launch.events.clone();
    let interrupt = Interrupt::new(&engine);
    let (memory, wall, sampled) = (launch.memory_limit, launch.wall_limit, launch.profile.is_some());
    let kernel = config::load(&engine, artifacts.kernel, "kernel")?;
    timeline.mark(KERNEL_LOADED);
    let cpu = Cpu::new(&tasks, &config::load(&tasks, artifacts.cpu, "processor")?)?;
    timeline.mark(CPU_LOADED);
    let wanted = launch.translation.clone().filter(|_| cpu.can_install());
    let storm = wanted.as_ref().is_some_and(|wanted| wanted.storm);
    let translation = wanted.map(|how| Translation::start(&tasks, how).map(Arc::new)).transpose()?;
    let ready = std::mem::take(&mut launch.ready);
    let net = launch.network.take().map(Net::new).transpose()?;
    let mut host = host(launch, (cpu, translation, net), interrupt.clone(), timeline);
    host.prepare(ready);
    let mut store = Store::new(&engine, host);
    store.set_epoch_deadline(1);

    let limits = Limits { memory, wall, storm, sampled };
    let ticker = limits::start(interrupt.clone(), events.clone(), limits)?;
    events.attach(Some(interrupt));
    let result = start(&mut store, &kernel);
    events.attach(None);
    let outcome = outcome(store.data_mut(), &result);
    if let Some(translation) = &store.data().translation {
        translation.end();
    }
    Ok((outcome, Remains { _store: store, _ticker: ticker }))
}

/// What a sandbox that has ended still holds: its memory, its threads. A process that ends too need not give that back
/// piece by piece, and may forget it.
pub struct Remains {
    _store: Store<Host>,
    _ticker: Ticker,
}

impl std::fmt::Debug for Remains {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Remains")
    }
}

fn host(
    launch: Launch,
    (cpu, translation, net): (Cpu, Option<Arc<Translation>>, Option<Net>),
    interrupt: Arc<Interrupt>,
    timeline: Timeline,
) -> Host {
    Host {
        tasks: Slab::new(MAX_TASKS),
        spaces: Slab::new(MAX_SPACES),
        cpu,
        translation,
        memory: None,
        handles: Handles::new(launch.grants),
        own_code: OwnCode::default(),
        net,
        events: launch.events,
        interrupt,
        stdin_armed: true,
        trace: launch.trace,
        profile: launch.profile.map(ProfileStream::new),
        spec: launch.spec,
        console: Console::default(),
        exit: None,
        met: Met::default(),
        timeline,
    }
}

/// Instantiates and runs the kernel. Returns only by an error: its exit is one too.
fn start(store: &mut Store<Host>, kernel: &Module) -> wasmtime::Result<()> {
    let mut linker = Linker::new(kernel.engine());
    hypercalls::link(&mut linker)?;
    wasi_min::link(&mut linker)?;
    linker.define_unknown_imports_as_traps(kernel)?;
    let instance = linker.instantiate(&mut *store, kernel)?;
    store.data_mut().memory = instance.get_memory(&mut *store, "memory");
    store.data_mut().timeline.mark(KERNEL_INSTANTIATED);
    instance.get_typed_func::<(), ()>(&mut *store, "_start")?.call(&mut *store, ())
}

fn outcome(host: &mut Host, result: &wasmtime::Result<()>) -> Outcome {
    let marks = std::mem::take(&mut host.timeline.marks);
    let met = host.met;
    if let Some(status) = host.exit {
        // The kernel could not start the container when it says so on its own stderr, which no program reaches.
        let report = Some(host.console.text()).filter(|said| status == FAILED && !said.is_empty());
        return Outcome { status, marks, report, met, limit: None };
    }
    if let Some(ending) = host.interrupt.ended() {
        return Outcome { status: KILLED, marks, met, limit: ending.limit(), ..Outcome::default() };
    }
    Outcome { status: FAILED, marks, report: Some(report(&host.console, result)), met, limit: None }
}

/// Tells why a kernel that did not exit has stopped.
fn report(console: &Console, result: &wasmtime::Result<()>) -> String {
    let reason = match result {
        Ok(()) => "it returned without an exit status".to_owned(),
        Err(error) => match error.downcast_ref::<Trap>() {
            Some(trap) => trap.to_string(),
            None => format!("{error:#}"),
        },
    };
    match console.text() {
        said if said.is_empty() => format!("the sandbox's kernel stopped: {reason}"),
        said => format!("the sandbox's kernel stopped: {reason}\n{said}"),
    }
}
