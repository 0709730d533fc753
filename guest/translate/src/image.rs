//! What a region's ELF file says of its code: [`Image`], which knows functions and addresses that lie in data.
//!
//! A region often is the first segment of a file, with its headers. Nothing in them is believed: whatever does not fit
//! is passed over, and what is found only hints at where code may jump.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::sweep::{called, makes_frame};

/// Program headers that are looked at.
const MAX_HEADERS: usize = 64;
/// Functions of the table of unwind information.
const MAX_FUNCTIONS: usize = 1 << 19;
/// Relocations, and entries of the dynamic section.
const MAX_RELOCATIONS: usize = 1 << 21;
const MAX_DYNAMIC: usize = 256;
/// Bytes of data.
const MAX_DATA: u64 = 64 << 20;

/// Types of program headers (ELF-64 object file format, version 1.5; Linux Standard Base for the third).
const LOAD: u32 = 1;
const DYNAMIC: u32 = 2;
const UNWIND: u32 = 0x6474_e550;
/// The segment may be written.
const WRITABLE: u32 = 2;
/// Tags of the dynamic section: address, size of the table of relocations.
const RELA: u64 = 7;
const RELA_SIZE: u64 = 8;
/// The relocation that is the load address and a constant (RISC-V ELF psABI).
const RELATIVE: u32 = 3;

/// What is known of a region besides its code.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// Address that the file has for offset 0.
    bias: u64,
    /// Offset behind all that is loaded of the file.
    pub end: u32,
    data: Vec<u8>,
    /// Address of `data[0]`.
    data_start: u64,
    /// Constants that relocations put at addresses.
    relocated: BTreeMap<u64, u64>,
    /// Functions' offsets, in order; they do not overlap.
    functions: Vec<(u32, u32)>,
    /// Offsets inside of functions whose addresses are in data, in order.
    inner: Vec<u32>,
}

/// A segment, or what else a program header tells of.
#[derive(Debug, Clone, Copy)]
struct Header {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    /// Bytes in the file, and in memory.
    size: u64,
    memory: u64,
}

