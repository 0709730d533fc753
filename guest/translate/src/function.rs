//! A function's body: its nodes in order, in the loops and blocks that its edges need.

use std::collections::{BTreeMap, BTreeSet};

use shallop_riscv64::execute::execute;
use wasm_encoder::{BlockType, Function};

use crate::bytewise::Part;
use crate::checkpoint::Since;
use crate::code::{Code, Known};
use crate::effects::{SP, Slots, bit};
use crate::flow::{Block, Blocks, End};
use crate::forest::{Forest, Item, LoopId};
use crate::graph::{Graph, Kind, Next, Node};
use crate::layout::{Label, Layout};
use crate::locals::parameter;
use crate::memories::Memories;
use crate::near::{Around, Near, accessed_by};
use crate::places::Places;
use crate::value::{Value, Values};
use crate::{Entries, Options, Refusal, Region, bytewise, detour, flow, inline, stack};

/// Blocks of a function that weigh as much as a call: one of CPython's evaluation loop, with 4,000, has 800 bytes on the stack.
const BLOCKS_WEIGHT: usize = 512;

/// What a function is before its code is emitted.
#[derive(Debug, Clone)]
pub struct Shape {
    pub blocks: Blocks,
    pub layout: Layout,
    pub places: Places,
    /// Whether the stack pointer is at each block's end what it was at the function's start.
    pub level: Vec<bool>,
    /// Instructions of each block that are done with others.
    parts: Vec<BTreeMap<usize, Part>>,
    /// Offset behind all that is loaded of its file.
    image_end: u32,
}

impl Shape {
    /// Finds the blocks, loops and registers of the function at `start`.
    ///
    /// # Errors
    /// When it is above a bound.
    pub fn new(region: &Region, start: u32, starts: &BTreeSet<u32>, options: &Options) -> Result<Shape, Refusal> {
        let mut blocks = flow::blocks(region, start, starts, options)?;
        inline::inline(&mut blocks, region, starts, options);
        let mut graph = Graph::new(&blocks, options)?;
        if options.entries == Entries::All {
            for block in jumped_back_to(&blocks, &graph)? {
                graph.add_resume(block, blocks.blocks[block].start);
            }
        }
        if graph.entries.len() - 1 > options.max_resume {
            return Err(Refusal::Resume);
        }
        if graph.entries.len() == 1 {
            graph.entered = Entries::Start;
        }
        let mut forest = Forest::new(&graph)?;
        if detour::by_switch(&mut graph, &mut blocks, &forest) {
            forest = Forest::new(&graph)?;
        }
        let layout = Layout::new(graph, forest);
        let places = Places::new(&blocks, &layout, options.variant);
        let level = stack::level(&blocks);
        let parts = bytewise::parts(&blocks, options.variant);
        Ok(Shape { blocks, layout, places, level, parts, image_end: region.image.end })
    }

    /// Where it can be entered.
    pub fn entered(&self) -> Entries {
        self.layout.graph.entered
    }

    /// The memories that suit it.
    fn memories(&self) -> Memories {
        if self.layout.graph.is_huge() { Memories::MOVABLE } else { Memories::FIXED }
    }

    /// Registers that are better loaded again behind rare calls than live across them: in large functions, where most are
    /// on the stack anyway, only those that the innermost loop changes, since the others need not be carried around it.
    fn reloads(&self, node: Node) -> Slots {
        if !self.layout.graph.is_large() {
            return !0;
        }
        let forest = &self.layout.forest;
        let head = forest.inside[node].map(|id| forest.head(id));
        head.and_then(|head| self.places.of[head].changes).unwrap_or(!0)
    }

    /// Registers whose locals are taken along where a label leads, for ways without one: nothing reads them there.
    fn taken_by_label(&self, from: Node, to: Node) -> Slots {
        let dispatches = self.layout.dispatches(from, to);
        dispatches.fold(0, |all, node| all | self.places.of[node].valid)
    }

    /// Offsets of the entries after the first.
    pub fn resume(&self) -> Vec<u32> {
        self.layout.graph.offsets[1..].to_vec()
    }
}

