//! Random blocks: instructions of all extensions, some skipped by jumps and branches, some in a loop.

use std::fmt::Write;

use shallop_riscv64::State;
use shallop_riscv64::decode::{Format, ROWS, Row, decode};
use shallop_riscv64::disassemble::Disassembly;

use crate::machine::{Numbers, STOP};

/// Where the code is, and 8 KiB of data; also in `tests/isa/riscv64/blocks.c`.
pub const CODE: u64 = 0x10_0000;
pub const DATA: u64 = 0x20_0000;
pub const DATA_BYTES: usize = 8192;

/// Instructions that are drawn for a block.
const MOST: u64 = 64;

/// Registers that instructions keep: ra, which leads to the end; sp, s0, s1, which point to data; s2, which counts turns.
const KEPT: [u8; 5] = [1, 2, 8, 9, 18];
const COUNTER: usize = 18;

const NOP: u32 = 0x0000_0013;
const SHORT_NOP: u32 = 0x0001;

/// An instruction; one that jumps skips so many that follow.
#[derive(Debug, Clone, Copy)]
struct Instruction {
    bits: u32,
    skips: Option<usize>,
}

impl Instruction {
    fn len(self) -> usize {
        if self.bits & 3 == 3 { 4 } else { 2 }
    }
}

/// A block.
#[derive(Debug, Clone)]
pub struct Block {
    body: Vec<Instruction>,
    /// It is run more than once.
    turns: bool,
}

impl Block {
    pub fn random(numbers: &mut Numbers) -> Block {
        let count = 1 + numbers.below(MOST) as usize;
        // What a conditional store of another width than the reservation does is left to each machine.
        let other_width = [["lr.w", "sc.w"], ["lr.d", "sc.d"]][numbers.below(2) as usize];
        let mut body = Vec::new();
        while body.len() < count {
            let left = count - body.len();
            match numbers.below(12) {
                0 => body.extend(jump(numbers, left)),
                1..=4 => body.extend(compressed(numbers)),
                _ => body.extend(long(numbers, other_width)),
            }
        }
        Block { body, turns: numbers.below(3) == 0 }
    }

    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// The block with an instruction that does nothing in place of one.
    pub fn without(&self, index: usize) -> Block {
        let mut block = self.clone();
        let bits = if block.body[index].len() == 2 { SHORT_NOP } else { NOP };
        block.body[index] = Instruction { bits, skips: None };
        block
    }

    pub fn code(&self) -> Vec<u8> {
        let mut code = Vec::new();
        // A reservation of which both sides know.
        code.extend(0x1004_202f_u32.to_le_bytes()); // lr.w zero, (s0)
        code.extend(0x1804_202f_u32.to_le_bytes()); // sc.w zero, zero, (s0)
        let start = code.len();
        for (index, instruction) in self.body.iter().enumerate() {
            let skipped = self.body[index..].iter().take(1 + instruction.skips.unwrap_or(0));
            let distance: usize = skipped.map(|instruction| instruction.len()).sum();
            let bits =
                instruction.bits | instruction.skips.map_or(0, |_| displacement(instruction.bits, distance as i32));
            code.extend(&bits.to_le_bytes()[..instruction.len()]);
        }
        if self.turns {
            code.extend(0xfff9_0913_u32.to_le_bytes()); // addi s2, s2, -1
            let back = start as i32 - code.len() as i32;
            let branch = 0x0009_1063; // bne s2, zero, back
            code.extend((branch | displacement(branch, back)).to_le_bytes());
        }
        code.extend(0x0000_8067_u32.to_le_bytes()); // ret
        code
    }

    /// A line an instruction.
    pub fn listing(&self) -> String {
        let (code, mut at, mut text) = (self.code(), 0, String::new());
        while at < code.len() {
            let half = |at: usize| code.get(at..at + 2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
            let op = decode(u32::from(half(at)) | u32::from(half(at + 2)) << 16);
            let _ = writeln!(text, "  {:#x}: {}", CODE + at as u64, Disassembly { op, pc: CODE + at as u64 });
            at += usize::from(op.len);
        }
        text
    }
}

/// The bits of a jump's or branch's offset.
fn displacement(bits: u32, distance: i32) -> u32 {
    let bit = |from: u32, count: u32, to: u32| (distance as u32 >> from & ((1 << count) - 1)) << to;
    if bits & 0x7f == 0x6f {
        bit(20, 1, 31) | bit(1, 10, 21) | bit(11, 1, 20) | bit(12, 8, 12)
    } else {
        bit(12, 1, 31) | bit(5, 6, 25) | bit(1, 4, 8) | bit(11, 1, 7)
    }
}

fn row(numbers: &mut Numbers, wanted: impl Fn(&Row) -> bool) -> &'static Row {
    loop {
        let row = &ROWS[numbers.below(ROWS.len() as u64) as usize];
        if wanted(row) {
            return row;
        }
    }
}

