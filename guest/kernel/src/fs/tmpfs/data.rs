//! `Data`: the bytes of a regular file: inline while small, a memory object of the host from then on.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use shallop_host_abi::spec::Handle;
use shallop_linux_abi::Errno;
use shallop_platform::Platform;

use crate::tunables::PAGE;

/// Files up to this size have no memory object until they are mapped.
const INLINE_MAX: u64 = 4096;
/// Largest file (MAX_LFS_FILESIZE rounded down to what offsets can hold with room to round up).
const FILE_MAX: u64 = (i64::MAX as u64) & !(PAGE - 1);
/// Pages of one word group of the map of used pages.
const GROUP: u64 = 512;
/// A page of zeroes, to clear with.
const ZEROES: [u8; PAGE as usize] = [0; PAGE as usize];

/// What a file system may hold and holds, in bytes of whole pages.
pub struct Budget {
    pub limit: u64,
    pub used: Cell<u64>,
}

impl Budget {
    /// ENOSPC over the limit.
    pub fn take(&self, bytes: u64) -> Result<(), Errno> {
        let used = self.used.get().checked_add(bytes).filter(|used| *used <= self.limit).ok_or(Errno::ENOSPC)?;
        self.used.set(used);
        Ok(())
    }

    pub fn give_back(&self, bytes: u64) {
        self.used.set(self.used.get().saturating_sub(bytes));
    }
}

enum Content {
    /// Shorter than the file's size where the rest was never written.
    Inline(Vec<u8>),
    /// A memory object of `len` bytes, whole pages, at least the file's size.
    Object { handle: Handle, len: u64 },
}

/// A regular file's bytes. Bytes past `size` inside the last page are kept zero on every change of the size.
pub struct Data {
    platform: &'static dyn Platform,
    budget: Rc<Budget>,
    content: Content,
    size: u64,
    /// Pages that were written, a bit each: group number to bits.
    pages: BTreeMap<u64, [u64; 8]>,
    /// How many.
    count: u64,
}

impl Drop for Data {
    fn drop(&mut self) {
        if let Content::Object { handle, .. } = self.content {
            self.platform.object_drop(handle);
        }
        self.budget.give_back(self.count * PAGE);
    }
}

impl Data {
    pub fn new(platform: &'static dyn Platform, budget: &Rc<Budget>) -> Data {
        let content = Content::Inline(Vec::new());
        Data { platform, budget: budget.clone(), content, size: 0, pages: BTreeMap::new(), count: 0 }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that count against the limit.
    pub fn used(&self) -> u64 {
        self.count * PAGE
    }

    /// Bytes from `offset`, as many as there are; holes read as zeroes.
    pub fn read(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let count = self.size.saturating_sub(offset).min(buf.len() as u64) as usize;
        let buf = &mut buf[..count];
        match &self.content {
            Content::Inline(bytes) => {
                let there = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or(&[]);
                let copied = there.len().min(count);
                buf[..copied].copy_from_slice(&there[..copied]);
                buf[copied..].fill(0);
            }
            Content::Object { handle, .. } => {
                let mut done = 0;
                while done < count {
                    match self.platform.file_read(*handle, offset + done as u64, &mut buf[done..])? {
                        0 => break,
                        got => done += got,
                    }
                }
                buf[done..].fill(0);
            }
        }
        Ok(count)
    }

    /// Writes all of `bytes`, growing the file. ENOSPC over the limit, EFBIG past the largest offset.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let end = offset.checked_add(bytes.len() as u64).filter(|end| *end <= FILE_MAX).ok_or(Errno::EFBIG)?;
        if end > INLINE_MAX {
            self.object(end)?;
        }
        self.claim(offset, end)?;
        if offset > self.size {
            self.clear_tail(self.size)?;
        }
        match &mut self.content {
            Content::Inline(inline) => {
                if inline.len() < end as usize {
                    inline.resize(end as usize, 0);
                }
                inline[offset as usize..end as usize].copy_from_slice(bytes);
            }
            Content::Object { handle, .. } => {
                let mut done = 0;
                while done < bytes.len() {
                    match self.platform.file_write(*handle, offset + done as u64, &bytes[done..])? {
                        0 => return Err(Errno::ENOSPC),
                        got => done += got,
                    }
                }
            }
        }
        self.size = self.size.max(end);
        Ok(bytes.len())
    }

