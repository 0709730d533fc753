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

static REGISTERS: Shared<[Registers; SLOTS]> =
    Shared::new([const { Registers([0; shallop_machine::isa::STATE_BYTES]) }; SLOTS]);
static CONTROLS: Shared<[Control; SLOTS]> =
    Shared::new([Control { preempt: 0, kind: 0, detail: 0, fault_kind: 0, address: 0 }; SLOTS]);
static STACKS: Shared<[Stack; SLOTS]> = Shared::new([Stack([0; STACK_BYTES]); SLOTS]);

/// The registers of a slot. Panics when there is no such slot.
pub fn registers(slot: usize) -> *mut Registers {
    REGISTERS.element(slot)
}

/// The control block of a slot. Panics when there is no such slot.
pub fn control(slot: usize) -> *mut Control {
    CONTROLS.element(slot)
}

/// The top of a slot's shadow stack, which grows down. Panics when there is no such slot.
pub fn stack_top(slot: usize) -> *mut u8 {
    STACKS.element(slot).cast::<u8>().wrapping_add(STACK_BYTES)
}
