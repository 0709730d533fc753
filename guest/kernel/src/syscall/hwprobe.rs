//! riscv_hwprobe: what the processors can do and do well (Linux, Documentation/arch/riscv/hwprobe.rst). The C library chooses by it
//! how it copies memory.

use shallop_linux_abi::Errno;

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::tunables::HIGHEST;
use crate::wait::{SysResult, Tid};

/// `struct riscv_hwprobe`: a key, and its value.
const PAIR_BYTES: u64 = 16;

/// What is put in the place of a key that is not known.
const UNKNOWN_KEY: u64 = u64::MAX;

/// `RISCV_HWPROBE_WHICH_CPUS`: asks which processors have all of these values.
const WHICH_CPUS: u32 = 1;

/// Bytes of a set of processors, of which the first alone is there.
const SET_BYTES: u64 = 8;
const CPU_0: u8 = 1;

/// `RISCV_HWPROBE_BASE_BEHAVIOR_IMA`; `RISCV_HWPROBE_IMA_FD` and `RISCV_HWPROBE_IMA_C`.
const IMA: u64 = 1;
const FD_C: u64 = 3;
/// `RISCV_HWPROBE_MISALIGNED_FAST`: such accesses are the host's own.
const FAST: u64 = 3;

/// A key's value, and whether it is a set of bits.
fn value(key: u64) -> Option<(u64, bool)> {
    match key {
        // MVENDORID, MARCHID, MIMPID, as /proc/cpuinfo has them.
        0..=2 => Some((0, false)),
        // BASE_BEHAVIOR
        3 => Some((IMA, true)),
        // IMA_EXT_0
        4 => Some((FD_C, true)),
        // CPUPERF_0, and MISALIGNED_SCALAR_PERF, which came later.
        5 => Some((FAST, true)),
        9 => Some((FAST, false)),
        // ZICBOZ_BLOCK_SIZE: there is no such instruction.
        6 => Some((0, false)),
        // HIGHEST_VIRT_ADDRESS
        7 => Some((HIGHEST, false)),
        _ => None,
    }
}

/// `riscv_hwprobe(pairs, count, cpu set size, cpus, flags)`
pub fn riscv_hwprobe(k: &mut Kernel, call: &Call) -> SysResult {
    let [pairs, count, size, cpus, flags, _] = call.args;
    let which = match flags as u32 {
        0 => false,
        WHICH_CPUS => true,
        _ => return Err(Errno::EINVAL.into()),
    };
    if (size != 0 || cpus != 0 || which) && !has_cpu(k, call.tid, (size, cpus), which)? {
        return Err(Errno::EINVAL.into());
    }
    let mut all_match = true;
    for at in 0..count {
        let place = at.checked_mul(PAIR_BYTES).and_then(|behind| pairs.checked_add(behind)).ok_or(Errno::EFAULT)?;
        let key = k.read_u64(call.tid, place)?;
        let found = value(key);
        if which && let Some((value, is_set)) = found {
            let wanted = k.read_u64(call.tid, place + 8)?;
            all_match &= if is_set { value & wanted == wanted } else { value == wanted };
            continue;
        }
        all_match &= found.is_some();
        k.write_u64(call.tid, place, if found.is_some() { key } else { UNKNOWN_KEY })?;
        k.write_u64(call.tid, place + 8, found.map_or(0, |(value, _)| value))?;
    }
    if which {
        let mut set = [0; SET_BYTES as usize];
        set[0] = if all_match { CPU_0 } else { 0 };
        k.write_memory(call.tid, cpus, &set[..size.min(SET_BYTES) as usize])?;
    }
    Ok(0)
}

/// Whether a set names a processor that is there. Where it is to be filled, an empty one stands for all.
fn has_cpu(k: &Kernel, tid: Tid, (size, cpus): (u64, u64), filled: bool) -> Result<bool, Errno> {
    let mut set = [0; SET_BYTES as usize];
    let given = &mut set[..size.min(SET_BYTES) as usize];
    if given.is_empty() || filled && cpus == 0 {
        return Ok(false);
    }
    k.read_memory(tid, cpus, given)?;
    Ok(set[0] & CPU_0 != 0 || filled)
}
