//! Every 16-bit encoding, with states whose addresses lie in the scratch bytes.

use crate::emulator::{Case, ENTRY, SCRATCH};
use crate::random::Random;

/// All encodings that are not the first half of a longer one.
pub fn encodings() -> impl Iterator<Item = u32> {
    (0..0x1_0000).filter(|bits| bits & 3 != 3)
}

/// The base register, the byte offset and the size of an encoding's access.
fn access(bits: u32) -> Option<(usize, u64, u64)> {
    let bit = |from: u32, count: u32, to: u32| (bits >> from & ((1 << count) - 1)) << to;
    let word = bit(10, 3, 3) | bit(6, 1, 2) | bit(5, 1, 6);
    let double = bit(10, 3, 3) | bit(5, 2, 6);
    let word_load_sp = bit(12, 1, 5) | bit(4, 3, 2) | bit(2, 2, 6);
    let double_load_sp = bit(12, 1, 5) | bit(5, 2, 3) | bit(2, 3, 6);
    let word_store_sp = bit(9, 4, 2) | bit(7, 2, 6);
    let double_store_sp = bit(10, 3, 3) | bit(7, 3, 6);
    let base = 8 + (bits >> 7 & 7) as usize;
    let (base, offset, size) = match (bits & 3, bits >> 13) {
        (0, 2 | 6) => (base, word, 4),
        (0, 1 | 3 | 5 | 7) => (base, double, 8),
        (2, 2) => (2, word_load_sp, 4),
        (2, 1 | 3) => (2, double_load_sp, 8),
        (2, 6) => (2, word_store_sp, 4),
        (2, 5 | 7) => (2, double_store_sp, 8),
        _ => return None,
    };
    Some((base, offset as u64, size))
}

/// C.JR and C.JALR: the register with the target.
fn jump_register(bits: u32) -> Option<usize> {
    let register = (bits >> 7 & 31) as usize;
    (bits & 0xe07f == 0x8002 && register != 0).then_some(register)
}

pub fn case(bits: u32, random: &mut Random) -> Case {
    let mut state = random.state();
    if let Some((base, offset, size)) = access(bits) {
        state.x[base] = SCRATCH + random.below(64 - size + 1) - offset;
    }
    if let Some(register) = jump_register(bits) {
        state.x[register] = ENTRY - 0x8000 + random.below(0x1_0000);
    }
    // C.BEQZ and C.BNEZ.
    if bits & 0xc003 == 0xc001 && random.below(2) == 0 {
        state.x[8 + (bits >> 7 & 7) as usize] = 0;
    }
    Case { name: "compressed", instruction: bits, state }
}
