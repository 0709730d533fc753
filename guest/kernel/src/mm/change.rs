//! Changing mappings: mprotect(2), mremap(2), madvise(2).

use shallop_linux_abi::Errno;
use shallop_linux_abi::mman::*;

use super::{Content, Mm, OnFork, Vma, page_down, page_up};
use crate::syscall::memory::is_write_sealed;
use crate::tunables::{HIGHEST, LOWEST, PAGE};

impl Mm {
    /// mprotect(2).
    pub fn mprotect(&mut self, addr: u64, len: u64, prot: u32) -> Result<(), Errno> {
        if !addr.is_multiple_of(PAGE) || prot & !(PROT_READ | PROT_WRITE | PROT_EXEC) != 0 {
            return Err(Errno::EINVAL);
        }
        let len = page_up(len).ok_or(Errno::ENOMEM)?;
        let end = addr.checked_add(len).ok_or(Errno::ENOMEM)?;
        if len == 0 {
            return Ok(());
        }
        if end > HIGHEST || !self.covered(addr, end) {
            return Err(Errno::ENOMEM);
        }
        let denied = |v: &Vma| match &v.content {
            Content::File { file, .. } => {
                let writes = v.shared && prot & PROT_WRITE != 0 && v.prot & PROT_WRITE == 0;
                writes && (!file.writable() || is_write_sealed(file))
            }
            _ => false,
        };
        if self.intersecting(addr, end).iter().filter_map(|key| self.vmas.get(key)).any(denied) {
            return Err(Errno::EACCES);
        }
        self.check_count()?;
        self.split(addr);
        self.split(end);
        for key in self.intersecting(addr, end) {
            let Some(mut vma) = self.vmas.remove(&key) else { continue };
            let result = if vma.prot == prot { Ok(()) } else { self.protect_pages(&mut vma, prot) };
            if result.is_ok() {
                vma.prot = prot;
            }
            self.insert(vma);
            result?;
        }
        Ok(())
    }

    /// riscv_flush_icache(2): what is in the range is decoded anew before it runs next. Giving pages the rights that they
    /// have makes the engine forget what it decoded from them.
    pub fn flush_code(&self, start: u64, end: u64) -> Result<(), Errno> {
        let (start, end) = (page_down(start), page_up(end).unwrap_or(HIGHEST));
        for key in self.intersecting(start, end) {
            let Some(vma) = self.vmas.get(&key).filter(|vma| vma.prot & PROT_EXEC != 0) else { continue };
            let accessible = match &vma.content {
                Content::File { end, .. } => vma.end.min(*end),
                _ => vma.end,
            };
            let (from, to) = (vma.start.max(start), accessible.min(end));
            if from < to {
                self.platform.protect(self.space(), from, to - from, vma.prot)?;
            }
        }
        Ok(())
    }

    fn protect_pages(&self, vma: &mut Vma, prot: u32) -> Result<(), Errno> {
        let end = match &mut vma.content {
            Content::Anon { backed } if !*backed => {
                self.platform.map_anon(self.space(), vma.start, vma.end - vma.start, prot)?;
                *backed = true;
                return Ok(());
            }
            // What is past the file's end stays without access.
            Content::File { end, .. } => vma.end.min(*end),
            _ => vma.end,
        };
        match end > vma.start {
            true => self.platform.protect(self.space(), vma.start, end - vma.start, prot),
            false => Ok(()),
        }
    }

    /// mremap(2): returns the new address.
    pub fn mremap(&mut self, old: u64, old_len: u64, new_len: u64, flags: u32, new: u64) -> Result<u64, Errno> {
        let known = MREMAP_MAYMOVE | MREMAP_FIXED;
        if flags & !known != 0 || !old.is_multiple_of(PAGE) || flags & MREMAP_FIXED != 0 && flags & MREMAP_MAYMOVE == 0
        {
            return Err(Errno::EINVAL);
        }
        let old_len = page_up(old_len).ok_or(Errno::EINVAL)?;
        let new_len = page_up(new_len).filter(|l| *l != 0).ok_or(Errno::EINVAL)?;
        if old_len == 0 {
            // A second mapping of shared pages: not supported.
            return Err(Errno::EINVAL);
        }
        let old_end = old.checked_add(old_len).ok_or(Errno::EFAULT)?;
        let vma = self.find(old).filter(|v| old_end <= v.end).ok_or(Errno::EFAULT)?.clone();
        if flags & MREMAP_FIXED != 0 {
            return self.remap_fixed(&vma, old, old_len, new, new_len);
        }
        if new_len <= old_len {
            if new_len < old_len {
                self.munmap(old + new_len, old_len - new_len)?;
            }
            return Ok(old);
        }
        let new_end = old.checked_add(new_len).ok_or(Errno::ENOMEM)?;
        if vma.end == old_end && new_end <= HIGHEST && self.is_free(old_end, new_end) && self.can_extend(&vma) {
            self.extend(&vma, old_end, new_end)?;
            return Ok(old);
        }
        if flags & MREMAP_MAYMOVE == 0 {
            return Err(Errno::ENOMEM);
        }
        let target = self.place(0, new_len)?;
        self.relocate(&vma, old, old_len, target, new_len)
    }

