//! The hypercalls: imports of the kernel module, by family. Wasm import module [`MODULE`], name as listed.
//!
//! Conventions. Pointers are 32-bit offsets into kernel memory, lengths in bytes. Every call that can fail
//! returns an `i64`: `>= 0` the result, `< 0` a negated Linux errno. Hypercalls trust nothing: a bad
//! pointer, id or handle is an error to the kernel, never a fault of the host.
//!
//! | family | name and parameters | result |
//! |---|---|---|
//! | task | `space_create()` | address space id |
//! | | `space_fork(space: i32)` | id of a copy (private pages copied, shared objects shared) |
//! | | `space_drop(space: i32)` | 0; its tasks must be gone |
//! | | `space_precise(space: i32)` | 0; from now on each fault in the space finds all registers of its task (before, one may leave older ones: the process must die) |
//! | | `task_create(space: i32)` | task id |
//! | | `task_drop(task: i32)` | 0; drops Store, fiber and stack |
//! | | `task_run(task: i32, state: i32, exit: i32)` | 0; runs until the next exit. `state` points to `STATE_BYTES` of registers, copied in before and out after; `exit` receives an [`Exit`] record |
//! | memory | `mem_map_anon(space: i32, addr: i64, len: i64, prot: i32)` | 0; private zero pages, replaces what was there |
//! | | `mem_map_file(space, addr: i64, len: i64, prot: i32, handle: i32, offset: i64, shared: i32)` | 0; page-aligned piece of an immutable file (private only), an own file (upper data) or a memory object |
//! | | `mem_reserve(space, addr, len)` | 0; inaccessible pages without backing (PROT_NONE mapping, file pages past the end) |
//! | | `mem_unmap(space, addr, len)` | 0 |
//! | | `mem_protect(space, addr, len, prot)` | 0 |
//! | | `mem_discard(space, addr, len)` | 0; private pages read as first mapped again (MADV_DONTNEED) |
//! | | `mem_move(space, from, to, len)` | 0; moves mappings with their pages (mremap) |
//! | | `mem_read(space, addr: i64, dst: i32, len: i32)` | bytes copied before the first unreadable page |
//! | | `mem_write(space, addr: i64, src: i32, len: i32)` | bytes copied before the first unwritable page |
//! | | `mem_resident(space)` | resident private bytes |
//! | | `mem_touched(space)` | bytes of mapped files and memory objects that are in its page table |
//! | object | `object_create(len: i64)` | handle of a new memory object, zero-filled |
//! | | `object_drop(handle)` | 0; mappings keep it alive |
//! | file | `file_read(handle, offset: i64, dst, len: i32)` | bytes |
//! | | `file_write(handle, offset: i64, src, len: i32)` | bytes |
//! | | `file_size(handle)` | bytes |
//! | | `file_resize(handle, len: i64)` | 0 |
//! | | `file_sync(handle)` | 0 |
//! | | `file_punch(handle, offset: i64, len: i64)` | 0; gives space back, reads as zeroes |
//! | | `file_close(handle)` | 0 |
//! | | `file_stat(handle, dst)` | 0; [`HostStat`] |
//! | volume | `volume_stat(root, path, path_len, dst)` | 0; [`HostStat`] without following a final link |
//! | | `volume_open(root, path, path_len, flags: i32, mode: i32)` | handle; flags are [`open_flags`] |
//! | | `volume_read_dir(root, path, path_len, dst, len: i32)` | bytes needed; entries `{kind: u8, name_len: u16 LE, name}`; call again with a larger buffer when more than `len` |
//! | | `volume_make_dir(root, path, path_len, mode)` | 0 |
//! | | `volume_remove(root, path, path_len, directory: i32)` | 0 |
//! | | `volume_rename(root, from, from_len, to, to_len)` | 0 |
//! | | `volume_symlink(root, target, target_len, path, path_len)` | 0 |
//! | | `volume_link(root, from, from_len, to, to_len)` | 0 |
//! | | `volume_read_link(root, path, path_len, dst, len)` | bytes |
//! | | `volume_set_mode(root, path, path_len, mode)` | 0 |
//! | | `volume_set_times(root, path, path_len, atime_ns: i64, mtime_ns: i64)` | 0; `i64::MIN` leaves one alone |
//! | stdio | `stdio_read(fd: i32, dst, len)` | bytes, 0 at end, -EAGAIN when nothing is there |
//! | | `stdio_write(fd: i32, src, len)` | bytes (blocks); fd 3 is the trace stream, fd 4 the profile stream |
//! | | `stdio_winsize(dst)` | 0; rows, columns as two u16 LE; -ENOTTY |
//! | event | `event_wait(deadline_ns: i64)` | bits of [`event`]; waits until something is ready or the monotonic deadline passes (`i64::MAX`: no deadline; 0: only look) |
//! | | `event_alarm(deadline_ns: i64)` | 0; a task that runs at that monotonic time yields (`i64::MAX`: none). One at a time: it takes the place of the last |
//! | | `event_take_signal()` | next forwarded signal number, 0 when none |
//! | net | `net_open(stream: i32, ip: i32, port: i32)` | handle of a socket to an address outside: connecting (TCP) or connected (UDP). `ip` points to 16 bytes, IPv4 as `::ffff:a.b.c.d`; EACCES when the policy refuses |
//! | | `net_status(socket)` | 0 when it is connected; -EINPROGRESS while it connects; else what went wrong, once |
//! | | `net_receive(socket, dst, len, peek: i32)` | bytes, 0 at the end; -EAGAIN |
//! | | `net_send(socket, src, len)` | bytes; -EAGAIN |
//! | | `net_shutdown(socket, how: i32)` | 0; as shutdown(2) |
//! | | `net_poll(socket)` | bits of poll(2): IN 1, OUT 4, ERR 8, HUP 16, RDHUP 0x2000 |
//! | | `net_available(socket)` | bytes that a receive would give |
//! | | `net_close(socket)` | 0 |
//! | | `net_events(dst, len)` | bytes written: numbers (u32 LE) of sockets whose state changed since this was last asked |
//! | | `net_resolve(id: i32, kind: i32, name, name_len)` | 0; the answer comes later, under the number that the kernel chose. `kind` 4: IPv4 addresses, 6: IPv6 |
//! | | `net_reverse(id: i32, ip: i32)` | the same for the name of an address: 16 bytes, as `net_open` takes it |
//! | | `net_answer(dst, len)` | bytes of the next answer: `{id: u32, status: u32, count: u32, name_len: u32}` LE ([`resolved`]), then `count` addresses of 16 bytes, then a name; 0 when there is none |
//! | clock | `clock_now(clock: i32)` | nanoseconds; 0 real time, 1 monotonic, 2 CPU time of this sandbox |
//! | | `random(dst, len)` | 0 |
//! | life | `spec_read(dst, len)` | bytes of the launch spec (JSON); called with 0, 0 first |
//! | | `crowded()` | 0; there was no room for another process or thread, which is told at the end |
//! | | `mark(point: i32)` | 0; a point of the start-up for `--timings` |
//! | | `exit(status: i32)` | does not return; status as wait(2) encodes it |

