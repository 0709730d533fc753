//! The interpreter's `Backend`: words are `u64`, and each method does its work at once on a [`Guest`].

use shallop_machine::backend::{Atomic, Backend, Binary, Csr, Float, Order, Precision, Width};
use shallop_machine::{Access, Exit};

use crate::decode::{Kind, Op};
use crate::float::{self, Double, Flags, Format, Rounding, Single};
use crate::hardware;
use crate::registers::{NO_RESERVATION, word};

/// The registers and memory that the interpreter works on.
pub trait Guest {
    /// Whether operations that take a call or two are left to another interpreter, by [`Leave::Deferred`].
    const DEFERS: bool;
    /// A 64-bit word of the task's registers, by its index in `Registers`.
    fn word(&self, index: usize) -> u64;
    fn set_word(&mut self, index: usize, value: u64);
    /// Address of the current instruction.
    fn pc(&self) -> u64;
    /// Loads; nothing of the task has changed when this leaves.
    fn load(&mut self, address: u64, width: Width, signed: bool) -> Result<u64, Leave>;
    /// Stores; nothing of the task has changed when this leaves.
    fn store(&mut self, address: u64, value: u64, width: Width) -> Result<(), Leave>;
    /// Notes a way out of the engine; gives [`Leave::Exit`].
    fn exit(&mut self, exit: Exit) -> Leave;
    /// The counter behind `rdcycle`, `rdtime` and `rdinstret`; each call gives more than the one before.
    fn count(&mut self) -> u64;
}

/// How the interpreter leaves the straight line of code. Where to is elsewhere, so that this is one small number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// To the target of the op, `imm` bytes from it.
    Jump,
    /// To the address in the word of the pc.
    To,
    /// To the next instruction, after decoded code was dropped.
    FenceI,
    /// Nowhere: an interpreter that does not defer is to execute this op.
    Deferred,
    /// Out of the engine, as [`Guest::exit`] noted.
    Exit,
}

/// The interpreter over some registers and memory. Its ops must be [`prepared`].
pub struct Interpreter<G>(pub G);

/// Index of the word that takes writes to `x0`, as a register number.
const SINK: u8 = word::SINK as u8;

/// The op with its writes to `x0` sent elsewhere, so that the interpreter need not look for them.
pub fn prepared(op: Op) -> Op {
    let moves = op.kind == Kind::Add && op.rs1 == 0;
    let op = if moves { Op { kind: Kind::Addi, rs1: op.rs2, rs2: 0, imm: 0, ..op } } else { op };
    match op.kind.row() {
        Some(row) if op.rd == 0 && row.format.writes_x() => Op { rd: SINK, ..op },
        _ => op,
    }
}

impl<G: Guest> Interpreter<G> {
    /// Refuses what no atomic access of this kind can be at.
    #[inline(always)]
    fn check(&mut self, address: u64, width: Width, access: Access) -> Result<(), Leave> {
        if address & (width.bytes() - 1) != 0 {
            return Err(self.0.exit(Exit::Misaligned(access, address)));
        }
        if address >> 32 != 0 {
            return Err(self.0.exit(Exit::Fault(access, address)));
        }
        Ok(())
    }

    #[inline(always)]
    fn fcsr(&self) -> u64 {
        self.0.word(word::FCSR) & 0xff
    }

    #[inline(always)]
    fn accrue(&mut self, flags: Flags) {
        let fcsr = self.fcsr() | u64::from(flags);
        self.0.set_word(word::FCSR, fcsr);
    }

    /// The rounding mode of an instruction's `rm` field.
    #[inline(always)]
    fn rounding(&self, rm: u8) -> Option<Rounding> {
        let bits = if rm == 7 { self.fcsr() as u32 >> 5 } else { u32::from(rm) };
        Rounding::from_bits(bits)
    }
}

impl<G: Guest> Backend for Interpreter<G> {
    type Word = u64;
    type Leave = Leave;

