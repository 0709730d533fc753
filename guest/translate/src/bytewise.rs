//! A few bytes that are loaded, and perhaps stored, one by one: done at once.
//!
//! So compilers for processors without misaligned accesses load a word whose alignment they do not know (`gather`), or copy it, mostly to
//! a variable, which is loaded as a whole next. A processor has to wait then until all of the small stores have reached its cache, for
//! it forwards to a load what one store wrote, not what several did (Intel and AMD optimization manuals, "store forwarding").
//!
//! A fault finds no byte stored, or all: so copies are for the lazy variant, where registers are lost by a fault as well.

use std::collections::BTreeMap;
use std::ops::Range;

use shallop_machine::backend::{Backend, Binary, Width};
use shallop_riscv64::Op;
use shallop_riscv64::decode::Kind;

use crate::Variant;
use crate::code::Code;
use crate::effects::{bit, effects};
use crate::flow::{Block, Blocks, End, Target};
use crate::gather::{Loaded, Piece, Pieces};
use crate::value::{Value, Word};

/// What is copied at once.
const WIDTHS: [Width; 3] = [Width::Double, Width::Word, Width::Half];

/// What becomes of an instruction that has to do with one of several bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The first load: it loads all bytes, which begin `moved` bytes from its own, as a word of either order.
    Load { copy: usize, width: Width, moved: i32, swapped: bool, piece: Piece },
    /// What gives some of the bytes: another load, or what puts them together.
    Piece { copy: usize, piece: Piece },
    /// A store that the last one does, too.
    Nothing,
    /// The last store: it stores all bytes, which begin `moved` bytes from its own.
    Store { copy: usize, width: Width, moved: i32 },
}

/// An address: what a register held where it was last set otherwise than by adding a constant, and what was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Address {
    /// The number of what set the register.
    root: usize,
    moved: i64,
}

/// What is known of the addresses in registers.
type Registers = [Address; 32];

/// Numbers of a block: those of its registers at the start, then those of its instructions.
const NUMBERS: usize = 1 << 20;

impl Address {
    fn plus(self, imm: i32) -> Address {
        Address { moved: self.moved.wrapping_add(imm.into()), ..self }
    }

    /// How far this is behind another, if that is known.
    pub fn behind(self, other: Address) -> Option<i64> {
        (self.root == other.root).then(|| self.moved.wrapping_sub(other.moved))
    }
}

/// An access to memory.
#[derive(Debug, Clone, Copy)]
struct Access {
    /// Index of the instruction.
    at: usize,
    stores: bool,
    /// Where it begins and how many bytes it has, if that is known.
    place: Option<(Address, i64)>,
}

impl Access {
    fn new(at: usize, op: &Op, address: Address) -> Access {
        let (stores, bytes) = match op.kind {
            Kind::Lb | Kind::Lbu => (false, 1),
            Kind::Lh | Kind::Lhu => (false, 2),
            Kind::Lw | Kind::Lwu | Kind::Flw => (false, 4),
            Kind::Ld | Kind::Fld => (false, 8),
            Kind::Sb => (true, 1),
            Kind::Sh => (true, 2),
            Kind::Sw | Kind::Fsw => (true, 4),
            Kind::Sd | Kind::Fsd => (true, 8),
            _ => return Access { at, stores: true, place: None },
        };
        Access { at, stores, place: Some((address, bytes)) }
    }

    /// Whether it touches none of `bytes` bytes.
    fn is_apart(&self, from: Address, bytes: i64) -> bool {
        let behind = self.place.and_then(|(address, own)| Some((address.behind(from)?, own)));
        behind.is_some_and(|(behind, own)| behind >= bytes || behind <= -own)
    }
}

/// A byte that is loaded and stored.
#[derive(Debug, Clone, Copy)]
struct Byte {
    /// Indices of the two instructions.
    load: usize,
    store: usize,
    from: Address,
    to: Address,
}

/// What a block does with bytes.
#[derive(Default)]
struct Seen {
    /// The bytes that it copies, by the stores.
    bytes: Vec<Byte>,
    /// The instructions that give bytes which were loaded, and those.
    pieces: Vec<(usize, Pieces)>,
    accesses: Vec<Access>,
}

