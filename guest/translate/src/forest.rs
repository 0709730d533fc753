//! The loops of a graph, how they nest, and an order of nodes in which each loop is in one piece and all edges but
//! those to a loop's head lead forward.

use crate::Refusal;
use crate::graph::{ENTER, Graph, Node};

/// Index of a loop.
pub type LoopId = usize;

/// Loops within loops at most.
const DEPTH: usize = 48;

/// Part of a level: a node, or a loop in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    Node(Node),
    Loop(LoopId),
}

/// A loop; its first item is its head.
#[derive(Debug, Clone)]
pub struct Loop {
    /// The loop around it.
    pub parent: Option<LoopId>,
    pub items: Vec<Item>,
}

/// All loops of a graph.
#[derive(Debug, Clone)]
pub struct Forest {
    /// Items outside of all loops.
    pub top: Vec<Item>,
    pub loops: Vec<Loop>,
    /// The innermost loop of each node.
    pub inside: Vec<Option<LoopId>>,
}

impl Forest {
    /// The loops of what can be reached from the start.
    ///
    /// # Errors
    /// When they nest too deep.
    pub fn new(graph: &Graph) -> Result<Forest, Refusal> {
        let count = graph.kinds.len();
        let order = reverse_postorder(graph);
        let mut rank = vec![usize::MAX; count];
        for (at, &node) in order.iter().enumerate() {
            rank[node] = at;
        }
        let mut forest = Forest { top: Vec::new(), loops: Vec::new(), inside: vec![None; count] };
        let mut builder = Builder { graph, rank, scope: vec![usize::MAX; count], scopes: 0, forest: &mut forest };
        let top = builder.level(&order, None, 0)?;
        forest.top = top;
        Ok(forest)
    }

    /// The head of a loop.
    pub fn head(&self, id: LoopId) -> Node {
        self.first(Item::Loop(id))
    }

    /// The first node of an item.
    pub fn first(&self, item: Item) -> Node {
        let mut item = item;
        loop {
            match item {
                Item::Node(node) => return node,
                Item::Loop(id) => item = self.loops[id].items[0],
            }
        }
    }

    /// The loops around a node, the outermost first.
    pub fn around(&self, node: Node) -> Vec<LoopId> {
        let mut found = Vec::new();
        let mut at = self.inside[node];
        while let Some(id) = at {
            found.push(id);
            at = self.loops[id].parent;
        }
        found.reverse();
        found
    }

    /// All nodes of an item.
    pub fn nodes(&self, item: Item) -> Vec<Node> {
        match item {
            Item::Node(node) => vec![node],
            Item::Loop(id) => self.loops[id].items.iter().flat_map(|&item| self.nodes(item)).collect(),
        }
    }

    /// The items of a level.
    pub fn items(&self, level: Option<LoopId>) -> &[Item] {
        level.map_or(&self.top, |id| &self.loops[id].items)
    }
}

/// The nodes that can be reached from the starts: `Enter` and the entries of loops.
fn reverse_postorder(graph: &Graph) -> Vec<Node> {
    let mut seen = vec![false; graph.kinds.len()];
    let mut order = Vec::new();
    // Entries come last in this list, so they are first in the order.
    for start in std::iter::once(ENTER).chain(graph.entries.iter().copied()) {
        let mut stack = vec![(start, 0)];
        if std::mem::replace(&mut seen[start], true) {
            continue;
        }
        while let Some((node, at)) = stack.pop() {
            match graph.next[node].get(at).copied() {
                Some(next) => {
                    stack.push((node, at + 1));
                    if !std::mem::replace(&mut seen[next], true) {
                        stack.push((next, 0));
                    }
                }
                None => order.push(node),
            }
        }
    }
    order.reverse();
    order
}

struct Builder<'a> {
    graph: &'a Graph,
    rank: Vec<usize>,
    /// The level that a node was last seen in.
    scope: Vec<usize>,
    scopes: usize,
    forest: &'a mut Forest,
}

impl Builder<'_> {
    /// The items of `nodes`, which are inside `parent`.
    fn level(&mut self, nodes: &[Node], parent: Option<LoopId>, depth: usize) -> Result<Vec<Item>, Refusal> {
        if depth > DEPTH {
            return Err(Refusal::Shape);
        }
        self.scopes += 1;
        for &node in nodes {
            self.scope[node] = self.scopes;
        }
        let components = components(nodes, self.graph, &self.scope, self.scopes);
        let mut items = Vec::new();
        for component in components {
            items.push(self.item(component, parent, depth)?);
        }
        Ok(items)
    }

    fn item(&mut self, mut component: Vec<Node>, parent: Option<LoopId>, depth: usize) -> Result<Item, Refusal> {
        let lone = component.len() == 1 && !self.graph.next[component[0]].contains(&component[0]);
        if lone {
            self.forest.inside[component[0]] = parent;
            return Ok(Item::Node(component[0]));
        }
        component.sort_by_key(|&node| self.rank[node]);
        // The first in the order is one that is entered from outside; a switch gets edges from everywhere.
        let switch = component.iter().position(|&node| Some(node) == self.graph.switch);
        let head = component.remove(switch.unwrap_or(0));
        let id = self.forest.loops.len();
        self.forest.loops.push(Loop { parent, items: vec![Item::Node(head)] });
        self.forest.inside[head] = Some(id);
        let items = self.level(&component, Some(id), depth + 1)?;
        self.forest.loops[id].items.extend(items);
        Ok(Item::Loop(id))
    }
}

/// The strongly connected components of `nodes` (those in `scope`), each before what it leads to (Tarjan).
fn components(nodes: &[Node], graph: &Graph, scope: &[usize], level: usize) -> Vec<Vec<Node>> {
    let count = graph.kinds.len();
    let (mut index, mut low) = (vec![usize::MAX; count], vec![0; count]);
    let mut waiting = vec![false; count];
    let (mut stack, mut found, mut counter) = (Vec::new(), Vec::new(), 0);
    // The last nodes first, so that what is found last keeps the order of `nodes`.
    for &start in nodes.iter().rev() {
        let mut work = vec![(start, 0)];
        if index[start] != usize::MAX {
            continue;
        }
        while let Some((node, at)) = work.pop() {
            if at == 0 {
                (index[node], low[node]) = (counter, counter);
                counter += 1;
                stack.push(node);
                waiting[node] = true;
            }
            match graph.next[node].get(at).copied() {
                Some(next) if scope[next] != level => work.push((node, at + 1)),
                Some(next) if index[next] == usize::MAX => work.extend([(node, at + 1), (next, 0)]),
                Some(next) => {
                    if waiting[next] {
                        low[node] = low[node].min(index[next]);
                    }
                    work.push((node, at + 1));
                }
                None => {
                    if let Some(&(parent, _)) = work.last() {
                        low[parent] = low[parent].min(low[node]);
                    }
                    if low[node] == index[node] {
                        let at = stack.iter().rposition(|&other| other == node).unwrap_or(0);
                        let component = stack.split_off(at);
                        component.iter().for_each(|&member| waiting[member] = false);
                        found.push(component);
                    }
                }
            }
        }
    }
    found.reverse();
    found
}
