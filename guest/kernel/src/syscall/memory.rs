//! mmap(2) and its family, brk(2).

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::{open, seal};
use shallop_linux_abi::mman::*;

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::mm::{Fixed, Request, page_up};
use crate::tunables::PAGE;
use crate::vfs::FileKind;
use crate::vfs::open_file::OpenFile;
use crate::wait::SysResult;

pub fn mmap(k: &mut Kernel, call: &Call) -> SysResult {
    let [addr, len, prot, flags, fd, offset] = call.args;
    let (prot, flags) = (prot as u32, flags as u32);
    if !offset.is_multiple_of(PAGE) || len == 0 {
        return Err(Errno::EINVAL.into());
    }
    let shared = match flags & MAP_TYPE {
        MAP_PRIVATE => false,
        MAP_SHARED | MAP_SHARED_VALIDATE => true,
        _ => return Err(Errno::EINVAL.into()),
    };
    let fixed = match flags {
        _ if flags & MAP_FIXED_NOREPLACE != 0 => Fixed::NoReplace,
        _ if flags & MAP_FIXED != 0 => Fixed::Replace,
        _ => Fixed::Hint,
    };
    if flags & MAP_HUGETLB != 0 {
        return Err(Errno::ENOMEM.into());
    }
    let prot = prot & (PROT_READ | PROT_WRITE | PROT_EXEC);
    let file = match flags & MAP_ANONYMOUS {
        0 => Some((file_to_map(k, call, fd as u32, prot, shared)?, offset)),
        _ => None,
    };
    if file.is_some() && offset.checked_add(len).is_none() {
        return Err(Errno::EOVERFLOW.into());
    }
    let mm = k.process_of(call.tid).mm.clone();
    let result = mm.borrow_mut().mmap(Request { addr, len, prot, shared, fixed, file, name: "" });
    Ok(result?)
}

fn file_to_map(k: &Kernel, call: &Call, fd: u32, prot: u32, shared: bool) -> Result<std::rc::Rc<OpenFile>, Errno> {
    let file = k.task(call.tid).files.borrow().get(fd)?;
    if file.is_path() {
        return Err(Errno::EBADF);
    }
    if !file.readable() || shared && prot & PROT_WRITE != 0 && file.flags() & open::ACCMODE != open::RDWR {
        return Err(Errno::EACCES);
    }
    if file.location.inode.kind() == FileKind::Directory {
        return Err(Errno::ENODEV);
    }
    if shared && prot & PROT_WRITE != 0 && is_write_sealed(&file) {
        return Err(Errno::EPERM);
    }
    Ok(file)
}

/// Sealed against new shared mappings that write (F_SEAL_WRITE, F_SEAL_FUTURE_WRITE).
pub fn is_write_sealed(file: &OpenFile) -> bool {
    file.location.inode.seals().is_some_and(|seals| seals & (seal::WRITE | seal::FUTURE_WRITE) != 0)
}

pub fn munmap(k: &mut Kernel, call: &Call) -> SysResult {
    let mm = k.process_of(call.tid).mm.clone();
    mm.borrow_mut().munmap(call.args[0], call.args[1])?;
    Ok(0)
}

pub fn mprotect(k: &mut Kernel, call: &Call) -> SysResult {
    let [addr, len, prot, ..] = call.args;
    let mm = k.process_of(call.tid).mm.clone();
    mm.borrow_mut().mprotect(addr, len, prot as u32 & !(PROT_GROWSDOWN | PROT_GROWSUP))?;
    Ok(0)
}

pub fn mremap(k: &mut Kernel, call: &Call) -> SysResult {
    let [old, old_len, new_len, flags, new, _] = call.args;
    let mm = k.process_of(call.tid).mm.clone();
    let result = mm.borrow_mut().mremap(old, old_len, new_len, flags as u32, new);
    Ok(result?)
}

pub fn madvise(k: &mut Kernel, call: &Call) -> SysResult {
    let [addr, len, advice, ..] = call.args;
    let mm = k.process_of(call.tid).mm.clone();
    mm.borrow_mut().madvise(addr, len, advice as u32)?;
    Ok(0)
}

pub fn brk(k: &mut Kernel, call: &Call) -> SysResult {
    let mm = k.process_of(call.tid).mm.clone();
    let result = mm.borrow_mut().set_brk(call.args[0]);
    Ok(result)
}

/// Whether the range is mapped; ENOMEM when not.
fn check_mapped(k: &Kernel, call: &Call) -> Result<(), Errno> {
    let [addr, len, ..] = call.args;
    if !addr.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL);
    }
    let end = page_up(len).and_then(|len| addr.checked_add(len)).ok_or(Errno::ENOMEM)?;
    let mm = k.process_of(call.tid).mm.borrow();
    let mut at = addr;
    while at < end {
        at = mm.find(at).ok_or(Errno::ENOMEM)?.end;
    }
    Ok(())
}

pub fn msync(k: &mut Kernel, call: &Call) -> SysResult {
    let flags = call.args[2];
    if flags & !7 != 0 || flags & 5 == 5 {
        return Err(Errno::EINVAL.into());
    }
    check_mapped(k, call)?;
    if flags & 4 != 0 {
        let (start, end) = (call.args[0], call.args[0] + call.args[1]);
        let mm = k.process_of(call.tid).mm.clone();
        for vma in mm.borrow().vmas().filter(|v| v.shared && v.start < end && start < v.end) {
            if let crate::mm::Content::File { file, .. } = &vma.content {
                file.file.sync()?;
            }
        }
    }
    Ok(0)
}

pub fn mincore(k: &mut Kernel, call: &Call) -> SysResult {
    check_mapped(k, call)?;
    let pages = page_up(call.args[1]).unwrap_or(0) / PAGE;
    k.write_memory(call.tid, call.args[2], &vec![1; pages as usize])?;
    Ok(0)
}

pub fn mlock(k: &mut Kernel, call: &Call) -> SysResult {
    let len = call.args[1].saturating_add(call.args[0] % PAGE);
    let addr = crate::mm::page_down(call.args[0]);
    check_mapped(k, &Call { args: [addr, len, 0, 0, 0, 0], ..*call })?;
    Ok(0)
}

pub fn mlockall(_k: &mut Kernel, _call: &Call) -> SysResult {
    Ok(0)
}

/// riscv_flush_icache(start, end, flags) of arch/riscv: an empty range means all code, as glibc's callers mean it.
pub fn riscv_flush_icache(k: &mut Kernel, call: &Call) -> SysResult {
    let [start, end, flags, ..] = call.args;
    if flags & !SYS_RISCV_FLUSH_ICACHE_LOCAL != 0 {
        return Err(Errno::EINVAL.into());
    }
    let (start, end) = if start < end { (start, end) } else { (0, u64::MAX) };
    let mm = k.process_of(call.tid).mm.clone();
    mm.borrow().flush_code(start, end)?;
    Ok(0)
}
