//! Ops as assembly text, for traces and reports.

use core::fmt::{self, Display, Formatter};

use crate::decode::{Format, Kind, Op, Row};

/// Names of the integer registers in the calling convention.
pub const X_NAMES: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2",
    "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
];

/// Names of the floating-point registers in the calling convention.
pub const F_NAMES: [&str; 32] = [
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2", "fa3", "fa4", "fa5",
    "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
];

const ROUNDING_NAMES: [&str; 8] = ["rne", "rtz", "rdn", "rup", "rmm", "rm5", "rm6", "dyn"];

/// An op at an address; its `Display` is one line of assembly.
#[derive(Debug, Clone, Copy)]
pub struct Disassembly {
    pub op: Op,
    pub pc: u64,
}

impl Display for Disassembly {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self.op.kind.row() {
            Some(row) => self.write(row, out),
            None if self.op.kind == Kind::Illegal && self.op.len == 2 => write!(out, ".half {:#06x}", self.op.imm),
            None if self.op.kind == Kind::Illegal => write!(out, ".word {:#010x}", self.op.imm),
            None => write!(out, "link {:#x}", self.pc),
        }
    }
}

fn x(register: u8) -> &'static str {
    X_NAMES[register as usize & 31]
}

fn f(register: u8) -> &'static str {
    F_NAMES[register as usize & 31]
}

impl Disassembly {
    fn target(&self) -> u64 {
        self.pc.wrapping_add(self.op.imm as u64)
    }

    fn write(&self, row: &Row, out: &mut Formatter<'_>) -> fmt::Result {
        let Op { rd, rs1, rs2, rm, imm, .. } = self.op;
        let name = row.name;
        match row.format {
            Format::Upper => write!(out, "{name} {}, {:#x}", x(rd), imm as u32 >> 12),
            Format::Jump => write!(out, "{name} {}, {:#x}", x(rd), self.target()),
            Format::Immediate if self.op.kind == Kind::Jalr => write!(out, "{name} {}, {imm}({})", x(rd), x(rs1)),
            Format::Immediate | Format::Shift => write!(out, "{name} {}, {}, {imm}", x(rd), x(rs1)),
            Format::Load => write!(out, "{name} {}, {imm}({})", x(rd), x(rs1)),
            Format::Store => write!(out, "{name} {}, {imm}({})", x(rs2), x(rs1)),
            Format::Branch => write!(out, "{name} {}, {}, {:#x}", x(rs1), x(rs2), self.target()),
            Format::Register => write!(out, "{name} {}, {}, {}", x(rd), x(rs1), x(rs2)),
            Format::Nothing => write!(out, "{name}"),
            Format::Atomic => self.write_atomic(name, out),
            Format::Csr => write!(out, "{name} {}, {:#x}, {}", x(rd), imm as u32 >> 20, x(rs1)),
            Format::CsrImmediate => write!(out, "{name} {}, {:#x}, {rs1}", x(rd), imm as u32 >> 20),
            Format::FloatLoad => write!(out, "{name} {}, {imm}({})", f(rd), x(rs1)),
            Format::FloatStore => write!(out, "{name} {}, {imm}({})", f(rs2), x(rs1)),
            Format::FloatRegister if row.is_unary() => write!(out, "{name} {}, {}", f(rd), f(rs1)),
            Format::FloatRegister => write!(out, "{name} {}, {}, {}", f(rd), f(rs1), f(rs2)),
            Format::FloatToX if row.is_unary() => write!(out, "{name} {}, {}", x(rd), f(rs1)),
            Format::FloatToX => write!(out, "{name} {}, {}, {}", x(rd), f(rs1), f(rs2)),
            Format::FloatFromX => write!(out, "{name} {}, {}", f(rd), x(rs1)),
            Format::FloatFused => {
                write!(out, "{name} {}, {}, {}, {}", f(rd), f(rs1), f(rs2), f(self.op.rs3))
            }
        }?;
        match row.has_rounding() && rm != 7 {
            true => write!(out, ", {}", ROUNDING_NAMES[rm as usize & 7]),
            false => Ok(()),
        }
    }

    fn write_atomic(&self, name: &str, out: &mut Formatter<'_>) -> fmt::Result {
        let Op { kind, rd, rs1, rs2, rm, .. } = self.op;
        let order = ["", ".rl", ".aq", ".aqrl"][rm as usize & 3];
        match kind {
            Kind::LrW | Kind::LrD => write!(out, "{name}{order} {}, ({})", x(rd), x(rs1)),
            _ => write!(out, "{name}{order} {}, {}, ({})", x(rd), x(rs2), x(rs1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{ROWS, decode};

    fn text(bits: u32) -> String {
        Disassembly { op: decode(bits), pc: 0x1000 }.to_string()
    }

    #[test]
    fn each_format_reads_as_an_assembler_writes_it() {
        let expected = [
            (0x0001_0537, "lui a0, 0x10"),
            (0xff5f_f0ef, "jal ra, 0xff4"),
            (0x0000_8067, "jalr zero, 0(ra)"),
            (0xfff5_0513, "addi a0, a0, -1"),
            (0x0081_3083, "ld ra, 8(sp)"),
            (0x0011_3423, "sd ra, 8(sp)"),
            (0xfe05_1ee3, "bne a0, zero, 0xffc"),
            (0x43f5_5513, "srai a0, a0, 63"),
            (0x02b5_0533, "mul a0, a0, a1"),
            (0x0000_0073, "ecall"),
            (0x1005_262f, "lr.w a2, (a0)"),
            (0x1ed5_362f, "sc.d.aqrl a2, a3, (a0)"),
            (0x0010_27f3, "csrrs a5, 0x1, zero"),
            (0x0021_d073, "csrrwi zero, 0x2, 3"),
            (0x0105_3487, "fld fs1, 16(a0)"),
            (0x0095_3427, "fsd fs1, 8(a0)"),
            (0x02b5_7553, "fadd.d fa0, fa0, fa1"),
            (0x5a05_7753, "fsqrt.d fa4, fa0"),
            (0xc007_9853, "fcvt.w.s a6, fa5, rtz"),
            (0xa2b5_2553, "feq.d a0, fa0, fa1"),
            (0xd225_7553, "fcvt.d.l fa0, a0"),
            (0x6ab5_7543, "fmadd.d fa0, fa0, fa1, fa3"),
            (0x8082, "jalr zero, 0(ra)"),
            (0x0000, ".half 0x0000"),
            (0xffff_ffff, ".word 0xffffffff"),
        ];
        for (bits, line) in expected {
            assert_eq!(text(bits), line);
        }
    }

    #[test]
    fn every_row_has_its_name_first() {
        for row in ROWS {
            assert!(text(row.bits).starts_with(row.name), "{}", row.name);
        }
    }
}
