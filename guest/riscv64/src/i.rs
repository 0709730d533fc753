//! The base integer instructions, and Zifencei. Those of extension M have the same form and use the same functions.

use shallop_machine::backend::{Backend, Binary, Step, Width};

use crate::decode::Op;

/// `rd = rs1 operation rs2`.
#[inline(always)]
pub fn register<B: Backend>(b: &mut B, op: &Op, operation: Binary) -> Step<B> {
    let (left, right) = (b.x(op.rs1), b.x(op.rs2));
    let value = b.binary(operation, left, right);
    b.set_x(op.rd, value);
    Ok(())
}

/// `rd = rs1 operation imm`.
#[inline(always)]
pub fn immediate<B: Backend>(b: &mut B, op: &Op, operation: Binary) -> Step<B> {
    let left = b.x(op.rs1);
    let right = b.constant(op.imm as u64);
    let value = b.binary(operation, left, right);
    b.set_x(op.rd, value);
    Ok(())
}

#[inline(always)]
pub fn lui<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let value = b.constant(op.imm as u64);
    b.set_x(op.rd, value);
    Ok(())
}

#[inline(always)]
pub fn auipc<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let value = pc_plus(b, op.imm as u64);
    b.set_x(op.rd, value);
    Ok(())
}

#[inline(always)]
pub fn jal<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let link = pc_plus(b, u64::from(op.len));
    b.set_x(op.rd, link);
    Err(b.jump(op.imm))
}

#[inline(always)]
pub fn jalr<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let base = b.x(op.rs1);
    let target = plus(b, base, op.imm as u64);
    let even = b.constant(!1);
    let target = b.binary(Binary::And, target, even);
    let link = pc_plus(b, u64::from(op.len));
    b.set_x(op.rd, link);
    Err(b.jump_to(target))
}

#[inline(always)]
pub fn branch<B: Backend>(b: &mut B, op: &Op, condition: Binary) -> Step<B> {
    let (left, right) = (b.x(op.rs1), b.x(op.rs2));
    let condition = b.binary(condition, left, right);
    b.branch(condition, op.imm)
}

#[inline(always)]
pub fn load<B: Backend>(b: &mut B, op: &Op, width: Width, signed: bool) -> Step<B> {
    let address = address(b, op);
    let value = b.load(address, width, signed)?;
    b.set_x(op.rd, value);
    Ok(())
}

#[inline(always)]
pub fn store<B: Backend>(b: &mut B, op: &Op, width: Width) -> Step<B> {
    let address = address(b, op);
    let value = b.x(op.rs2);
    b.store(address, value, width)
}

/// Memory is in order for the one processor there is.
#[inline(always)]
pub fn fence<B: Backend>(_: &mut B, _: &Op) -> Step<B> {
    Ok(())
}

#[inline(always)]
pub fn fence_i<B: Backend>(b: &mut B, _: &Op) -> Step<B> {
    Err(b.fence_i())
}

#[inline(always)]
pub fn ecall<B: Backend>(b: &mut B, _: &Op) -> Step<B> {
    Err(b.syscall())
}

#[inline(always)]
pub fn ebreak<B: Backend>(b: &mut B, _: &Op) -> Step<B> {
    Err(b.breakpoint())
}

/// `rs1 + imm`.
#[inline(always)]
pub(crate) fn address<B: Backend>(b: &mut B, op: &Op) -> B::Word {
    let base = b.x(op.rs1);
    plus(b, base, op.imm as u64)
}

#[inline(always)]
fn plus<B: Backend>(b: &mut B, base: B::Word, offset: u64) -> B::Word {
    let offset = b.constant(offset);
    b.binary(Binary::Add, base, offset)
}

#[inline(always)]
fn pc_plus<B: Backend>(b: &mut B, offset: u64) -> B::Word {
    let pc = b.pc();
    plus(b, pc, offset)
}
