//! Extension D: doubles.

use shallop_machine::backend::{Backend, Binary, Float, Precision, Step, Width};

use crate::decode::Op;
use crate::f::{Sign, set_boxed, unboxed, with, with_sign};
use crate::i::address;

const SIGN: u64 = 1 << 63;

#[inline(always)]
pub fn load<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let address = address(b, op);
    let value = b.load(address, Width::Double, false)?;
    b.set_f(op.rd, value);
    Ok(())
}

#[inline(always)]
pub fn store<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let address = address(b, op);
    let value = b.f(op.rs2);
    b.store(address, value, Width::Double)
}

/// `rd = rs1 operation rs2`.
#[inline(always)]
pub fn arithmetic<B: Backend>(b: &mut B, op: &Op, operation: Float) -> Step<B> {
    let (left, right) = (b.f(op.rs1), b.f(op.rs2));
    let operands = [left, right, right];
    let value = b.float(operation, Precision::Double, operands, op.rm, op.imm as u32)?;
    b.set_f(op.rd, value);
    Ok(())
}

/// `rd = ±(rs1 * rs2) ± rs3`.
#[inline(always)]
pub fn fused<B: Backend>(b: &mut B, op: &Op, negate_product: bool, negate_addend: bool) -> Step<B> {
    let (factor, other, addend) = (b.f(op.rs1), b.f(op.rs2), b.f(op.rs3));
    let factor = if negate_product { with(b, Binary::Xor, factor, SIGN) } else { factor };
    let addend = if negate_addend { with(b, Binary::Xor, addend, SIGN) } else { addend };
    let operands = [factor, other, addend];
    let value = b.float(Float::FusedMultiplyAdd, Precision::Double, operands, op.rm, op.imm as u32)?;
    b.set_f(op.rd, value);
    Ok(())
}

#[inline(always)]
pub fn sign<B: Backend>(b: &mut B, op: &Op, sign: Sign) -> Step<B> {
    let (value, other) = (b.f(op.rs1), b.f(op.rs2));
    let value = with_sign(b, value, other, sign, SIGN);
    b.set_f(op.rd, value);
    Ok(())
}

/// `fcvt.s.d`.
#[inline(always)]
pub fn to_single<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let operand = b.f(op.rs1);
    let value = b.float(Float::Convert, Precision::Double, [operand; 3], op.rm, op.imm as u32)?;
    set_boxed(b, op.rd, value);
    Ok(())
}

/// `fcvt.d.s`.
#[inline(always)]
pub fn from_single<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let operand = unboxed(b, op.rs1);
    let value = b.float(Float::Convert, Precision::Single, [operand; 3], op.rm, op.imm as u32)?;
    b.set_f(op.rd, value);
    Ok(())
}

/// Comparisons, classification, and conversions to integers.
#[inline(always)]
pub fn to_x<B: Backend>(b: &mut B, op: &Op, operation: Float) -> Step<B> {
    let (left, right) = (b.f(op.rs1), b.f(op.rs2));
    let operands = [left, right, right];
    let value = b.float(operation, Precision::Double, operands, op.rm, op.imm as u32)?;
    b.set_x(op.rd, value);
    Ok(())
}

#[inline(always)]
pub fn from_x<B: Backend>(b: &mut B, op: &Op, operation: Float) -> Step<B> {
    let operand = b.x(op.rs1);
    let value = b.float(operation, Precision::Double, [operand; 3], op.rm, op.imm as u32)?;
    b.set_f(op.rd, value);
    Ok(())
}

#[inline(always)]
pub fn move_to_x<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let value = b.f(op.rs1);
    b.set_x(op.rd, value);
    Ok(())
}

#[inline(always)]
pub fn move_from_x<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let value = b.x(op.rs1);
    b.set_f(op.rd, value);
    Ok(())
}
