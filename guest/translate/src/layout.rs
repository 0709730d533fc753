//! How a function's code is entered and how it gets from node to node: the forest with its dispatches.
//!
//! Wasm loops are entered at their head alone. Where the guest's code, or an entry of the function, leads into the
//! middle of a loop, the edge sets a label and goes to a `Dispatch` before the loop's head, which goes on from there: to
//! an `Arrival`, where registers are brought to where the loop has them.

use std::collections::BTreeMap;

use crate::forest::{Forest, Item, LoopId};
use crate::graph::{ENTER, Graph, Kind, Node, ROOT};

/// A value of the `entry` parameter, which serves as the label.
pub type Label = u32;

/// How an edge gets to its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop {
    /// The node to go to first.
    pub first: Node,
    /// The label to set.
    pub label: Option<Label>,
}

/// A function's graph in its final form.
#[derive(Debug, Clone)]
pub struct Layout {
    pub graph: Graph,
    pub forest: Forest,
    /// Where `Root` and each `Dispatch` goes by the label; otherwise to `fallback`.
    pub tables: BTreeMap<Node, Vec<(Label, Node)>>,
    /// The dispatch of each loop that has one.
    dispatch: Vec<Option<Node>>,
    /// The labels of nodes that are reached by one; they clear it.
    pub labels: BTreeMap<Node, Label>,
    /// Edges as they are taken, hop by hop.
    pub hops: Vec<Vec<Node>>,
    /// Nodes in the order of their code.
    pub order: Vec<Node>,
}

impl Layout {
    /// Completes `graph`, whose loops are `forest`.
    pub fn new(graph: Graph, forest: Forest) -> Layout {
        let loops = forest.loops.len();
        let mut layout = Layout {
            graph,
            forest,
            tables: BTreeMap::new(),
            dispatch: vec![None; loops],
            labels: BTreeMap::new(),
            hops: Vec::new(),
            order: Vec::new(),
        };
        layout.label_entries();
        layout.label_crossings();
        layout.root();
        let order = layout.items_in_order(None);
        layout.order = order;
        layout.connect();
        layout
    }

    /// The way from `from` to `to`.
    pub fn hop(&self, from: Node, to: Node) -> Hop {
        let crossed = self.crossed(from, to);
        match crossed.first() {
            Some(&outer) => Hop { first: self.start_of(outer), label: self.labels.get(&to).copied() },
            None => Hop { first: self.at_head(from, to), label: None },
        }
    }

    /// `to`, or the dispatch before it when it is the head of a loop that has one.
    fn at_head(&self, from: Node, to: Node) -> Node {
        let Some(id) = self.forest.inside[to] else { return to };
        let by_dispatch = self.dispatch[id] != Some(from) && self.is_head(id, to);
        if by_dispatch { self.start_of(id) } else { to }
    }

    /// Whether `node` is the head of the loop, which may have a dispatch before.
    fn is_head(&self, id: LoopId, node: Node) -> bool {
        let items = &self.forest.loops[id].items;
        items[usize::from(self.dispatch[id].is_some())] == Item::Node(node)
    }

    /// The first node of a loop's code.
    fn start_of(&self, id: LoopId) -> Node {
        self.forest.head(id)
    }

    /// The loops whose middle an edge enters, the outermost first.
    fn crossed(&self, from: Node, to: Node) -> Vec<LoopId> {
        let outer = self.forest.around(from);
        let mut entered = self.forest.around(to);
        entered.retain(|id| !outer.contains(id));
        if entered.last().is_some_and(|&id| self.is_head(id, to)) {
            entered.pop();
        }
        entered
    }

    /// The dispatches by which an edge gets to its node.
    pub fn dispatches(&self, from: Node, to: Node) -> impl Iterator<Item = Node> {
        self.crossed(from, to).into_iter().filter_map(|id| self.dispatch[id])
    }

    fn label_entries(&mut self) {
        for (entry, node) in self.graph.entries.clone().into_iter().enumerate().skip(1) {
            self.labels.insert(node, entry as Label);
            for id in self.crossed(ROOT, node) {
                self.add_dispatch(id);
            }
        }
    }

    fn label_crossings(&mut self) {
        let mut arrivals = BTreeMap::new();
        for from in 0..self.graph.next.len() {
            for to in self.graph.next[from].clone() {
                let crossed = self.crossed(from, to);
                let Some(&inner) = crossed.last() else { continue };
                let arrival = *arrivals.entry(to).or_insert_with(|| self.add_arrival(inner, to));
                self.graph.detour(from, to, arrival);
                for id in crossed {
                    self.add_dispatch(id);
                }
            }
        }
    }

