//! Random functions with branches, loops that cross, and calls: translated, interrupted and resumed at random, they
//! do what the interpreter does.

mod machine;

use std::collections::BTreeMap;

use machine::{Flat, Machine, Numbers, STOP, engine};
use shallop_riscv64::{State, interpret_one};
use shallop_translate::image::Image;
use shallop_translate::{Entries, Options, Region, Variant, translate};

const CODE: u32 = 0x10_0000;
const START: u32 = 0x2000;
const STACK: u64 = 0x20_0000;
/// Where pointers begin; they come less far than this is from the stack.
const DATA: u64 = STACK + 0x2_0000;
const END: u64 = DATA + 0x2_0000;

/// Encodings that the tests write.
mod encode {
    pub fn branch(kind: u32, rs1: u32, rs2: u32, offset: i32) -> u32 {
        let o = offset as u32;
        (o >> 12 & 1) << 31
            | (o >> 5 & 0x3f) << 25
            | rs2 << 20
            | rs1 << 15
            | kind << 12
            | (o >> 1 & 0xf) << 8
            | (o >> 11 & 1) << 7
            | 0x63
    }
    pub fn jal(rd: u32, offset: i32) -> u32 {
        let o = offset as u32;
        (o >> 20 & 1) << 31 | (o >> 1 & 0x3ff) << 21 | (o >> 11 & 1) << 20 | (o >> 12 & 0xff) << 12 | rd << 7 | 0x6f
    }
    pub fn jalr(rd: u32, rs1: u32, imm: i32) -> u32 {
        (imm as u32) << 20 | rs1 << 15 | rd << 7 | 0x67
    }
    pub fn addi(rd: u32, rs1: u32, imm: i32) -> u32 {
        (imm as u32) << 20 | rs1 << 15 | rd << 7 | 0x13
    }
    pub fn andi(rd: u32, rs1: u32, imm: i32) -> u32 {
        addi(rd, rs1, imm) | 7 << 12
    }
    pub fn slli(rd: u32, rs1: u32, imm: i32) -> u32 {
        addi(rd, rs1, imm) | 1 << 12
    }
    pub fn lw(rd: u32, rs1: u32, imm: i32) -> u32 {
        (imm as u32) << 20 | rs1 << 15 | 2 << 12 | rd << 7 | 0x03
    }
    pub fn register(bits: u32, rd: u32, rs1: u32, rs2: u32) -> u32 {
        bits | rs2 << 20 | rs1 << 15 | rd << 7
    }
    pub fn ld(rd: u32, rs1: u32, imm: i32) -> u32 {
        (imm as u32) << 20 | rs1 << 15 | 3 << 12 | rd << 7 | 0x03
    }
    pub fn sd(rs2: u32, rs1: u32, imm: i32) -> u32 {
        let i = imm as u32;
        (i >> 5 & 0x7f) << 25 | rs2 << 20 | rs1 << 15 | 3 << 12 | (i & 0x1f) << 7 | 0x23
    }
}

const FUEL: u32 = 18;

/// How a random block ends.
#[derive(Clone, Copy)]
enum End {
    Branch(u32, u32, u32, usize),
    Goto(usize),
    Call(usize),
    FarCall(usize),
    Computed(usize),
    /// By two bits of a register, through a table of offsets.
    Switch(u32, [usize; 4]),
    Next,
}

struct Program {
    words: Vec<u32>,
    functions: Vec<u32>,
}

/// Pointers, which are accessed by and moved.
const POINTERS: [u64; 2] = [8, 9];
/// What is added to them now and then: far enough to be no address.
const FAR: u32 = 19;

const REGISTERS: [u32; 8] = [10, 11, 12, 13, 14, 15, 28, 29];

fn pick(numbers: &mut Numbers) -> u32 {
    REGISTERS[numbers.below(8) as usize]
}

/// A jump to another function.
struct Jump {
    at: usize,
    to: usize,
    /// The register that gets the address behind it.
    link: u32,
    /// By two instructions.
    far: bool,
}

/// Some functions, each of blocks that lead anywhere within it, and some that are small and call nothing. Blocks have fewer
/// operations than `most`.
fn program(numbers: &mut Numbers, most: u64) -> Program {
    let (functions, small) = (1 + numbers.below(4) as usize, numbers.below(4) as usize);
    let (mut words, mut starts, mut jumps) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..functions + small {
        starts.push(words.len());
        match number < functions {
            true => function(&mut words, &mut jumps, (functions + small, most), numbers),
            false => small_function(&mut words, &mut jumps, functions, numbers),
        }
    }
    for Jump { at, to, link, far } in jumps {
        let offset = (starts[to] as i32 - at as i32) * 4;
        match far {
            // auipc t1, 0; jalr link, offset(t1)
            true => (words[at], words[at + 1]) = (0x17 | 6 << 7, encode::jalr(link, 6, offset)),
            false => words[at] = encode::jal(link, offset),
        }
    }
    Program { words, functions: starts.into_iter().map(|at| START + at as u32 * 4).collect() }
}

