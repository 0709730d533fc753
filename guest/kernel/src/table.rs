//! A row per system call: name, number per architecture, handler, argument formats, support, note.
//!
//! Everything that is known of a call by rule is read from here: dispatch, traces, the quirks page.
//!
//! Argument formats, one letter an argument: `d` signed decimal, `u` unsigned decimal, `x` hexadecimal, `o` octal
//! mode, `p` pointer, `f` file descriptor (or AT_FDCWD), `s` string at the pointer, `b` bytes at the pointer (length in
//! the next argument), `B` bytes written by the call (length is its result), `O` open flags, `P` protection,
//! `M` mmap flags, `S` signal number, `C` clone flags, `a` NULL-terminated array of strings, `t` timespec at the pointer,
//! `i` int at the pointer after the call, `w` wait options. `=x` at the end: the result is hexadecimal.

use crate::dispatch::Handler;
use crate::syscall;

/// How much of a call is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// As Linux has it, but for what limits of the whole design say.
    Full,
    /// The note says what is missing.
    Partial,
    /// Always fails; the note says with what and why.
    Refused,
}

/// A row.
pub struct Row {
    pub name: &'static str,
    /// Number on riscv64, arm64 (asm-generic).
    pub generic: u16,
    pub handler: Handler,
    /// One letter an argument.
    pub formats: &'static str,
    pub support: Support,
    pub note: &'static str,
}

macro_rules! calls {
    ($($name:ident $number:literal $handler:path, $formats:literal, $support:ident, $note:literal;)*) => {
        /// Every call that has a row, in the order of this file.
        pub const ROWS: &[Row] = &[$(Row {
            name: stringify!($name),
            generic: $number,
            handler: $handler,
            formats: $formats,
            support: Support::$support,
            note: $note,
        },)*];
    };
}

