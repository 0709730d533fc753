//! Placing and removing mappings: mmap(2), munmap(2), brk(2), and the loader's segments.

use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::mman::*;

use super::{Content, Fixed, Mm, Object, OnFork, Request, Vma, page_down, page_up};
use crate::tunables::{HIGHEST, LOWEST, PAGE};
use crate::vfs::Backing;
use crate::vfs::open_file::OpenFile;
use crate::wait::Stop;

impl Mm {
    /// mmap(2): returns the address.
    pub fn mmap(&mut self, request: Request) -> Result<u64, Errno> {
        let len = page_up(request.len).ok_or(Errno::ENOMEM)?;
        if len == 0 {
            return Err(Errno::EINVAL);
        }
        if len > HIGHEST - LOWEST {
            return Err(Errno::ENOMEM);
        }
        self.check_count()?;
        let start = self.choose(request.addr, len, request.fixed)?;
        let end = start + len;
        if request.fixed == Fixed::Replace {
            self.forget(start, end);
        }
        let result = self.fill(&request, start, end);
        match result {
            Ok(content) => {
                let Request { prot, shared, name, .. } = request;
                self.insert(Vma { start, end, prot, shared, content, name, on_fork: OnFork::Copy });
                Ok(start)
            }
            Err(errno) => {
                let _ = self.platform.unmap(self.space(), start, len);
                Err(errno)
            }
        }
    }

    fn choose(&self, addr: u64, len: u64, fixed: Fixed) -> Result<u64, Errno> {
        if fixed == Fixed::Hint {
            return self.place(addr, len);
        }
        if !addr.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        let end = addr.checked_add(len).filter(|end| *end <= HIGHEST).ok_or(Errno::ENOMEM)?;
        if addr < LOWEST {
            return Err(Errno::EPERM);
        }
        if fixed == Fixed::NoReplace && !self.is_free(addr, end) {
            return Err(Errno::EEXIST);
        }
        Ok(addr)
    }

    /// shmat(2): maps all of an object, shared; returns the address.
    pub fn attach(&mut self, object: Rc<Object>, size: u64, addr: u64, fixed: Fixed, prot: u32) -> Result<u64, Errno> {
        let len = page_up(size).filter(|len| *len <= HIGHEST - LOWEST).ok_or(Errno::ENOMEM)?;
        self.check_count()?;
        let start = self.choose(addr, len, fixed)?;
        if fixed == Fixed::Replace {
            self.forget(start, start + len);
        }
        self.platform.map_file(self.space(), start, len, prot, object.handle, 0, true)?;
        let content = Content::Shared { object, offset: 0 };
        self.insert(Vma { start, end: start + len, prot, shared: true, content, name: "", on_fork: OnFork::Copy });
        Ok(start)
    }

    /// shmdt(2): takes away what is left of the mapping of an object that began at `addr`.
    pub fn detach(&mut self, addr: u64) -> Result<(), Errno> {
        let Some(Content::Shared { object, .. }) = self.find(addr).map(|vma| vma.content.clone()) else {
            return Err(Errno::EINVAL);
        };
        let of_it = |vma: &&Vma| match &vma.content {
            Content::Shared { object: other, offset } => Rc::ptr_eq(other, &object) && vma.start == addr + offset,
            _ => false,
        };
        let parts: Vec<(u64, u64)> = self.vmas().filter(of_it).map(|vma| (vma.start, vma.end)).collect();
        parts.into_iter().try_for_each(|(start, end)| self.munmap(start, end - start))
    }

    /// Asks the host for the pages of a new mapping.
    fn fill(&mut self, request: &Request, start: u64, end: u64) -> Result<Content, Errno> {
        let len = end - start;
        match &request.file {
            Some((file, offset)) => {
                let end = self.fill_file(file, *offset, start, end, request.prot, request.shared)?;
                Ok(Content::File { file: file.clone(), offset: *offset, end })
            }
            None if request.shared => {
                let object = Rc::new(Object::new(self.platform, len)?);
                self.platform.map_file(self.space(), start, len, request.prot, object.handle, 0, true)?;
                Ok(Content::Shared { object, offset: 0 })
            }
            None if request.prot == PROT_NONE => {
                self.platform.reserve(self.space(), start, len)?;
                Ok(Content::Anon { backed: false })
            }
            None => {
                self.platform.map_anon(self.space(), start, len, request.prot)?;
                Ok(Content::Anon { backed: true })
            }
        }
    }

    /// Maps a file's pieces; returns the address where the file ends (at most `end`).
    pub(super) fn fill_file(
        &self,
        file: &Rc<OpenFile>,
        offset: u64,
        start: u64,
        end: u64,
        prot: u32,
        shared: bool,
    ) -> Result<u64, Errno> {
        let mut at = start;
        for piece in file.file.backing(offset, end - start, shared)? {
            if at >= end {
                break;
            }
            let (Backing::Host { len, .. }
            | Backing::Layer { len, .. }
            | Backing::Zero { len }
            | Backing::Copy { len }) = piece;
            let len = page_up(len).ok_or(Errno::EOVERFLOW)?.min(end - at);
            match piece {
                Backing::Host { handle, offset, .. } => {
                    self.platform.map_file(self.space(), at, len, prot, handle, offset, shared)?;
                }
                Backing::Layer { handle, offset, .. } => {
                    self.platform.map_file(self.space(), at, len, prot, handle, offset, false)?;
                }
                Backing::Zero { .. } => self.platform.map_anon(self.space(), at, len, prot)?,
                Backing::Copy { .. } => self.fill_copy(file, offset + (at - start), at, len, prot)?,
            }
            at += len;
        }
        if at < end {
            self.platform.reserve(self.space(), at, end - at)?;
        }
        Ok(at)
    }

