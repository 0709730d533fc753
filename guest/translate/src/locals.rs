//! Wasm locals of a function: its parameters, guest registers, temporaries.

use wasm_encoder::ValType;

use crate::Entries;
use crate::effects::{Slots, is_float};

/// Parameters of a function: the room for calls, then registers (see `calls`) or the entry.
pub mod parameter {
    /// How deep calls may still go, by the weight of functions; what has none gives up all calls.
    pub const ROOM: u32 = 0;
    /// Of one that is entered at its start alone.
    pub const SP: u32 = 1;
    pub const A0: u32 = 2;
    pub const RA: u32 = 3;
    /// Of one that has more entries.
    pub const ENTRY: u32 = 1;
}

/// Wasm locals of a function besides its parameters: integer registers, floating-point registers as `f64`, a few of
/// each other type, then `i64`s.
#[derive(Debug, Clone)]
pub struct Locals {
    entered: Entries,
    parameters: u32,
    /// Number of the local of each slot; 0 for none.
    slots: [u32; 64],
    registers: u32,
    /// How many of them are `f64`.
    floats: u32,
    /// `i64` temporaries that were needed.
    temporaries: u32,
    /// Those that the current instruction uses, and those that are kept.
    taken: u32,
    /// Those that later instructions of the block use, too.
    kept: u32,
}

impl Locals {
    /// Locals for these registers.
    pub fn new(used: Slots, entered: Entries) -> Locals {
        let parameters = if entered == Entries::Start { parameter::RA + 1 } else { parameter::ENTRY + 1 };
        let mut locals =
            Locals { entered, parameters, slots: [0; 64], registers: 0, floats: 0, temporaries: 0, taken: 0, kept: 0 };
        for slot in (0..64).filter(|slot| used >> slot & 1 != 0) {
            locals.slots[slot] = parameters + locals.registers;
            locals.registers += 1;
            locals.floats += u32::from(is_float(slot as u8));
        }
        locals
    }

    /// The local of a slot.
    pub fn slot(&self, slot: u8) -> u32 {
        self.slots[usize::from(slot & 63)]
    }

    /// The slot whose local this is.
    pub fn slot_of(&self, local: u32) -> Option<u8> {
        (0..64).find(|&slot| self.slots[usize::from(slot)] == local && local != 0)
    }

    /// One of two of type i32.
    pub fn i32(&self, which: u32) -> u32 {
        self.parameters + self.registers + which
    }

    /// The label of a jump into a loop; 0: none. Where the function has more entries, it is the entry at first.
    pub fn label(&self) -> u32 {
        if self.entered == Entries::Start { self.i32(2) } else { parameter::ENTRY }
    }

    /// The one of type f64.
    pub fn f64(&self) -> u32 {
        self.i32(3)
    }

    /// The f64 that is an instruction's result.
    pub fn float_result(&self) -> u32 {
        self.i32(4)
    }

    /// The one of type f32.
    pub fn f32(&self) -> u32 {
        self.i32(5)
    }

    /// The i64 that says where a computed jump goes.
    pub fn aim(&self) -> u32 {
        self.i32(6)
    }

    /// The i64 that the function returns where it does so from a block.
    pub fn out(&self) -> u32 {
        self.aim() + 1
    }

    /// The i64 that is the address of the first target of computed jumps.
    pub fn origin(&self) -> u32 {
        self.out() + 1
    }

    /// A temporary of type i64, until [`Locals::release`].
    pub fn take(&mut self) -> u32 {
        self.taken += 1;
        self.temporaries = self.temporaries.max(self.taken);
        self.origin() + self.taken
    }

    /// A temporary of type i64 for later instructions of the block, too; to be taken before any other of an instruction.
    pub fn keep(&mut self) -> u32 {
        debug_assert_eq!(self.taken, self.kept);
        self.kept += 1;
        self.take()
    }

    /// Frees the temporaries of an instruction.
    pub fn release(&mut self) {
        self.taken = self.kept;
    }

    /// Frees the temporaries of a block.
    pub fn release_kept(&mut self) {
        self.kept = 0;
    }

    /// All of them.
    pub fn count(&self) -> u32 {
        self.registers + 9 + self.temporaries
    }

    /// Their declaration.
    pub fn declaration(&self) -> Vec<(u32, ValType)> {
        vec![
            (self.registers - self.floats, ValType::I64),
            (self.floats, ValType::F64),
            (3, ValType::I32),
            (2, ValType::F64),
            (1, ValType::F32),
            (3 + self.temporaries, ValType::I64),
        ]
    }
}
