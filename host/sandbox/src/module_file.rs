//! Files of translated code: a module's native code, where its functions are entered, their length in bytes, a checksum.
//!
//! The middle part is little-endian 32-bit words: for each entry its offset in the region, the function's number and the
//! entry's, sorted; then the number of functions. The checksum (CRC-32) of all before it is for whoever keeps the file;
//! it is not read here.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};

use crate::Function;

/// Bytes after the functions: their length and the checksum.
const TRAILER: u64 = 8;

/// Bytes of the functions at most.
const MAX_FUNCTIONS: u64 = 64 << 20;

/// Words of an entry.
const ENTRY_WORDS: usize = 3;

/// A place where a translated function can be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// In the region.
    pub offset: u32,
    pub function: u32,
    /// The function's number for it; 0 is its start.
    pub entry: u32,
}

/// The entries of a module, sorted.
#[derive(Debug, Default)]
pub struct Index {
    pub entries: Vec<Entry>,
    pub functions: u32,
    /// The first and the last offset.
    span: (u32, u32),
}

impl Index {
    /// Whether there may be entries in `len` bytes from `start` on.
    pub fn reaches(&self, start: u32, len: u32) -> bool {
        let (first, last) = self.span;
        start <= last && first.saturating_sub(start) < len
    }

    /// The entries from `offset` on.
    pub fn from(&self, offset: u32) -> &[Entry] {
        let first = self.entries.partition_point(|entry| entry.offset < offset);
        &self.entries[first..]
    }
}

/// What follows the native code, up to the checksum.
pub fn encode_functions(functions: &[Function]) -> Vec<u8> {
    let mut entries: Vec<Entry> = Vec::new();
    for (function, number) in functions.iter().zip(0..) {
        let offsets = std::iter::once(&function.start).chain(&function.resume).zip(0..);
        // One that can be entered elsewhere is for code that runs already; calls are for the one that cannot.
        let offsets = offsets.skip(usize::from(!function.resume.is_empty()));
        entries.extend(offsets.map(|(&offset, entry)| Entry { offset, function: number, entry }));
    }
    entries.sort_unstable();
    let words = entries.iter().flat_map(|entry| [entry.offset, entry.function, entry.entry]);
    let words = words.chain([functions.len() as u32]);
    let mut bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    let len = bytes.len() as u32;
    bytes.extend(len.to_le_bytes());
    bytes
}

/// The entries of a file of translated code.
///
/// # Errors
/// When it is no such file, or cannot be read.
pub fn read_index(file: &File) -> Result<Index> {
    let end = file.metadata()?.len().checked_sub(TRAILER).context("too short for translated code")?;
    let mut len = [0; 4];
    file.read_exact_at(&mut len, end)?;
    let len = u64::from(u32::from_le_bytes(len));
    ensure!(len <= MAX_FUNCTIONS && len <= end, "no list of functions");
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, end - len)?;
    let (words, rest) = bytes.as_chunks::<4>();
    let (count, words) = words.split_last().context("a list of functions that is empty")?;
    let (entries, more) = words.as_chunks::<ENTRY_WORDS>();
    ensure!(rest.is_empty() && more.is_empty(), "a list of functions that is cut off");
    let functions = u32::from_le_bytes(*count);
    let entry = |words: &[[u8; 4]; ENTRY_WORDS]| {
        let [offset, function, entry] = words.map(u32::from_le_bytes);
        Entry { offset, function, entry }
    };
    let entries: Vec<Entry> = entries.iter().map(entry).collect();
    ensure!(entries.iter().all(|entry| entry.function < functions), "an entry of a function that is not there");
    ensure!(entries.is_sorted(), "a list of functions in disorder");
    let span = entries.first().zip(entries.last()).map_or((u32::MAX, 0), |(first, last)| (first.offset, last.offset));
    Ok(Index { entries, functions, span })
}

/// The offsets at which a file of translated code can be entered.
///
/// # Errors
/// When it is no such file, or cannot be read.
pub fn read_entries(file: &File) -> Result<Vec<u32>> {
    Ok(read_index(file)?.entries.iter().map(|entry| entry.offset).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(bytes: &[&[u8]]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        bytes.iter().for_each(|bytes| file.write_all(bytes).unwrap());
        file
    }

    #[test]
    fn entries_come_back_sorted() {
        let functions = vec![Function { start: 16, resume: vec![] }, Function { start: 2, resume: vec![12, 8] }];
        let file = file(&[b"native code", &encode_functions(&functions), b"sum."]);
        let index = read_index(&file).unwrap();
        let entry = |offset, function, entry| Entry { offset, function, entry };
        assert_eq!(index.entries, [entry(8, 1, 2), entry(12, 1, 1), entry(16, 0, 0)]);
        assert_eq!(index.functions, 2);
        assert_eq!([4, 5, 16, 17].map(|start| index.reaches(start, 4)), [false, true, true, false]);
        assert_eq!(index.from(9), [entry(12, 1, 1), entry(16, 0, 0)]);
        assert_eq!(read_entries(&file).unwrap(), [8, 12, 16]);
    }

    #[test]
    fn damaged_lists_are_refused() {
        let word = |word: u32| word.to_le_bytes();
        let lists: [&[u32]; 7] =
            [&[1000], &[0], &[8, 4, 4], &[16, 4, 1, 0, 1], &[28, 8, 0, 0, 4, 0, 0, 1], &[3, 4], &[u32::MAX]];
        for words in lists {
            let mut bytes: Vec<u8> = words[1..].iter().flat_map(|&value| word(value)).collect();
            bytes.extend(word(words[0]));
            assert!(read_index(&file(&[&bytes, b"sum."])).is_err(), "{words:?}");
        }
        assert!(read_index(&file(&[b"short"])).is_err());
    }
}
