//! /proc/<pid>/stat and statm.

use shallop_linux_abi::Errno;

use super::status::{dispositions, sizes, state};
use super::{misc, process, task};
use crate::fs::proc::root::TICK;
use crate::fs::pseudo::tree::Subject;
use crate::kernel::Kernel;
use crate::mm::Resident;
use crate::syscall::stat::device_number;
use crate::syscall::time::{process_cpu_time, task_cpu_time};
use crate::task::{Life, Process};
use crate::tunables::PAGE;

/// RSS limit when there is none (RLIM_INFINITY).
const NO_LIMIT: u64 = u64::MAX;

/// The address-space words of the line: (vsize, rss in pages, code, stack, data, brk, arguments, environment).
#[derive(Default)]
struct Memory {
    size: u64,
    resident: u64,
    code: (u64, u64),
    stack: u64,
    data: (u64, u64),
    brk: u64,
    arguments: (u64, u64),
    environment: (u64, u64),
}

fn memory(k: &Kernel, process: &Process) -> Memory {
    if process.is_zombie() {
        return Memory::default();
    }
    let mm = process.mm.borrow();
    let program = |prot: u32| {
        let mut own = mm.vmas().filter(|vma| vma.end <= mm.brk_start && vma.prot & prot != 0);
        own.next().map_or((0, 0), |vma| (vma.start, vma.end))
    };
    Memory {
        size: mm.size(),
        resident: Resident::of(k, mm.space()).total() / PAGE,
        code: program(shallop_linux_abi::mman::PROT_EXEC),
        stack: mm.stack_start,
        data: program(shallop_linux_abi::mman::PROT_WRITE),
        brk: mm.brk_start,
        arguments: mm.arg_range,
        environment: mm.env_range,
    }
}

pub(super) fn stat(k: &Kernel, subject: &Subject) -> Result<Vec<u8>, Errno> {
    let process = process(k, subject)?;
    let task = task(k, subject).ok();
    let memory = memory(k, process);
    let whole = subject.tid.0 == process.pid.0;
    let tid = if whole { process.pid.0 } else { subject.tid.0 };
    let time = if whole { process_cpu_time(k, process.pid) } else { task.map_or(0, |t| task_cpu_time(k, t.tid)) };
    let tty = process.tty.map_or(0, device_number);
    let foreground = foreground(k, process);
    let (ignored, caught) = dispositions(process);
    let (pending, blocked) = task.map_or((0, 0), |task| (task.pending.set | process.pending.set, task.mask));
    let exit_code = if let Life::Zombie(status) = process.life { status } else { 0 };
    let start = process.started.saturating_sub(k.boot_time) / TICK;
    let nice = i64::from(process.nice);

    let mut out = format!("{tid} (").into_bytes();
    out.extend(misc::name(k, subject)?);
    let head = format!(
        ") {} {} {} {} {tty} {foreground} 4194560 0 0 0 0",
        state(process, task, subject).0,
        process.ppid.0,
        process.pgid.0,
        process.sid.0
    );
    let times = format!(
        " {} 0 {} 0 {} {nice} {} 0 {start}",
        time / TICK,
        process.children_cpu_time / TICK,
        20 + nice,
        process.tasks.len().max(1)
    );
    let places = format!(
        " {} {} {NO_LIMIT} {} {} {} 0 0",
        memory.size, memory.resident, memory.code.0, memory.code.1, memory.stack
    );
    // Only standard signals fit into the old words.
    let low = |set: u64| set & 0x7fff_ffff;
    let signals = format!(" {} {} {} {}", low(pending), low(blocked), low(ignored), low(caught));
    let rest = format!(" 0 0 0 {} 0 0 0 0 0 0", process.exit_signal);
    let ends = format!(
        " {} {} {} {} {} {} {} {exit_code}\n",
        memory.data.0,
        memory.data.1,
        memory.brk,
        memory.arguments.0,
        memory.arguments.1,
        memory.environment.0,
        memory.environment.1
    );
    [head, times, places, signals, rest, ends].iter().for_each(|part| out.extend(part.as_bytes()));
    Ok(out)
}

/// The foreground group of the controlling terminal; -1 without one.
fn foreground(k: &Kernel, process: &Process) -> i64 {
    let Some((_, index)) = process.tty else { return -1 };
    let tty = k.io.ttys.borrow().get(index as usize).cloned().flatten();
    tty.and_then(|tty| tty.foreground.get()).map_or(-1, |group| group.0.into())
}

/// Pages: size, resident, shared, code, 0, data and stack, 0.
pub(super) fn statm(k: &Kernel, subject: &Subject) -> Result<Vec<u8>, Errno> {
    let process = process(k, subject)?;
    if process.is_zombie() {
        return Ok(b"0 0 0 0 0 0 0\n".to_vec());
    }
    let mm = process.mm.borrow();
    let (data, stack, code, _) = sizes(&mm);
    let resident = Resident::of(k, mm.space());
    let words = [mm.size(), resident.total(), resident.shared, code, 0, data + stack, 0].map(|bytes| bytes / PAGE);
    Ok(format!("{}\n", words.map(|pages| pages.to_string()).join(" ")).into_bytes())
}