fn bytes<const N: usize>(from: &[u8], at: u64) -> Option<[u8; N]> {
    let at = usize::try_from(at).ok()?;
    from.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn half(from: &[u8], at: u64) -> Option<u16> {
    bytes(from, at).map(u16::from_le_bytes)
}

fn word(from: &[u8], at: u64) -> Option<u32> {
    bytes(from, at).map(u32::from_le_bytes)
}

fn double(from: &[u8], at: u64) -> Option<u64> {
    bytes(from, at).map(u64::from_le_bytes)
}

/// The program headers of an ELF file that begins with `code`.
fn headers(code: &[u8]) -> Vec<Header> {
    let is_elf = code.starts_with(b"\x7fELF\x02\x01");
    let place = || Some((double(code, 32)?, half(code, 54)?, half(code, 56)?));
    let Some((start, 56, count)) = place().filter(|_| is_elf) else { return Vec::new() };
    let header = |index: usize| {
        let at = start.checked_add(index as u64 * 56)?;
        Some(Header {
            kind: word(code, at)?,
            flags: word(code, at + 4)?,
            offset: double(code, at + 8)?,
            address: double(code, at + 16)?,
            size: double(code, at + 32)?,
            memory: double(code, at + 40)?,
        })
    };
    (0..usize::from(count).min(MAX_HEADERS)).map_while(header).collect()
}

/// The segment that begins with the file, and the first one that may be written.
fn segments(headers: &[Header]) -> Option<(Header, Option<Header>)> {
    let mut loaded = headers.iter().filter(|header| header.kind == LOAD);
    let first = *loaded.next().filter(|header| header.offset == 0)?;
    Some((first, loaded.find(|header| header.flags & WRITABLE != 0).copied()))
}

/// The offset behind all that is loaded.
fn end(headers: &[Header], bias: u64) -> u32 {
    let loaded = headers.iter().filter(|header| header.kind == LOAD);
    let ends = loaded.map(|header| header.address.saturating_add(header.memory).saturating_sub(bias));
    ends.max().map_or(0, |end| u32::try_from(end).unwrap_or(u32::MAX))
}

/// Where the file that begins with `code` has its data: offset and length.
pub fn data_extent(code: &[u8]) -> Option<(u64, usize)> {
    let (_, data) = segments(&headers(code))?;
    data.filter(|data| data.size <= MAX_DATA).map(|data| (data.offset, data.size as usize))
}

impl Image {
    /// What the file says whose first bytes are `code` and which has `data` where [`data_extent`] says. Offsets in it
    /// begin with `start`.
    pub fn new(code: &[u8], start: u32, data: Vec<u8>) -> Image {
        let headers = headers(code);
        let Some((first, second)) = segments(&headers) else {
            let functions = with_gaps_filled(&[], code, start, &[]);
            return Image { functions, ..Image::default() };
        };
        let data_start = second.map_or(0, |second| second.address);
        let bias = first.address.wrapping_sub(u64::from(start));
        let end = end(&headers, bias);
        let mut image = Image { bias, end, data, data_start, ..Image::default() };
        let find = |kind| headers.iter().find(|header| header.kind == kind);
        let table = find(UNWIND).and_then(|unwind| functions(code, first.address, unwind.address, start));
        let table = table.unwrap_or_else(|| apart(unwound(code, start)));
        if let Some(dynamic) = find(DYNAMIC) {
            image.relocated = image.relocations(code, first.address, dynamic.address).unwrap_or_default();
        }
        let pointers = image.pointers(code, start);
        image.functions = with_gaps_filled(&table, code, start, &pointers);
        image.inner = pointers.into_iter().filter(|&offset| image.is_inner(offset)).collect();
        image
    }

    /// The address that the file has for the code at `offset`.
    pub fn address(&self, offset: u32) -> u64 {
        self.bias.wrapping_add(u64::from(offset))
    }

    /// The offset of the code at an address of the file.
    pub fn offset(&self, address: u64) -> Option<u32> {
        u32::try_from(address.wrapping_sub(self.bias)).ok()
    }

    /// The functions' starts, in order.
    pub fn starts(&self) -> impl Iterator<Item = u32> + '_ {
        self.functions.iter().map(|&(start, _)| start)
    }

    /// The function that `offset` is in.
    pub fn function(&self, offset: u32) -> Option<Range<u32>> {
        let after = self.functions.partition_point(|&(start, _)| start <= offset);
        let &(start, end) = self.functions.get(after.checked_sub(1)?)?;
        (offset < end).then_some(start..end)
    }

    /// The offsets in a range whose addresses are in data, but for functions' starts.
    pub fn inner(&self, range: &Range<u32>) -> &[u32] {
        let at = |offset: u32| self.inner.partition_point(|&inner| inner < offset);
        self.inner.get(at(range.start)..at(range.end)).unwrap_or(&[])
    }

    /// The 32 bits of data at an address.
    pub fn word(&self, address: u64) -> Option<u32> {
        word(&self.data, address.checked_sub(self.data_start)?)
    }

    /// The 64 bits of data at an address, or what is put there.
    pub fn double(&self, address: u64) -> Option<u64> {
        let there = || double(&self.data, address.checked_sub(self.data_start)?);
        self.relocated.get(&address).copied().or_else(there)
    }

    fn relocations(&self, code: &[u8], base: u64, dynamic: u64) -> Option<BTreeMap<u64, u64>> {
        let (mut table, mut size) = (None, None);
        for index in 0..MAX_DYNAMIC as u64 {
            let at = dynamic.checked_sub(self.data_start)?.checked_add(index * 16)?;
            let pair = || Some((double(&self.data, at)?, double(&self.data, at + 8)?));
            let Some((tag, value)) = pair() else { break };
            match tag {
                0 => break,
                RELA => table = Some(value),
                RELA_SIZE => size = Some(value),
                _ => {}
            }
        }
        let (table, count) = (table?.checked_sub(base)?, (size? / 24).min(MAX_RELOCATIONS as u64));
        let entry = |index: u64| {
            let at = table.checked_add(index * 24)?;
            Some((double(code, at)?, double(code, at + 8)? as u32, double(code, at + 16)?))
        };
        let entries = (0..count).map_while(entry).filter(|&(_, kind, _)| kind == RELATIVE);
        Some(entries.map(|(at, _, value)| (at, value)).collect())
    }

    /// Offsets whose addresses are in aligned data and relocations, in order.
    fn pointers(&self, code: &[u8], start: u32) -> Vec<u32> {
        let end = start.saturating_add(code.len() as u32);
        let inside = |&address: &u64| self.offset(address).filter(|at| at & 1 == 0 && (start..end).contains(at));
        let words = |part: &[u8]| -> Vec<u32> {
            let (words, _) = part.as_chunks::<8>();
            words.iter().filter_map(|word| inside(&u64::from_le_bytes(*word))).collect()
        };
        let ahead = (self.data_start.wrapping_neg() % 8) as usize;
        let mut found = words(code);
        found.extend(words(self.data.get(ahead..).unwrap_or(&[])));
        found.extend(self.relocated.values().filter_map(inside));
        found.sort_unstable();
        found.dedup();
        found
    }

    fn is_inner(&self, offset: u32) -> bool {
        self.function(offset).is_some_and(|function| function.start != offset)
    }
}

