//! Where a function's computed jumps may lead: the targets in tables whose addresses its code makes, and in data.
//!
//! Too many targets cost only time, since each jump is compared with them; what is missed is left to the dispatcher.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use shallop_riscv64::Op;
use shallop_riscv64::decode::Kind;

use crate::Region;
use crate::effects::Flow;

/// Entries of one table, and of all of a function.
const MAX_ENTRIES: u64 = 4096;
const MAX_TOTAL: usize = 1 << 18;

/// Addresses that code makes by an instruction for the upper part and others for the rest. What other instructions do
/// to the same registers is not looked at.
fn constants(region: &Region, ops: &BTreeMap<u32, (Op, Flow)>) -> BTreeSet<u64> {
    let mut upper: [Option<u64>; 32] = [None; 32];
    let mut found = BTreeSet::new();
    for (&at, (op, _)) in ops {
        let rd = usize::from(op.rd & 31);
        let base = upper[usize::from(op.rs1 & 31)];
        match op.kind {
            Kind::Auipc => upper[rd] = Some(region.image.address(at).wrapping_add(op.imm as u64)),
            Kind::Lui => upper[rd] = Some(op.imm as u64),
            Kind::Addi => {
                upper[rd] = base.map(|base| base.wrapping_add(op.imm as u64));
                found.extend(upper[rd]);
            }
            _ => {}
        }
    }
    found
}

/// What a table holds.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// Distances from the table, of 32 bits.
    Relative,
    /// Addresses of 32 bits.
    Short,
    /// Addresses.
    Long,
}

impl Region<'_> {
    /// The bytes of code at an address of the file.
    fn bytes<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let at = self.image.offset(address)?.checked_sub(self.start)? as usize;
        self.code.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    /// The target in a table's entry.
    fn entry(&self, form: Form, table: u64, index: u64) -> Option<u32> {
        let size = if matches!(form, Form::Long) { 8 } else { 4 };
        let at = table.checked_add(index * size)?;
        let word = || self.bytes(at).map(u32::from_le_bytes).or_else(|| self.image.word(at));
        let address = match form {
            Form::Relative => table.wrapping_add(word()? as i32 as u64),
            Form::Short => u64::from(word()?),
            Form::Long => self.image.double(at).or_else(|| self.bytes(at).map(u64::from_le_bytes))?,
        };
        self.image.offset(address)
    }
}

/// The targets in `ranges` that the tables of this code hold, or that it makes itself.
pub fn targets(region: &Region, ops: &BTreeMap<u32, (Op, Flow)>, ranges: &[Range<u32>]) -> BTreeSet<u32> {
    let fits = |offset: &u32| offset & 1 == 0 && ranges.iter().any(|range| range.contains(offset));
    let mut found: BTreeSet<u32> = ranges.iter().flat_map(|range| region.image.inner(range)).copied().collect();
    let mut left = MAX_TOTAL;
    for table in constants(region, ops) {
        found.extend(region.image.offset(table).filter(fits));
        for form in [Form::Relative, Form::Short, Form::Long] {
            let entries = (0..MAX_ENTRIES).map_while(|index| region.entry(form, table, index).filter(fits)).take(left);
            found.extend(entries.inspect(|_| left -= 1));
        }
    }
    found
}
