//! Things by small number: [`Slab`].

/// A table whose numbers are used again after a removal.
pub struct Slab<T> {
    entries: Vec<Option<T>>,
    free: Vec<u32>,
    limit: usize,
}

impl<T> Slab<T> {
    /// An empty table that never holds more than `limit` entries.
    pub fn new(limit: usize) -> Slab<T> {
        Slab { entries: Vec::new(), free: Vec::new(), limit }
    }

    /// The number of the new entry; `None` when the table is full.
    pub fn insert(&mut self, value: T) -> Option<u32> {
        if let Some(number) = self.free.pop() {
            self.entries[number as usize] = Some(value);
            return Some(number);
        }
        if self.entries.len() >= self.limit {
            return None;
        }
        let number = u32::try_from(self.entries.len()).ok()?;
        self.entries.push(Some(value));
        Some(number)
    }

    pub fn get(&self, number: u32) -> Option<&T> {
        self.entries.get(number as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.entries.get_mut(number as usize)?.as_mut()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().flatten()
    }

    pub fn remove(&mut self, number: u32) -> Option<T> {
        let value = self.entries.get_mut(number as usize)?.take()?;
        self.free.push(number);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again_and_bounded() {
        let mut slab = Slab::new(2);
        assert_eq!((slab.insert('a'), slab.insert('b'), slab.insert('c')), (Some(0), Some(1), None));
        assert_eq!(slab.remove(0), Some('a'));
        assert_eq!(slab.remove(0), None);
        assert_eq!(slab.get(0), None);
        assert_eq!(slab.insert('d'), Some(0));
        assert_eq!(slab.get_mut(0), Some(&mut 'd'));
        assert_eq!(slab.get(7), None);
    }
}