    #[inline(always)]
    fn constant(&mut self, value: u64) -> u64 {
        value
    }

    #[inline(always)]
    fn pc(&mut self) -> u64 {
        self.0.pc()
    }

    #[inline(always)]
    fn x(&mut self, register: u8) -> u64 {
        self.0.word(register as usize)
    }

    #[inline(always)]
    fn set_x(&mut self, register: u8, value: u64) {
        self.0.set_word(register as usize, value);
    }

    #[inline(always)]
    fn f(&mut self, register: u8) -> u64 {
        self.0.word(word::F + register as usize)
    }

    #[inline(always)]
    fn set_f(&mut self, register: u8, value: u64) {
        self.0.set_word(word::F + register as usize, value);
    }

    #[inline(always)]
    fn binary(&mut self, operation: Binary, a: u64, b: u64) -> u64 {
        binary(operation, a, b)
    }

    #[inline(always)]
    fn select(&mut self, condition: u64, yes: u64, no: u64) -> u64 {
        if condition != 0 { yes } else { no }
    }

    #[inline(always)]
    fn load(&mut self, address: u64, width: Width, signed: bool) -> Result<u64, Leave> {
        self.0.load(address, width, signed)
    }

    #[inline(always)]
    fn store(&mut self, address: u64, value: u64, width: Width) -> Result<(), Leave> {
        self.0.store(address, value, width)
    }

    #[inline(always)]
    fn load_reserved(&mut self, address: u64, width: Width, _: Order) -> Result<u64, Leave> {
        self.check(address, width, Access::Load)?;
        let value = self.0.load(address, width, true)?;
        self.0.set_word(word::RESERVATION_ADDRESS, address);
        self.0.set_word(word::RESERVATION_VALUE, value);
        Ok(value)
    }

    #[inline(always)]
    fn store_conditional(&mut self, address: u64, value: u64, width: Width, _: Order) -> Result<u64, Leave> {
        self.check(address, width, Access::Store)?;
        let reserved = self.0.word(word::RESERVATION_ADDRESS) == address
            && self.0.load(address, width, true)? == self.0.word(word::RESERVATION_VALUE);
        if reserved {
            self.0.store(address, value, width)?;
        }
        self.0.set_word(word::RESERVATION_ADDRESS, NO_RESERVATION);
        Ok(u64::from(!reserved))
    }

    #[inline(always)]
    fn atomic(&mut self, operation: Atomic, address: u64, value: u64, width: Width, _: Order) -> Result<u64, Leave> {
        self.check(address, width, Access::Store)?;
        let old = self.0.load(address, width, true)?;
        let value = if width == Width::Word { value as i32 as u64 } else { value };
        self.0.store(address, combined(operation, old, value), width)?;
        Ok(old)
    }

    #[inline(always)]
    fn float(
        &mut self,
        operation: Float,
        precision: Precision,
        operands: [u64; 3],
        rounding: u8,
        bits: u32,
    ) -> Result<u64, Leave> {
        let rounding = match rounds(operation) {
            true => match self.rounding(rounding) {
                Some(rounding) => rounding,
                None => return Err(self.0.exit(Exit::Illegal(bits))),
            },
            false => Rounding::NearestEven,
        };
        let mut flags = self.fcsr() as u32 & 0x1f;
        if let Some(value) = hardware::calculate(operation, precision, operands, rounding, flags) {
            return Ok(value);
        }
        if G::DEFERS {
            return Err(Leave::Deferred);
        }
        let value = match (operation, precision) {
            (Float::Convert, Precision::Single) => float::f32_to_f64(operands[0], &mut flags),
            (Float::Convert, Precision::Double) => float::f64_to_f32(operands[0], rounding, &mut flags),
            (_, Precision::Single) => calculate::<Single>(operation, operands, rounding, &mut flags),
            (_, Precision::Double) => calculate::<Double>(operation, operands, rounding, &mut flags),
        };
        self.accrue(flags);
        Ok(value)
    }

