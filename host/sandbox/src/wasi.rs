//! Runs a WASI preview 1 command module directly, without a kernel: [`run_wasi`].

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use wasmtime::{Engine, ExternType, Linker, Module, Store, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::p1::{WasiP1Ctx, add_to_linker_sync};
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder};

use crate::config::Stops;
use crate::launch::{Grant, Outcome, WasiLaunch};
use crate::limits::{self, Ending, Interrupt, Limits};
use crate::{config, platform};

/// Native stack of the thread that runs the module.
const STACK: usize = 8 << 20;

/// How often the waiting thread looks whether the module was ended while it is in a call of the host.
const LOOK: Duration = Duration::from_millis(20);

/// How long a module that was ended may take to leave such a call; after that it is left behind with its thread.
const LEAVE: Duration = Duration::from_millis(200);

/// Table elements and instances of one module.
const MAX_TABLE_ELEMENTS: usize = 1 << 20;

/// What a command module exports.
const START: &str = "_start";

/// It cannot be run: as a shell says it.
const NO_COMMAND: u32 = 126 << 8;

/// Ended by a trap, as a shell shows SIGABRT, and by SIGKILL; as wait(2) encodes them.
const TRAPPED: u32 = 134 << 8;
const KILLED: u32 = 9;

struct State {
    wasi: WasiP1Ctx,
    limits: StoreLimits,
}

/// Runs a module, precompiled by [`crate::compile`], to its end. Its stdio is this process's.
///
/// # Errors
/// When it cannot start. A trap later is in [`Outcome::report`].
pub fn run_wasi(module: File, launch: WasiLaunch) -> Result<Outcome> {
    let engine = config::engine(Stops::Anywhere)?;
    let module = config::load(&engine, module, "WASI")?;
    if !matches!(module.get_export(START), Some(ExternType::Func(_))) {
        let report = format!("exec format error: the module has no function {START}, so it is no WASI command");
        return Ok(Outcome { status: NO_COMMAND, report: Some(report), ..Outcome::default() });
    }
    let interrupt = Interrupt::new(&engine);
    let events = launch.events.clone();
    let limits = Limits { memory: 0, wall: launch.wall_limit, storm: false, sampled: false };
    let state = State {
        wasi: context(&launch)?,
        limits: StoreLimitsBuilder::new()
            .memory_size(usize::try_from(launch.memory_limit).unwrap_or(usize::MAX))
            .table_elements(MAX_TABLE_ELEMENTS)
            .instances(1)
            .build(),
    };
    let _ticker = limits::start(interrupt.clone(), events.clone(), limits)?;
    events.attach(Some(interrupt.clone()));
    let results = start_thread(engine, module, state)?;
    let outcome = wait(&results, &interrupt);
    events.attach(None);
    outcome
}

/// What the module is given: arguments, environment, stdio and its volumes.
fn context(launch: &WasiLaunch) -> Result<WasiP1Ctx> {
    let mut builder = WasiCtxBuilder::new();
    builder.args(&launch.argv).envs(&launch.env).inherit_stdio().allow_blocking_current_thread(true);
    for (path, index) in &launch.preopens {
        let Some(Grant::Directory { dir, read_only }) = launch.grants.get(*index as usize) else {
            bail!("{path}: grant {index} is no directory");
        };
        let perms = if *read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
        builder
            .preopened_dir(platform::path_of(dir), path, perms)
            .map_err(|e| anyhow!("opening the volume at {path}: {e:#}"))?;
    }
    Ok(builder.build_p1())
}

/// Runs the module on a thread of its own, so that it can be left behind in a call that does not return.
fn start_thread(engine: Engine, module: Module, state: State) -> Result<Receiver<wasmtime::Result<()>>> {
    let (sender, results) = channel();
    let run = move || {
        // Nobody listens when the module was given up: then the result does not matter.
        let _ = sender.send(call(&engine, &module, state));
    };
    std::thread::Builder::new().name("wasi".into()).stack_size(STACK).spawn(run).context("starting a thread")?;
    Ok(results)
}

fn call(engine: &Engine, module: &Module, state: State) -> wasmtime::Result<()> {
    let mut linker = Linker::new(engine);
    add_to_linker_sync(&mut linker, |state: &mut State| &mut state.wasi)?;
    // The library's own traps on codes from 126 on, which programs use.
    linker.allow_shadowing(true).func_wrap(
        "wasi_snapshot_preview1",
        "proc_exit",
        |code: i32| -> wasmtime::Result<()> { Err(wasmtime::Error::new(I32Exit(code))) },
    )?;
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.limits);
    store.set_epoch_deadline(1);
    let instance = linker.instantiate(&mut store, module)?;
    instance.get_typed_func::<(), ()>(&mut store, START)?.call(&mut store, ())
}

fn wait(results: &Receiver<wasmtime::Result<()>>, interrupt: &Arc<Interrupt>) -> Result<Outcome> {
    loop {
        match results.recv_timeout(LOOK) {
            Ok(result) => return Ok(outcome(&result, interrupt.ended())),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("the thread of the module ended by a panic"),
        }
        if let Some(ending) = interrupt.ended() {
            let _ = results.recv_timeout(LEAVE);
            return Ok(ended(ending));
        }
    }
}

fn ended(ending: Ending) -> Outcome {
    Outcome { status: KILLED, limit: ending.limit(), ..Outcome::default() }
}

fn outcome(result: &wasmtime::Result<()>, ending: Option<Ending>) -> Outcome {
    let Err(error) = result else { return Outcome::default() };
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return Outcome { status: (exit.0 as u32 & 0xff) << 8, ..Outcome::default() };
    }
    match ending {
        Some(ending) => ended(ending),
        None => {
            Outcome { status: TRAPPED, report: Some(format!("the module stopped: {error:#}")), ..Outcome::default() }
        }
    }
}
