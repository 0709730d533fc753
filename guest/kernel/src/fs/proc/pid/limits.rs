//! /proc/<pid>/limits: resource limits (getrlimit(2)).

use std::fmt::Write;

use shallop_linux_abi::Errno;
use shallop_linux_abi::rlimit::RLIM_INFINITY;

use super::process;
use crate::fs::pseudo::tree::Subject;
use crate::kernel::Kernel;

/// Names and units by RLIMIT number.
const NAMES: [(&str, &str); 16] = [
    ("Max cpu time", "seconds"),
    ("Max file size", "bytes"),
    ("Max data size", "bytes"),
    ("Max stack size", "bytes"),
    ("Max core file size", "bytes"),
    ("Max resident set", "bytes"),
    ("Max processes", "processes"),
    ("Max open files", "files"),
    ("Max locked memory", "bytes"),
    ("Max address space", "bytes"),
    ("Max file locks", "locks"),
    ("Max pending signals", "signals"),
    ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""),
    ("Max realtime priority", ""),
    ("Max realtime timeout", "us"),
];

pub(super) fn limits(k: &Kernel, subject: &Subject) -> Result<Vec<u8>, Errno> {
    let mut text = format!("{:<25} {:<20} {:<20} {:<10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    let shown = |limit: u64| if limit == RLIM_INFINITY { "unlimited".to_owned() } else { limit.to_string() };
    for ((name, unit), (soft, hard)) in NAMES.iter().zip(process(k, subject)?.rlimits) {
        let _ = writeln!(text, "{name:<25} {:<20} {:<20} {unit:<10}", shown(soft), shown(hard));
    }
    Ok(text.into_bytes())
}