/// Those functions of a table, and others where it tells of none: they are called, or data has their addresses and they
/// make themselves a frame. Each goes on to the next one.
fn with_gaps_filled(table: &[(u32, u32)], code: &[u8], start: u32, pointers: &[u32]) -> Vec<(u32, u32)> {
    let free = |&offset: &u32| {
        let before = table.partition_point(|&(first, _)| first <= offset).checked_sub(1);
        before.is_none_or(|before| table[before].1 <= offset)
    };
    let called = called(code).into_iter().filter_map(|at| start.checked_add(at));
    let pointed = pointers.iter().copied().filter(|&at| makes_frame(code, at - start));
    let others: BTreeSet<u32> = called.chain(pointed).filter(free).take(MAX_FUNCTIONS).collect();
    let end = start.saturating_add(code.len() as u32);
    let next = |offset: u32| {
        let other = others.range(offset + 1..).next().copied().unwrap_or(end);
        let after = table.partition_point(|&(first, _)| first <= offset);
        table.get(after).map_or(other, |&(first, _)| first.min(other))
    };
    let others = others.iter().map(|&offset| (offset, next(offset)));
    apart(table.iter().copied().chain(others).collect())
}

/// The functions of the sorted table at `header` (Linux Standard Base, `.eh_frame_hdr`), as compilers write it: offsets
/// of 32 bits from the table, to functions and their entries in `.eh_frame`.
fn functions(code: &[u8], base: u64, header: u64, start: u32) -> Option<Vec<(u32, u32)>> {
    let header = header.checked_sub(base)?;
    // Version 1; pointer relative to itself, count as it is, table relative to the header; each of 32 bits.
    if word(code, header)? != 0x3b03_1b01 {
        return None;
    }
    let count = (word(code, header + 8)? as usize).min(MAX_FUNCTIONS);
    let relative = |at: u64, from: u64| from.checked_add_signed(i64::from(word(code, at)? as i32));
    let entry = |index: usize| {
        let at = header + 12 + index as u64 * 8;
        let (first, unwind) = (relative(at, header)?, relative(at + 4, header)?);
        // Length, CIE, start relative to itself, size: if that is not the form, the start is another.
        let begin = unwind.checked_add(8)?;
        let size = word(code, begin + 4).filter(|_| relative(begin, begin) == Some(first))?;
        let end = first.checked_add(u64::from(size)).filter(|&end| end <= code.len() as u64 && size != 0)?;
        let offset = |at: u64| start.checked_add(u32::try_from(at).ok()?);
        Some((offset(first)?, offset(end)?))
    };
    Some(apart((0..count).filter_map(entry).collect()))
}

/// How the part of a CIE behind its length begins (Linux Standard Base, `.eh_frame`): its id, version 1 or 3, augmentations.
const COMMON: [&[u8]; 2] = [b"\0\0\0\0\x01zR\0", b"\0\0\0\0\x03zR\0"];

