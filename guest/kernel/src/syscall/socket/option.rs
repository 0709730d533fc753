//! setsockopt, getsockopt.

use shallop_linux_abi::Errno;

use super::socket_of;
use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::net::options;
use crate::wait::SysResult;

/// CAP_NET_ADMIN, which containers do not have.
const NET_ADMIN: u32 = 12;
/// Longest value that is read.
const MAX_VALUE: u32 = 4096;

/// `setsockopt(fd, level, name, value, len)`
pub fn setsockopt(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, level, name, value, len, _] = call.args;
    let file = k.file(call.tid, fd)?;
    if (len as i32) < 0 {
        return Err(Errno::EINVAL.into());
    }
    let mut bytes = vec![0; (len as u32).min(MAX_VALUE) as usize];
    k.read_memory(call.tid, value, &mut bytes)?;
    let privileged = k.task(call.tid).credentials.has(NET_ADMIN);
    options::set(socket_of(&file)?, level as u32, name as u32, &bytes, privileged)?;
    Ok(0)
}

/// `getsockopt(fd, level, name, value, len)`
pub fn getsockopt(k: &mut Kernel, call: &Call) -> SysResult {
    let [fd, level, name, value, len, _] = call.args;
    let file = k.file(call.tid, fd)?;
    let room = k.read_u32(call.tid, len)?;
    if (room as i32) < 0 {
        return Err(Errno::EINVAL.into());
    }
    let bytes = options::get(socket_of(&file)?, level as u32, name as u32)?;
    let count = bytes.len().min(room as usize);
    k.write_memory(call.tid, value, &bytes[..count])?;
    k.write_u32(call.tid, len, count as u32)?;
    Ok(0)
}
