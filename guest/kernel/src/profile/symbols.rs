//! Functions of an ELF file, for people: [`Symbols`], from its symbol tables and its unwind table.
//!
//! Files come from images and are not believed: what does not fit is passed over, counts are bounded, and names are read
//! from the file when they are wanted.

use crate::vfs::File;

const MAX_HEADERS: u16 = 256;
/// Symbols, and functions of the unwind table.
const MAX_SYMBOLS: u64 = 1 << 19;
const MAX_NAME: usize = 1024;
/// Names of one place that are compared.
const MAX_ALIASES: usize = 8;

/// Types of program headers and sections (ELF-64 object file format, version 1.5; Linux Standard Base for the second).
const LOAD: u32 = 1;
const UNWIND: u32 = 0x6474_e550;
const SYMTAB: u32 = 2;
const DYNSYM: u32 = 11;
/// The symbol is a function.
const FUNC: u8 = 2;
const SYMBOL_BYTES: usize = 24;

/// A piece of the file that is loaded.
struct Segment {
    offset: u64,
    len: u64,
    address: u64,
}

/// A function of a symbol table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Symbol {
    start: u64,
    /// 0: unknown.
    len: u64,
    /// Where its name is in the file.
    name: u64,
}

/// What is known of the functions of a file. Addresses are the file's own.
#[derive(Default)]
pub struct Symbols {
    segments: Vec<Segment>,
    /// By start.
    symbols: Vec<Symbol>,
    /// Starts that the unwind table tells of, in order.
    starts: Vec<u64>,
}

impl Symbols {
    /// What the file says; nothing when it is no ELF file of 64 bits.
    pub fn read(file: &dyn File) -> Symbols {
        let mut symbols = Symbols::default();
        let Some(header) = bytes::<64>(file, 0).filter(|header| header.starts_with(b"\x7fELF\x02\x01")) else {
            return symbols;
        };
        symbols.read_segments(file, &header);
        symbols.read_sections(file, &header);
        symbols.symbols.sort_unstable();
        symbols
    }

    fn read_segments(&mut self, file: &dyn File, header: &[u8]) -> Option<()> {
        let (table, count) = (double(header, 32)?, half(header, 56)?.min(MAX_HEADERS));
        for index in 0..u64::from(count) {
            let entry = bytes::<56>(file, table.checked_add(index * 56)?)?;
            let (offset, address, len) = (double(&entry, 8)?, double(&entry, 16)?, double(&entry, 32)?);
            match word(&entry, 0)? {
                LOAD => self.segments.push(Segment { offset, len, address }),
                UNWIND => self.starts = unwind_starts(file, offset, address).unwrap_or_default(),
                _ => {}
            }
        }
        Some(())
    }

    fn read_sections(&mut self, file: &dyn File, header: &[u8]) -> Option<()> {
        let (table, count) = (double(header, 40)?, half(header, 60)?.min(MAX_HEADERS));
        let section = |index: u64| bytes::<64>(file, table.checked_add(index.checked_mul(64)?)?);
        for index in 0..u64::from(count) {
            let entry = section(index)?;
            if matches!(word(&entry, 4)?, SYMTAB | DYNSYM) {
                let names = double(&section(word(&entry, 40)?.into())?, 24)?;
                self.read_symbols(file, double(&entry, 24)?, double(&entry, 32)?, names);
            }
        }
        Some(())
    }

    fn read_symbols(&mut self, file: &dyn File, table: u64, len: u64, names: u64) -> Option<()> {
        let room = MAX_SYMBOLS - (self.symbols.len() as u64).min(MAX_SYMBOLS);
        let mut left = (len / SYMBOL_BYTES as u64).min(room) as usize;
        let mut at = table;
        let mut buffer = vec![0; 2048 * SYMBOL_BYTES];
        while left != 0 {
            let wanted = &mut buffer[..left.min(2048) * SYMBOL_BYTES];
            fill(file, at, wanted)?;
            let (entries, _) = wanted.as_chunks::<SYMBOL_BYTES>();
            self.symbols.extend(entries.iter().filter_map(|entry| symbol(entry, names)));
            left -= entries.len();
            at = at.checked_add(wanted.len() as u64)?;
        }
        Some(())
    }

