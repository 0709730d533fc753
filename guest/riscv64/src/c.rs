//! Extension C: 16-bit encodings, each expanded to the op of the 32-bit instruction that it stands for.
//!
//! Encodings: unprivileged ISA, chapter "C", "RVC Instruction Set Listings" for RV64.

use crate::decode::{Kind, Op};

/// Decodes a 16-bit encoding.
pub fn decode(half: u16) -> Op {
    let bits = u32::from(half);
    let expanded = match bits & 3 {
        0 => quadrant0(bits),
        1 => quadrant1(bits),
        _ => quadrant2(bits),
    };
    expanded.unwrap_or(Op::illegal(bits, 2))
}

/// Bits `low..low + count` of the encoding, moved to bit `to` of an immediate.
const fn piece(bits: u32, low: u32, count: u32, to: u32) -> u32 {
    (bits >> low & ((1 << count) - 1)) << to
}

/// Sign-extends a value of `count` bits.
const fn extend(value: u32, count: u32) -> i32 {
    (value as i32) << (32 - count) >> (32 - count)
}

/// A register of 3 bits: `x8..x15`.
const fn short(bits: u32, low: u32) -> u8 {
    8 + (bits >> low & 7) as u8
}

/// A register of 5 bits.
const fn full(bits: u32, low: u32) -> u8 {
    (bits >> low & 31) as u8
}

const fn op(kind: Kind, rd: u8, rs1: u8, rs2: u8, imm: i32) -> Op {
    Op { rd, rs1, rs2, imm, ..Op::new(kind, 2) }
}

/// The signed immediate of bits 12 and 6–2.
const fn imm6(bits: u32) -> i32 {
    extend(shift_count(bits) as u32, 6)
}

/// The unsigned immediate of bits 12 and 6–2.
const fn shift_count(bits: u32) -> i32 {
    (piece(bits, 12, 1, 5) | piece(bits, 2, 5, 0)) as i32
}

fn quadrant0(bits: u32) -> Option<Op> {
    let (low, high) = (short(bits, 2), short(bits, 7));
    let word = (piece(bits, 10, 3, 3) | piece(bits, 6, 1, 2) | piece(bits, 5, 1, 6)) as i32;
    let double = (piece(bits, 10, 3, 3) | piece(bits, 5, 2, 6)) as i32;
    Some(match bits >> 13 {
        0 => match piece(bits, 11, 2, 4) | piece(bits, 7, 4, 6) | piece(bits, 6, 1, 2) | piece(bits, 5, 1, 3) {
            0 => return None,
            imm => op(Kind::Addi, low, 2, 0, imm as i32),
        },
        1 => op(Kind::Fld, low, high, 0, double),
        2 => op(Kind::Lw, low, high, 0, word),
        3 => op(Kind::Ld, low, high, 0, double),
        5 => op(Kind::Fsd, 0, high, low, double),
        6 => op(Kind::Sw, 0, high, low, word),
        7 => op(Kind::Sd, 0, high, low, double),
        _ => return None,
    })
}

fn quadrant1(bits: u32) -> Option<Op> {
    let rd = full(bits, 7);
    Some(match bits >> 13 {
        0 => op(Kind::Addi, rd, rd, 0, imm6(bits)),
        1 if rd == 0 => return None,
        1 => op(Kind::Addiw, rd, rd, 0, imm6(bits)),
        2 => op(Kind::Addi, rd, 0, 0, imm6(bits)),
        3 => return upper(bits, rd),
        4 => return arithmetic(bits),
        5 => op(Kind::Jal, 0, 0, 0, jump_offset(bits)),
        6 => op(Kind::Beq, 0, short(bits, 7), 0, branch_offset(bits)),
        _ => op(Kind::Bne, 0, short(bits, 7), 0, branch_offset(bits)),
    })
}

/// `c.addi16sp` and `c.lui`.
fn upper(bits: u32, rd: u8) -> Option<Op> {
    let op = if rd == 2 {
        let imm = piece(bits, 12, 1, 9)
            | piece(bits, 6, 1, 4)
            | piece(bits, 5, 1, 6)
            | piece(bits, 3, 2, 7)
            | piece(bits, 2, 1, 5);
        op(Kind::Addi, 2, 2, 0, extend(imm, 10))
    } else {
        op(Kind::Lui, rd, 0, 0, imm6(bits) << 12)
    };
    (op.imm != 0).then_some(op)
}

