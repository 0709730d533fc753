//! Words that code puts together from bytes it loads one by one, loaded at once.
//!
//! So compilers for processors without misaligned accesses load a word whose alignment they do not know, or whose bytes are in
//! the other order: by shifting and joining bytes (GCC's `-mstrict-align`, which is the default for riscv64).

use shallop_machine::backend::Width;
use shallop_riscv64::Op;
use shallop_riscv64::decode::Kind;

use crate::bytewise::Address;

/// What is put together: bytes of a double word.
const BYTES: usize = 8;

/// A byte that was loaded.
#[derive(Debug, Clone, Copy)]
pub struct Loaded {
    /// Index of the instruction.
    pub load: usize,
    pub from: Address,
}

/// A value of which each byte was loaded, or is 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pieces {
    /// The lowest first.
    bytes: [Option<Loaded>; BYTES],
    /// The byte above which all bits are its sign.
    extends: Option<usize>,
}

/// Some bytes of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// By how many bytes the word is shifted, to the left.
    pub up: i32,
    /// The bits that are taken then; all, where there are no others.
    pub mask: u64,
    /// The byte above which all bits are its sign.
    pub extends: Option<usize>,
}

impl Pieces {
    /// What an instruction leaves in `rd`, if that is known: `of` gives what registers hold, `byte` is what it loads if it loads one.
    pub fn after(op: &Op, byte: Loaded, of: impl Fn(u8) -> Option<Pieces>) -> Option<Pieces> {
        let bytes = |op: &Op| (op.imm % 8 == 0).then_some(op.imm as usize / 8);
        match op.kind {
            Kind::Lbu => Some(Pieces::of_byte(byte, None)),
            Kind::Lb => Some(Pieces::of_byte(byte, Some(0))),
            Kind::Slli => Some(of(op.rs1)?.up(bytes(op)?)),
            Kind::Slliw => Some(of(op.rs1)?.up(bytes(op)?).low_half()),
            Kind::Srli => of(op.rs1)?.down(bytes(op)?),
            Kind::Addi if op.imm == 0 => of(op.rs1),
            Kind::Addiw if op.imm == 0 => Some(of(op.rs1)?.low_half()),
            Kind::Add if op.rs1 == 0 => of(op.rs2),
            Kind::Or | Kind::Xor | Kind::Add => of(op.rs1)?.join(&of(op.rs2)?),
            Kind::Addw => Some(of(op.rs1)?.join(&of(op.rs2)?)?.low_half()),
            _ => None,
        }
    }

    fn of_byte(byte: Loaded, extends: Option<usize>) -> Pieces {
        let mut pieces = Pieces { extends, ..Pieces::default() };
        pieces.bytes[0] = Some(byte);
        pieces
    }

    /// The lowest byte, if that is all there is.
    pub fn byte(&self) -> Option<Loaded> {
        self.bytes[0].filter(|_| self.extends.is_none() && self.bytes[1..].iter().all(Option::is_none))
    }

    /// Shifted left by so many bytes.
    fn up(&self, count: usize) -> Pieces {
        let bytes = std::array::from_fn(|at| self.bytes[at.checked_sub(count)?]);
        Pieces { bytes, extends: self.extends.map(|at| at + count).filter(|at| *at < BYTES - 1) }
    }

    /// Shifted right by so many bytes, zeroes coming in.
    fn down(&self, count: usize) -> Option<Pieces> {
        let bytes = std::array::from_fn(|at| *self.bytes.get(at + count)?);
        self.extends.is_none().then_some(Pieces { bytes, extends: None })
    }

    /// The low half, extended by its sign.
    fn low_half(mut self) -> Pieces {
        const HIGHEST: usize = BYTES / 2 - 1;
        self.bytes[HIGHEST + 1..].fill(None);
        let own = self.bytes[HIGHEST].map(|_| HIGHEST);
        self.extends = self.extends.filter(|at| *at < HIGHEST).or(own);
        self
    }

    /// Joined with another value that has no bits in common with it, if that is so.
    fn join(&self, other: &Pieces) -> Option<Pieces> {
        let is_free = |at: usize| {
            let above = |pieces: &Pieces| pieces.extends.is_some_and(|sign| at > sign);
            match (self.bytes[at], other.bytes[at]) {
                (Some(_), Some(_)) => false,
                (Some(_), None) => !above(other),
                (None, Some(_)) => !above(self),
                (None, None) => !(above(self) && above(other)),
            }
        };
        let bytes = std::array::from_fn(|at| self.bytes[at].or(other.bytes[at]));
        (0..BYTES).all(is_free).then_some(Pieces { bytes, extends: self.extends.or(other.extends) })
    }

    /// Whether the value, but for its sign, is so wide a word of memory: `Some(true)` if its highest byte comes first.
    pub fn order(&self, width: Width) -> Option<bool> {
        let count = width.bytes() as usize;
        let (own, others) = self.bytes.split_at(count);
        let place = |at: usize, first: usize| own[at]?.from.behind(own[first]?.from);
        let in_order = || (0..count).all(|at| place(at, 0) == Some(at as i64));
        let swapped = || (0..count).all(|at| place(at, count - 1) == Some((count - 1 - at) as i64));
        let whole = others.iter().all(Option::is_none) && self.extends.is_none_or(|at| at + 1 == count);
        whole.then(|| if in_order() { Some(false) } else { swapped().then_some(true) })?
    }

