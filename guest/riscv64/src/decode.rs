//! From an instruction's bits to an [`Op`]: 32-bit encodings by the table, 16-bit ones by their expansion.

use crate::c;
use crate::table::for_each_op;

/// How the fields of a 32-bit encoding lie, and which registers are of which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// rd, 20 upper bits.
    Upper,
    /// rd, a jump's offset.
    Jump,
    /// rd, rs1, 12 bits.
    Immediate,
    /// rd, 12 bits (rs1).
    Load,
    /// rs2, 12 bits (rs1).
    Store,
    /// rs1, rs2, a branch's offset.
    Branch,
    /// rd, rs1, count of 6 bits.
    Shift,
    /// rd, rs1, rs2.
    Register,
    /// No operands that matter.
    Nothing,
    /// rd, rs2, (rs1); `rm` holds aq and rl as bits 1 and 0.
    Atomic,
    /// rd, csr, rs1; `imm` holds the instruction's bits.
    Csr,
    /// rd, csr, 5 bits in `rs1`; `imm` holds the instruction's bits.
    CsrImmediate,
    /// f rd, 12 bits (x rs1).
    FloatLoad,
    /// f rs2, 12 bits (x rs1).
    FloatStore,
    /// f rd, f rs1, f rs2, rm; `imm` holds the instruction's bits, as in the following.
    FloatRegister,
    /// x rd, f rs1, f rs2, rm.
    FloatToX,
    /// f rd, x rs1, rm.
    FloatFromX,
    /// f rd, f rs1, f rs2, f rs3, rm.
    FloatFused,
}

impl Format {
    /// Whether `rd` names an integer register that the instruction writes.
    pub const fn writes_x(self) -> bool {
        matches!(
            self,
            Format::Upper
                | Format::Jump
                | Format::Immediate
                | Format::Load
                | Format::Shift
                | Format::Register
                | Format::Atomic
                | Format::Csr
                | Format::CsrImmediate
                | Format::FloatToX
        )
    }

    /// Whether `imm` holds the instruction's bits.
    const fn keeps_bits(self) -> bool {
        matches!(
            self,
            Format::Csr
                | Format::CsrImmediate
                | Format::FloatRegister
                | Format::FloatToX
                | Format::FloatFromX
                | Format::FloatFused
        )
    }
}

/// A row of the table of instructions.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub kind: Kind,
    pub name: &'static str,
    pub mask: u32,
    pub bits: u32,
    pub format: Format,
}

impl Row {
    /// Whether the `rs2` field is a part of the opcode.
    pub(crate) const fn is_unary(&self) -> bool {
        self.mask & 0x01f0_0000 == 0x01f0_0000
    }

    /// Whether the `rm` field is a rounding mode.
    pub(crate) const fn has_rounding(&self) -> bool {
        self.mask & 0x7000 == 0
            && matches!(self.format, Format::FloatRegister | Format::FloatToX | Format::FloatFromX | Format::FloatFused)
    }
}

macro_rules! define_kinds {
    ($($kind:ident $name:literal $mask:literal $bits:literal $format:ident
       $module:ident :: $function:ident ( $($argument:expr),* ))*) => {
        /// Every instruction, then the two that no encoding stands for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Kind {
            $($kind,)*
            /// Not an instruction; `imm` holds the bits.
            Illegal,
            /// Goes on at its own address, elsewhere in a cache of decoded code.
            Link,
        }

        /// All rows, in the order of [`Kind`].
        pub const ROWS: &[Row] = &[
            $(Row { kind: Kind::$kind, name: $name, mask: $mask, bits: $bits, format: Format::$format },)*
        ];
    };
}
for_each_op!(define_kinds);

impl Kind {
    /// The table's row; none for `Illegal` and `Link`.
    #[inline]
    pub fn row(self) -> Option<&'static Row> {
        ROWS.get(self as usize)
    }

    /// Whether it accesses memory by loads alone.
    pub fn loads_only(self) -> bool {
        let format = self.row().map(|row| row.format);
        matches!(format, Some(Format::Load | Format::FloatLoad)) || matches!(self, Kind::LrW | Kind::LrD)
    }
}

/// A decoded instruction. Fields that its format lacks are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Op {
    pub kind: Kind,
    pub rd: u8,
    pub rs1: u8,
    pub rs2: u8,
    pub rs3: u8,
    /// Rounding mode, or aq and rl.
    pub rm: u8,
    /// Bytes of the encoding: 2 or 4.
    pub len: u8,
    pub imm: i32,
}

