//! The process around one sandbox: receives grants, gives up everything else, runs, reports.
//!
//! `linux` has the jail; on other systems (`portable`) there is none, and only WASI modules run. The other side is
//! `shallop-supervisor`.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;

#[cfg(target_os = "linux")]
pub use linux::main;
#[cfg(not(target_os = "linux"))]
pub use portable::main;
use shallop_supervisor::wire::Outcome;

fn outcome(from: shallop_sandbox::Outcome) -> Outcome {
    Outcome {
        status: from.status,
        report: from.report,
        limit: from.limit.map(str::to_owned),
        disk_full: from.met.disk,
        crowded: from.met.tasks,
        marks: from.marks,
        ..Outcome::default()
    }
}

/// What is said of a sandbox that did not start.
fn failed(error: &anyhow::Error) -> Outcome {
    Outcome { status: 125 << 8, report: Some(format!("{error:#}")), ..Outcome::default() }
}
