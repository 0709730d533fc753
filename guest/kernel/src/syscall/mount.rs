//! The mount family: refused with EPERM, as in a container without CAP_SYS_ADMIN.

use shallop_linux_abi::Errno;

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::wait::SysResult;

/// mount, umount2, pivot_root, unshare of namespaces and the calls of the new mount interface.
pub fn refused(_k: &mut Kernel, _call: &Call) -> SysResult {
    Err(Errno::EPERM.into())
}
