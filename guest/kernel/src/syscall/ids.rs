//! Who a process is: pids, process groups, sessions, users, groups, capabilities.

use shallop_linux_abi::Errno;

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::task::credentials::{Credentials, cap};
use crate::task::{INIT, Pid};
use crate::wait::{SysResult, Tid};

/// Most supplementary groups (NGROUPS_MAX).
const MAX_GROUPS: u64 = 65536;
/// An id that is left alone.
const KEEP: u32 = u32::MAX;
/// _LINUX_CAPABILITY_VERSION_3, and the older two.
const CAPABILITY_VERSION: u32 = 0x2008_0522;
const OLD_VERSIONS: [u32; 2] = [0x1998_0330, 0x2007_1026];

fn who<'a>(k: &'a Kernel, call: &Call) -> &'a Credentials {
    &k.task(call.tid).credentials
}

pub fn getpid(k: &mut Kernel, call: &Call) -> SysResult {
    Ok(k.task(call.tid).pid.0.into())
}

pub fn getppid(k: &mut Kernel, call: &Call) -> SysResult {
    let process = k.process_of(call.tid);
    Ok(if process.pid == INIT { 0 } else { process.ppid.0.into() })
}

pub fn gettid(_k: &mut Kernel, call: &Call) -> SysResult {
    Ok(call.tid.0.into())
}

pub fn getuid(k: &mut Kernel, call: &Call) -> SysResult {
    Ok(who(k, call).uid.into())
}

pub fn geteuid(k: &mut Kernel, call: &Call) -> SysResult {
    Ok(who(k, call).euid.into())
}

pub fn getgid(k: &mut Kernel, call: &Call) -> SysResult {
    Ok(who(k, call).gid.into())
}

pub fn getegid(k: &mut Kernel, call: &Call) -> SysResult {
    Ok(who(k, call).egid.into())
}

/// `getresuid(real, effective, saved)`
pub fn getresuid(k: &mut Kernel, call: &Call) -> SysResult {
    let ids = [who(k, call).uid, who(k, call).euid, who(k, call).suid];
    write_ids(k, call, ids)
}

/// `getresgid(real, effective, saved)`
pub fn getresgid(k: &mut Kernel, call: &Call) -> SysResult {
    let ids = [who(k, call).gid, who(k, call).egid, who(k, call).sgid];
    write_ids(k, call, ids)
}

fn write_ids(k: &Kernel, call: &Call, ids: [u32; 3]) -> SysResult {
    for (addr, id) in call.args.into_iter().zip(ids) {
        k.write_u32(call.tid, addr, id)?;
    }
    Ok(0)
}

/// Installs new user ids (real, effective, saved); the file-system id follows the effective one.
fn set_users(k: &mut Kernel, tid: Tid, [real, effective, saved]: [u32; 3]) {
    let who = &mut k.task_mut(tid).credentials;
    let had_root = [who.uid, who.euid, who.suid].contains(&0);
    let was_effective = who.euid == 0;
    (who.uid, who.euid, who.suid, who.fsuid) = (real, effective, saved, effective);
    // capabilities(7), "Effect of user ID changes on capabilities".
    if had_root && ![real, effective, saved].contains(&0) && !who.keep_caps {
        who.caps.permitted = 0;
        who.caps.effective = 0;
        who.caps.ambient = 0;
    }
    if was_effective && effective != 0 {
        who.caps.effective = 0;
    } else if !was_effective && effective == 0 {
        who.caps.effective = who.caps.permitted;
    }
}

fn set_groups(k: &mut Kernel, tid: Tid, [real, effective, saved]: [u32; 3]) {
    let who = &mut k.task_mut(tid).credentials;
    (who.gid, who.egid, who.sgid, who.fsgid) = (real, effective, saved, effective);
}

/// The three user or group ids of a task.
fn held(k: &Kernel, call: &Call, group: bool) -> [u32; 3] {
    let who = who(k, call);
    if group { [who.gid, who.egid, who.sgid] } else { [who.uid, who.euid, who.suid] }
}

fn may_set(k: &Kernel, call: &Call, group: bool) -> bool {
    who(k, call).has(if group { cap::SETGID } else { cap::SETUID })
}

fn install(k: &mut Kernel, tid: Tid, group: bool, ids: [u32; 3]) -> SysResult {
    if group {
        set_groups(k, tid, ids)
    } else {
        set_users(k, tid, ids)
    }
    Ok(0)
}

/// setuid(2) and setgid(2).
fn set_one(k: &mut Kernel, call: &Call, group: bool) -> SysResult {
    let id = call.args[0] as u32;
    let [real, effective, saved] = held(k, call, group);
    match id {
        KEEP => Err(Errno::EINVAL.into()),
        _ if may_set(k, call, group) => install(k, call.tid, group, [id; 3]),
        _ if id == real || id == saved => install(k, call.tid, group, [real, id, saved]),
        _ if id == effective => Ok(0),
        _ => Err(Errno::EPERM.into()),
    }
}

