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
/// Labels and places of tables that are looked at together.
const MAX_PAIRS: usize = 1 << 14;
/// Distances from a label that make a table.
const MIN_DISTANCES: usize = 4;

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

/// What words are loaded at a distance from a register.
fn displacements(ops: &BTreeMap<u32, (Op, Flow)>) -> BTreeSet<u64> {
    let words = ops.values().filter(|(op, _)| op.kind == Kind::Lw && op.imm >= 0);
    words.map(|(op, _)| op.imm as u64).chain([0]).collect()
}

/// What a table holds.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// Distances from an address, of 32 bits: of the table itself, or of a label of the code.
    Relative(u64),
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
            Form::Relative(to) => to.wrapping_add(word()? as i32 as u64),
            Form::Short => u64::from(word()?),
            Form::Long => self.image.double(at).or_else(|| self.bytes(at).map(u64::from_le_bytes))?,
        };
        self.image.offset(address)
    }
}

/// Reads tables whose entries lead into functions' code.
struct Reader<'a> {
    region: &'a Region<'a>,
    ranges: &'a [Range<u32>],
    /// Entries that may still be read.
    left: usize,
}

impl Reader<'_> {
    fn fits(&self, offset: u32) -> bool {
        offset & 1 == 0 && self.ranges.iter().any(|range| range.contains(&offset))
    }

    /// The offset of an address, if that is in the functions.
    fn label(&self, address: u64) -> Option<u32> {
        self.region.image.offset(address).filter(|offset| self.fits(*offset))
    }

    /// The targets of a table, up to the first entry that is none.
    fn entries(&mut self, form: Form, table: u64) -> Vec<u32> {
        let entry = |index| self.region.entry(form, table, index).filter(|offset| self.fits(*offset));
        let entries: Vec<u32> = (0..MAX_ENTRIES).map_while(entry).take(self.left).collect();
        self.left -= entries.len();
        entries
    }
}

/// The targets in `ranges` that the tables of this code hold, or that it makes itself.
pub fn targets(region: &Region, ops: &BTreeMap<u32, (Op, Flow)>, ranges: &[Range<u32>]) -> BTreeSet<u32> {
    let mut reader = Reader { region, ranges, left: MAX_TOTAL };
    let mut found: BTreeSet<u32> = ranges.iter().flat_map(|range| region.image.inner(range)).copied().collect();
    let (labels, data): (Vec<u64>, Vec<u64>) =
        constants(region, ops).into_iter().partition(|address| reader.label(*address).is_some());
    found.extend(labels.iter().filter_map(|label| reader.label(*label)));
    for &table in labels.iter().chain(&data) {
        for form in [Form::Relative(table), Form::Short, Form::Long] {
            found.extend(reader.entries(form, table));
        }
    }
    // `goto *(&&label + table[at])`, with the table somewhere behind an address that many loads share.
    let displacements = displacements(ops);
    let tables: BTreeSet<u64> =
        data.iter().flat_map(|base| displacements.iter().map(|more| base.wrapping_add(*more))).collect();
    let pairs = labels.iter().flat_map(|label| tables.iter().map(|table| (*label, *table)));
    for (label, table) in pairs.take(MAX_PAIRS) {
        let distances = reader.entries(Form::Relative(label), table);
        if distances.len() >= MIN_DISTANCES {
            found.extend(distances);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::effects;
    use crate::flow::fetch;
    use crate::image::Image;

    #[test]
    fn distances_from_a_label_are_found() {
        let mut words = vec![
            0x0000_0697, // auipc a3, 0
            0x0206_8693, // addi a3, a3, 32: the label
            0x0000_0997, // auipc s3, 0
            0x0389_8993, // addi s3, s3, 56: 16 bytes before the table
            0x0109_a703, // lw a4, 16(s3)
            0x00d7_0733, // add a4, a4, a3
            0x0007_0067, // jr a4
        ];
        words.resize(20, 0x0000_0013); // nop
        words.extend([0, 4, 8, 12, 0x7fff_ffff]);
        let code: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        let region = Region { code: &code, start: 0, image: &Image::default() };
        let ops = (0..28).step_by(4).map(|at| (at, fetch(&region, at).unwrap()));
        let ops = ops.map(|(at, op)| (at, (op, effects(&op).flow))).collect();
        let found = targets(&region, &ops, std::slice::from_ref(&(0..64)));
        assert!([32, 36, 40, 44].iter().all(|target| found.contains(target)), "{found:?}");
    }
}
