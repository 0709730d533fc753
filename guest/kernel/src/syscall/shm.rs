//! shmget(2), shmat(2), shmdt(2), shmctl(2).

use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::ipc::*;
use shallop_linux_abi::mman::{PROT_EXEC, PROT_READ, PROT_WRITE};

use super::stat::Struct;
use crate::dispatch::Call;
use crate::ipc::shm::{SEGMENTS_MAX, Segment};
use crate::ipc::{Entry, Permissions, Wanted};
use crate::kernel::Kernel;
use crate::mm::{Fixed, Object, page_down, page_up};
use crate::tunables::PAGE;
use crate::wait::{SysResult, Tid};

/// `shmget(key, size, flags)`
pub fn shmget(k: &mut Kernel, call: &Call) -> SysResult {
    let [key, size, flags, ..] = call.args;
    let flags = flags as u32;
    k.drop_dead_segments();
    let (platform, now) = (k.platform, k.now_realtime().sec);
    let who = k.task(call.tid).credentials.clone();
    let creator = k.task(call.tid).pid.0;
    let wanted = Wanted { key: key as i32, flags, limit: SEGMENTS_MAX };
    let fits = |segment: &Segment| if size > segment.size { Err(Errno::EINVAL) } else { Ok(()) };
    let make = || {
        let len = page_up(size).filter(|len| *len != 0).ok_or(Errno::EINVAL)?;
        if flags & SHM_HUGETLB != 0 {
            return Err(Errno::ENOMEM);
        }
        if len > 1 << 32 {
            return Err(Errno::ENOMEM);
        }
        let object = Rc::new(Object::new(platform, len)?);
        Ok(Segment::new(object, size, creator, now))
    };
    Ok(k.ipc.shm.get(wanted, &who, fits, make)?.into())
}

/// `shmat(id, addr, flags)`: returns the address.
pub fn shmat(k: &mut Kernel, call: &Call) -> SysResult {
    let [id, addr, flags, ..] = call.args;
    let flags = flags as u32;
    let who = k.task(call.tid).credentials.clone();
    let (pid, now) = (k.task(call.tid).pid.0, k.now_realtime().sec);
    let fixed = match addr {
        0 if flags & SHM_REMAP != 0 => return Err(Errno::EINVAL.into()),
        0 => Fixed::Hint,
        _ if !addr.is_multiple_of(PAGE) && flags & SHM_RND == 0 => return Err(Errno::EINVAL.into()),
        _ if flags & SHM_REMAP != 0 => Fixed::Replace,
        _ => Fixed::NoReplace,
    };
    let entry = k.ipc.shm.find(id)?;
    let writes = flags & SHM_RDONLY == 0;
    entry.permissions.check(&who, if writes { 0o666 } else { 0o444 })?;
    let object = entry.item.object().ok_or(Errno::EIDRM)?;
    let size = entry.item.size;
    let exec = if flags & SHM_EXEC != 0 { PROT_EXEC } else { 0 };
    let prot = PROT_READ | if writes { PROT_WRITE } else { 0 } | exec;
    let mm = k.process_of(call.tid).mm.clone();
    let at = mm.borrow_mut().attach(object, size, page_down(addr), fixed, prot).map_err(|errno| match errno {
        Errno::EEXIST => Errno::EINVAL,
        other => other,
    })?;
    let segment = &mut k.ipc.shm.find(id)?.item;
    (segment.attached, segment.last) = (now, pid);
    Ok(at)
}

/// `shmdt(addr)`
pub fn shmdt(k: &mut Kernel, call: &Call) -> SysResult {
    let (pid, now) = (k.task(call.tid).pid.0, k.now_realtime().sec);
    let mm = k.process_of(call.tid).mm.clone();
    let mut mm = mm.borrow_mut();
    let vma = mm.find(call.args[0]).filter(|vma| vma.start == call.args[0]).ok_or(Errno::EINVAL)?;
    let segment = k.ipc.shm.iter_mut().find(|entry| entry.item.is_shown_by(vma)).ok_or(Errno::EINVAL)?;
    (segment.item.detached, segment.item.last) = (now, pid);
    mm.detach(call.args[0])?;
    drop(mm);
    k.drop_dead_segments();
    Ok(0)
}

