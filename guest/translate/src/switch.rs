//! Computed jumps inside a function: one switch, which finds the target by comparisons, or by a hash of its offset and one.

use std::ops::Range;

use shallop_machine::backend::Binary;

use crate::flow::Blocks;
use crate::function::Body;
use crate::graph::{Next, Node};
use crate::value::{Value, Word};

/// Binary logarithm of the places of a hash at most.
const MAX_BITS: u32 = 13;
/// Of so many targets the one is searched by comparisons, which a processor foretells better than a computed jump.
const SEARCHED: usize = 16;
/// Multipliers that are tried.
const TRIES: u32 = 64;

/// A hash of targets: each has a place, which few share.
#[derive(Debug, Clone)]
pub struct Hash {
    multiplier: u32,
    /// Bits of the number of places.
    bits: u32,
    /// What is at each place, by number.
    pub places: Vec<Vec<usize>>,
}

impl Hash {
    /// The best that some multipliers give for these numbers, which are different.
    pub fn new(keys: &[u32]) -> Hash {
        let wanted = (keys.len().max(1) as u32).saturating_mul(2).next_power_of_two();
        let bits = wanted.ilog2().clamp(1, MAX_BITS);
        let cost = |hash: &Hash| hash.places.iter().map(|place| place.len() * place.len()).sum::<usize>();
        let multipliers = (1..=TRIES).map(|k| k.wrapping_mul(0x9e37_79b9) | 1);
        let best = multipliers.map(|multiplier| Hash::with(keys, multiplier, bits)).min_by_key(cost);
        best.unwrap_or_else(|| Hash::with(keys, 1, bits))
    }

    fn with(keys: &[u32], multiplier: u32, bits: u32) -> Hash {
        let mut hash = Hash { multiplier, bits, places: vec![Vec::new(); 1 << bits] };
        for (number, &key) in keys.iter().enumerate() {
            let place = hash.place(key);
            hash.places[place].push(number);
        }
        hash
    }

    /// The place of a key.
    fn place(&self, key: u32) -> usize {
        (key.wrapping_mul(self.multiplier) >> (32 - self.bits)) as usize
    }
}

/// Offset of the first target.
fn least(blocks: &Blocks) -> u32 {
    blocks.targets.first().map_or(0, |&block| blocks.blocks[block].start)
}

