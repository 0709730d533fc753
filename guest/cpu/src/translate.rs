//! Decodes lines of guest code into the cache.

use shallop_machine::backend::Width;
use shallop_machine::{Access, Exit};
use shallop_riscv64::Op;
use shallop_riscv64::decode::{decode, is_long};
use shallop_riscv64::interpreter::prepared;

use crate::cache::{self, Cell, Line};
use crate::{memory, translated};

/// The cell of the instruction at `pc`, found or decoded, or the cell before it (`translated`). `weight`: what
/// a passage adds to its count, when it is called or jumped back to.
///
/// In wasm this traps when the instruction cannot be fetched.
///
/// # Errors
/// The exit, when no instruction can be at this address.
pub fn cell_at(pc: u64, weight: u8) -> Result<*const Cell, Exit> {
    let Ok(address) = u32::try_from(pc) else {
        return Err(Exit::Fault(Access::Fetch, pc));
    };
    match cache::find(address) {
        Some(cell) if weight == 0 || is_begun(cell) => Ok(cell),
        Some(_) => decode_line(address, weight),
        None if address & 1 != 0 => Err(Exit::Misaligned(Access::Fetch, pc)),
        None => decode_line(address, weight),
    }
}

/// Whether a line with this first cell is as it has to be for code that is called or jumped back to.
#[inline(always)]
pub fn is_begun(cell: *const Cell) -> bool {
    // SAFETY: the caller found the cell in the arena.
    !translated::looks() || translated::is_tag(unsafe { &(*cell).op })
}

fn fetch_half(address: u32) -> Result<u16, Exit> {
    memory::load(address, Width::Half, false)
        .map(|half| half as u16)
        .map_err(|_| Exit::Fault(Access::Fetch, u64::from(address)))
}

/// The instruction at `pc`, which was executed; `None` when it cannot be fetched.
pub fn op_at(pc: u32) -> Option<Op> {
    let low = fetch_half(pc).ok()?;
    let high = if is_long(low) { fetch_half(pc.wrapping_add(2)).ok()? } else { 0 };
    Some(decode(u32::from(low) | u32::from(high) << 16))
}

/// Whether a 32-bit instruction at `pc` reaches into the next page.
fn reaches(pc: u32) -> bool {
    cache::page(pc) != cache::page(pc.wrapping_add(2))
}

/// Decodes the line that begins at `start`: to the first jump, and within one page but for the first instruction. Behind
/// an entry one instruction is enough.
fn decode_line(start: u32, weight: u8) -> Result<*const Cell, Exit> {
    let mut line = Line::begin(start);
    let tag = translated::tag(start, weight);
    let is_entered = tag.is_some_and(|tag| translated::is_entry(&tag.op));
    if let Some(tag) = tag {
        line.push(tag);
    }
    let mut pc = start;
    loop {
        let low = fetch_half(pc)?;
        let long = is_long(low);
        if long && reaches(pc) && pc != start {
            break;
        }
        let high = if long { fetch_half(pc.wrapping_add(2))? } else { 0 };
        let op = decode(u32::from(low) | u32::from(high) << 16);
        line.push(Cell { op: prepared(op), pc });
        if op.ends_line() {
            return Ok(line.finish(long && reaches(pc)));
        }
        pc = pc.wrapping_add(u32::from(op.len));
        if is_entered || line.is_full() || cache::page(pc) != cache::page(start) || follows_known(&op, pc) {
            break;
        }
    }
    line.push(Cell::link(pc));
    Ok(line.finish(reaches(start)))
}

/// Whether code that is in the cache already follows a branch.
fn follows_known(op: &Op, next: u32) -> bool {
    op.is_branch() && cache::find(next).is_some()
}