/// Shifts, `c.andi` and the operations of two short registers.
fn arithmetic(bits: u32) -> Option<Op> {
    let (rd, rs2) = (short(bits, 7), short(bits, 2));
    let kind = match (bits >> 10 & 3, bits >> 12 & 1, bits >> 5 & 3) {
        (0, ..) => return Some(op(Kind::Srli, rd, rd, 0, shift_count(bits))),
        (1, ..) => return Some(op(Kind::Srai, rd, rd, 0, shift_count(bits))),
        (2, ..) => return Some(op(Kind::Andi, rd, rd, 0, imm6(bits))),
        (_, 0, 0) => Kind::Sub,
        (_, 0, 1) => Kind::Xor,
        (_, 0, 2) => Kind::Or,
        (_, 0, _) => Kind::And,
        (_, _, 0) => Kind::Subw,
        (_, _, 1) => Kind::Addw,
        _ => return None,
    };
    Some(op(kind, rd, rd, rs2, 0))
}

const fn jump_offset(bits: u32) -> i32 {
    let imm = piece(bits, 12, 1, 11)
        | piece(bits, 11, 1, 4)
        | piece(bits, 9, 2, 8)
        | piece(bits, 8, 1, 10)
        | piece(bits, 7, 1, 6)
        | piece(bits, 6, 1, 7)
        | piece(bits, 3, 3, 1)
        | piece(bits, 2, 1, 5);
    extend(imm, 12)
}

const fn branch_offset(bits: u32) -> i32 {
    let imm = piece(bits, 12, 1, 8)
        | piece(bits, 10, 2, 3)
        | piece(bits, 5, 2, 6)
        | piece(bits, 3, 2, 1)
        | piece(bits, 2, 1, 5);
    extend(imm, 9)
}

fn quadrant2(bits: u32) -> Option<Op> {
    let (rd, rs2) = (full(bits, 7), full(bits, 2));
    let load_double = (piece(bits, 12, 1, 5) | piece(bits, 5, 2, 3) | piece(bits, 2, 3, 6)) as i32;
    let load_word = (piece(bits, 12, 1, 5) | piece(bits, 4, 3, 2) | piece(bits, 2, 2, 6)) as i32;
    let store_double = (piece(bits, 10, 3, 3) | piece(bits, 7, 3, 6)) as i32;
    let store_word = (piece(bits, 9, 4, 2) | piece(bits, 7, 2, 6)) as i32;
    Some(match bits >> 13 {
        0 => op(Kind::Slli, rd, rd, 0, shift_count(bits)),
        1 => op(Kind::Fld, rd, 2, 0, load_double),
        2 | 3 if rd == 0 => return None,
        2 => op(Kind::Lw, rd, 2, 0, load_word),
        3 => op(Kind::Ld, rd, 2, 0, load_double),
        4 => return moves(bits, rd, rs2),
        5 => op(Kind::Fsd, 0, 2, rs2, store_double),
        6 => op(Kind::Sw, 0, 2, rs2, store_word),
        _ => op(Kind::Sd, 0, 2, rs2, store_double),
    })
}