/// What a block does with bytes; `number` is the block's.
fn watch(ops: &[(u32, Op)], registers: &mut Registers, number: usize) -> Seen {
    // What is known of each register's bytes.
    let mut pieces: [Option<Pieces>; 32] = [None; 32];
    let mut seen = Seen::default();
    for (at, (_, op)) in ops.iter().enumerate() {
        let effects = effects(op);
        let address = registers[usize::from(op.rs1 & 31)].plus(op.imm);
        if effects.memory() {
            seen.accesses.push(Access::new(at, op, address));
        }
        let of = |register: u8| pieces[usize::from(register & 31)];
        if op.kind == Kind::Sb
            && let Some(Loaded { load, from }) = of(op.rs2).and_then(|pieces| pieces.byte())
        {
            seen.bytes.push(Byte { load, store: at, from, to: address });
        }
        let made = Pieces::after(op, Loaded { load: at, from: address }, of);
        seen.pieces.extend(made.map(|made| (at, made)));
        for register in (1..32).filter(|&register| effects.writes & bit(register) != 0).map(usize::from) {
            registers[register] = match op.kind {
                Kind::Addi if op.rs1 != 0 => address,
                Kind::Add if op.rs1 == 0 => registers[usize::from(op.rs2 & 31)],
                _ => Address { root: number * NUMBERS + 32 + at, moved: 0 },
            };
            pieces[register] = made;
        }
    }
    seen
}

/// What becomes of the instructions of each block that copy bytes or put them together, by their indices.
pub fn parts(blocks: &Blocks, variant: Variant) -> Vec<BTreeMap<usize, Part>> {
    let mut parts = vec![BTreeMap::new(); blocks.blocks.len()];
    let loads = |block: &Block| block.ops.iter().any(|(_, op)| op.kind == Kind::Lbu);
    if !blocks.blocks.iter().any(loads) {
        return parts;
    }
    let before = before(blocks);
    let mut behind = vec![Vec::new(); before.len()];
    before.iter().enumerate().for_each(|(block, before)| behind[before.unwrap_or(block)].push(block));
    for first in (0..before.len()).filter(|&block| before[block].is_none()) {
        let mut work = vec![(first, std::array::from_fn(|k| Address { root: first * NUMBERS + k, moved: 0 }))];
        while let Some((block, mut registers)) = work.pop() {
            let mut seen = watch(&blocks.blocks[block].ops, &mut registers, block);
            if variant == Variant::Precise {
                seen.bytes.clear();
            }
            parts[block] = parts_of(&seen);
            work.extend(behind[block].iter().filter(|&&next| next != block).map(|&next| (next, registers)));
        }
    }
    parts
}

/// The block that each one follows, when there is no other way to it.
fn before(blocks: &Blocks) -> Vec<Option<usize>> {
    let mut ways = vec![Vec::new(); blocks.blocks.len()];
    let mut way = |from: Option<usize>, to: Target| {
        if let Target::Block(to) = to {
            ways[to].push(from);
        }
    };
    way(None, Target::Block(0));
    // Code is entered at what is jumped back to, and gives way to others there.
    blocks.targets.iter().chain(&blocks.back).for_each(|&target| way(None, Target::Block(target)));
    for (from, block) in blocks.blocks.iter().enumerate() {
        match block.end {
            End::Goto(to) => way(Some(from), to),
            End::Branch { taken, next } => [taken, next].into_iter().for_each(|to| way(Some(from), to)),
            End::Call { site, .. } | End::Deferred { site } => way(None, site),
            End::Tail { .. } | End::Return | End::Switch | End::Never => {}
        }
    }
    let only = |(block, ways): (usize, Vec<Option<usize>>)| match ways[..] {
        [before] => before.filter(|&before| before != block),
        _ => None,
    };
    ways.into_iter().enumerate().map(only).collect()
}