/// Import module of every hypercall.
pub const MODULE: &str = "shallop";

/// Bytes of the register block that `task_run` copies; at least the largest instruction set's state.
pub const STATE_BYTES: usize = 640;

/// Protection bits, as PROT_READ, PROT_WRITE, PROT_EXEC.
pub mod prot {
    pub const NONE: u32 = 0;
    pub const READ: u32 = 1;
    pub const WRITE: u32 = 2;
    pub const EXEC: u32 = 4;
}

/// Flags of `volume_open`.
pub mod open_flags {
    pub const READ: u32 = 1;
    pub const WRITE: u32 = 2;
    pub const CREATE: u32 = 4;
    pub const EXCLUSIVE: u32 = 8;
    pub const TRUNCATE: u32 = 16;
}

/// Bits of `event_wait`'s result.
pub mod event {
    /// stdin has bytes or is at its end.
    pub const STDIN: u32 = 1;
    /// `event_take_signal` has something.
    pub const SIGNAL: u32 = 2;
    /// The terminal's size changed.
    pub const WINSIZE: u32 = 4;
    /// `net_events` or `net_answer` has something.
    pub const NET: u32 = 8;
}

/// Status of an answer of `net_answer`.
pub mod resolved {
    pub const OK: u32 = 0;
    /// There is no such name.
    pub const NO_NAME: u32 = 1;
    /// It could not be found out.
    pub const FAILED: u32 = 2;
    /// The policy does not allow to ask.
    pub const REFUSED: u32 = 3;
}

/// Addresses in one answer at most.
pub const MAX_ADDRESSES: usize = 64;

/// Longest name of `net_resolve` and of an answer (RFC 1035).
pub const MAX_NAME: usize = 255;

/// Why `task_run` came back. Laid out as four little-endian words: kind u32, detail u32, address u64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Exit {
    pub kind: u32,
    /// `ILLEGAL`: the instruction's bits. `FAULT`: 0 load, 1 store, 2 fetch; bit 8 set for a bus error. `YIELD`:
    /// [`exit::INTERPRETED`] or [`exit::TRANSLATED`]. Otherwise 0.
    pub detail: u32,
    /// `FAULT`: the guest address. Otherwise 0.
    pub address: u64,
}

/// Values of [`Exit::kind`].
pub mod exit {
    /// The task asks for a system call; its pc is already past the instruction.
    pub const SYSCALL: u32 = 0;
    /// Its time slice ended or an event came.
    pub const YIELD: u32 = 1;
    /// `detail` of a `YIELD`: which code the task was in.
    pub const INTERPRETED: u32 = 0;
    pub const TRANSLATED: u32 = 1;
    /// A memory access that was not repaired; the pc is the faulting instruction's.
    pub const FAULT: u32 = 2;
    /// An instruction that does not exist.
    pub const ILLEGAL: u32 = 3;
    /// A breakpoint instruction.
    pub const BREAKPOINT: u32 = 4;
    /// A jump to an address no instruction can have.
    pub const MISALIGNED: u32 = 5;
    /// The engine gave up on the task (stack overflow, out of code memory); the process must die.
    pub const BROKEN: u32 = 6;
}

/// What the host tells of a file on a volume. Little-endian, no padding, in this order; 64 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct HostStat {
    pub ino: u64,
    pub size: u64,
    pub mtime_ns: i64,
    pub atime_ns: i64,
    pub ctime_ns: i64,
    /// Full st_mode, type bits included.
    pub mode: u32,
    pub nlink: u32,
    pub blocks: u64,
    pub dev: u64,
}
