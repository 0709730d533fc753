//! What the system is and has: uname, sysinfo, getrandom, getcpu, personality, membarrier, resource limits.

use shallop_linux_abi::Errno;
use shallop_linux_abi::rlimit::RLIMIT_NOFILE;

use super::time::words;
use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::task::Pid;
use crate::task::credentials::cap;
use crate::tunables::{OPEN_FILES, OS_RELEASE, OS_VERSION};
use crate::wait::{SysResult, Tid};

/// Bytes of a field of struct utsname.
const NAME_FIELD: usize = 65;

/// `uname(buffer)`
pub fn uname(k: &mut Kernel, call: &Call) -> SysResult {
    let fields: [&[u8]; 6] =
        [b"Linux", &k.hostname, OS_RELEASE.as_bytes(), OS_VERSION.as_bytes(), k.isa.machine().as_bytes(), b"(none)"];
    let mut bytes = [0; 6 * NAME_FIELD];
    for (place, field) in bytes.chunks_exact_mut(NAME_FIELD).zip(fields) {
        let len = field.len().min(NAME_FIELD - 1);
        place[..len].copy_from_slice(&field[..len]);
    }
    k.write_memory(call.tid, call.args[0], &bytes)?;
    Ok(0)
}

/// Private bytes of all processes.
pub fn memory_used(k: &Kernel) -> u64 {
    k.processes.iter().filter(|p| !p.is_zombie()).map(|p| k.platform.resident(p.space())).sum()
}

/// What a load of 1 is in `struct sysinfo` (sysinfo(2)).
const LOAD_SCALE: f64 = 65536.0;

/// `sysinfo(info)`
pub fn sysinfo(k: &mut Kernel, call: &Call) -> SysResult {
    let uptime = k.now_monotonic().saturating_sub(k.boot_time) / 1_000_000_000;
    let free = k.memory_limit.saturating_sub(memory_used(k));
    // uptime, three loads, total and free memory, shared, buffers, total and free swap, processes, high memory, unit.
    let mut info = [0; 14];
    (info[0], info[4], info[5]) = (uptime, k.memory_limit, free);
    info[1..4].copy_from_slice(&k.load.averages().map(|average| (average * LOAD_SCALE) as u64));
    info[10] = k.tasks.count() as u64 & 0xffff;
    info[13] = 1;
    k.write_memory(call.tid, call.args[0], &words(info))?;
    Ok(0)
}

/// `getrandom(buffer, length, flags)`
pub fn getrandom(k: &mut Kernel, call: &Call) -> SysResult {
    let [addr, len, flags, ..] = call.args;
    // GRND_NONBLOCK, GRND_RANDOM, GRND_INSECURE; the last two exclude each other.
    if flags & !7 != 0 || flags & 6 == 6 {
        return Err(Errno::EINVAL.into());
    }
    let len = len.min(0x7fff_f000);
    let mut done = 0;
    let mut chunk = [0; 4096];
    while done < len {
        let part = &mut chunk[..(len - done).min(4096) as usize];
        k.platform.random(part);
        match k.write_memory(call.tid, addr.wrapping_add(done), part) {
            Err(_) if done > 0 => break,
            other => other?,
        }
        done += part.len() as u64;
    }
    Ok(done)
}

/// `getcpu(cpu, node, _)`: CPU 0 of node 0.
pub fn getcpu(k: &mut Kernel, call: &Call) -> SysResult {
    for addr in call.args.into_iter().take(2).filter(|addr| *addr != 0) {
        k.write_u32(call.tid, addr, 0)?;
    }
    Ok(0)
}

