//! From the launch spec to a running init process: mounts, user, first program; then the scheduler until it ends.

mod mounts;
mod program;
mod users;

use std::cell::RefCell;
use std::rc::Rc;

use shallop_host_abi::LaunchSpec;
use shallop_linux_abi::signal::SIGCHLD;
use shallop_machine::{Isa, Registers};
use shallop_platform::{Platform, SpaceId};

use self::users::User;
use crate::dispatch;
use crate::fs::mqueue::MessageQueues;
use crate::futex::FutexTable;
use crate::kernel::Kernel;
use crate::load::Load;
use crate::mm::Mm;
use crate::net::Net;
use crate::net::interface::Interfaces;
use crate::signal::{AltStack, Pending};
use crate::task::{Credentials, INIT, Life, Process, State, Task, default_rlimits};
use crate::vfs::FsContext;
use crate::vfs::context::IoState;
use crate::vfs::fd_table::FdTable;
use crate::wait::{ReadyList, Tid, WaitQueue};

/// Exit codes as Docker has them: the sandbox itself failed, the program cannot be run, there is no such program.
const FAILED: u32 = 125;
const CANNOT_RUN: u32 = 126;
const NOT_FOUND: u32 = 127;

/// Points of the start-up for `--timings` (hypercall `mark`).
mod point {
    pub const SPEC_READ: u32 = 1;
    pub const MOUNTED: u32 = 2;
    pub const LOADED: u32 = 3;
    pub const ENDED: u32 = 4;
    pub const SAVED: u32 = 5;
}

/// Why the first program did not start.
struct Failure {
    exit: u32,
    text: String,
}

impl Failure {
    fn new(exit: u32, text: impl Into<String>) -> Failure {
        Failure { exit, text: text.into() }
    }
}

/// The instruction set that an image's platform names.
pub fn isa(arch: &str) -> Option<&'static dyn Isa> {
    static RISCV64: shallop_riscv64::linux::Riscv64 = shallop_riscv64::linux::Riscv64;
    (arch == "riscv64").then_some(&RISCV64 as &'static dyn Isa)
}

/// Runs a sandbox to its end; returns pid 1's status as wait(2) encodes it.
pub fn boot(platform: &'static dyn Platform, spec: LaunchSpec) -> u32 {
    platform.mark(point::SPEC_READ);
    let mut kernel = match start(platform, &spec) {
        Ok(kernel) => kernel,
        Err(failure) => return report(platform, &failure),
    };
    drop(spec);
    platform.mark(point::LOADED);
    let status = dispatch::run(&mut kernel);
    platform.mark(point::ENDED);
    let status = save(&kernel, status);
    platform.mark(point::SAVED);
    status
}

/// Says on stderr what is wrong.
fn report(platform: &dyn Platform, failure: &Failure) -> u32 {
    let text = format!("shallop: {}\n", failure.text);
    let _ = platform.stdio_write(2, text.as_bytes());
    failure.exit << 8
}

/// Writes out what the file systems still hold; a sandbox whose files are lost has failed.
fn save(k: &Kernel, status: u32) -> u32 {
    let failed = k.mounts.iter().filter_map(|m| m.fs.sync().err().map(|e| (m, e))).last();
    match failed {
        None => status,
        Some((mount, errno)) => {
            let target = String::from_utf8_lossy(&mount.target);
            let text = format!("files of {target} could not be saved: {}", errno.text());
            report(k.platform, &Failure::new(FAILED, text))
        }
    }
}

/// Everything up to the first instruction of the first program.
fn start(platform: &'static dyn Platform, spec: &LaunchSpec) -> Result<Kernel, Failure> {
    let isa = isa(&spec.arch)
        .ok_or_else(|| Failure::new(FAILED, format!("no engine for programs of architecture {}", spec.arch)))?;
    let mut k = empty_kernel(platform, isa, spec);
    k.mounts = mounts::root(platform, spec)?;
    let user = users::find(&k, &spec.user)?;
    mounts::mount_all(&mut k, spec, &user)?;
    platform.mark(point::MOUNTED);
    let cwd = mounts::working_directory(&k, &spec.cwd)?;
    let context = FsContext { cwd, root: k.mounts.root(), umask: 0o022 };
    first_task(&mut k, context, &user);
    if spec.tty {
        crate::tty::create_host_tty(&k);
    }
    let files = crate::tty::standard_files(&mut k, INIT, (user.uid, user.gid), spec.tty, spec.interactive);
    *k.task(Tid(INIT.0)).files.borrow_mut() = files;
    program::exec(&mut k, spec, &user)?;
    k.enqueue(Tid(INIT.0));
    Ok(k)
}

