//! /proc/<pid>/status.

use std::fmt::Write;

use shallop_linux_abi::Errno;
use shallop_linux_abi::rlimit::RLIMIT_SIGPENDING;
use shallop_linux_abi::signal::{NSIG, SIG_DFL, SIG_IGN};

use super::{misc, process, task};
use crate::fs::pseudo::tree::Subject;
use crate::kernel::Kernel;
use crate::mm::{Content, Mm, Resident};
use crate::task::{Process, State, Task};

/// The letter and word of a task's state. The task that asks is running, whatever it is marked as.
pub(super) fn state(process: &Process, task: Option<&Task>, subject: &Subject) -> (char, &'static str) {
    let Some(task) = task else { return ('Z', "zombie") };
    if process.is_zombie() {
        ('Z', "zombie")
    } else if task.tid == subject.caller {
        ('R', "running")
    } else if process.stopped.is_some() {
        ('T', "stopped")
    } else {
        match task.state {
            State::Runnable => ('R', "running"),
            State::Blocked(_) => ('S', "sleeping"),
        }
    }
}

/// Bytes of mappings: data, stack, program code, library code.
pub(super) fn sizes(mm: &Mm) -> (u64, u64, u64, u64) {
    let mut sizes = (0, 0, 0, 0);
    for vma in mm.vmas() {
        let len = vma.end - vma.start;
        let code = vma.prot & shallop_linux_abi::mman::PROT_EXEC != 0;
        match (&vma.content, code) {
            _ if vma.name == "[stack]" => sizes.1 += len,
            // The program itself lies below the heap.
            (Content::File { .. }, true) if vma.end <= mm.brk_start => sizes.2 += len,
            (Content::File { .. }, true) => sizes.3 += len,
            _ if vma.prot & shallop_linux_abi::mman::PROT_WRITE != 0 && !vma.shared => sizes.0 += len,
            _ => {}
        }
    }
    sizes
}

/// Ignored and caught signals as masks.
pub(super) fn dispositions(process: &Process) -> (u64, u64) {
    (1..=NSIG).fold((0, 0), |(ignored, caught), signal| match process.actions.get(signal).handler {
        SIG_DFL => (ignored, caught),
        SIG_IGN => (ignored | 1 << (signal - 1), caught),
        _ => (ignored, caught | 1 << (signal - 1)),
    })
}

pub(super) fn status(k: &Kernel, subject: &Subject) -> Result<Vec<u8>, Errno> {
    let process = process(k, subject)?;
    let task = task(k, subject).ok();
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = identity(&mut text, k, subject, process, task);
    if !process.is_zombie() {
        let _ = memory(&mut text, k, process);
    }
    let _ = signals(&mut text, process, task);
    let _ = rights(&mut text, task);
    Ok(text.into_bytes())
}

/// A name with what would break a line written as an escape.
fn printable(name: &[u8]) -> String {
    String::from_utf8_lossy(name).replace('\\', "\\\\").replace('\n', "\\n")
}

