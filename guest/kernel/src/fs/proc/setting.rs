//! /proc/sys (proc_sys(5)): settings of the kernel. They are what they are; none can be changed.

use std::cell::OnceCell;

use shallop_linux_abi::Errno;

use super::{directory, file};
use crate::fs::mqueue;
use crate::fs::pipe::MAX_CAPACITY;
use crate::fs::pseudo::tree::{Directory, Row, Subject};
use crate::kernel::Kernel;
use crate::tunables::{LOWEST, MAPPINGS_MAX, OPEN_FILES, OS_RELEASE, OS_VERSION, PID_MAX};
use crate::vfs::watch;

type Text = Result<Vec<u8>, Errno>;

pub(super) static DIRECTORY: Directory =
    rows(&[directory("kernel", &KERNEL), directory("vm", &VM), directory("fs", &FS), directory("net", &NET)]);

const fn rows(rows: &'static [Row]) -> Directory {
    Directory { rows, more: None }
}

static KERNEL: Directory = rows(&[
    file("hostname", |k, _| Ok([&k.hostname[..], b"\n"].concat())),
    file("domainname", |_, _| line("(none)")),
    file("osrelease", |_, _| line(OS_RELEASE)),
    file("ostype", |_, _| line("Linux")),
    file("version", |_, _| line(OS_VERSION)),
    file("pid_max", |_, _| line(PID_MAX)),
    file("threads-max", |k, _| line(k.tasks_max)),
    file("ngroups_max", |_, _| line(65536)),
    file("cap_last_cap", |_, _| line(40)),
    file("overflowuid", |_, _| line(65534)),
    file("overflowgid", |_, _| line(65534)),
    file("core_pattern", |_, _| line("core")),
    file("core_uses_pid", |_, _| line(1)),
    file("randomize_va_space", |_, _| line(2)),
    file("dmesg_restrict", |_, _| line(1)),
    file("kptr_restrict", |_, _| line(1)),
    file("perf_event_paranoid", |_, _| line(4)),
    file("unprivileged_bpf_disabled", |_, _| line(2)),
    file("shmmax", |_, _| line(18446744073692774399_u64)),
    file("shmall", |_, _| line(18446744073692774399_u64)),
    file("shmmni", |_, _| line(4096)),
    file("msgmax", |_, _| line(8192)),
    file("msgmnb", |_, _| line(16384)),
    file("msgmni", |_, _| line(32000)),
    file("shm_rmid_forced", |_, _| line(0)),
    file("sem", |_, _| line("32000\t1024000000\t500\t32000")),
    directory("random", &RANDOM),
    directory("yama", &YAMA),
    directory("pty", &PTY),
]);

static RANDOM: Directory = rows(&[
    file("uuid", |k, _| line(uuid(k))),
    file("boot_id", boot_id),
    file("entropy_avail", |_, _| line(256)),
    file("poolsize", |_, _| line(256)),
    file("write_wakeup_threshold", |_, _| line(256)),
]);

static YAMA: Directory = rows(&[file("ptrace_scope", |_, _| line(1))]);

static PTY: Directory = rows(&[
    file("max", |_, _| line(crate::fs::devpts::TERMINALS_MAX)),
    file("nr", |k, _| line(k.io.ttys.borrow().iter().flatten().count())),
]);

static VM: Directory = rows(&[
    file("overcommit_memory", |_, _| line(1)),
    file("overcommit_ratio", |_, _| line(50)),
    file("max_map_count", |_, _| line(MAPPINGS_MAX)),
    file("swappiness", |_, _| line(60)),
    file("mmap_min_addr", |_, _| line(LOWEST)),
    file("nr_hugepages", |_, _| line(0)),
]);

static FS: Directory = rows(&[
    file("file-max", |_, _| line(i64::MAX)),
    file("file-nr", |_, _| line(format_args!("{}\t0\t{}", 0, i64::MAX))),
    file("nr_open", |_, _| line(OPEN_FILES)),
    file("pipe-max-size", |_, _| line(MAX_CAPACITY)),
    file("pipe-user-pages-soft", |_, _| line(16384)),
    file("aio-max-nr", |_, _| line(65536)),
    file("aio-nr", |_, _| line(0)),
    file("protected_hardlinks", |_, _| line(0)),
    file("protected_symlinks", |_, _| line(0)),
    file("suid_dumpable", |_, _| line(0)),
    directory("inotify", &INOTIFY),
    directory("mqueue", &MQUEUE),
]);

static MQUEUE: Directory = rows(&[
    file("queues_max", |_, _| line(mqueue::QUEUES_MAX)),
    file("msg_max", |_, _| line(mqueue::SIZE_MAX.messages)),
    file("msgsize_max", |_, _| line(mqueue::SIZE_MAX.bytes)),
    file("msg_default", |_, _| line(mqueue::SIZE_MAX.messages)),
    file("msgsize_default", |_, _| line(mqueue::SIZE_MAX.bytes)),
]);

static INOTIFY: Directory = rows(&[
    file("max_queued_events", |_, _| line(watch::QUEUE_MAX)),
    file("max_user_instances", |_, _| line(watch::INSTANCES_MAX)),
    file("max_user_watches", |_, _| line(watch::WATCHES_MAX)),
]);

static NET: Directory = rows(&[directory("core", &NET_CORE), directory("ipv4", &NET_IPV4)]);

static NET_CORE: Directory = rows(&[
    file("somaxconn", |_, _| line(4096)),
    file("rmem_default", |_, _| line(212_992)),
    file("rmem_max", |_, _| line(212_992)),
    file("wmem_default", |_, _| line(212_992)),
    file("wmem_max", |_, _| line(212_992)),
]);

static NET_IPV4: Directory = rows(&[
    file("ip_local_port_range", |_, _| line("32768\t60999")),
    file("ip_unprivileged_port_start", |_, _| line(0)),
    file("tcp_fin_timeout", |_, _| line(60)),
]);

fn line(value: impl std::fmt::Display) -> Text {
    Ok(format!("{value}\n").into_bytes())
}

/// A random UUID (RFC 9562, version 4).
fn uuid(k: &Kernel) -> String {
    let mut bytes = [0; 16];
    k.platform.random(&mut bytes);
    uuid_text(bytes)
}

pub(super) fn uuid_text(bytes: [u8; 16]) -> String {
    let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    let digits = format!("{number:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

thread_local! {
    static BOOT_ID: OnceCell<String> = const { OnceCell::new() };
}

/// The same for as long as the sandbox runs.
fn boot_id(k: &Kernel, _: &Subject) -> Text {
    BOOT_ID.with(|id| line(id.get_or_init(|| uuid(k))))
}
