//! Traces of system calls as strace(1) prints them, one whole line a call, to the trace stream.
//!
//! A line is kept in its task until the call is over: arguments that a call reads are formatted when it starts, those
//! that it fills when it ends. Formats come from `table`.

mod value;

pub use value::name as call_name;

use std::fmt::Write as _;

use shallop_linux_abi::Errno;
use shallop_linux_abi::signal::SIGKILL;

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::signal::SignalInfo;
use crate::table;
use crate::wait::Tid;

/// Descriptor of the trace stream (hypercall `stdio_write`).
const STREAM: u32 = 3;
const EXIT: u64 = 93;
const EXIT_GROUP: u64 = 94;

/// A call whose line is not yet written.
pub struct Trace {
    call: Call,
    /// One text an argument; `None` where only the call's end tells.
    arguments: Vec<Option<String>>,
}

/// A call begins.
pub fn entered(k: &mut Kernel, call: &Call) {
    let formats = argument_formats(call.number);
    let arguments: Vec<_> =
        formats.iter().enumerate().map(|(i, f)| value::before(k, call, *f, i).unwrap_or_default()).collect();
    if matches!(call.number, EXIT | EXIT_GROUP) {
        // It does not come back, and its task will be gone.
        let line = format!("{}({}) = ?", value::name(call.number), arguments.join(", "));
        return emit(k, call.tid, &line);
    }
    let arguments = arguments.into_iter().map(|text| Some(text).filter(|text| !text.is_empty())).collect();
    if let Some(task) = k.tasks.get_mut(call.tid) {
        task.trace = Some(Box::new(Trace { call: *call, arguments }));
    }
}

/// A call is over; `None` when it does not come back (exit, execve, rt_sigreturn).
pub fn left(k: &mut Kernel, call: &Call, result: Option<i64>) {
    let Some(trace) = k.tasks.get_mut(call.tid).and_then(|task| task.trace.take()) else { return };
    let name = value::name(call.number);
    let arguments = finished(k, &trace, result);
    let mut line = format!("{name}({arguments})");
    let execed = matches!(name.as_ref(), "execve" | "execveat") && result.is_none();
    match result {
        None if execed => line.push_str(" = 0"),
        None => line.push_str(" = ?"),
        Some(value) => write_result(&mut line, call.number, value),
    }
    emit(k, call.tid, &line);
}

/// A signal's handler ends a call that was waiting.
pub fn interrupted(k: &mut Kernel, tid: Tid) {
    if k.strace {
        unfinished(k, tid, " = ? ERESTARTSYS (To be restarted if SA_RESTART is set)");
    }
}

/// A signal's handler is entered.
pub fn delivered(k: &mut Kernel, tid: Tid, info: &SignalInfo) {
    if k.strace && !info.is_fault() {
        let name = value::signal(info.signal);
        let line = format!(
            "--- {name} {{si_signo={name}, si_code={}, si_pid={}, si_uid={}}} ---",
            value::signal_code(info.signal, info.code),
            info.pid,
            info.uid
        );
        emit(k, tid, &line);
    }
}

/// An instruction became a signal; `value` is the address.
pub fn faulted(k: &mut Kernel, tid: Tid, signal: u32, code: i32, value: u64) {
    let name = value::signal(signal);
    let code = value::signal_code(signal, code);
    let line = format!("--- {name} {{si_signo={name}, si_code={code}, si_addr={value:#x}}} ---");
    emit(k, tid, &line);
}

/// A signal ends the process.
pub fn killed(k: &mut Kernel, tid: Tid, signal: u32) {
    if k.strace {
        unfinished(k, tid, " <unfinished ...>");
        let line = format!("+++ killed by {} +++", value::signal(signal));
        emit(k, tid, &line);
    }
}

/// Writes the line of a call that has no result.
fn unfinished(k: &mut Kernel, tid: Tid, ending: &str) {
    let Some(trace) = k.tasks.get_mut(tid).and_then(|task| task.trace.take()) else { return };
    let arguments = finished(k, &trace, None);
    let line = format!("{}({arguments}){ending}", value::name(trace.call.number));
    emit(k, tid, &line);
}

/// All arguments, those of the call's end included.
fn finished(k: &Kernel, trace: &Trace, result: Option<i64>) -> String {
    let formats = argument_formats(trace.call.number);
    let mut out = String::new();
    for (i, argument) in trace.arguments.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        match argument {
            Some(text) => out.push_str(text),
            None => out.push_str(&value::after(k, &trace.call, formats.get(i).copied().unwrap_or(b'x'), i, result)),
        }
    }
    out
}

/// The letters of a call's arguments; six hexadecimal words for a call that has no row.
fn argument_formats(number: u64) -> &'static [u8] {
    let formats = table::row(number).map_or("xxxxxx", |row| row.formats);
    formats.split('=').next().unwrap_or_default().as_bytes()
}

fn write_result(line: &mut String, number: u64, value: i64) {
    let hexadecimal = table::row(number).is_some_and(|row| row.formats.ends_with("=x"));
    let _ = match value {
        -4095..0 => {
            let errno = Errno(-value as i32);
            write!(line, " = -1 {} ({})", errno.name(), errno.text())
        }
        _ if hexadecimal => write!(line, " = {value:#x}"),
        _ => write!(line, " = {value}"),
    };
}

/// Writes a line, with its task's number when there are several.
fn emit(k: &Kernel, tid: Tid, line: &str) {
    let text =
        if k.tasks.count() > 1 || tid.0 != 1 { format!("[pid {}] {line}\n", tid.0) } else { format!("{line}\n") };
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match k.platform.stdio_write(STREAM, rest) {
            Ok(count) if count > 0 => rest = &rest[count.min(rest.len())..],
            // A trace that nobody reads stops nothing.
            _ => return,
        }
    }
}

/// The process of `tid` ended with this wait status.
pub fn exited(k: &Kernel, tid: Tid, status: u32) {
    if k.strace && status & 0x7f == 0 {
        emit(k, tid, &format!("+++ exited with {} +++", status >> 8 & 0xff));
    } else if k.strace && status & 0x7f == SIGKILL {
        emit(k, tid, "+++ killed by SIGKILL +++");
    }
}
