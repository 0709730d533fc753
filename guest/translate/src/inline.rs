//! Small functions that call nothing, in the place of calls of them: their blocks become blocks of the caller.
//!
//! Such a function does not write `ra`, so its return leads to where the call does. A jump of it to another function
//! becomes a call by the caller, which returns there too. Nothing else is taken for granted: what it does to the stack
//! pointer is seen as if the caller did it. Nothing leads into the middle of such a copy, which would not be told from the
//! original, nor from other copies: it is entered by its call alone, and never put into functions that have entries besides
//! their start.

use std::collections::{BTreeMap, BTreeSet};

use crate::effects::{RA, bit, effects};
use crate::flow::{self, Block, Blocks, End, Target};
use crate::graph::LARGE_BLOCKS;
use crate::{Entries, Options, Region};

/// Instructions of a function that is small.
const SMALL: usize = 20;
/// Blocks of one.
const SMALL_BLOCKS: usize = 6;
/// Instructions that are put into a function whatever its own size is.
const ROOM: usize = 100;

/// Puts small functions into the place of calls of them, as far as that does not make the function much larger.
pub fn inline(blocks: &mut Blocks, region: &Region, starts: &BTreeSet<u32>, options: &Options) {
    if options.entries == Entries::All {
        return;
    }
    let mut small = BTreeMap::new();
    let mut room = ROOM.max(size(&blocks.blocks));
    for at in 0..blocks.blocks.len() {
        let End::Call { target: Some(target), site } = blocks.blocks[at].end else { continue };
        if blocks.blocks[at].ops.last().is_none_or(|(_, op)| op.rd != RA) {
            continue;
        }
        let callee = small.entry(target).or_insert_with(|| find(region, target, starts, options));
        let Some(callee) = callee else { continue };
        let Some(left) = room.checked_sub(size(callee)) else { continue };
        // What is large takes long to compile as it is.
        if blocks.blocks.len() + callee.len() >= LARGE_BLOCKS.min(options.max_blocks) {
            return;
        }
        room = left;
        let first = blocks.blocks.len();
        blocks.blocks[at].end = End::Goto(Target::Block(first));
        blocks.blocks.extend(callee.iter().map(|block| placed(block, first, site)));
    }
}

/// The blocks of the function at `start`, if it is small and calls nothing.
fn find(region: &Region, start: u32, starts: &BTreeSet<u32>, options: &Options) -> Option<Vec<Block>> {
    let bounds = Options { max_instructions: SMALL, max_blocks: SMALL_BLOCKS, ..options.clone() };
    let Blocks { blocks, .. } = flow::blocks(region, start, starts, &bounds).ok()?;
    let suits = |block: &Block| match block.end {
        End::Goto(_) | End::Branch { .. } | End::Tail { .. } => true,
        End::Return => block.ops.last().is_some_and(|(_, op)| op.rs1 == RA),
        End::Call { .. } | End::Switch | End::Deferred { .. } | End::Never => false,
    };
    let keeps = |block: &Block| block.ops.iter().all(|(_, op)| effects(op).writes & bit(RA) == 0);
    blocks.iter().all(|block| suits(block) && keeps(block)).then_some(blocks)
}

fn size(blocks: &[Block]) -> usize {
    blocks.iter().map(|block| block.ops.len()).sum()
}

/// A block of a function whose first has the index `first` now, and which returns to `site`.
fn placed(block: &Block, first: usize, site: Target) -> Block {
    let moved = |target: Target| match target {
        Target::Block(block) => Target::Block(first + block),
        outside @ Target::Outside { .. } => outside,
    };
    let end = match block.end {
        End::Goto(target) => End::Goto(moved(target)),
        End::Branch { taken, next } => End::Branch { taken: moved(taken), next: moved(next) },
        End::Tail { target } => End::Call { target, site },
        // It stays among the ops, for `ra` is still read there: by the interpreter, if it has to go on in the middle.
        End::Return => End::Goto(site),
        other => other,
    };
    Block { start: block.start, ops: block.ops.clone(), end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Image;

    const RET: u32 = 0x0000_8067;
    const CALL_BEHIND_THAT: u32 = 0x0080_00ef; // jal ra, .+8

    fn inlined(words: &[u32], options: &Options) -> Vec<End> {
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let region = Region { code: &code, start: 0x100, image: &Image::default() };
        let starts = BTreeSet::from([0x100, 0x108]);
        let mut blocks = flow::blocks(&region, 0x100, &starts, options).unwrap();
        inline(&mut blocks, &region, &starts, options);
        blocks.blocks.iter().map(|block| block.end).collect()
    }

    #[test]
    fn what_calls_nothing_returns_to_the_call() {
        // addi a0, a0, 1; ret
        let ends = inlined(&[CALL_BEHIND_THAT, RET, 0x0015_0513, RET], &Options::default());
        assert_eq!(ends, [End::Goto(Target::Block(2)), End::Return, End::Goto(Target::Block(1))]);
    }

    #[test]
    fn a_jump_out_of_it_is_a_call() {
        // jr a5
        let ends = inlined(&[CALL_BEHIND_THAT, RET, 0x0007_8067], &Options::default());
        let call = End::Call { target: None, site: Target::Block(1) };
        assert_eq!(ends, [End::Goto(Target::Block(2)), End::Return, call]);
    }

    #[test]
    fn others_are_called() {
        let stays = |callee: &[u32], options: &Options| {
            let ends = inlined(&[&[CALL_BEHIND_THAT, RET], callee].concat(), options);
            assert_eq!(ends, [End::Call { target: Some(0x108), site: Target::Block(1) }, End::Return]);
        };
        let all = Options { entries: Entries::All, ..Options::default() };
        stays(&[RET], &all);
        // mv ra, a0; ret
        stays(&[0x0005_0093, RET], &Options::default());
        // ecall; ret
        stays(&[0x0000_0073, RET], &Options::default());
        stays(&[[0x0015_0513; SMALL].as_slice(), &[RET]].concat(), &Options::default());
    }
}
