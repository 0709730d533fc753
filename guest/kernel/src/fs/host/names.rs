//! `Names`: numbers for the entries of a host directory, which the host lists in any order and anew each time.

use std::collections::{BTreeMap, HashMap};

/// The names as last listed, by cookie. A name keeps its cookie as long as it is there.
#[derive(Default)]
pub struct Names {
    by_cookie: BTreeMap<u64, (u8, Vec<u8>)>,
    by_name: HashMap<Vec<u8>, u64>,
    last: u64,
}

impl Names {
    /// Takes over a new listing of (d_type, name).
    pub fn update(&mut self, listing: Vec<(u8, Vec<u8>)>) {
        let mut fresh = Names { last: self.last, ..Names::default() };
        let (known, new): (Vec<_>, Vec<_>) = listing.into_iter().partition(|(_, name)| self.by_name.contains_key(name));
        for (kind, name) in known {
            if let Some(cookie) = self.by_name.get(&name) {
                fresh.put(*cookie, kind, name);
            }
        }
        for (kind, name) in new {
            fresh.last += 1;
            fresh.put(fresh.last, kind, name);
        }
        *self = fresh;
    }

    fn put(&mut self, cookie: u64, kind: u8, name: Vec<u8>) {
        self.by_name.insert(name.clone(), cookie);
        self.by_cookie.insert(cookie, (kind, name));
    }

    /// (cookie, d_type, name) behind a cookie, at most `count`.
    pub fn after(&self, cookie: u64, count: usize) -> Vec<(u64, u8, Vec<u8>)> {
        let Some(start) = cookie.checked_add(1) else { return Vec::new() };
        let entries = self.by_cookie.range(start..).take(count);
        entries.map(|(cookie, (kind, name))| (*cookie, *kind, name.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[&str]) -> Vec<(u8, Vec<u8>)> {
        names.iter().map(|name| (8, name.as_bytes().to_vec())).collect()
    }

    #[test]
    fn names_keep_their_cookies() {
        let mut names = Names::default();
        names.update(listing(&["b", "a", "c"]));
        assert_eq!(names.after(1, 9), [(2, 8, b"a".to_vec()), (3, 8, b"c".to_vec())]);
        names.update(listing(&["c", "new", "b"]));
        assert_eq!(names.after(1, 9), [(3, 8, b"c".to_vec()), (4, 8, b"new".to_vec())]);
        assert_eq!(names.after(0, 1), [(1, 8, b"b".to_vec())]);
    }
}
