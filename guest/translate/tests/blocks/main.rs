//! Random blocks of up to 64 instructions: interpreted, translated (lazy and precise) and by qemu's user-mode emulator
//! they leave the same registers, flags and memory.
//!
//! A block that does not is made smaller, and printed with its seed: `SHALLOP_TEST_SEED=<seed>` runs that one alone.

mod block;
mod emulator;
#[path = "../machine/mod.rs"]
mod machine;

use block::{Block, CODE, DATA, DATA_BYTES};
use emulator::{Case, Emulator, End};
use machine::{Flat, Machine, Numbers, STOP, engine};
use shallop_machine::Exit;
use shallop_riscv64::{State, interpret_one};
use shallop_translate::image::Image;
use shallop_translate::{Options, Region, Variant, translate};
use wasmtime::Engine;

/// Blocks of one test, and states of a block.
const BLOCKS: u64 = 300;
const STATES: usize = 2;

/// Linux's numbers of signals.
const SIGILL: u32 = 4;
const SIGTRAP: u32 = 5;
const SIGBUS: u32 = 7;
const SIGSEGV: u32 = 11;

/// What begins a run of a block.
struct Start {
    state: State,
    data: Vec<u8>,
}

fn signal(exit: Result<(), Exit>) -> u32 {
    match exit {
        Ok(()) | Err(Exit::Breakpoint) => SIGTRAP,
        Err(Exit::Illegal(_)) => SIGILL,
        Err(Exit::Misaligned(..)) => SIGBUS,
        Err(Exit::Fault(..)) => SIGSEGV,
        Err(other) => panic!("{other:?}"),
    }
}

fn end(state: &State, exit: Result<(), Exit>, memory: &[u8]) -> End {
    let State { x, f, pc, fcsr, .. } = state.clone();
    let data = memory[DATA as usize..][..DATA_BYTES].to_vec();
    let mut end = End { x, f, pc, fcsr, signal: signal(exit), data };
    end.x[0] = 0;
    end
}

fn place(memory: &mut [u8], code: &[u8], data: &[u8]) {
    memory[CODE as usize..][..code.len()].copy_from_slice(code);
    memory[DATA as usize..][..DATA_BYTES].copy_from_slice(data);
}

fn interpreted(code: &[u8], start: &Start) -> End {
    let mut memory = vec![0; DATA as usize + DATA_BYTES];
    place(&mut memory, code, &start.data);
    let mut state = start.state.clone();
    let mut exit = Ok(());
    while exit.is_ok() && state.pc != STOP {
        exit = interpret_one(&mut state, &mut Flat(&mut memory));
    }
    end(&state, exit, &memory)
}

/// Translated; where that gives up, the interpreter goes on.
fn translated(engine: &Engine, code: &[u8], variant: Variant, starts: &[Start]) -> Vec<End> {
    let region = Region { code, start: 0, image: &Image::default() };
    let options = Options { variant, max_body: 1 << 20, ..Options::default() };
    let translated = translate(&region, &[0], &options);
    assert_eq!(translated.skipped, []);
    let mut machine = Machine::new(engine);
    machine.install(&translated, CODE as u32);
    let run = |start: &Start| {
        place(machine.guest(), code, &start.data);
        machine.set_state(&start.state);
        let exit = machine.run(100_000).map(drop);
        let state = machine.state();
        end(&state, exit, machine.guest())
    };
    starts.iter().map(run).collect()
}

/// What the variant promises of an end: the lazy one does not store what the rest of the block would write again before it
/// could be read, so that it does not say what registers a signal in the middle finds.
fn promised(end: &End, variant: Variant) -> End {
    let mut end = end.clone();
    if variant == Variant::Lazy && end.signal != SIGTRAP {
        (end.x, end.f) = ([0; 32], [0; 32]);
    }
    end
}

/// Where the three part, in words; empty: nowhere.
fn difference(engine: &Engine, block: &Block, variant: Variant, starts: &[Start], theirs: &[End]) -> String {
    let code = block.code();
    let ours: Vec<End> = starts.iter().map(|start| interpreted(&code, start)).collect();
    let translated = translated(engine, &code, variant, starts);
    let mut text = String::new();
    for ((ours, translated), theirs) in ours.iter().zip(&translated).zip(theirs) {
        let [translated, expected] = [translated, ours].map(|end| promised(end, variant));
        for (names, one, other) in
            [("interpreter and emulator", ours, theirs), ("translated and interpreted code", &translated, &expected)]
        {
            let difference = one.difference(other);
            if !difference.is_empty() {
                text += &format!("{names} differ:{difference}\n");
            }
        }
    }
    text
}

fn emulated(emulator: &Emulator, block: &Block, starts: &[Start]) -> Vec<End> {
    let code = block.code();
    let cases: Vec<Case<'_>> = starts.iter().map(|Start { state, data }| Case { code: &code, state, data }).collect();
    emulator.run(&cases)
}

/// The block without the instructions that the difference does not need, and the difference that is left.
fn shrunk(engine: &Engine, emulator: &Emulator, block: &Block, variant: Variant, starts: &[Start]) -> String {
    let mut smallest = block.clone();
    for index in 0..block.len() {
        let smaller = smallest.without(index);
        let theirs = emulated(emulator, &smaller, starts);
        if !difference(engine, &smaller, variant, starts, &theirs).is_empty() {
            smallest = smaller;
        }
    }
    let theirs = emulated(emulator, &smallest, starts);
    format!("{}{}", smallest.listing(), difference(engine, &smallest, variant, starts, &theirs))
}

fn compare(test: &str, variant: Variant, seeds: std::ops::Range<u64>) {
    let Some(emulator) = Emulator::find(test) else { return };
    let only = std::env::var("SHALLOP_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds: Vec<u64> = only.map_or_else(|| seeds.collect(), |seed| vec![seed]);
    let drawn: Vec<(Block, Vec<Start>)> = seeds
        .iter()
        .map(|seed| {
            let mut numbers = Numbers(seed * 2 + 1);
            // The first numbers of neighbouring seeds are alike.
            for _ in 0..8 {
                numbers.next();
            }
            let block = Block::random(&mut numbers);
            let start = |_| Start { state: block::state(&mut numbers), data: block::data(&mut numbers) };
            (block, (0..STATES).map(start).collect())
        })
        .collect();
    let codes: Vec<Vec<u8>> = drawn.iter().map(|(block, _)| block.code()).collect();
    let cases = drawn
        .iter()
        .zip(&codes)
        .flat_map(|((_, starts), code)| starts.iter().map(move |Start { state, data }| Case { code, state, data }));
    let theirs = emulator.run(&cases.collect::<Vec<_>>());
    let engine = engine();
    for ((seed, (block, starts)), theirs) in seeds.iter().zip(&drawn).zip(theirs.chunks(STATES)) {
        if !difference(&engine, block, variant, starts, theirs).is_empty() {
            panic!("seed {seed}:\n{}", shrunk(&engine, &emulator, block, variant, starts));
        }
    }
}

#[test]
fn blocks_lazy() {
    compare("lazy", Variant::Lazy, 0..BLOCKS);
}

#[test]
fn blocks_precise() {
    compare("precise", Variant::Precise, BLOCKS..2 * BLOCKS);
}
