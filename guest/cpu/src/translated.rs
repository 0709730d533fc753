//! Translated code beside the interpreter: where it is entered, and which code is hot enough to want it.
//!
//! A line whose start has translated code begins with an *entry* cell, which goes there; one that is called or jumped
//! back to begins with a *count* cell while hot code is looked for. Both are `Link`s with a length, and know their kind
//! by `rm`.

use shallop_riscv64::{Kind, Op};

use crate::cache::{self, Cell};
use crate::shared::Shared;

/// `rm` of entry cells and count cells; that of plain `Link`s is 0.
const ENTRY: u8 = 1;
const COUNT: u8 = 2;

/// What a call and a jump back add to the count of their target.
pub const CALL: u8 = 5;
pub const JUMP_BACK: u8 = 1;

/// Counts, by a hash of the address.
const COUNTS: usize = 1 << 15;
/// Places of the table of entries; each is tried in `WINDOW` of them.
const PLACES: usize = 1 << 18;
const WINDOW: usize = 8;
/// Entries of the table that translated code looks into.
const CALLED: usize = 1 << 16;
/// Addresses of hot code that wait for the host.
const HOT_LIST: usize = 253;

/// Words that engine and host exchange.
#[repr(C)]
pub struct Exchange {
    /// Changes when the host has translated code for the process that a task may lack.
    pub generation: u32,
    /// The count at which code is hot; 0: do not look for it.
    pub looks: u32,
    /// Addresses of hot code, and how many there are.
    pub hot: u32,
    pub list: [u32; HOT_LIST],
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

static EXCHANGE: Shared<Exchange> = Shared::new(Exchange { generation: 0, looks: 0, hot: 0, list: [0; HOT_LIST] });
static CALLED_TABLE: Shared<[Called; CALLED]> = Shared::new([Called { pc: 0, index: 0 }; CALLED]);
static ENTRIES: Shared<[Entry; PLACES]> = Shared::new([Entry { pc: 0, index: 0, entry: 0 }; PLACES]);
static COUNTS_TABLE: Shared<[u16; COUNTS]> = Shared::new([0; COUNTS]);
/// Entries registered and not removed.
static REGISTERED: Shared<u32> = Shared::new(0);

/// The words that engine and host exchange.
pub fn exchange() -> *mut Exchange {
    EXCHANGE.pointer()
}

/// The table that translated code looks into.
pub fn called() -> *mut Called {
    CALLED_TABLE.first()
}

/// The generation of the process's translated code.
pub fn generation() -> u32 {
    // SAFETY: only the host writes it, while tasks are suspended.
    unsafe { (*EXCHANGE.pointer()).generation }
}

/// Whether hot code is looked for.
pub fn looks() -> bool {
    // SAFETY: as in `generation`.
    unsafe { (*EXCHANGE.pointer()).looks != 0 }
}

fn hash(pc: u32) -> usize {
    (pc >> 1).wrapping_mul(0x9e37_79b1) as usize >> 7
}

/// The places where the entry of `pc` can be.
fn places(pc: u32) -> impl Iterator<Item = *mut Entry> {
    let first = hash(pc);
    (first..first + WINDOW).map(|place| ENTRIES.element(place % PLACES))
}

/// The entry at `pc`.
pub fn entry(pc: u32) -> Option<Entry> {
    // SAFETY: `places` gives elements of the table, which only the functions here use.
    unsafe {
        if *REGISTERED.pointer() == 0 {
            return None;
        }
        places(pc).map(|place| *place).find(|entry| entry.index != 0 && entry.pc == pc)
    }
}

/// Adds an entry; one that is there already stays. Without room it is left out, which costs only time.
pub fn register(new: Entry) {
    if new.index == 0 || new.pc & 1 != 0 || entry(new.pc).is_some() {
        return;
    }
    // SAFETY: as in `entry`.
    let Some(place) = places(new.pc).find(|place| unsafe { (**place).index == 0 }) else { return };
    // SAFETY: as in `entry`; `called_at` gives an element of its table.
    unsafe {
        *place = new;
        *REGISTERED.pointer() += 1;
        // Address 0 is nobody's, and must not look like one that is there.
        (*CALLED_TABLE.first()).pc |= 1;
        let called = called_at(new.pc);
        if new.entry == 0 && (*called).index == 0 {
            *called = Called { pc: new.pc, index: new.index };
        }
    }
    cache::begin_with_entry(new.pc);
}

fn called_at(pc: u32) -> *mut Called {
    CALLED_TABLE.element((pc >> 1) as usize % CALLED)
}

/// Removes the entries in `len` bytes at `address`.
pub fn unregister(address: u64, len: u64) {
    let end = address.saturating_add(len);
    let inside = |pc: u32| (address..end).contains(&u64::from(pc));
    for place in 0..PLACES {
        let place = ENTRIES.element(place);
        // SAFETY: as in `entry`.
        unsafe {
            if (*place).index != 0 && inside((*place).pc) {
                (*place).index = 0;
                *REGISTERED.pointer() -= 1;
            }
        }
    }
    for slot in 0..CALLED {
        let called = CALLED_TABLE.element(slot);
        // SAFETY: an element of the table, which only these functions use while tasks are suspended.
        unsafe {
            if (*called).index != 0 && inside((*called).pc) {
                *called = Called { pc: 1, index: 0 };
            }
        }
    }
}

/// What begins a line at `pc`, a passage of which counts `weight`.
pub fn tag(pc: u32, weight: u8) -> Option<Cell> {
    match entry(pc) {
        Some(_) => Some(entry_cell(pc)),
        None if weight != 0 && looks() => Some(tagged(pc, COUNT, weight)),
        None => None,
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

/// An entry cell at `pc`.
pub const fn entry_cell(pc: u32) -> Cell {
    tagged(pc, ENTRY, 0)
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

/// Counts once more that `pc` was reached by a call or a jump back, as its cell's `rd` weighs it; true when it is hot and the host will know.
pub fn count(pc: u32, weight: u8) -> bool {
    let count = COUNTS_TABLE.element(hash(pc) % COUNTS);
    // SAFETY: `element` checks; nothing else uses the tables meanwhile.
    unsafe {
        *count = (*count).saturating_add(u16::from(weight));
        let exchange = &mut *EXCHANGE.pointer();
        if u32::from(*count) < exchange.looks {
            return false;
        }
        let Some(place) = exchange.list.get_mut(exchange.hot as usize) else { return false };
        *place = pc;
        exchange.hot += 1;
    }
    true
}

/// Calls a function of the table, which works on these registers; gives the address where it left the guest.
///
/// # Safety
/// `index` is a translated function's in the calling task's table; `state` and `control` are that task's.
#[cfg(target_arch = "wasm32")]
pub unsafe fn call(entry: Entry, state: *mut u64, control: *mut shallop_machine::Control) -> u64 {
    type Function = extern "C" fn(i32, i32, i32, i32) -> i64;
    // SAFETY: in wasm a function pointer is an index of the table, and by the contract there is one of this type.
    let function = unsafe { core::mem::transmute::<usize, Function>(entry.index as usize) };
    function(state as i32, control as i32, 0, entry.entry as i32) as u64
}

#[cfg(not(target_arch = "wasm32"))]
pub use native::call;

/// Functions of native tests.
#[cfg(not(target_arch = "wasm32"))]
pub mod native {
    use super::Entry;
    use crate::shared::Shared;
    use shallop_machine::Control;

    /// Works on the registers from an entry on; gives the address where it left.
    pub type Function = fn(*mut u64, u32) -> u64;

    /// The function that every index means.
    pub static FUNCTION: Shared<Option<Function>> = Shared::new(None);

    /// # Safety
    /// `state` is a task's registers, which nobody else uses meanwhile.
    pub unsafe fn call(entry: Entry, state: *mut u64, _: *mut Control) -> u64 {
        // SAFETY: tests hold a lock while they use the statics.
        match unsafe { *FUNCTION.pointer() } {
            Some(function) => function(state, entry.entry),
            None => u64::from(entry.pc),
        }
    }
}
