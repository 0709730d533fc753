//! /sys (sysfs(5)): what programs ask about the machine: its one CPU, the limits of its control group.

use std::rc::Rc;

use shallop_linux_abi::Errno;

use super::pseudo::tree::{Body, Directory, Handle, Row, Subject, Text, TreeFs};
use crate::kernel::Kernel;
use crate::syscall::info::memory_used;
use crate::vfs::{FileSystem, InodeRef};

/// f_type (statfs(2)).
const MAGIC: u64 = 0x6265_6572;

/// The file system of /sys.
pub struct SysFs(Handle);

impl SysFs {
    pub fn new() -> Rc<SysFs> {
        let device = super::anonymous_device();
        let tree = TreeFs { name: "sysfs", magic: MAGIC, device, file_size: 4096, root: &ROOT };
        Rc::new(SysFs(Handle(Rc::new(tree))))
    }
}

impl FileSystem for SysFs {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn dev(&self) -> u64 {
        self.0.dev()
    }

    fn root(&self) -> InodeRef {
        self.0.root()
    }

    fn statfs(&self) -> (u64, u64, u64, u64, u64, u64) {
        self.0.statfs()
    }
}

const fn rows(rows: &'static [Row]) -> Directory {
    Directory { rows, more: None }
}

const fn file(name: &'static str, text: Text) -> Row {
    Row { name, mode: 0o444, body: Body::File(text) }
}

const fn directory(name: &'static str, directory: &'static Directory) -> Row {
    Row { name, mode: 0o755, body: Body::Directory(directory) }
}

fn line(value: impl std::fmt::Display) -> Result<Vec<u8>, Errno> {
    Ok(format!("{value}\n").into_bytes())
}

static EMPTY: Directory = rows(&[]);

static ROOT: Directory = rows(&[
    directory("block", &EMPTY),
    directory("bus", &EMPTY),
    directory("class", &CLASS),
    directory("dev", &DEV),
    directory("devices", &DEVICES),
    directory("firmware", &EMPTY),
    directory("fs", &FS),
    directory("kernel", &KERNEL),
    directory("module", &EMPTY),
]);

static DEV: Directory = rows(&[directory("block", &EMPTY), directory("char", &EMPTY)]);

static CLASS: Directory = rows(&[directory("net", &NET), directory("block", &EMPTY)]);

static NET: Directory = rows(&[directory("lo", &LOOPBACK)]);

static LOOPBACK: Directory = rows(&[
    file("address", |_, _| line("00:00:00:00:00:00")),
    file("addr_len", |_, _| line(6)),
    file("carrier", |_, _| line(1)),
    file("flags", |_, _| line("0x9")),
    file("ifindex", |_, _| line(1)),
    file("mtu", |_, _| line(65536)),
    file("operstate", |_, _| line("unknown")),
    file("type", |_, _| line(772)),
]);

static DEVICES: Directory = rows(&[directory("system", &SYSTEM), directory("virtual", &EMPTY)]);

static SYSTEM: Directory = rows(&[directory("cpu", &CPU), directory("node", &NODES)]);

static CPU: Directory = rows(&[
    file("kernel_max", |_, _| line(0)),
    file("offline", |_, _| line("")),
    file("online", |_, _| line(0)),
    file("possible", |_, _| line(0)),
    file("present", |_, _| line(0)),
    directory("cpu0", &CPU0),
]);

static CPU0: Directory = rows(&[file("online", |_, _| line(1)), directory("topology", &TOPOLOGY)]);

static TOPOLOGY: Directory = rows(&[
    file("core_id", |_, _| line(0)),
    file("core_siblings", |_, _| line(1)),
    file("core_siblings_list", |_, _| line(0)),
    file("physical_package_id", |_, _| line(0)),
    file("thread_siblings", |_, _| line(1)),
    file("thread_siblings_list", |_, _| line(0)),
]);

static NODES: Directory =
    rows(&[file("online", |_, _| line(0)), file("possible", |_, _| line(0)), directory("node0", &NODE0)]);

static NODE0: Directory =
    rows(&[file("cpulist", |_, _| line(0)), file("cpumap", |_, _| line(1)), file("distance", |_, _| line(10))]);

static FS: Directory = rows(&[directory("cgroup", &CGROUP)]);