    #[inline(always)]
    fn csr(&mut self, csr: Csr) -> Result<u64, Leave> {
        if G::DEFERS {
            return Err(Leave::Deferred);
        }
        Ok(match csr {
            Csr::Flags => self.fcsr() & 0x1f,
            Csr::Rounding => self.fcsr() >> 5,
            Csr::FloatControl => self.fcsr(),
            Csr::Counter => self.0.count(),
        })
    }

    #[inline(always)]
    fn set_csr(&mut self, csr: Csr, value: u64) {
        let fcsr = match csr {
            Csr::Flags => self.fcsr() & 0xe0 | value & 0x1f,
            Csr::Rounding => self.fcsr() & 0x1f | (value & 7) << 5,
            Csr::FloatControl => value & 0xff,
            Csr::Counter => return,
        };
        self.0.set_word(word::FCSR, fcsr);
    }

    #[inline(always)]
    fn jump(&mut self, _: i32) -> Leave {
        Leave::Jump
    }

    #[inline(always)]
    fn jump_to(&mut self, address: u64) -> Leave {
        self.0.set_word(word::PC, address);
        Leave::To
    }

    #[inline(always)]
    fn branch(&mut self, condition: u64, _: i32) -> Result<(), Leave> {
        if condition != 0 { Err(Leave::Jump) } else { Ok(()) }
    }

    #[inline(always)]
    fn syscall(&mut self) -> Leave {
        self.0.exit(Exit::Syscall)
    }

    #[inline(always)]
    fn breakpoint(&mut self) -> Leave {
        self.0.exit(Exit::Breakpoint)
    }

    #[inline(always)]
    fn fence_i(&mut self) -> Leave {
        Leave::FenceI
    }

    #[inline(always)]
    fn illegal(&mut self, bits: u32) -> Leave {
        self.0.exit(Exit::Illegal(bits))
    }
}

/// The result of a binary operation on values.
#[inline(always)]
pub fn binary(operation: Binary, a: u64, b: u64) -> u64 {
    let (sa, sb) = (a as i64, b as i64);
    let (wa, wb) = (a as u32, b as u32);
    let word = |value: u32| value as i32 as u64;
    match operation {
        Binary::Add => a.wrapping_add(b),
        Binary::Sub => a.wrapping_sub(b),
        Binary::And => a & b,
        Binary::Or => a | b,
        Binary::Xor => a ^ b,
        Binary::ShiftLeft => a.wrapping_shl(b as u32),
        Binary::ShiftRight => a.wrapping_shr(b as u32),
        Binary::ShiftRightSigned => sa.wrapping_shr(b as u32) as u64,
        Binary::Less => u64::from(sa < sb),
        Binary::LessUnsigned => u64::from(a < b),
        Binary::Equal => u64::from(a == b),
        Binary::NotEqual => u64::from(a != b),
        Binary::GreaterEqual => u64::from(sa >= sb),
        Binary::GreaterEqualUnsigned => u64::from(a >= b),
        Binary::Mul => a.wrapping_mul(b),
        Binary::MulHigh => high(a, b).wrapping_sub(if sa < 0 { b } else { 0 }).wrapping_sub(if sb < 0 { a } else { 0 }),
        Binary::MulHighUnsigned => high(a, b),
        Binary::MulHighSignedUnsigned => high(a, b).wrapping_sub(if sa < 0 { b } else { 0 }),
        Binary::Div => {
            if b == 0 {
                u64::MAX
            } else {
                sa.wrapping_div(sb) as u64
            }
        }
        Binary::DivUnsigned => a.checked_div(b).unwrap_or(u64::MAX),
        Binary::Rem => {
            if b == 0 {
                a
            } else {
                sa.wrapping_rem(sb) as u64
            }
        }
        Binary::RemUnsigned => a.checked_rem(b).unwrap_or(a),
        Binary::Add32 => word(wa.wrapping_add(wb)),
        Binary::Sub32 => word(wa.wrapping_sub(wb)),
        Binary::ShiftLeft32 => word(wa.wrapping_shl(wb)),
        Binary::ShiftRight32 => word(wa.wrapping_shr(wb)),
        Binary::ShiftRightSigned32 => word((wa as i32).wrapping_shr(wb) as u32),
        Binary::Mul32 => word(wa.wrapping_mul(wb)),
        Binary::Div32 => word(if wb == 0 { u32::MAX } else { (wa as i32).wrapping_div(wb as i32) as u32 }),
        Binary::DivUnsigned32 => word(wa.checked_div(wb).unwrap_or(u32::MAX)),
        Binary::Rem32 => word(if wb == 0 { wa } else { (wa as i32).wrapping_rem(wb as i32) as u32 }),
        Binary::RemUnsigned32 => word(wa.checked_rem(wb).unwrap_or(wa)),
    }
}

