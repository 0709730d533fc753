//! The functions that a worker asked for and that are not translated yet: the hottest first, then in the order in which they
//! got hot.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Bytes of guest code, and functions, of one module. More make their caller wait, fewer make more modules.
const MAX_BYTES: u32 = 16 << 10;
const MAX_FUNCTIONS: usize = 256;

/// Bytes of guest code of a function that is compiled alone, beside the others.
const LARGE: u32 = MAX_BYTES;

/// A function: its region's number, its offset there.
pub type Place = (u32, u32);

/// What is wanted of one.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    /// How often it was asked for.
    heat: u32,
    /// When it was for the first time, among all.
    turn: u32,
    /// Bytes of guest code.
    bytes: u32,
}

impl Wanted {
    /// What comes first has the lowest rank.
    fn rank(&self) -> (Reverse<u32>, u32) {
        (Reverse(self.heat), self.turn)
    }

    fn is_large(&self) -> bool {
        self.bytes >= LARGE
    }
}

#[derive(Debug, Default)]
pub struct Queue {
    list: BTreeMap<Place, Wanted>,
    turns: u32,
}

impl Queue {
    /// Has a function be asked for once more.
    pub fn push(&mut self, place: Place, bytes: u32) {
        let turn = self.turns;
        let wanted = self.list.entry(place).or_insert(Wanted { heat: 0, turn, bytes });
        wanted.heat += 1;
        self.turns += 1;
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Takes the first small function, and what fits into its module: the region, and offsets there.
    pub fn next_small(&mut self) -> Option<(u32, Vec<u32>)> {
        let mut small: Vec<_> =
            self.list.iter().filter(|(_, wanted)| !wanted.is_large()).map(|(&at, &it)| (at, it)).collect();
        small.sort_unstable_by_key(|(_, wanted)| wanted.rank());
        let &((region, _), _) = small.first()?;
        let (mut starts, mut sum) = (Vec::new(), 0_u32);
        for ((_, start), Wanted { bytes, .. }) in small.into_iter().filter(|(place, _)| place.0 == region) {
            if starts.len() < MAX_FUNCTIONS && (starts.is_empty() || sum + bytes <= MAX_BYTES) {
                sum += bytes;
                starts.push(start);
                self.list.remove(&(region, start));
            }
        }
        Some((region, starts))
    }

    /// Takes the first large function.
    pub fn next_large(&mut self) -> Option<Place> {
        let large = self.list.iter().filter(|(_, wanted)| wanted.is_large());
        let (&place, _) = large.min_by_key(|(_, wanted)| wanted.rank())?;
        self.list.remove(&place);
        Some(place)
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
        let list = [(1, 0, 100), (1, 8, 45_000), (2, 0, 50), (1, 4, MAX_BYTES), (1, 6, 9)];
        list.iter().for_each(|&(region, start, bytes)| queue.push((region, start), bytes));
        assert_eq!(queue.next_large(), Some((1, 8)));
        assert_eq!(queue.next_small(), Some((1, vec![0, 6])));
        assert_eq!(queue.next_small(), Some((2, vec![0])));
        // It is taken for large: as many bytes as a module has.
        assert_eq!(queue.next_large(), Some((1, 4)));
        assert!(queue.is_empty());
    }

    #[test]
    fn what_is_asked_for_again_comes_first() {
        let mut queue = Queue::default();
        let list = [(1, 0), (2, 4), (1, 8), (1, 12), (2, 4), (1, 12), (1, 12)];
        list.iter().for_each(|&place| queue.push(place, place.1 / 8 * LARGE));
        assert_eq!(queue.next_large(), Some((1, 12)));
        assert_eq!(queue.next_large(), Some((1, 8)));
        assert_eq!(queue.next_small(), Some((2, vec![4])));
        assert_eq!(queue.next_small(), Some((1, vec![0])));
        assert_eq!(queue.next_small(), None);
    }
}
