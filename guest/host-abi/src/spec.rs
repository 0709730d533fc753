//! The launch spec: one sandbox's whole configuration, passed as JSON by the worker to the kernel.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// The number of a granted host descriptor: what the kernel passes to the `file_*` and `volume_*` hypercalls.
pub type Handle = u32;

/// Everything one sandbox is told at its start. It holds no authority: handles name what was granted beside it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// Must equal [`crate::ABI_VERSION`].
    pub version: u32,
    /// Guest instruction set, as in an image's platform: `riscv64`.
    pub arch: String,
    pub hostname: String,
    /// Program and arguments, already joined from entrypoint and command.
    pub argv: Vec<String>,
    /// `NAME=value` strings, complete but for HOME, which the kernel adds from /etc/passwd.
    pub env: Vec<String>,
    /// Absolute path in the container; created when missing, as Docker does.
    pub cwd: String,
    /// `user`, `uid`, `user:group`, `uid:gid` or empty; names are looked up in the image's /etc/passwd and /etc/group.
    pub user: String,
    /// Read-only layers, lowest first.
    pub layers: Vec<LayerGrant>,
    /// The writable layer: handles of its journal file and its data file (see `shallop-layer`'s `upper`).
    pub upper_journal: Handle,
    pub upper_data: Handle,
    pub mounts: Vec<Mount>,
    /// The network outside; `None`: there is the container's own loopback alone.
    pub network: Option<Network>,
    /// Contents of files that the engine puts over the image: (`/etc/hosts`, text), (`/etc/hostname`, text), …
    pub overlay_files: Vec<(String, String)>,
    /// The container's stdio is a terminal (`-t`): the kernel puts its line discipline over host stdio.
    pub tty: bool,
    /// stdin is connected (`-i`); otherwise reading it gives end of file.
    pub interactive: bool,
    /// Bytes, shown as cgroup memory.max and MemTotal.
    pub memory_limit: u64,
    /// Bytes, shown as the size of the root file system.
    pub disk_limit: u64,
    pub tasks_max: u32,
    /// Print each system call to the trace stream, as strace does.
    pub strace: bool,
    /// Write samples to the profile stream ([`crate::profile`]).
    pub profile: bool,
    /// Unpredictable 64-bit seed for guest-visible randomness that must not block (hash seeds); not a secret.
    pub seed: u64,
}

/// One read-only layer: a tar read in place through its index.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LayerGrant {
    /// The uncompressed tar.
    pub tar: Handle,
    /// Its index, written by `shallop-layer`.
    pub index: Handle,
    /// Page-aligned copies of large files, mapped copy-on-write into processes.
    pub aligned: Option<Handle>,
}

/// What a container sees of the network outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its own address there.
    pub address: Ipv4Addr,
    /// The way out; as an address it stands for the host.
    pub gateway: Ipv4Addr,
}

/// What is mounted at a path of the container besides the root.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute, normalised path in the container.
    pub target: String,
    pub bind: Bind,
    pub read_only: bool,
}

/// The source of a mount.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Bind {
    /// A host directory, reached through the `volume_*` hypercalls with this root.
    Directory(Handle),
    /// A single host file that is already open.
    File(Handle),
    /// An empty tmpfs.
    Tmpfs,
}

impl LaunchSpec {
    /// Reads the JSON form and checks its version.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn from_json(json: &[u8]) -> Result<LaunchSpec, String> {
        let spec: LaunchSpec = serde_json::from_slice(json).map_err(|e| format!("launch spec: {e}"))?;
        match spec.version {
            crate::ABI_VERSION => Ok(spec),
            other => Err(format!("launch spec has version {other}, this kernel speaks {}", crate::ABI_VERSION)),
        }
    }

    /// The JSON form.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}
