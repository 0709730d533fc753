//! The engine's settings, the same when compiling and when running; [`compile`].

use std::fs::File;

use anyhow::{Result, anyhow};
use wasmtime::{Config, Engine, Module, OptLevel, WasmBacktraceDetails};

use crate::platform;

/// Bytes of address space for each memory: every 32-bit offset.
pub const RESERVATION: usize = 4 << 30;

/// Bytes after the reservation that no memory uses, for constant offsets of accesses; with it no access needs a check.
pub const GUARD: usize = 256 << 20;

/// Native stack of one task's fiber. Only touched pages are backed.
const FIBER_STACK: usize = 9 << 20;

/// The part of a stack that wasm may use; the rest is for hypercalls made from it.
const WASM_STACK: usize = 8 << 20;

/// How the end of a sandbox stops a module's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stops {
    /// Wherever it is, by the engine's epoch: the kernel, and WASI programs.
    Anywhere,
    /// Where it looks at the preempt word, as the processor module and translated code do at each jump back and call.
    ByWord,
}

/// Compiles modules one after another, as [`compile`] does.
pub struct Compiler(Engine);

impl Compiler {
    /// # Errors
    /// When the host's processor cannot be compiled for.
    pub fn new(stops: Stops) -> Result<Compiler> {
        engine(stops).map(Compiler)
    }

    /// # Errors
    /// As [`compile`].
    pub fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>> {
        self.0.precompile_module(wasm).map_err(|e| anyhow!("{e:#}"))
    }
}

/// Compiles a module to the native code that [`crate::run`] and [`crate::run_wasi`] of this very build load.
///
/// # Errors
/// When the module is not valid, or needs a wasm feature that is off.
pub fn compile(wasm: &[u8], stops: Stops) -> Result<Vec<u8>> {
    Compiler::new(stops)?.compile(wasm)
}

/// An engine for one worker process.
///
/// No memory ever moves. But the code of tasks is compiled as if those did that could grow beyond the reservation: translated
/// code chooses so how Cranelift treats the base of a memory (`Memories` in `guest/translate/src/memories.rs`).
pub(crate) fn engine(stops: Stops) -> Result<Engine> {
    let mut config = Config::new();
    let reservation = match stops {
        Stops::Anywhere => RESERVATION,
        Stops::ByWord => RESERVATION / 2,
    };
    config
        .cranelift_opt_level(OptLevel::Speed)
        .parallel_compilation(true)
        .wasm_multi_memory(true)
        // Fused multiplication and addition are fused on every machine.
        .wasm_relaxed_simd(true)
        .relaxed_simd_deterministic(true)
        // Translated code says which of its branches are seldom taken.
        .wasm_branch_hinting(true)
        // It multiplies numbers of 64 bits to one of 128, whose upper half guest code asks for to divide by constants.
        .wasm_wide_arithmetic(true)
        .epoch_interruption(stops == Stops::Anywhere)
        .concurrency_support(false)
        .wasm_backtrace_max_frames(None)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .generate_address_map(false)
        .signals_based_traps(true)
        .memory_reservation(reservation as u64)
        .memory_guard_size((RESERVATION + GUARD - reservation) as u64)
        .memory_may_move(stops == Stops::ByWord)
        .memory_init_cow(false)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(FIBER_STACK);
    if stops == Stops::ByWord {
        trust_speculation(&mut config);
    }
    platform::configure(&mut config);
    Engine::new(&config).map_err(|e| anyhow!("starting the wasm engine: {e:#}"))
}

/// Loads a precompiled module.
pub(crate) fn load(engine: &Engine, file: File, name: &str) -> Result<Module> {
    // SAFETY: the file comes from this build's own code cache, which nobody else writes (`shallop-compiler`).
    unsafe { platform::deserialize(engine, file) }.map_err(|e| anyhow!("loading the {name} module: {e:#}"))
}

/// Has the code of tasks access its tables of functions without a guard against what the processor does ahead of a bounds
/// check (Spectre, variant 1): the worker's process has nothing in its memory that is not of its one sandbox, so there is no
/// secret of another to be read so.
fn trust_speculation(config: &mut Config) {
    // SAFETY: code still checks the bounds; this only leaves out what comes beside the check.
    unsafe { config.cranelift_flag_set("enable_table_access_spectre_mitigation", "false") };
}