impl Op {
    /// An op without operands.
    pub const fn new(kind: Kind, len: u8) -> Op {
        Op { kind, rd: 0, rs1: 0, rs2: 0, rs3: 0, rm: 0, len, imm: 0 }
    }

    /// The op of bits that are no instruction.
    pub const fn illegal(bits: u32, len: u8) -> Op {
        Op { imm: bits as i32, ..Op::new(Kind::Illegal, len) }
    }

    /// Whether the instruction after this one in memory is never the next one, or is so only after an exit.
    pub const fn ends_line(&self) -> bool {
        matches!(
            self.kind,
            Kind::Jal | Kind::Jalr | Kind::Ecall | Kind::Ebreak | Kind::FenceI | Kind::Illegal | Kind::Link
        )
    }

    /// Whether it is a conditional branch.
    pub const fn is_branch(&self) -> bool {
        matches!(self.kind, Kind::Beq | Kind::Bne | Kind::Blt | Kind::Bge | Kind::Bltu | Kind::Bgeu)
    }
}

/// Whether an instruction whose first 16 bits are `half` has 32.
pub const fn is_long(half: u16) -> bool {
    half & 3 == 3
}

/// Decodes an instruction from its bits; those above a 16-bit encoding are ignored.
pub fn decode(bits: u32) -> Op {
    if is_long(bits as u16) { decode_long(bits) } else { c::decode(bits as u16) }
}

/// Bucket of a 32-bit encoding: its opcode without the two low bits, and funct3.
const fn bucket(bits: u32) -> usize {
    ((bits >> 2 & 0x1f) << 3 | bits >> 12 & 7) as usize
}

/// Whether the row's encodings may be of this bucket.
const fn row_in_bucket(row: &Row, bucket: usize) -> bool {
    let bits = (bucket as u32 >> 3) << 2 | 3 | (bucket as u32 & 7) << 12;
    (bits ^ row.bits) & row.mask & 0x707f == 0
}

const BUCKETS: usize = 256;

/// Rows in all buckets together; a row without funct3 is in eight.
const fn bucket_entries() -> usize {
    let (mut entries, mut at) = (0, 0);
    while at < BUCKETS * ROWS.len() {
        entries += row_in_bucket(&ROWS[at % ROWS.len()], at / ROWS.len()) as usize;
        at += 1;
    }
    entries
}

/// Index of the rows by bucket: bucket `b` has `rows[start[b]..start[b + 1]]`.
struct Index {
    start: [u16; BUCKETS + 1],
    rows: [u8; bucket_entries()],
}

const fn index() -> Index {
    let mut index = Index { start: [0; BUCKETS + 1], rows: [0; bucket_entries()] };
    let (mut bucket, mut entries) = (0, 0);
    while bucket < BUCKETS {
        let mut row = 0;
        while row < ROWS.len() {
            if row_in_bucket(&ROWS[row], bucket) {
                index.rows[entries] = row as u8;
                entries += 1;
            }
            row += 1;
        }
        bucket += 1;
        index.start[bucket] = entries as u16;
    }
    index
}

static INDEX: Index = index();

fn decode_long(bits: u32) -> Op {
    let bucket = bucket(bits);
    let range = INDEX.start[bucket] as usize..INDEX.start[bucket + 1] as usize;
    let row = INDEX.rows[range].iter().map(|&row| &ROWS[row as usize]).find(|row| bits & row.mask == row.bits);
    match row {
        Some(row) if !(row.has_rounding() && matches!(bits >> 12 & 7, 5 | 6)) => operands(row, bits),
        _ => Op::illegal(bits, 4),
    }
}

