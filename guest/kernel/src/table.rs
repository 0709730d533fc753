//! A row per system call: name, number per architecture, handler, argument formats, support, note.
//!
//! Everything that is known of a call by rule is read from here: dispatch, traces, the quirks page.
//!
//! Argument formats, one letter an argument: `d` signed decimal, `u` unsigned decimal, `x` hexadecimal, `o` octal
//! mode, `p` pointer, `f` file descriptor (or AT_FDCWD), `s` string at the pointer, `b` bytes at the pointer (length in
//! the next argument), `B` bytes written by the call (length is its result), `O` open flags, `P` protection,
//! `M` mmap flags, `S` signal number, `C` clone flags, `a` NULL-terminated array of strings, `t` timespec at the pointer,
//! `i` int at the pointer after the call, `w` wait options.

use crate::dispatch::Handler;
use crate::syscall;

/// How much of a call is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// As Linux has it, but for what limits of the whole design say.
    Full,
    /// The note says what is missing.
    Partial,
    /// Always fails; the note says with what and why.
    Refused,
}

/// A row.
pub struct Row {
    pub name: &'static str,
    /// Number on riscv64, arm64 (asm-generic).
    pub generic: u16,
    pub handler: Handler,
    /// One letter an argument.
    pub formats: &'static str,
    pub support: Support,
    pub note: &'static str,
}

macro_rules! calls {
    ($($name:ident $number:literal $handler:path, $formats:literal, $support:ident, $note:literal;)*) => {
        /// Every call that has a row, in the order of this file.
        pub const ROWS: &[Row] = &[$(Row {
            name: stringify!($name),
            generic: $number,
            handler: $handler,
            formats: $formats,
            support: Support::$support,
            note: $note,
        },)*];
    };
}

calls! {
    // Files (syscall/{open,path,stat,dir,rw,pipe,poll,epoll,event,mount,fcntl,ioctl}).

    // Tasks, memory, signals, time (syscall/{clone,exec,wait,ids,signal,memory,futex,time,info,socket}).
    getpid 172 syscall::ids::getpid, "", Full, "";
}

const NUMBERS: usize = 512;

static GENERIC: [Option<&Row>; NUMBERS] = index();

const fn index() -> [Option<&'static Row>; NUMBERS] {
    let mut table: [Option<&'static Row>; NUMBERS] = [None; NUMBERS];
    let mut i = 0;
    while i < ROWS.len() {
        let row = &ROWS[i];
        assert!(table[row.generic as usize].is_none(), "two rows have one number");
        table[row.generic as usize] = Some(row);
        i += 1;
    }
    table
}

/// The row of call `number`.
pub fn row(number: u64) -> Option<&'static Row> {
    GENERIC.get(usize::try_from(number).ok()?).copied().flatten()
}