calls! {
    // Files: opening, closing, descriptors.
    openat 56 syscall::open::openat, "fsOo", Full, "";
    openat2 437 syscall::open::openat2, "fspu", Partial, "RESOLVE_CACHED is EAGAIN";
    close 57 syscall::open::close, "f", Full, "";
    close_range 436 syscall::open::close_range, "uux", Full, "";
    dup 23 syscall::open::dup, "f", Full, "";
    dup3 24 syscall::open::dup3, "ffO", Full, "";
    fcntl 25 syscall::fcntl::fcntl, "fdx", Partial, "no leases, no notifications, no SIGIO";
    flock 32 syscall::fcntl::flock, "fx", Full, "";
    ioctl 29 syscall::ioctl::ioctl, "fxp", Partial, "what terminals, pipes and files answer to; no reflinks";
    pipe2 59 syscall::pipe::pipe2, "px", Partial, "O_DIRECT (packet mode) is EINVAL";
    memfd_create 279 syscall::memfd::memfd_create, "sx", Partial, "MFD_HUGETLB is EINVAL";
    eventfd2 19 syscall::event::eventfd2, "ux", Full, "";
    signalfd4 74 syscall::signalfd::signalfd4, "fpux", Full, "";
    timerfd_create 85 syscall::timerfd::timerfd_create, "dx", Full, "";
    timerfd_settime 86 syscall::timerfd::timerfd_settime, "fxpp", Full, "";
    timerfd_gettime 87 syscall::timerfd::timerfd_gettime, "fp", Full, "";
    epoll_create1 20 syscall::epoll::epoll_create1, "x", Full, "";
    epoll_ctl 21 syscall::epoll::epoll_ctl, "fdfp", Full, "";
    epoll_pwait 22 syscall::epoll::epoll_pwait, "fpddpu", Full, "";
    epoll_pwait2 441 syscall::epoll::epoll_pwait2, "fpdtpu", Full, "";
    ppoll 73 syscall::poll::ppoll, "putpu", Full, "";
    pselect6 72 syscall::poll::pselect6, "dppptp", Full, "";

    // Files: reading and writing.
    read 63 syscall::rw::read, "fBu", Full, "";
    write 64 syscall::rw::write, "fbu", Full, "";
    readv 65 syscall::rw::readv, "fpu", Full, "";
    writev 66 syscall::rw::writev, "fpu", Full, "";
    pread64 67 syscall::rw::pread64, "fBud", Full, "";
    pwrite64 68 syscall::rw::pwrite64, "fbud", Full, "";
    preadv 69 syscall::rw::preadv, "fpud", Full, "";
    pwritev 70 syscall::rw::pwritev, "fpud", Full, "";
    preadv2 286 syscall::rw::preadv2, "fpudux", Partial, "RWF_NOWAIT on files only";
    pwritev2 287 syscall::rw::pwritev2, "fpudux", Partial, "RWF_NOWAIT on files only; RWF_NOAPPEND and RWF_ATOMIC are EOPNOTSUPP";
    lseek 62 syscall::rw::lseek, "fdd", Partial, "SEEK_DATA and SEEK_HOLE see no holes";
    sendfile 71 syscall::copy::sendfile, "ffpu", Full, "";
    copy_file_range 285 syscall::copy::copy_file_range, "fpfpux", Full, "";
    splice 76 syscall::copy::splice, "fpfpux", Partial, "copies";
    truncate 45 syscall::rw::truncate, "sd", Full, "";
    ftruncate 46 syscall::rw::ftruncate, "fd", Full, "";
    fallocate 47 syscall::rw::fallocate, "fxdd", Partial, "COLLAPSE_RANGE, INSERT_RANGE and UNSHARE_RANGE are EOPNOTSUPP; space is not reserved";
    fsync 82 syscall::rw::fsync, "f", Full, "";
    fdatasync 83 syscall::rw::fsync, "f", Full, "";
    sync 81 syscall::rw::sync, "", Full, "";
    syncfs 267 syscall::rw::syncfs, "f", Full, "";
    sync_file_range 84 syscall::rw::sync_file_range, "fddx", Partial, "waits for the whole file";
    fadvise64 223 syscall::rw::fadvise64, "fddd", Full, "";
    readahead 213 syscall::rw::readahead, "fdu", Full, "";
    vmsplice 75 syscall::copy::vmsplice, "fpux", Partial, "copies; SPLICE_F_NONBLOCK is the descriptor's matter";
    tee 77 syscall::copy::tee, "ffux", Full, "";

    // Files: names and metadata.
    getdents64 61 syscall::dir::getdents64, "fpu", Full, "";
    mkdirat 34 syscall::dir::mkdirat, "fso", Full, "";
    mknodat 33 syscall::dir::mknodat, "fsox", Full, "";
    unlinkat 35 syscall::dir::unlinkat, "fsx", Full, "";
    symlinkat 36 syscall::dir::symlinkat, "sfs", Full, "";
    linkat 37 syscall::dir::linkat, "fsfsx", Full, "";
    renameat 38 syscall::dir::renameat, "fsfs", Full, "";
    renameat2 276 syscall::dir::renameat2, "fsfsx", Partial, "RENAME_WHITEOUT is EINVAL";
    readlinkat 78 syscall::dir::readlinkat, "fsBu", Full, "";
    newfstatat 79 syscall::stat::newfstatat, "fspx", Full, "";
    fstat 80 syscall::stat::fstat, "fp", Full, "";
    statx 291 syscall::stat::statx, "fsxxp", Full, "";
    statfs 43 syscall::stat::statfs, "sp", Full, "";
    fstatfs 44 syscall::stat::fstatfs, "fp", Full, "";
    faccessat 48 syscall::stat::faccessat, "fsd", Full, "";
    faccessat2 439 syscall::stat::faccessat2, "fsdx", Full, "";
    fchmod 52 syscall::stat::fchmod, "fo", Full, "";
    fchmodat 53 syscall::stat::fchmodat, "fso", Full, "";
    fchmodat2 452 syscall::stat::fchmodat2, "fsox", Full, "";
    fchown 55 syscall::stat::fchown, "fdd", Full, "";
    fchownat 54 syscall::stat::fchownat, "fsddx", Full, "";
    utimensat 88 syscall::stat::utimensat, "fspx", Full, "";
    chdir 49 syscall::path::chdir, "s", Full, "";
    fchdir 50 syscall::path::fchdir, "f", Full, "";
    chroot 51 syscall::path::chroot, "s", Full, "";
    getcwd 17 syscall::path::getcwd, "pu", Full, "";
    umask 166 syscall::path::umask, "o", Full, "";
    setxattr 5 syscall::xattr::setxattr, "sspux", Full, "";
    lsetxattr 6 syscall::xattr::lsetxattr, "sspux", Full, "";
    fsetxattr 7 syscall::xattr::fsetxattr, "fspux", Full, "";
    getxattr 8 syscall::xattr::getxattr, "sspu", Full, "";
    lgetxattr 9 syscall::xattr::lgetxattr, "sspu", Full, "";
    fgetxattr 10 syscall::xattr::fgetxattr, "fspu", Full, "";
    listxattr 11 syscall::xattr::listxattr, "spu", Full, "";
    llistxattr 12 syscall::xattr::llistxattr, "spu", Full, "";
    flistxattr 13 syscall::xattr::flistxattr, "fpu", Full, "";
    removexattr 14 syscall::xattr::removexattr, "ss", Full, "";
    lremovexattr 15 syscall::xattr::lremovexattr, "ss", Full, "";
    fremovexattr 16 syscall::xattr::fremovexattr, "fs", Full, "";
    mount 40 syscall::mount::refused, "sssxp", Refused, "EPERM, as without CAP_SYS_ADMIN";
    umount2 39 syscall::mount::refused, "sx", Refused, "EPERM, as without CAP_SYS_ADMIN";
    pivot_root 41 syscall::mount::refused, "ss", Refused, "EPERM, as without CAP_SYS_ADMIN";
    open_tree 428 syscall::mount::refused, "fsx", Refused, "EPERM, as without CAP_SYS_ADMIN";
    move_mount 429 syscall::mount::refused, "fsfsx", Refused, "EPERM, as without CAP_SYS_ADMIN";
    fsopen 430 syscall::mount::refused, "sx", Refused, "EPERM, as without CAP_SYS_ADMIN";
    fsmount 432 syscall::mount::refused, "fxx", Refused, "EPERM, as without CAP_SYS_ADMIN";
    mount_setattr 442 syscall::mount::refused, "fsxpu", Refused, "EPERM, as without CAP_SYS_ADMIN";
    swapon 224 syscall::info::forbidden, "sx", Refused, "EPERM";
    swapoff 225 syscall::info::forbidden, "s", Refused, "EPERM";
    quotactl 60 syscall::info::forbidden, "xsdp", Refused, "EPERM";
    inotify_init1 26 syscall::inotify::inotify_init1, "x", Full, "";
    inotify_add_watch 27 syscall::inotify::inotify_add_watch, "fsx", Partial, "what the host changes on a volume is not seen; IN_DELETE_SELF does not wait for the last close";
    inotify_rm_watch 28 syscall::inotify::inotify_rm_watch, "fd", Full, "";
    fanotify_init 262 syscall::info::forbidden, "xx", Refused, "EPERM, as without CAP_SYS_ADMIN";
    name_to_handle_at 264 syscall::info::unsupported, "fsppx", Refused, "EOPNOTSUPP";
    open_by_handle_at 265 syscall::info::forbidden, "fpx", Refused, "EPERM";
    io_setup 0 syscall::info::absent, "up", Refused, "ENOSYS";
    io_destroy 1 syscall::info::absent, "u", Refused, "ENOSYS";
    io_submit 2 syscall::info::absent, "uup", Refused, "ENOSYS";
    io_uring_setup 425 syscall::info::absent, "up", Refused, "ENOSYS: programs fall back to epoll";
    io_uring_enter 426 syscall::info::absent, "fuuxp", Refused, "ENOSYS";
    io_uring_register 427 syscall::info::absent, "fupu", Refused, "ENOSYS";

    // Memory.
    brk 214 syscall::memory::brk, "p=x", Full, "";
    mmap 222 syscall::memory::mmap, "puPMfx=x", Full, "";
    munmap 215 syscall::memory::munmap, "pu", Full, "";
    mprotect 226 syscall::memory::mprotect, "puP", Full, "";
    mremap 216 syscall::memory::mremap, "puuxp=x", Full, "";
    madvise 233 syscall::memory::madvise, "pud", Full, "";
    msync 227 syscall::memory::msync, "pux", Full, "";
    mincore 232 syscall::memory::mincore, "pup", Partial, "every mapped page is resident";
    mlock 228 syscall::memory::mlock, "pu", Partial, "nothing is ever swapped";
    munlock 229 syscall::memory::mlock, "pu", Partial, "nothing is ever swapped";
    mlock2 284 syscall::memory::mlock, "pux", Partial, "nothing is ever swapped";
    mlockall 230 syscall::memory::mlockall, "x", Partial, "nothing is ever swapped";
    munlockall 231 syscall::memory::mlockall, "", Partial, "nothing is ever swapped";
    mbind 235 syscall::info::absent, "pudpux", Refused, "ENOSYS: there is one memory node";
    get_mempolicy 236 syscall::info::absent, "ppupx", Refused, "ENOSYS";
    set_mempolicy 237 syscall::info::absent, "dpu", Refused, "ENOSYS";
    pkey_mprotect 288 syscall::info::absent, "puPd", Refused, "ENOSYS";
    pkey_alloc 289 syscall::info::absent, "xx", Refused, "ENOSYS";
    pkey_free 290 syscall::info::absent, "d", Refused, "ENOSYS";
    userfaultfd 282 syscall::info::absent, "x", Refused, "ENOSYS";
    memfd_secret 447 syscall::info::absent, "x", Refused, "ENOSYS";
    process_vm_readv 270 syscall::info::forbidden, "dpupux", Refused, "EPERM";
    process_vm_writev 271 syscall::info::forbidden, "dpupux", Refused, "EPERM";
    shmget 194 syscall::shm::shmget, "dux", Partial, "SHM_HUGETLB is ENOMEM";
    shmctl 195 syscall::shm::shmctl, "ddp", Full, "";
    shmat 196 syscall::shm::shmat, "dpx=x", Full, "";
    shmdt 197 syscall::shm::shmdt, "p", Full, "";
    semget 190 syscall::sem::semget, "ddx", Full, "";
    semctl 191 syscall::sem::semctl, "dddx", Full, "";
    semop 193 syscall::sem::semop, "dpu", Full, "";
    semtimedop 192 syscall::sem::semtimedop, "dput", Full, "";
    msgget 186 syscall::msg::msgget, "dx", Full, "";
    msgctl 187 syscall::msg::msgctl, "ddp", Full, "";
    msgrcv 188 syscall::msg::msgrcv, "dpudx", Partial, "MSG_COPY is ENOSYS";
    msgsnd 189 syscall::msg::msgsnd, "dpux", Full, "";
    mq_open 180 syscall::mq::mq_open, "sOop", Full, "";
    mq_unlink 181 syscall::mq::mq_unlink, "s", Full, "";
    mq_timedsend 182 syscall::mq::mq_timedsend, "fbuut", Full, "";
    mq_timedreceive 183 syscall::mq::mq_timedreceive, "fBuit", Full, "";
    mq_notify 184 syscall::mq::mq_notify, "fp", Full, "";
    mq_getsetattr 185 syscall::mq::mq_getsetattr, "fpp", Full, "";

    // Tasks.
    clone 220 syscall::clone::clone, "Cppxp", Partial, "no namespaces";
    clone3 435 syscall::clone::clone3, "pu", Partial, "no namespaces, no cgroups";
    execve 221 syscall::exec::execve, "saa", Full, "";
    execveat 281 syscall::exec::execveat, "fsaax", Full, "";
    exit 93 syscall::clone::exit, "d", Full, "";
    exit_group 94 syscall::clone::exit_group, "d", Full, "";
    wait4 260 syscall::wait::wait4, "diwp", Full, "";
    waitid 95 syscall::wait::waitid, "ddpwp", Full, "";
    set_tid_address 96 syscall::clone::set_tid_address, "p", Full, "";
    unshare 97 syscall::clone::unshare, "x", Partial, "CLONE_FS and CLONE_FILES; namespaces are EPERM";
    setns 268 syscall::info::forbidden, "fx", Refused, "EPERM";
    getpid 172 syscall::ids::getpid, "", Full, "";
    getppid 173 syscall::ids::getppid, "", Full, "";
    gettid 178 syscall::ids::gettid, "", Full, "";
    getuid 174 syscall::ids::getuid, "", Full, "";
    geteuid 175 syscall::ids::geteuid, "", Full, "";
    getgid 176 syscall::ids::getgid, "", Full, "";
    getegid 177 syscall::ids::getegid, "", Full, "";
    getresuid 148 syscall::ids::getresuid, "iii", Full, "";
    getresgid 150 syscall::ids::getresgid, "iii", Full, "";
    setuid 146 syscall::ids::setuid, "d", Full, "";
    setgid 144 syscall::ids::setgid, "d", Full, "";
    setreuid 145 syscall::ids::setreuid, "dd", Full, "";
    setregid 143 syscall::ids::setregid, "dd", Full, "";
    setresuid 147 syscall::ids::setresuid, "ddd", Full, "";
    setresgid 149 syscall::ids::setresgid, "ddd", Full, "";
    setfsuid 151 syscall::ids::setfsuid, "d", Full, "";
    setfsgid 152 syscall::ids::setfsgid, "d", Full, "";
    getgroups 158 syscall::ids::getgroups, "dp", Full, "";
    setgroups 159 syscall::ids::setgroups, "dp", Full, "";
    getpgid 155 syscall::ids::getpgid, "d", Full, "";
    setpgid 154 syscall::ids::setpgid, "dd", Full, "";
    getsid 156 syscall::ids::getsid, "d", Full, "";
    setsid 157 syscall::ids::setsid, "", Full, "";
    capget 90 syscall::ids::capget, "pp", Full, "";
    capset 91 syscall::ids::capset, "pp", Full, "";
    prctl 167 syscall::prctl::prctl, "dxxxx", Partial, "names, capabilities, subreaper, death signal, no_new_privs; no seccomp";
    personality 92 syscall::info::personality, "x", Partial, "PER_LINUX";
    ptrace 117 syscall::info::forbidden, "dxxx", Refused, "EPERM";
    seccomp 277 syscall::info::invalid, "dxp", Refused, "EINVAL: the sandbox is elsewhere";
    kcmp 272 syscall::info::forbidden, "ddddd", Refused, "EPERM";
    pidfd_open 434 syscall::pidfd::pidfd_open, "dx", Partial, "no PIDFD_THREAD";
    pidfd_send_signal 424 syscall::pidfd::pidfd_send_signal, "fSpx", Partial, "flags are EINVAL";
    pidfd_getfd 438 syscall::pidfd::pidfd_getfd, "ffx", Full, "";
    landlock_create_ruleset 444 syscall::info::absent, "pux", Refused, "ENOSYS";
    landlock_add_rule 445 syscall::info::absent, "fdpx", Refused, "ENOSYS";
    landlock_restrict_self 446 syscall::info::absent, "fx", Refused, "ENOSYS";
    add_key 217 syscall::info::absent, "sspud", Refused, "ENOSYS";
    request_key 218 syscall::info::absent, "sssd", Refused, "ENOSYS";
    keyctl 219 syscall::info::absent, "dxxxx", Refused, "ENOSYS";
    bpf 280 syscall::info::forbidden, "dpu", Refused, "EPERM";
    perf_event_open 241 syscall::info::forbidden, "pdddx", Refused, "EPERM";

    // Futexes.
    futex 98 syscall::futex::futex, "pddppx", Partial, "all tasks have one priority";
    futex_waitv 449 syscall::info::absent, "puxtd", Refused, "ENOSYS";
    set_robust_list 99 syscall::futex::set_robust_list, "pu", Full, "";
    get_robust_list 100 syscall::futex::get_robust_list, "dpp", Full, "";
    rseq 293 syscall::info::absent, "puxx", Refused, "ENOSYS: the C library does without";
    membarrier 283 syscall::info::membarrier, "dxd", Full, "";

    // Signals.
    rt_sigaction 134 syscall::signal::rt_sigaction, "Sppu", Full, "";
    rt_sigprocmask 135 syscall::signal::rt_sigprocmask, "dppu", Full, "";
    rt_sigpending 136 syscall::signal::rt_sigpending, "pu", Full, "";
    rt_sigsuspend 133 syscall::signal::rt_sigsuspend, "pu", Full, "";
    rt_sigtimedwait 137 syscall::signal::rt_sigtimedwait, "pptu", Full, "";
    rt_sigqueueinfo 138 syscall::signal::rt_sigqueueinfo, "dSp", Full, "";
    rt_tgsigqueueinfo 240 syscall::signal::rt_tgsigqueueinfo, "ddSp", Full, "";
    rt_sigreturn 139 syscall::signal::rt_sigreturn, "", Full, "";
    sigaltstack 132 syscall::signal::sigaltstack, "pp", Full, "";
    kill 129 syscall::signal::kill, "dS", Full, "";
    tkill 130 syscall::signal::tkill, "dS", Full, "";
    tgkill 131 syscall::signal::tgkill, "ddS", Full, "";
    restart_syscall 128 syscall::info::interrupted, "", Refused, "EINTR: calls are restarted with their own number";

    // Time.
    clock_gettime 113 syscall::time::clock_gettime, "dp", Full, "";
    clock_settime 112 syscall::time::set_clock, "dt", Refused, "EPERM: the clock is the host's";
    clock_getres 114 syscall::time::clock_getres, "dp", Full, "";
    clock_nanosleep 115 syscall::time::clock_nanosleep, "dxtp", Partial, "not on CPU clocks";
    clock_adjtime 266 syscall::time::set_clock, "dp", Refused, "EPERM: the clock is the host's";
    adjtimex 171 syscall::time::set_clock, "p", Refused, "EPERM: the clock is the host's";
    nanosleep 101 syscall::time::nanosleep, "tp", Full, "";
    gettimeofday 169 syscall::time::gettimeofday, "pp", Full, "";
    settimeofday 170 syscall::time::set_clock, "pp", Refused, "EPERM: the clock is the host's";
    setitimer 103 syscall::timer::setitimer, "dpp", Partial, "ITIMER_VIRTUAL and ITIMER_PROF count real time";
    getitimer 102 syscall::timer::getitimer, "dp", Full, "";
    timer_create 107 syscall::timer::timer_create, "dpp", Partial, "CPU clocks count real time";
    timer_settime 110 syscall::timer::timer_settime, "dxpp", Full, "";
    timer_gettime 108 syscall::timer::timer_gettime, "dp", Full, "";
    timer_getoverrun 109 syscall::timer::timer_getoverrun, "d", Full, "";
    timer_delete 111 syscall::timer::timer_delete, "d", Full, "";
    times 153 syscall::time::times, "p", Partial, "all CPU time is user time";
    getrusage 165 syscall::time::getrusage, "dp", Partial, "CPU time and resident size; all CPU time is user time";

    // The system, scheduling, limits.
    uname 160 syscall::info::uname, "p", Full, "";
    sysinfo 179 syscall::info::sysinfo, "p", Full, "";
    getrandom 278 syscall::info::getrandom, "Bux", Full, "";
    getcpu 168 syscall::info::getcpu, "iip", Full, "";
    prlimit64 261 syscall::info::prlimit64, "ddpp", Partial, "NOFILE, STACK, FSIZE and CORE have effect";
    getrlimit 163 syscall::info::getrlimit, "dp", Full, "";
    setrlimit 164 syscall::info::setrlimit, "dp", Partial, "as prlimit64";
    sched_yield 124 syscall::sched::sched_yield, "", Full, "";
    sched_getaffinity 123 syscall::sched::sched_getaffinity, "dup", Partial, "one CPU";
    sched_setaffinity 122 syscall::sched::sched_setaffinity, "dup", Partial, "one CPU";
    sched_getscheduler 120 syscall::sched::sched_getscheduler, "d", Partial, "SCHED_OTHER";
    sched_setscheduler 119 syscall::sched::sched_setscheduler, "ddp", Partial, "real-time policies are EPERM";
    sched_getparam 121 syscall::sched::sched_getparam, "dp", Full, "";
    sched_setparam 118 syscall::sched::sched_setparam, "dp", Full, "";
    sched_get_priority_max 125 syscall::sched::sched_get_priority_max, "d", Full, "";
    sched_get_priority_min 126 syscall::sched::sched_get_priority_min, "d", Full, "";
    sched_rr_get_interval 127 syscall::sched::sched_rr_get_interval, "dp", Full, "";
    sched_getattr 275 syscall::sched::sched_getattr, "dpux", Full, "";
    sched_setattr 274 syscall::sched::sched_setattr, "dpx", Partial, "real-time policies are EPERM";
    getpriority 141 syscall::sched::getpriority, "dd", Full, "";
    setpriority 140 syscall::sched::setpriority, "ddd", Partial, "kept, without effect";
    ioprio_set 30 syscall::info::nothing, "ddd", Partial, "without effect";
    ioprio_get 31 syscall::info::nothing, "dd", Full, "";
    sethostname 161 syscall::info::forbidden, "su", Refused, "EPERM";
    setdomainname 162 syscall::info::forbidden, "su", Refused, "EPERM";
    syslog 116 syscall::info::forbidden, "dpd", Refused, "EPERM";
    reboot 142 syscall::info::forbidden, "xxxp", Refused, "EPERM";
    acct 89 syscall::info::forbidden, "s", Refused, "EPERM";
    vhangup 58 syscall::info::forbidden, "", Refused, "EPERM";
    init_module 105 syscall::info::forbidden, "pus", Refused, "EPERM";
    finit_module 273 syscall::info::forbidden, "fsx", Refused, "EPERM";
    delete_module 106 syscall::info::forbidden, "sx", Refused, "EPERM";
    kexec_load 104 syscall::info::forbidden, "uupx", Refused, "EPERM";
    riscv_flush_icache 259 syscall::memory::riscv_flush_icache, "ppx", Full, "";
    riscv_hwprobe 258 syscall::hwprobe::riscv_hwprobe, "pupux", Partial, "the frequency of the time register is not known";

    // Sockets.
    socket 198 syscall::socket::socket, "ddd", Partial, "AF_UNIX, AF_INET, AF_INET6 (TCP, UDP), AF_NETLINK (NETLINK_ROUTE); raw sockets are EPERM, ICMP is EACCES";
    socketpair 199 syscall::socket::socketpair, "dddp", Full, "";
    bind 200 syscall::socket::bind, "fpu", Full, "";
    listen 201 syscall::socket::listen, "fd", Full, "";
    accept 202 syscall::socket::accept, "fpp", Full, "";
    accept4 242 syscall::socket::accept4, "fppx", Full, "";
    connect 203 syscall::socket::connect, "fpu", Full, "";
    getsockname 204 syscall::socket::getsockname, "fpp", Full, "";
    getpeername 205 syscall::socket::getpeername, "fpp", Full, "";
    sendto 206 syscall::socket::sendto, "fbuxpu", Partial, "MSG_OOB is EOPNOTSUPP";
    recvfrom 207 syscall::socket::recvfrom, "fBuxpp", Partial, "no MSG_OOB; MSG_ERRQUEUE is EAGAIN";
    setsockopt 208 syscall::socket::setsockopt, "fddpu", Partial, "address reuse, IPV6_V6ONLY, SO_LINGER with no time, time-outs, SO_PASSCRED and SO_BROADCAST have an effect; others are kept and told again";
    getsockopt 209 syscall::socket::getsockopt, "fddpp", Partial, "TCP_INFO tells the state alone";
    shutdown 210 syscall::socket::shutdown, "fd", Full, "";
    sendmsg 211 syscall::socket::sendmsg, "fpx", Partial, "control messages: SCM_RIGHTS and SCM_CREDENTIALS; those of IP are ignored";
    recvmsg 212 syscall::socket::recvmsg, "fpx", Partial, "control messages: SCM_RIGHTS and SCM_CREDENTIALS";
    sendmmsg 269 syscall::socket::sendmmsg, "fpux", Partial, "waits for the first message only";
    recvmmsg 243 syscall::socket::recvmmsg, "fpuxt", Partial, "waits for the first message only";
}

const NUMBERS: usize = 512;

static GENERIC: [Option<&Row>; NUMBERS] = index();

const fn index() -> [Option<&'static Row>; NUMBERS] {
    let mut table: [Option<&'static Row>; NUMBERS] = [None; NUMBERS];
    let mut i = 0;
    while i < ROWS.len() {
        let row = &ROWS[i];
        assert!(table[row.generic as usize].is_none(), "two rows have one number");
        table[row.generic as usize] = Some(row);
        i += 1;
    }
    table
}

/// The row of call `number`.
pub fn row(number: u64) -> Option<&'static Row> {
    GENERIC.get(usize::try_from(number).ok()?).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_number_and_well_formed() {
        assert_eq!(row(56).map(|r| r.name), Some("openat"));
        assert!(row(511).is_none() && row(u64::MAX).is_none());
        for row in ROWS {
            let formats = row.formats.trim_end_matches("=x");
            assert!(formats.len() <= 6 && formats.bytes().all(|f| b"duxopfsbBOPMSCatiw".contains(&f)), "{}", row.name);
            assert!(row.support == Support::Full || !row.note.is_empty(), "{} needs a note", row.name);
        }
    }
}
