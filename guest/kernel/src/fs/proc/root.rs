//! The files right below /proc, about the system as a whole.

use std::fmt::Write;

use shallop_linux_abi::Errno;

use crate::fs::pseudo::tree::Subject;
use crate::kernel::Kernel;
use crate::syscall::info::memory_used;
use crate::task::State;
use crate::tunables::{OS_RELEASE, OS_VERSION};

/// Nanoseconds of one tick of USER_HZ.
pub(super) const TICK: u64 = 10_000_000;

type Text = Result<Vec<u8>, Errno>;

pub(super) fn self_link(_: &Kernel, subject: &Subject) -> Text {
    if subject.pid.0 == 0 { Err(Errno::ENOENT) } else { Ok(subject.pid.0.to_string().into_bytes()) }
}

pub(super) fn thread_self(_: &Kernel, subject: &Subject) -> Text {
    Ok(format!("{}/task/{}", subject.pid.0, subject.caller.0).into_bytes())
}

pub(super) fn cgroups(_: &Kernel, _: &Subject) -> Text {
    let rows = ["cpu", "memory", "pids"].map(|name| format!("{name}\t0\t1\t1\n"));
    Ok(format!("#subsys_name\thierarchy\tnum_cgroups\tenabled\n{}", rows.concat()).into_bytes())
}

pub(super) fn cmdline(_: &Kernel, _: &Subject) -> Text {
    Ok(b"console=hvc0\n".to_vec())
}

/// The single-letter extensions that AT_HWCAP names, in the order that the ISA manual wants them.
pub(super) fn isa_string(hwcap: u64) -> String {
    let letters = "imafdqcbvh".chars().filter(|letter| hwcap >> (*letter as u32 - 'a' as u32) & 1 != 0);
    format!("rv64{}_zicsr_zifencei", letters.collect::<String>())
}

pub(super) fn cpuinfo(k: &Kernel, _: &Subject) -> Text {
    let isa = isa_string(k.isa.hwcap());
    let ids = "mvendorid\t: 0x0\nmarchid\t\t: 0x0\nmimpid\t\t: 0x0";
    Ok(format!("processor\t: 0\nhart\t\t: 0\nisa\t\t: {isa}\nmmu\t\t: sv39\n{ids}\nhart isa\t: {isa}\n\n").into_bytes())
}

pub(super) fn devices(_: &Kernel, _: &Subject) -> Text {
    Ok(b"Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n"
        .to_vec())
}

pub(super) fn filesystems(_: &Kernel, _: &Subject) -> Text {
    let names = ["sysfs", "tmpfs", "proc", "cgroup2", "pipefs", "devpts", "overlay", "mqueue", "fuse"];
    Ok(names.map(|name| format!("nodev\t{name}\n")).concat().into_bytes())
}

fn running(k: &Kernel) -> usize {
    k.tasks.iter().filter(|task| matches!(task.state, State::Runnable)).count()
}

pub(super) fn loadavg(k: &Kernel, _: &Subject) -> Text {
    let last = k.processes.iter().map(|process| process.pid.0).max().unwrap_or(0);
    let [one, five, fifteen] = k.load.averages();
    let counts = format!("{}/{} {last}", running(k).max(1), k.tasks.count());
    Ok(format!("{one:.2} {five:.2} {fifteen:.2} {counts}\n").into_bytes())
}

pub(super) fn meminfo(k: &Kernel, _: &Subject) -> Text {
    Ok(meminfo_text(k.memory_limit, memory_used(k)).into_bytes())
}

/// `total` and `used` in bytes.
pub(super) fn meminfo_text(total: u64, used: u64) -> String {
    let (total, used) = (total >> 10, (used >> 10).min(total >> 10));
    let free = total - used;
    let rows: [(&str, u64); 28] = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", free),
        ("Buffers", 0),
        ("Cached", 0),
        ("SwapCached", 0),
        ("Active", used),
        ("Inactive", 0),
        ("Active(anon)", used),
        ("Inactive(anon)", 0),
        ("Active(file)", 0),
        ("Inactive(file)", 0),
        ("Unevictable", 0),
        ("Mlocked", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", used),
        ("Mapped", 0),
        ("Shmem", 0),
        ("Slab", 0),
        ("SReclaimable", 0),
        ("SUnreclaim", 0),
        ("PageTables", 0),
        ("CommitLimit", total),
        ("Committed_AS", used),
        ("VmallocTotal", 0),
    ];
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:<15} {value:>8} kB", format!("{name}:"));
        text
    })
}

fn busy(k: &Kernel) -> u64 {
    let processes = k.processes.iter().map(|process| process.cpu_time + process.children_cpu_time).sum::<u64>();
    processes + k.tasks.iter().map(|task| task.cpu_time).sum::<u64>()
}

fn up(k: &Kernel) -> u64 {
    k.now_monotonic().saturating_sub(k.boot_time)
}

pub(super) fn stat(k: &Kernel, _: &Subject) -> Text {
    let (busy, up) = (busy(k), up(k));
    let times = format!("{} 0 0 {} 0 0 0 0 0 0", busy / TICK, up.saturating_sub(busy) / TICK);
    let booted = k.now_realtime().sec - (up / 1_000_000_000) as i64;
    let processes = k.processes.iter().map(|process| process.pid.0).max().unwrap_or(0);
    let mut text = format!("cpu  {times}\ncpu0 {times}\nintr 0\nctxt 0\nbtime {booted}\nprocesses {processes}\n");
    let _ = writeln!(text, "procs_running {}\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0", running(k).max(1));
    Ok(text.into_bytes())
}

pub(super) fn uptime(k: &Kernel, _: &Subject) -> Text {
    let idle = up(k).saturating_sub(busy(k));
    let seconds = |ns: u64| format!("{}.{:02}", ns / 1_000_000_000, ns / TICK % 100);
    Ok(format!("{} {}\n", seconds(up(k)), seconds(idle)).into_bytes())
}

pub(super) fn version(_: &Kernel, _: &Subject) -> Text {
    Ok(format!("Linux version {OS_RELEASE} (shallop@shallop) {OS_VERSION}\n").into_bytes())
}

pub(super) fn vmstat(k: &Kernel, _: &Subject) -> Text {
    let used = memory_used(k);
    let free = k.memory_limit.saturating_sub(used) / 4096;
    Ok(format!("nr_free_pages {free}\nnr_anon_pages {}\npgfault 0\npgmajfault 0\npswpin 0\npswpout 0\n", used / 4096)
        .into_bytes())
}
