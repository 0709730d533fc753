//! A function's basic blocks: what is reachable from its start inside the region.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use shallop_riscv64::Op;
use shallop_riscv64::decode::{Kind, decode, is_long};

use crate::effects::{Flow, effects};
use crate::{Options, Refusal, Region, tables};

/// Bytes of code behind a function's start that are taken for its own where nothing says more.
const REACH: u32 = 1 << 16;
/// How often targets of jumps are looked for in code that was found by the last ones.
const ROUNDS: usize = 8;

/// The decoded instructions of a function, by offset.
type Ops = BTreeMap<u32, (Op, Flow)>;

/// Where an edge leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The block of this index.
    Block(usize),
    /// Out of the function: `imm` bytes from the instruction at `from`.
    Outside { from: u32, imm: i64 },
}

/// How a block ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Goes on elsewhere.
    Goto(Target),
    Branch {
        taken: Target,
        next: Target,
    },
    /// A call, of code at `target` if that is known; `site` is where it returns to.
    Call {
        target: Option<u32>,
        site: Target,
    },
    /// A jump to another function, at `target` if that is known.
    Tail {
        target: Option<u32>,
    },
    Return,
    /// A computed jump, which may lead to one of the targets.
    Switch,
    /// The interpreter does the last op, and goes on at `site`.
    Deferred {
        site: Target,
    },
    /// The interpreter finds the last op illegal.
    Never,
}

/// A basic block; its last op is part of the end, but for `Goto` after an op that goes on.
#[derive(Debug, Clone)]
pub struct Block {
    pub start: u32,
    /// Offset of each instruction.
    pub ops: Vec<(u32, Op)>,
    pub end: End,
}

/// A function's blocks; the first is its start.
#[derive(Debug, Clone)]
pub struct Blocks {
    pub blocks: Vec<Block>,
    /// Blocks where computed jumps may lead, by offset.
    pub targets: Vec<usize>,
    /// Blocks that are jumped back to, by offset.
    pub back: Vec<usize>,
}

impl Blocks {
    /// Where the code of a target is.
    pub fn offset(&self, target: Target) -> u32 {
        match target {
            Target::Block(block) => self.blocks[block].start,
            Target::Outside { from, imm } => (i64::from(from) + imm) as u32,
        }
    }
}

/// The instruction at `offset`, if the region has all of it.
pub fn fetch(region: &Region, offset: u32) -> Option<Op> {
    let at = offset.checked_sub(region.start)? as usize;
    let half = |at: usize| Some(u16::from_le_bytes(region.code.get(at..at.checked_add(2)?)?.try_into().ok()?));
    let low = half(at)?;
    let high = if is_long(low) { half(at + 2)? } else { 0 };
    Some(decode(u32::from(low) | u32::from(high) << 16))
}

/// `from + imm`, if that can be code of the region.
fn inside(region: &Region, from: u32, imm: i64) -> Option<u32> {
    let offset = u32::try_from(i64::from(from) + imm).ok()?;
    let at = offset.checked_sub(region.start)?;
    (offset & 1 == 0 && (at as usize) < region.code.len()).then_some(offset)
}

/// Whether a jump that leaves its address in this register is a call (unprivileged ISA, "Unconditional Jumps").
pub fn links(register: u8) -> bool {
    matches!(register, 1 | 5)
}

/// Whether a computed jump may lead on within its function.
fn switches(jump: &Op) -> bool {
    jump.rd == 0 && !(links(jump.rs1) && jump.imm == 0)
}

/// Finds the blocks of the function at `start`; `starts` are all functions of the region that are translated.
///
/// # Errors
/// When there is no code at `start`, or too much.
pub fn blocks(region: &Region, start: u32, starts: &BTreeSet<u32>, options: &Options) -> Result<Blocks, Refusal> {
    let mut finder = Finder {
        region,
        starts,
        options,
        ops: Ops::new(),
        leaders: BTreeSet::from([start]),
        work: vec![start],
        back: BTreeSet::new(),
        ranges: Vec::new(),
        targets: BTreeSet::new(),
    };
    finder.run()?;
    for _ in 0..ROUNDS {
        if !finder.follow_tables(start) {
            break;
        }
        finder.run()?;
    }
    if !finder.ops.contains_key(&start) {
        return Err(Refusal::NoCode);
    }
    finder.leaders.retain(|leader| finder.ops.contains_key(leader));
    if finder.leaders.len() > options.max_blocks {
        return Err(Refusal::Blocks);
    }
    Ok(finder.finish(start))
}