/// What becomes of the instructions that have to do with these bytes.
fn parts_of(seen: &Seen) -> BTreeMap<usize, Part> {
    let Seen { bytes, pieces, accesses } = seen;
    let mut parts = BTreeMap::new();
    let mut rest = &bytes[..];
    let mut copy = 0;
    while !rest.is_empty() {
        let found = WIDTHS.into_iter().find_map(|width| {
            let (copied, behind) = rest.split_at_checked(width.bytes() as usize)?;
            let fresh = copied.iter().all(|byte| !parts.contains_key(&byte.load));
            Some((width, Together::new(copied, accesses).filter(|_| fresh)?, behind))
        });
        let Some((width, together, behind)) = found else {
            rest = &rest[1..];
            continue;
        };
        add(&mut parts, together, copy, width);
        (rest, copy) = (behind, copy + 1);
    }
    for width in WIDTHS {
        for (_, word) in pieces {
            let swapped = word.order(width);
            copy += usize::from(swapped.is_some_and(|swapped| gather(&mut parts, seen, (word, width, swapped), copy)));
        }
    }
    parts
}

/// Adds the instructions that have to do with a word's bytes; false: it cannot be loaded at once.
fn gather(
    parts: &mut BTreeMap<usize, Part>,
    seen: &Seen,
    (word, width, swapped): (&Pieces, Width, bool),
    copy: usize,
) -> bool {
    let loads = range(word.loads().map(|byte| byte.load));
    let changes = |access: &Access| access.stores && loads.contains(&access.at);
    let first = word.loads().find(|byte| byte.load == loads.start);
    let lowest = word.loads().min_by_key(|byte| byte.from.moved);
    let Some((first, lowest)) = first.zip(lowest) else { return false };
    if word.loads().any(|byte| parts.contains_key(&byte.load)) || seen.accesses.iter().any(changes) {
        return false;
    }
    let moved = lowest.from.moved.wrapping_sub(first.from.moved) as i32;
    for (at, pieces) in &seen.pieces {
        if let Some(piece) = pieces.within(word) {
            let part = if *at == loads.start {
                Part::Load { copy, width, moved, swapped, piece }
            } else {
                Part::Piece { copy, piece }
            };
            parts.insert(*at, part);
        }
    }
    true
}

/// The lowest addresses of bytes that are copied to the same distances as they have; `None` when they are not.
fn lowest(bytes: &[Byte]) -> Option<(Address, Address)> {
    let first = bytes.iter().min_by_key(|byte| byte.to.moved)?;
    let in_order = bytes.iter().try_fold(0_u64, |seen, byte| {
        let behind = byte.to.behind(first.to).filter(|&behind| byte.from.behind(first.from) == Some(behind))?;
        let place = 1_u64.checked_shl(u32::try_from(behind).ok()?)?;
        (seen & place == 0).then_some(seen | place)
    });
    (in_order? == (1 << bytes.len()) - 1).then_some((first.from, first.to))
}

/// Bytes that are copied at once: by the first of their loads and the last of their stores.
struct Together<'a> {
    bytes: &'a [Byte],
    /// Their lowest addresses.
    from: Address,
    to: Address,
    loads: Range<usize>,
    stores: Range<usize>,
}

impl<'a> Together<'a> {
    /// These, if they can be.
    fn new(bytes: &'a [Byte], accesses: &[Access]) -> Option<Together<'a>> {
        let (from, to) = lowest(bytes)?;
        let (loads, stores) = (range(bytes.iter().map(|byte| byte.load)), range(bytes.iter().map(|byte| byte.store)));
        let is_own = |access: &Access| bytes.iter().any(|byte| byte.store == access.at);
        let suits = |access: &Access| {
            let changes = loads.contains(&access.at) && access.stores;
            let sees = stores.contains(&access.at) && !is_own(access) && !access.is_apart(to, bytes.len() as i64);
            !changes && !sees
        };
        accesses.iter().all(suits).then_some(Together { bytes, from, to, loads, stores })
    }
}

/// From the first of some indices to the last.
fn range(indices: impl Iterator<Item = usize> + Clone) -> Range<usize> {
    indices.clone().min().unwrap_or(0)..indices.max().map_or(0, |last| last + 1)
}

/// Adds the instructions that copy these bytes.
fn add(parts: &mut BTreeMap<usize, Part>, together: Together<'_>, copy: usize, width: Width) {
    let Together { bytes, from, to, loads, stores } = together;
    for byte in bytes {
        let number = byte.from.moved.wrapping_sub(from.moved) as u32;
        let piece = Piece { up: -(number as i32), mask: 0xff, extends: None };
        let part = match byte.load == loads.start {
            true => Part::Load { copy, width, moved: -(number as i32), swapped: false, piece },
            false => Part::Piece { copy, piece },
        };
        parts.insert(byte.load, part);
        let moved = to.moved.wrapping_sub(byte.to.moved) as i32;
        let part = if byte.store + 1 == stores.end { Part::Store { copy, width, moved } } else { Part::Nothing };
        parts.insert(byte.store, part);
    }
}

impl Code {
    /// Does what becomes of an instruction.
    pub fn do_part(&mut self, op: &Op, part: Part) {
        match part {
            Part::Nothing => {}
            Part::Load { copy, width, moved, swapped, piece } => {
                let kept = self.values.locals.keep();
                let address = self.moved_address(op, moved);
                let all = self.load_at(address, width, false);
                self.reached(address);
                let word = if swapped { self.swap(all, width) } else { all };
                self.values.push(word);
                self.values.sink().local_set(kept);
                self.copies.insert(copy, kept);
                self.set_piece(op, copy, piece);
            }
            Part::Piece { copy, piece } => self.set_piece(op, copy, piece),
            Part::Store { copy, width, moved } => {
                let (all, address) = (self.copied(copy), self.moved_address(op, moved));
                self.store_at(address, all, width);
                self.reached(address);
            }
        }
    }

