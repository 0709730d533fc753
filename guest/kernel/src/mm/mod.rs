//! A process's address map: `Mm` keeps the list of mappings (`Vma`) and tells the host what to map.
//!
//! The host has its own page map and checks against it; this one exists for what Linux promises about mappings: where they
//! go, what they are called, which file is behind them. `map` places and removes, `change` protects, moves and discards,
//! `file` follows files that change size. `resident` says how much of it is in memory.

mod change;
mod file;
mod map;
mod resident;

use std::collections::BTreeMap;
use std::rc::Rc;

use shallop_host_abi::spec::Handle;
use shallop_linux_abi::Errno;
use shallop_linux_abi::mman::*;
use shallop_platform::{Platform, SpaceId};

use crate::tunables::{HIGHEST, MAPPINGS_MAX, PAGE, PLACE_LOWEST};
use crate::vfs::open_file::OpenFile;

pub use resident::Resident;

/// A memory object of the host; dropped with its last user.
pub struct Object {
    platform: &'static dyn Platform,
    pub handle: Handle,
}

impl Object {
    /// An object of `len` bytes, all zero.
    pub fn new(platform: &'static dyn Platform, len: u64) -> Result<Object, Errno> {
        Ok(Object { platform, handle: platform.object_create(len)? })
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        self.platform.object_drop(self.handle);
    }
}

/// What is behind a mapping.
#[derive(Clone)]
pub enum Content {
    /// Private zero pages.
    Anon {
        /// False while the host only keeps the addresses (PROT_NONE from the start).
        backed: bool,
    },
    /// Shared zero pages; the mapping starts at this offset of the object.
    Shared { object: Rc<Object>, offset: u64 },
    /// A file from this offset. From address `end` on there is no file any more (SIGBUS).
    File { file: Rc<OpenFile>, offset: u64, end: u64 },
}

/// One mapping.
#[derive(Clone)]
pub struct Vma {
    pub start: u64,
    pub end: u64,
    /// PROT_READ, PROT_WRITE, PROT_EXEC.
    pub prot: u32,
    pub shared: bool,
    pub content: Content,
    /// As in /proc/pid/maps: `[heap]`, `[stack]`, `[vdso]`; empty for others.
    pub name: &'static str,
    pub on_fork: OnFork,
}

/// What fork(2) does with a mapping (madvise(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFork {
    #[default]
    Copy,
    /// MADV_DONTFORK: the child does not have it.
    Skip,
    /// MADV_WIPEONFORK: the child has zero pages.
    Wipe,
}

impl Vma {
    /// The part of it between two addresses inside it.
    fn part(&self, start: u64, end: u64) -> Vma {
        let shift = start - self.start;
        let content = match &self.content {
            Content::Anon { backed } => Content::Anon { backed: *backed },
            Content::Shared { object, offset } => Content::Shared { object: object.clone(), offset: offset + shift },
            Content::File { file, offset, end } => {
                Content::File { file: file.clone(), offset: offset + shift, end: *end }
            }
        };
        Vma { start, end, content, ..self.clone() }
    }

    /// Whether `next`, which starts where this one ends, is more of the same.
    fn continues(&self, next: &Vma) -> bool {
        let words = |v: &Vma| (v.prot, v.shared, v.name, v.on_fork);
        self.end == next.start
            && words(self) == words(next)
            && match (&self.content, &next.content) {
                (Content::Anon { backed: a }, Content::Anon { backed: b }) => a == b,
                (Content::Shared { object: a, offset: x }, Content::Shared { object: b, offset: y }) => {
                    Rc::ptr_eq(a, b) && x + (self.end - self.start) == *y
                }
                (Content::File { file: a, offset: x, end: e }, Content::File { file: b, offset: y, end: f }) => {
                    Rc::ptr_eq(a, b) && x + (self.end - self.start) == *y && e == f
                }
                _ => false,
            }
    }
}

/// The words of mmap(2), checked.
pub struct Request {
    /// 0: anywhere. Otherwise a hint, or the place itself when `fixed`.
    pub addr: u64,
    pub len: u64,
    pub prot: u32,
    pub shared: bool,
    pub fixed: Fixed,
    pub file: Option<(Rc<OpenFile>, u64)>,
    pub name: &'static str,
}

/// How binding a mapping's address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fixed {
    Hint,
    Replace,
    NoReplace,
}

/// The address map of one address space; dropping it drops the space.
pub struct Mm {
    platform: &'static dyn Platform,
    /// `None` once its process is a zombie.
    space: Option<SpaceId>,
    vmas: BTreeMap<u64, Vma>,
    /// Mappings without a hint go below this.
    pub mmap_base: u64,
    pub brk_start: u64,
    pub brk: u64,
    /// Where the main stack's words start, and arguments and environment lie (for /proc/pid/stat).
    pub stack_start: u64,
    pub arg_range: (u64, u64),
    pub env_range: (u64, u64),
}

impl Drop for Mm {
    fn drop(&mut self) {
        if let Some(space) = self.space {
            self.platform.space_drop(space);
        }
    }
}

/// Rounds up to whole pages; `None` on overflow.
pub fn page_up(value: u64) -> Option<u64> {
    value.checked_add(PAGE - 1).map(|v| v & !(PAGE - 1))
}

pub fn page_down(value: u64) -> u64 {
    value & !(PAGE - 1)
}

impl Mm {
    /// An empty address space.
    pub fn new(platform: &'static dyn Platform) -> Result<Mm, Errno> {
        let space = platform.space_create()?;
        let mut mm = Mm::none(platform);
        mm.space = Some(space);
        Ok(mm)
    }

