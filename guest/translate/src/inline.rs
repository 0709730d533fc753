//! Small functions that call nothing, in the place of calls of them: their blocks become blocks of the caller.
//!
//! Such a function does not write `ra`, so its return leads to where the call does. A jump of it to another function
//! becomes a call by the caller, which returns there too. Nothing else is taken for granted: what it does to the stack
//! pointer is seen as if the caller did it.

use std::collections::{BTreeMap, BTreeSet};

use crate::effects::{RA, bit, effects};
use crate::flow::{self, Block, Blocks, End, Target};
use crate::{Entries, Options, Region};

/// Instructions of a function that is small.
const SMALL: usize = 20;
/// Blocks of one.
const SMALL_BLOCKS: usize = 6;
/// Instructions that are put into a function whatever its own size is.
const ROOM: usize = 100;

/// Puts small functions into the place of calls of them, as far as that does not make the function much larger.
pub fn inline(blocks: &mut Blocks, region: &Region, starts: &BTreeSet<u32>, options: &Options) {
    // Targets of a switch are told from each other by where they start, and a copy starts where another does.
    let switches = blocks.blocks.iter().any(|block| block.end == End::Switch);
    if options.entries == Entries::All || switches {
        return;
    }
    let mut small = BTreeMap::new();
    let mut room = ROOM.max(blocks.blocks.iter().map(|block| block.ops.len()).sum());
    for at in 0..blocks.blocks.len() {
        let End::Call { target: Some(target), site } = blocks.blocks[at].end else { continue };
        if blocks.blocks[at].ops.last().is_none_or(|(_, op)| op.rd != RA) {
            continue;
        }
        let callee = small.entry(target).or_insert_with(|| find(region, target, starts, options));
        let Some(callee) = callee else { continue };
        let Some(left) = room.checked_sub(size(callee)) else { continue };
        if blocks.blocks.len() + callee.len() > options.max_blocks {
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
    let mut ops = block.ops.clone();
    let end = match block.end {
        End::Goto(target) => End::Goto(moved(target)),
        End::Branch { taken, next } => End::Branch { taken: moved(taken), next: moved(next) },
        End::Tail { target } => End::Call { target, site },
        End::Return => {
            ops.pop();
            End::Goto(site)
        }
        other => other,
    };
    Block { start: block.start, ops, end }
}