/// One that returns, or goes on to one of the others, which returns for it; on one of two ways or on both.
fn small_function(words: &mut Vec<u32>, jumps: &mut Vec<Jump>, others: usize, numbers: &mut Numbers) {
    let mut part = |words: &mut Vec<u32>| {
        (0..numbers.below(4)).for_each(|_| words.push(operation(numbers)));
        // A loop in which it is interrupted.
        if numbers.below(2) == 0 {
            words.extend([encode::addi(FUEL, FUEL, -1), operation(numbers), encode::branch(5, FUEL, 0, -8)]);
        }
        let (at, to, link) = (words.len(), numbers.below(others as u64) as usize, 0);
        match numbers.below(4) {
            0 => {
                words.push(0);
                jumps.push(Jump { at, to, link, far: false });
            }
            1 => {
                words.extend([0, 0]);
                jumps.push(Jump { at, to, link: [0, 7][numbers.below(2) as usize], far: true });
            }
            _ => words.push(encode::jalr(0, 1, 0)),
        }
    };
    let branch = words.len();
    words.push(encode::addi(0, 0, 0));
    part(words);
    let other = words.len();
    part(words);
    words[branch] = encode::branch(1, 10, 12, (other as i32 - branch as i32) * 4);
}

fn function(words: &mut Vec<u32>, calls: &mut Vec<Jump>, (functions, most): (usize, u64), numbers: &mut Numbers) {
    let count = 2 + numbers.below(12) as usize;
    words.extend([encode::addi(2, 2, -16), encode::sd(1, 2, 0)]);
    let (mut begins, mut jumps, mut leaves) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        begins.push(words.len());
        // What a loop accesses first is looked at before it.
        if numbers.below(3) == 0 {
            words.push(encode::ld(pick(numbers), POINTERS[numbers.below(2) as usize] as u32, 0));
        }
        words.push(encode::addi(FUEL, FUEL, -1));
        leaves.push(words.len());
        words.push(0);
        for _ in 0..numbers.below(most) {
            words.push(operation(numbers));
        }
        let to = numbers.below(count as u64) as usize;
        let end = match numbers.below(11) {
            0..=4 => End::Branch([0, 1, 4, 5, 6, 7][numbers.below(6) as usize], pick(numbers), pick(numbers), to),
            5 => End::Goto(to),
            6 => End::Call(numbers.below(functions as u64) as usize),
            7 => End::FarCall(numbers.below(functions as u64) as usize),
            8 => End::Computed(to),
            9 => End::Switch(pick(numbers), std::array::from_fn(|_| numbers.below(count as u64) as usize)),
            _ => End::Next,
        };
        let at = words.len();
        match end {
            End::Branch(..) | End::Goto(_) => {
                jumps.push((at, end));
                words.push(0);
            }
            End::Call(callee) => {
                calls.push(Jump { at, to: callee, link: 1, far: false });
                words.push(0);
            }
            End::FarCall(callee) => {
                calls.push(Jump { at, to: callee, link: 1, far: true });
                words.extend([0, 0]);
            }
            End::Computed(_) => {
                jumps.push((at, end));
                words.extend([0, 0]);
            }
            End::Switch(..) => {
                jumps.push((at, end));
                words.extend([0; 8]);
            }
            End::Next => {}
        }
    }
    let end = words.len();
    words.extend([encode::ld(1, 2, 0), encode::addi(2, 2, 16), encode::jalr(0, 1, 0)]);
    for at in leaves {
        words[at] = encode::branch(5, 0, FUEL, (end as i32 - at as i32) * 4);
    }
    for (at, jump) in jumps {
        let offset = |to: usize| (begins[to] as i32 - at as i32) * 4;
        match jump {
            End::Branch(kind, a, b, to) => words[at] = encode::branch(kind, a, b, offset(to)),
            End::Goto(to) => words[at] = encode::jal(0, offset(to)),
            // auipc t2, 0; jalr x0, offset(t2)
            End::Computed(to) => (words[at], words[at + 1]) = (0x17 | 7 << 7, encode::jalr(0, 7, offset(to))),
            End::Switch(by, targets) => switch(words, at, by, targets.map(|to| begins[to])),
            _ => {}
        }
    }
}

