//! Mapped files that change size: what is cut off faults, what is added can be seen.

use std::rc::Rc;

use super::{Content, Mm, page_down, page_up};
use crate::kernel::Kernel;
use crate::vfs::InodeRef;

impl Mm {
    /// After a fault behind the end of a mapped file: maps what the file has there by now. True when the access can be
    /// tried again.
    pub fn refill(&mut self, addr: u64) -> bool {
        let Some(vma) = self.find(addr).cloned() else { return false };
        let Content::File { file, offset, end } = &vma.content else { return false };
        let from = (*end).max(vma.start);
        let Ok(stat) = file.location.inode.stat() else { return false };
        if addr < from || offset + (page_down(addr) - vma.start) >= stat.size {
            return false;
        }
        let Ok(end) = self.fill_file(file, offset + (from - vma.start), from, vma.end, vma.prot, vma.shared) else {
            return false;
        };
        if let Some(Content::File { end: old, .. }) = self.vmas.get_mut(&vma.start).map(|v| &mut v.content) {
            *old = end;
        }
        addr < end
    }

    /// The file has `size` bytes now: pages of it that are behind are gone.
    fn cut_file(&mut self, inode: &InodeRef, size: u64) {
        let space = self.space();
        for vma in self.vmas.values_mut() {
            let Content::File { file, offset, end } = &mut vma.content else { continue };
            if !std::ptr::addr_eq(Rc::as_ptr(&file.location.inode), Rc::as_ptr(inode)) {
                continue;
            }
            let left = page_up(size.saturating_sub(*offset)).unwrap_or(u64::MAX);
            let keep = vma.start.saturating_add(left);
            let mapped = (*end).min(vma.end);
            if keep < mapped {
                // Should the host refuse, the pages stay readable: no more than was there before.
                let _ = self.platform.reserve(space, keep, mapped - keep);
                *end = keep;
            }
        }
    }
}

impl Kernel {
    /// Whether some process has a shared mapping of the file that can be written, or be made so.
    pub fn is_mapped_writable(&self, inode: &InodeRef) -> bool {
        let of_file = |vma: &super::Vma| match &vma.content {
            Content::File { file, .. } => {
                let same = std::ptr::addr_eq(Rc::as_ptr(&file.location.inode), Rc::as_ptr(inode));
                same && vma.shared && file.writable()
            }
            _ => false,
        };
        self.processes.iter().any(|process| process.mm.borrow().vmas().any(of_file))
    }

    /// To be called after a file was made shorter.
    pub fn file_cut(&self, inode: &InodeRef, size: u64) {
        for process in self.processes.iter().filter(|p| !p.is_zombie()) {
            if let Ok(mut mm) = process.mm.try_borrow_mut() {
                mm.cut_file(inode, size);
            }
        }
    }
}
