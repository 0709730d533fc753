//! One argument of a call as text, by its format letter (see `table`).

use std::borrow::Cow;
use std::fmt::Write as _;

use shallop_linux_abi::clone::*;
use shallop_linux_abi::file::{at, open};
use shallop_linux_abi::mman::*;
use shallop_linux_abi::signal as sig;

use crate::dispatch::Call;
use crate::kernel::Kernel;
use crate::table;
use crate::vfs::GuestMemory;

/// Longest string that is shown, as strace's `-s`.
const SHOWN: usize = 32;
/// Most strings of an array that are shown.
const SHOWN_STRINGS: usize = 16;

/// A call's name, `syscall_0x1ff` when it has none.
pub fn name(number: u64) -> Cow<'static, str> {
    match table::row(number) {
        Some(row) => Cow::Borrowed(row.name),
        None => Cow::Owned(format!("syscall_{number:#x}")),
    }
}

/// `SIGINT`, `SIGRT_3`, or the number.
pub fn signal(number: u32) -> Cow<'static, str> {
    match sig::name(number) {
        Some(name) => Cow::Borrowed(name),
        None if (sig::SIGRTMIN..=sig::NSIG).contains(&number) => {
            Cow::Owned(format!("SIGRT_{}", number - sig::SIGRTMIN))
        }
        None => Cow::Owned(number.to_string()),
    }
}

/// si_code's name.
pub fn signal_code(signal: u32, code: i32) -> Cow<'static, str> {
    Cow::Borrowed(match (signal, code) {
        (_, sig::SI_USER) => "SI_USER",
        (_, sig::SI_KERNEL) => "SI_KERNEL",
        (_, sig::SI_QUEUE) => "SI_QUEUE",
        (_, sig::SI_TIMER) => "SI_TIMER",
        (_, sig::SI_TKILL) => "SI_TKILL",
        (sig::SIGCHLD, sig::CLD_EXITED) => "CLD_EXITED",
        (sig::SIGCHLD, sig::CLD_KILLED) => "CLD_KILLED",
        (sig::SIGCHLD, sig::CLD_DUMPED) => "CLD_DUMPED",
        (sig::SIGCHLD, sig::CLD_STOPPED) => "CLD_STOPPED",
        (sig::SIGCHLD, sig::CLD_CONTINUED) => "CLD_CONTINUED",
        (sig::SIGSEGV, sig::SEGV_MAPERR) => "SEGV_MAPERR",
        (sig::SIGSEGV, sig::SEGV_ACCERR) => "SEGV_ACCERR",
        (sig::SIGBUS, sig::BUS_ADRALN) => "BUS_ADRALN",
        (sig::SIGBUS, sig::BUS_ADRERR) => "BUS_ADRERR",
        (sig::SIGILL, sig::ILL_ILLOPC) => "ILL_ILLOPC",
        (sig::SIGTRAP, sig::TRAP_BRKPT) => "TRAP_BRKPT",
        _ => return Cow::Owned(code.to_string()),
    })
}

/// Argument `i` when the call starts; `None` when only its end tells.
pub fn before(k: &Kernel, call: &Call, format: u8, i: usize) -> Option<String> {
    let value = call.args[i];
    let text = match format {
        b'd' => (value as i64 as i32).to_string(),
        b'u' => value.to_string(),
        b'o' => format!("0{:o}", value as u32),
        b'p' => pointer(value),
        b'f' => descriptor(value),
        b's' => string(k, call, value),
        b'b' => bytes(k, call, value, call.args.get(i + 1).copied().unwrap_or(0)),
        b'O' => open_flags(value as u32),
        b'P' => flags(value, &PROTECTION, "PROT_NONE"),
        b'M' => flags(value, &MAPPING, "0"),
        b'S' => signal(value as u32).into_owned(),
        b'C' => clone_flags(value),
        b'a' => strings(k, call, value),
        b't' => timespec(k, call, value),
        b'w' => flags(value, &WAITING, "0"),
        b'B' | b'i' => return None,
        _ => format!("{value:#x}"),
    };
    Some(text)
}

