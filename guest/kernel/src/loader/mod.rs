//! From a file to a program in memory: `#!` lines, ELF segments, the first words of the stack.
//!
//! `load` does everything that can fail in a new address map, so that execve(2) can still go back.

pub mod elf;
mod script;
mod stack;

use std::rc::Rc;

use shallop_linux_abi::elf::*;
use shallop_linux_abi::mman::*;
use shallop_linux_abi::{Errno, file::open};

use crate::kernel::Kernel;
use crate::mm::{Fixed, Mm, Request, page_up};
use crate::tunables::*;
use crate::vfs::open_file::OpenFile;
use crate::vfs::path::{Limits, Walk};
use crate::vfs::{FileKind, Location, Stat, permission};
use crate::wait::{Stop, Tid};

/// A program in memory, ready to start.
pub struct Loaded {
    pub mm: Mm,
    pub pc: u64,
    pub sp: u64,
    /// The ELF file itself (for a script: its interpreter).
    pub exe: Location,
    pub stat: Stat,
    /// Arguments as the program sees them.
    pub argv: Vec<Vec<u8>>,
    pub auxv: Vec<u8>,
}

/// What execve(2) is given.
pub struct Program {
    /// What AT_EXECFN shows.
    pub path: Vec<u8>,
    pub argv: Vec<Vec<u8>>,
    pub env: Vec<Vec<u8>>,
}

/// Follows a path as the task sees it.
pub fn find(k: &Kernel, tid: Tid, path: &[u8]) -> Result<Location, Errno> {
    let base = k.task(tid).fs.borrow().cwd.clone();
    find_from(k, tid, &base, path)
}

/// Follows a path from a place.
pub fn find_from(k: &Kernel, tid: Tid, base: &Location, path: &[u8]) -> Result<Location, Errno> {
    let task = k.task(tid);
    let fs = task.fs.borrow();
    let walk = Walk {
        mounts: &k.mounts,
        credentials: &task.credentials,
        root: &fs.root,
        kernel: Some((k, tid)),
        limits: Limits::default(),
    };
    walk.resolve(base, path, true)
}

/// Opens a file that is to be executed. EACCES when it is no plain file or may not be executed.
fn open_program(k: &Kernel, tid: Tid, location: &Location) -> Result<Rc<OpenFile>, Errno> {
    if location.inode.kind() != FileKind::Regular {
        return Err(Errno::EACCES);
    }
    permission::check(&k.task(tid).credentials, &location.inode, permission::EXEC)?;
    let file = location.inode.open(open::RDONLY).map_err(errno)?;
    Ok(OpenFile::new(file, location.clone(), open::RDONLY, &k.io.locks))
}

fn errno(stop: Stop) -> Errno {
    match stop {
        Stop::Errno(errno) => errno,
        _ => Errno::EIO,
    }
}