/// `c.jr`, `c.jalr`, `c.mv`, `c.add`, `c.ebreak`.
fn moves(bits: u32, rd: u8, rs2: u8) -> Option<Op> {
    Some(match (bits >> 12 & 1, rd, rs2) {
        (0, 0, 0) => return None,
        (0, _, 0) => op(Kind::Jalr, 0, rd, 0, 0),
        (0, ..) => op(Kind::Add, rd, 0, rs2, 0),
        (_, 0, 0) => Op::new(Kind::Ebreak, 2),
        (_, _, 0) => op(Kind::Jalr, 1, rd, 0, 0),
        _ => op(Kind::Add, rd, rd, rs2, 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode as decode_any;

    /// 16-bit encodings and the 32-bit ones that they stand for, as an assembler gives them.
    const EXPANSIONS: &[(u16, u32, &str)] = &[
        (0x0808, 0x01010513, "addi a0, sp, 16"),
        (0x1fe0, 0x3fc10413, "addi s0, sp, 1020"),
        (0x610c, 0x00053583, "ld a1, 0(a0)"),
        (0x7d6c, 0x0f853583, "ld a1, 248(a0)"),
        (0x41cc, 0x0045a583, "lw a1, 4(a1)"),
        (0x5d7c, 0x07c52783, "lw a5, 124(a0)"),
        (0x2504, 0x00853487, "fld fs1, 8(a0)"),
        (0xa504, 0x00953427, "fsd fs1, 8(a0)"),
        (0xc10c, 0x00b52023, "sw a1, 0(a0)"),
        (0xfd6c, 0x0eb53c23, "sd a1, 248(a0)"),
        (0x0001, 0x00000013, "nop"),
        (0x1141, 0xff010113, "addi sp, sp, -16"),
        (0x157d, 0xfff50513, "addi a0, a0, -1"),
        (0x2505, 0x0015051b, "addiw a0, a0, 1"),
        (0x557d, 0xfff00513, "li a0, -1"),
        (0x6105, 0x02010113, "addi sp, sp, 32"),
        (0x7101, 0xe0010113, "addi sp, sp, -512"),
        (0x6541, 0x00010537, "lui a0, 0x10"),
        (0x757d, 0xfffff537, "lui a0, 0xfffff"),
        (0x8105, 0x00155513, "srli a0, a0, 1"),
        (0x957d, 0x43f55513, "srai a0, a0, 63"),
        (0x893d, 0x00f57513, "andi a0, a0, 15"),
        (0x8d0d, 0x40b50533, "sub a0, a0, a1"),
        (0x8d2d, 0x00b54533, "xor a0, a0, a1"),
        (0x8d4d, 0x00b56533, "or a0, a0, a1"),
        (0x8d6d, 0x00b57533, "and a0, a0, a1"),
        (0x9d0d, 0x40b5053b, "subw a0, a0, a1"),
        (0x9d2d, 0x00b5053b, "addw a0, a0, a1"),
        (0xa001, 0x0000006f, "j ."),
        (0xbfd5, 0xff5ff06f, "j .-12"),
        (0xc119, 0x00050363, "beqz a0, .+6"),
        (0xfd75, 0xfe051ee3, "bnez a0, .-4"),
        (0x050a, 0x00251513, "slli a0, a0, 2"),
        (0x1502, 0x02051513, "slli a0, a0, 32"),
        (0x60a2, 0x00813083, "ld ra, 8(sp)"),
        (0x4532, 0x00c12503, "lw a0, 12(sp)"),
        (0x2542, 0x01013507, "fld fa0, 16(sp)"),
        (0xa82a, 0x00a13827, "fsd fa0, 16(sp)"),
        (0xe406, 0x00113423, "sd ra, 8(sp)"),
        (0xc62a, 0x00a12623, "sw a0, 12(sp)"),
        (0x8082, 0x00008067, "ret"),
        (0x9502, 0x000500e7, "jalr a0"),
        (0x852e, 0x00b00533, "mv a0, a1"),
        (0x952e, 0x00b50533, "add a0, a0, a1"),
        (0x9002, 0x00100073, "ebreak"),
    ];

    #[test]
    fn each_form_expands() {
        for &(half, word, text) in EXPANSIONS {
            let expected = Op { len: 2, ..decode_any(word) };
            assert_eq!(decode(half), expected, "{text}");
        }
    }

    #[test]
    fn reserved_forms_are_illegal() {
        // all zeroes, c.addi4spn 0, funct3 4, c.addiw x0, c.lui 0, c.addi16sp 0, the reserved two-register ones,
        // c.lwsp x0, c.ldsp x0, c.jr x0
        for half in [0x0000, 0x0004, 0x8000, 0x2001, 0x6501, 0x6101, 0x9c41, 0x9c61, 0x4002, 0x6002, 0x8002] {
            assert_eq!(decode(half), Op::illegal(u32::from(half), 2), "{half:04x}");
        }
    }

    #[test]
    fn every_half_decodes() {
        for half in (0..=u16::MAX).filter(|half| half & 3 != 3) {
            let op = decode(half);
            assert!(op.len == 2 && op.rd < 32 && op.rs1 < 32 && op.rs2 < 32);
        }
    }
}