/// Jumps by two bits of the register `by`, through a table that is put at the end.
fn switch(words: &mut Vec<u32>, at: usize, by: u32, targets: [usize; 4]) {
    let table = words.len();
    words.extend(targets.map(|target| ((target as i32 - table as i32) * 4) as u32));
    let code = [
        0x17 | 7 << 7, // auipc t2, 0
        encode::addi(7, 7, (table - at) as i32 * 4),
        encode::andi(6, by, 3),
        encode::slli(6, 6, 2),
        encode::register(0x33, 6, 6, 7),
        encode::lw(6, 6, 0),
        encode::register(0x33, 6, 6, 7),
        encode::jalr(0, 6, 0),
    ];
    words[at..at + code.len()].copy_from_slice(&code);
}

/// An operation on registers, a pointer or the stack pointer, or a store to the stack.
fn operation(numbers: &mut Numbers) -> u32 {
    let (a, b, c) = (pick(numbers), pick(numbers), pick(numbers));
    let pointer = |numbers: &mut Numbers| POINTERS[numbers.below(2) as usize] as u32;
    let (one, other) = (pointer(numbers), pointer(numbers));
    match numbers.below(12) {
        6 | 7 => encode::ld(a, one, numbers.below(64) as i32 - 32),
        8 => encode::sd(a, one, numbers.below(64) as i32 - 32),
        9 | 10 => encode::addi(one, other, numbers.below(128) as i32 - 64),
        11 if numbers.below(2) == 0 => encode::register(0x33, one, other, FAR),
        5 if numbers.below(8) == 0 => encode::register(0x33, 2, 2, FAR),
        0 => encode::addi(a, b, numbers.below(64) as i32 - 32),
        1 => encode::register(0x33, a, b, c),
        2 => encode::register(0x4000_0033, a, b, c),
        3 => encode::register(0x4033, a, b, c),
        4 => encode::register(0x0200_0033, a, b, c),
        _ => encode::sd(a, 2, 8),
    }
}

fn begin(numbers: &mut Numbers) -> State {
    let mut state = State { pc: u64::from(CODE), ..State::default() };
    for register in REGISTERS {
        state.x[register as usize] = numbers.below(8);
    }
    (state.x[1], state.x[2], state.x[FUEL as usize]) = (STOP, STACK, 20 + numbers.below(400));
    POINTERS.into_iter().for_each(|pointer| state.x[pointer as usize] = DATA);
    state.x[FAR as usize] = [0, 0, 1 << 32, 1 << 63][numbers.below(4) as usize];
    state
}

/// Gives how often translated code faulted.
fn compare(seed: u64, variant: Variant, storm: bool) -> u64 {
    let mut numbers = Numbers(seed * 2 + 1);
    // Those that fault do so between other accesses.
    let program = program(&mut numbers, if variant == Variant::Precise { 8 } else { 3 });
    let code: Vec<u8> = program.words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut image = Image::default();
    image.end = if seed.is_multiple_of(3) { 0 } else { START + code.len() as u32 };
    let region = Region { code: &code, start: START, image: &image };
    // A guess for each word, of which some are right.
    let guess = |word| (START + 4 * word, program.functions[numbers.below(program.functions.len() as u64) as usize]);
    let likely = (0..program.words.len() as u32).map(guess).collect::<BTreeMap<u32, u32>>();
    let options = Options { variant, max_body: 1 << 20, likely: likely.into(), ..Options::default() };
    let mut machine = Machine::up_to(&engine(), END, variant);
    // Functions with all entries come before those with one, whose code is then entered by calls alone.
    let entries = [Entries::Start, Entries::All].into_iter().take(1 + (seed % 2) as usize);
    for entries in entries {
        let translated = translate(&region, &program.functions, &Options { entries, ..options.clone() });
        assert_eq!(translated.skipped, [], "seed {seed}");
        let mut validator = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all());
        validator.validate_all(&translated.wasm).unwrap();
        machine.install(&translated, CODE - START);
    }
    if storm {
        machine.storm(Numbers(seed + 77));
    }
    for _ in 0..4 {
        let mut state = begin(&mut numbers);
        if variant == Variant::Precise && numbers.below(4) != 0 {
            let pointer = POINTERS[numbers.below(2) as usize];
            state.x[pointer as usize] = END - numbers.below(24) * 8;
        }
        ends_the_same(&mut machine, &code, &state, variant, &format!("seed {seed}"));
    }
    machine.replayed
}

