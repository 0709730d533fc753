//! Where registers are: which are dirty in locals (newer than the state), and which a node needs in locals.

use crate::Variant;
use crate::effects::{Effects, Slots, effects};
use crate::flow::{Blocks, End, Target};
use crate::forest::Item;
use crate::graph::{Kind, Node};
use crate::layout::Layout;

/// What is known at the start of each node.
#[derive(Debug, Clone)]
pub struct Places {
    /// Registers that may be dirty.
    pub dirty: Vec<Slots>,
    /// Registers whose locals the code may use before it sets them.
    pub needed: Vec<Slots>,
    /// Nodes that more than one leads to.
    pub merges: Vec<bool>,
    /// Nodes at which the code looks whether it is to stop.
    pub checks: Vec<bool>,
    /// Registers that the function names.
    pub used: Slots,
}

/// Whether all registers are in the state there.
pub fn synchronous(kind: Kind) -> bool {
    matches!(kind, Kind::Root | Kind::Enter | Kind::Site | Kind::Resume(_) | Kind::Aim(_) | Kind::Landing)
}

impl Places {
    /// Finds the places of a function's registers.
    pub fn new(blocks: &Blocks, layout: &Layout, variant: Variant) -> Places {
        let count = layout.graph.kinds.len();
        let mut solver = Solver {
            layout,
            effects: blocks.blocks.iter().map(|block| block.ops.iter().map(|(_, op)| effects(op)).collect()).collect(),
            leaves: blocks.blocks.iter().map(|block| leaves(block.end)).collect(),
            variant,
            places: Places {
                dirty: vec![0; count],
                needed: vec![0; count],
                merges: merges(layout),
                checks: checks(layout),
                used: 0,
            },
        };
        for effects in solver.effects.iter().flatten() {
            solver.places.used |= effects.reads | effects.writes;
        }
        solver.solve_dirty();
        solver.solve_needed();
        solver.places
    }

    /// The registers that are in locals at the start of a merge.
    pub fn valid(&self, layout: &Layout, node: Node) -> Option<Slots> {
        let kind = layout.graph.kinds[node];
        if synchronous(kind) {
            return Some(0);
        }
        (self.merges[node] || kind == Kind::Dispatch).then(|| self.needed[node])
    }
}

/// Whether all dirty registers are stored at this end, for some way that it goes.
fn leaves(end: End) -> bool {
    let outside = |target: Target| matches!(target, Target::Outside { .. });
    match end {
        End::Goto(target) => outside(target),
        End::Branch { taken, next } => outside(taken) || outside(next),
        End::Switch => false,
        End::Call { .. } | End::Tail { .. } | End::Return | End::Deferred { .. } | End::Never => true,
    }
}

fn merges(layout: &Layout) -> Vec<bool> {
    let mut before = vec![0; layout.hops.len()];
    layout.hops.iter().flatten().for_each(|&next| before[next] += 1);
    before.into_iter().map(|before| before > 1).collect()
}

fn checks(layout: &Layout) -> Vec<bool> {
    let mut checks = vec![false; layout.hops.len()];
    for nest in &layout.forest.loops {
        let head = nest.items.iter().find_map(|&item| match item {
            Item::Node(node) if layout.graph.kinds[node] != Kind::Dispatch => Some(node),
            _ => None,
        });
        if let Some(head) = head {
            checks[head] = true;
        }
    }
    checks
}

struct Solver<'a> {
    layout: &'a Layout,
    effects: Vec<Vec<Effects>>,
    leaves: Vec<bool>,
    variant: Variant,
    places: Places,
}

impl Solver<'_> {
    fn flushes(&self, effects: &Effects) -> bool {
        effects.memory && self.variant == Variant::Precise
    }

    /// Dirty registers before each op of a block, and at its end.
    fn dirty_in(&self, block: usize, mut dirty: Slots) -> Vec<Slots> {
        let mut found = Vec::with_capacity(self.effects[block].len() + 1);
        for effects in &self.effects[block] {
            found.push(dirty);
            if self.flushes(effects) {
                dirty = 0;
            }
            dirty |= effects.writes;
        }
        found.push(dirty);
        found
    }

    fn dirty_after(&self, node: Node) -> Slots {
        match self.layout.graph.kinds[node] {
            Kind::Code(block) => {
                let dirty = self.dirty_in(block, self.places.dirty[node]);
                dirty.last().copied().unwrap_or(0)
            }
            Kind::Dispatch | Kind::Switch => self.places.dirty[node],
            _ => 0,
        }
    }

    fn solve_dirty(&mut self) {
        let mut changed = true;
        while changed {
            changed = false;
            for &node in &self.layout.order {
                let dirty = self.dirty_after(node);
                for &next in &self.layout.hops[node] {
                    if !synchronous(self.layout.graph.kinds[next]) && dirty & !self.places.dirty[next] != 0 {
                        self.places.dirty[next] |= dirty;
                        changed = true;
                    }
                }
            }
        }
    }

    fn solve_needed(&mut self) {
        let mut changed = true;
        while changed {
            changed = false;
            for &node in self.layout.order.iter().rev() {
                let needed = self.needed_in(node);
                if needed != self.places.needed[node] {
                    self.places.needed[node] = needed;
                    changed = true;
                }
            }
        }
    }

    fn needed_in(&self, node: Node) -> Slots {
        let kind = self.layout.graph.kinds[node];
        if synchronous(kind) {
            return 0;
        }
        let after = self.layout.hops[node].iter().fold(0, |all, &next| all | self.places.needed[next]);
        let block = match kind {
            Kind::Code(block) => block,
            Kind::Switch => return after | self.places.dirty[node],
            _ => return after,
        };
        let dirty = self.dirty_in(block, self.places.dirty[node]);
        let at_end = if self.leaves[block] { dirty.last().copied().unwrap_or(0) } else { 0 };
        let mut needed = after | at_end;
        for (effects, dirty) in self.effects[block].iter().zip(&dirty).rev() {
            needed = needed & !effects.writes | effects.reads;
            if effects.exits || self.flushes(effects) {
                needed |= dirty;
            }
        }
        if self.places.checks[node] { needed | self.places.dirty[node] } else { needed }
    }
}