    fn remap_fixed(&mut self, vma: &Vma, old: u64, old_len: u64, new: u64, new_len: u64) -> Result<u64, Errno> {
        let new_end = new.checked_add(new_len).filter(|end| *end <= HIGHEST).ok_or(Errno::ENOMEM)?;
        if !new.is_multiple_of(PAGE) || new < LOWEST || new < old + old_len && old < new_end {
            return Err(Errno::EINVAL);
        }
        self.munmap(new, new_len)?;
        if new_len < old_len {
            self.munmap(old + new_len, old_len - new_len)?;
        }
        self.relocate(vma, old, old_len.min(new_len), new, new_len)
    }

    /// Anonymous shared memory cannot grow: its object has the size it was made with.
    fn can_extend(&self, vma: &Vma) -> bool {
        !matches!(vma.content, Content::Shared { .. })
    }

    /// Maps more of the same behind a mapping.
    fn extend(&mut self, vma: &Vma, from: u64, to: u64) -> Result<(), Errno> {
        let content = match &vma.content {
            Content::Anon { backed } => {
                match backed {
                    true => self.platform.map_anon(self.space(), from, to - from, vma.prot)?,
                    false => self.platform.reserve(self.space(), from, to - from)?,
                }
                Content::Anon { backed: *backed }
            }
            Content::File { file, offset, .. } => {
                let offset = offset + (from - vma.start);
                let end = self.fill_file(file, offset, from, to, vma.prot, vma.shared)?;
                Content::File { file: file.clone(), offset, end }
            }
            Content::Shared { .. } => return Err(Errno::ENOMEM),
        };
        self.insert(Vma { start: from, end: to, content, ..vma.clone() });
        Ok(())
    }

    fn relocate(&mut self, vma: &Vma, old: u64, old_len: u64, new: u64, new_len: u64) -> Result<u64, Errno> {
        if new_len > old_len && !self.can_extend(vma) {
            return Err(Errno::ENOMEM);
        }
        self.platform.move_pages(self.space(), old, new, old_len)?;
        let mut moved = vma.part(old, old + old_len);
        self.forget(old, old + old_len);
        moved.start = new;
        moved.end = new + old_len;
        if let Content::File { end, .. } = &mut moved.content {
            *end = (*end).clamp(old, old + old_len) - old + new;
        }
        self.insert(moved.clone());
        if new_len > old_len {
            self.extend(&moved, new + old_len, new + new_len)?;
        }
        Ok(new)
    }

    /// madvise(2). Advice that only concerns speed is accepted and ignored.
    pub fn madvise(&mut self, addr: u64, len: u64, advice: u32) -> Result<(), Errno> {
        if !addr.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        let len = page_up(len).ok_or(Errno::EINVAL)?;
        let end = addr.checked_add(len).ok_or(Errno::EINVAL)?;
        match advice {
            MADV_DONTFORK => self.set_on_fork(addr, end, OnFork::Skip),
            MADV_DOFORK | MADV_KEEPONFORK => self.set_on_fork(addr, end, OnFork::Copy),
            MADV_WIPEONFORK => {
                let plain = |v: &Vma| matches!(v.content, Content::Anon { .. });
                if !self.intersecting(addr, end).iter().filter_map(|key| self.vmas.get(key)).all(plain) {
                    return Err(Errno::EINVAL);
                }
                self.set_on_fork(addr, end, OnFork::Wipe);
            }
            MADV_NORMAL..=MADV_WILLNEED | MADV_FREE | MADV_MERGEABLE..=MADV_DODUMP | MADV_COLD | MADV_PAGEOUT => {}
            MADV_POPULATE_READ | MADV_POPULATE_WRITE => {}
            MADV_DONTNEED => self.discard(addr, end)?,
            _ => return Err(Errno::EINVAL),
        }
        if self.covered(addr, end) { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    fn set_on_fork(&mut self, addr: u64, end: u64, on_fork: OnFork) {
        self.split(addr);
        self.split(end);
        for key in self.intersecting(addr, end) {
            if let Some(vma) = self.vmas.remove(&key) {
                self.insert(Vma { on_fork, ..vma });
            }
        }
    }

    fn discard(&mut self, addr: u64, end: u64) -> Result<(), Errno> {
        for key in self.intersecting(addr, end) {
            let Some(vma) = self.vmas.get(&key) else { continue };
            let (from, to) = (addr.max(vma.start), end.min(vma.end));
            match &vma.content {
                Content::Anon { backed: true } => self.platform.discard(self.space(), from, to - from)?,
                Content::File { file, offset, .. } if !vma.shared => {
                    self.fill_file(file, offset + (from - vma.start), from, to, vma.prot, false)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