    /// Private pages with a copy of the file's bytes.
    fn fill_copy(&self, file: &Rc<OpenFile>, offset: u64, at: u64, len: u64, prot: u32) -> Result<(), Errno> {
        self.platform.map_anon(self.space(), at, len, PROT_READ | PROT_WRITE)?;
        let mut buf = vec![0; len.min(256 << 10) as usize];
        let mut done = 0;
        while done < len {
            let want = (len - done).min(buf.len() as u64) as usize;
            let got = match file.file.read_at(offset + done, &mut buf[..want], true) {
                Ok(got) => got,
                Err(Stop::Errno(errno)) => return Err(errno),
                Err(_) => return Err(Errno::EIO),
            };
            if got == 0 {
                break;
            }
            if self.platform.write(self.space(), at + done, &buf[..got]) < got {
                return Err(Errno::ENOMEM);
            }
            done += got as u64;
        }
        match prot == PROT_READ | PROT_WRITE {
            true => Ok(()),
            false => self.platform.protect(self.space(), at, len, prot),
        }
    }

    /// munmap(2).
    pub fn munmap(&mut self, addr: u64, len: u64) -> Result<(), Errno> {
        let len = page_up(len).filter(|len| *len != 0).ok_or(Errno::EINVAL)?;
        if !addr.is_multiple_of(PAGE) || addr.checked_add(len).is_none_or(|end| end > 1 << 32) {
            return Err(Errno::EINVAL);
        }
        if self.intersecting(addr, addr + len).is_empty() {
            return Ok(());
        }
        self.forget(addr, addr + len);
        let (start, end) = (addr.max(LOWEST), (addr + len).min(HIGHEST));
        if start < end { self.platform.unmap(self.space(), start, end - start) } else { Ok(()) }
    }

    /// Takes a range out of the list; the host's pages are somebody else's matter.
    pub(super) fn forget(&mut self, start: u64, end: u64) {
        self.split(start);
        self.split(end);
        for key in self.intersecting(start, end) {
            self.vmas.remove(&key);
        }
    }

    /// brk(2): moves the end of the heap; returns where it is now.
    pub fn set_brk(&mut self, wanted: u64) -> u64 {
        if wanted < self.brk_start || wanted > HIGHEST {
            return self.brk;
        }
        let (Some(old), Some(new)) = (page_up(self.brk), page_up(wanted)) else { return self.brk };
        if new > old {
            if !self.is_free(old, new) {
                return self.brk;
            }
            let request = Request {
                addr: old,
                len: new - old,
                prot: PROT_READ | PROT_WRITE,
                shared: false,
                fixed: Fixed::NoReplace,
                file: None,
                name: "[heap]",
            };
            if self.mmap(request).is_err() {
                return self.brk;
            }
        } else if new < old && self.munmap(new, old - new).is_err() {
            return self.brk;
        }
        self.brk = wanted;
        wanted
    }

    /// Maps `file_len` bytes of a program segment at any address, zero from there to `memory_len`.
    /// `offset` and `addr` agree within a page.
    #[allow(clippy::too_many_arguments, reason = "the words of a program header")]
    pub fn map_segment(
        &mut self,
        file: &Rc<OpenFile>,
        offset: u64,
        addr: u64,
        file_len: u64,
        memory_len: u64,
        prot: u32,
    ) -> Result<(), Errno> {
        let start = page_down(addr);
        let end = addr.checked_add(memory_len).and_then(page_up).ok_or(Errno::ENOEXEC)?;
        let file_end = addr + file_len;
        let mapped_end = if file_len == 0 { start } else { page_up(file_end).ok_or(Errno::ENOEXEC)? };
        let tail = memory_len > file_len && !file_end.is_multiple_of(PAGE) && file_len != 0;
        if mapped_end > start {
            let prot_now = if tail { prot | PROT_WRITE } else { prot };
            let mut request = Request {
                addr: start,
                len: mapped_end - start,
                prot: prot_now,
                shared: false,
                fixed: Fixed::NoReplace,
                file: Some((file.clone(), page_down(offset))),
                name: "",
            };
            request.fixed = Fixed::NoReplace;
            self.mmap(request)?;
        }
        if tail {
            let zeros = [0; PAGE as usize];
            let count = (mapped_end - file_end) as usize;
            if self.platform.write(self.space(), file_end, &zeros[..count]) < count {
                return Err(Errno::ENOEXEC);
            }
            if prot & PROT_WRITE == 0 {
                self.mprotect(start, mapped_end - start, prot)?;
            }
        }
        if end > mapped_end {
            self.mmap(Request {
                addr: mapped_end,
                len: end - mapped_end,
                prot,
                shared: false,
                fixed: Fixed::NoReplace,
                file: None,
                name: "",
            })?;
        }
        Ok(())
    }
}
