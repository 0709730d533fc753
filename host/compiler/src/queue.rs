//! The functions that a worker asked for and that are not translated yet, in the order in which they got hot.

use std::collections::VecDeque;

/// Bytes of guest code of a function that is compiled alone, beside the others.
pub const LARGE: u32 = 8 << 10;

/// Bytes of guest code, and functions, of one module. More make their caller wait, fewer make more modules.
const MAX_BYTES: u32 = 16 << 10;
const MAX_FUNCTIONS: usize = 256;

/// A function that is wanted: its region's number, its offset there, its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub region: u32,
    pub start: u32,
    pub bytes: u32,
}

#[derive(Debug, Default)]
pub struct Queue {
    small: VecDeque<Wanted>,
    large: VecDeque<Wanted>,
}

impl Queue {
    pub fn push(&mut self, wanted: Wanted) {
        let list = if wanted.bytes >= LARGE { &mut self.large } else { &mut self.small };
        list.push_back(wanted);
    }

    pub fn is_empty(&self) -> bool {
        self.small.is_empty() && self.large.is_empty()
    }

    /// Takes the first small function, and what fits into its module.
    pub fn next_small(&mut self) -> Vec<Wanted> {
        let Some(region) = self.small.front().map(|first| first.region) else { return Vec::new() };
        let (mut taken, mut bytes) = (Vec::new(), 0_u32);
        self.small.retain(|&wanted| {
            let fits = wanted.region == region
                && taken.len() < MAX_FUNCTIONS
                && (taken.is_empty() || bytes + wanted.bytes <= MAX_BYTES);
            if fits {
                bytes += wanted.bytes;
                taken.push(wanted);
            }
            !fits
        });
        taken
    }

    /// Takes the first large function.
    pub fn next_large(&mut self) -> Option<Wanted> {
        self.large.pop_front()
    }

    pub fn clear(&mut self) {
        *self = Queue::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_functions_go_together_in_their_order() {
        let mut queue = Queue::default();
        let wanted = |region, start, bytes| Wanted { region, start, bytes };
        let list =
            [wanted(1, 0, 100), wanted(1, 8, 45_000), wanted(2, 0, 50), wanted(1, 4, MAX_BYTES), wanted(1, 6, 9)];
        list.iter().for_each(|&wanted| queue.push(wanted));
        let starts = |taken: Vec<Wanted>| taken.iter().map(|w| (w.region, w.start)).collect::<Vec<_>>();
        assert_eq!(queue.next_large().map(|w| w.start), Some(8));
        assert_eq!(starts(queue.next_small()), [(1, 0), (1, 6)]);
        assert_eq!(starts(queue.next_small()), [(2, 0)]);
        // It is taken for large: as many bytes as a module has.
        assert_eq!(queue.next_large().map(|w| w.start), Some(4));
        assert!(queue.is_empty());
    }
}