/// The upper half of the product, by halves: a 128-bit product would be a call in wasm.
#[inline(always)]
fn high(a: u64, b: u64) -> u64 {
    const LOW: u64 = 0xffff_ffff;
    let (a_low, a_high, b_low, b_high) = (a & LOW, a >> 32, b & LOW, b >> 32);
    let middle = a_high * b_low + ((a_low * b_low) >> 32);
    let other = a_low * b_high + (middle & LOW);
    a_high * b_high + (middle >> 32) + (other >> 32)
}

/// What a read-modify-write operation stores; operands are sign-extended, which keeps the order of unsigned words.
#[inline(always)]
fn combined(operation: Atomic, old: u64, value: u64) -> u64 {
    match operation {
        Atomic::Swap => value,
        Atomic::Add => old.wrapping_add(value),
        Atomic::And => old & value,
        Atomic::Or => old | value,
        Atomic::Xor => old ^ value,
        Atomic::Min => (old as i64).min(value as i64) as u64,
        Atomic::Max => (old as i64).max(value as i64) as u64,
        Atomic::MinUnsigned => old.min(value),
        Atomic::MaxUnsigned => old.max(value),
    }
}

/// Whether the `rm` field of this operation is a rounding mode.
#[inline(always)]
const fn rounds(operation: Float) -> bool {
    !matches!(operation, Float::Min | Float::Max | Float::Equal | Float::Less | Float::LessEqual | Float::Classify)
}