    /// Adds where a label leads before a node of a loop.
    fn add_arrival(&mut self, id: LoopId, to: Node) -> Node {
        let node = self.graph.add(Kind::Arrival);
        self.graph.next[node].push(to);
        self.forest.inside.push(Some(id));
        let around = self.forest.around(to);
        let holds = |item: &Item| match *item {
            Item::Node(node) => node == to,
            Item::Loop(inner) => around.contains(&inner),
        };
        let items = &mut self.forest.loops[id].items;
        let before = items.iter().position(holds).unwrap_or(0);
        items.insert(before, Item::Node(node));
        let label = (self.graph.entries.len() + self.labels.len()) as Label;
        self.labels.insert(node, label);
        node
    }

    fn add_dispatch(&mut self, id: LoopId) {
        if self.dispatch[id].is_none() {
            let node = self.graph.add(Kind::Dispatch);
            self.forest.inside.push(Some(id));
            self.forest.loops[id].items.insert(0, Item::Node(node));
            self.dispatch[id] = Some(node);
        }
    }

    /// Puts `Root` first, and a landing before each loop that entries lead into.
    fn root(&mut self) {
        let mut landings = BTreeMap::new();
        let mut table = Vec::new();
        for (entry, node) in self.graph.entries.clone().into_iter().enumerate().skip(1) {
            let node = match self.crossed(ROOT, node).first() {
                Some(&outer) => *landings.entry(outer).or_insert_with(|| self.add_landing(outer)),
                None => node,
            };
            table.push((entry as Label, node));
        }
        self.tables.insert(ROOT, table);
        self.forest.top.insert(0, Item::Node(ROOT));
    }

    fn add_landing(&mut self, outer: LoopId) -> Node {
        let node = self.graph.add(Kind::Landing);
        self.forest.inside.push(None);
        let before = self.forest.top.iter().position(|&item| item == Item::Loop(outer)).unwrap_or(0);
        self.forest.top.insert(before, Item::Node(node));
        let start = self.start_of(outer);
        self.graph.next[node].push(start);
        node
    }

    fn items_in_order(&self, level: Option<LoopId>) -> Vec<Node> {
        let mut order = Vec::new();
        for &item in self.forest.items(level) {
            match item {
                Item::Node(node) => order.push(node),
                Item::Loop(id) => order.extend(self.items_in_order(Some(id))),
            }
        }
        order
    }

    /// Fills `hops` and the tables of dispatches.
    fn connect(&mut self) {
        for id in 0..self.dispatch.len() {
            if let Some(node) = self.dispatch[id] {
                let table = self.table(id);
                self.tables.insert(node, table);
            }
        }
        self.hops = (0..self.graph.kinds.len()).map(|node| self.hops_of(node)).collect();
    }

    /// Where the dispatch of a loop goes by each label.
    fn table(&self, id: LoopId) -> Vec<(Label, Node)> {
        let mut table = Vec::new();
        for (&node, &label) in &self.labels {
            let around = self.forest.around(node);
            let Some(depth) = around.iter().position(|&other| other == id) else { continue };
            let next = around.get(depth + 1).map_or(node, |&inner| self.start_of(inner));
            // The head too: ways by a label have not brought registers to where the dispatch wants them.
            table.push((label, next));
        }
        table.sort_unstable();
        table
    }

    /// Where a `Root` or a `Dispatch` goes without a label.
    pub fn fallback(&self, node: Node) -> Node {
        match self.forest.inside[node].map(|id| self.forest.loops[id].items[1]) {
            Some(item) => self.forest.first(item),
            None => ENTER,
        }
    }

    fn hops_of(&self, node: Node) -> Vec<Node> {
        let mut hops: Vec<Node> = match self.graph.kinds[node] {
            Kind::Root | Kind::Dispatch => {
                let table = self.tables.get(&node).into_iter().flatten().map(|&(_, next)| next);
                std::iter::once(self.fallback(node)).chain(table).collect()
            }
            Kind::Landing => self.graph.next[node].clone(),
            _ => self.graph.next[node].iter().map(|&next| self.hop(node, next).first).collect(),
        };
        hops.sort_unstable();
        hops.dedup();
        hops
    }
}
