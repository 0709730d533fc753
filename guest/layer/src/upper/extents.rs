//! Where a file's pages are in the data file ([`Extents`]), and which pages of it are free ([`Allocator`]).
//!
//! All numbers are pages of 4096 bytes. Pages handed out read as zeroes: freed ones are punched before they are reused.

use std::collections::BTreeMap;

/// Pages past which nothing is addressed (2⁵¹ pages are 2⁶³ bytes).
pub(crate) const PAGES_MAX: u64 = 1 << 51;

/// A run of pages in the data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    pub start: u64,
    pub len: u64,
}

/// A file's pages: file page → run in the data file. What is in no run is a hole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extents {
    map: BTreeMap<u64, Run>,
}

impl Extents {
    /// What is at page `at`: the data page and how many follow it contiguously, or `None` and the length of the hole
    /// (to the next run or to `PAGES_MAX`).
    pub fn find(&self, at: u64) -> (Option<u64>, u64) {
        if let Some((first, run)) = self.map.range(..=at).next_back() {
            let inside = at - first;
            if inside < run.len {
                return (Some(run.start + inside), run.len - inside);
            }
        }
        let next = self.map.range(at..).next().map_or(PAGES_MAX.max(at), |(first, _)| *first);
        (None, next - at)
    }

    /// First page after the last run.
    pub fn end(&self) -> u64 {
        self.map.last_key_value().map_or(0, |(first, run)| first + run.len)
    }

    /// The data page after the last run; where the next one would best be.
    pub fn hint(&self) -> Option<u64> {
        self.map.last_key_value().map(|(_, run)| run.start + run.len)
    }

    /// Pages in runs.
    pub fn pages(&self) -> u64 {
        self.map.values().map(|run| run.len).sum()
    }

    /// (file page, run), in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Run)> + '_ {
        self.map.iter().map(|(at, run)| (*at, *run))
    }

    /// Maps `run` at page `at`, where a hole is; joins it to a neighbour it continues.
    pub(crate) fn insert(&mut self, at: u64, run: Run) {
        if let Some((first, last)) = self.map.range_mut(..at).next_back()
            && first + last.len == at
            && last.start + last.len == run.start
        {
            last.len += run.len;
            return;
        }
        self.map.insert(at, run);
    }

    /// Makes a hole of `len` pages from `at`; the runs that were there.
    pub(crate) fn remove(&mut self, at: u64, len: u64) -> Vec<Run> {
        let end = at.saturating_add(len);
        let from = self.map.range(..=at).next_back().map_or(at, |(first, _)| *first);
        let touched: Vec<(u64, Run)> = self.map.range(from..end.max(from)).map(|(a, r)| (*a, *r)).collect();
        let mut removed = Vec::new();
        for (first, run) in touched {
            let (low, high) = (first.max(at), (first + run.len).min(end));
            if low >= high {
                continue;
            }
            self.map.remove(&first);
            if first < low {
                self.map.insert(first, Run { start: run.start, len: low - first });
            }
            if high < first + run.len {
                self.map.insert(high, Run { start: run.start + (high - first), len: first + run.len - high });
            }
            removed.push(Run { start: run.start + (low - first), len: high - low });
        }
        removed
    }
}

/// The same pages in order, with neighbours made one.
pub(crate) fn joined(mut runs: Vec<Run>) -> Vec<Run> {
    runs.sort_unstable();
    runs.dedup_by(|next, run| {
        let follows = run.start + run.len == next.start;
        if follows {
            run.len += next.len;
        }
        follows
    });
    runs
}

/// The free pages of the data file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allocator {
    /// First free page → number; below `end`, never adjacent.
    free: BTreeMap<u64, u64>,
    /// From here on everything is free and the file need not exist.
    end: u64,
}

impl Allocator {
    /// The allocator for a data file in which `used` is taken; `None` when runs overlap or are out of bounds.
    pub(crate) fn of_used(mut used: Vec<Run>) -> Option<Allocator> {
        used.sort_unstable();
        let mut allocator = Allocator::default();
        for run in used {
            let end = run.start.checked_add(run.len).filter(|end| *end <= PAGES_MAX)?;
            if run.start < allocator.end {
                return None;
            }
            if run.start > allocator.end {
                allocator.free.insert(allocator.end, run.start - allocator.end);
            }
            allocator.end = end;
        }
        Some(allocator)
    }

    /// The allocator for which nothing below `end` is free.
    pub(crate) fn starting_at(end: u64) -> Allocator {
        Allocator { free: BTreeMap::new(), end }
    }

