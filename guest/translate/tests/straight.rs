//! Random code, translated and interpreted: registers, memory and pc come out the same.

mod machine;

use std::ops::Range;

use machine::{Flat, Machine, Numbers, STOP, engine};
use shallop_riscv64::decode::{Format, ROWS, Row, decode};
use shallop_riscv64::{State, interpret_one};
use shallop_translate::image::Image;
use shallop_translate::{Options, Region, Variant, translate};

const CODE: u32 = 0x10_0000;
const DATA: u64 = 0x20_0000;
/// Where memory ends.
const END: u64 = 0x21_0000;

/// An instruction of `row` with random operands that keeps `ra`, and `s0` and `s1` (x8, x9), which point to data.
fn instruction(row: &Row, numbers: &mut Numbers) -> Option<u32> {
    let random = numbers.next() as u32;
    let mut bits = row.bits | random & !row.mask;
    let memory =
        matches!(row.format, Format::Load | Format::Store | Format::FloatLoad | Format::FloatStore | Format::Atomic);
    if memory {
        // Base x8 or x9.
        bits = bits & !(0x1f << 15) | (8 + (random >> 31)) << 15;
    }
    if matches!(row.format, Format::FloatRegister | Format::FloatFused | Format::FloatToX | Format::FloatFromX)
        && row.mask & 0x7000 == 0
    {
        let modes = [0, 0, 7, 7, 1, 2, 3, 4];
        bits = bits & !0x7000 | modes[numbers.below(8) as usize] << 12;
    }
    if matches!(row.format, Format::Csr | Format::CsrImmediate) {
        bits = bits & !(0xfff << 20) | (1 + numbers.below(3) as u32) << 20;
    }
    let op = decode(bits);
    let writes = row.format.writes_x() && matches!(op.rd, 1 | 8 | 9);
    (op.kind == row.kind && !writes).then_some(bits)
}

fn straight(numbers: &mut Numbers, count: usize) -> Vec<u8> {
    let rows: Vec<&Row> = ROWS
        .iter()
        .filter(|row| !matches!(row.format, Format::Jump | Format::Branch))
        .filter(|row| !matches!(row.name, "jalr" | "ecall" | "ebreak" | "fence.i"))
        .collect();
    let mut code = Vec::new();
    while code.len() < count * 4 {
        let row = rows[numbers.below(rows.len() as u64) as usize];
        if let Some(bits) = instruction(row, numbers) {
            code.extend(bits.to_le_bytes());
        }
    }
    code.extend(0x0000_8067_u32.to_le_bytes()); // ret
    code
}

/// A load; `kind` is the field `funct3`.
fn load(kind: u32, rd: u32, base: u32, at: u32) -> u32 {
    0x03 | kind << 12 | rd << 7 | base << 15 | at << 20
}

/// A store of a byte.
fn store(register: u32, base: u32, at: u32) -> u32 {
    0x23 | (at & 31) << 7 | base << 15 | register << 20 | at >> 5 << 25
}

/// The numbers below `count` in some order.
fn shuffled(numbers: &mut Numbers, count: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, numbers.below(at as u64 + 1) as usize);
    }
    order
}

