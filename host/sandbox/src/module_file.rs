//! Files of translated code: a module's native code, its functions, their length in bytes, a checksum of all before it.
//!
//! The functions are little-endian 32-bit words: for each its start, the number of its other entries, and those. The
//! checksum (CRC-32) is for whoever keeps the file; it is not read here.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};

use crate::Function;

/// Bytes after the functions: their length and the checksum.
const TRAILER: u64 = 8;

/// Bytes of the functions at most.
const MAX_FUNCTIONS: u64 = 64 << 20;

/// What follows the native code, up to the checksum.
pub fn encode_functions(functions: &[Function]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for function in functions {
        let head = [function.start, function.resume.len() as u32];
        bytes.extend(head.iter().chain(&function.resume).flat_map(|word| word.to_le_bytes()));
    }
    let len = bytes.len() as u32;
    bytes.extend(len.to_le_bytes());
    bytes
}

/// The functions of a file of translated code.
///
/// # Errors
/// When it is no such file, or cannot be read.
pub fn read_functions(file: &File) -> Result<Vec<Function>> {
    let end = file.metadata()?.len().checked_sub(TRAILER).context("too short for translated code")?;
    let mut len = [0; 4];
    file.read_exact_at(&mut len, end)?;
    let len = u64::from(u32::from_le_bytes(len));
    ensure!(len <= MAX_FUNCTIONS && len <= end, "no list of functions");
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, end - len)?;
    let mut words = bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
    let mut functions = Vec::new();
    while let Some(start) = words.next() {
        let count = words.next().context("a list of functions that is cut off")? as usize;
        ensure!(count <= words.len(), "a function with {count} entries in a list that is too short");
        functions.push(Function { start, resume: words.by_ref().take(count).collect() });
    }
    Ok(functions)
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
    fn functions_come_back() {
        let functions = vec![Function { start: 4, resume: vec![8, 12] }, Function { start: 16, resume: vec![] }];
        let file = file(&[b"native code", &encode_functions(&functions), b"sum."]);
        assert_eq!(read_functions(&file).unwrap(), functions);
    }

    #[test]
    fn damaged_lists_are_refused() {
        let word = |word: u32| word.to_le_bytes();
        for words in [vec![1000], vec![4, 4], vec![8, 4, 9], vec![u32::MAX]] {
            let mut bytes: Vec<u8> = words[1..].iter().flat_map(|&value| word(value)).collect();
            bytes.extend(word(words[0]));
            assert!(read_functions(&file(&[&bytes, b"sum."])).is_err(), "{words:?}");
        }
        assert!(read_functions(&file(&[b"short"])).is_err());
    }
}
