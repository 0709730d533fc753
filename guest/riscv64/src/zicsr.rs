//! Zicsr: the control and status registers that user programs have, `fflags`, `frm`, `fcsr` and the counters.

use shallop_machine::backend::{Backend, Binary, Csr, Step};

use crate::decode::Op;

/// The register of this number, and whether it can be written.
fn csr(number: u32) -> Option<(Csr, bool)> {
    Some(match number {
        0x001 => (Csr::Flags, true),
        0x002 => (Csr::Rounding, true),
        0x003 => (Csr::FloatControl, true),
        0xc00..=0xc02 => (Csr::Counter, false),
        _ => return None,
    })
}

/// What a write makes of the old value and the operand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Update {
    Write,
    Set,
    Clear,
}

#[inline(always)]
fn access<B: Backend>(b: &mut B, op: &Op, operand: B::Word, update: Update) -> Step<B> {
    let bits = op.imm as u32;
    // Setting or clearing nothing (x0, or an immediate 0) is no write.
    let writes = update == Update::Write || op.rs1 != 0;
    let Some((csr, writable)) = csr(bits >> 20).filter(|(_, writable)| *writable || !writes) else {
        return Err(b.illegal(bits));
    };
    let old = b.csr(csr)?;
    if writable && writes {
        let value = updated(b, old, operand, update);
        b.set_csr(csr, value);
    }
    b.set_x(op.rd, old);
    Ok(())
}

fn updated<B: Backend>(b: &mut B, old: B::Word, operand: B::Word, update: Update) -> B::Word {
    match update {
        Update::Write => operand,
        Update::Set => b.binary(Binary::Or, old, operand),
        Update::Clear => {
            let all = b.constant(u64::MAX);
            let kept = b.binary(Binary::Xor, operand, all);
            b.binary(Binary::And, old, kept)
        }
    }
}

#[inline(always)]
pub fn write<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let operand = b.x(op.rs1);
    access(b, op, operand, Update::Write)
}

#[inline(always)]
pub fn set<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let operand = b.x(op.rs1);
    access(b, op, operand, Update::Set)
}

#[inline(always)]
pub fn clear<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let operand = b.x(op.rs1);
    access(b, op, operand, Update::Clear)
}

#[inline(always)]
pub fn write_immediate<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let operand = b.constant(u64::from(op.rs1));
    access(b, op, operand, Update::Write)
}

#[inline(always)]
pub fn set_immediate<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let operand = b.constant(u64::from(op.rs1));
    access(b, op, operand, Update::Set)
}

#[inline(always)]
pub fn clear_immediate<B: Backend>(b: &mut B, op: &Op) -> Step<B> {
    let operand = b.constant(u64::from(op.rs1));
    access(b, op, operand, Update::Clear)
}
