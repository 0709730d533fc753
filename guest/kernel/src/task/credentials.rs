//! User and group ids and capabilities of a task (credentials(7), capabilities(7)).

use std::rc::Rc;

/// The capability sets, bit n for capability n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
    pub bounding: u64,
    pub ambient: u64,
}

impl Capabilities {
    /// execve(2) of a file without capabilities of its own (capabilities(7), "Transformation of capabilities").
    /// `root`: the real or effective uid is 0; `effective_root`: the effective one.
    pub fn exec(&mut self, root: bool, effective_root: bool) {
        if root {
            self.permitted = self.inheritable | self.bounding;
            self.effective = if effective_root { self.permitted } else { 0 };
            self.ambient = 0;
        } else {
            self.permitted = self.ambient;
            self.effective = self.ambient;
        }
    }
}

/// What Docker leaves a container's root: chown dac_override fowner fsetid kill setgid setuid setpcap
/// net_bind_service net_raw sys_chroot mknod audit_write setfcap.
pub const DOCKER_DEFAULT: u64 = 0xa80425fb;

pub mod cap {
    pub const CHOWN: u32 = 0;
    pub const DAC_OVERRIDE: u32 = 1;
    pub const DAC_READ_SEARCH: u32 = 2;
    pub const FOWNER: u32 = 3;
    pub const FSETID: u32 = 4;
    pub const KILL: u32 = 5;
    pub const SETGID: u32 = 6;
    pub const SETUID: u32 = 7;
    pub const SETPCAP: u32 = 8;
    pub const IPC_OWNER: u32 = 15;
    pub const SYS_CHROOT: u32 = 18;
    pub const SYS_PTRACE: u32 = 19;
    pub const SYS_ADMIN: u32 = 21;
    pub const SYS_NICE: u32 = 23;
    pub const SYS_RESOURCE: u32 = 24;
    pub const MKNOD: u32 = 27;
}

/// Who a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub uid: u32,
    pub euid: u32,
    pub suid: u32,
    pub fsuid: u32,
    pub gid: u32,
    pub egid: u32,
    pub sgid: u32,
    pub fsgid: u32,
    /// Supplementary groups.
    pub groups: Rc<[u32]>,
    pub caps: Capabilities,
    pub no_new_privs: bool,
    /// PR_SET_KEEPCAPS: giving up user id 0 keeps the permitted capabilities.
    pub keep_caps: bool,
}

impl Credentials {
    /// All ids the same; root gets Docker's capabilities, others none (but keep the bounding set).
    pub fn new(uid: u32, gid: u32, groups: Vec<u32>) -> Credentials {
        let held = if uid == 0 { DOCKER_DEFAULT } else { 0 };
        let caps =
            Capabilities { effective: held, permitted: held, inheritable: 0, bounding: DOCKER_DEFAULT, ambient: 0 };
        Credentials {
            uid,
            euid: uid,
            suid: uid,
            fsuid: uid,
            gid,
            egid: gid,
            sgid: gid,
            fsgid: gid,
            groups: groups.into(),
            caps,
            no_new_privs: false,
            keep_caps: false,
        }
    }

    /// Whether capability `number` is effective.
    pub fn has(&self, number: u32) -> bool {
        self.caps.effective >> number & 1 != 0
    }

    /// Whether the file-system gid or a supplementary group is `gid`.
    pub fn in_group(&self, gid: u32) -> bool {
        self.fsgid == gid || self.groups.contains(&gid)
    }
}
