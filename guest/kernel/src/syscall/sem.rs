//! semget(2), semop(2), semtimedop(2), semctl(2).

use shallop_linux_abi::Errno;
use shallop_linux_abi::ipc::*;

use super::shm::{permission_bytes, set_permissions};
use super::stat::Struct;
use super::time::read_timespec;
use crate::dispatch::Call;
use crate::ipc::sem::{OPERATIONS_MAX, Operation, SEMAPHORES_MAX, SETS_MAX, Set, VALUE_MAX};
use crate::ipc::{Entry, Wanted};
use crate::kernel::Kernel;
use crate::task::State;
use crate::wait::{OnSignal, Stop, SysResult, Tid, Wait};

/// `semget(key, count, flags)`
pub fn semget(k: &mut Kernel, call: &Call) -> SysResult {
    let [key, count, flags, ..] = call.args;
    let count = usize::try_from(count as i32).ok().filter(|n| *n <= SEMAPHORES_MAX).ok_or(Errno::EINVAL)?;
    let now = k.now_realtime().sec;
    let who = k.task(call.tid).credentials.clone();
    let wanted = Wanted { key: key as i32, flags: flags as u32, limit: SETS_MAX };
    let fits = |set: &Set| if count > set.semaphores.len() { Err(Errno::EINVAL) } else { Ok(()) };
    let make = || if count == 0 { Err(Errno::EINVAL) } else { Ok(Set::new(count, now)) };
    Ok(k.ipc.sem.get(wanted, &who, fits, make)?.into())
}

/// `semop(id, operations, count)`
pub fn semop(k: &mut Kernel, call: &Call) -> SysResult {
    operate(k, call, 0)
}

/// `semtimedop(id, operations, count, timeout)`
pub fn semtimedop(k: &mut Kernel, call: &Call) -> SysResult {
    operate(k, call, call.args[3])
}

fn operations(k: &Kernel, tid: Tid, addr: u64, count: u64) -> Result<Vec<Operation>, Errno> {
    if count == 0 {
        return Err(Errno::EINVAL);
    }
    if count > OPERATIONS_MAX {
        return Err(Errno::E2BIG);
    }
    let mut bytes = vec![0; count as usize * 6];
    k.read_memory(tid, addr, &mut bytes)?;
    let half = |bytes: &[u8], at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let operation = |b: &[u8]| Operation { number: half(b, 0), change: half(b, 2) as i16, flags: half(b, 4) };
    Ok(bytes.chunks_exact(6).map(operation).collect())
}

fn operate(k: &mut Kernel, call: &Call, timeout: u64) -> SysResult {
    let [id, addr, count, ..] = call.args;
    let tid = call.tid;
    let operations = operations(k, tid, addr, count)?;
    let deadline = match timeout {
        0 => None,
        at => Some(deadline(k, tid, at)?),
    };
    let (pid, now) = (k.task(tid).pid, k.now_realtime().sec);
    let who = k.task(tid).credentials.clone();
    let waited = k.task(tid).call.is_some();
    let timed_out = k.task(tid).progress.timed_out;
    let entry = k.ipc.sem.find(id).map_err(|errno| if waited { Errno::EIDRM } else { errno })?;
    let alters = operations.iter().any(|op| op.change != 0);
    entry.permissions.check(&who, if alters { 0o222 } else { 0o444 })?;
    let set = &mut entry.item;
    set.waiting.remove(&tid);
    match set.operate(pid, &operations)? {
        Ok(()) => set.operated = now,
        Err(obstacle) if obstacle.nowait || timed_out => return Err(Errno::EAGAIN.into()),
        Err(obstacle) => {
            set.waiting.insert(tid, obstacle);
            return Err(Stop::Block(Wait { deadline, on_signal: OnSignal::Interrupt, ..Wait::on(&set.queue) }));
        }
    }
    Ok(0)
}

/// The end of a relative timeout, fixed at the call's first run.
fn deadline(k: &mut Kernel, tid: Tid, addr: u64) -> Result<u64, Errno> {
    let wait = read_timespec(k, tid, addr)?;
    let end = k.now_monotonic().saturating_add(wait);
    Ok(*k.task_mut(tid).progress.deadline.get_or_insert(end))
}