/// Argument `i` when the call is over. After a failure only its address is known to mean something.
pub fn after(k: &Kernel, call: &Call, format: u8, i: usize, result: Option<i64>) -> String {
    let value = call.args[i];
    let Some(result) = result.filter(|r| *r >= 0) else { return pointer(value) };
    match format {
        b'B' => bytes(k, call, value, result as u64),
        b'i' if value != 0 && k.tasks.get(call.tid).is_some() => match k.read_u32(call.tid, value) {
            Ok(word) => format!("[{}]", word as i32),
            Err(_) => pointer(value),
        },
        _ => pointer(value),
    }
}

fn pointer(value: u64) -> String {
    if value == 0 { "NULL".into() } else { format!("{value:#x}") }
}

fn descriptor(value: u64) -> String {
    if value as i32 == at::FDCWD { "AT_FDCWD".into() } else { (value as i32).to_string() }
}

fn string(k: &Kernel, call: &Call, addr: u64) -> String {
    if addr == 0 {
        return "NULL".into();
    }
    match k.read_string(call.tid, addr, 4096) {
        Ok(text) => quoted(&text, text.len() as u64),
        Err(_) => pointer(addr),
    }
}

fn bytes(k: &Kernel, call: &Call, addr: u64, len: u64) -> String {
    let mut buf = vec![0; len.min(SHOWN as u64) as usize];
    match k.tasks.get(call.tid).is_some() && k.memory(call.tid).read(addr, &mut buf).is_ok() {
        true => quoted(&buf, len),
        false => pointer(addr),
    }
}

/// `"text"...`: as a C string, cut at what is shown; `len` is how long it really is.
fn quoted(text: &[u8], len: u64) -> String {
    let mut out = String::from("\"");
    for byte in text.iter().take(SHOWN) {
        let _ = match byte {
            b'"' | b'\\' => write!(out, "\\{}", *byte as char),
            b'\n' => write!(out, "\\n"),
            b'\r' => write!(out, "\\r"),
            b'\t' => write!(out, "\\t"),
            0x20..0x7f => write!(out, "{}", *byte as char),
            _ => write!(out, "\\{byte:o}"),
        };
    }
    out.push('"');
    if len > SHOWN as u64 {
        out.push_str("...");
    }
    out
}

fn strings(k: &Kernel, call: &Call, addr: u64) -> String {
    if addr == 0 {
        return "NULL".into();
    }
    let mut list = Vec::new();
    let mut at = addr;
    loop {
        match k.read_u64(call.tid, at) {
            Ok(0) => break,
            Err(_) => return pointer(addr),
            Ok(_) if list.len() == SHOWN_STRINGS => {
                list.push("...".into());
                break;
            }
            Ok(text) => list.push(string(k, call, text)),
        }
        at = at.wrapping_add(8);
    }
    format!("[{}]", list.join(", "))
}

fn timespec(k: &Kernel, call: &Call, addr: u64) -> String {
    match (addr, k.read_u64(call.tid, addr), k.read_u64(call.tid, addr.wrapping_add(8))) {
        (0, ..) => "NULL".into(),
        (_, Ok(sec), Ok(nsec)) => format!("{{tv_sec={}, tv_nsec={}}}", sec as i64, nsec as i64),
        _ => pointer(addr),
    }
}

