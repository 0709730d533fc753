//! Extension A: reservations and read-modify-write operations.

use shallop_machine::backend::{Atomic, Backend, Order, Step, Width};

use crate::decode::Op;

#[inline(always)]
fn order(op: &Op) -> Order {
    Order { acquire: op.rm & 2 != 0, release: op.rm & 1 != 0 }
}

#[inline(always)]
pub fn load_reserved<B: Backend>(b: &mut B, op: &Op, width: Width) -> Step<B> {
    let address = b.x(op.rs1);
    let value = b.load_reserved(address, width, order(op))?;
    b.set_x(op.rd, value);
    Ok(())
}

#[inline(always)]
pub fn store_conditional<B: Backend>(b: &mut B, op: &Op, width: Width) -> Step<B> {
    let (address, value) = (b.x(op.rs1), b.x(op.rs2));
    let lost = b.store_conditional(address, value, width, order(op))?;
    b.set_x(op.rd, lost);
    Ok(())
}

#[inline(always)]
pub fn atomic<B: Backend>(b: &mut B, op: &Op, operation: Atomic, width: Width) -> Step<B> {
    let (address, value) = (b.x(op.rs1), b.x(op.rs2));
    let old = b.atomic(operation, address, value, width, order(op))?;
    b.set_x(op.rd, old);
    Ok(())
}