    /// The checked address that is `moved` bytes from an instruction's own.
    fn moved_address(&mut self, op: &Op, moved: i32) -> (Word, i32) {
        let (base, moved) = (self.x(op.rs1), self.values.constant(i64::from(op.imm + moved) as u64));
        let address = self.values.combine(Binary::Add, base, moved);
        self.address(address)
    }

    /// All bytes of a copy.
    fn copied(&mut self, copy: usize) -> Word {
        match self.copies.get(&copy) {
            Some(&local) => self.values.make(Value::Local(local)),
            None => self.values.constant(0),
        }
    }

    /// Has some of the bytes as the result.
    fn set_piece(&mut self, op: &Op, copy: usize, Piece { up, mask, extends }: Piece) {
        let all = self.copied(copy);
        let bits = 8 * up.unsigned_abs();
        let moved = match up {
            0 => all,
            1.. => self.shift(Binary::ShiftLeft, all, bits),
            _ => self.shift(Binary::ShiftRight, all, bits),
        };
        let some = self.mask(moved, mask);
        let value = match extends {
            Some(highest) => self.extend_low(some, 8 * (highest as u32 + 1)),
            None => some,
        };
        self.set_x(op.rd, value);
    }

    fn shift(&mut self, operation: Binary, value: Word, bits: u32) -> Word {
        let bits = self.values.constant(bits.into());
        self.values.combine(operation, value, bits)
    }

    fn mask(&mut self, value: Word, mask: u64) -> Word {
        let mask = self.values.constant(mask);
        self.values.combine(Binary::And, value, mask)
    }

    /// So many low bits of a value, extended by their sign.
    fn extend_low(&mut self, value: Word, bits: u32) -> Word {
        let high = self.shift(Binary::ShiftLeft, value, 64 - bits);
        self.shift(Binary::ShiftRightSigned, high, 64 - bits)
    }

    /// A word with its bytes in the other order. Cranelift has an instruction for that and knows it by this form (`bitops.isle`).
    fn swap(&mut self, all: Word, width: Width) -> Word {
        let [high, low] = match width {
            Width::Byte => return all,
            Width::Word => return self.swap_low(all),
            Width::Half => [self.raised(all, 0xff, 8), self.shift(Binary::ShiftRight, all, 8)],
            Width::Double => {
                let high = [(u64::MAX, 56), (0xff00, 40), (0xff_0000, 24), (0xff00_0000, 8)];
                let low = [(0xff00_0000, 8), (0xff_0000, 24), (0xff00, 40), (u64::MAX, 56)];
                let high = high.map(|(mask, bits)| self.raised(all, mask, bits));
                let low = low.map(|(mask, bits)| self.lowered(all, mask, bits));
                [high, low].map(|[a, b, c, d]| {
                    let pairs = [self.values.combine(Binary::Or, a, b), self.values.combine(Binary::Or, c, d)];
                    self.values.combine(Binary::Or, pairs[0], pairs[1])
                })
            }
        };
        self.values.combine(Binary::Or, high, low)
    }

