//! The instructions to test, written down from the unprivileged ISA's tables and not from the crate's own.

use crate::emulator::{Case, ENTRY, SCRATCH, State};
use crate::random::Random;

/// Where the operands are, and what they must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// rd, rs1, rs2.
    R,
    /// rd, rs1, 12-bit immediate.
    I,
    /// rd, rs1, 6-bit shift amount.
    Shift,
    /// rd, rs1, 5-bit shift amount.
    Shift32,
    /// rd, 20-bit immediate.
    U,
    /// JAL.
    Jump,
    /// JALR.
    JumpRegister,
    Branch,
    Load,
    Store,
    /// aq, rl, rd, address in rs1, rs2.
    Atomic,
    /// Like `Atomic`, without rs2.
    Reserve,
    /// Anything in the free bits has no effect.
    Fence,
    /// rd, rs1 or zimm; fflags, frm or fcsr.
    Csr,
    /// rd, rs1, rs2, rm.
    FloatRounded,
    /// rd, rs1, rs2, rs3, rm.
    FloatFused,
    /// rd, rs1, rm.
    FloatRounded1,
    /// rd, rs1.
    Float1,
}

/// A name, its fixed bits, its form.
pub type Row = (&'static str, u32, Form);

const fn r(opcode: u32, funct3: u32, funct7: u32) -> u32 {
    opcode | funct3 << 12 | funct7 << 25
}

/// An OP-FP instruction: `format` 0 single, 1 double; `rs2` as a part of the opcode.
const fn fp(funct5: u32, format: u32, rs2: u32, funct3: u32) -> u32 {
    0x53 | funct3 << 12 | rs2 << 20 | format << 25 | funct5 << 27
}

const fn amo(funct5: u32, funct3: u32) -> u32 {
    0x2f | funct3 << 12 | funct5 << 27
}

pub const INTEGER: &[Row] = &[
    ("lui", 0x37, Form::U),
    ("auipc", 0x17, Form::U),
    ("jal", 0x6f, Form::Jump),
    ("jalr", 0x67, Form::JumpRegister),
    ("beq", r(0x63, 0, 0), Form::Branch),
    ("bne", r(0x63, 1, 0), Form::Branch),
    ("blt", r(0x63, 4, 0), Form::Branch),
    ("bge", r(0x63, 5, 0), Form::Branch),
    ("bltu", r(0x63, 6, 0), Form::Branch),
    ("bgeu", r(0x63, 7, 0), Form::Branch),
    ("lb", r(0x03, 0, 0), Form::Load),
    ("lh", r(0x03, 1, 0), Form::Load),
    ("lw", r(0x03, 2, 0), Form::Load),
    ("ld", r(0x03, 3, 0), Form::Load),
    ("lbu", r(0x03, 4, 0), Form::Load),
    ("lhu", r(0x03, 5, 0), Form::Load),
    ("lwu", r(0x03, 6, 0), Form::Load),
    ("sb", r(0x23, 0, 0), Form::Store),
    ("sh", r(0x23, 1, 0), Form::Store),
    ("sw", r(0x23, 2, 0), Form::Store),
    ("sd", r(0x23, 3, 0), Form::Store),
    ("addi", r(0x13, 0, 0), Form::I),
    ("slti", r(0x13, 2, 0), Form::I),
    ("sltiu", r(0x13, 3, 0), Form::I),
    ("xori", r(0x13, 4, 0), Form::I),
    ("ori", r(0x13, 6, 0), Form::I),
    ("andi", r(0x13, 7, 0), Form::I),
    ("slli", r(0x13, 1, 0), Form::Shift),
    ("srli", r(0x13, 5, 0), Form::Shift),
    ("srai", r(0x13, 5, 0x20), Form::Shift),
    ("addiw", r(0x1b, 0, 0), Form::I),
    ("slliw", r(0x1b, 1, 0), Form::Shift32),
    ("srliw", r(0x1b, 5, 0), Form::Shift32),
    ("sraiw", r(0x1b, 5, 0x20), Form::Shift32),
    ("add", r(0x33, 0, 0), Form::R),
    ("sub", r(0x33, 0, 0x20), Form::R),
    ("sll", r(0x33, 1, 0), Form::R),
    ("slt", r(0x33, 2, 0), Form::R),
    ("sltu", r(0x33, 3, 0), Form::R),
    ("xor", r(0x33, 4, 0), Form::R),
    ("srl", r(0x33, 5, 0), Form::R),
    ("sra", r(0x33, 5, 0x20), Form::R),
    ("or", r(0x33, 6, 0), Form::R),
    ("and", r(0x33, 7, 0), Form::R),
    ("addw", r(0x3b, 0, 0), Form::R),
    ("subw", r(0x3b, 0, 0x20), Form::R),
    ("sllw", r(0x3b, 1, 0), Form::R),
    ("srlw", r(0x3b, 5, 0), Form::R),
    ("sraw", r(0x3b, 5, 0x20), Form::R),
    ("fence", r(0x0f, 0, 0), Form::Fence),
    ("fence.i", r(0x0f, 1, 0), Form::Fence),
    ("ebreak", 0x0010_0073, Form::U),
    ("csrrw", r(0x73, 1, 0), Form::Csr),
    ("csrrs", r(0x73, 2, 0), Form::Csr),
    ("csrrc", r(0x73, 3, 0), Form::Csr),
    ("csrrwi", r(0x73, 5, 0), Form::Csr),
    ("csrrsi", r(0x73, 6, 0), Form::Csr),
    ("csrrci", r(0x73, 7, 0), Form::Csr),
    ("mul", r(0x33, 0, 1), Form::R),
    ("mulh", r(0x33, 1, 1), Form::R),
    ("mulhsu", r(0x33, 2, 1), Form::R),
    ("mulhu", r(0x33, 3, 1), Form::R),
    ("div", r(0x33, 4, 1), Form::R),
    ("divu", r(0x33, 5, 1), Form::R),
    ("rem", r(0x33, 6, 1), Form::R),
    ("remu", r(0x33, 7, 1), Form::R),
    ("mulw", r(0x3b, 0, 1), Form::R),
    ("divw", r(0x3b, 4, 1), Form::R),
    ("divuw", r(0x3b, 5, 1), Form::R),
    ("remw", r(0x3b, 6, 1), Form::R),
    ("remuw", r(0x3b, 7, 1), Form::R),
    ("lr.w", amo(2, 2), Form::Reserve),
    ("sc.w", amo(3, 2), Form::Atomic),
    ("amoswap.w", amo(1, 2), Form::Atomic),
    ("amoadd.w", amo(0, 2), Form::Atomic),
    ("amoxor.w", amo(4, 2), Form::Atomic),
    ("amoand.w", amo(12, 2), Form::Atomic),
    ("amoor.w", amo(8, 2), Form::Atomic),
    ("amomin.w", amo(16, 2), Form::Atomic),
    ("amomax.w", amo(20, 2), Form::Atomic),
    ("amominu.w", amo(24, 2), Form::Atomic),
    ("amomaxu.w", amo(28, 2), Form::Atomic),
    ("lr.d", amo(2, 3), Form::Reserve),
    ("sc.d", amo(3, 3), Form::Atomic),
    ("amoswap.d", amo(1, 3), Form::Atomic),
    ("amoadd.d", amo(0, 3), Form::Atomic),
    ("amoxor.d", amo(4, 3), Form::Atomic),
    ("amoand.d", amo(12, 3), Form::Atomic),
    ("amoor.d", amo(8, 3), Form::Atomic),
    ("amomin.d", amo(16, 3), Form::Atomic),
    ("amomax.d", amo(20, 3), Form::Atomic),
    ("amominu.d", amo(24, 3), Form::Atomic),
    ("amomaxu.d", amo(28, 3), Form::Atomic),
];

pub const FLOATING: &[Row] = &[
    ("flw", r(0x07, 2, 0), Form::Load),
    ("fld", r(0x07, 3, 0), Form::Load),
    ("fsw", r(0x27, 2, 0), Form::Store),
    ("fsd", r(0x27, 3, 0), Form::Store),
    ("fmadd.s", 0x43, Form::FloatFused),
    ("fmsub.s", 0x47, Form::FloatFused),
    ("fnmsub.s", 0x4b, Form::FloatFused),
    ("fnmadd.s", 0x4f, Form::FloatFused),
    ("fmadd.d", 0x43 | 1 << 25, Form::FloatFused),
    ("fmsub.d", 0x47 | 1 << 25, Form::FloatFused),
    ("fnmsub.d", 0x4b | 1 << 25, Form::FloatFused),
    ("fnmadd.d", 0x4f | 1 << 25, Form::FloatFused),
    ("fadd.s", fp(0, 0, 0, 0), Form::FloatRounded),
    ("fsub.s", fp(1, 0, 0, 0), Form::FloatRounded),
    ("fmul.s", fp(2, 0, 0, 0), Form::FloatRounded),
    ("fdiv.s", fp(3, 0, 0, 0), Form::FloatRounded),
    ("fsqrt.s", fp(11, 0, 0, 0), Form::FloatRounded1),
    ("fsgnj.s", fp(4, 0, 0, 0), Form::R),
    ("fsgnjn.s", fp(4, 0, 0, 1), Form::R),
    ("fsgnjx.s", fp(4, 0, 0, 2), Form::R),
    ("fmin.s", fp(5, 0, 0, 0), Form::R),
    ("fmax.s", fp(5, 0, 0, 1), Form::R),
    ("fle.s", fp(20, 0, 0, 0), Form::R),
    ("flt.s", fp(20, 0, 0, 1), Form::R),
    ("feq.s", fp(20, 0, 0, 2), Form::R),
    ("fclass.s", fp(28, 0, 0, 1), Form::Float1),
    ("fmv.x.w", fp(28, 0, 0, 0), Form::Float1),
    ("fmv.w.x", fp(30, 0, 0, 0), Form::Float1),
    ("fcvt.w.s", fp(24, 0, 0, 0), Form::FloatRounded1),
    ("fcvt.wu.s", fp(24, 0, 1, 0), Form::FloatRounded1),
    ("fcvt.l.s", fp(24, 0, 2, 0), Form::FloatRounded1),
    ("fcvt.lu.s", fp(24, 0, 3, 0), Form::FloatRounded1),
    ("fcvt.s.w", fp(26, 0, 0, 0), Form::FloatRounded1),
    ("fcvt.s.wu", fp(26, 0, 1, 0), Form::FloatRounded1),
    ("fcvt.s.l", fp(26, 0, 2, 0), Form::FloatRounded1),
    ("fcvt.s.lu", fp(26, 0, 3, 0), Form::FloatRounded1),
    ("fcvt.s.d", fp(8, 0, 1, 0), Form::FloatRounded1),
    ("fcvt.d.s", fp(8, 1, 0, 0), Form::FloatRounded1),
    ("fadd.d", fp(0, 1, 0, 0), Form::FloatRounded),
    ("fsub.d", fp(1, 1, 0, 0), Form::FloatRounded),
    ("fmul.d", fp(2, 1, 0, 0), Form::FloatRounded),
    ("fdiv.d", fp(3, 1, 0, 0), Form::FloatRounded),
    ("fsqrt.d", fp(11, 1, 0, 0), Form::FloatRounded1),
    ("fsgnj.d", fp(4, 1, 0, 0), Form::R),
    ("fsgnjn.d", fp(4, 1, 0, 1), Form::R),
    ("fsgnjx.d", fp(4, 1, 0, 2), Form::R),
    ("fmin.d", fp(5, 1, 0, 0), Form::R),
    ("fmax.d", fp(5, 1, 0, 1), Form::R),
    ("fle.d", fp(20, 1, 0, 0), Form::R),
    ("flt.d", fp(20, 1, 0, 1), Form::R),
    ("feq.d", fp(20, 1, 0, 2), Form::R),
    ("fclass.d", fp(28, 1, 0, 1), Form::Float1),
    ("fmv.x.d", fp(28, 1, 0, 0), Form::Float1),
    ("fmv.d.x", fp(30, 1, 0, 0), Form::Float1),
    ("fcvt.w.d", fp(24, 1, 0, 0), Form::FloatRounded1),
    ("fcvt.wu.d", fp(24, 1, 1, 0), Form::FloatRounded1),
    ("fcvt.l.d", fp(24, 1, 2, 0), Form::FloatRounded1),
    ("fcvt.lu.d", fp(24, 1, 3, 0), Form::FloatRounded1),
    ("fcvt.d.w", fp(26, 1, 0, 0), Form::FloatRounded1),
    ("fcvt.d.wu", fp(26, 1, 1, 0), Form::FloatRounded1),
    ("fcvt.d.l", fp(26, 1, 2, 0), Form::FloatRounded1),
    ("fcvt.d.lu", fp(26, 1, 3, 0), Form::FloatRounded1),
];

/// An instruction of the row, and a state to execute it in.
pub fn case(row: &Row, random: &mut Random) -> Case {
    let (name, fixed, form) = *row;
    let mut state = random.state();
    let operands = operands(name, fixed, form, random, &mut state);
    Case { name, instruction: fixed | operands, state }
}

fn operands(name: &str, fixed: u32, form: Form, random: &mut Random, state: &mut State) -> u32 {
    let [rd, rs1, rs2, rs3] = [0; 4].map(|_| random.below(32) as u32);
    let rm = if random.below(20) == 0 { 5 + random.below(2) } else { random.pick(&[0, 1, 2, 3, 4, 7]) } as u32;
    let upper = random.next() as u32 & 0xffff_f000;
    let registers = rd << 7 | rs1 << 15 | rs2 << 20;
    match form {
        Form::R => registers,
        Form::I => rd << 7 | rs1 << 15 | upper & 0xfff0_0000,
        Form::Shift => registers | upper & 1 << 25,
        Form::Shift32 => registers,
        Form::U if name == "ebreak" => 0,
        Form::U => rd << 7 | upper,
        Form::Jump => rd << 7 | upper,
        Form::JumpRegister => jump_register(random, state, rd, rs1),
        Form::Branch => branch(random, state, rs1, rs2),
        Form::Load | Form::Store => access(fixed, form, random, state, [rd, rs1, rs2]),
        Form::Atomic | Form::Reserve => atomic(fixed, form, random, state, [rd, rs1, rs2]),
        Form::Fence => registers | upper & 0xfe00_0000,
        Form::Csr => rd << 7 | rs1 << 15 | (1 + random.below(3) as u32) << 20,
        Form::FloatRounded => registers | rm << 12,
        Form::FloatFused => registers | rm << 12 | rs3 << 27,
        Form::FloatRounded1 => rd << 7 | rs1 << 15 | rm << 12,
        Form::Float1 => rd << 7 | rs1 << 15,
    }
}

/// A target within the breakpoints, often odd.
fn jump_register(random: &mut Random, state: &mut State, rd: u32, rs1: u32) -> u32 {
    let base = rs1.max(1);
    let immediate = random.next() as u32 & 0xfff0_0000;
    state.x[base as usize] = ENTRY - 0x8000 + random.below(0x1_0000);
    rd << 7 | base << 15 | immediate
}

/// The operands are equal half of the time. Bit 0 of the offset does not exist; any other bit may be set.
fn branch(random: &mut Random, state: &mut State, rs1: u32, rs2: u32) -> u32 {
    if rs1 != 0 && random.below(2) == 0 {
        state.x[rs1 as usize] = state.x[rs2 as usize];
    }
    rs1 << 15 | rs2 << 20 | random.next() as u32 & 0xfe00_0f80
}

/// Any alignment, within the scratch bytes.
fn access(fixed: u32, form: Form, random: &mut Random, state: &mut State, [rd, rs1, rs2]: [u32; 3]) -> u32 {
    let size = 1 << (fixed >> 12 & 3);
    let base = rs1.max(1);
    let immediate = random.below(4096) as u32;
    let offset = ((immediate << 20) as i32 >> 20) as i64 as u64;
    let address = SCRATCH + random.below(64 - size + 1);
    state.x[base as usize] = address.wrapping_sub(offset);
    match form {
        Form::Load => rd << 7 | base << 15 | immediate << 20,
        _ => (immediate & 31) << 7 | base << 15 | rs2 << 20 | (immediate >> 5) << 25,
    }
}

fn atomic(fixed: u32, form: Form, random: &mut Random, state: &mut State, [rd, rs1, rs2]: [u32; 3]) -> u32 {
    let size = 1 << (fixed >> 12 & 3);
    let base = rs1.max(1);
    state.x[base as usize] = SCRATCH + size * random.below(64 / size);
    let ordering = (random.below(4) as u32) << 25;
    let rs2 = if form == Form::Atomic { rs2 << 20 } else { 0 };
    ordering | rd << 7 | base << 15 | rs2
}