struct Finder<'a> {
    region: &'a Region<'a>,
    starts: &'a BTreeSet<u32>,
    options: &'a Options,
    ops: Ops,
    leaders: BTreeSet<u32>,
    work: Vec<u32>,
    /// Where jumps lead back.
    back: BTreeSet<u32>,
    /// Functions that have computed jumps.
    ranges: Vec<Range<u32>>,
    /// Where those may lead.
    targets: BTreeSet<u32>,
}

impl Finder<'_> {
    fn run(&mut self) -> Result<(), Refusal> {
        while let Some(leader) = self.work.pop() {
            let mut at = Some(leader);
            while let Some(offset) = at {
                at = self.visit(offset)?;
            }
            if self.leaders.len() > self.options.max_blocks.saturating_mul(2) {
                return Err(Refusal::Blocks);
            }
        }
        Ok(())
    }

    /// Decodes the instruction at `offset`, if that is not done yet; gives the next of the same line.
    fn visit(&mut self, offset: u32) -> Result<Option<u32>, Refusal> {
        if self.ops.contains_key(&offset) {
            // Two lines meet here, or this is a leader whose code is known.
            self.leaders.insert(offset);
            return Ok(None);
        }
        let Some(op) = fetch(self.region, offset) else { return Ok(None) };
        if self.ops.len() >= self.options.max_instructions {
            return Err(Refusal::Instructions);
        }
        let flow = effects(&op).flow;
        self.ops.insert(offset, (op, flow));
        let next = inside(self.region, offset, i64::from(op.len));
        if let Flow::Branch(imm) | Flow::Jump(imm) = flow
            && imm < 0
        {
            self.back.extend(inside(self.region, offset, i64::from(imm)));
        }
        match flow {
            Flow::Next => return Ok(next),
            Flow::Branch(imm) => {
                self.lead(inside(self.region, offset, i64::from(imm)));
                self.lead(next);
            }
            Flow::Jump(imm) if op.rd == 0 => {
                let target = inside(self.region, offset, i64::from(imm));
                self.lead(target.filter(|target| !self.starts.contains(target) || self.leaders.contains(target)));
            }
            Flow::Jump(_) | Flow::Computed if links(op.rd) => self.lead(next),
            Flow::Deferred => self.lead(next),
            Flow::Computed if switches(&op) => self.note_range(offset),
            Flow::Jump(_) | Flow::Computed | Flow::Never => {}
        }
        Ok(None)
    }

    fn lead(&mut self, leader: Option<u32>) {
        if let Some(leader) = leader
            && self.leaders.insert(leader)
        {
            self.work.push(leader);
        }
    }

    /// Notes the function of a computed jump.
    fn note_range(&mut self, offset: u32) {
        if self.ranges.iter().any(|range| range.contains(&offset)) {
            return;
        }
        let nearest = || {
            let next = self.starts.range(offset + 1..).next().copied().unwrap_or(u32::MAX);
            let first = self.starts.range(..=offset).next_back().copied().unwrap_or(offset);
            first..next.min(offset.saturating_add(REACH))
        };
        self.ranges.push(self.region.image.function(offset).unwrap_or_else(nearest));
    }

    /// Leads to the targets of computed jumps. Whether there are new ones.
    fn follow_tables(&mut self, start: u32) -> bool {
        let before = self.targets.len();
        let found = tables::targets(self.region, &self.ops, &self.ranges);
        for target in found.into_iter().filter(|&target| target != start && !self.starts.contains(&target)) {
            if let Some(target) = inside(self.region, target, 0) {
                self.targets.insert(target);
                self.lead(Some(target));
            }
        }
        self.targets.len() != before
    }

    /// Makes the blocks; `start` comes first, the others by offset.
    fn finish(&self, start: u32) -> Blocks {
        let others = self.leaders.iter().copied().filter(|&leader| leader != start);
        let order: Vec<u32> = std::iter::once(start).chain(others).collect();
        let index: BTreeMap<u32, usize> = order.iter().enumerate().map(|(at, &leader)| (leader, at)).collect();
        let blocks = order.iter().map(|&leader| self.block(leader, &index)).collect();
        let those = |offsets: &BTreeSet<u32>| offsets.iter().filter_map(|offset| index.get(offset).copied()).collect();
        Blocks { blocks, targets: those(&self.targets), back: those(&self.back) }
    }

    fn block(&self, start: u32, index: &BTreeMap<u32, usize>) -> Block {
        let mut ops = Vec::new();
        let mut at = start;
        loop {
            let (op, flow) = self.ops[&at];
            ops.push((at, op));
            let next = self.target(at, i64::from(op.len), index);
            let end = match flow {
                Flow::Next => match next {
                    Target::Outside { .. } if self.continues(at, op) => None,
                    _ => Some(End::Goto(next)),
                },
                Flow::Branch(imm) => Some(End::Branch { taken: self.target(at, i64::from(imm), index), next }),
                Flow::Jump(imm) => Some(self.jump(at, &op, imm, next, index)),
                Flow::Computed => Some(self.computed(&ops, next)),
                Flow::Deferred => Some(End::Deferred { site: next }),
                Flow::Never => Some(End::Never),
            };
            match end {
                Some(end) => return Block { start, ops, end },
                None => at += u32::from(op.len),
            }
        }
    }

    /// Whether the instruction after this one is in the same block.
    fn continues(&self, at: u32, op: Op) -> bool {
        at.checked_add(u32::from(op.len)).is_some_and(|next| self.ops.contains_key(&next))
    }

    fn target(&self, from: u32, imm: i64, index: &BTreeMap<u32, usize>) -> Target {
        let block = inside(self.region, from, imm).and_then(|offset| index.get(&offset));
        block.map_or(Target::Outside { from, imm }, |&block| Target::Block(block))
    }

    fn jump(&self, at: u32, op: &Op, imm: i32, next: Target, index: &BTreeMap<u32, usize>) -> End {
        let target = inside(self.region, at, i64::from(imm));
        if links(op.rd) {
            return End::Call { target, site: next };
        }
        match self.target(at, i64::from(imm), index) {
            Target::Block(block) if op.rd == 0 => End::Goto(Target::Block(block)),
            _ => End::Tail { target },
        }
    }

    fn computed(&self, ops: &[(u32, Op)], next: Target) -> End {
        let Some(&(_, op)) = ops.last() else { return End::Never };
        if links(op.rd) {
            return End::Call { target: self.far(ops), site: next };
        }
        if op.rd == 0 && links(op.rs1) && op.imm == 0 {
            return End::Return;
        }
        match self.far(ops) {
            None if switches(&op) && !self.targets.is_empty() => End::Switch,
            target => End::Tail { target },
        }
    }

    /// The target of `auipc` and `jalr`, the last two ops.
    fn far(&self, ops: &[(u32, Op)]) -> Option<u32> {
        let [.., (at, upper), (_, jump)] = ops else { return None };
        let pair = upper.kind == Kind::Auipc && upper.rd == jump.rs1 && upper.rd != 0;
        let imm = (i64::from(upper.imm) + i64::from(jump.imm)) & !1;
        if pair { inside(self.region, *at, imm) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Image;

    fn find(words: &[u32]) -> Blocks {
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let region = Region { code: &code, start: 0x100, image: &Image::default() };
        blocks(&region, 0x100, &BTreeSet::from([0x100]), &Options::default()).unwrap()
    }

    #[test]
    fn a_loop_has_three_blocks() {
        // li a0, 5; addi a0, a0, -1; bnez a0, .-4; ret
        let found = find(&[0x0050_0513, 0xfff5_0513, 0xfe05_1ee3, 0x0000_8067]);
        let ends: Vec<End> = found.blocks.iter().map(|block| block.end).collect();
        assert_eq!(ends[0], End::Goto(Target::Block(1)));
        assert_eq!(ends[1], End::Branch { taken: Target::Block(1), next: Target::Block(2) });
        assert_eq!(ends[2], End::Return);
        assert_eq!(found.blocks[1].ops.len(), 2);
    }

    #[test]
    fn calls_by_auipc_are_known() {
        // auipc ra, 0; jalr ra, 12(ra); ret; ret
        let found = find(&[0x0000_0097, 0x00c0_80e7, 0x0000_8067, 0x0000_8067]);
        assert_eq!(found.blocks[0].end, End::Call { target: Some(0x10c), site: Target::Block(1) });
    }

    #[test]
    fn code_that_ends_leads_outside() {
        let found = find(&[0x0050_0513]);
        assert_eq!(found.blocks[0].end, End::Goto(Target::Outside { from: 0x100, imm: 4 }));
    }
}