/// The blocks at which the interpreter may find a function hot.
fn jumped_back_to(blocks: &Blocks, graph: &Graph) -> Result<BTreeSet<usize>, Refusal> {
    let forest = Forest::new(graph)?;
    let heads = (0..forest.loops.len()).map(|id| graph.kinds[forest.head(id)]);
    let heads = heads.filter_map(|kind| if let Kind::Code(block) = kind { Some(block) } else { None });
    let mut found: BTreeSet<usize> = heads.collect();
    if graph.switch.is_some() {
        // What is jumped back to may be no loop's head beside a switch.
        found.extend(blocks.back.iter().filter(|&block| !blocks.targets.contains(block)));
    }
    Ok(found)
}

/// A wasm block or loop that is open, by the node that a branch to it goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    To(Node),
    Other,
}

/// Emits one function.
pub struct Body<'a> {
    pub code: Code,
    pub shape: &'a Shape,
    /// Wasm function of each translated guest function.
    pub functions: &'a BTreeMap<u32, u32>,
    /// Where computed jumps probably go.
    pub likely: &'a BTreeMap<u32, u32>,
    /// What a call of this function takes of the room: its native frame may be as large as it has blocks.
    pub weight: i32,
    scopes: Vec<Scope>,
    /// What is known at the end of each node.
    ends: Vec<Known>,
    /// What is known of values on all ways to a node that were emitted before it.
    nears: Vec<Option<Near>>,
    /// What is known of them at each node that was emitted.
    entered: Vec<Option<Near>>,
    /// What is taken to come round loops, and where less came.
    around: &'a Around,
    less: BTreeMap<Node, Near>,
    limit: usize,
}

/// A function as a module has it.
#[derive(Debug, Clone)]
pub struct Emitted {
    pub function: Function,
    /// Branches that nearly always go one way, by their offsets in it; whether they are taken.
    pub hints: Vec<(u32, bool)>,
}

/// The function of `shape`.
///
/// # Errors
/// When its body is above a bound.
pub fn emit(shape: &Shape, functions: &BTreeMap<u32, u32>, options: &Options) -> Result<Emitted, Refusal> {
    let mut around = Around::default();
    loop {
        let (emitted, less) = emit_with(&around, shape, functions, options)?;
        if less.is_empty() {
            return Ok(emitted);
        }
        around.learn(&less);
    }
}

/// The function, right if what is taken to come round loops does; and where less came.
fn emit_with(
    around: &Around,
    shape: &Shape,
    functions: &BTreeMap<u32, u32>,
    options: &Options,
) -> Result<(Emitted, BTreeMap<Node, Near>), Refusal> {
    let nodes = shape.layout.graph.kinds.len();
    let mut body = Body {
        code: Code::new(
            Values::new(shape.places.used, shape.entered(), shape.image_end),
            options.variant,
            shape.memories(),
        ),
        shape,
        functions,
        likely: &options.likely,
        weight: (1 + shape.blocks.blocks.len() / BLOCKS_WEIGHT) as i32,
        scopes: Vec::new(),
        ends: vec![Known::default(); nodes],
        nears: vec![None; nodes],
        entered: vec![None; nodes],
        around,
        less: BTreeMap::new(),
        limit: options.max_body,
    };
    // The root's own table is one.
    body.code.by_labels = shape.layout.tables.len() > 1;
    body.receive();
    body.prepare_switch();
    (0..3).for_each(|_| _ = body.code.values.sink().block(BlockType::Empty));
    body.level(None)?;
    body.code.conclude();
    let Code { values, .. } = body.code;
    if values.locals.count() as usize * shape.blocks.blocks.len() > options.max_locals_blocks {
        return Err(Refusal::Locals);
    }
    let mut function = Function::new(values.locals.declaration());
    let begin = function.byte_len() as u32;
    function.raw(values.bytes);
    match function.byte_len() > options.max_body {
        true => Err(Refusal::Body),
        false => {
            let hints = values.hints.iter().map(|&(at, taken)| (begin + at, taken)).collect();
            Ok((Emitted { function, hints }, body.less))
        }
    }
}

