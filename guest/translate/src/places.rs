//! Where registers are: at each node which are in locals (valid), and which of those are newer than the state (dirty).
//!
//! Where several ways meet, each way is brought to what was chosen for the node, by loads and stores on it. Before a loop
//! those registers are loaded that it reads; those that it writes are stored after it. Elsewhere a register is valid, or
//! dirty, when it is so on all ways; in a huge function also valid when it is so on one, and read soon. A register that is
//! written again before anything can read it is neither: it is not stored, and not carried around a loop. Whatever leaves the
//! function may read all of them.

use crate::checkpoint::Since;
use crate::effects::{A0, Effects, RA, SP, Slots, bit, effects};
use crate::flow::{Block, Blocks, End, Target};
use crate::forest::Item;
use crate::graph::{Kind, Node};
use crate::layout::Layout;
use crate::{Entries, Variant};

/// A register is in a local at the switch when one of so many targets reads it.
const SHARE: usize = 4;

/// What is known of a node.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    /// Registers in locals at its start.
    pub valid: Slots,
    /// Those that may be newer than the state.
    pub dirty: Slots,
    /// It has its place whatever comes before it: several ways lead here, or all registers are in the state.
    pub fixed: bool,
    /// The code looks whether it is to stop.
    pub checks: bool,
    /// It begins a loop, in which these registers may change.
    pub changes: Option<Slots>,
}

/// What is known of a function's nodes.
#[derive(Debug, Clone)]
pub struct Places {
    pub of: Vec<Place>,
    /// Registers that the function names.
    pub used: Slots,
    /// Registers whose values may be read later, by the function or by what it leads to, at each node's start …
    pub needed: Vec<Slots>,
    /// … and before each instruction of each block.
    pub needed_at: Vec<Vec<Slots>>,
}

/// Registers that functions which are entered at their start alone have as parameters.
pub const CARRIED: Slots = bit(RA) | bit(SP) | bit(A0);
/// Those of them that are known when a call has returned.
pub const RETURNED: Slots = bit(RA) | bit(SP);

/// The registers that are in locals alone at a node where all others are in the state; `None` elsewhere.
fn synchronous(layout: &Layout, node: Node) -> Option<Slots> {
    let by_label = layout.labels.contains_key(&node) || layout.graph.entered == Entries::All;
    match layout.graph.kinds[node] {
        Kind::Root | Kind::Enter if !by_label => Some(CARRIED),
        Kind::Site if !by_label => Some(RETURNED),
        Kind::Root | Kind::Enter | Kind::Site | Kind::Stepped => Some(0),
        Kind::Resume(_) | Kind::Aim(_) | Kind::Landing => Some(0),
        _ => layout.labels.contains_key(&node).then_some(0),
    }
}

impl Places {
    /// Finds the places of a function's registers.
    pub fn new(blocks: &Blocks, layout: &Layout, variant: Variant) -> Places {
        let count = layout.graph.kinds.len();
        let effects: Vec<Vec<Effects>> =
            blocks.blocks.iter().map(|block| block.ops.iter().map(|(_, op)| effects(op)).collect()).collect();
        let calls = blocks.blocks.iter().map(|block| matches!(block.end, End::Call { .. } | End::Deferred { .. }));
        let used = effects.iter().flatten().fold(CARRIED, |used, effects| used | effects.reads | effects.writes);
        let mut solver = Solver {
            layout,
            calls: calls.collect(),
            leaves: blocks.blocks.iter().map(leaves).collect(),
            after: edges(layout),
            before: vec![Vec::new(); count],
            live: vec![0; count],
            places: Places { of: vec![Place::default(); count], used, needed: vec![0; count], needed_at: Vec::new() },
            effects,
            variant,
            since: vec![Since::Spoilt; count],
            sparing: layout.graph.is_large(),
            huge: layout.graph.is_huge(),
        };
        solver.find_places();
        solver.places
    }
}

/// Whether the code at the end of a block leads out of the function.
fn leaves(block: &Block) -> bool {
    let outside = |target: Target| matches!(target, Target::Outside { .. });
    match block.end {
        End::Goto(target) => outside(target),
        End::Branch { taken, next } => outside(taken) || outside(next),
        End::Switch => false,
        End::Call { .. } | End::Tail { .. } | End::Return | End::Deferred { .. } | End::Never => true,
    }
}

