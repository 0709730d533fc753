//! msgget(2), msgsnd(2), msgrcv(2), msgctl(2).

use shallop_linux_abi::Errno;
use shallop_linux_abi::ipc::*;

use super::shm::{permission_bytes, set_permissions};
use super::stat::Struct;
use crate::dispatch::Call;
use crate::ipc::msg::{MESSAGE_MAX, QUEUE_BYTES, QUEUES_MAX, Queue, Which};
use crate::ipc::{Entry, Wanted};
use crate::kernel::Kernel;
use crate::wait::{OnSignal, Stop, SysResult, Wait};

/// `msgget(key, flags)`
pub fn msgget(k: &mut Kernel, call: &Call) -> SysResult {
    let now = k.now_realtime().sec;
    let who = k.task(call.tid).credentials.clone();
    let wanted = Wanted { key: call.args[0] as i32, flags: call.args[1] as u32, limit: QUEUES_MAX };
    Ok(k.ipc.msg.get(wanted, &who, |_| Ok(()), || Ok(Queue::new(now)))?.into())
}

/// A queue that went away while the call waited is EIDRM, one that never was EINVAL.
fn find<'a>(k: &'a mut Kernel, call: &Call) -> Result<&'a mut Entry<Queue>, Errno> {
    let waited = k.task(call.tid).call.is_some();
    k.ipc.msg.find(call.args[0]).map_err(|errno| if waited { Errno::EIDRM } else { errno })
}

fn wait(queue: &Queue) -> Stop {
    Stop::Block(Wait { on_signal: OnSignal::Interrupt, ..Wait::on(&queue.queue) })
}

/// `msgsnd(id, message, size, flags)`
pub fn msgsnd(k: &mut Kernel, call: &Call) -> SysResult {
    let [_, addr, size, flags, ..] = call.args;
    if size > MESSAGE_MAX {
        return Err(Errno::EINVAL.into());
    }
    let kind = k.read_u64(call.tid, addr)? as i64;
    let mut text = vec![0; size as usize];
    k.read_memory(call.tid, addr + 8, &mut text)?;
    if kind < 1 {
        return Err(Errno::EINVAL.into());
    }
    let (pid, now) = (k.task(call.tid).pid.0, k.now_realtime().sec);
    let who = k.task(call.tid).credentials.clone();
    let entry = find(k, call)?;
    entry.permissions.check(&who, 0o222)?;
    let queue = &mut entry.item;
    if !queue.has_room(size) {
        return Err(if flags as u32 & IPC_NOWAIT != 0 { Errno::EAGAIN.into() } else { wait(queue) });
    }
    (queue.sent, queue.sender) = (now, pid);
    queue.push((kind, text));
    Ok(0)
}

/// `msgrcv(id, message, size, type, flags)`
pub fn msgrcv(k: &mut Kernel, call: &Call) -> SysResult {
    let [_, addr, size, kind, flags, _] = call.args;
    let (kind, flags) = (kind as i64, flags as u32);
    if (size as i64) < 0 {
        return Err(Errno::EINVAL.into());
    }
    if flags & MSG_COPY != 0 {
        return Err(Errno::ENOSYS.into());
    }
    let which = match kind {
        0 => Which::Any,
        kind if kind < 0 => Which::UpTo(kind.saturating_neg()),
        kind if flags & MSG_EXCEPT != 0 => Which::Not(kind),
        kind => Which::Type(kind),
    };
    let (pid, now) = (k.task(call.tid).pid.0, k.now_realtime().sec);
    let who = k.task(call.tid).credentials.clone();
    let entry = find(k, call)?;
    entry.permissions.check(&who, 0o444)?;
    let queue = &mut entry.item;
    let Some((at, length)) = queue.find(which) else {
        return Err(if flags & IPC_NOWAIT != 0 { Errno::ENOMSG.into() } else { wait(queue) });
    };
    if length > size && flags & MSG_NOERROR == 0 {
        return Err(Errno::E2BIG.into());
    }
    (queue.received, queue.receiver) = (now, pid);
    let (kind, mut text) = queue.take(at).ok_or(Errno::ENOMSG)?;
    text.truncate(size.min(length) as usize);
    k.write_u64(call.tid, addr, kind as u64)?;
    k.write_memory(call.tid, addr + 8, &text)?;
    Ok(text.len() as u64)
}

/// `msgctl(id, command, buf)`
pub fn msgctl(k: &mut Kernel, call: &Call) -> SysResult {
    let [id, command, buf, ..] = call.args;
    let (tid, command) = (call.tid, command as u32);
    let who = k.task(tid).credentials.clone();
    match command {
        IPC_INFO | MSG_INFO => {
            let used = |f: fn(&Queue) -> u64| k.ipc.msg.iter().map(|(_, entry)| f(&entry.item)).sum::<u64>() as u32;
            let (pool, map, total) = match command {
                MSG_INFO => (k.ipc.msg.iter().count() as u32, used(Queue::count), used(Queue::bytes)),
                _ => (QUEUES_MAX as u32 * 16, QUEUE_BYTES as u32, QUEUE_BYTES as u32),
            };
            let bytes = Struct::default().u32(pool).u32(map).u32(MESSAGE_MAX as u32).u32(QUEUE_BYTES as u32);
            let bytes = bytes.u32(QUEUES_MAX as u32).u32(16).u32(total).u16(u16::MAX).u16(0);
            k.write_memory(tid, buf, &bytes.0)?;
            Ok(k.ipc.msg.last_index())
        }
        IPC_STAT | MSG_STAT | MSG_STAT_ANY => {
            let (returned, entry) = k.ipc.msg.read(id, command, (command != MSG_STAT_ANY).then_some(&who))?;
            let bytes = status(entry);
            k.write_memory(tid, buf, &bytes)?;
            Ok(returned)
        }
        IPC_SET => {
            let limit = k.read_u64(tid, buf + 88)?;
            k.ipc.msg.find(id)?.permissions.check_owner(&who)?;
            if limit > QUEUE_BYTES {
                return Err(Errno::EPERM.into());
            }
            set_permissions(k, tid, buf, |k| Ok(&mut k.ipc.msg.find(id)?.permissions))?;
            let now = k.now_realtime().sec;
            let queue = &mut k.ipc.msg.find(id)?.item;
            (queue.limit, queue.changed) = (limit, now);
            queue.queue.wake();
            Ok(0)
        }
        IPC_RMID => {
            k.ipc.msg.find(id)?.permissions.check_owner(&who)?;
            if let Some(queue) = k.ipc.msg.remove(id) {
                queue.queue.wake();
            }
            Ok(0)
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

/// struct msqid64_ds.
fn status(entry: &Entry<Queue>) -> Vec<u8> {
    let queue = &entry.item;
    let times = permission_bytes(&entry.permissions).u64(queue.sent as u64).u64(queue.received as u64);
    let sizes = times.u64(queue.changed as u64).u64(queue.bytes()).u64(queue.count()).u64(queue.limit);
    sizes.u32(queue.sender).u32(queue.receiver).u64(0).u64(0).0
}