/// `shmctl(id, command, buf)`
pub fn shmctl(k: &mut Kernel, call: &Call) -> SysResult {
    let [id, command, buf, ..] = call.args;
    let (tid, command) = (call.tid, command as u32);
    k.drop_dead_segments();
    let who = k.task(tid).credentials.clone();
    let now = k.now_realtime().sec;
    match command {
        IPC_INFO => {
            let most = u64::MAX - (1 << 24);
            let words = [most, 1, SEGMENTS_MAX as u64, SEGMENTS_MAX as u64, most, 0, 0, 0, 0];
            let bytes = words.iter().fold(Struct::default(), |bytes, word| bytes.u64(*word));
            k.write_memory(tid, buf, &bytes.0)?;
            return Ok(k.ipc.shm.last_index());
        }
        SHM_INFO => {
            let pages: u64 = k.ipc.shm.iter().map(|(_, entry)| entry.item.size.div_ceil(PAGE)).sum();
            let used = k.ipc.shm.iter().count() as u32;
            let bytes = Struct::default().u32(used).u32(0).u64(pages).u64(pages).u64(0).u64(0).u64(0);
            k.write_memory(tid, buf, &bytes.0)?;
            return Ok(k.ipc.shm.last_index());
        }
        IPC_STAT | SHM_STAT | SHM_STAT_ANY => {
            let (returned, _) = k.ipc.shm.read(id, command, (command != SHM_STAT_ANY).then_some(&who))?;
            write_status(k, tid, if command == IPC_STAT { id } else { returned }, buf)?;
            return Ok(returned);
        }
        _ => {}
    }
    let entry = k.ipc.shm.find(id)?;
    match command {
        IPC_RMID => {
            entry.permissions.check_owner(&who)?;
            entry.permissions.key = IPC_PRIVATE;
            entry.permissions.mode |= SHM_DEST;
            entry.item.kept = None;
            k.drop_dead_segments();
        }
        IPC_SET => {
            entry.permissions.check_owner(&who)?;
            set_permissions(k, tid, buf, |k| Ok(&mut k.ipc.shm.find(id)?.permissions))?;
            k.ipc.shm.find(id)?.item.changed = now;
        }
        // Nothing is ever swapped.
        SHM_LOCK | SHM_UNLOCK => entry.permissions.check_owner(&who)?,
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}

/// IPC_SET: owner and mode from the struct at `buf`.
pub(super) fn set_permissions(
    k: &mut Kernel,
    tid: Tid,
    buf: u64,
    find: impl FnOnce(&mut Kernel) -> Result<&mut Permissions, Errno>,
) -> Result<(), Errno> {
    let (uid, gid, mode) = (k.read_u32(tid, buf + 4)?, k.read_u32(tid, buf + 8)?, k.read_u32(tid, buf + 20)?);
    let permissions = find(k)?;
    (permissions.uid, permissions.gid) = (uid, gid);
    permissions.mode = permissions.mode & !0o777 | mode & 0o777;
    Ok(())
}

/// struct ipc64_perm.
pub(super) fn permission_bytes(of: &Permissions) -> Struct {
    let ids = Struct::default().u32(of.key as u32).u32(of.uid).u32(of.gid).u32(of.creator_uid).u32(of.creator_gid);
    ids.u32(of.mode).u16(of.sequence as u16).u16(0).u32(0).u64(0).u64(0)
}

/// struct shmid64_ds.
fn write_status(k: &mut Kernel, tid: Tid, id: u64, buf: u64) -> Result<(), Errno> {
    let Entry { permissions, item } = k.ipc.shm.find(id)?;
    let head = permission_bytes(permissions).u64(item.size).u64(item.attached as u64).u64(item.detached as u64);
    let head = head.u64(item.changed as u64).u32(item.creator).u32(item.last);
    let attachments = attachments(k, id)?;
    k.write_memory(tid, buf, &head.u64(attachments).u64(0).u64(0).0)
}

fn attachments(k: &Kernel, id: u64) -> Result<u64, Errno> {
    let found = k.ipc.shm.iter().find(|(other, _)| u64::from(*other) == id).ok_or(Errno::EINVAL)?;
    Ok(k.attachments(&found.1.item))
}
