//! Translated code beside the interpreter: where it is entered, and which code is hot enough to want it.
//!
//! A line whose start has translated code begins with an *entry* cell, which goes there; one that is called or jumped
//! back to begins with a *count* cell while hot code is looked for. Both are `Link`s with a length, and know their kind
//! by `rm`.

#[cfg(target_arch = "wasm32")]
use shallop_machine::exit::{ASTRAY, UNWIND};
use shallop_riscv64::{Kind, Op};

use crate::cache::{self, Cell};
use crate::host;
use crate::shared::Shared;

/// `rm` of entry cells and count cells; that of plain `Link`s is 0.
const ENTRY: u8 = 1;
const COUNT: u8 = 2;

/// What a call and a jump back add to the count of their target.
pub const CALL: u8 = 5;
pub const JUMP_BACK: u8 = 1;

/// Registers that functions which are entered at their start have as parameters (`guest/translate/src/calls.rs`).
pub const RA: usize = 1;
pub const SP: usize = 2;
#[cfg(target_arch = "wasm32")]
const A0: usize = 10;

/// The host knows of code that is hot, and again when it was passed so many times as often: the hottest is translated first.
const HEATS: [u32; 3] = [1, 4, 16];
/// It knows of code that is warm, too, which was passed so many times less often, each time: for programs that run often and
/// never long.
const COOLER: [u16; 2] = [64, 16];
/// Bit of the address of what is warm.
const WARM: u32 = 1;
/// Counts, by a hash of the address.
const COUNTS: usize = 1 << 15;
/// Entries of the table that translated code looks into.
const CALLED: usize = 1 << 16;
/// Used entries of that table that are remembered.
const MAX_USED: usize = 1 << 12;
/// Addresses of hot code that wait for the host.
const HOT_LIST: usize = 251;
/// Places for computed jumps that were seen.
const SEEN: usize = 2048;
/// Entries of a function at most, so that a cell can hold a number of one.
const MAX_ENTRIES: u32 = 1 << 24;

/// Words that engine and host exchange.
#[repr(C)]
pub struct Exchange {
    /// The count at which code is hot; 0: there is no translated code.
    pub looks: u32,
    /// How many addresses of hot code there are.
    pub hot: u32,
    /// Changes when code that tasks may be in must not go on.
    pub retired: u32,
    /// Not 0: tasks leave translated code at random where they may.
    pub storm: u32,
    /// Not 0: all this memory was another process's.
    pub used_before: u32,
    /// Addresses of hot code, and of warm code with [`WARM`], or what the host tells.
    pub list: [u32; HOT_LIST],
    /// Computed jumps that were interpreted, by (site >> 1) modulo the length.
    pub seen: [Seen; SEEN],
}

/// A computed jump, and where it went most often. What another process left in the memory may stand here too: it is a guess.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Seen {
    pub site: u32,
    pub target: u32,
}

/// Where translated code finds function starts, by (pc >> 1) modulo the length. `index` 0: none.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Called {
    pub pc: u32,
    pub index: u32,
}

/// An address at which a translated function can be entered; `index` is its place in the table of functions, 0: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub pc: u32,
    pub index: u32,
    /// The function's number for this entry; 0 is its start.
    pub entry: u32,
}

static EXCHANGE: Shared<Exchange> = Shared::new(Exchange {
    looks: 0,
    hot: 0,
    retired: 0,
    storm: 0,
    used_before: 0,
    list: [0; HOT_LIST],
    seen: [Seen { site: 0, target: 0 }; SEEN],
});
static CALLED_TABLE: Shared<[Called; CALLED]> = Shared::new([Called { pc: 0, index: 0 }; CALLED]);
/// The first elements of `CALLED_TABLE` that were used, and how many.
static USED: Shared<[u16; MAX_USED]> = Shared::new([0; MAX_USED]);
static USED_COUNT: Shared<usize> = Shared::new(0);
/// By how much [`Exchange::seen`] were seen more often than others.
static VOTES: Shared<[u8; SEEN]> = Shared::new([0; SEEN]);
static COUNTS_TABLE: Shared<[u16; COUNTS]> = Shared::new([0; COUNTS]);

/// The words that engine and host exchange.
pub fn exchange() -> *mut Exchange {
    EXCHANGE.pointer()
}

/// The table that translated code looks into.
pub fn called() -> *mut Called {
    CALLED_TABLE.first()
}

/// Changes when translated code that tasks are in must be left.
pub fn retired() -> u32 {
    // SAFETY: only the host writes it, while tasks are suspended.
    unsafe { (*EXCHANGE.pointer()).retired }
}

/// Whether a task is to leave translated code although it need not.
pub fn storms() -> bool {
    // SAFETY: the host writes it before tasks run.
    let storm = unsafe { &mut (*EXCHANGE.pointer()).storm };
    if *storm == 0 {
        return false;
    }
    // Knuth's constant for a linear congruential generator of 32 bits.
    *storm = storm.wrapping_mul(1_664_525).wrapping_add(1_013_904_223).max(1);
    *storm >> 31 != 0
}

