//! What is known of registers' values on the way through a function: which are near to addresses, and which are short.
//!
//! An access to guest memory wants an address below 2^32. A register that was found to be so stays near to such a value when
//! small numbers are added to it, and when an access by it succeeds it is one again: both ends of memory are without access
//! for farther than it may have moved. So a pointer that walks through memory is looked at once, before its loop.
//!
//! Facts are about a register's value, wherever that is. What comes round a loop is not known when its head is emitted: the
//! function is emitted with what seems to hold, and again with less where that proves wrong ([`Around`]).

use std::collections::BTreeMap;

use crate::effects::{Slots, bit, effects};
use crate::flow::Block;
use crate::graph::Node;

/// How far a value may have moved from one that was found to be below 2^32. Both ends of the guest's memory are
/// without access for farther than this (64 KiB and 1 MiB), so an access by such an address faults when it is not below
/// 2^32.
pub const DRIFT: u64 = 60 << 10;

/// How often what comes round a loop is taken to be a little less; then nothing is known of what became less.
const LESSENED: u32 = 2;
/// How often a function is emitted until nothing is taken to be known of what loops change …
const ROUNDS: u32 = 8;
/// … and until nothing is taken to be known at their heads, so that it comes to an end.
const MOST_ROUNDS: u32 = 12;

/// What is known of the values of registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Near {
    /// How far they may be from a value that is below 2^32, for each slot; `None`: that is not known.
    distance: [Option<u64>; 64],
    /// Those that are extended from their low half by its sign.
    narrow: Slots,
}

impl Default for Near {
    fn default() -> Near {
        Near { distance: [None; 64], narrow: 0 }
    }
}

impl Near {
    /// What holds of both.
    pub fn farther(self, other: Near) -> Near {
        Near {
            distance: std::array::from_fn(|slot| Some(self.distance[slot]?.max(other.distance[slot]?))),
            narrow: self.narrow & other.narrow,
        }
    }

    /// Forgets what is known of these.
    pub fn forget(&mut self, slots: Slots) {
        (0..64).filter(|&slot| slots & bit(slot) != 0).for_each(|slot| self.distance[usize::from(slot)] = None);
        self.narrow &= !slots;
    }

    /// How far a register's value may be from one below 2^32.
    pub fn distance(&self, slot: u8) -> Option<u64> {
        self.distance[usize::from(slot)]
    }

    /// Whether a register is extended from its low half by its sign.
    pub fn is_narrow(&self, slot: u8) -> bool {
        self.narrow & bit(slot) != 0
    }

    /// Notes that a register's value is below 2^32.
    pub fn is_address(&mut self, slot: u8) {
        self.distance[usize::from(slot)] = Some(0);
    }

    /// Notes what is known of a register's new value.
    pub fn set(&mut self, slot: u8, distance: Option<u64>, narrow: bool) {
        self.distance[usize::from(slot)] = distance;
        self.narrow = self.narrow & !bit(slot) | if narrow { bit(slot) } else { 0 };
    }

    /// Those whose distance is another.
    fn differing(&self, other: &Near) -> Slots {
        (0..64).filter(|&slot| self.distance(slot) != other.distance(slot)).fold(0, |all, slot| all | bit(slot))
    }
}

/// The registers that a block takes for addresses before it writes them, whichever way it goes on.
pub fn accessed_by(block: &Block) -> Slots {
    let (mut found, mut written) = (0, 0);
    for (_, op) in &block.ops {
        let effects = effects(op);
        if effects.memory() {
            found |= bit(op.rs1) & !written & !bit(0);
        }
        written |= effects.writes;
    }
    found
}

/// What is taken to come round loops.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// By the loop's head; heads that are not here are come to with what was known before the loop.
    known: BTreeMap<Node, (Near, u32)>,
    rounds: u32,
}

impl Around {
    /// What is known at a loop's head, when `before` is known before the loop; `changes`: what the loop may change.
    pub fn at_head(&self, head: Node, mut before: Near, changes: Slots) -> Near {
        if self.rounds >= MOST_ROUNDS {
            return Near::default();
        }
        if self.rounds >= ROUNDS {
            before.forget(changes);
        }
        self.known.get(&head).map_or(before, |&(around, _)| before.farther(around))
    }

    /// Whether a register that is near before a loop may be so all the time.
    pub fn stays_near(&self, head: Node, slot: u8) -> bool {
        self.rounds < ROUNDS && self.known.get(&head).is_none_or(|(around, _)| around.distance(slot).is_some())
    }

    /// Takes what was found to come round loops, by head, for the next time that the function is emitted.
    pub fn learn(&mut self, found: &BTreeMap<Node, Near>) {
        self.rounds += 1;
        for (&head, &near) in found {
            let entry = self.known.entry(head).or_insert((near, 0));
            let mut less = entry.0.farther(near);
            if entry.1 >= LESSENED {
                less.forget(less.differing(&entry.0));
            }
            *entry = (less, entry.1 + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Node = 3;

    fn near(distance: u64) -> Near {
        let mut near = Near::default();
        near.set(8, Some(distance), true);
        near
    }

    #[test]
    fn both_is_the_weaker() {
        let both = near(4).farther(near(9));
        assert_eq!((both.distance(8), both.is_narrow(8)), (Some(9), true));
        assert_eq!(near(4).farther(Near::default()), Near::default());
    }

    #[test]
    fn what_moves_on_and_on_is_given_up() {
        let mut around = Around::default();
        let mut distance = Some(0);
        for _ in 0..ROUNDS {
            let at_head = around.at_head(HEAD, near(0), !0);
            distance = at_head.distance(8);
            let Some(distance) = distance else { break };
            around.learn(&BTreeMap::from([(HEAD, near(distance + 8))]));
        }
        assert_eq!(distance, None);
    }

    #[test]
    fn after_many_rounds_only_what_stays_is_known() {
        let mut around = Around::default();
        (0..ROUNDS).for_each(|_| around.learn(&BTreeMap::new()));
        assert_eq!(around.at_head(HEAD, near(0), 0), near(0));
        assert_eq!(around.at_head(HEAD, near(0), bit(8)), Near::default());
        // Less than nothing cannot come round, so this is the last.
        (ROUNDS..MOST_ROUNDS).for_each(|_| around.learn(&BTreeMap::new()));
        assert_eq!(around.at_head(HEAD, near(0), 0), Near::default());
    }
}