/// Whether other functions are called at the end of a block.
fn leads_on(end: End) -> bool {
    matches!(end, End::Call { .. } | End::Tail { .. } | End::Switch | End::Deferred { .. })
}

impl Body<'_> {
    /// The first item of a level that branches forward to each item.
    fn sources(&self, level: Option<LoopId>) -> Vec<Option<usize>> {
        let layout = &self.shape.layout;
        let items = layout.forest.items(level);
        let mut first = vec![None; items.len()];
        let targets: BTreeMap<Node, usize> =
            items.iter().enumerate().map(|(at, &item)| (layout.forest.first(item), at)).collect();
        for (at, &item) in items.iter().enumerate() {
            for node in layout.forest.nodes(item) {
                for next in &layout.hops[node] {
                    if let Some(&to) = targets.get(next)
                        && to > at
                        && first[to].is_none()
                    {
                        first[to] = Some(at);
                    }
                }
            }
        }
        first
    }

    /// Where the block before each item begins, so that blocks nest: `opens[i]` are the ends of those that begin at `i`.
    fn opens(&self, level: Option<LoopId>) -> Vec<Vec<usize>> {
        let mut sources = self.sources(level);
        let mut opens = vec![Vec::new(); sources.len()];
        for end in 0..sources.len() {
            let Some(mut begin) = sources[end] else { continue };
            // A block that ends earlier and begins before this one is inside it.
            for other in (begin + 1..end).rev() {
                if let Some(earlier) = sources[other] {
                    begin = begin.min(earlier);
                }
            }
            sources[end] = Some(begin);
            opens[begin].push(end);
        }
        opens
    }

    fn level(&mut self, level: Option<LoopId>) -> Result<(), Refusal> {
        let shape = self.shape;
        let forest = &shape.layout.forest;
        let mut opens = self.opens(level);
        let ends: Vec<bool> = {
            let mut ends = vec![false; opens.len()];
            opens.iter().flatten().for_each(|&end| ends[end] = true);
            ends
        };
        for (at, &item) in forest.items(level).iter().enumerate() {
            if ends[at] {
                self.close();
            }
            // Those that end last are outside.
            opens[at].sort_unstable_by(|a, b| b.cmp(a));
            for &end in &opens[at] {
                let target = forest.first(forest.items(level)[end]);
                self.open(Scope::To(target));
            }
            match item {
                Item::Node(node) => self.node(node),
                Item::Loop(id) => {
                    self.code.values.sink().loop_(BlockType::Empty);
                    self.code.values.nesting += 1;
                    self.scopes.push(Scope::To(forest.head(id)));
                    self.level(Some(id))?;
                    self.close();
                }
            }
            if self.code.values.bytes.len() > self.limit {
                return Err(Refusal::Body);
            }
        }
        Ok(())
    }

    /// Opens an `if`, whose condition is on the stack.
    pub fn open_if(&mut self) {
        self.code.values.open_if();
        self.scopes.push(Scope::Other);
    }

    /// As [`Body::open_if`], for what is seldom so.
    pub fn open_unlikely_if(&mut self) {
        self.code.values.hint(false);
        self.open_if();
    }

    /// Opens a block for branches to its end.
    pub fn open_block(&mut self) {
        self.open(Scope::Other);
    }

    fn open(&mut self, scope: Scope) {
        self.code.values.open_block();
        self.scopes.push(scope);
    }

    /// How many blocks are open.
    pub fn level_of_blocks(&self) -> usize {
        self.scopes.len()
    }

    /// Ends the innermost block.
    pub fn close(&mut self) {
        self.code.values.close();
        self.scopes.pop();
    }

    /// The branch depth of a node.
    fn depth(&self, node: Node) -> u32 {
        let found = self.scopes.iter().rev().position(|&scope| scope == Scope::To(node));
        found.unwrap_or(self.scopes.len()) as u32
    }

    fn node(&mut self, node: Node) {
        let shape = self.shape;
        self.enter(node);
        self.code.reloads = shape.reloads(node);
        self.code.values.begin();
        let kind = shape.layout.graph.kinds[node];
        if kind == Kind::Enter || shape.layout.labels.contains_key(&node) {
            self.code.clear_label();
        }
        match kind {
            Kind::Root | Kind::Dispatch => self.dispatch(node),
            Kind::Enter => {
                // One that calls nothing ends soon, or looks in its loops.
                if shape.blocks.blocks.iter().any(|block| leads_on(block.end)) {
                    self.check(node, true);
                }
                self.go_first(node);
            }
            Kind::Site | Kind::Stepped | Kind::Resume(_) | Kind::Landing | Kind::Arrival => self.go_first(node),
            Kind::Aim(block) => {
                self.aim(shape.blocks.blocks[block].start);
                self.go_first(node);
            }
            Kind::Switch => self.switch(node),
            Kind::Code(block) => self.block(node, &shape.blocks.blocks[block], block),
        }
        self.ends[node] = self.code.known();
    }

    /// Begins a node with what is known there.
    fn enter(&mut self, node: Node) {
        let place = self.shape.places.of[node];
        let known = if place.fixed {
            let near = self.known_at(node);
            self.entered[node] = Some(near);
            Known { valid: place.valid, dirty: place.dirty, near, since: Since::Spoilt }
        } else {
            let before = self.shape.layout.hops.iter().position(|hops| hops.contains(&node));
            before.map_or(Known::default(), |before| self.ends[before])
        };
        self.code.enter(known);
        self.code.need(self.shape.places.needed[node]);
    }

    /// What is known of values at a node where ways meet; always that the stack pointer is an address.
    fn known_at(&self, node: Node) -> Near {
        let layout = &self.shape.layout;
        // Nothing else is known of what a label brings.
        let by_label = layout.graph.kinds[node] == Kind::Dispatch || layout.labels.contains_key(&node);
        let mut near = if by_label { Near::default() } else { self.nears[node].unwrap_or_default() };
        if let (false, Some(changes)) = (by_label, self.shape.places.of[node].changes) {
            near = self.around.at_head(node, near, changes);
        }
        near.is_address(SP);
        near
    }

    /// Before a loop, or its middle, looks at the registers that its first block there takes for addresses: inside they are
    /// near to one then.
    fn look_ahead(&mut self, from: Node, node: Node) {
        let kinds = &self.shape.layout.graph.kinds;
        let Kind::Code(block) = kinds[node] else { return };
        let arrives = kinds[from] == Kind::Arrival;
        let enters = arrives || self.shape.places.of[node].changes.is_some();
        if !enters || self.entered[node].is_some() {
            return;
        }
        let block = &self.shape.blocks.blocks[block];
        let (accessed, near) = (accessed_by(block), self.code.known().near);
        for slot in (0..32).filter(|&slot| accessed & bit(slot) != 0) {
            if near.distance(slot).is_none() && (arrives || self.around.stays_near(node, slot)) {
                self.code.look_at(slot, block.start);
            }
        }
    }

    /// Notes what is known on a way to a node where ways meet.
    fn come_to(&mut self, node: Node) {
        let near = self.code.known().near;
        match self.entered[node] {
            None => self.nears[node] = Some(self.nears[node].map_or(near, |other| other.farther(near))),
            Some(entered) if entered.farther(near) != entered => {
                let less = self.less.get(&node).map_or(near, |other| other.farther(near));
                self.less.insert(node, less);
            }
            Some(_) => {}
        }
    }

    /// Goes on where the label says.
    fn dispatch(&mut self, node: Node) {
        let layout = &self.shape.layout;
        let at = self.code.values.locals.label();
        let table = layout.tables.get(&node).map_or(&[][..], Vec::as_slice);
        match table {
            [] => {}
            &[(label, next)] => {
                let depth = self.depth(next);
                let mut sink = self.code.values.sink();
                sink.local_get(at).i32_const(label as i32).i32_eq().br_if(depth);
            }
            _ => self.dispatch_by(table),
        }
        self.go(node, Next::Node(layout.fallback(node)));
    }

    /// Goes to the node of the label; without one, or with another, on behind this.
    fn dispatch_by(&mut self, table: &[(Label, Node)]) {
        let at = self.code.values.locals.label();
        self.code.values.sink().local_get(at);
        self.open_if();
        let labels: BTreeMap<Label, u32> = table.iter().map(|&(label, next)| (label, self.depth(next))).collect();
        if let (Some((&least, _)), Some((&most, _))) = (labels.first_key_value(), labels.last_key_value()) {
            let depths: Vec<u32> = (least..=most).map(|label| labels.get(&label).copied().unwrap_or(0)).collect();
            let mut sink = self.code.values.sink();
            sink.local_get(at).i32_const(least as i32).i32_sub().br_table(depths, 0);
        }
        self.close();
    }

    /// Yields when the task is to stop; at a function's start, leaves when calls are too deep.
    fn check(&mut self, node: Node, start: bool) {
        let offset = match self.shape.layout.graph.kinds[node] {
            Kind::Code(block) => self.shape.blocks.blocks[block].start,
            _ => self.shape.blocks.blocks[0].start,
        };
        if start {
            self.code.values.sink().local_get(parameter::ROOM);
        }
        self.code.push_preempt();
        if start {
            // The word is 0, or as much as any room.
            self.code.values.sink().i32_le_s();
        }
        let pc = self.code.values.make(Value::Pc(offset));
        self.code.pause_if(pc);
    }

    /// Goes to the one node that follows.
    fn go_first(&mut self, node: Node) {
        let next = self.shape.layout.graph.next[node][0];
        self.go(node, Next::Node(next));
    }

    /// Goes on elsewhere, with registers where they are wanted there.
    pub fn go(&mut self, from: Node, next: Next) {
        let to = match next {
            Next::Outside { from, imm } => return self.code.leave(from, imm),
            Next::Node(to) => to,
        };
        let layout = &self.shape.layout;
        let to = layout.graph.detours.get(&(from, to)).copied().unwrap_or(to);
        let kind = layout.graph.kinds[from];
        let (first, label) = match kind {
            Kind::Landing | Kind::Root | Kind::Dispatch => (to, None),
            _ => {
                let hop = layout.hop(from, to);
                (hop.first, hop.label)
            }
        };
        let place = self.shape.places.of[first];
        let known = self.code.known();
        let meant = if layout.graph.kinds[to] == Kind::Arrival { layout.graph.next[to][0] } else { to };
        if let Kind::Code(block) | Kind::Aim(block) = layout.graph.kinds[meant]
            && (label.is_some() || place.fixed)
        {
            self.code.settle_stack(self.shape.blocks.blocks[block].start);
        }
        if let Some(label) = label {
            // It leads to where all registers are in the state.
            self.code.store_slots(self.shape.places.needed[first]);
            let at = self.code.values.locals.label();
            self.code.values.sink().i32_const(label as i32).local_set(at);
            self.code.clear(self.shape.taken_by_label(from, to));
        } else if place.fixed && kind != Kind::Landing {
            self.code.store_slots(self.shape.places.needed[first] & !place.dirty);
            self.code.load_slots(place.valid);
            self.look_ahead(from, first);
            self.come_to(first);
        }
        let depth = self.depth(first);
        self.code.values.sink().br(depth);
        self.code.restore(known);
    }

    fn block(&mut self, node: Node, block: &Block, index: usize) {
        if self.shape.places.of[node].checks {
            self.check(node, false);
        }
        let at_end = block.ops.len() - usize::from(!matches!(block.end, End::Goto(_)));
        let needed = &self.shape.places.needed_at[index];
        for (at, ((pc, op), &needed)) in block.ops[..at_end].iter().zip(needed).enumerate() {
            self.code.need(needed);
            self.code.begin(*pc, op);
            match self.shape.parts[index].get(&at) {
                Some(&part) => self.code.do_part(op, part),
                None => _ = execute(&mut self.code, op),
            }
            self.code.finish();
            // A call that leads to a block is none.
            self.code.target = None;
        }
        if let Some((pc, op)) = block.ops.get(at_end) {
            self.code.need(needed[at_end]);
            if self.keeps_stack(block.end) {
                self.code.settle_stack(*pc);
            }
            self.code.begin(*pc, op);
            if !matches!(block.end, End::Deferred { .. } | End::Never) {
                let _ = execute(&mut self.code, op);
            }
        }
        self.end(node, block, index);
    }

    /// Whether what a block leads to wants an address as the stack pointer, and it may not be one.
    fn keeps_stack(&self, end: End) -> bool {
        match end {
            // It is what it was at the start.
            End::Tail { .. } => self.shape.entered() == Entries::All,
            _ => leads_on(end),
        }
    }

    fn end(&mut self, node: Node, block: &Block, index: usize) {
        let graph = &self.shape.layout.graph;
        let last = block.ops.last().copied();
        match block.end {
            End::Goto(target) => self.go(node, graph.resolve(target)),
            End::Branch { taken, next } => {
                let condition = self.code.condition.take();
                if let Some(condition) = condition {
                    self.code.values.push_condition(condition);
                }
                self.open_if();
                self.go(node, graph.resolve(taken));
                self.close();
                self.go(node, graph.resolve(next));
            }
            End::Call { target, site } => {
                let known = target.filter(|target| self.functions.contains_key(target));
                let back = self.shape.blocks.offset(site);
                let site = graph.site[index].map(Next::Node).unwrap_or(graph.resolve(site));
                if let Some((pc, op)) = last {
                    self.call(node, known, (pc, op), (back, site));
                }
            }
            End::Tail { target } => {
                let known = target.filter(|target| self.functions.contains_key(target));
                if let Some((pc, op)) = last {
                    self.tail(known, (pc, op), self.shape.level[index]);
                }
            }
            End::Switch => self.go_to_switch(node),
            End::Return => {
                if let Some((_, op)) = last {
                    self.give_back(&op, self.shape.level[index]);
                }
            }
            End::Deferred { site } => {
                let site = graph.site[index].map(Next::Node).unwrap_or(graph.resolve(site));
                if let Some((pc, op)) = last {
                    self.step(node, (pc, op), site);
                }
            }
            End::Never => {
                let pc = self.code.pc;
                self.code.leave(pc, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Image;

    /// A loop without parameters; a comparison, which a branch takes.
    const LOOP: [u8; 2] = [0x03, 0x40];
    const DIFFERS: [u8; 2] = [0x52, 0x0d];
    const LEAVES: [u8; 2] = [0x52, 0x04];

    fn body(words: &[u32]) -> Vec<u8> {
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let region = Region { code: &code, start: 0x100, image: &Image::default() };
        let options = Options::default();
        let shape = Shape::new(&region, 0x100, &BTreeSet::from([0x100]), &options).unwrap();
        emit(&shape, &BTreeMap::new(), &options).unwrap().function.into_raw_body()
    }

    fn find(body: &[u8], pair: [u8; 2]) -> Vec<usize> {
        body.windows(2).enumerate().filter(|&(_, bytes)| bytes == pair).map(|(at, _)| at).collect()
    }

    #[test]
    fn a_pointer_is_looked_at_before_its_loop() {
        // lw a2, 0(a0); addi a0, a0, 4; addi a1, a1, -1; bgez a1, .-12; ret
        let body = body(&[0x0005_2603, 0x0045_0513, 0xfff5_8593, 0xfe05_dae3, 0x0000_8067]);
        let (before, inside, head) = (find(&body, LEAVES), find(&body, DIFFERS), find(&body, LOOP));
        assert_eq!((before.len(), inside.len(), head.len()), (1, 0, 1));
        assert!(before[0] < head[0]);
    }

    #[test]
    fn a_pointer_that_is_loaded_is_looked_at_each_time() {
        // ld a0, 0(a0); addi a1, a1, -1; bgez a1, .-8; ret
        let body = body(&[0x0005_3503, 0xfff5_8593, 0xfe05_dce3, 0x0000_8067]);
        let (before, inside, head) = (find(&body, LEAVES), find(&body, DIFFERS), find(&body, LOOP));
        assert_eq!((before.len(), inside.len(), head.len()), (0, 1, 1));
        assert!(inside[0] > head[0]);
    }
}