/// setreuid(2) and setregid(2).
fn set_two(k: &mut Kernel, call: &Call, group: bool) -> SysResult {
    let (new_real, new_effective) = (call.args[0] as u32, call.args[1] as u32);
    let [real, effective, saved] = held(k, call, group);
    if !may_set(k, call, group) {
        let real_ok = [KEEP, real, effective].contains(&new_real);
        let effective_ok = [KEEP, real, effective, saved].contains(&new_effective);
        if !real_ok || !effective_ok {
            return Err(Errno::EPERM.into());
        }
    }
    let pick = |new: u32, old: u32| if new == KEEP { old } else { new };
    let (next_real, next_effective) = (pick(new_real, real), pick(new_effective, effective));
    let moves_saved = new_real != KEEP || new_effective != KEEP && new_effective != real;
    let saved = if moves_saved { next_effective } else { saved };
    install(k, call.tid, group, [next_real, next_effective, saved])
}

/// setresuid(2) and setresgid(2).
fn set_three(k: &mut Kernel, call: &Call, group: bool) -> SysResult {
    let old = held(k, call, group);
    let wanted = [call.args[0] as u32, call.args[1] as u32, call.args[2] as u32];
    let allowed = wanted.iter().all(|id| *id == KEEP || old.contains(id));
    if !allowed && !may_set(k, call, group) {
        return Err(Errno::EPERM.into());
    }
    let ids = std::array::from_fn(|i| if wanted[i] == KEEP { old[i] } else { wanted[i] });
    install(k, call.tid, group, ids)
}

pub fn setuid(k: &mut Kernel, call: &Call) -> SysResult {
    set_one(k, call, false)
}

pub fn setgid(k: &mut Kernel, call: &Call) -> SysResult {
    set_one(k, call, true)
}

pub fn setreuid(k: &mut Kernel, call: &Call) -> SysResult {
    set_two(k, call, false)
}

pub fn setregid(k: &mut Kernel, call: &Call) -> SysResult {
    set_two(k, call, true)
}

pub fn setresuid(k: &mut Kernel, call: &Call) -> SysResult {
    set_three(k, call, false)
}

pub fn setresgid(k: &mut Kernel, call: &Call) -> SysResult {
    set_three(k, call, true)
}

/// `setfsuid(uid)`: returns the old one, whether it could be changed or not.
pub fn setfsuid(k: &mut Kernel, call: &Call) -> SysResult {
    let (id, allowed) =
        (call.args[0] as u32, may_set(k, call, false) || held(k, call, false).contains(&(call.args[0] as u32)));
    let who = &mut k.task_mut(call.tid).credentials;
    let old = who.fsuid;
    if id != KEEP && allowed {
        who.fsuid = id;
    }
    Ok(old.into())
}

/// `setfsgid(gid)`: as [`setfsuid`].
pub fn setfsgid(k: &mut Kernel, call: &Call) -> SysResult {
    let (id, allowed) =
        (call.args[0] as u32, may_set(k, call, true) || held(k, call, true).contains(&(call.args[0] as u32)));
    let who = &mut k.task_mut(call.tid).credentials;
    let old = who.fsgid;
    if id != KEEP && allowed {
        who.fsgid = id;
    }
    Ok(old.into())
}

/// `getgroups(size, list)`
pub fn getgroups(k: &mut Kernel, call: &Call) -> SysResult {
    let size = call.args[0] as i32;
    let groups = who(k, call).groups.clone();
    if size < 0 || size > 0 && (size as usize) < groups.len() {
        return Err(Errno::EINVAL.into());
    }
    if size > 0 {
        let bytes: Vec<u8> = groups.iter().flat_map(|g| g.to_le_bytes()).collect();
        k.write_memory(call.tid, call.args[1], &bytes)?;
    }
    Ok(groups.len() as u64)
}

/// `setgroups(size, list)`
pub fn setgroups(k: &mut Kernel, call: &Call) -> SysResult {
    if !may_set(k, call, true) {
        return Err(Errno::EPERM.into());
    }
    let size = call.args[0] & 0xffff_ffff;
    if size > MAX_GROUPS {
        return Err(Errno::EINVAL.into());
    }
    let mut bytes = vec![0; size as usize * 4];
    k.read_memory(call.tid, call.args[1], &mut bytes)?;
    let groups: Vec<u32> = bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    k.task_mut(call.tid).credentials.groups = groups.into();
    Ok(0)
}

/// The process that a pid argument names, the caller's for 0.
fn named(k: &Kernel, call: &Call) -> Result<Pid, Errno> {
    match call.args[0] as i32 {
        0 => Ok(k.task(call.tid).pid),
        pid if pid < 0 => Err(Errno::ESRCH),
        pid => {
            let pid = k.tasks.get(Tid(pid as u32)).map_or(Pid(pid as u32), |task| task.pid);
            k.processes.get(pid).map(|p| p.pid).ok_or(Errno::ESRCH)
        }
    }
}

