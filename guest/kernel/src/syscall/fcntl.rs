//! fcntl and flock.

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::{fcntl as cmd, open, seal, seek};

use crate::dispatch::Call;
use crate::fs::pipe::PipeEnd;
use crate::kernel::Kernel;
use crate::vfs::lock::{Lock, LockClass};
use crate::vfs::open_file::OpenFile;
use crate::wait::{Stop, SysResult, Tid, Wait};

/// `fcntl(fd, cmd, arg)`
pub fn fcntl(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, command, arg, ..] = call.args;
    let (fd, command) = (fd as u32, command as u32);
    let file = k.any_file(call.tid, fd.into())?;
    let allowed_on_path = matches!(command, cmd::DUPFD | cmd::DUPFD_CLOEXEC | cmd::GETFD | cmd::SETFD | cmd::GETFL);
    if file.is_path() && !allowed_on_path {
        return Err(Errno::EBADF.into());
    }
    match command {
        cmd::DUPFD | cmd::DUPFD_CLOEXEC => {
            let limit = k.open_files_limit(call.tid);
            if u64::from(arg as u32) >= limit {
                return Err(Errno::EINVAL.into());
            }
            let mut files = k.task(call.tid).files.borrow_mut();
            Ok(files.insert(file, command == cmd::DUPFD_CLOEXEC, arg as u32, limit)?.into())
        }
        cmd::GETFD => Ok(u64::from(k.task(call.tid).files.borrow().slot(fd)?.cloexec)),
        cmd::SETFD => {
            k.task(call.tid).files.borrow_mut().set_cloexec(fd, arg & cmd::FD_CLOEXEC != 0)?;
            Ok(0)
        }
        cmd::GETFL => Ok((file.flags() | if file.is_path() { 0 } else { open::LARGEFILE }).into()),
        cmd::SETFL => {
            file.set_flags(arg as u32);
            Ok(0)
        }
        cmd::GETLK | cmd::OFD_GETLK => test_lock(k, call, &file, command == cmd::OFD_GETLK),
        cmd::SETLK | cmd::SETLKW | cmd::OFD_SETLK | cmd::OFD_SETLKW => set_lock(k, call, &file, command),
        // The owner of SIGIO and SIGURG is kept, but nothing sends them.
        cmd::SETOWN => {
            file.owner.set(arg as i32);
            Ok(0)
        }
        cmd::GETOWN => Ok(file.owner.get() as u64),
        cmd::SETSIG | cmd::GETSIG => Ok(0),
        cmd::GETPIPE_SZ => Ok(pipe(&file)?.pipe.capacity() as u64),
        cmd::SETPIPE_SZ => Ok(pipe(&file)?.pipe.set_capacity(arg as u32 as usize)? as u64),
        cmd::GET_SEALS => Ok(file.location.inode.seals().ok_or(Errno::EINVAL)?.into()),
        cmd::ADD_SEALS => add_seals(k, &file, arg as u32),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// F_ADD_SEALS: EBUSY when the file is to be write-protected and somebody has it mapped for writing.
fn add_seals(k: &Kernel, file: &OpenFile, seals: u32) -> SysResult {
    let inode = &file.location.inode;
    let held = inode.seals().ok_or(Errno::EINVAL)?;
    if !file.writable() {
        return Err(Errno::EPERM.into());
    }
    if seals & !seal::ALL != 0 {
        return Err(Errno::EINVAL.into());
    }
    if held & seal::SEAL != 0 {
        return Err(Errno::EPERM.into());
    }
    if seals & seal::WRITE != 0 && held & seal::WRITE == 0 && k.is_mapped_writable(inode) {
        return Err(Errno::EBUSY.into());
    }
    inode.add_seals(seals)?;
    Ok(0)
}

fn pipe(file: &OpenFile) -> Result<&PipeEnd, Errno> {
    file.file.as_any().downcast_ref::<PipeEnd>().ok_or(Errno::EBADF)
}

/// struct flock: type, whence, start, length, pid.
struct Flock {
    kind: i16,
    start: u64,
    end: u64,
    pid: i32,
}

fn read_flock(k: &Kernel, tid: Tid, addr: u64, file: &OpenFile) -> Result<Flock, Errno> {
    let mut bytes = [0; 32];
    k.read_memory(tid, addr, &mut bytes)?;
    let half = |at: usize| i16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let word = |at: usize| i64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    let base = match half(2) as u32 {
        seek::SET => 0,
        seek::CUR => file.offset.get() as i64,
        seek::END => file.location.inode.stat()?.size as i64,
        _ => return Err(Errno::EINVAL),
    };
    let from = base.checked_add(word(8)).ok_or(Errno::EOVERFLOW)?;
    let to = match word(16) {
        0 => None,
        len => Some(from.checked_add(len).ok_or(Errno::EOVERFLOW)?),
    };
    // A negative length is a range before the start.
    let (from, to) = match to {
        Some(to) if to < from => (to, Some(from)),
        other => (from, other),
    };
    let start = u64::try_from(from).map_err(|_| Errno::EINVAL)?;
    let end = to.map_or(u64::MAX, |to| to as u64);
    let pid = i32::from_le_bytes([bytes[24], bytes[25], bytes[26], bytes[27]]);
    Ok(Flock { kind: half(0), start, end, pid })
}

/// The lock that a struct flock asks for, owned by the task's table or by the description.
fn wanted(k: &Kernel, tid: Tid, file: &OpenFile, flock: &Flock, ofd: bool) -> Result<Lock, Errno> {
    if ofd && flock.pid != 0 {
        return Err(Errno::EINVAL);
    }
    let task = k.task(tid);
    let owner = if ofd { file.lock_owner() } else { task.files.borrow().lock_owner() };
    let pid = if ofd { -1 } else { task.pid.0 as i32 };
    let exclusive = match flock.kind {
        cmd::F_RDLCK | cmd::F_UNLCK => false,
        cmd::F_WRLCK => true,
        _ => return Err(Errno::EINVAL),
    };
    Ok(Lock { owner, pid, start: flock.start, end: flock.end, exclusive })
}

fn identity(file: &OpenFile) -> Result<(u64, u64), Errno> {
    file.location.inode.stat().map(|stat| (stat.dev, stat.ino))
}

fn test_lock(k: &mut Kernel, call: &Call, file: &OpenFile, ofd: bool) -> SysResult {
    let addr = call.args[2];
    let flock = read_flock(k, call.tid, addr, file)?;
    if flock.kind == cmd::F_UNLCK {
        return Err(Errno::EINVAL.into());
    }
    let wanted = wanted(k, call.tid, file, &flock, ofd)?;
    match k.io.locks.conflict(LockClass::Record, identity(file)?, &wanted) {
        None => k.write_memory(call.tid, addr, &cmd::F_UNLCK.to_le_bytes())?,
        Some(lock) => {
            let kind = if lock.exclusive { cmd::F_WRLCK } else { cmd::F_RDLCK };
            let len = if lock.end == u64::MAX { 0 } else { lock.end - lock.start };
            let mut bytes = vec![0; 32];
            bytes[..2].copy_from_slice(&kind.to_le_bytes());
            bytes[8..16].copy_from_slice(&lock.start.to_le_bytes());
            bytes[16..24].copy_from_slice(&len.to_le_bytes());
            bytes[24..28].copy_from_slice(&lock.pid.to_le_bytes());
            k.write_memory(call.tid, addr, &bytes)?;
        }
    }
    Ok(0)
}

fn set_lock(k: &mut Kernel, call: &Call, file: &OpenFile, command: u32) -> SysResult {
    let ofd = matches!(command, cmd::OFD_SETLK | cmd::OFD_SETLKW);
    let flock = read_flock(k, call.tid, call.args[2], file)?;
    let wanted = wanted(k, call.tid, file, &flock, ofd)?;
    let identity = identity(file)?;
    if flock.kind == cmd::F_UNLCK {
        k.io.locks.release(LockClass::Record, identity, wanted.owner, wanted.start, wanted.end);
        return Ok(0);
    }
    let permitted = if wanted.exclusive { file.writable() } else { file.readable() };
    if !permitted {
        return Err(Errno::EBADF.into());
    }
    match k.io.locks.acquire(LockClass::Record, identity, wanted) {
        Ok(()) => Ok(0),
        Err(queue) if matches!(command, cmd::SETLKW | cmd::OFD_SETLKW) => Err(Stop::Block(Wait::on(&queue))),
        Err(_) => Err(Errno::EAGAIN.into()),
    }
}

/// `flock(fd, operation)`
pub fn flock(k: &mut Kernel, call: &Call) -> SysResult {
    const SHARED: u32 = 1;
    const EXCLUSIVE: u32 = 2;
    const NONBLOCK: u32 = 4;
    const UNLOCK: u32 = 8;
    let operation = call.args[1] as u32;
    let file = k.file(call.tid, call.args[0])?;
    let (identity, owner) = (identity(&file)?, file.lock_owner());
    let exclusive = match operation & !NONBLOCK {
        SHARED => false,
        EXCLUSIVE => true,
        UNLOCK => {
            k.io.locks.release(LockClass::Flock, identity, owner, 0, u64::MAX);
            return Ok(0);
        }
        _ => return Err(Errno::EINVAL.into()),
    };
    let pid = k.task(call.tid).pid.0 as i32;
    let lock = Lock { owner, pid, start: 0, end: u64::MAX, exclusive };
    match k.io.locks.acquire(LockClass::Flock, identity, lock) {
        Ok(()) => Ok(0),
        Err(_) if operation & NONBLOCK != 0 => Err(Errno::EAGAIN.into()),
        Err(queue) => Err(Stop::Block(Wait::on(&queue))),
    }
}