impl Body<'_> {
    /// Makes ready for switches.
    pub fn prepare_switch(&mut self) {
        if self.shape.layout.graph.switch.is_some() && !self.shape.layout.graph.is_large() {
            let (origin, local) = (self.origin(), self.code.values.locals.origin());
            self.code.values.push(origin);
            self.code.values.sink().local_set(local);
        }
    }

    /// The address of the first target.
    fn origin(&mut self) -> Word {
        self.code.values.make(Value::Pc(least(&self.shape.blocks)))
    }

    /// Aims the switch at the code at this offset.
    pub fn aim(&mut self, offset: u32) {
        let pc = self.code.values.make(Value::Pc(offset));
        self.aim_at(pc);
    }

    fn aim_at(&mut self, target: Word) {
        let aim = self.code.values.locals.aim();
        self.code.values.push(target);
        self.code.values.sink().local_set(aim);
    }

    /// Goes to the switch with the target of the jump, which has been executed.
    pub fn go_to_switch(&mut self, node: Node) {
        self.code.finish();
        if let Some(target) = self.code.target.take() {
            self.aim_at(target);
        }
        if let Some(switch) = self.shape.layout.graph.switch {
            self.go(node, Next::Node(switch));
        }
    }

    /// Goes where the switch is aimed at.
    pub fn switch(&mut self, node: Node) {
        let blocks = &self.shape.blocks;
        let least = least(blocks);
        let keys: Vec<u32> = blocks.targets.iter().map(|&block| blocks.blocks[block].start - least).collect();
        if self.shape.places.of[node].checks {
            self.check_switch();
        }
        // It is clear here, but that would have to be kept on all ways round.
        self.code.clear_label();
        let distance = self.distance();
        match keys.len() <= SEARCHED {
            true => self.search_all(node, &keys, distance),
            false => self.look_up(node, &keys, distance),
        }
        self.code.target = Some(self.aimed());
        self.tail_unknown();
    }

    /// Goes to the target at the distance, or on behind this: found by halves.
    fn search_all(&mut self, node: Node, keys: &[u32], distance: Word) {
        self.open_block();
        let around = self.level_of_blocks();
        if !keys.is_empty() {
            self.search(node, keys, 0..keys.len(), distance, around);
        }
        self.close();
    }

    /// The same for a part of the targets; beyond `around` is where none of them is.
    fn search(&mut self, node: Node, keys: &[u32], part: Range<usize>, distance: Word, around: usize) {
        let middle = part.start + part.len() / 2;
        if part.len() > 1 {
            self.code.values.push(distance);
            self.code.values.sink().i64_const(i64::from(keys[middle])).i64_lt_u();
            self.open_if();
            self.search(node, keys, part.start..middle, distance, around);
            self.close();
            return self.search(node, keys, middle..part.end, distance, around);
        }
        let none = (self.level_of_blocks() - around) as u32;
        self.go_if_there(node, keys, part.start, distance, none);
    }

    /// Goes to a target if it is at the distance, else branches to `none`. The target comes next: the fewer jumps are taken,
    /// the more of an interpreter's instructions the processor foretells the next by.
    fn go_if_there(&mut self, node: Node, keys: &[u32], number: usize, distance: Word, none: u32) {
        self.code.values.push(distance);
        self.code.values.sink().i64_const(i64::from(keys[number])).i64_ne();
        self.code.values.br_unlikely_if(none);
        self.go_to_target(node, number);
    }

    fn go_to_target(&mut self, node: Node, number: usize) {
        let block = self.shape.blocks.targets[number];
        self.go(node, Next::Node(self.shape.layout.graph.of_block[block]));
    }

    /// Goes to the target at the distance, or on behind this: found in tables by a hash.
    fn look_up(&mut self, node: Node, keys: &[u32], distance: Word) {
        let hash = Hash::new(keys);
        let used: Vec<&[usize]> = hash.places.iter().map(Vec::as_slice).filter(|place| !place.is_empty()).collect();
        // Around all, where no target is; then one for each used place, the first of them innermost.
        (0..=used.len()).for_each(|_| self.open_block());
        self.jump_by(&hash, distance);
        for (at, place) in used.iter().enumerate() {
            self.close();
            let Some((&last, others)) = place.split_last() else { continue };
            for &number in others {
                self.code.values.push(distance);
                self.code.values.sink().i64_const(i64::from(keys[number])).i64_eq();
                self.open_if();
                self.go_to_target(node, number);
                self.close();
            }
            self.go_if_there(node, keys, last, distance, (used.len() - 1 - at) as u32);
        }
        self.close();
    }

    fn aimed(&mut self) -> Word {
        let aim = self.code.values.locals.aim();
        self.code.values.make(Value::Local(aim))
    }

    /// Yields, with the aim as pc, when the task is to stop.
    fn check_switch(&mut self) {
        match self.shape.layout.graph.is_large() {
            true => self.code.push_preempt_alone(),
            false => self.code.push_preempt(),
        }
        let aim = self.aimed();
        self.code.pause_if(aim);
    }

    /// How far the aim is behind the first target. In a large function the address of that is made anew: kept, it would be stored
    /// and loaded each time round.
    fn distance(&mut self) -> Word {
        let local = self.code.values.locals.origin();
        let origin = match self.shape.layout.graph.is_large() {
            true => self.origin(),
            false => self.code.values.make(Value::Local(local)),
        };
        let aim = self.aimed();
        let distance = self.code.values.combine(Binary::Sub, aim, origin);
        self.code.values.settle(distance)
    }

    /// Branches by the place that the distance has: to the innermost block for the first that is used, and so on.
    ///
    /// One branch and two tables, each of half the places: what a processor foretells of a computed jump it finds by where
    /// the jump is and by some bits of the jumps before it, which are often the same at the one jump of all an interpreter's
    /// instructions.
    fn jump_by(&mut self, hash: &Hash, distance: Word) {
        let none = hash.places.iter().filter(|place| !place.is_empty()).count() as u32;
        let mut next = 0;
        let depths = hash.places.iter().map(|place| if place.is_empty() { none } else { (next, next += 1).0 });
        let depths: Vec<u32> = depths.collect();
        let (first, second) = depths.split_at(depths.len() / 2);
        let place = self.code.values.locals.i32(0);
        self.code.values.push(distance);
        let mut sink = self.code.values.sink();
        // In 64 bits, as targets are compared, so that the distance is calculated once.
        sink.i64_const(i64::from(hash.multiplier as i32)).i64_mul().i64_const(i64::from(32 - hash.bits)).i64_shr_u();
        sink.i32_wrap_i64().local_tee(place).i32_const(first.len() as i32).i32_and();
        self.open_if();
        self.table(place, second.iter().map(|depth| depth + 1).collect());
        self.close();
        self.table(place, first.to_vec());
    }

    /// Branches by the low bits of a number.
    fn table(&mut self, number: u32, depths: Vec<u32>) {
        let mut sink = self.code.values.sink();
        sink.local_get(number).i32_const(depths.len() as i32 - 1).i32_and();
        sink.br_table(depths, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_place() {
        for count in [1, 2, 3, 9, 231, 5000] {
            let keys: Vec<u32> = (0..count).map(|k| k * k * 6 + k * 2).collect();
            let hash = Hash::new(&keys);
            assert!(hash.places.len() <= 1 << MAX_BITS);
            assert_eq!(hash.places.iter().map(Vec::len).sum::<usize>(), keys.len());
            for (number, &key) in keys.iter().enumerate() {
                assert!(hash.places[hash.place(key)].contains(&number));
            }
        }
    }

    #[test]
    fn few_keys_share_a_place() {
        let keys: Vec<u32> = (0..231).map(|k: u32| k * 150 + (k * 7919 % 90) * 2).collect();
        let hash = Hash::new(&keys);
        let alone = hash.places.iter().filter(|place| place.len() == 1).count();
        assert!(alone > 130, "{alone}");
        assert!(hash.places.iter().all(|place| place.len() <= 5));
    }
}