/// `semctl(id, number, command, arg)`
pub fn semctl(k: &mut Kernel, call: &Call) -> SysResult {
    let [id, number, command, arg, ..] = call.args;
    let (tid, command) = (call.tid, command as u32);
    let who = k.task(tid).credentials.clone();
    match command {
        IPC_INFO | SEM_INFO => {
            let (sets, all) = match command {
                SEM_INFO => k.ipc.sem.iter().fold((0, 0), |(n, all), (_, e)| (n + 1, all + e.item.semaphores.len())),
                _ => (20, OPERATIONS_MAX as usize),
            };
            let words = [SEMAPHORES_MAX, SETS_MAX, 1_024_000_000, 1_024_000_000, SEMAPHORES_MAX];
            let rest = [OPERATIONS_MAX as usize, OPERATIONS_MAX as usize, sets, VALUE_MAX as usize, all];
            let words = words.iter().chain(&rest).fold(Struct::default(), |bytes, word| bytes.u32(*word as u32));
            k.write_memory(tid, arg, &words.0)?;
            return Ok(k.ipc.sem.last_index());
        }
        IPC_STAT | SEM_STAT | SEM_STAT_ANY => {
            let (returned, entry) = k.ipc.sem.read(id, command, (command != SEM_STAT_ANY).then_some(&who))?;
            let bytes = status(entry);
            k.write_memory(tid, arg, &bytes)?;
            return Ok(returned);
        }
        IPC_SET => {
            k.ipc.sem.find(id)?.permissions.check_owner(&who)?;
            set_permissions(k, tid, arg, |k| Ok(&mut k.ipc.sem.find(id)?.permissions))?;
            k.ipc.sem.find(id)?.item.changed = k.platform.now(shallop_platform::Clock::Realtime) as i64 / 1_000_000_000;
        }
        IPC_RMID => {
            k.ipc.sem.find(id)?.permissions.check_owner(&who)?;
            if let Some(set) = k.ipc.sem.remove(id) {
                set.queue.wake();
            }
        }
        GETALL | SETALL => return all_values(k, call),
        _ => return one_value(k, call, number),
    }
    Ok(0)
}

/// struct semid64_ds.
fn status(entry: &Entry<Set>) -> Vec<u8> {
    let set = &entry.item;
    let bytes = permission_bytes(&entry.permissions).u64(set.operated as u64).u64(set.changed as u64);
    bytes.u64(set.semaphores.len() as u64).u64(0).u64(0).0
}

fn all_values(k: &mut Kernel, call: &Call) -> SysResult {
    let [id, _, command, addr, ..] = call.args;
    let (tid, pid, now) = (call.tid, k.task(call.tid).pid, k.now_realtime().sec);
    let who = k.task(tid).credentials.clone();
    let entry = k.ipc.sem.find(id)?;
    let count = entry.item.semaphores.len();
    if command as u32 == GETALL {
        entry.permissions.check(&who, 0o444)?;
        let bytes: Vec<u8> = entry.item.semaphores.iter().flat_map(|s| (s.value as u16).to_le_bytes()).collect();
        k.write_memory(tid, addr, &bytes)?;
        return Ok(0);
    }
    entry.permissions.check(&who, 0o222)?;
    let mut bytes = vec![0; count * 2];
    k.read_memory(tid, addr, &mut bytes)?;
    let values: Vec<i32> = bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]).into()).collect();
    if values.iter().any(|value| *value > VALUE_MAX) {
        return Err(Errno::ERANGE.into());
    }
    let set = &mut k.ipc.sem.find(id)?.item;
    values.into_iter().enumerate().for_each(|(number, value)| set.set(number, value, pid));
    set.changed = now;
    Ok(0)
}

fn one_value(k: &mut Kernel, call: &Call, number: u64) -> SysResult {
    let [id, _, command, arg, ..] = call.args;
    let (pid, now) = (k.task(call.tid).pid, k.now_realtime().sec);
    let who = k.task(call.tid).credentials.clone();
    let blocked: Vec<Tid> =
        k.tasks.iter().filter(|task| matches!(task.state, State::Blocked(_))).map(|task| task.tid).collect();
    let entry = k.ipc.sem.find(id)?;
    let alters = command as u32 == SETVAL;
    if !matches!(command as u32, GETVAL | GETPID | GETNCNT | GETZCNT | SETVAL) {
        return Err(Errno::EINVAL.into());
    }
    let set = &mut entry.item;
    let number = usize::try_from(number as i32).ok().filter(|n| *n < set.semaphores.len()).ok_or(Errno::EINVAL)?;
    entry.permissions.check(&who, if alters { 0o222 } else { 0o444 })?;
    let waiting = |zero: bool| {
        let on = |tid: &Tid| set.waiting.get(tid).is_some_and(|o| usize::from(o.number) == number && o.zero == zero);
        blocked.iter().filter(|tid| on(tid)).count() as u64
    };
    match command as u32 {
        GETVAL => Ok(set.semaphores[number].value as u64),
        GETPID => Ok(set.semaphores[number].pid.into()),
        GETNCNT => Ok(waiting(false)),
        GETZCNT => Ok(waiting(true)),
        _ if !(0..=VALUE_MAX).contains(&(arg as i32)) => Err(Errno::ERANGE.into()),
        _ => {
            set.set(number, arg as i32, pid);
            set.changed = now;
            Ok(0)
        }
    }
}
