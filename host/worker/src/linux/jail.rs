//! What the worker gives up before any guest code runs: paths (Landlock), system calls (seccomp), new privileges.
//!
//! Defence in depth behind wasm's own boundary. Where the kernel lacks Landlock, or a part of it, the worker goes on
//! without.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use shallop_supervisor::wire::Access;

/// Enters the jail. Directory grants stay reachable beneath their descriptors, nothing else does.
pub fn enter(grants: &[(Access, OwnedFd)]) -> Result<()> {
    restrict_paths(grants)?;
    restrict_calls()
}

/// The newest Landlock that we ask for; older kernels give what they have.
const LANDLOCK: ABI = ABI::V6;

fn restrict_paths(grants: &[(Access, OwnedFd)]) -> Result<()> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))
        .and_then(|r| r.handle_access(AccessNet::from_all(LANDLOCK)))
        .and_then(|r| r.scope(Scope::from_all(LANDLOCK)))
        .and_then(Ruleset::create)
        .context("preparing Landlock")?;
    // The worker's own page map: fork asks it which pages are resident.
    if let Ok(own) = PathFd::new("/proc/self") {
        rules = rules.add_rule(PathBeneath::new(own, AccessFs::ReadFile)).context("Landlock: /proc/self")?;
    }
    for (access, descriptor) in grants {
        let Access::Directory { read_only } = access else { continue };
        let rights = if *read_only { AccessFs::from_read(LANDLOCK) } else { AccessFs::from_all(LANDLOCK) };
        rules = rules
            .add_rule(PathBeneath::new(descriptor.as_fd(), rights & !AccessFs::Execute))
            .context("Landlock: a volume")?;
    }
    rules.restrict_self().context("entering Landlock")?;
    Ok(())
}

/// The calls that wasmtime, its timer thread, memory objects and volumes need. All others fail with EPERM.
#[rustfmt::skip]
const ALLOWED: &[libc::c_long] = &[
    // Memory.
    libc::SYS_mmap, libc::SYS_munmap, libc::SYS_mprotect, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_brk,
    libc::SYS_mincore, libc::SYS_memfd_create, libc::SYS_msync,
    // Files that are open, and volumes below their descriptors.
    libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev, libc::SYS_pread64, libc::SYS_pwrite64,
    libc::SYS_preadv, libc::SYS_pwritev, libc::SYS_preadv2, libc::SYS_pwritev2, libc::SYS_lseek, libc::SYS_close, libc::SYS_fstat, libc::SYS_newfstatat, libc::SYS_statx,
    libc::SYS_ftruncate, libc::SYS_fallocate, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_openat,
    libc::SYS_openat2, libc::SYS_getdents64, libc::SYS_mkdirat, libc::SYS_unlinkat, libc::SYS_renameat,
    libc::SYS_renameat2, libc::SYS_linkat, libc::SYS_symlinkat, libc::SYS_readlinkat, libc::SYS_fchmod,
    libc::SYS_fchmodat, libc::SYS_utimensat, libc::SYS_fcntl, libc::SYS_flock, libc::SYS_fstatfs, libc::SYS_faccessat, libc::SYS_faccessat2,
    // Waiting, pipes and the control socket.
    libc::SYS_ppoll, libc::SYS_poll, libc::SYS_pselect6, libc::SYS_eventfd2, libc::SYS_pipe2, libc::SYS_recvfrom, libc::SYS_sendto,
    libc::SYS_recvmsg, libc::SYS_sendmsg, libc::SYS_getsockopt, libc::SYS_shutdown, libc::SYS_dup, libc::SYS_dup3, libc::SYS_ioctl,
    libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_wait, libc::SYS_epoll_pwait,
    libc::SYS_timerfd_create, libc::SYS_timerfd_settime,
    // Time and chance.
    libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_clock_nanosleep, libc::SYS_nanosleep,
    libc::SYS_gettimeofday, libc::SYS_getrandom,
    // Threads and signals of this process.
    libc::SYS_clone3, libc::SYS_clone, libc::SYS_set_robust_list, libc::SYS_rseq, libc::SYS_futex,
    libc::SYS_sched_yield, libc::SYS_sched_getaffinity, libc::SYS_set_tid_address, libc::SYS_gettid,
    libc::SYS_getpid, libc::SYS_tgkill, libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn, libc::SYS_sigaltstack, libc::SYS_prctl, libc::SYS_prlimit64, libc::SYS_getrusage,
    libc::SYS_membarrier, libc::SYS_geteuid, libc::SYS_getuid, libc::SYS_restart_syscall, libc::SYS_sysinfo, libc::SYS_uname,
    libc::SYS_exit, libc::SYS_exit_group,
];

/// Copies that report a bad page instead of raising a signal: of this process's own memory, no other's.
const OWN_MEMORY: &[libc::c_long] = &[libc::SYS_process_vm_readv, libc::SYS_process_vm_writev];

fn restrict_calls() -> Result<()> {
    let mut allowed: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|number| (*number, Vec::new())).collect();
    let own = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, std::process::id().into())?;
    for number in OWN_MEMORY {
        allowed.insert(*number, vec![SeccompRule::new(vec![own.clone()])?]);
    }
    let arch = std::env::consts::ARCH.try_into().context("seccomp: this processor")?;
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(allowed, refuse, SeccompAction::Allow, arch).context("preparing seccomp")?;
    let program: BpfProgram = filter.try_into().context("compiling the seccomp filter")?;
    seccompiler::apply_filter_all_threads(&program).context("entering seccomp")
}