/// A jump or branch over some instructions.
fn jump(numbers: &mut Numbers, left: usize) -> Option<Instruction> {
    let row = row(numbers, |row| matches!(row.format, Format::Jump | Format::Branch));
    let operands = match row.format {
        Format::Jump => numbers.next() as u32 & 0xf80,
        _ => numbers.next() as u32 & 0x01ff_8000,
    };
    let bits = row.bits | operands;
    let skips = Some(numbers.below(left.min(9) as u64) as usize);
    keeps(bits).then_some(Instruction { bits, skips })
}

/// An instruction of 32 bits that goes on behind itself.
fn long(numbers: &mut Numbers, without: [&str; 2]) -> Option<Instruction> {
    let row = row(numbers, |row| {
        !matches!(row.format, Format::Jump | Format::Branch)
            && !matches!(row.name, "jalr" | "ecall" | "ebreak" | "fence.i")
            && !without.contains(&row.name)
    });
    let random = numbers.next() as u32;
    let mut bits = row.bits | random & !row.mask;
    match row.format {
        // Atomic accesses are aligned.
        Format::Atomic => bits = bits & !(0x1f << 15) | 8 << 15,
        Format::Load | Format::Store | Format::FloatLoad | Format::FloatStore => {
            bits = bits & !(0x1f << 15) | (8 + (random >> 31)) << 15;
        }
        Format::FloatRegister | Format::FloatFused | Format::FloatToX | Format::FloatFromX
            if row.mask & 0x7000 == 0 =>
        {
            bits = bits & !0x7000 | [0, 0, 7, 7, 1, 2, 3, 4][numbers.below(8) as usize] << 12;
        }
        Format::Csr | Format::CsrImmediate => bits = bits & !(0xfff << 20) | (1 + numbers.below(3) as u32) << 20,
        _ => {}
    }
    (decode(bits).kind == row.kind && keeps(bits)).then_some(Instruction { bits, skips: None })
}

/// An instruction of 16 bits that goes on behind itself.
fn compressed(numbers: &mut Numbers) -> Option<Instruction> {
    let mut bits = numbers.next() as u32 & 0xffff;
    if bits & 3 == 0 && bits >> 13 != 0 {
        // A load or store by way of s0 or s1.
        bits &= !(6 << 7);
    }
    let op = decode(bits);
    let row = op.kind.row()?;
    let goes_on = !matches!(row.format, Format::Jump | Format::Branch) && !matches!(row.name, "jalr" | "ebreak");
    (bits & 3 != 3 && goes_on && keeps(bits)).then_some(Instruction { bits, skips: None })
}

/// Whether an instruction leaves the registers alone that are kept.
fn keeps(bits: u32) -> bool {
    let op = decode(bits);
    op.kind.row().is_some_and(|row| !row.format.writes_x() || !KEPT.contains(&op.rd))
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

/// A state to begin in.
pub fn state(numbers: &mut Numbers) -> State {
    let mut state =
        State { pc: CODE, fcsr: [0, 1, 0x21, 0x61, 0x1f, 0xa1][numbers.below(6) as usize], ..State::default() };
    for register in 0..32 {
        state.x[register] = value(numbers);
        state.f[register] = value(numbers);
    }
    state.x[0] = 0;
    state.x[1] = STOP;
    state.x[2] = DATA + 2048 + numbers.below(64) * 16;
    state.x[8] = DATA + 2048 + numbers.below(128) * 8;
    state.x[9] = DATA + 2048 + numbers.below(2048);
    state.x[COUNTER] = 1 + numbers.below(4);
    state
}

pub fn data(numbers: &mut Numbers) -> Vec<u8> {
    (0..DATA_BYTES).map(|_| numbers.next() as u8).collect()
}
