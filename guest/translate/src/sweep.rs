//! Functions of code that no table tells of: [`called`] gives where calls lead, [`makes_frame`] how functions begin.

use std::collections::BTreeSet;

/// Opcode and destination `ra` (The RISC-V Instruction Set Manual, volume I: RV32/64G instruction set listings).
const RD_MASK: u32 = 0xfff;
const JAL_RA: u32 = 0x0ef;
const AUIPC_RA: u32 = 0x097;
/// `jalr ra, imm(ra)` without its immediate.
const JALR_MASK: u32 = 0xf_ffff;
const JALR_RA: u32 = 0x0_80e7;

/// The offsets in `code` that its calls lead to. Data among the code may look like one: the offsets are only hints.
pub fn called(code: &[u8]) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut at = 0;
    while let Some(word) = word(code, at) {
        // Instructions of 16 bits have other low bits.
        if word & 3 != 3 {
            at += 2;
            continue;
        }
        let target = match word & RD_MASK {
            JAL_RA => Some(jump(word)),
            AUIPC_RA => far(word, self::word(code, at + 4)),
            _ => None,
        };
        let target = target.and_then(|distance| u32::try_from(i64::from(at) + i64::from(distance)).ok());
        found.extend(target.filter(|&target| target & 1 == 0 && (target as usize) < code.len()));
        at += 4;
    }
    found
}

/// Whether the first instruction at an offset lowers the stack pointer, as functions begin.
pub fn makes_frame(code: &[u8], at: u32) -> bool {
    let Some(bytes) = code.get(at as usize..) else { return false };
    let half = bytes.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
    // c.addi16sp and c.addi with x2 and a sign; addi x2, x2 with one.
    let short = matches!(half & 0xff83, 0x7101 | 0x1101);
    short || word(code, at).is_some_and(|word| word & 0x800f_ffff == 0x8001_0113)
}

fn word(code: &[u8], at: u32) -> Option<u32> {
    code.get(at as usize..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// The distance of a `jal`.
const fn jump(word: u32) -> i32 {
    let sign = (word as i32 >> 31) << 20;
    let rest = (word >> 20 & 0x7fe) | (word >> 9 & 0x800) | (word & 0xf_f000);
    sign | rest as i32
}

/// The distance of an `auipc` and the `jalr` behind it.
fn far(auipc: u32, jalr: Option<u32>) -> Option<i32> {
    let jalr = jalr.filter(|jalr| jalr & JALR_MASK == JALR_RA)?;
    Some(((auipc & 0xffff_f000) as i32).wrapping_add(jalr as i32 >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found() {
        // As binutils assembles them: c.nop; jal ra, 16; jal ra, -2; jal x0, 8; auipc ra, 0x1; jalr -8(ra); jal ra, 0xff000
        let words: [&[u8]; 7] = [
            &[0x01, 0x00],
            &[0xef, 0x00, 0x00, 0x01],
            &[0xef, 0xf0, 0xff, 0xff],
            &[0x6f, 0x00, 0x80, 0x00],
            &[0x97, 0x10, 0x00, 0x00],
            &[0xe7, 0x80, 0x80, 0xff],
            &[0xef, 0xf0, 0x0f, 0x00],
        ];
        let mut code = words.concat();
        assert_eq!(called(&code), BTreeSet::from([4, 18]));
        code.resize(0x2_0000, 0);
        assert_eq!(called(&code), BTreeSet::from([4, 18, 14 + 0x1000 - 8]));
        code.resize(0x10_0000, 0);
        assert_eq!(called(&code), BTreeSet::from([4, 18, 14 + 0x1000 - 8, 22 + 0xff000]));
    }

    #[test]
    fn frames_are_found() {
        // c.addi16sp sp, -144; c.addi sp, -16; addi sp, sp, -16; addi sp, sp, 16; c.addi16sp sp, 48
        let begins = |bytes: &[u8]| makes_frame(bytes, 0);
        assert!(begins(&[0x75, 0x71]) && begins(&[0x41, 0x11]) && begins(&[0x13, 0x01, 0x01, 0xff]));
        assert!(!begins(&[0x13, 0x01, 0x01, 0x01]) && !begins(&[0x45, 0x61]) && !begins(&[0x75]));
        assert!(!makes_frame(&[0x75, 0x71], 2));
    }
}