    /// Where the function begins that the byte at an offset of the file is in; for a place that nothing is known of, its
    /// own address.
    pub fn function(&self, offset: u64) -> u64 {
        let inside = |s: &&Segment| offset.checked_sub(s.offset).is_some_and(|into| into < s.len);
        let Some(segment) = self.segments.iter().find(inside) else { return offset };
        let address = segment.address.wrapping_add(offset - segment.offset);
        let unwound = before(&self.starts, address, |start| *start).map(|at| self.starts[at]);
        match self.symbol_at(address) {
            // A table with dynamic symbols only: what lies after one may be another function, which has no name.
            Some(symbol) if symbol.len != 0 || unwound.is_none_or(|start| start <= symbol.start) => symbol.start,
            _ => unwound.unwrap_or(address),
        }
    }

    /// The symbol that an address is in.
    fn symbol_at(&self, address: u64) -> Option<&Symbol> {
        let last = before(&self.symbols, address, |symbol| symbol.start)?;
        // Of those that begin at one place the longest is the last.
        let symbol = &self.symbols[last];
        (symbol.len == 0 || address - symbol.start < symbol.len).then_some(symbol)
    }

    /// The name of the function that begins at an address: of several the plainest.
    pub fn name(&self, file: &dyn File, start: u64) -> Option<String> {
        let after = self.symbols.partition_point(|symbol| symbol.start <= start);
        let aliases = self.symbols[..after].iter().rev().take_while(|symbol| symbol.start == start);
        let names = aliases.take(MAX_ALIASES).filter_map(|symbol| name(file, symbol.name));
        names.min_by_key(|name| (name.len() - name.trim_start_matches('_').len(), name.len()))
    }
}

/// The place of the last one that is not after `address`.
fn before<T>(list: &[T], address: u64, start: impl Fn(&T) -> u64) -> Option<usize> {
    list.partition_point(|item| start(item) <= address).checked_sub(1)
}

fn symbol(entry: &[u8; SYMBOL_BYTES], names: u64) -> Option<Symbol> {
    let (name, start, len) = (word(entry, 0)?, double(entry, 8)?, double(entry, 16)?);
    let is_defined = half(entry, 6)? != 0 && entry[4] & 0xf == FUNC && start != 0;
    is_defined.then_some(Symbol { start, len, name: names.checked_add(name.into())? })
}

/// Starts in the sorted table of `.eh_frame_hdr` (Linux Standard Base), which is at `offset` of the file, loaded at
/// `address`.
fn unwind_starts(file: &dyn File, offset: u64, address: u64) -> Option<Vec<u64>> {
    let header = bytes::<12>(file, offset)?;
    // Version 1; pointer relative to itself, count as it is, table relative to the header; each of 32 bits.
    if word(&header, 0)? != 0x3b03_1b01 {
        return None;
    }
    let count = u64::from(word(&header, 8)?).min(MAX_SYMBOLS) as usize;
    let mut table = vec![0; count * 8];
    fill(file, offset.checked_add(12)?, &mut table)?;
    let (entries, _) = table.as_chunks::<8>();
    let start = |entry: &[u8; 8]| address.checked_add_signed(i64::from(word(entry, 0)? as i32));
    let mut starts: Vec<u64> = entries.iter().filter_map(start).collect();
    starts.sort_unstable();
    Some(starts)
}

/// The NUL-terminated text at an offset; `None` when it is empty or not there.
fn name(file: &dyn File, offset: u64) -> Option<String> {
    let mut text = vec![0; MAX_NAME];
    let got = file.read_at(offset, &mut text, true).ok()?;
    text.truncate(got.min(MAX_NAME));
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    (end != 0).then(|| String::from_utf8_lossy(&text[..end]).into_owned())
}

fn bytes<const N: usize>(file: &dyn File, offset: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    fill(file, offset, &mut bytes).map(|()| bytes)
}

/// Fills all of a buffer.
fn fill(file: &dyn File, mut offset: u64, mut buffer: &mut [u8]) -> Option<()> {
    while !buffer.is_empty() {
        let got = file.read_at(offset, buffer, true).ok().filter(|got| *got != 0)?;
        offset = offset.checked_add(got as u64)?;
        buffer = buffer.get_mut(got..)?;
    }
    Some(())
}

fn half(from: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(from.get(at..at + 2)?.try_into().ok()?))
}

fn word(from: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(from.get(at..at + 4)?.try_into().ok()?))
}

fn double(from: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(from.get(at..at + 8)?.try_into().ok()?))
}
