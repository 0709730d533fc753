//! What an instruction reads, writes and does besides, found by running its meaning over a backend that only watches.

use shallop_machine::backend::{Atomic, Backend, Binary, Csr, Float, Order, Precision, Width};
use shallop_riscv64::Op;
use shallop_riscv64::execute::execute;

/// A set of slots: bit `r` is `x<r>`, bit `32 + r` is `f<r>`. `x0` needs no place, so bit 0 is `fcsr`.
pub type Slots = u64;

/// Slot of `fcsr`.
pub const FCSR: u8 = 0;

/// Slots of `ra`, `sp` and `a0` (RISC-V calling convention).
pub const RA: u8 = 1;
pub const SP: u8 = 2;
pub const A0: u8 = 10;

/// The slot of an `f` register.
pub const fn f_slot(register: u8) -> u8 {
    32 + register
}

/// Whether a slot is of a floating-point register.
pub const fn is_float(slot: u8) -> bool {
    slot >= 32
}

/// The set of one slot.
pub const fn bit(slot: u8) -> Slots {
    1 << (slot & 63)
}

/// How control goes on after an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// With the next instruction.
    Next,
    /// At an offset from this one.
    Jump(i32),
    /// At a computed address.
    Computed,
    /// At an offset from this one, or with the next one.
    Branch(i32),
    /// The interpreter executes it; then with the next instruction.
    Deferred,
    /// The interpreter finds it illegal.
    Never,
}

/// What an instruction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effects {
    pub reads: Slots,
    pub writes: Slots,
    /// Whether it loads from guest memory …
    pub loads: bool,
    /// … and whether it stores to it.
    pub stores: bool,
    /// Whether it may leave before it has changed anything, with all registers stored.
    pub exits: bool,
    pub flow: Flow,
}

impl Effects {
    /// Whether it accesses guest memory.
    pub fn memory(&self) -> bool {
        self.loads || self.stores
    }
}

/// The effects of `op`.
pub fn effects(op: &Op) -> Effects {
    let mut watch = Watch(Effects { reads: 0, writes: 0, loads: false, stores: false, exits: false, flow: Flow::Next });
    if let Err(flow) = execute(&mut watch, op) {
        watch.0.flow = flow;
    }
    watch.0
}

struct Watch(Effects);

impl Watch {
    fn aligned(&mut self, loads: bool, stores: bool) {
        self.0.loads |= loads;
        self.0.stores |= stores;
        self.0.exits = true;
    }
}

impl Backend for Watch {
    type Word = ();
    type Leave = Flow;

    fn constant(&mut self, _: u64) {}

    fn pc(&mut self) {}

    fn x(&mut self, register: u8) {
        if register != 0 {
            self.0.reads |= bit(register);
        }
    }

    fn set_x(&mut self, register: u8, (): ()) {
        if register != 0 {
            self.0.writes |= bit(register);
        }
    }

    fn f(&mut self, register: u8) {
        self.0.reads |= bit(f_slot(register));
    }

    fn set_f(&mut self, register: u8, (): ()) {
        self.0.writes |= bit(f_slot(register));
    }

    fn binary(&mut self, _: Binary, (): (), (): ()) {}

    fn select(&mut self, (): (), (): (), (): ()) {}

    fn load(&mut self, (): (), _: Width, _: bool) -> Result<(), Flow> {
        self.0.loads = true;
        Ok(())
    }

    fn store(&mut self, (): (), (): (), _: Width) -> Result<(), Flow> {
        self.0.stores = true;
        Ok(())
    }

    fn load_reserved(&mut self, (): (), _: Width, _: Order) -> Result<(), Flow> {
        self.aligned(true, false);
        Ok(())
    }

    fn store_conditional(&mut self, (): (), (): (), _: Width, _: Order) -> Result<(), Flow> {
        self.aligned(true, true);
        Ok(())
    }

    fn atomic(&mut self, _: Atomic, (): (), (): (), _: Width, _: Order) -> Result<(), Flow> {
        self.aligned(true, true);
        Ok(())
    }

    fn float(&mut self, _: Float, _: Precision, _: [(); 3], rounding: u8, _: u32) -> Result<(), Flow> {
        self.0.reads |= bit(FCSR);
        self.0.exits |= rounding == 7;
        Ok(())
    }

    fn csr(&mut self, csr: Csr) -> Result<(), Flow> {
        if csr == Csr::Counter {
            return Err(Flow::Deferred);
        }
        self.0.reads |= bit(FCSR);
        Ok(())
    }

    fn set_csr(&mut self, _: Csr, (): ()) {
        self.0.reads |= bit(FCSR);
    }

    fn jump(&mut self, offset: i32) -> Flow {
        Flow::Jump(offset)
    }

    fn jump_to(&mut self, (): ()) -> Flow {
        Flow::Computed
    }

    fn branch(&mut self, (): (), offset: i32) -> Result<(), Flow> {
        self.0.flow = Flow::Branch(offset);
        Ok(())
    }

    fn syscall(&mut self) -> Flow {
        Flow::Deferred
    }

    fn breakpoint(&mut self) -> Flow {
        Flow::Deferred
    }

    fn fence_i(&mut self) -> Flow {
        Flow::Deferred
    }

    fn illegal(&mut self, _: u32) -> Flow {
        Flow::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shallop_riscv64::decode::decode;

    #[test]
    fn registers_and_flow() {
        let addi = effects(&decode(0xfff5_8513)); // addi a0, a1, -1
        assert_eq!((addi.reads, addi.writes, addi.flow), (bit(11), bit(10), Flow::Next));
        let load = effects(&decode(0x0081_3083)); // ld ra, 8(sp)
        assert!(load.loads && !load.stores && !load.exits);
        assert_eq!((load.reads, load.writes), (bit(2), bit(1)));
        assert_eq!(effects(&decode(0xfe05_1ee3)).flow, Flow::Branch(-4)); // bnez a0, .-4
        assert_eq!(effects(&decode(0x0000_8067)).flow, Flow::Computed); // ret
        assert_eq!(effects(&decode(0x0000_0073)).flow, Flow::Deferred); // ecall
        assert_eq!(effects(&decode(0xc000_2573)).flow, Flow::Deferred); // rdcycle a0
        assert_eq!(effects(&decode(0)).flow, Flow::Never);
    }

    #[test]
    fn floating_point_reads_the_control_register() {
        let add = effects(&decode(0x02b5_7553)); // fadd.d fa0, fa0, fa1
        assert_eq!(add.reads, bit(FCSR) | bit(f_slot(10)) | bit(f_slot(11)));
        assert_eq!(add.writes, bit(f_slot(10)));
        assert!(add.exits);
    }
}