/// The sandbox's control group, as cgroup v2 shows one (kernel.org, admin-guide/cgroup-v2).
static CGROUP: Directory = rows(&[
    file("cgroup.controllers", |_, _| line("cpu memory pids")),
    file("cgroup.events", |_, _| Ok(b"populated 1\nfrozen 0\n".to_vec())),
    file("cgroup.max.depth", |_, _| line("max")),
    file("cgroup.max.descendants", |_, _| line("max")),
    file("cgroup.procs", processes),
    file("cgroup.subtree_control", |_, _| Ok(b"\n".to_vec())),
    file("cgroup.threads", threads),
    file("cgroup.type", |_, _| line("domain")),
    file("cpu.max", |_, _| line("max 100000")),
    file("cpu.stat", cpu_stat),
    file("cpu.weight", |_, _| line(100)),
    file("memory.current", |k, _| line(memory_used(k))),
    file("memory.events", |_, _| Ok(b"low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n".to_vec())),
    file("memory.high", |_, _| line("max")),
    file("memory.low", |_, _| line(0)),
    file("memory.max", |k, _| line(k.memory_limit)),
    file("memory.min", |_, _| line(0)),
    file("memory.peak", |k, _| line(memory_used(k))),
    file("memory.stat", |k, _| Ok(format!("anon {}\nfile 0\nkernel 0\nshmem 0\n", memory_used(k)).into_bytes())),
    file("memory.swap.current", |_, _| line(0)),
    file("memory.swap.max", |_, _| line(0)),
    file("pids.current", |k, _| line(k.tasks.count())),
    file("pids.max", |k, _| line(k.tasks_max)),
]);

static KERNEL: Directory = rows(&[
    file("cpu_byteorder", |_, _| line("little")),
    directory("mm", &MM),
    directory("debug", &EMPTY),
    directory("security", &EMPTY),
]);

static MM: Directory = rows(&[directory("transparent_hugepage", &HUGE), directory("hugepages", &EMPTY)]);

static HUGE: Directory = rows(&[
    file("enabled", |_, _| line("always madvise [never]")),
    file("defrag", |_, _| line("always defer defer+madvise madvise [never]")),
    file("hpage_pmd_size", |_, _| line(2 << 20)),
    file("shmem_enabled", |_, _| line("always within_size advise [never] deny force")),
]);

fn processes(k: &Kernel, _: &Subject) -> Result<Vec<u8>, Errno> {
    Ok(k.processes.iter().flat_map(|process| format!("{}\n", process.pid.0).into_bytes()).collect())
}

fn threads(k: &Kernel, _: &Subject) -> Result<Vec<u8>, Errno> {
    Ok(k.tasks.iter().flat_map(|task| format!("{}\n", task.tid.0).into_bytes()).collect())
}

fn cpu_stat(k: &Kernel, _: &Subject) -> Result<Vec<u8>, Errno> {
    let ended = k.processes.iter().map(|process| process.cpu_time + process.children_cpu_time).sum::<u64>();
    let time = (ended + k.tasks.iter().map(|task| task.cpu_time).sum::<u64>()) / 1000;
    let counters = "nr_periods 0\nnr_throttled 0\nthrottled_usec 0\n";
    Ok(format!("usage_usec {time}\nuser_usec {time}\nsystem_usec 0\n{counters}").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The row that a path leads to.
    fn find(path: &str) -> Option<&'static Row> {
        let mut at = &ROOT;
        let mut found = None;
        for name in path.split('/') {
            let row = at.rows.iter().find(|row| row.name == name)?;
            if let Body::Directory(below) = row.body {
                at = below;
            }
            found = Some(row);
        }
        found
    }

    #[test]
    fn what_runtimes_look_for_is_there() {
        for path in [
            "devices/system/cpu/online",
            "devices/system/cpu/cpu0/topology/core_id",
            "devices/system/node/node0/cpumap",
            "fs/cgroup/memory.max",
            "fs/cgroup/cpu.max",
            "kernel/mm/transparent_hugepage/enabled",
            "class/net/lo/mtu",
        ] {
            assert!(find(path).is_some(), "{path}");
        }
        assert!(find("fs/cgroup/memory.limit_in_bytes").is_none());
    }
}