    /// Cuts or grows; what is new reads as zeroes.
    pub fn resize(&mut self, size: u64) -> Result<(), Errno> {
        if size > FILE_MAX {
            return Err(Errno::EFBIG);
        }
        let old = self.size;
        self.clear_tail(size.min(old))?;
        match &mut self.content {
            Content::Inline(bytes) => bytes.truncate(usize::try_from(size).unwrap_or(usize::MAX)),
            Content::Object { handle, len } if size < old => {
                let new = size.next_multiple_of(PAGE);
                self.platform.file_resize(*handle, new)?;
                *len = new;
            }
            Content::Object { .. } => {}
        }
        if size > old && size > INLINE_MAX {
            self.object(size)?;
        }
        if size < old {
            self.release_from(size.div_ceil(PAGE));
        }
        self.size = size;
        Ok(())
    }

    /// Clears what mappings may have written behind `end`, inside its page.
    fn clear_tail(&self, end: u64) -> Result<(), Errno> {
        if let Content::Object { handle, len } = self.content {
            let rest = end.next_multiple_of(PAGE).min(len).saturating_sub(end);
            if rest > 0 {
                self.platform.file_write(handle, end, &ZEROES[..rest as usize])?;
            }
        }
        Ok(())
    }

    /// The memory object with at least `size` bytes, made when there is none yet.
    pub fn object(&mut self, size: u64) -> Result<Handle, Errno> {
        let wanted = size.checked_next_multiple_of(PAGE).ok_or(Errno::EFBIG)?.max(PAGE);
        match &mut self.content {
            Content::Object { handle, len } => {
                if *len < wanted {
                    self.platform.file_resize(*handle, wanted)?;
                    *len = wanted;
                }
                Ok(*handle)
            }
            Content::Inline(bytes) => {
                let handle = self.platform.object_create(wanted)?;
                let copied = if bytes.is_empty() { Ok(0) } else { self.platform.file_write(handle, 0, bytes) };
                match copied {
                    Ok(count) if count == bytes.len() => {}
                    failed => {
                        self.platform.object_drop(handle);
                        return Err(failed.err().unwrap_or(Errno::EIO));
                    }
                }
                self.content = Content::Object { handle, len: wanted };
                Ok(handle)
            }
        }
    }

    /// Takes the pages of a range that are not yet used from the budget, all or none.
    fn claim(&mut self, start: u64, end: u64) -> Result<(), Errno> {
        let range = start / PAGE..end.div_ceil(PAGE);
        let fresh = range.clone().filter(|page| !self.is_used(*page)).count() as u64;
        if fresh == 0 {
            return Ok(());
        }
        self.budget.take(fresh * PAGE)?;
        self.count += fresh;
        for page in range {
            let bits = self.pages.entry(page / GROUP).or_default();
            bits[(page % GROUP / 64) as usize] |= 1 << (page % 64);
        }
        Ok(())
    }

    fn is_used(&self, page: u64) -> bool {
        self.pages.get(&(page / GROUP)).is_some_and(|bits| bits[(page % GROUP / 64) as usize] >> (page % 64) & 1 != 0)
    }

    /// Gives back every page from number `first` on.
    fn release_from(&mut self, first: u64) {
        let mut freed = 0;
        let mut tail = self.pages.split_off(&(first / GROUP));
        if let Some(mut bits) = tail.remove(&(first / GROUP)) {
            for page in first % GROUP..GROUP {
                let word = &mut bits[(page / 64) as usize];
                freed += *word >> (page % 64) & 1;
                *word &= !(1 << (page % 64));
            }
            if bits != [0; 8] {
                self.pages.insert(first / GROUP, bits);
            }
        }
        freed += tail.values().flatten().map(|word| u64::from(word.count_ones())).sum::<u64>();
        self.count -= freed;
        self.budget.give_back(freed * PAGE);
    }
}