/// The op of `bits`, which are of `row`.
fn operands(row: &Row, bits: u32) -> Op {
    let field = |low: u32| (bits >> low & 0x1f) as u8;
    let (rd, rs1, rs2) = (field(7), field(15), field(20));
    let op = Op::new(row.kind, 4);
    let rm = (bits >> 12 & 7) as u8;
    let signed = bits as i32;
    let imm = if row.format.keeps_bits() { signed } else { 0 };
    match row.format {
        Format::Upper => Op { rd, imm: signed & !0xfff, ..op },
        Format::Jump => Op { rd, imm: jump_offset(bits), ..op },
        Format::Immediate | Format::Load | Format::FloatLoad => Op { rd, rs1, imm: signed >> 20, ..op },
        Format::Store | Format::FloatStore => {
            Op { rs1, rs2, imm: (signed >> 25) << 5 | (bits >> 7 & 0x1f) as i32, ..op }
        }
        Format::Branch => Op { rs1, rs2, imm: branch_offset(bits), ..op },
        Format::Shift => Op { rd, rs1, imm: signed >> 20 & 0x3f, ..op },
        Format::Register => Op { rd, rs1, rs2, ..op },
        Format::Nothing => op,
        Format::Atomic => Op { rd, rs1, rs2, rm: (bits >> 25 & 3) as u8, ..op },
        Format::Csr | Format::CsrImmediate | Format::FloatFromX => Op { rd, rs1, rm, imm, ..op },
        Format::FloatRegister | Format::FloatToX => Op { rd, rs1, rs2, rm, imm, ..op },
        Format::FloatFused => Op { rd, rs1, rs2, rs3: field(27), rm, imm, ..op },
    }
}

fn jump_offset(bits: u32) -> i32 {
    let upper = (bits as i32 >> 31) << 20;
    upper | (bits & 0xf_f000 | bits >> 9 & 0x800 | bits >> 20 & 0x7fe) as i32
}

fn branch_offset(bits: u32) -> i32 {
    let upper = (bits as i32 >> 31) << 12;
    upper | (bits << 4 & 0x800 | bits >> 20 & 0x7e0 | bits >> 7 & 0x1e) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits for the fields that a row leaves open, with no reserved rounding mode.
    fn fill(row: &Row, pattern: u32) -> u32 {
        let bits = row.bits | pattern & !row.mask;
        if row.has_rounding() { bits & !0x7000 } else { bits }
    }

    #[test]
    fn every_row_decodes_to_its_kind() {
        for row in ROWS {
            for pattern in [0, u32::MAX, 0x5a5a_5a5a, 0xa5a5_a5a5, 0x1234_5678] {
                assert_eq!(decode(fill(row, pattern)).kind, row.kind, "{}", row.name);
            }
        }
    }

    #[test]
    fn no_two_rows_overlap() {
        for (at, a) in ROWS.iter().enumerate() {
            assert_eq!(a.kind as usize, at);
            assert_eq!(a.bits & !a.mask, 0, "{}", a.name);
            for b in &ROWS[at + 1..] {
                assert_ne!((a.bits ^ b.bits) & a.mask & b.mask, 0, "{} and {}", a.name, b.name);
            }
        }
        assert!(ROWS.len() < 256);
    }

    #[test]
    fn immediates_are_extended() {
        assert_eq!(decode(0xfff0_0513), Op { rd: 10, imm: -1, ..Op::new(Kind::Addi, 4) }); // li a0, -1
        assert_eq!(decode(0xfe11_3c23), Op { rs1: 2, rs2: 1, imm: -8, ..Op::new(Kind::Sd, 4) }); // sd ra, -8(sp)
        assert_eq!(decode(0xfe05_1ee3), Op { rs1: 10, imm: -4, ..Op::new(Kind::Bne, 4) }); // bnez a0, .-4
        assert_eq!(decode(0xff5f_f0ef), Op { rd: 1, imm: -12, ..Op::new(Kind::Jal, 4) }); // jal .-12
        assert_eq!(decode(0x8000_02b7), Op { rd: 5, imm: i32::MIN, ..Op::new(Kind::Lui, 4) });
        assert_eq!(decode(0x43f5_d593), Op { rd: 11, rs1: 11, imm: 63, ..Op::new(Kind::Srai, 4) });
    }

    #[test]
    fn reserved_encodings_are_illegal() {
        for bits in [0xffff_ffff, 0x0000_000b, 0x0200_5053 | 5 << 12, 0x0020_0073] {
            assert_eq!(decode(bits), Op::illegal(bits, 4));
        }
        assert_eq!(decode(0x0000_1053 | 5 << 12).kind, Kind::Illegal); // fadd.s with rm 5
    }

    #[test]
    fn every_word_decodes() {
        let mut bits = 1_u32;
        for _ in 0..200_000 {
            bits = bits.wrapping_mul(0x9e37_79b1).wrapping_add(0x1234_5677);
            let op = decode(bits);
            assert!(op.rd < 32 && op.rs1 < 32 && op.rs2 < 32 && op.rs3 < 32);
        }
    }
}