/// Runs code from a state in the machine and in the interpreter.
fn ends_the_same(machine: &mut Machine, code: &[u8], state: &State, variant: Variant, what: &str) {
    let mut expected = state.clone();
    let mut memory = vec![0; END as usize];
    memory[CODE as usize..CODE as usize + code.len()].copy_from_slice(code);
    let mut exit = Ok(());
    while exit.is_ok() && expected.pc != STOP {
        exit = interpret_one(&mut expected, &mut Flat(&mut memory));
    }
    machine.guest()[..memory.len()].fill(0);
    machine.guest()[CODE as usize..CODE as usize + code.len()].copy_from_slice(code);
    machine.set_state(state);
    let ended = machine.run(100_000).map(drop);
    assert_eq!(ended.is_ok(), exit.is_ok(), "{what}");
    // The lazy variant loses the registers at a fault.
    if exit.is_ok() || variant == Variant::Precise {
        let mut found = machine.state();
        found.counter = expected.counter;
        assert_eq!(found, expected, "{what}");
    }
    assert!(machine.guest()[..memory.len()] == memory[..], "{what}");
}

/// Runs a function from states, which are made for each of the values.
fn all_end_the_same(words: &[u32], values: &[u64], make: impl Fn(&mut State, u64)) {
    let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let region = Region { code: &code, start: START, image: &Image::default() };
    for variant in [Variant::Lazy, Variant::Precise] {
        let mut machine = Machine::up_to(&engine(), END, variant);
        machine.install(&translate(&region, &[START], &Options { variant, ..Options::default() }), CODE - START);
        for &value in values {
            let mut state = begin(&mut Numbers(value));
            state.x[FUEL as usize] = 5;
            make(&mut state, value);
            ends_the_same(&mut machine, &code, &state, variant, &format!("{variant:?}, {value:#x}"));
        }
    }
}

/// A loop that accesses by `s0`, with an instruction that changes `s0`.
fn walk(change: u32) -> [u32; 6] {
    // ld a2, 0(s0); sd s2, 8(s0); …; addi s2, s2, -1; bge s2, x0, .-16; ret
    [
        encode::ld(12, 8, 0),
        encode::sd(18, 8, 8),
        change,
        encode::addi(FUEL, FUEL, -1),
        encode::branch(5, FUEL, 0, -16),
        encode::jalr(0, 1, 0),
    ]
}

#[test]
fn a_pointer_that_leaves_memory_in_a_loop_is_found() {
    let words = walk(encode::register(0x33, 8, 8, FAR));
    let far = [8, 1 << 32, 1 << 63, u64::MAX << 32];
    all_end_the_same(&words, &far, |state, far| state.x[FAR as usize] = far);
}

#[test]
fn a_pointer_that_is_none_before_a_loop_is_found() {
    let words = walk(encode::addi(8, 8, 8));
    let begins = [DATA, DATA + (1 << 32), DATA | 1 << 63, 8, u64::MAX - 7];
    all_end_the_same(&words, &begins, |state, begin| state.x[8] = begin);
}

#[test]
fn translating_ends_where_loops_lose_what_is_known_bit_by_bit() {
    // A frame; registers that are each moved to the one before, around a loop; and a loop with a system call, behind which
    // nothing is known.
    let mut words = vec![encode::addi(2, 2, -16), encode::sd(1, 2, 0)];
    words.extend((10..18).map(|register| encode::addi(register, 0, 1)));
    let head = words.len();
    words.extend((10..17).map(|register| encode::addi(register, register + 1, 0)));
    words.extend([encode::addi(17, 5, 0), encode::addi(6, 6, -1)]);
    words.push(encode::branch(1, 6, 0, (head as i32 - words.len() as i32) * 4));
    words.extend([0x73, encode::branch(1, 10, 0, -4), encode::jalr(0, 1, 0)]);
    let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let region = Region { code: &code, start: START, image: &Image::default() };
    assert_eq!(translate(&region, &[START], &Options::default()).functions.len(), 1);
}

#[test]
fn control_flow_lazy() {
    (0..250).for_each(|seed| _ = compare(seed, Variant::Lazy, false));
}

#[test]
fn control_flow_precise() {
    let faults: u64 = (1000..1250).map(|seed| compare(seed, Variant::Precise, false)).sum();
    assert!(faults > 50, "{faults}");
}

#[test]
fn control_flow_storm() {
    (2000..2250).for_each(|seed| _ = compare(seed, Variant::Lazy, true));
}
