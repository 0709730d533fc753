//! Ways into the middle of a loop that a switch begins, as in an interpreter: they go by the switch, which can lead
//! anywhere, so that its turns need not look for the label of such a way.

use std::collections::BTreeMap;

use crate::flow::Blocks;
use crate::forest::Forest;
use crate::graph::{Graph, Kind, Node};

/// Leads those ways to the switch, which gets their ends as targets. Whether there are any.
pub fn by_switch(graph: &mut Graph, blocks: &mut Blocks, forest: &Forest) -> bool {
    let Some(switch) = graph.switch else { return false };
    let mut aims = BTreeMap::new();
    for from in 0..graph.next.len() {
        for to in graph.next[from].clone() {
            let Kind::Code(block) = graph.kinds[to] else { continue };
            if !enters_middle(forest, switch, from, to) {
                continue;
            }
            let aim = *aims.entry(block).or_insert_with(|| graph.add(Kind::Aim(block)));
            graph.detour(from, to, aim);
        }
    }
    for (&block, &aim) in &aims {
        graph.next[aim].push(switch);
        let target = graph.of_block[block];
        if !graph.next[switch].contains(&target) {
            graph.next[switch].push(target);
            blocks.targets.push(block);
        }
    }
    let starts: Vec<u32> = blocks.blocks.iter().map(|block| block.start).collect();
    blocks.targets.sort_unstable_by_key(|&block| starts[block]);
    !aims.is_empty()
}

/// Whether an edge leads into the loop that the switch begins, but not to the switch.
fn enters_middle(forest: &Forest, switch: Node, from: Node, to: Node) -> bool {
    let outer = forest.around(from);
    let first = forest.around(to).into_iter().find(|id| !outer.contains(id));
    to != switch && first.is_some_and(|id| forest.head(id) == switch)
}