fn identity(
    out: &mut String,
    k: &Kernel,
    subject: &Subject,
    process: &Process,
    task: Option<&Task>,
) -> std::fmt::Result {
    let (letter, word) = state(process, task, subject);
    let (pid, tid) = (process.pid.0, task.map_or(process.pid.0, |task| task.tid.0));
    writeln!(out, "Name:\t{}", printable(&misc::name(k, subject).unwrap_or_default()))?;
    if let Some(task) = task {
        writeln!(out, "Umask:\t{:04o}", task.fs.borrow().umask)?;
    }
    writeln!(out, "State:\t{letter} ({word})\nTgid:\t{pid}\nNgid:\t0\nPid:\t{tid}\nPPid:\t{}", process.ppid.0)?;
    writeln!(out, "TracerPid:\t0")?;
    match task.map(|task| &task.credentials) {
        Some(c) => {
            writeln!(out, "Uid:\t{}\t{}\t{}\t{}", c.uid, c.euid, c.suid, c.fsuid)?;
            writeln!(out, "Gid:\t{}\t{}\t{}\t{}", c.gid, c.egid, c.sgid, c.fsgid)?;
        }
        None => writeln!(out, "Uid:\t{0}\t{0}\t{0}\t{0}\nGid:\t{0}\t{0}\t{0}\t{0}", process.uid)?,
    }
    let table = task.map_or(0, |task| task.files.borrow().end().next_multiple_of(64).max(64));
    writeln!(out, "FDSize:\t{table}")?;
    let groups = task.map(|task| task.credentials.groups.iter().map(|gid| format!("{gid} ")).collect::<String>());
    writeln!(out, "Groups:\t{}", groups.unwrap_or_default())?;
    writeln!(out, "NStgid:\t{pid}\nNSpid:\t{tid}\nNSpgid:\t{}\nNSsid:\t{}\nKthread:\t0", process.pgid.0, process.sid.0)
}

fn memory(out: &mut String, k: &Kernel, process: &Process) -> std::fmt::Result {
    let mm = process.mm.borrow();
    let (size, resident) = (mm.size() >> 10, Resident::of(k, mm.space()));
    let rss = resident.total() >> 10;
    let (data, stack, code, libraries) = sizes(&mm);
    let rows = [
        ("VmPeak", size),
        ("VmSize", size),
        ("VmLck", 0),
        ("VmPin", 0),
        ("VmHWM", rss),
        ("VmRSS", rss),
        ("RssAnon", resident.private >> 10),
        ("RssFile", resident.shared >> 10),
        ("RssShmem", 0),
        ("VmData", data >> 10),
        ("VmStk", stack >> 10),
        ("VmExe", code >> 10),
        ("VmLib", libraries >> 10),
        ("VmPTE", 0),
        ("VmSwap", 0),
        ("HugetlbPages", 0),
    ];
    for (name, value) in rows {
        writeln!(out, "{name}:\t{value:>8} kB")?;
    }
    writeln!(out, "CoreDumping:\t0\nTHP_enabled:\t0")
}

fn signals(out: &mut String, process: &Process, task: Option<&Task>) -> std::fmt::Result {
    let (ignored, caught) = dispositions(process);
    let (pending, blocked) = task.map_or((0, 0), |task| (task.pending.set, task.mask));
    writeln!(out, "Threads:\t{}", process.tasks.len().max(1))?;
    writeln!(out, "SigQ:\t{}/{}", process.pending.set.count_ones(), process.rlimits[RLIMIT_SIGPENDING].0)?;
    writeln!(out, "SigPnd:\t{pending:016x}\nShdPnd:\t{:016x}", process.pending.set)?;
    writeln!(out, "SigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}")
}

fn rights(out: &mut String, task: Option<&Task>) -> std::fmt::Result {
    let caps = task.map(|task| task.credentials.caps).unwrap_or_default();
    let no_new = task.is_some_and(|task| task.credentials.no_new_privs);
    writeln!(out, "CapInh:\t{:016x}\nCapPrm:\t{:016x}", caps.inheritable, caps.permitted)?;
    writeln!(out, "CapEff:\t{:016x}\nCapBnd:\t{:016x}", caps.effective, caps.bounding)?;
    writeln!(out, "CapAmb:\t{:016x}\nNoNewPrivs:\t{}", caps.ambient, u8::from(no_new))?;
    writeln!(out, "Seccomp:\t0\nSeccomp_filters:\t0\nSpeculation_Store_Bypass:\tnot vulnerable")?;
    writeln!(out, "SpeculationIndirectBranch:\tunknown\nCpus_allowed:\t1\nCpus_allowed_list:\t0")?;
    writeln!(out, "Mems_allowed:\t1\nMems_allowed_list:\t0")?;
    writeln!(out, "voluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0")
}