    /// Some bits of a value, shifted left.
    fn raised(&mut self, value: Word, mask: u64, bits: u32) -> Word {
        let some = self.mask(value, mask);
        self.shift(Binary::ShiftLeft, some, bits)
    }

    /// Some bits of a value shifted right.
    fn lowered(&mut self, value: Word, mask: u64, bits: u32) -> Word {
        let moved = self.shift(Binary::ShiftRight, value, bits);
        self.mask(moved, mask)
    }

    /// The low half with its bytes in the other order, as an unsigned number.
    fn swap_low(&mut self, all: Word) -> Word {
        let local = self.values.locals.take();
        self.values.push_low(all);
        self.values.sink().i32_const(24).i32_shl();
        self.values.push_low(all);
        self.values.sink().i32_const(0xff00).i32_and().i32_const(8).i32_shl().i32_or();
        self.values.push_low(all);
        self.values.sink().i32_const(8).i32_shr_u().i32_const(0xff00).i32_and();
        self.values.push_low(all);
        self.values.sink().i32_const(24).i32_shr_u().i32_or().i32_or().i64_extend_i32_u().local_set(local);
        self.values.make(Value::Local(local))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::flow;
    use crate::image::Image;
    use crate::{Options, Region};

    const LOADS: [u32; 4] = [0x0005_4603, 0x0015_4683, 0x0025_4703, 0x0035_4783]; // lbu a2, 0(a0) … lbu a5, 3(a0)
    const STORES: [u32; 4] = [0x00d5_80a3, 0x00c5_8023, 0x00f5_81a3, 0x00e5_8123]; // of a3 to 1(a1), of a2, a5, a4
    const RET: u32 = 0x0000_8067;

    /// Bytes of what each block stores at once.
    fn stored(words: &[&[u32]]) -> Vec<Vec<u64>> {
        let code: Vec<u8> = words.concat().iter().flat_map(|word| word.to_le_bytes()).collect();
        let region = Region { code: &code, start: 0, image: &Image::default() };
        let blocks = flow::blocks(&region, 0, &BTreeSet::from([0]), &Options::default()).unwrap();
        let stored = |part: &Part| if let Part::Store { width, .. } = part { Some(width.bytes()) } else { None };
        parts(&blocks, Variant::Lazy).iter().map(|parts| parts.values().filter_map(stored).collect()).collect()
    }

    #[test]
    fn four_bytes_are_one_word() {
        assert_eq!(stored(&[&LOADS, &STORES, &[RET]]), [[4]]);
    }

    #[test]
    fn what_is_between_keeps_them_apart() {
        // sw a6, 0(a1)
        assert_eq!(stored(&[&LOADS[..2], &[0x0105_a023], &LOADS[2..], &STORES, &[RET]]), [[2, 2]]);
        // lw a6, 0(a0)
        assert_eq!(stored(&[&LOADS, &STORES[..2], &[0x0005_2803], &STORES[2..], &[RET]]), [[2, 2]]);
        assert_eq!(stored(&[&LOADS, &STORES[..3], &[0x0005_2803], &STORES[3..], &[RET]]), [[2]]);
        // lw a6, 8(a1): other bytes
        assert_eq!(stored(&[&LOADS, &STORES[..3], &[0x0085_a803], &STORES[3..], &[RET]]), [[4]]);
    }

    #[test]
    fn other_bytes_are_not_together() {
        // sb a5, 4(a1)
        assert_eq!(stored(&[&LOADS, &STORES[..2], &[0x00f5_8223], &STORES[3..], &[RET]]), [[2]]);
    }

    #[test]
    fn addresses_are_known_in_the_block_that_follows() {
        // mv a6, a1; beqz a7, .+4 + 8 * 4; then the store of a2 to 0(a6)
        let begin = [0x0005_8813, 0x0208_8263];
        let stores = [STORES[0], 0x00c8_0023, STORES[2], STORES[3]];
        assert_eq!(stored(&[&begin, &LOADS, &stores, &[RET]]), [vec![], vec![4], vec![]]);
        // Without the first it is another address.
        assert_eq!(stored(&[&begin[1..], &LOADS, &stores, &[RET]]), [vec![], vec![2], vec![]]);
    }
}