/// The functions that `.eh_frame` tells of where no table leads to it, as in static programs: it is looked for. Starts are
/// taken to be relative to themselves, of 32 bits.
fn unwound(code: &[u8], start: u32) -> Vec<(u32, u32)> {
    let mut found = Vec::new();
    let first = code.windows(COMMON[0].len()).position(|bytes| COMMON.contains(&bytes));
    let Some(mut at) = first.and_then(|at| u64::try_from(at).ok()?.checked_sub(4)) else { return found };
    while let Some(len @ 4..0x1000_0000) = word(code, at)
        && found.len() < MAX_FUNCTIONS
    {
        let function = || {
            let distance = word(code, at + 4).filter(|&distance| distance != 0)?;
            // What it belongs to is a CIE.
            word(code, (at + 4).checked_sub(u64::from(distance))?.checked_add(4)?).filter(|&id| id == 0)?;
            let first = (at + 8).checked_add_signed(i64::from(word(code, at + 8)? as i32))?;
            let end = first.checked_add(u64::from(word(code, at + 12)?))?;
            let inside = first & 1 == 0 && first < end && end <= code.len() as u64;
            let offset = |at: u64| start.checked_add(u32::try_from(at).ok()?);
            inside.then_some((offset(first)?, offset(end)?))
        };
        found.extend(function());
        at += 4 + u64::from(len);
    }
    found
}

