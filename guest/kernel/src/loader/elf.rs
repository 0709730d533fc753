//! ELF files (elf(5)): `Image` is what loading one needs to know, checked against the file.

use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::elf::*;
use shallop_linux_abi::mman::*;

use crate::mm::{Mm, page_down, page_up};
use crate::tunables::{HIGHEST, LOWEST, PAGE};
use crate::vfs::open_file::OpenFile;

/// Most program headers that are read.
const HEADERS_MAX: u16 = 128;
const HEADER_BYTES: usize = 56;

/// A program header.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    pub kind: u32,
    pub flags: u32,
    pub offset: u64,
    pub addr: u64,
    pub file_len: u64,
    pub memory_len: u64,
}

/// An ELF file's headers.
pub struct Image {
    /// ET_EXEC: the addresses are meant.
    pub fixed: bool,
    pub entry: u64,
    pub headers: Vec<Segment>,
    /// Address of the program headers in memory, without bias; 0 when no segment holds them.
    pub headers_at: u64,
    pub interpreter: Option<Vec<u8>>,
    /// Lowest address (page) and end of all segments, without bias.
    pub start: u64,
    pub end: u64,
    pub executable_stack: bool,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn segment(bytes: &[u8]) -> Segment {
    Segment {
        kind: u32_at(bytes, 0),
        flags: u32_at(bytes, 4),
        offset: u64_at(bytes, 8),
        addr: u64_at(bytes, 16),
        file_len: u64_at(bytes, 32),
        memory_len: u64_at(bytes, 40),
    }
}

impl Segment {
    /// ENOEXEC unless it lies in the file, and in 4 GiB.
    fn check(&self, file_size: u64) -> Result<(), Errno> {
        let in_file = self.offset.checked_add(self.file_len).is_some_and(|end| end <= file_size);
        let in_memory = self.addr.checked_add(self.memory_len).is_some_and(|end| end < HIGHEST);
        let aligned = self.addr % PAGE == self.offset % PAGE;
        match in_file && in_memory && aligned && self.file_len <= self.memory_len {
            true => Ok(()),
            false => Err(Errno::ENOEXEC),
        }
    }

    fn prot(&self) -> u32 {
        let bit = |flag, prot| if self.flags & flag != 0 { prot } else { 0 };
        bit(PF_R, PROT_READ) | bit(PF_W, PROT_WRITE) | bit(PF_X, PROT_EXEC)
    }
}

impl Image {
    /// Reads and checks a file's headers. ENOEXEC for anything that is not a little-endian 64-bit ELF program for
    /// `machine`.
    pub fn read(file: &OpenFile, machine: u16) -> Result<Image, Errno> {
        let mut header = [0; 64];
        let count = super::read(file, 0, &mut header)?;
        let kind = u16_at(&header, 16);
        let known = count == 64 && header[..7] == *b"\x7fELF\x02\x01\x01" && u16_at(&header, 18) == machine;
        if !known || !matches!(kind, ET_EXEC | ET_DYN) || u16_at(&header, 54) != HEADER_BYTES as u16 {
            return Err(Errno::ENOEXEC);
        }
        let (table, number) = (u64_at(&header, 32), u16_at(&header, 56));
        if number == 0 || number > HEADERS_MAX {
            return Err(Errno::ENOEXEC);
        }
        let mut bytes = vec![0; usize::from(number) * HEADER_BYTES];
        if super::read(file, table, &mut bytes)? < bytes.len() {
            return Err(Errno::ENOEXEC);
        }
        let headers: Vec<Segment> = bytes.chunks_exact(HEADER_BYTES).map(segment).collect();
        let mut image = Image::from_headers(headers, file.location.inode.stat()?.size, table)?;
        image.fixed = kind == ET_EXEC;
        image.entry = u64_at(&header, 24);
        if let Some(segment) = image.headers.iter().find(|h| h.kind == PT_INTERP) {
            image.interpreter = Some(interpreter(file, segment)?);
        }
        if image.fixed && image.start < LOWEST {
            return Err(Errno::ENOEXEC);
        }
        Ok(image)
    }

    fn from_headers(headers: Vec<Segment>, file_size: u64, table: u64) -> Result<Image, Errno> {
        let (mut start, mut end, mut headers_at) = (u64::MAX, 0, 0);
        for load in headers.iter().filter(|h| h.kind == PT_LOAD) {
            load.check(file_size)?;
            if load.addr < end {
                return Err(Errno::ENOEXEC);
            }
            start = start.min(page_down(load.addr));
            end = load.addr + load.memory_len;
            if table >= load.offset && table < load.offset + load.file_len {
                headers_at = load.addr + (table - load.offset);
            }
        }
        if start == u64::MAX {
            return Err(Errno::ENOEXEC);
        }
        let executable_stack = headers.iter().any(|h| h.kind == PT_GNU_STACK && h.flags & PF_X != 0);
        Ok(Image { fixed: false, entry: 0, headers, headers_at, interpreter: None, start, end, executable_stack })
    }

    /// Maps the segments, at their own addresses or with the lowest at `at`; returns what is added to each address.
    pub fn map(&self, mm: &mut Mm, file: &Rc<OpenFile>, at: u64) -> Result<u64, Errno> {
        let bias = if self.fixed { 0 } else { at.wrapping_sub(self.start) };
        let mut mapped_to = 0;
        for load in self.headers.iter().filter(|h| h.kind == PT_LOAD && h.memory_len != 0) {
            let addr = bias.wrapping_add(load.addr);
            let end =
                addr.checked_add(load.memory_len).and_then(page_up).filter(|e| *e < HIGHEST).ok_or(Errno::ENOMEM)?;
            if page_down(addr) < mapped_to {
                return Err(Errno::ENOEXEC);
            }
            mm.map_segment(file, load.offset, addr, load.file_len, load.memory_len, load.prot())?;
            mapped_to = end;
        }
        Ok(bias)
    }
}

fn interpreter(file: &OpenFile, segment: &Segment) -> Result<Vec<u8>, Errno> {
    if segment.file_len < 2 || segment.file_len > 4096 {
        return Err(Errno::ENOEXEC);
    }
    let mut path = vec![0; segment.file_len as usize];
    if super::read(file, segment.offset, &mut path)? < path.len() || path.pop() != Some(0) {
        return Err(Errno::ENOEXEC);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(offset: u64, addr: u64, file_len: u64, memory_len: u64) -> Segment {
        Segment { kind: PT_LOAD, flags: PF_R, offset, addr, file_len, memory_len }
    }

    #[test]
    fn bounds_and_header_address_come_from_the_segments() {
        let image = Image::from_headers(vec![load(0, 0x1_0000, 0x500, 0x500), load(0x500, 0x1_1500, 8, 32)], 0x600, 64)
            .unwrap();
        assert_eq!((image.start, image.end, image.headers_at), (0x1_0000, 0x1_1520, 0x1_0040));
    }

    #[test]
    fn lies_about_sizes_are_refused() {
        for bad in [
            load(0, 0x1_0000, 0x700, 0x700),
            load(0, 0x1_0000, 8, 4),
            load(0, u64::MAX - 4, 1, 1),
            load(1, 0x1_0000, 1, 1),
            load(u64::MAX, 0x1_0fff, 1, 1),
        ] {
            assert!(Image::from_headers(vec![bad], 0x600, 64).is_err(), "{bad:?}");
        }
        assert!(Image::from_headers(Vec::new(), 0x600, 64).is_err());
    }
}