    /// First page past everything in use.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Runs of free pages below `end`.
    pub fn free_runs(&self) -> impl Iterator<Item = Run> + '_ {
        self.free.iter().map(|(start, len)| Run { start: *start, len: *len })
    }

    /// Takes between `least` and `wanted` pages in one run, at `hint` if that is free; `None` when the file would
    /// become too large.
    pub(crate) fn take(&mut self, least: u64, wanted: u64, hint: Option<u64>) -> Option<Run> {
        let hinted = hint.and_then(|h| self.free.get(&h).copied().filter(|len| *len >= least).map(|len| (h, len)));
        let grows = hint == Some(self.end);
        let found = match grows {
            true => None,
            false => hinted.or_else(|| self.free.iter().find(|(_, len)| **len >= least).map(|(s, l)| (*s, *l))),
        };
        if let Some((start, len)) = found {
            let taken = len.min(wanted.max(least));
            self.free.remove(&start);
            if taken < len {
                self.free.insert(start + taken, len - taken);
            }
            return Some(Run { start, len: taken });
        }
        let len = wanted.max(least);
        let end = self.end.checked_add(len).filter(|end| *end <= PAGES_MAX)?;
        let start = std::mem::replace(&mut self.end, end);
        Some(Run { start, len })
    }

    /// Gives a run back. It must read as zeroes by now.
    pub(crate) fn give(&mut self, run: Run) {
        if run.len == 0 {
            return;
        }
        let (mut start, mut len) = (run.start, run.len);
        if let Some((before, n)) = self.free.range(..start).next_back().map(|(s, n)| (*s, *n))
            && before + n == start
        {
            self.free.remove(&before);
            (start, len) = (before, n + len);
        }
        if let Some(n) = self.free.remove(&(start + len)) {
            len += n;
        }
        if start + len == self.end {
            self.end = start;
        } else {
            self.free.insert(start, len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(start: u64, len: u64) -> Run {
        Run { start, len }
    }

    #[test]
    fn extents_join_split_and_find() {
        let mut e = Extents::default();
        e.insert(0, run(10, 2));
        e.insert(2, run(12, 3));
        e.insert(8, run(40, 2));
        assert_eq!(e.iter().collect::<Vec<_>>(), [(0, run(10, 5)), (8, run(40, 2))]);
        assert_eq!(e.find(3), (Some(13), 2));
        assert_eq!(e.find(5), (None, 3));
        assert_eq!(e.find(9), (Some(41), 1));
        assert_eq!(e.find(10).0, None);
        assert_eq!(e.remove(1, 8), [run(11, 4), run(40, 1)]);
        assert_eq!(e.iter().collect::<Vec<_>>(), [(0, run(10, 1)), (9, run(41, 1))]);
        assert_eq!(e.remove(20, 5), []);
        assert_eq!(e.remove(0, u64::MAX), [run(10, 1), run(41, 1)]);
        assert_eq!((e.end(), e.pages()), (0, 0));
    }

    #[test]
    fn freed_runs_become_few() {
        let freed = vec![run(7, 1), run(2, 1), run(3, 3), run(8, 2), run(20, 1), run(1, 1)];
        assert_eq!(joined(freed), [run(1, 5), run(7, 3), run(20, 1)]);
        assert_eq!(joined(vec![]), []);
    }

    #[test]
    fn allocator_reuses_and_joins() {
        let mut a = Allocator::default();
        let first = a.take(4, 4, None).expect("room");
        let second = a.take(4, 8, Some(4)).expect("room");
        assert_eq!((first, second), (run(0, 4), run(4, 8)));
        a.give(first);
        assert_eq!(a.take(5, 5, None), Some(run(12, 5)), "too small to reuse");
        assert_eq!(a.take(1, 2, None), Some(run(0, 2)));
        a.give(run(0, 2));
        a.give(second);
        assert_eq!(a.free_runs().collect::<Vec<_>>(), [run(0, 12)]);
        a.give(run(12, 5));
        assert_eq!((a.end(), a.free_runs().count()), (0, 0));
        assert_eq!(a.take(PAGES_MAX + 1, 0, None), None);
    }

    #[test]
    fn used_runs_leave_the_rest_free() {
        let a = Allocator::of_used(vec![run(5, 1), run(0, 2)]).expect("disjoint");
        assert_eq!((a.end(), a.free_runs().collect::<Vec<_>>()), (6, vec![run(2, 3)]));
        assert_eq!(Allocator::of_used(vec![run(0, 3), run(2, 1)]), None);
        assert_eq!(Allocator::of_used(vec![run(1, u64::MAX)]), None);
    }
}