type Names = [(u64, &'static str)];

const PROTECTION: [(u64, &str); 3] =
    [(PROT_READ as u64, "PROT_READ"), (PROT_WRITE as u64, "PROT_WRITE"), (PROT_EXEC as u64, "PROT_EXEC")];

const MAPPING: [(u64, &str); 9] = [
    (MAP_SHARED as u64, "MAP_SHARED"),
    (MAP_PRIVATE as u64, "MAP_PRIVATE"),
    (MAP_FIXED as u64, "MAP_FIXED"),
    (MAP_ANONYMOUS as u64, "MAP_ANONYMOUS"),
    (MAP_DENYWRITE as u64, "MAP_DENYWRITE"),
    (MAP_NORESERVE as u64, "MAP_NORESERVE"),
    (MAP_POPULATE as u64, "MAP_POPULATE"),
    (MAP_STACK as u64, "MAP_STACK"),
    (MAP_FIXED_NOREPLACE as u64, "MAP_FIXED_NOREPLACE"),
];

const WAITING: [(u64, &str); 5] =
    [(1, "WNOHANG"), (2, "WUNTRACED"), (4, "WEXITED"), (8, "WCONTINUED"), (0x0100_0000, "WNOWAIT")];

const CLONING: [(u64, &str); 12] = [
    (CLONE_VM, "CLONE_VM"),
    (CLONE_FS, "CLONE_FS"),
    (CLONE_FILES, "CLONE_FILES"),
    (CLONE_SIGHAND, "CLONE_SIGHAND"),
    (CLONE_VFORK, "CLONE_VFORK"),
    (CLONE_PARENT, "CLONE_PARENT"),
    (CLONE_THREAD, "CLONE_THREAD"),
    (0x40000, "CLONE_SYSVSEM"),
    (CLONE_SETTLS, "CLONE_SETTLS"),
    (CLONE_PARENT_SETTID, "CLONE_PARENT_SETTID"),
    (CLONE_CHILD_CLEARTID, "CLONE_CHILD_CLEARTID"),
    (CLONE_CHILD_SETTID, "CLONE_CHILD_SETTID"),
];

const OPENING: [(u64, &str); 14] = [
    (open::CREAT as u64, "O_CREAT"),
    (open::EXCL as u64, "O_EXCL"),
    (open::NOCTTY as u64, "O_NOCTTY"),
    (open::TRUNC as u64, "O_TRUNC"),
    (open::APPEND as u64, "O_APPEND"),
    (open::NONBLOCK as u64, "O_NONBLOCK"),
    (open::SYNC as u64, "O_SYNC"),
    (open::DSYNC as u64, "O_DSYNC"),
    (open::DIRECT as u64, "O_DIRECT"),
    (open::LARGEFILE as u64, "O_LARGEFILE"),
    (open::DIRECTORY as u64, "O_DIRECTORY"),
    (open::NOFOLLOW as u64, "O_NOFOLLOW"),
    (open::CLOEXEC as u64, "O_CLOEXEC"),
    (open::PATH as u64, "O_PATH"),
];

/// Names of the bits that are set, what is left over in hexadecimal; `none` when there are none.
fn flags(value: u64, names: &Names, none: &str) -> String {
    let mut left = value & u64::from(u32::MAX);
    let mut parts: Vec<Cow<'_, str>> = Vec::new();
    for (bits, name) in names {
        if left & bits == *bits {
            left &= !bits;
            parts.push(Cow::Borrowed(name));
        }
    }
    if left != 0 {
        parts.push(Cow::Owned(format!("{left:#x}")));
    }
    if parts.is_empty() { none.into() } else { parts.join("|") }
}

fn open_flags(value: u32) -> String {
    let access = ["O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"][(value & open::ACCMODE) as usize];
    match value & !open::ACCMODE {
        0 => access.into(),
        rest => format!("{access}|{}", flags(rest.into(), &OPENING, "")),
    }
}

fn clone_flags(value: u64) -> String {
    let text = flags(value & !0xff, &CLONING, "");
    match (value & 0xff, text.is_empty()) {
        (0, false) => text,
        (0, true) => "0".into(),
        (number, true) => signal(number as u32).into_owned(),
        (number, false) => format!("{text}|{}", signal(number as u32)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_their_names() {
        assert_eq!(open_flags(open::RDONLY | open::CLOEXEC), "O_RDONLY|O_CLOEXEC");
        assert_eq!(open_flags(open::WRONLY | open::CREAT | open::TRUNC), "O_WRONLY|O_CREAT|O_TRUNC");
        assert_eq!(flags(0, &PROTECTION, "PROT_NONE"), "PROT_NONE");
        assert_eq!(clone_flags(CLONE_VM | CLONE_VFORK | 17), "CLONE_VM|CLONE_VFORK|SIGCHLD");
    }

    #[test]
    fn strings_are_quoted_and_cut() {
        assert_eq!(quoted(b"a\"\n\x01", 4), r#""a\"\n\1""#);
        assert_eq!(quoted(&[b'x'; 40], 40), format!("\"{}\"...", "x".repeat(SHOWN)));
    }
}