/// The ways from node to node, but for those by a label: these lead to nodes where all registers are in the state.
fn edges(layout: &Layout) -> Vec<Vec<Node>> {
    let edges = |node: Node| -> Vec<Node> {
        match layout.graph.kinds[node] {
            Kind::Root | Kind::Landing => Vec::new(),
            Kind::Dispatch => vec![layout.fallback(node)],
            _ => {
                let hops = layout.graph.next[node].iter().map(|&next| layout.hop(node, next));
                hops.filter(|hop| hop.label.is_none()).map(|hop| hop.first).collect()
            }
        }
    };
    (0..layout.graph.kinds.len()).map(edges).collect()
}

/// Registers that are read before an instruction's end, or behind it.
fn before(after: Slots, effects: &Effects) -> Slots {
    after & !effects.writes | effects.reads
}

/// What precise code has done since the last checkpoint behind an instruction, and whether there is one before it.
fn since(before: Since, effects: &Effects) -> (Since, bool) {
    let checks = effects.memory() && before.wants_checkpoint();
    let mut after = if checks { Since::Stores } else { before };
    after = if effects.loads { after.loaded() } else { after };
    (if effects.stores { after.stored() } else { after }, checks)
}

struct Solver<'a> {
    layout: &'a Layout,
    effects: Vec<Vec<Effects>>,
    /// Blocks that end in a call, after which no register is valid.
    calls: Vec<bool>,
    /// Blocks that may lead out of the function.
    leaves: Vec<bool>,
    after: Vec<Vec<Node>>,
    /// From where a node is reached, and whether that is inside the loop that it begins.
    before: Vec<Vec<(Node, bool)>>,
    /// Registers that are read later, before they are written and before the next call.
    live: Vec<Slots>,
    places: Places,
    variant: Variant,
    /// What precise code has done since the last checkpoint, at each node.
    since: Vec<Since>,
    /// Whether a register is kept in a local between nodes only where it is read soon: in a large function locals are on
    /// the stack, and no better there than in the state.
    sparing: bool,
    /// Whether a register that is read soon is in a local where ways meet when it is on one of them: the others, which mostly come
    /// from rare calls, load it before.
    huge: bool,
}

