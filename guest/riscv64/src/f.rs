//! Extension F: singles, NaN-boxed in 64-bit registers (unprivileged ISA, "NaN Boxing of Narrower Values").

use shallop_machine::backend::{Backend, Binary, Float, Precision, Step, Width};

use crate::decode::Op;
use crate::i::address;

const LOW: u64 = 0xffff_ffff;
const SIGN: u64 = 1 << 31;
const CANONICAL_NAN: u64 = 0x7fc0_0000;

/// What `fsgnj`, `fsgnjn` and `fsgnjx` make of the second operand's sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    Copy,
    Negate,
    Xor,
}

/// `value operation constant`.
#[inline(always)]
pub(crate) fn with<B: Backend>(b: &mut B, operation: Binary, value: B::Word, constant: u64) -> B::Word {
    let constant = b.constant(constant);
    b.binary(operation, value, constant)
}

/// The single in a register: a value that is no box counts as the canonical NaN.
#[inline(always)]
pub(crate) fn unboxed<B: Backend>(b: &mut B, register: u8) -> B::Word {
    let raw = b.f(register);
    let upper = with(b, Binary::ShiftRight, raw, 32);
    let boxed = with(b, Binary::Equal, upper, LOW);
    let single = with(b, Binary::And, raw, LOW);
    let nan = b.constant(CANONICAL_NAN);
    b.select(boxed, single, nan)
}

/// Writes a single, whose upper half counts for nothing, to a register.
#[inline(always)]
pub(crate) fn set_boxed<B: Backend>(b: &mut B, register: u8, single: B::Word) {
    let boxed = with(b, Binary::Or, single, !LOW);
    b.set_f(register, boxed);
}

/// The sign bit (as `sign` masks it) that an operation on `other` gives to `value`.
#[inline(always)]
pub(crate) fn with_sign<B: Backend>(b: &mut B, value: B::Word, other: B::Word, sign: Sign, mask: u64) -> B::Word {
    let taken = with(b, Binary::And, other, mask);
    match sign {
        Sign::Xor => b.binary(Binary::Xor, value, taken),
        Sign::Copy | Sign::Negate => {
            let taken = if sign == Sign::Negate { with(b, Binary::Xor, taken, mask) } else { taken };
            let magnitude = with(b, Binary::And, value, !mask);
            b.binary(Binary::Or, magnitude, taken)
        }
    }
}

#[inline(always)]
pub fn load<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let address = address(b, op);
    let value = b.load(address, Width::Word, false)?;
    set_boxed(b, op.rd, value);
    Ok(())
}

#[inline(always)]
pub fn store<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let address = address(b, op);
    let value = b.f(op.rs2);
    b.store(address, value, Width::Word)
}

/// `rd = rs1 operation rs2`.
#[inline(always)]
pub fn arithmetic<B: Backend>(b: &mut B, op: &Op, operation: Float) -> Step<B> {
    let (left, right) = (unboxed(b, op.rs1), unboxed(b, op.rs2));
    let operands = [left, right, right];
    let value = b.float(operation, Precision::Single, operands, op.rm, op.imm as u32)?;
    set_boxed(b, op.rd, value);
    Ok(())
}

/// `rd = ±(rs1 * rs2) ± rs3`.
#[inline(always)]
pub fn fused<B: Backend>(b: &mut B, op: &Op, negate_product: bool, negate_addend: bool) -> Step<B> {
    let (factor, other, addend) = (unboxed(b, op.rs1), unboxed(b, op.rs2), unboxed(b, op.rs3));
    let factor = if negate_product { with(b, Binary::Xor, factor, SIGN) } else { factor };
    let addend = if negate_addend { with(b, Binary::Xor, addend, SIGN) } else { addend };
    let operands = [factor, other, addend];
    let value = b.float(Float::FusedMultiplyAdd, Precision::Single, operands, op.rm, op.imm as u32)?;
    set_boxed(b, op.rd, value);
    Ok(())
}

#[inline(always)]
pub fn sign<B: Backend>(b: &mut B, op: &Op, sign: Sign) -> Step<B> {
    let (value, other) = (unboxed(b, op.rs1), unboxed(b, op.rs2));
    let value = with_sign(b, value, other, sign, SIGN);
    set_boxed(b, op.rd, value);
    Ok(())
}

/// Comparisons, classification, and conversions to integers.
#[inline(always)]
pub fn to_x<B: Backend>(b: &mut B, op: &Op, operation: Float) -> Step<B> {
    let (left, right) = (unboxed(b, op.rs1), unboxed(b, op.rs2));
    let operands = [left, right, right];
    let value = b.float(operation, Precision::Single, operands, op.rm, op.imm as u32)?;
    b.set_x(op.rd, value);
    Ok(())
}

#[inline(always)]
pub fn from_x<B: Backend>(b: &mut B, op: &Op, operation: Float) -> Step<B> {
    let operand = b.x(op.rs1);
    let value = b.float(operation, Precision::Single, [operand; 3], op.rm, op.imm as u32)?;
    set_boxed(b, op.rd, value);
    Ok(())
}

/// The low 32 bits, whatever they are.
#[inline(always)]
pub fn move_to_x<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let raw = b.f(op.rs1);
    let value = with(b, Binary::Add32, raw, 0);
    b.set_x(op.rd, value);
    Ok(())
}

#[inline(always)]
pub fn move_from_x<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let value = b.x(op.rs1);
    set_boxed(b, op.rd, value);
    Ok(())
}