fn empty_kernel(platform: &'static dyn Platform, isa: &'static dyn Isa, spec: &LaunchSpec) -> Kernel {
    let mut k = Kernel::bare(platform, isa);
    k.hostname = spec.hostname.clone().into_bytes();
    k.memory_limit = spec.memory_limit;
    k.tasks_max = spec.tasks_max;
    k.strace = spec.strace;
    if let Some(network) = spec.network {
        k.net = Net::new(platform, Interfaces::with_network(network.address, network.gateway));
    }
    k.profile = spec.profile.then(Box::default);
    k
}

impl Kernel {
    /// A kernel without mounts, tasks or limits.
    pub(crate) fn bare(platform: &'static dyn Platform, isa: &'static dyn Isa) -> Kernel {
        Kernel {
            platform,
            isa,
            ready: ReadyList::default(),
            mounts: Default::default(),
            io: IoState::default(),
            net: Net::new(platform, Interfaces::default()),
            tasks: Default::default(),
            processes: Default::default(),
            hostname: b"localhost".to_vec(),
            memory_limit: 1 << 30,
            tasks_max: 4096,
            boot_time: platform.now(shallop_platform::Clock::Monotonic),
            timers: Default::default(),
            futexes: FutexTable::default(),
            pi_locks: Default::default(),
            conditions: Default::default(),
            ipc: Default::default(),
            queues: Rc::new(MessageQueues::new(platform)),
            run_queue: Default::default(),
            strace: false,
            profile: None,
            calls_since_poll: 0,
            slice: None,
            load: Load::new(platform.now(shallop_platform::Clock::Monotonic)),
            alarm: None,
            next_pid: INIT.0 + 1,
        }
    }
}

/// Process 1 with its one task, which has no program yet.
fn first_task(k: &mut Kernel, context: FsContext, user: &User) {
    let credentials = Credentials::new(user.uid, user.gid, user.groups.clone());
    insert_first(k, context, credentials);
}

/// As `first_task`, for tests too.
pub(crate) fn insert_first(k: &mut Kernel, context: FsContext, credentials: Credentials) {
    let uid = credentials.uid;
    let tid = Tid(INIT.0);
    let task = Task {
        tid,
        pid: INIT,
        space: SpaceId(0),
        host: None,
        registers: Registers::default(),
        files: Rc::new(RefCell::new(FdTable::new(&k.io.locks))),
        fs: Rc::new(RefCell::new(context)),
        credentials,
        progress: Default::default(),
        mask: 0,
        saved_mask: None,
        pending: Pending::default(),
        alt_stack: AltStack::default(),
        name: Vec::new(),
        state: State::Runnable,
        queued: false,
        call: None,
        clear_child_tid: 0,
        robust_list: 0,
        vfork: None,
        cpu_time: 0,
        trace: None,
    };
    let process = Process {
        pid: INIT,
        ppid: crate::task::Pid(0),
        pgid: INIT,
        sid: INIT,
        exe: None,
        cmdline: Vec::new(),
        environ: Vec::new(),
        auxv: Vec::new(),
        mm: Rc::new(RefCell::new(Mm::none(k.platform))),
        tasks: vec![tid],
        children: Vec::new(),
        tty: None,
        rlimits: default_rlimits(),
        life: Life::Running,
        stopped: None,
        news: None,
        exit_signal: SIGCHLD,
        watch: Rc::default(),
        child_queue: WaitQueue::new(),
        signal_queue: WaitQueue::new(),
        actions: Default::default(),
        pending: Pending::default(),
        pending_shown: Rc::default(),
        subreaper: false,
        dumpable: true,
        death_signal: 0,
        execed: false,
        nice: 0,
        started: k.boot_time,
        cpu_time: 0,
        children_cpu_time: 0,
        itimers: Default::default(),
        timers: Vec::new(),
        name: Vec::new(),
        uid,
    };
    k.tasks.insert(tid, task);
    k.processes.insert(INIT, process);
}
