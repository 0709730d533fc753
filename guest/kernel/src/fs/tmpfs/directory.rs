//! `Directory`: the names of a directory, in the order they were added, so that cookies stay good.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::vfs::{DirEntry, Inode};

use super::node::Node;

/// Entries that one `read_dir` gives at most.
const BATCH: usize = 256;

/// Names to nodes. An entry's cookie is its number, which only grows.
#[derive(Default)]
pub struct Directory {
    by_name: HashMap<Rc<[u8]>, u64>,
    entries: BTreeMap<u64, (Rc<[u8]>, Rc<Node>)>,
    last: u64,
}

impl Directory {
    pub fn get(&self, name: &[u8]) -> Option<&Rc<Node>> {
        self.entries.get(self.by_name.get(name)?).map(|(_, node)| node)
    }

    /// Adds a name, or gives it another node in the same place.
    pub fn insert(&mut self, name: &[u8], node: Rc<Node>) {
        if let Some(entry) = self.by_name.get(name).and_then(|cookie| self.entries.get_mut(cookie)) {
            entry.1 = node;
            return;
        }
        self.last += 1;
        let name: Rc<[u8]> = Rc::from(name);
        self.by_name.insert(name.clone(), self.last);
        self.entries.insert(self.last, (name, node));
    }

    pub fn remove(&mut self, name: &[u8]) -> Option<Rc<Node>> {
        let cookie = self.by_name.remove(name)?;
        self.entries.remove(&cookie).map(|(_, node)| node)
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The next entries behind a cookie.
    pub fn after(&self, cookie: u64) -> Vec<DirEntry> {
        let Some(start) = cookie.checked_add(1) else { return Vec::new() };
        let entry = |(cookie, (name, node)): (&u64, &(Rc<[u8]>, Rc<Node>))| DirEntry {
            ino: node.ino,
            kind: node.kind(),
            name: name.to_vec(),
            next: *cookie,
        };
        self.entries.range(start..).take(BATCH).map(entry).collect()
    }
}