/// `personality(persona)`: PER_LINUX; address randomisation cannot be turned off.
pub fn personality(_k: &mut Kernel, call: &Call) -> SysResult {
    match call.args[0] as u32 {
        0 | u32::MAX => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// `membarrier(command, flags, cpu)`: tasks never run at the same time, so every barrier is already there.
pub fn membarrier(_k: &mut Kernel, call: &Call) -> SysResult {
    // GLOBAL, GLOBAL_EXPEDITED, PRIVATE_EXPEDITED, PRIVATE_EXPEDITED_SYNC_CORE and their registrations.
    const COMMANDS: u64 = 0x7f;
    match call.args[0] {
        _ if call.args[1] as u32 != 0 => Err(Errno::EINVAL.into()),
        0 => Ok(COMMANDS),
        command if command.is_power_of_two() && command & COMMANDS != 0 => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// A call that has nothing to do here and says so with success.
pub fn nothing(_k: &mut Kernel, _call: &Call) -> SysResult {
    Ok(0)
}

/// A call that Linux can be built without: ENOSYS.
pub fn absent(_k: &mut Kernel, _call: &Call) -> SysResult {
    Err(Errno::ENOSYS.into())
}

/// A call that a container may not make: EPERM.
pub fn forbidden(_k: &mut Kernel, _call: &Call) -> SysResult {
    Err(Errno::EPERM.into())
}

/// A call that fails with EINVAL here, as where the feature is off.
pub fn invalid(_k: &mut Kernel, _call: &Call) -> SysResult {
    Err(Errno::EINVAL.into())
}

fn resource(value: u64) -> Result<usize, Errno> {
    usize::try_from(value & 0xffff_ffff).ok().filter(|r| *r < 16).ok_or(Errno::EINVAL)
}

fn read_limit(k: &Kernel, tid: Tid, addr: u64) -> Result<(u64, u64), Errno> {
    let (soft, hard) = (k.read_u64(tid, addr)?, k.read_u64(tid, addr.wrapping_add(8))?);
    if soft > hard { Err(Errno::EINVAL) } else { Ok((soft, hard)) }
}

fn set_limit(k: &mut Kernel, tid: Tid, pid: Pid, resource: usize, limit: (u64, u64)) -> Result<(), Errno> {
    let may_raise = k.task(tid).credentials.has(cap::SYS_RESOURCE);
    let old = &mut k.process_mut(pid).rlimits[resource];
    if limit.1 > old.1 && !may_raise || resource == RLIMIT_NOFILE && limit.1 > OPEN_FILES {
        return Err(Errno::EPERM);
    }
    *old = limit;
    Ok(())
}

fn write_limit(k: &Kernel, tid: Tid, addr: u64, (soft, hard): (u64, u64)) -> Result<(), Errno> {
    k.write_memory(tid, addr, &words([soft, hard]))
}

/// `getrlimit(resource, limit)`
pub fn getrlimit(k: &mut Kernel, call: &Call) -> SysResult {
    let limit = k.process_of(call.tid).rlimits[resource(call.args[0])?];
    write_limit(k, call.tid, call.args[1], limit)?;
    Ok(0)
}

/// `setrlimit(resource, limit)`
pub fn setrlimit(k: &mut Kernel, call: &Call) -> SysResult {
    let resource = resource(call.args[0])?;
    let limit = read_limit(k, call.tid, call.args[1])?;
    let pid = k.task(call.tid).pid;
    set_limit(k, call.tid, pid, resource, limit)?;
    Ok(0)
}

/// `prlimit64(pid, resource, new, old)`
pub fn prlimit64(k: &mut Kernel, call: &Call) -> SysResult {
    let [target, which, new, old, ..] = call.args;
    let which = resource(which)?;
    let pid = match target as u32 {
        0 => k.task(call.tid).pid,
        pid => k.tasks.get(Tid(pid)).map(|task| task.pid).ok_or(Errno::ESRCH)?,
    };
    let uid = k.task(call.tid).credentials.uid;
    if pid != k.task(call.tid).pid && uid != k.process(pid).uid && !k.task(call.tid).credentials.has(cap::SYS_RESOURCE)
    {
        return Err(Errno::EPERM.into());
    }
    let before = k.process(pid).rlimits[which];
    if new != 0 {
        let limit = read_limit(k, call.tid, new)?;
        set_limit(k, call.tid, pid, which, limit)?;
    }
    if old != 0 {
        write_limit(k, call.tid, old, before)?;
    }
    Ok(0)
}

/// A call that no file system here supports: EOPNOTSUPP.
pub fn unsupported(_k: &mut Kernel, _call: &Call) -> SysResult {
    Err(Errno::EOPNOTSUPP.into())
}

/// A call that only an interrupted one leads to: EINTR.
pub fn interrupted(_k: &mut Kernel, _call: &Call) -> SysResult {
    Err(Errno::EINTR.into())
}
