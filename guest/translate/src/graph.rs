//! The graph that a function's code follows: its blocks, and the nodes at which it is entered.

use std::collections::BTreeMap;

use crate::flow::{Block, Blocks, End, Target};
use crate::{Entries, Options, Refusal};

/// Blocks of a large function.
pub const LARGE_BLOCKS: usize = 512;
/// Blocks of a huge one: CPython's evaluation loop is, Lua's is not.
const HUGE_BLOCKS: usize = 1024;

/// Index of a node.
pub type Node = usize;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes where the `entry` parameter says.
    Root,
    /// The function's start.
    Enter,
    /// Where a call returns to.
    Site,
    /// Where code goes on behind an instruction that the engine executed.
    Stepped,
    /// Enters the loop whose head is the block.
    Resume(usize),
    /// Goes to the switch with a target of it, the block.
    Aim(usize),
    /// A block.
    Code(usize),
    /// Where all computed jumps go, and on to their targets.
    Switch,
    /// Goes where a label says: to nodes inside a loop that is not entered by its head.
    Dispatch,
    /// Goes on to a `Dispatch` from `Root`.
    Landing,
    /// Where a label leads in the middle of a loop, and on to the node that is meant.
    Arrival,
}

/// How a code node goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Node(Node),
    /// Out of the function.
    Outside {
        from: u32,
        imm: i64,
    },
}

/// A function's graph.
#[derive(Debug, Clone)]
pub struct Graph {
    pub kinds: Vec<Kind>,
    /// Edges that code takes, without those of `Root`.
    pub next: Vec<Vec<Node>>,
    /// `entries[k]` is where entry `k` leads; the first is the start.
    pub entries: Vec<Node>,
    /// Guest offset of each entry.
    pub offsets: Vec<u32>,
    /// Node of each block.
    pub of_block: Vec<Node>,
    /// Site of each block that ends in a call or a deferred op.
    pub site: Vec<Option<Node>>,
    /// The one switch, when there are computed jumps.
    pub switch: Option<Node>,
    /// Where the function can be entered.
    pub entered: Entries,
    /// Edges of blocks that lead to another node first.
    pub detours: BTreeMap<(Node, Node), Node>,
}

/// The root of every graph.
pub const ROOT: Node = 0;
/// The start of every graph.
pub const ENTER: Node = 1;

impl Graph {
    /// The graph of a function's blocks. `Resume` nodes come with [`Graph::add_resume`].
    ///
    /// # Errors
    /// When it has too many sites.
    pub fn new(blocks: &Blocks, options: &Options) -> Result<Graph, Refusal> {
        let count = blocks.blocks.len();
        let mut graph = Graph {
            kinds: vec![Kind::Root, Kind::Enter],
            next: vec![Vec::new(), Vec::new()],
            entries: vec![ENTER],
            offsets: vec![blocks.blocks[0].start],
            of_block: Vec::new(),
            site: vec![None; count],
            switch: None,
            entered: options.entries,
            detours: BTreeMap::new(),
        };
        for block in 0..count {
            let node = graph.add(Kind::Code(block));
            graph.of_block.push(node);
        }
        graph.add_switch(blocks);
        graph.next[ENTER].push(graph.of_block[0]);
        for (at, block) in blocks.blocks.iter().enumerate() {
            graph.connect(at, block, &blocks.blocks);
        }
        match graph.entries.len() - 1 > options.max_resume {
            true => Err(Refusal::Resume),
            false => Ok(graph),
        }
    }

    /// Whether the function has far more values than the processor has registers, so that most are on the stack.
    pub fn is_large(&self) -> bool {
        self.of_block.len() >= LARGE_BLOCKS
    }

    /// Whether there is no place to keep even the bases of memories.
    pub fn is_huge(&self) -> bool {
        self.of_block.len() >= HUGE_BLOCKS
    }

    /// Adds a node without edges.
    pub fn add(&mut self, kind: Kind) -> Node {
        self.kinds.push(kind);
        self.next.push(Vec::new());
        self.kinds.len() - 1
    }

    /// Leads an edge to another node first.
    pub fn detour(&mut self, from: Node, to: Node, by: Node) {
        self.next[from].iter_mut().filter(|next| **next == to).for_each(|next| *next = by);
        self.detours.insert((from, to), by);
    }

    /// Adds the entry at the head of a loop.
    pub fn add_resume(&mut self, block: usize, offset: u32) {
        let node = self.add(Kind::Resume(block));
        self.next[node].push(self.of_block[block]);
        self.entries.push(node);
        self.offsets.push(offset);
    }

    fn add_switch(&mut self, blocks: &Blocks) {
        if !blocks.blocks.iter().any(|block| block.end == End::Switch) {
            return;
        }
        let node = self.add(Kind::Switch);
        self.switch = Some(node);
        for &block in &blocks.targets {
            self.next[node].push(self.of_block[block]);
            if self.entered == Entries::Start {
                continue;
            }
            let aim = self.add(Kind::Aim(block));
            self.next[aim].push(node);
            self.entries.push(aim);
            self.offsets.push(blocks.blocks[block].start);
        }
    }

    /// Where `target` leads.
    pub fn resolve(&self, target: Target) -> Next {
        match target {
            Target::Block(block) => Next::Node(self.of_block[block]),
            Target::Outside { from, imm } => Next::Outside { from, imm },
        }
    }

    fn connect(&mut self, at: usize, block: &Block, blocks: &[Block]) {
        let node = self.of_block[at];
        match block.end {
            End::Goto(target) => self.edge(node, target),
            End::Branch { taken, next } => {
                self.edge(node, next);
                self.edge(node, taken);
            }
            End::Call { site, .. } => self.add_site(Kind::Site, at, site, blocks),
            End::Deferred { site } => self.add_site(Kind::Stepped, at, site, blocks),
            End::Switch => self.next[node].extend(self.switch),
            End::Tail { .. } | End::Return | End::Never => {}
        }
    }

    fn edge(&mut self, from: Node, target: Target) {
        if let Target::Block(block) = target
            && !self.next[from].contains(&self.of_block[block])
        {
            self.next[from].push(self.of_block[block]);
        }
    }

    fn add_site(&mut self, kind: Kind, at: usize, target: Target, blocks: &[Block]) {
        let Target::Block(block) = target else { return };
        let site = self.add(kind);
        self.next[site].push(self.of_block[block]);
        if self.entered == Entries::All {
            self.entries.push(site);
            self.offsets.push(blocks[block].start);
        }
        self.site[at] = Some(site);
        self.next[self.of_block[at]].push(site);
    }
}
