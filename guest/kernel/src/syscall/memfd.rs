//! memfd_create(2).

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::{open, seal};

use super::open::open_location;
use crate::dispatch::Call;
use crate::fs::tmpfs;
use crate::kernel::Kernel;
use crate::wait::SysResult;

const CLOEXEC: u32 = 1;
const ALLOW_SEALING: u32 = 2;
const NOEXEC_SEAL: u32 = 8;
const EXEC: u32 = 16;
/// Longest name: NAME_MAX less `memfd:`.
const NAME_BYTES: usize = 249;

/// `memfd_create(name, flags)`
pub fn memfd_create(k: &mut Kernel, call: &Call) -> SysResult {
    let flags = call.args[1] as u32;
    if flags & !(CLOEXEC | ALLOW_SEALING | NOEXEC_SEAL | EXEC) != 0
        || flags & (NOEXEC_SEAL | EXEC) == NOEXEC_SEAL | EXEC
    {
        return Err(Errno::EINVAL.into());
    }
    let name = k.read_string(call.tid, call.args[0], NAME_BYTES).map_err(|errno| match errno {
        Errno::ENAMETOOLONG => Errno::EINVAL,
        other => other,
    })?;
    let who = &k.task(call.tid).credentials;
    let (mode, seals) = match flags {
        _ if flags & NOEXEC_SEAL != 0 => (0o666, seal::EXEC),
        _ if flags & ALLOW_SEALING != 0 => (0o777, 0),
        _ => (0o777, seal::SEAL),
    };
    let place = tmpfs::memfd(k.platform, &name, (who.fsuid, who.fsgid), mode, seals);
    let file = open_location(k, call.tid, &place, open::RDWR | open::LARGEFILE, true)?;
    Ok(k.install(call.tid, file, flags & CLOEXEC != 0)?.into())
}
