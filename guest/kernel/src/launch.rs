//! From the launch spec to a running init process.

use shallop_host_abi::LaunchSpec;
use shallop_platform::Platform;

/// Runs a sandbox to its end; returns pid 1's status as wait(2) encodes it.
pub fn boot(_platform: &'static dyn Platform, _spec: LaunchSpec) -> u32 {
    0
}
