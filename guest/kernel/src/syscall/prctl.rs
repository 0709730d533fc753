//! prctl(2).

use shallop_linux_abi::Errno;
use shallop_linux_abi::signal::NSIG;

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::task::credentials::cap;
use crate::task::exec::NAME_BYTES;
use crate::wait::SysResult;

/// Highest capability (CAP_CHECKPOINT_RESTORE).
const LAST_CAP: u64 = 40;

/// `prctl(option, …)`: options that are not named here are EINVAL, as on a kernel built without them.
pub fn prctl(k: &mut Kernel, call: &Call) -> SysResult {
    let [option, arg, arg3, ..] = call.args;
    let tid = call.tid;
    match option as u32 {
        // PDEATHSIG
        1 if arg <= NSIG.into() => k.process_of_mut(tid).death_signal = arg as u32,
        2 => k.write_u32(tid, arg, k.process_of(tid).death_signal)?,
        // DUMPABLE
        3 => return Ok(k.process_of(tid).dumpable.into()),
        4 if arg <= 1 => k.process_of_mut(tid).dumpable = arg == 1,
        // KEEPCAPS
        7 => return Ok(k.task(tid).credentials.keep_caps.into()),
        8 if arg <= 1 => k.task_mut(tid).credentials.keep_caps = arg == 1,
        // NAME
        15 => set_name(k, call)?,
        16 => {
            let mut name = [0; NAME_BYTES + 1];
            let own = &k.task(tid).name;
            name[..own.len().min(NAME_BYTES)].copy_from_slice(&own[..own.len().min(NAME_BYTES)]);
            k.write_memory(tid, arg, &name)?;
        }
        // GET_SECCOMP: off. (SET_SECCOMP is EINVAL, as without CONFIG_SECCOMP.)
        21 => return Ok(0),
        // CAPBSET_READ, CAPBSET_DROP
        23 if arg <= LAST_CAP => return Ok(k.task(tid).credentials.caps.bounding >> arg & 1),
        24 if arg <= LAST_CAP => {
            let who = &mut k.task_mut(tid).credentials;
            if !who.has(cap::SETPCAP) {
                return Err(Errno::EPERM.into());
            }
            who.caps.bounding &= !(1 << arg);
        }
        // GET_SECUREBITS, SET_SECUREBITS
        27 => return Ok(0),
        28 if arg == 0 => {}
        28 => return Err(Errno::EPERM.into()),
        // TIMERSLACK
        29 => {}
        30 => return Ok(50_000),
        // CHILD_SUBREAPER
        36 => k.process_of_mut(tid).subreaper = arg != 0,
        37 => k.write_u32(tid, arg, k.process_of(tid).subreaper.into())?,
        // NO_NEW_PRIVS
        38 if arg == 1 => k.task_mut(tid).credentials.no_new_privs = true,
        39 => return Ok(k.task(tid).credentials.no_new_privs.into()),
        // GET_TID_ADDRESS
        40 => k.write_u64(tid, arg, k.task(tid).clear_child_tid)?,
        // THP_DISABLE: there are none.
        41 => {}
        42 => return Ok(1),
        47 => return ambient(k, call, arg, arg3),
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}

fn set_name(k: &mut Kernel, call: &Call) -> Result<(), Errno> {
    let mut bytes = [0; NAME_BYTES];
    let mut len = 0;
    // A byte at a time: the name may end right before an unmapped page.
    while len < NAME_BYTES {
        k.read_memory(call.tid, call.args[1].wrapping_add(len as u64), &mut bytes[len..=len])?;
        if bytes[len] == 0 {
            break;
        }
        len += 1;
    }
    k.task_mut(call.tid).name = bytes[..len].to_vec();
    Ok(())
}

/// PR_CAP_AMBIENT: IS_SET (1), RAISE (2), LOWER (3), CLEAR_ALL (4).
fn ambient(k: &mut Kernel, call: &Call, what: u64, number: u64) -> SysResult {
    let caps = &mut k.task_mut(call.tid).credentials.caps;
    match what {
        4 if number == 0 => caps.ambient = 0,
        _ if number > LAST_CAP => return Err(Errno::EINVAL.into()),
        1 => return Ok(caps.ambient >> number & 1),
        2 if caps.permitted & caps.inheritable & 1 << number == 0 => return Err(Errno::EPERM.into()),
        2 => caps.ambient |= 1 << number,
        3 => caps.ambient &= !(1 << number),
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}