/// Functions in order, without those that overlap an earlier one.
fn apart(mut functions: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    functions.sort_unstable();
    let mut end = 0;
    functions.retain(|function| {
        let apart = function.0 >= end;
        if apart {
            end = function.1;
        }
        apart
    });
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0x10000;
    const DATA: u64 = 0x12000;

    fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
        file[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn put_words(file: &mut [u8], at: usize, words: &[u32]) {
        words.iter().enumerate().for_each(|(k, word)| put(file, at + 4 * k, &word.to_le_bytes()));
    }

    fn header(file: &mut [u8], index: usize, (kind, flags): (u32, u32), (offset, address, size): (u64, u64, u64)) {
        let at = 64 + index * 56;
        put_words(file, at, &[kind, flags]);
        for (place, value) in [(8, offset), (16, address), (32, size), (40, size)] {
            put(file, at + place, &value.to_le_bytes());
        }
    }

    /// Two functions, at 0x200 (0x40 bytes) and 0x240 (0x20); the address of code in the second is in the code at 0x300.
    /// A relocation in a table at 0x340 puts that of code in the first into the data.
    fn file() -> (Vec<u8>, Vec<u8>) {
        let (mut code, mut data) = (vec![0; 0x600], vec![0; 0x60]);
        put(&mut code, 0, b"\x7fELF\x02\x01");
        put(&mut code, 32, &64_u64.to_le_bytes());
        put(&mut code, 54, &[56, 0, 4, 0]);
        header(&mut code, 0, (LOAD, 5), (0, BASE, 0x600));
        header(&mut code, 1, (LOAD, 6), (0x1000, DATA, 0x60));
        header(&mut code, 2, (UNWIND, 4), (0x400, BASE + 0x400, 0x20));
        header(&mut code, 3, (DYNAMIC, 6), (0x1000, DATA, 0x30));
        put_words(&mut code, 0x400, &[0x3b03_1b01, 0, 2]);
        let from_table = |offset: u32| offset.wrapping_sub(0x400);
        put_words(&mut code, 0x40c, &[from_table(0x200), from_table(0x480), from_table(0x240), from_table(0x4a0)]);
        put_words(&mut code, 0x480, &[16, 0, 0x200_u32.wrapping_sub(0x488), 0x40]);
        put_words(&mut code, 0x4a0, &[16, 0, 0x240_u32.wrapping_sub(0x4a8), 0x20]);
        put(&mut code, 0x300, &(BASE + 0x250).to_le_bytes());
        for (k, value) in [DATA + 0x40, u64::from(RELATIVE), BASE + 0x210].into_iter().enumerate() {
            put(&mut code, 0x340 + 8 * k, &value.to_le_bytes());
        }
        for (k, value) in [RELA, BASE + 0x340, RELA_SIZE, 24].into_iter().enumerate() {
            put(&mut data, 8 * k, &value.to_le_bytes());
        }
        (code, data)
    }

    #[test]
    fn functions_and_addresses_are_found() {
        let (code, data) = file();
        assert_eq!(data_extent(&code), Some((0x1000, 0x60)));
        let image = Image::new(&code, 0x4000, data);
        assert_eq!(image.function(0x4200), Some(0x4200..0x4240));
        assert_eq!(image.function(0x425e), Some(0x4240..0x4260));
        assert_eq!((image.function(0x41fe), image.function(0x4260)), (None, None));
        assert_eq!(image.inner(&(0x4200..0x4240)), [0x4210]);
        assert_eq!(image.inner(&(0x4240..0x4260)), [0x4250]);
        assert_eq!(image.double(DATA + 0x40), Some(BASE + 0x210));
        assert_eq!((image.address(0x4000), image.offset(BASE + 2)), (BASE, Some(0x4002)));
        assert_eq!(image.offset(DATA + 0x60), Some(image.end));
        assert_eq!((image.word(DATA - 4), image.word(DATA + 0x5e)), (None, None));
    }

    #[test]
    fn without_a_table_functions_are_found_by_what_leads_to_them() {
        let (mut code, data) = file();
        header(&mut code, 2, (0, 0), (0, 0, 0));
        // A CIE, and an FDE of the function at 0x200.
        put_words(&mut code, 0x470, &[12, 0]);
        put(&mut code, 0x474, COMMON[1]);
        put_words(&mut code, 0x480, &[16, 0x14, 0x200_u32.wrapping_sub(0x488), 0x40, 0, 0]);
        put_words(&mut code, 0x204, &[0x06c0_00ef, 0xff5f_f0ef]); // jal ra, 0x270; jal ra, 0x1fc
        put(&mut code, 0x250, &[0x01, 0x11]); // addi sp, sp, -32
        let image = Image::new(&code, 0, data);
        assert_eq!(image.starts().collect::<Vec<_>>(), [0x1fc, 0x200, 0x250, 0x270]);
        assert_eq!(image.function(0x23e), Some(0x200..0x240));
        assert_eq!((image.function(0x24e), image.function(0x26e)), (None, Some(0x250..0x270)));
        assert_eq!(image.function(0x1fe), Some(0x1fc..0x200));
    }

    #[test]
    fn what_is_cut_or_damaged_is_passed_over() {
        let (code, data) = file();
        for len in 0..code.len() {
            Image::new(&code[..len], u32::MAX - 0x100, data.clone());
            data_extent(&code[..len]);
        }
        for len in 0..data.len() {
            Image::new(&code, 0, data[..len].to_vec());
        }
        for at in 0..code.len() {
            for byte in [0, 0x7f, 0x80, 0xff] {
                let mut bad = code.clone();
                bad[at] = byte;
                let image = Image::new(&bad, 0, data.clone());
                let ends = |offset| image.function(offset).map_or(0, |function| function.end);
                assert!((0..0x600).all(|offset| ends(offset) <= 0x600), "{at}");
            }
        }
    }

    #[test]
    fn huge_numbers_are_bounded() {
        let (mut code, mut data) = file();
        put_words(&mut code, 0x408, &[u32::MAX]);
        put(&mut code, 56, &[0xff, 0xff]);
        put(&mut data, 0x18, &u64::MAX.to_le_bytes());
        Image::new(&code, 0, data.clone());
        header(&mut code, 1, (LOAD, 6), (u64::MAX, u64::MAX - 4, u64::MAX));
        assert_eq!(data_extent(&code), None);
        Image::new(&code, 0, data);
    }

    #[test]
    fn functions_that_overlap_are_dropped() {
        let (mut code, data) = file();
        put_words(&mut code, 0x48c, &[0x48]);
        let image = Image::new(&code, 0, data);
        assert_eq!(image.function(0x244), Some(0x200..0x248));
        assert_eq!(image.function(0x250), None);
    }
}