/// Whether hot code is looked for.
pub fn looks() -> bool {
    // SAFETY: only the host writes it, while tasks are suspended.
    unsafe { (*EXCHANGE.pointer()).looks != 0 }
}

fn hash(pc: u32) -> usize {
    (pc >> 1).wrapping_mul(0x9e37_79b1) as usize >> 7
}

/// The entry at `pc`, as the host knows it; from now on the calling task has its function, and so has each other task of
/// the process when it runs next. A function's start is found by translated code from now on.
pub fn entry(pc: u32) -> Option<Entry> {
    if !looks() {
        return None;
    }
    let found = host::find(pc);
    let entry = Entry { pc, index: found as u32, entry: (found >> 32) as u32 };
    if entry.index == 0 {
        return None;
    }
    // SAFETY: elements of a table that only the functions here use.
    unsafe {
        // Address 0 is nobody's, and must not look like one that is there.
        (*CALLED_TABLE.first()).pc |= 1;
        if entry.entry == 0 {
            remember(entry);
        }
    }
    Some(entry)
}

/// Has translated code find the function that begins at this entry.
pub fn remember(entry: Entry) {
    // SAFETY: elements of tables that only the functions here write.
    unsafe {
        let called = called_at(entry.pc);
        if (*called).index == 0 {
            let count = USED_COUNT.pointer();
            if *count < MAX_USED {
                *USED.element(*count) = ((entry.pc >> 1) as usize % CALLED) as u16;
            }
            *count = (*count + 1).min(MAX_USED + 1);
        }
        *called = Called { pc: entry.pc, index: entry.index };
    }
}

/// Makes this memory as good as new, if it was another process's.
pub fn begin() {
    // SAFETY: the task is the first of its process, and nothing else uses the tables.
    unsafe {
        if core::mem::take(&mut (*EXCHANGE.pointer()).used_before) == 0 {
            return;
        }
        match core::mem::take(&mut *USED_COUNT.pointer()) {
            count @ ..=MAX_USED => {
                (0..count).for_each(|at| {
                    CALLED_TABLE.element(usize::from(*USED.element(at))).write(Called { pc: 0, index: 0 });
                });
                CALLED_TABLE.first().write(Called { pc: 0, index: 0 });
            }
            _ => CALLED_TABLE.pointer().write_bytes(0, 1),
        }
        COUNTS_TABLE.pointer().write_bytes(0, 1);
    }
    cache::reset();
}

fn called_at(pc: u32) -> *mut Called {
    CALLED_TABLE.element((pc >> 1) as usize % CALLED)
}

/// Has jumps to the first `count` addresses of the exchange's list find the translated code that has come for them.
pub fn announce(count: usize) {
    // SAFETY: the host has filled the list, and tasks are suspended.
    let list = unsafe { (*EXCHANGE.pointer()).list };
    list.iter().take(count).for_each(|pc| cache::announce(*pc));
}

/// Forgets the translated functions in `len` bytes at `address`, and what was decoded there.
pub fn forget(address: u64, len: u64) {
    let end = address.saturating_add(len);
    let inside = |pc: u32| (address..end).contains(&u64::from(pc));
    for slot in 0..CALLED {
        let called = CALLED_TABLE.element(slot);
        // SAFETY: an element of the table, which only these functions use while tasks are suspended.
        unsafe {
            if (*called).index != 0 && inside((*called).pc) {
                *called = Called { pc: 1, index: 0 };
            }
        }
    }
    cache::flush(address, len);
}

/// What begins a line at `pc`, a passage of which counts `weight`.
pub fn tag(pc: u32, weight: u8) -> Option<Cell> {
    match entry(pc) {
        Some(entry) if entry.entry < MAX_ENTRIES => Some(entry_cell(entry)),
        _ if weight != 0 && looks() => Some(tagged(pc, COUNT, weight)),
        _ => None,
    }
}

const fn tagged(pc: u32, rm: u8, weight: u8) -> Cell {
    let mut op = Op::new(Kind::Link, 0);
    op.rm = rm;
    op.rd = weight;
    // So that the table of lines finds it.
    op.len = 2;
    Cell { op, pc }
}

/// An entry cell.
const fn entry_cell(entry: Entry) -> Cell {
    let mut cell = tagged(entry.pc, ENTRY, 0);
    cell.op.imm = entry.index as i32;
    [cell.op.rs1, cell.op.rs2, cell.op.rs3, _] = entry.entry.to_le_bytes();
    cell
}

/// What an entry cell at `pc` leads to.
pub const fn entry_of(op: &Op, pc: u32) -> Entry {
    Entry { pc, index: op.imm as u32, entry: u32::from_le_bytes([op.rs1, op.rs2, op.rs3, 0]) }
}