    /// What a zombie has: no address space at all.
    pub fn none(platform: &'static dyn Platform) -> Mm {
        Mm {
            platform,
            space: None,
            vmas: BTreeMap::new(),
            mmap_base: HIGHEST - PAGE,
            brk_start: 0,
            brk: 0,
            stack_start: 0,
            arg_range: (0, 0),
            env_range: (0, 0),
        }
    }

    /// A copy, as fork(2) makes.
    pub fn fork(&self) -> Result<Mm, Errno> {
        let space = Some(self.platform.space_fork(self.space())?);
        let Mm { mmap_base, brk_start, brk, stack_start, arg_range, env_range, .. } = *self;
        let vmas = self.vmas.clone();
        let mut child =
            Mm { platform: self.platform, space, vmas, mmap_base, brk_start, brk, stack_start, arg_range, env_range };
        child.drop_unforked()?;
        Ok(child)
    }

    /// In a new copy: mappings that a child does not get, or gets empty.
    fn drop_unforked(&mut self) -> Result<(), Errno> {
        let special: Vec<Vma> = self.vmas().filter(|v| v.on_fork != OnFork::Copy).cloned().collect();
        for vma in special {
            match vma.on_fork {
                OnFork::Skip => self.munmap(vma.start, vma.end - vma.start)?,
                OnFork::Wipe => self.platform.discard(self.space(), vma.start, vma.end - vma.start)?,
                OnFork::Copy => {}
            }
        }
        Ok(())
    }

    /// The host's number of the address space; 0, which is none, for a zombie.
    pub fn space(&self) -> SpaceId {
        self.space.unwrap_or(SpaceId(0))
    }

    /// All mappings by address.
    pub fn vmas(&self) -> impl Iterator<Item = &Vma> {
        self.vmas.values()
    }

    /// The mapping that holds `addr`.
    pub fn find(&self, addr: u64) -> Option<&Vma> {
        self.vmas.range(..=addr).next_back().map(|(_, v)| v).filter(|v| addr < v.end)
    }

    /// Mapped bytes (VmSize).
    pub fn size(&self) -> u64 {
        self.vmas.values().map(|v| v.end - v.start).sum()
    }

    /// What a fault at `addr` is: a signal number and its si_code. `write`/`fetch` say what the access was.
    pub fn fault(&self, addr: u64, write: bool, fetch: bool) -> (u32, i32) {
        use shallop_linux_abi::signal::*;
        let Some(vma) = self.find(addr) else { return (SIGSEGV, SEGV_MAPERR) };
        let needed = match (write, fetch) {
            (true, _) => PROT_WRITE,
            (_, true) => PROT_EXEC,
            _ => PROT_READ,
        };
        match vma.content {
            Content::File { end, .. } if vma.prot & needed != 0 && addr >= end => (SIGBUS, BUS_ADRERR),
            _ => (SIGSEGV, SEGV_ACCERR),
        }
    }

    /// Starts of mappings that intersect the range.
    fn intersecting(&self, start: u64, end: u64) -> Vec<u64> {
        let first = self.find(start).map_or(start, |v| v.start);
        self.vmas.range(first..end).map(|(s, _)| *s).collect()
    }

    /// Whether every page of the range is mapped.
    fn covered(&self, start: u64, end: u64) -> bool {
        let mut at = start;
        while at < end {
            match self.find(at) {
                Some(vma) => at = vma.end,
                None => return false,
            }
        }
        true
    }

    /// Cuts mappings so that none crosses `at`.
    fn split(&mut self, at: u64) {
        let Some(vma) = self.find(at) else { return };
        if vma.start == at {
            return;
        }
        let (low, high) = (vma.part(vma.start, at), vma.part(at, vma.end));
        self.vmas.insert(low.start, low);
        self.vmas.insert(high.start, high);
    }

    /// Puts a mapping into the list, joined with its neighbours where they are the same.
    fn insert(&mut self, mut vma: Vma) {
        if let Some((start, before)) = self.vmas.range(..vma.start).next_back()
            && before.continues(&vma)
        {
            let start = *start;
            if let Some(before) = self.vmas.remove(&start) {
                vma = Vma { end: vma.end, ..before };
            }
        }
        if let Some(after) = self.vmas.get(&vma.end)
            && vma.continues(after)
        {
            let end = after.end;
            self.vmas.remove(&vma.end);
            vma.end = end;
        }
        self.vmas.insert(vma.start, vma);
    }

    /// A free range of `len` bytes: at `hint` when that is free, else the highest below the mmap base.
    fn place(&self, hint: u64, len: u64) -> Result<u64, Errno> {
        let hint = page_down(hint);
        if hint >= PLACE_LOWEST && hint.checked_add(len).is_some_and(|end| end <= HIGHEST && self.is_free(hint, end)) {
            return Ok(hint);
        }
        self.highest_gap(self.mmap_base, len).or_else(|| self.highest_gap(HIGHEST - PAGE, len)).ok_or(Errno::ENOMEM)
    }

    fn highest_gap(&self, below: u64, len: u64) -> Option<u64> {
        let mut top = below;
        for vma in self.vmas.range(..below).rev().map(|(_, v)| v) {
            if vma.end < top && top - vma.end >= len {
                return Some(top - len);
            }
            top = top.min(vma.start);
        }
        (top > PLACE_LOWEST && top - PLACE_LOWEST >= len).then(|| top - len)
    }

    fn is_free(&self, start: u64, end: u64) -> bool {
        self.find(start).is_none() && self.vmas.range(start..end).next().is_none()
    }

    fn check_count(&self) -> Result<(), Errno> {
        if self.vmas.len() >= MAPPINGS_MAX { Err(Errno::ENOMEM) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
