//! Code that is mapped from the sandbox's own files, such as a program that was just installed: what was translated of it
//! goes when the file changes there.

use std::fs::File;
use std::sync::Arc;

/// Parts of each kind that are known of at most.
const MAX_PARTS: usize = 4096;

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The file's address in this process.
    pub file: usize,
    pub start: u64,
    pub end: u64,
}

impl Part {
    /// `len` bytes from `start`, or all from there on.
    pub fn new(file: &Arc<File>, start: u64, len: u64) -> Part {
        Part { file: Arc::as_ptr(file).addr(), start, end: start.saturating_add(len) }
    }

    pub fn overlaps(&self, other: &Part) -> bool {
        self.file == other.file && self.start < other.end && other.start < self.end
    }
}

/// Which parts of the sandbox's own files are code.
#[derive(Debug, Default)]
pub struct OwnCode {
    code: Vec<Part>,
    /// What is, or was, mapped so that programs change it without a call.
    shared: Vec<Part>,
    /// There are more of those than are known.
    full: bool,
}

impl OwnCode {
    /// Notes that a part is mapped as code. False when it may change unseen, so that nothing may be translated of it.
    pub fn add(&mut self, part: Part) -> bool {
        if self.full || self.shared.iter().any(|shared| shared.overlaps(&part)) {
            return false;
        }
        let known = self.code.contains(&part);
        if !known && self.code.len() < MAX_PARTS {
            self.code.push(part);
            return true;
        }
        known
    }

    /// Notes that a part may change unseen from now on.
    pub fn share(&mut self, part: Part) {
        self.full |= self.shared.len() >= MAX_PARTS;
        if !self.full && !self.shared.contains(&part) {
            self.shared.push(part);
        }
    }

    /// The code that a part, which is to change, has some of. It is not known as such any more, none of it.
    pub fn take(&mut self, part: &Part) -> Vec<Part> {
        self.code.extract_if(.., |code| code.overlaps(part)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(start: u64, end: u64) -> Part {
        Part { file: 1, start, end }
    }

    #[test]
    fn code_is_taken_by_what_overlaps() {
        let mut own = OwnCode::default();
        assert!(own.add(part(10, 20)) && own.add(part(10, 20)) && own.add(part(30, 40)));
        assert_eq!([own.take(&part(20, 30)), own.take(&Part { file: 2, ..part(0, 99) })], [[], []]);
        assert_eq!(own.take(&part(19, 20)), [part(10, 20)]);
        assert_eq!([own.take(&part(0, 30)), own.take(&part(0, u64::MAX))], [vec![], vec![part(30, 40)]]);
    }

    #[test]
    fn what_is_shared_is_no_code() {
        let mut own = OwnCode::default();
        own.share(part(10, 20));
        assert!(!own.add(part(0, 11)) && own.add(part(20, 30)));
        (0..=MAX_PARTS as u64).for_each(|at| own.share(part(at * 100 + 1000, at * 100 + 1001)));
        assert!(!own.add(part(40, 50)));
    }

    #[test]
    fn parts_are_bounded() {
        let mut own = OwnCode::default();
        let added = (0..=MAX_PARTS as u64).filter(|at| own.add(part(at * 2, at * 2 + 1)));
        assert_eq!(added.count(), MAX_PARTS);
    }
}