pub fn is_entry(op: &Op) -> bool {
    op.kind == Kind::Link && op.rm == ENTRY
}

pub fn is_count(op: &Op) -> bool {
    op.kind == Kind::Link && op.rm == COUNT
}

/// Whether the op stands for code but is none.
pub fn is_tag(op: &Op) -> bool {
    op.kind == Kind::Link && op.rm != 0
}

/// Counts once more that `pc` was reached by a call or a jump back, as its cell's `rd` weighs it. When that makes it hot, or so much
/// hotter, the host will know; true when there is nothing more to tell.
pub fn count(pc: u32, weight: u8) -> bool {
    let count = COUNTS_TABLE.element(hash(pc) % COUNTS);
    // SAFETY: `element` checks; nothing else uses the tables meanwhile.
    unsafe {
        let (before, after) = (*count, (*count).saturating_add(u16::from(weight)));
        let exchange = &mut *EXCHANGE.pointer();
        let [hot, hotter, last] =
            HEATS.map(|times| u16::try_from(exchange.looks.saturating_mul(times)).unwrap_or(u16::MAX));
        let is_over = after >= last;
        let reaches = |level: u16| (before..after).contains(&(level - 1));
        let told = match is_over || reaches(hot) || reaches(hotter) {
            true => Some(pc),
            false => COOLER.iter().any(|times| reaches((hot / times).max(1))).then_some(pc | WARM),
        };
        if let Some(told) = told {
            // Without room it is told the next time.
            let Some(place) = exchange.list.get_mut(exchange.hot as usize) else { return false };
            *place = told;
            exchange.hot += 1;
        }
        *count = after;
        is_over
    }
}

/// Notes where the computed jump at `site` goes, for those who translate it: where it goes most often, if that is most of the
/// time (Boyer and Moore's majority vote).
#[inline(always)]
pub fn note_jump(site: u32, target: u32) {
    let at = (site >> 1) as usize % SEEN;
    // SAFETY: the host reads them while tasks are suspended; `at` is below their lengths.
    unsafe {
        let (seen, votes) = (&mut (*EXCHANGE.pointer()).seen[at], &mut *VOTES.element(at));
        if (seen.site, seen.target) == (site, target) {
            *votes = votes.saturating_add(1);
        } else if seen.site == site && *votes > 0 {
            *votes -= 1;
        } else {
            (*seen, *votes) = (Seen { site, target }, 0);
        }
    }
}

/// Calls a function of the table, which works on the calling task's registers; gives the address where it left the guest,
/// or `UNWIND`. All registers are where `words` says then.
///
/// # Safety
/// `index` is a translated function's in the calling task's table, and `words` are that task's registers.
#[cfg(target_arch = "wasm32")]
pub unsafe fn call(entry: Entry, words: *mut u64, room: i32) -> u64 {
    type Start = extern "C" fn(i32, i64, i64, i64) -> i64;
    type Entered = extern "C" fn(i32, i32) -> i64;
    // SAFETY: the words are registers.
    if u32::try_from(unsafe { *words.add(SP) }).is_err() {
        // The code would take the stack pointer for an address.
        return u64::from(entry.pc);
    }
    // SAFETY: in wasm a function pointer is an index of the table, and by the contract there is one: of the first type
    // if it is entered at its start alone, else of the second. The words are registers.
    let pc = unsafe {
        if entry.entry != 0 {
            let function = core::mem::transmute::<usize, Entered>(entry.index as usize);
            function(room, entry.entry as i32) as u64
        } else {
            let function = core::mem::transmute::<usize, Start>(entry.index as usize);
            let [ra, sp, a0] = [RA, SP, A0].map(|register| *words.add(register) as i64);
            let pc = function(room, sp, a0, ra) as u64;
            if pc & ASTRAY == 0 {
                *words.add(SP) = sp as u64;
                *words.add(RA) = pc;
            }
            pc
        }
    };
    if pc == UNWIND { pc } else { pc & !ASTRAY }
}

#[cfg(not(target_arch = "wasm32"))]
pub use native::call;

/// Functions of native tests.
#[cfg(not(target_arch = "wasm32"))]
pub mod native {
    use super::Entry;
    use crate::shared::Shared;

    /// Works on the registers from an entry on; gives the address where it left.
    pub type Function = fn(*mut u64, u32) -> u64;

    /// The function that every index means.
    pub static FUNCTION: Shared<Option<Function>> = Shared::new(None);

    /// # Safety
    /// `state` is a task's registers, which nobody else uses meanwhile.
    pub unsafe fn call(entry: Entry, state: *mut u64, _: i32) -> u64 {
        // SAFETY: tests hold a lock while they use the statics.
        match unsafe { *FUNCTION.pointer() } {
            Some(function) => function(state, entry.entry),
            None => u64::from(entry.pc),
        }
    }
}