impl Solver<'_> {
    fn find_places(&mut self) {
        self.connect();
        self.note_loops();
        self.solve(true, Solver::needed_before, |solver, node| &mut solver.places.needed[node]);
        self.places.needed_at = (0..self.effects.len()).map(|block| self.needed_in(block)).collect();
        for node in 0..self.after.len() {
            let synchronous = synchronous(self.layout, node);
            let merges = self.before[node].len() != 1 || self.layout.graph.kinds[node] == Kind::Dispatch;
            let place = &mut self.places.of[node];
            place.fixed = merges || synchronous.is_some();
            let slots = synchronous.unwrap_or(!0);
            (place.valid, place.dirty) = (slots, slots);
        }
        self.note_checkpoints();
        self.solve(true, Solver::live_before, |solver, node| &mut solver.live[node]);
        self.solve(false, Solver::valid, |solver, node| &mut solver.places.of[node].valid);
        self.solve(false, Solver::dirty, |solver, node| &mut solver.places.of[node].dirty);
    }

    fn connect(&mut self) {
        let forest = &self.layout.forest;
        for (node, after) in self.after.iter().enumerate() {
            for &next in after {
                let inside = forest.inside[next];
                let back = inside.is_some_and(|id| forest.head(id) == next && forest.around(node).contains(&id));
                self.before[next].push((node, back));
            }
        }
    }

    fn note_checkpoints(&mut self) {
        for &node in &self.layout.order {
            if let (false, &[(before, _)]) = (self.places.of[node].fixed, &self.before[node][..])
                && let Kind::Code(block) = self.layout.graph.kinds[before]
                && !self.calls[block]
            {
                self.since[node] =
                    self.effects[block].iter().fold(self.since[before], |all, effects| since(all, effects).0);
            }
        }
    }

    fn note_loops(&mut self) {
        let forest = &self.layout.forest;
        for (id, nest) in forest.loops.iter().enumerate() {
            let head = nest.items.iter().find_map(|&item| match item {
                Item::Node(node) if self.layout.graph.kinds[node] != Kind::Dispatch => Some(node),
                _ => None,
            });
            if let Some(head) = head {
                self.places.of[head].checks = true;
            }
            let changes = forest.nodes(Item::Loop(id)).into_iter().fold(0, |all, node| all | self.changes(node));
            self.places.of[forest.head(id)].changes = Some(changes);
        }
    }

    /// Registers that a node may change.
    fn changes(&self, node: Node) -> Slots {
        match self.layout.graph.kinds[node] {
            Kind::Code(block) => {
                // The stack pointer is the same after a call.
                let called = if self.calls[block] { !bit(SP) } else { 0 };
                self.effects[block].iter().fold(called, |all, effects| all | effects.writes)
            }
            _ => 0,
        }
    }

    /// Calculates a value for all nodes until nothing changes.
    fn solve(
        &mut self,
        backward: bool,
        value: impl Fn(&Self, Node) -> Slots,
        place: impl Fn(&mut Self, Node) -> &mut Slots,
    ) {
        let layout = self.layout;
        let mut order = layout.order.clone();
        if backward {
            order.reverse();
        }
        let mut changed = true;
        while changed {
            changed = false;
            for &node in &order {
                let new = value(self, node);
                changed |= std::mem::replace(place(self, node), new) != new;
            }
        }
    }

    fn needed_before(&self, node: Node) -> Slots {
        match self.layout.graph.kinds[node] {
            // A target that is none of the known ones is outside.
            Kind::Switch => !0,
            Kind::Code(block) => {
                let needed = |after, effects: &Effects| self.needed_by(after, effects);
                self.effects[block].iter().rev().fold(self.needed_behind(node), needed)
            }
            _ => self.needed_behind(node),
        }
    }

    /// Registers that are needed before an instruction. What handles a signal of precise code may read all of them.
    fn needed_by(&self, after: Slots, effects: &Effects) -> Slots {
        if self.variant == Variant::Precise && (effects.memory() || effects.exits) {
            !0
        } else {
            before(after, effects)
        }
    }

    /// Registers that are needed where a node goes on.
    fn needed_behind(&self, node: Node) -> Slots {
        match self.layout.graph.kinds[node] {
            Kind::Code(block) if self.leaves[block] => !0,
            _ => self.layout.hops[node].iter().fold(0, |all, &next| all | self.places.needed[next]),
        }
    }

    /// Registers that are needed before each instruction of a block.
    fn needed_in(&self, block: usize) -> Vec<Slots> {
        let mut needed = self.needed_behind(self.layout.graph.of_block[block]);
        let step = |effects| (needed = self.needed_by(needed, effects), needed).1;
        let mut all: Vec<Slots> = self.effects[block].iter().rev().map(step).collect();
        all.reverse();
        all
    }

    fn live_before(&self, node: Node) -> Slots {
        if synchronous(self.layout, node).is_some() {
            return 0;
        }
        let after = self.after[node].iter().fold(0, |all, &next| all | self.live[next]);
        match self.layout.graph.kinds[node] {
            Kind::Code(block) => {
                let after = if self.calls[block] { 0 } else { after };
                self.effects[block].iter().rev().fold(after, before)
            }
            Kind::Switch if self.sparing => 0,
            Kind::Switch => self.live_in_many(&self.after[node]),
            _ => after,
        }
    }

    /// Registers that are live at one of [`SHARE`] nodes.
    fn live_in_many(&self, nodes: &[Node]) -> Slots {
        let count = |slot: u32| nodes.iter().filter(|&&node| self.live[node] >> slot & 1 != 0).count();
        (0..Slots::BITS).filter(|&slot| count(slot) * SHARE >= nodes.len().max(1)).fold(0, |all, slot| all | 1 << slot)
    }

    fn valid(&self, node: Node) -> Slots {
        if let Some(slots) = synchronous(self.layout, node) {
            return slots;
        }
        if self.layout.graph.kinds[node] == Kind::Switch {
            return self.live[node];
        }
        let all = |back: bool| {
            let those = self.before[node].iter().filter(|(_, is_back)| *is_back == back);
            those.fold(!0, |all, &(before, _)| all & self.valid_after(before))
        };
        let any = || {
            let arrives = |before: &Node| self.layout.graph.kinds[*before] == Kind::Arrival;
            let others = self.before[node].iter().map(|&(before, _)| before).filter(|before| !arrives(before));
            others.fold(0, |any, before| any | self.valid_after(before))
        };
        match self.places.of[node].changes {
            _ if self.before[node].is_empty() => 0,
            Some(_) if self.sparing => all(true) & self.live[node],
            Some(_) => all(true) & (self.live[node] | all(false) & self.places.needed[node]),
            None if self.huge && self.places.of[node].fixed => any() & self.live[node],
            None if self.sparing && self.places.of[node].fixed => all(false) & self.live[node],
            None => all(false) & self.places.needed[node],
        }
    }

    fn valid_after(&self, node: Node) -> Slots {
        let valid = self.places.of[node].valid;
        match self.layout.graph.kinds[node] {
            Kind::Code(block) if self.calls[block] => 0,
            // It loads what is read soon.
            Kind::Arrival => self.live[self.layout.graph.next[node][0]],
            Kind::Code(block) => {
                self.effects[block].iter().fold(valid, |valid, effects| valid | effects.reads | effects.writes)
            }
            _ => valid,
        }
    }

    fn dirty(&self, node: Node) -> Slots {
        if let Some(slots) = synchronous(self.layout, node) {
            return slots;
        }
        let place = self.places.of[node];
        let before = || self.before[node].iter().map(|&(before, back)| (self.dirty_after(before), back));
        let dirty = match place.changes {
            _ if self.layout.graph.kinds[node] == Kind::Switch => before().fold(0, |all, (dirty, _)| all | dirty),
            Some(changes) => {
                let (mut some, mut every, mut entering) = (0, !0, 0);
                for (dirty, back) in before() {
                    match back {
                        true => (some, every) = (some | dirty, every & dirty),
                        false => entering |= dirty,
                    }
                }
                // What does not change is stored before the loop only if a turn of it stores it.
                some & changes | every & entering & !changes
            }
            None => before().fold(!0, |all, (dirty, _)| all & dirty),
        };
        dirty & place.valid
    }

    fn dirty_after(&self, node: Node) -> Slots {
        let dirty = self.places.of[node].dirty;
        let block = match self.layout.graph.kinds[node] {
            Kind::Code(block) => block,
            Kind::Arrival => return self.valid_after(node),
            _ => return dirty,
        };
        if self.calls[block] {
            return 0;
        }
        let behind = |(dirty, before): (Slots, Since), effects: &Effects| {
            let (after, checks) = since(before, effects);
            let flushes = checks && self.variant == Variant::Precise;
            (if flushes { 0 } else { dirty } | effects.writes, after)
        };
        self.effects[block].iter().fold((dirty, self.since[node]), behind).0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::function::Shape;
    use crate::image::Image;
    use crate::{Options, Region};

    #[test]
    fn a_loop_that_is_entered_in_two_places_keeps_registers_in_locals() {
        let words: [u32; 8] = [
            0x0006_0663, // beqz a2, 12
            0x0005_b703, // ld a4, 0(a1)
            0x0085_8593, // addi a1, a1, 8
            0x00e5_3023, // 12: sd a4, 0(a0)
            0x0085_0513, // addi a0, a0, 8
            0xfff6_0613, // addi a2, a2, -1
            0xfe06_16e3, // bnez a2, 4
            0x0000_8067, // ret
        ];
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let region = Region { code: &code, start: 0, image: &Image::default() };
        let shape = Shape::new(&region, 0, &BTreeSet::from([0]), &Options::default()).unwrap();
        let starts: Vec<u32> = shape.blocks.blocks.iter().map(|block| block.start).collect();
        for start in [4, 12] {
            let block = starts.iter().position(|&other| other == start).unwrap();
            let place = shape.places.of[shape.layout.graph.of_block[block]];
            let pointers = bit(A0) | bit(11) | bit(12);
            assert_eq!(place.valid & pointers, pointers, "at {start}");
        }
    }
}
