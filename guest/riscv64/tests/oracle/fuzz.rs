//! Encodings near the valid ones: both sides must find the same ones illegal.

use crate::emulator::Case;
use crate::random::Random;
use crate::table::{FLOATING, INTEGER, case};

const OPCODE_SYSTEM: u32 = 0x73;
const OPCODE_MISC_MEM: u32 = 0x0f;

/// A row's instruction with one to four bits flipped, in a state where every register is a small number, so that no
/// access finds memory. None when it is of no use.
pub fn mutated(random: &mut Random) -> Option<Case> {
    let rows = if random.below(2) == 0 { INTEGER } else { FLOATING };
    let row = &rows[random.below(rows.len() as u64) as usize];
    let mut case = case(row, random);
    for _ in 0..1 + random.below(4) {
        case.instruction ^= 1 << (2 + random.below(30));
    }
    case.name = "mutated";
    for (index, value) in case.state.x.iter_mut().enumerate() {
        *value = 16 * index as u64;
    }
    case.state.fcsr &= 0x7f;
    is_usable(case.instruction).then_some(case)
}

/// System calls, counters and the processor's own registers are not the same on both sides; hints of later
/// extensions are in MISC-MEM; the plain processor has an older rule for the minimum of a signalling NaN, and some
/// emulators run the vector extension's whole-register accesses on it.
fn is_usable(instruction: u32) -> bool {
    let opcode = instruction & 0x7f;
    let is_minimum = instruction & 0xf800_007f == 0x2800_0053;
    let is_whole_vector = instruction & 0x1ff0_005f == 0x0280_0007;
    opcode != OPCODE_SYSTEM && opcode != OPCODE_MISC_MEM && !is_minimum && !is_whole_vector
}
