//! What each task has of its own: its registers, its control block and its shadow stack.

use shallop_machine::{Control, Registers};

use crate::shared::Shared;

/// Tasks of one process.
pub const SLOTS: usize = 4096;

/// Bytes of a task's shadow stack.
const STACK_BYTES: usize = 16 * 1024;

#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Stack([u8; STACK_BYTES]);

/// What translated code finds at fixed places: the preempt word is the first of the control block.
#[repr(C)]
struct Slot {
    registers: Registers,
    control: Control,
}

const EMPTY: Slot = Slot {
    registers: Registers([0; shallop_machine::isa::STATE_BYTES]),
    control: Control { preempt: 0, kind: 0, detail: 0, fault_kind: 0, address: 0 },
};

static TASKS: Shared<[Slot; SLOTS]> = Shared::new([EMPTY; SLOTS]);
static STACKS: Shared<[Stack; SLOTS]> = Shared::new([Stack([0; STACK_BYTES]); SLOTS]);

/// The registers of a slot. Panics when there is no such slot.
pub fn registers(slot: usize) -> *mut Registers {
    TASKS.element(slot).cast()
}

/// The control block of a slot. Panics when there is no such slot.
pub fn control(slot: usize) -> *mut Control {
    // SAFETY: a field of an element.
    unsafe { &raw mut (*TASKS.element(slot)).control }
}

/// The slot whose registers these are.
pub fn number(registers: *const u64) -> usize {
    (registers as usize - TASKS.first() as usize) / size_of::<Slot>()
}

/// The top of a slot's shadow stack, which grows down. Panics when there is no such slot.
pub fn stack_top(slot: usize) -> *mut u8 {
    STACKS.element(slot).cast::<u8>().wrapping_add(STACK_BYTES)
}
