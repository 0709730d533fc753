//! The backend that emits: an instruction's meaning becomes wasm.

use shallop_machine::backend::{Atomic, Backend, Binary, Csr, Float, Order, Precision, Width};
use shallop_riscv64::registers::{NO_RESERVATION, offset};

use crate::code::Code;
use crate::effects::f_slot;
use crate::value::{Value, Word};

/// The instruction ends its block; the block's end says how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends;

impl Code {
    /// What an atomic operation stores; both operands are sign-extended.
    fn combined(&mut self, operation: Atomic, old: Word, value: Word) -> Word {
        let mut pick = |comparison: Binary, a: Word, b: Word| {
            let less = self.values.combine(comparison, a, b);
            self.values.make(Value::Select(less, old, value))
        };
        match operation {
            Atomic::Swap => value,
            Atomic::Min => pick(Binary::Less, old, value),
            Atomic::Max => pick(Binary::Less, value, old),
            Atomic::MinUnsigned => pick(Binary::LessUnsigned, old, value),
            Atomic::MaxUnsigned => pick(Binary::LessUnsigned, value, old),
            Atomic::Add => self.values.combine(Binary::Add, old, value),
            Atomic::And => self.values.combine(Binary::And, old, value),
            Atomic::Or => self.values.combine(Binary::Or, old, value),
            Atomic::Xor => self.values.combine(Binary::Xor, old, value),
        }
    }

    fn with(&mut self, operation: Binary, value: Word, constant: u64) -> Word {
        let constant = self.values.constant(constant);
        self.values.combine(operation, value, constant)
    }
}

impl Backend for Code {
    type Word = Word;
    type Leave = Ends;

    fn constant(&mut self, value: u64) -> Word {
        self.values.constant(value)
    }

    fn pc(&mut self) -> Word {
        self.values.make(Value::Pc(self.pc))
    }

    fn x(&mut self, register: u8) -> Word {
        if register == 0 { self.values.constant(0) } else { self.slot(register) }
    }

    fn set_x(&mut self, register: u8, value: Word) {
        if register != 0 {
            self.pending = Some((register, value));
        }
    }

    fn f(&mut self, register: u8) -> Word {
        self.slot(f_slot(register))
    }

    fn set_f(&mut self, register: u8, value: Word) {
        self.pending = Some((f_slot(register), value));
    }

    fn binary(&mut self, operation: Binary, a: Word, b: Word) -> Word {
        self.combine(operation, a, b)
    }

    fn select(&mut self, condition: Word, yes: Word, no: Word) -> Word {
        self.values.make(Value::Select(condition, yes, no))
    }

    fn load(&mut self, address: Word, width: Width, signed: bool) -> Result<Word, Ends> {
        let address = self.address(address);
        let value = self.load_at(address, width, signed);
        self.reached(address);
        Ok(value)
    }

    fn store(&mut self, address: Word, value: Word, width: Width) -> Result<(), Ends> {
        let address = self.address(address);
        self.store_at(address, value, width);
        self.reached(address);
        Ok(())
    }

    fn load_reserved(&mut self, address: Word, width: Width, _: Order) -> Result<Word, Ends> {
        self.check_aligned(address, width);
        let at = self.address(address);
        let value = self.load_at(at, width, true);
        self.set_state(offset::RESERVATION_ADDRESS, address);
        self.set_state(offset::RESERVATION_VALUE, value);
        Ok(value)
    }

    fn store_conditional(&mut self, address: Word, value: Word, width: Width, _: Order) -> Result<Word, Ends> {
        self.check_aligned(address, width);
        let at = self.address(address);
        let one = self.values.constant(1);
        let lost = self.copy(one);
        let Value::Local(result) = self.values.value(lost) else { return Ok(lost) };
        let none = self.values.constant(NO_RESERVATION);
        let reserved = self.get_state(offset::RESERVATION_ADDRESS);
        let seen = self.get_state(offset::RESERVATION_VALUE);
        self.values.push(reserved);
        self.values.push(address);
        self.values.sink().i64_eq();
        self.values.open_if();
        let now = self.load_at(at, width, true);
        self.values.push(now);
        self.values.push(seen);
        self.values.sink().i64_eq();
        self.values.open_if();
        self.store_at(at, value, width);
        self.values.sink().i64_const(0).local_set(result);
        self.values.close();
        self.values.close();
        self.set_state(offset::RESERVATION_ADDRESS, none);
        Ok(lost)
    }

    fn atomic(&mut self, operation: Atomic, address: Word, value: Word, width: Width, _: Order) -> Result<Word, Ends> {
        self.check_aligned(address, width);
        let at = self.address(address);
        let old = self.load_at(at, width, true);
        let value = if width == Width::Word { self.with(Binary::Add32, value, 0) } else { value };
        let combined = self.combined(operation, old, value);
        self.store_at(at, combined, width);
        Ok(old)
    }

    fn float(
        &mut self,
        operation: Float,
        precision: Precision,
        operands: [Word; 3],
        rounding: u8,
        _: u32,
    ) -> Result<Word, Ends> {
        Ok(self.calculate(operation, precision, operands, rounding))
    }

    fn csr(&mut self, csr: Csr) -> Result<Word, Ends> {
        if csr == Csr::Counter {
            return Err(Ends);
        }
        let all = self.control();
        Ok(match csr {
            Csr::Flags => self.with(Binary::And, all, 0x1f),
            Csr::Rounding => self.with(Binary::ShiftRight, all, 5),
            Csr::FloatControl | Csr::Counter => all,
        })
    }

    fn set_csr(&mut self, csr: Csr, value: Word) {
        let all = self.control();
        let (kept, new) = match csr {
            Csr::Flags => (0xe0, self.with(Binary::And, value, 0x1f)),
            Csr::Rounding => {
                let mode = self.with(Binary::And, value, 7);
                (0x1f, self.with(Binary::ShiftLeft, mode, 5))
            }
            Csr::FloatControl => (0, self.with(Binary::And, value, 0xff)),
            Csr::Counter => return,
        };
        let kept = self.with(Binary::And, all, kept);
        let new = self.values.combine(Binary::Or, kept, new);
        self.set_control(new);
    }

    fn jump(&mut self, _: i32) -> Ends {
        Ends
    }

    fn jump_to(&mut self, address: Word) -> Ends {
        let target = self.values.settle(address);
        self.target = Some(target);
        Ends
    }

    fn branch(&mut self, condition: Word, _: i32) -> Result<(), Ends> {
        self.condition = Some(condition);
        Ok(())
    }

    fn syscall(&mut self) -> Ends {
        Ends
    }

    fn breakpoint(&mut self) -> Ends {
        Ends
    }

    fn fence_i(&mut self) -> Ends {
        Ends
    }

    fn illegal(&mut self, _: u32) -> Ends {
        Ends
    }
}