/// Words put together from bytes in either order, as compilers do it where addresses may be misaligned, now and then with
/// something between or wrong.
fn gathering(numbers: &mut Numbers) -> Vec<u8> {
    let immediate = |code: u32, rd: u32, from: u32, value: u32| code | rd << 7 | from << 15 | value << 20;
    let register = |code: u32, rd: u32, a: u32, b: u32| code | rd << 7 | a << 15 | b << 20;
    let [slli, srli, slliw, addiw] = [0x1013, 0x5013, 0x101b, 0x1b];
    let [or, xor, add, addw] = [0x6033, 0x4033, 0x33, 0x3b];
    let mut words = vec![immediate(0x13, 7, 8, 5)]; // addi x7, x8, 5
    for _ in 0..6 {
        let count = [2, 4, 8][numbers.below(3) as usize];
        let (base, at, swaps) = (7 + numbers.below(3) as u32, numbers.below(12) as u32, numbers.below(2) == 0);
        let (strange, sum) = (numbers.below(8), 18 + numbers.below(4) as u32);
        for (turn, byte) in shuffled(numbers, count).into_iter().enumerate() {
            let (part, highest) = (10 + numbers.below(8) as u32, byte + 1 == count);
            let place = at + if swaps { count - 1 - byte } else { byte } + u32::from(strange == 0);
            let signed = highest && numbers.below(3) == 0 || strange == 1;
            words.push(load(if signed { 0 } else { 4 }, part, base, place));
            let shift = if byte == 3 && numbers.below(3) == 0 { slliw } else { slli };
            if byte != 0 {
                words.push(immediate(shift, part, part, 8 * byte));
            }
            if strange == 2 && numbers.below(3) == 0 {
                words.push(store(18 + numbers.below(4) as u32, 7 + numbers.below(3) as u32, numbers.below(20) as u32));
            }
            words.push(match turn {
                0 => register(add, sum, 0, part),
                _ => register([or, or, or, xor, add][numbers.below(5) as usize], sum, sum, part),
            });
        }
        words.extend(match numbers.below(8) {
            0 => vec![immediate(addiw, 22, sum, 0)],
            1 => vec![immediate(slli, 22, sum, 32), immediate(srli, 23, 22, 32)],
            2 => vec![immediate(srli, 22, sum, 16)],
            3 => vec![register(addw, 22, sum, 10)],
            4 => vec![immediate(0x13, 7, 7, 1)], // addi x7, x7, 1
            _ => vec![],
        });
    }
    words.push(0x0000_8067); // ret
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Copies of bytes one by one, as compilers make them where addresses may be misaligned, now and then with something between
/// or wrong, from and to places that may overlap.
fn copying(numbers: &mut Numbers) -> Vec<u8> {
    let mut words = vec![0x0054_0393]; // addi x7, x8, 5
    for _ in 0..6 {
        let count = [2, 4, 8][numbers.below(3) as usize];
        let [from, to] = [0, 1].map(|_| 7 + numbers.below(3) as u32);
        let [read, written] = [0, 1].map(|_| numbers.below(12) as u32);
        let strange = numbers.below(6);
        for byte in shuffled(numbers, count) {
            words.push(load(4, 10 + byte, from, read + byte));
            if strange == 0 && numbers.below(3) == 0 {
                words.push(store(18 + numbers.below(4) as u32, 7 + numbers.below(3) as u32, numbers.below(20) as u32));
            }
        }
        if numbers.below(3) == 0 {
            words.push(0x0000_1463); // bne x0, x0, .+8
        }
        for byte in shuffled(numbers, count) {
            let other = strange == 1 && numbers.below(4) == 0;
            words.push(store(10 + byte, to, written + byte + u32::from(other)));
            if strange == 2 && numbers.below(3) == 0 {
                words.push(load(4, 18, 7 + numbers.below(3) as u32, numbers.below(20) as u32));
            }
        }
        let width = count.trailing_zeros();
        words.push(load(width, 19 + numbers.below(4) as u32, to, written));
        if numbers.below(4) == 0 {
            words.push(0x0013_8393); // addi x7, x7, 1
        }
    }
    words.push(0x0000_8067); // ret
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Values of registers: small, large, and floats of all kinds.
fn value(numbers: &mut Numbers) -> u64 {
    match numbers.below(8) {
        0 => numbers.below(16),
        1 => numbers.below(16).wrapping_neg(),
        2 => (numbers.below(2000) as f64 - 1000.0).to_bits(),
        3 => 0xffff_ffff_0000_0000 | u64::from((numbers.below(2000) as f32 / 7.0).to_bits()),
        4 => [0, 1 << 63, f64::INFINITY.to_bits(), f64::NAN.to_bits(), 1, 0x7ff0_0000_0000_0001]
            [numbers.below(6) as usize],
        5 => 1 << numbers.below(64),
        6 => u64::from(numbers.next() as u32),
        _ => numbers.next(),
    }
}

fn start(numbers: &mut Numbers, variant: Variant) -> State {
    let mut state = State {
        pc: u64::from(CODE),
        fcsr: [0, 1, 0x21, 0x61, 0x1f, 0xa1][numbers.below(6) as usize],
        ..State::default()
    };
    for register in 1..32 {
        state.x[register] = value(numbers);
        state.f[register] = value(numbers);
    }
    state.f[0] = value(numbers);
    // As most stack pointers; with others no translated code is entered.
    if numbers.below(8) != 0 {
        state.x[2] = u64::from(state.x[2] as u32);
    }
    state.x[8] = DATA + numbers.below(64) * 8;
    state.x[9] = [DATA + 4096 + numbers.below(64), state.x[8] + numbers.below(16)][numbers.below(2) as usize];
    if variant == Variant::Precise && numbers.below(2) == 0 {
        // One of the two pointers is near the end of memory, and the other one is not.
        state.x[8 + numbers.below(2) as usize] = END - numbers.below(128) * 8;
    }
    state.x[1] = STOP;
    state
}

/// Gives how often translated code faulted.
fn compare(seed: u64, variant: Variant) -> u64 {
    let mut numbers = Numbers(seed * 2 + 1);
    let code = straight(&mut numbers, 40);
    compare_code(seed, variant, &code, numbers)
}

fn compare_code(seed: u64, variant: Variant, code: &[u8], mut numbers: Numbers) -> u64 {
    let region = Region { code, start: 0x400, image: &Image::default() };
    let options = Options { variant, max_body: 1 << 20, ..Options::default() };
    let translated = translate(&region, &[0x400], &options);
    assert_eq!(translated.skipped, []);
    let mut machine = Machine::up_to(&engine(), END, variant);
    machine.install(&translated, CODE - 0x400);
    for _ in 0..6 {
        let state = start(&mut numbers, variant);
        let data: Vec<u8> = (0..8192).map(|_| numbers.next() as u8).collect();
        // By single steps.
        let mut expected = state.clone();
        let mut memory = vec![0; END as usize];
        memory[CODE as usize..CODE as usize + code.len()].copy_from_slice(code);
        memory[DATA as usize - 2048..DATA as usize + 6144].copy_from_slice(&data);
        let mut exit = Ok(());
        while exit.is_ok() && expected.pc != STOP {
            exit = interpret_one(&mut expected, &mut Flat(&mut memory));
        }
        // Translated; where it gives up, the interpreter goes on.
        let guest = machine.guest();
        guest[DATA as usize - 2048..END as usize].fill(0);
        guest[CODE as usize..CODE as usize + code.len()].copy_from_slice(code);
        guest[DATA as usize - 2048..DATA as usize + 6144].copy_from_slice(&data);
        machine.set_state(&state);
        let result = machine.run(1000);
        assert_eq!(result.as_ref().err().copied(), exit.err(), "seed {seed}");
        let mut found = machine.state();
        (found.x[0], found.counter) = (0, expected.counter);
        if variant == Variant::Lazy && exit.is_err() {
            // The lazy variant stores nothing that the rest would have written again.
            (found.x, found.f) = (expected.x, expected.f);
        }
        assert_eq!(found, expected, "seed {seed}");
        let guest = machine.guest();
        assert!(guest[..END as usize] == memory[..], "seed {seed}");
    }
    assert!(machine.dispatched > 0, "seed {seed}");
    machine.replayed
}

#[test]
fn straight_lines_lazy() {
    (0..400).for_each(|seed| _ = compare(seed, Variant::Lazy));
}

#[test]
fn straight_lines_precise() {
    let faults: u64 = (1000..1400).map(|seed| compare(seed, Variant::Precise)).sum();
    assert!(faults > 100, "{faults}");
}

#[test]
fn what_cannot_be_done_again_is_not() {
    const LOAD: u32 = 0x0004_3503; // ld a0, 0(s0)
    const FAULTING: u32 = 0x7f84_b603; // ld a2, 2040(s1)
    const RET: u32 = 0x0000_8067;
    let between: [&[u32]; 4] = [
        &[0x0010_25f3, 0x1a20_81d3], // csrr a1, fflags; fdiv.d f3, f1, f2, rne
        &[0x0220_f253, 0x0022_9073], // fadd.d f4, f1, f2, dyn; csrw frm, t0
        &[0x1004_36af, 0x1864_372f], // lr.d a3, (s0); sc.d a4, t1, (s0)
        &[0x0064_3023],              // sd t1, 0(s0)
    ];
    for (case, between) in between.iter().enumerate() {
        let words = [&[LOAD], *between, &[FAULTING, RET]].concat();
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let run = |seed| compare_code(seed, Variant::Precise, &code, Numbers(seed * 2 + 1));
        let faults: u64 = (3000..3100).map(run).sum();
        assert!(faults > 100, "{case}: {faults}");
    }
}

/// Compares what `make` makes of each seed; one of so many is of the precise variant.
fn compare_made(seeds: Range<u64>, precise: u64, make: fn(&mut Numbers) -> Vec<u8>) {
    for seed in seeds {
        let mut numbers = Numbers(seed * 2 + 1);
        let code = make(&mut numbers);
        let variant = if seed % precise == 0 { Variant::Precise } else { Variant::Lazy };
        compare_code(seed, variant, &code, numbers);
    }
}

#[test]
fn words_of_bytes() {
    compare_made(4000..5000, 2, gathering);
}

#[test]
fn copies_of_bytes() {
    compare_made(2000..2600, 4, copying);
}