/// `getpgid(pid)`
pub fn getpgid(k: &mut Kernel, call: &Call) -> SysResult {
    Ok(k.process(named(k, call)?).pgid.0.into())
}

/// `getsid(pid)`
pub fn getsid(k: &mut Kernel, call: &Call) -> SysResult {
    Ok(k.process(named(k, call)?).sid.0.into())
}

/// `setpgid(pid, group)`
pub fn setpgid(k: &mut Kernel, call: &Call) -> SysResult {
    if (call.args[1] as i32) < 0 || (call.args[0] as i32) < 0 {
        return Err(Errno::EINVAL.into());
    }
    let own = k.task(call.tid).pid;
    let pid = named(k, call)?;
    let group = if call.args[1] as i32 == 0 { pid } else { Pid(call.args[1] as u32) };
    let (process, caller) = (k.process(pid), k.process(own));
    if pid != own && process.ppid != own {
        return Err(Errno::ESRCH.into());
    }
    if process.sid == pid || process.sid != caller.sid {
        return Err(Errno::EPERM.into());
    }
    if pid != own && process.execed {
        return Err(Errno::EACCES.into());
    }
    let session = process.sid;
    if group != pid && !k.processes.iter().any(|p| p.pgid == group && p.sid == session) {
        return Err(Errno::EPERM.into());
    }
    k.process_mut(pid).pgid = group;
    Ok(0)
}

/// `setsid()`
pub fn setsid(k: &mut Kernel, call: &Call) -> SysResult {
    let pid = k.task(call.tid).pid;
    if k.processes.iter().any(|p| p.pgid == pid) {
        return Err(Errno::EPERM.into());
    }
    let process = k.process_mut(pid);
    (process.sid, process.pgid, process.tty) = (pid, pid, None);
    Ok(pid.0.into())
}

/// Version word and task of a capability header; writes the version that is spoken when it is another.
fn capability_header(k: &Kernel, call: &Call) -> Result<(Tid, usize), Errno> {
    let version = k.read_u32(call.tid, call.args[0])?;
    let pid = k.read_u32(call.tid, call.args[0].wrapping_add(4))?;
    let halves = match version {
        CAPABILITY_VERSION => 2,
        version if version == OLD_VERSIONS[0] => 1,
        version if version == OLD_VERSIONS[1] => 2,
        _ => {
            k.write_u32(call.tid, call.args[0], CAPABILITY_VERSION)?;
            return Err(Errno::EINVAL);
        }
    };
    let target = if pid == 0 { call.tid } else { Tid(pid) };
    if k.tasks.get(target).is_none() { Err(Errno::ESRCH) } else { Ok((target, halves)) }
}

/// `capget(header, data)`
pub fn capget(k: &mut Kernel, call: &Call) -> SysResult {
    let (target, halves) = match capability_header(k, call) {
        // A null data pointer only asks for the version.
        Err(Errno::EINVAL) if call.args[1] == 0 => return Ok(0),
        other => other?,
    };
    if call.args[1] == 0 {
        return Ok(0);
    }
    let caps = k.task(target).credentials.caps;
    let bytes: Vec<u8> = (0..halves)
        .flat_map(|half| [caps.effective, caps.permitted, caps.inheritable].map(|set| (set >> (32 * half)) as u32))
        .flat_map(u32::to_le_bytes)
        .collect();
    k.write_memory(call.tid, call.args[1], &bytes)?;
    Ok(0)
}

/// `capset(header, data)`: only for the caller, never more than it is permitted.
pub fn capset(k: &mut Kernel, call: &Call) -> SysResult {
    let (target, halves) = capability_header(k, call)?;
    if target != call.tid {
        return Err(Errno::EPERM.into());
    }
    let mut bytes = vec![0; halves * 12];
    k.read_memory(call.tid, call.args[1], &mut bytes)?;
    let mut sets = [0u64; 3];
    for (i, word) in bytes.chunks_exact(4).enumerate() {
        let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        sets[i % 3] |= u64::from(word) << (32 * (i / 3));
    }
    let [effective, permitted, inheritable] = sets;
    let caps = &mut k.task_mut(call.tid).credentials.caps;
    let raises = permitted & !caps.permitted != 0
        || effective & !permitted != 0
        || inheritable & !(caps.inheritable | caps.permitted) != 0
        || inheritable & !(caps.inheritable | caps.bounding) != 0;
    if raises {
        return Err(Errno::EPERM.into());
    }
    (caps.effective, caps.permitted, caps.inheritable) = (effective, permitted, inheritable);
    caps.ambient &= permitted & inheritable;
    Ok(0)
}