/// Fills `buf` from the file as far as it goes.
fn read(file: &OpenFile, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
    let mut done = 0;
    while done < buf.len() {
        match file.file.read_at(offset + done as u64, &mut buf[done..], true).map_err(errno)? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

/// A random number below `bound`, in whole pages.
fn random_pages(k: &Kernel, bound: u64) -> u64 {
    let mut bytes = [0; 8];
    k.platform.random(&mut bytes);
    u64::from_le_bytes(bytes) % (bound / PAGE).max(1) * PAGE
}

/// Loads the program at `location` into a new address map.
pub fn load(k: &Kernel, tid: Tid, location: Location, mut program: Program) -> Result<Loaded, Errno> {
    let mut location = location;
    let mut first = [0; SCRIPT_LINE];
    for _ in 0..=SCRIPT_DEPTH {
        let file = open_program(k, tid, &location)?;
        let stat = location.inode.stat()?;
        let count = read(&file, 0, &mut first)?;
        match script::parse(&first[..count])? {
            Some(line) => {
                let path = std::mem::take(&mut program.path);
                let rest = program.argv.drain(..).skip(1);
                program.argv =
                    [line.interpreter.clone()].into_iter().chain(line.argument).chain([path]).chain(rest).collect();
                location = find(k, tid, &line.interpreter)?;
                program.path = line.interpreter;
            }
            None => return load_elf(k, tid, location, stat, &file, program),
        }
    }
    Err(Errno::ELOOP)
}

fn load_elf(
    k: &Kernel,
    tid: Tid,
    exe: Location,
    stat: Stat,
    file: &Rc<OpenFile>,
    program: Program,
) -> Result<Loaded, Errno> {
    let machine = k.isa.elf_machine();
    let image = elf::Image::read(file, machine)?;
    let interpreter = match &image.interpreter {
        Some(path) => {
            let file = open_program(k, tid, &find(k, tid, path)?)?;
            Some((elf::Image::read(&file, machine).map_err(|_| Errno::ELIBBAD)?, file))
        }
        None => None,
    };
    let mut mm = Mm::new(k.platform)?;
    map_restorer(k, &mut mm)?;
    let stack_top = RESTORER - PAGE - random_pages(k, STACK_RANDOM);
    let stack_size = stack_limit(k, tid);
    mm.mmap_base = stack_top - stack_size - STACK_GUARD;

    let wanted = if image.fixed { 0 } else { PIE_BASE + random_pages(k, PIE_RANDOM) };
    let bias = image.map(&mut mm, file, wanted)?;
    let program_end = page_up(bias.wrapping_add(image.end)).ok_or(Errno::ENOEXEC)?;
    mm.brk_start = program_end + PAGE + random_pages(k, BRK_RANDOM);
    mm.brk = mm.brk_start;
    let entry = bias.wrapping_add(image.entry);
    let (pc, base) = match &interpreter {
        Some((interpreter, file)) => {
            let size = interpreter.end - interpreter.start;
            let at = mm.mmap_base.checked_sub(page_up(size).ok_or(Errno::ENOEXEC)?).ok_or(Errno::ENOMEM)?;
            let bias = interpreter.map(&mut mm, file, at)?;
            (bias.wrapping_add(interpreter.entry), bias)
        }
        None => (entry, 0),
    };
    map_stack(&mut mm, stack_top, stack_size, image.executable_stack)?;
    let credentials = exec_credentials(k, tid, &stat);
    let words = [
        (AT_PHDR, bias.wrapping_add(image.headers_at)),
        (AT_PHENT, 56),
        (AT_PHNUM, image.headers.len() as u64),
        (AT_BASE, base),
        (AT_ENTRY, entry),
        (AT_UID, credentials.uid.into()),
        (AT_EUID, credentials.euid.into()),
        (AT_GID, credentials.gid.into()),
        (AT_EGID, credentials.egid.into()),
        (AT_SECURE, u64::from(credentials.uid != credentials.euid || credentials.gid != credentials.egid)),
    ];
    let (sp, auxv) = stack::build(k, &mut mm, stack_top, &program, &words)?;
    Ok(Loaded { mm, pc, sp, exe, stat, argv: program.argv, auxv })
}

/// Who the task will be after executing a file: set-user-ID and set-group-ID bits (execve(2)), capabilities(7).
pub fn exec_credentials(k: &Kernel, tid: Tid, stat: &Stat) -> crate::task::Credentials {
    let mut who = k.task(tid).credentials.clone();
    if !who.no_new_privs {
        if stat.mode & 0o4000 != 0 {
            who.euid = stat.uid;
        }
        if stat.mode & 0o2010 == 0o2010 {
            who.egid = stat.gid;
        }
    }
    who.keep_caps = false;
    who.suid = who.euid;
    who.fsuid = who.euid;
    who.sgid = who.egid;
    who.fsgid = who.egid;
    who.caps.exec(who.uid == 0 || who.euid == 0, who.euid == 0);
    who
}

/// RLIMIT_STACK, within reason.
fn stack_limit(k: &Kernel, tid: Tid) -> u64 {
    let (soft, _) = k.process_of(tid).rlimits[shallop_linux_abi::rlimit::RLIMIT_STACK];
    soft.clamp(128 << 10, 64 << 20) & !(PAGE - 1)
}

fn map_stack(mm: &mut Mm, top: u64, size: u64, executable: bool) -> Result<(), Errno> {
    let prot = PROT_READ | PROT_WRITE | if executable { PROT_EXEC } else { 0 };
    let request = Request {
        addr: top - size,
        len: size,
        prot,
        shared: false,
        fixed: Fixed::NoReplace,
        file: None,
        name: "[stack]",
    };
    mm.mmap(request).map(drop)
}

/// The page with the code that calls rt_sigreturn.
fn map_restorer(k: &Kernel, mm: &mut Mm) -> Result<(), Errno> {
    let prot = PROT_READ | PROT_WRITE;
    mm.mmap(Request {
        addr: RESTORER,
        len: PAGE,
        prot,
        shared: false,
        fixed: Fixed::NoReplace,
        file: None,
        name: "[vdso]",
    })?;
    let code = k.isa.restorer_code();
    if k.platform.write(mm.space(), RESTORER, code) < code.len() {
        return Err(Errno::ENOMEM);
    }
    mm.mprotect(RESTORER, PAGE, PROT_READ | PROT_EXEC)
}