/// Every operation but `Convert`.
#[inline(always)]
fn calculate<F: Format>(operation: Float, [a, b, c]: [u64; 3], rounding: Rounding, flags: &mut Flags) -> u64 {
    match operation {
        Float::Add => float::add::<F>(a, b, rounding, flags),
        Float::Sub => float::sub::<F>(a, b, rounding, flags),
        Float::Mul => float::mul::<F>(a, b, rounding, flags),
        Float::Div => float::div::<F>(a, b, rounding, flags),
        Float::Sqrt => float::sqrt::<F>(a, rounding, flags),
        Float::FusedMultiplyAdd => float::fused_multiply_add::<F>(a, b, c, rounding, flags),
        Float::Min => float::min::<F>(a, b, flags),
        Float::Max => float::max::<F>(a, b, flags),
        Float::Equal => u64::from(float::eq::<F>(a, b, flags)),
        Float::Less => u64::from(float::lt::<F>(a, b, flags)),
        Float::LessEqual => u64::from(float::le::<F>(a, b, flags)),
        Float::Classify => u64::from(float::classify::<F>(a)),
        Float::ToI32 => float::to_i32::<F>(a, rounding, flags),
        Float::ToU32 => float::to_u32::<F>(a, rounding, flags),
        Float::ToI64 => float::to_i64::<F>(a, rounding, flags),
        Float::ToU64 => float::to_u64::<F>(a, rounding, flags),
        Float::FromI32 => float::from_i32::<F>(a, rounding, flags),
        Float::FromU32 => float::from_u32::<F>(a, rounding, flags),
        Float::FromI64 => float::from_i64::<F>(a, rounding, flags),
        Float::FromU64 => float::from_u64::<F>(a, rounding, flags),
        Float::Convert => a,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [u64; 9] = [0, 1, 2, 7, 0xffff_ffff, 1 << 63, u64::MAX, 0x1234_5678_9abc_def0, 0xfedc_ba98_7654_3210];

    #[test]
    fn upper_halves_of_products() {
        for (a, b) in VALUES.iter().flat_map(|a| VALUES.iter().map(move |b| (*a, *b))) {
            let (sa, sb) = (i128::from(a as i64), i128::from(b as i64));
            assert_eq!(binary(Binary::MulHigh, a, b), ((sa * sb) >> 64) as u64);
            assert_eq!(binary(Binary::MulHighUnsigned, a, b), ((u128::from(a) * u128::from(b)) >> 64) as u64);
            assert_eq!(binary(Binary::MulHighSignedUnsigned, a, b), ((sa * i128::from(b)) >> 64) as u64);
        }
    }

    #[test]
    fn division_has_no_traps() {
        let minus = |value: i64| value as u64;
        assert_eq!(binary(Binary::Div, 7, 0), u64::MAX);
        assert_eq!(binary(Binary::Rem, 7, 0), 7);
        assert_eq!(binary(Binary::Div, minus(i64::MIN), minus(-1)), minus(i64::MIN));
        assert_eq!(binary(Binary::Rem, minus(i64::MIN), minus(-1)), 0);
        assert_eq!(binary(Binary::DivUnsigned, 7, 0), u64::MAX);
        assert_eq!(binary(Binary::RemUnsigned, 7, 0), 7);
        assert_eq!(binary(Binary::Div32, 0x8000_0000, minus(-1)), 0xffff_ffff_8000_0000);
        assert_eq!(binary(Binary::Rem32, 0x8000_0000, minus(-1)), 0);
        assert_eq!(binary(Binary::DivUnsigned32, 5, 1 << 32), u64::MAX);
        assert_eq!(binary(Binary::RemUnsigned32, 0x8000_0000, 1 << 32), 0xffff_ffff_8000_0000);
        assert_eq!(binary(Binary::Rem, minus(-7), 2), minus(-1));
    }

    #[test]
    fn words_are_sign_extended() {
        assert_eq!(binary(Binary::Add32, 0x7fff_ffff, 1), 0xffff_ffff_8000_0000);
        assert_eq!(binary(Binary::ShiftLeft32, 1, 63), 0xffff_ffff_8000_0000);
        assert_eq!(binary(Binary::ShiftRight32, 0x1_8000_0000, 31), 1);
        assert_eq!(binary(Binary::ShiftRightSigned32, 0x8000_0000, 31), u64::MAX);
        assert_eq!(binary(Binary::ShiftRightSigned, 1 << 63, 127), u64::MAX);
    }

    #[test]
    fn unsigned_order_holds_of_extended_words() {
        assert_eq!(combined(Atomic::MaxUnsigned, 0xffff_ffff_8000_0000, 0x7fff_ffff), 0xffff_ffff_8000_0000);
        assert_eq!(combined(Atomic::Max, 0xffff_ffff_8000_0000, 0x7fff_ffff), 0x7fff_ffff);
    }

    #[test]
    fn writes_to_x0_go_to_the_sink() {
        let op = crate::decode::decode(0x0015_0013); // addi x0, a0, 1
        assert_eq!(prepared(op).rd, SINK);
        let store = crate::decode::decode(0x00b5_3023); // sd a1, 0(a0)
        assert_eq!(prepared(store), store);
        let float = crate::decode::decode(0x02a5_7053); // fadd.d ft0, fa0, fa0
        assert_eq!(prepared(float), float);
        let copy = crate::decode::decode(0x00b0_0533); // add a0, x0, a1
        assert_eq!((prepared(copy).kind, prepared(copy).rs1), (Kind::Addi, 11));
    }
}
