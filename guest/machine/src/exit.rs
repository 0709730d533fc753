//! Why a task left the engine: the values that engine, host and kernel agree on, and the control block they share.

/// Values of [`Control::kind`]; the same as `hypercall::exit` of the host interface.
pub mod kind {
    pub const SYSCALL: u32 = 0;
    pub const YIELD: u32 = 1;
    pub const FAULT: u32 = 2;
    pub const ILLEGAL: u32 = 3;
    pub const BREAKPOINT: u32 = 4;
    pub const MISALIGNED: u32 = 5;
    pub const BROKEN: u32 = 6;
}

/// `detail` of a [`kind::YIELD`] from translated code; 0 from interpreted code.
pub const TRANSLATED: u32 = 1;

/// What a faulting access wanted: values of `detail` and [`Control::fault_kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Access {
    Load = 0,
    Store = 1,
    Fetch = 2,
}

/// A task's way out of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// A system call; the pc is to be set past the instruction.
    Syscall,
    /// The time slice ended.
    Yield,
    /// An access that cannot be done, at this guest address.
    Fault(Access, u64),
    /// An instruction that does not exist, with its bits.
    Illegal(u32),
    Breakpoint,
    /// A misaligned atomic access, or a jump to an odd address.
    Misaligned(Access, u64),
}

impl Exit {
    /// `(kind, detail, address)` of the control block.
    pub fn parts(self) -> (u32, u32, u64) {
        match self {
            Exit::Syscall => (kind::SYSCALL, 0, 0),
            Exit::Yield => (kind::YIELD, 0, 0),
            Exit::Fault(access, address) => (kind::FAULT, access as u32, address),
            Exit::Illegal(bits) => (kind::ILLEGAL, bits, 0),
            Exit::Breakpoint => (kind::BREAKPOINT, 0, 0),
            Exit::Misaligned(access, address) => (kind::MISALIGNED, access as u32, address),
        }
    }
}

/// How deep translated code may be in calls, by the weight of the functions; what is deeper begins a new stack.
pub const MAX_DEPTH: i32 = 4000;

/// What translated code returns instead of an address for the registers to be taken from the state, the pc too, on a new
/// stack. No pc is odd.
pub const UNWIND: u64 = u64::MAX;
/// What is added to the address that a call of translated code came to when all calls are to be given up, with all registers
/// in the state. Addresses of code are even.
pub const ASTRAY: u64 = 1;

/// [`Control::preempt`] when set: a signed number above the room that any call has.
pub const PREEMPT: u32 = i32::MAX as u32;

/// What the engine tells the host at each exit, one for each slot.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Control {
    /// Set by the host to [`PREEMPT`] to make the task yield soon; cleared by the engine when it does.
    pub preempt: u32,
    /// One of [`kind`].
    pub kind: u32,
    /// The bits of an illegal instruction, or the [`Access`] of a fault, or where a yield came from ([`TRANSLATED`]).
    pub detail: u32,
    /// The [`Access`] of a fault that trapped; set by `fixup`.
    pub fault_kind: u32,
    /// Guest address of a fault.
    pub address: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn the_control_block_has_the_agreed_layout() {
        assert_eq!(offset_of!(Control, preempt), 0);
        assert_eq!(offset_of!(Control, kind), 4);
        assert_eq!(offset_of!(Control, detail), 8);
        assert_eq!(offset_of!(Control, fault_kind), 12);
        assert_eq!(offset_of!(Control, address), 16);
    }

    #[test]
    fn faults_carry_access_and_address() {
        assert_eq!(Exit::Fault(Access::Store, 9).parts(), (kind::FAULT, 1, 9));
        assert_eq!(Exit::Illegal(0xffff).parts(), (kind::ILLEGAL, 0xffff, 0));
    }
}
