//! `Listing`: a directory's names in an order that stays while names come and go.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use shallop_layer::upper::File;

/// Entries that one read gives at most.
const BATCH: usize = 256;

/// Names by cookie. A name keeps its cookie as long as it is there; new names get larger ones.
#[derive(Default)]
pub(super) struct Listing {
    by_name: HashMap<Rc<[u8]>, u64>,
    entries: BTreeMap<u64, (Rc<[u8]>, File)>,
    last: u64,
}

impl Listing {
    /// Takes over what the directory holds now.
    pub(super) fn refresh(&mut self, children: BTreeMap<Vec<u8>, File>) {
        self.by_name.retain(|name, _| children.contains_key(&**name));
        let by_name = &self.by_name;
        self.entries.retain(|_, (name, _)| by_name.contains_key(name));
        for (name, file) in children {
            match self.by_name.get(name.as_slice()) {
                Some(cookie) => {
                    if let Some(entry) = self.entries.get_mut(cookie) {
                        entry.1 = file;
                    }
                }
                None => {
                    self.last += 1;
                    let name: Rc<[u8]> = Rc::from(name);
                    self.by_name.insert(name.clone(), self.last);
                    self.entries.insert(self.last, (name, file));
                }
            }
        }
    }

    /// The next entries behind a cookie: cookie, name, file.
    pub(super) fn after(&self, cookie: u64) -> Vec<(u64, Rc<[u8]>, File)> {
        let Some(start) = cookie.checked_add(1) else { return Vec::new() };
        self.entries
            .range(start..)
            .take(BATCH)
            .map(|(cookie, (name, file))| (*cookie, name.clone(), file.clone()))
            .collect()
    }
}
