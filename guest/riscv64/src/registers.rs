//! Where a task's riscv64 registers lie in the machine-independent `Registers` block, and a typed view of them.
//!
//! All words are little-endian. The kernel reads and writes the block through [`State`]; the interpreter works on
//! its 64-bit words in place, by index ([`word`]).

use shallop_machine::Registers;

/// Byte offsets into `Registers`.
pub mod offset {
    /// `x0..x31`, 8 bytes each; `x0` is always 0.
    pub const X: usize = 0;
    /// Program counter.
    pub const PC: usize = 256;
    /// `f0..f31`, 8 bytes each; singles are NaN-boxed.
    pub const F: usize = 264;
    /// `fcsr` as 32 bits: accrued exceptions in bits 0–4, rounding mode in bits 5–7.
    pub const FCSR: usize = 520;
    /// Address of the reservation that `lr` made; [`super::NO_RESERVATION`] when there is none.
    pub const RESERVATION_ADDRESS: usize = 528;
    /// The value that `lr` loaded there.
    pub const RESERVATION_VALUE: usize = 536;
    /// Counter behind `rdcycle`, `rdtime` and `rdinstret`.
    pub const COUNTER: usize = 544;
    /// The engine's own word: the instruction that is being interpreted.
    pub const CURRENT: usize = 552;
    /// Target of writes to `x0`.
    pub const SINK: usize = 560;
    /// The engine's own word: where the task's control block is.
    pub const CONTROL: usize = 568;
    /// The engine's own word: the pc at which it goes back to translated code that called it.
    pub const BACK: usize = 576;
    /// The engine's own word: how deep calls of translated code may go that it enters.
    pub const ROOM: usize = 584;
    /// The engine's own word: not 0 while it interprets what translated code did before a fault.
    pub const REPLAYS: usize = 592;
}

/// Indexes of the 64-bit words of `Registers`.
pub mod word {
    use super::offset;

    pub const PC: usize = offset::PC / 8;
    pub const F: usize = offset::F / 8;
    pub const FCSR: usize = offset::FCSR / 8;
    pub const RESERVATION_ADDRESS: usize = offset::RESERVATION_ADDRESS / 8;
    pub const RESERVATION_VALUE: usize = offset::RESERVATION_VALUE / 8;
    pub const COUNTER: usize = offset::COUNTER / 8;
    pub const CURRENT: usize = offset::CURRENT / 8;
    pub const SINK: usize = offset::SINK / 8;
    pub const CONTROL: usize = offset::CONTROL / 8;
    pub const BACK: usize = offset::BACK / 8;
    pub const ROOM: usize = offset::ROOM / 8;
    pub const REPLAYS: usize = offset::REPLAYS / 8;
    /// Words in the block.
    pub const COUNT: usize = shallop_machine::isa::STATE_BYTES / 8;
}

/// `State::reservation_address` when there is no reservation: no atomic access can have this address.
pub const NO_RESERVATION: u64 = u64::MAX;

/// One task's registers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C)]
pub struct State {
    pub x: [u64; 32],
    pub pc: u64,
    pub f: [u64; 32],
    pub fcsr: u32,
    pub reservation_address: u64,
    pub reservation_value: u64,
    pub counter: u64,
}

impl Default for State {
    fn default() -> Self {
        State {
            x: [0; 32],
            pc: 0,
            f: [0; 32],
            fcsr: 0,
            reservation_address: NO_RESERVATION,
            reservation_value: 0,
            counter: 0,
        }
    }
}

impl State {
    /// Reads the registers from their block.
    pub fn view(registers: &Registers) -> State {
        State {
            x: core::array::from_fn(|i| read(registers, offset::X + 8 * i)),
            pc: read(registers, offset::PC),
            f: core::array::from_fn(|i| read(registers, offset::F + 8 * i)),
            fcsr: read(registers, offset::FCSR) as u32,
            reservation_address: read(registers, offset::RESERVATION_ADDRESS),
            reservation_value: read(registers, offset::RESERVATION_VALUE),
            counter: read(registers, offset::COUNTER),
        }
    }

    /// Writes the registers to their block.
    pub fn store(&self, registers: &mut Registers) {
        for i in 0..32 {
            write(registers, offset::X + 8 * i, self.x[i]);
            write(registers, offset::F + 8 * i, self.f[i]);
        }
        write(registers, offset::PC, self.pc);
        write(registers, offset::FCSR, u64::from(self.fcsr));
        write(registers, offset::RESERVATION_ADDRESS, self.reservation_address);
        write(registers, offset::RESERVATION_VALUE, self.reservation_value);
        write(registers, offset::COUNTER, self.counter);
    }
}

/// The 64-bit word at byte `offset` (a constant of [`offset`], plus 8 a register).
///
/// # Panics
/// When `offset + 8` is past the block.
pub fn read(registers: &Registers, offset: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&registers.0[offset..offset + 8]);
    u64::from_le_bytes(bytes)
}

/// Sets the 64-bit word at byte `offset`.
///
/// # Panics
/// When `offset + 8` is past the block.
pub fn write(registers: &mut Registers, offset: usize, value: u64) {
    registers.0[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_state_is_viewed_unchanged() {
        let mut state = State { pc: 0x1_0000, fcsr: 0xe1, counter: 7, ..State::default() };
        state.x = core::array::from_fn(|i| i as u64 * 3);
        state.f = core::array::from_fn(|i| !(i as u64));
        let mut registers = Registers::default();
        state.store(&mut registers);
        assert_eq!(State::view(&registers), state);
        assert_eq!(read(&registers, offset::X + 8 * 31), 93);
        assert_eq!(read(&registers, offset::F + 8 * 31), !31);
        assert_eq!(registers.0[offset::FCSR], 0xe1);
    }

    #[test]
    fn the_block_is_large_enough() {
        const { assert!(offset::REPLAYS + 8 <= shallop_machine::isa::STATE_BYTES) };
        assert_eq!(offset::F, offset::PC + 8);
        assert_eq!(offset::FCSR, offset::F + 256);
    }
}
