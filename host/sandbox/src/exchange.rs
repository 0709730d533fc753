//! The words in engine memory by which a process and its engine exchange what concerns translated code.

use crate::memory::EngineMemory;

/// Words of the exchange about translated code: the count at which code is hot, the number of addresses.
const LOOKS: usize = 0;
const HOT: usize = 1;
/// Raised when translated code that tasks are in must be left.
const RETIRED: usize = 2;
/// Not 0: tasks leave translated code at random where they may.
const STORM: usize = 3;
/// Not 0: the memory was another process's.
const USED_BEFORE: usize = 4;
/// Then come the addresses of hot code.
const HOT_LIST: usize = 5;
const SEEN: usize = 256;
pub const HOT_WORDS: usize = SEEN - HOT_LIST;
/// Then computed jumps that were seen, two words each: where one is, where it went.
const SEEN_WORDS: usize = 2 * 2048;
const EXCHANGE_WORDS: usize = SEEN + SEEN_WORDS;
const EXCHANGE_BYTES: usize = 4 * EXCHANGE_WORDS;

/// The words in engine memory by which a process and its engine exchange what concerns translated code.
#[derive(Clone, Copy)]
pub struct Words {
    base: *mut u32,
}

impl Words {
    /// Those at `at` of a process's engine memory.
    pub fn new(memory: &EngineMemory, at: u32) -> Option<Words> {
        memory.at(at, EXCHANGE_BYTES).filter(|_| at.is_multiple_of(4)).map(|base| Words { base: base.cast() })
    }

    /// Has the engine clear what a process that is gone left in the memory.
    pub fn mark_used(self) {
        (0..SEEN).for_each(|index| self.write(index, u32::from(index == USED_BEFORE)));
    }

    #[inline]
    fn read(self, index: usize) -> u32 {
        debug_assert!(index < EXCHANGE_WORDS);
        // SAFETY: inside the exchange, which is aligned; the tasks that write it are suspended on this thread.
        unsafe { self.base.add(index).read() }
    }

    fn write(self, index: usize, value: u32) {
        debug_assert!(index < EXCHANGE_WORDS);
        // SAFETY: as in `read`.
        unsafe { self.base.add(index).write(value) };
    }

    /// Has tasks leave the translated code that they are in.
    pub fn retire(self) {
        self.write(RETIRED, self.read(RETIRED).wrapping_add(1));
    }

    /// Has tasks leave translated code at random.
    pub fn storm(self) {
        self.write(STORM, 1);
    }

    /// Has the engine look for code that is passed this often.
    pub fn look(self, hot: u32) {
        self.write(LOOKS, hot);
    }

    /// Puts addresses in the place of hot ones, which were taken; no more than there is room for.
    pub fn put(self, pcs: &[u32]) {
        pcs.iter().zip(HOT_LIST..).for_each(|(pc, index)| self.write(index, *pc));
    }

    /// Computed jumps that were interpreted: where they are, and where they went most often. Guesses.
    pub fn seen(self) -> impl Iterator<Item = (u32, u32)> {
        let pair = move |index| (self.read(index), self.read(index + 1));
        (SEEN..EXCHANGE_WORDS).step_by(2).map(pair).filter(|(site, _)| *site != 0)
    }

    /// Takes the addresses of code that became hot.
    #[inline]
    pub fn take_hot(self) -> Option<Vec<u32>> {
        match self.read(HOT) {
            0 => None,
            count => {
                let count = (count as usize).min(HOT_WORDS);
                let hot = (HOT_LIST..HOT_LIST + count).map(|index| self.read(index)).collect();
                self.write(HOT, 0);
                Some(hot)
            }
        }
    }
}
