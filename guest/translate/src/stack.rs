//! How far the stack pointer is from where it was at a function's start.

use std::collections::VecDeque;

use shallop_riscv64::Kind;

use crate::effects::{SP, bit, effects};
use crate::flow::{Block, Blocks, End, Target};

/// What is known of the stack pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// Nothing leads here yet.
    Unreached,
    /// So many bytes from the start's.
    Moved(i64),
    Unknown,
}

impl Level {
    fn join(self, other: Level) -> Level {
        match (self, other) {
            (Level::Unreached, level) | (level, Level::Unreached) => level,
            (Level::Moved(one), Level::Moved(another)) if one == another => self,
            _ => Level::Unknown,
        }
    }

    /// Behind a block. Calls leave the stack pointer as it was.
    fn after(self, block: &Block) -> Level {
        block.ops.iter().fold(self, |level, (_, op)| match level {
            Level::Moved(by) if op.kind == Kind::Addi && (op.rd, op.rs1) == (SP, SP) => {
                by.checked_add(i64::from(op.imm)).map_or(Level::Unknown, Level::Moved)
            }
            _ if effects(op).writes & bit(SP) != 0 => Level::Unknown,
            level => level,
        })
    }
}

/// Whether the stack pointer is known to be at each block's end what it was at the function's start.
pub fn level(blocks: &Blocks) -> Vec<bool> {
    let count = blocks.blocks.len();
    let (mut before, mut after) = (vec![Level::Unreached; count], vec![Level::Unreached; count]);
    let mut work = VecDeque::from([0]);
    before[0] = Level::Moved(0);
    while let Some(at) = work.pop_front() {
        after[at] = before[at].after(&blocks.blocks[at]);
        for next in next(blocks, at) {
            let joined = before[next].join(after[at]);
            if joined != before[next] {
                before[next] = joined;
                work.push_back(next);
            }
        }
    }
    after.into_iter().map(|level| level == Level::Moved(0)).collect()
}

/// The blocks that may follow one.
fn next(blocks: &Blocks, at: usize) -> Vec<usize> {
    let targets = match blocks.blocks[at].end {
        End::Goto(target) | End::Call { site: target, .. } | End::Deferred { site: target } => vec![target],
        End::Branch { taken, next } => vec![taken, next],
        End::Switch => return blocks.targets.clone(),
        End::Tail { .. } | End::Return | End::Never => Vec::new(),
    };
    targets
        .into_iter()
        .filter_map(|target| if let Target::Block(block) = target { Some(block) } else { None })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::image::Image;
    use crate::{Options, Region, flow};

    fn levels(words: &[u32]) -> Vec<bool> {
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let region = Region { code: &code, start: 0x100, image: &Image::default() };
        level(&flow::blocks(&region, 0x100, &BTreeSet::from([0x100]), &Options::default()).unwrap())
    }

    #[test]
    fn a_frame_that_is_given_back_is_none() {
        // addi sp, sp, -16; beqz a0, .+8; jal ra, .+0x40; addi sp, sp, 16; ret
        assert_eq!(levels(&[0xff01_0113, 0x0005_0463, 0x0400_00ef, 0x0101_0113, 0x0000_8067]), [false, false, true]);
    }

    #[test]
    fn frames_that_differ_are_unknown() {
        // beqz a0, .+8; addi sp, sp, -16; ret
        assert_eq!(levels(&[0x0005_0463, 0xff01_0113, 0x0000_8067]), [true, false, false]);
        // mv sp, a1; addi sp, sp, 0; ret
        assert_eq!(levels(&[0x0005_8113, 0x0001_0113, 0x0000_8067]), [false]);
    }
}