    /// The bytes of a word that the value is, if it has no others.
    pub fn within(&self, word: &Pieces) -> Option<Piece> {
        let of_word = |load: usize| word.bytes.iter().position(|byte| byte.is_some_and(|byte| byte.load == load));
        let mut up = None;
        for (at, byte) in self.bytes.iter().enumerate() {
            let Some(byte) = byte else { continue };
            let moved = at as i32 - of_word(byte.load)? as i32;
            if *up.get_or_insert(moved) != moved {
                return None;
            }
        }
        let (up, mask) = (up?, self.mask());
        let mask = if up == 0 && mask == word.mask() { u64::MAX } else { mask };
        Some(Piece { up, mask, extends: self.extends })
    }

    /// The bits of its bytes.
    fn mask(&self) -> u64 {
        (0..BYTES).filter(|&at| self.bytes[at].is_some()).fold(0, |mask, at| mask | 0xff << (8 * at))
    }

    /// Its bytes.
    pub fn loads(&self) -> impl Iterator<Item = Loaded> + Clone {
        self.bytes.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::bytewise::{Part, parts};
    use crate::image::Image;
    use crate::{Region, Variant, flow};

    const LOADS: [u32; 2] = [0x0015_4703, 0x0005_4783]; // lbu a4, 1(a0); lbu a5, 0(a0)
    const RAISE: u32 = 0x0087_1713; // slli a4, a4, 8
    const JOIN: u32 = 0x00f7_6733; // or a4, a4, a5
    const RET: u32 = 0x0000_8067;

    /// The words that code loads at once: how wide they are, and whether their bytes are in the other order.
    fn words(code: &[u32]) -> Vec<(Width, bool)> {
        let code: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        let region = Region { code: &code, start: 0, image: &Image::default() };
        let blocks = flow::blocks(&region, 0, &BTreeSet::from([0]), &Default::default()).unwrap();
        let word = |part: &Part| {
            if let Part::Load { width, swapped, .. } = part { Some((*width, *swapped)) } else { None }
        };
        parts(&blocks, Variant::Precise).iter().flat_map(|parts| parts.values().filter_map(word)).collect()
    }

    const HALF: (Width, bool) = (Width::Half, false);

    #[test]
    fn bytes_in_either_order_are_a_word() {
        assert_eq!(words(&[LOADS[0], LOADS[1], RAISE, JOIN, RET]), [HALF]);
        // lbu a4, 0(a0); lbu a5, 1(a0)
        assert_eq!(words(&[0x0005_4703, 0x0015_4783, RAISE, JOIN, RET]), [(Width::Half, true)]);
        // lb a4, 1(a0)
        assert_eq!(words(&[0x0015_0703, LOADS[1], RAISE, JOIN, RET]), [HALF]);
    }

    #[test]
    fn the_largest_word_is_taken() {
        // lbu a2, 2(a0); slli a2, a2, 16; or a4, a4, a2; lbu a3, 3(a0); slliw a3, a3, 24; or a4, a4, a3
        let rest = [0x0025_4603, 0x0106_1613, 0x00c7_6733, 0x0035_4683, 0x0186_969b, 0x00d7_6733];
        let code = [&LOADS[..], &[RAISE, JOIN], &rest, &[RET]].concat();
        assert_eq!(words(&code), [(Width::Word, false)]);
        // Without the third byte.
        let code = [&LOADS[..], &[RAISE, JOIN], &rest[3..], &[RET]].concat();
        assert_eq!(words(&code), [HALF]);
    }

    #[test]
    fn what_is_stored_between_keeps_bytes_apart() {
        // sb a1, 0(a2)
        assert_eq!(words(&[LOADS[0], 0x00b6_0023, LOADS[1], RAISE, JOIN, RET]), []);
        assert_eq!(words(&[LOADS[0], LOADS[1], 0x00b6_0023, RAISE, JOIN, RET]), [HALF]);
    }

    #[test]
    fn a_sign_is_joined_with_nothing_above_it() {
        let byte = |load, extends| Pieces::of_byte(Loaded { load, from: Address::default() }, extends);
        let (signed, high) = (byte(0, Some(0)), byte(1, None).up(1));
        assert!(signed.join(&high).is_none() && high.join(&signed).is_none());
        assert!(signed.join(&byte(1, Some(0)).up(1)).is_none());
        let joined = byte(0, None).join(&byte(1, Some(0)).up(1)).unwrap();
        assert_eq!(joined.extends, Some(1));
    }

    #[test]
    fn other_bytes_are_no_word() {
        // lbu a4, 2(a0)
        assert_eq!(words(&[0x0025_4703, LOADS[1], RAISE, JOIN, RET]), []);
        // slli a4, a4, 16
        assert_eq!(words(&[LOADS[0], LOADS[1], 0x0107_1713, JOIN, RET]), []);
        // and a4, a4, a5
        assert_eq!(words(&[LOADS[0], LOADS[1], RAISE, 0x00f7_7733, RET]), []);
    }
}
