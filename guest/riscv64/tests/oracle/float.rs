//! The module `float` by itself: results and flags of every operation in every rounding mode.

use shallop_riscv64::float::{self, Double, Flags, Format, Rounding, Single};

use crate::emulator::{Case, Emulator, Model, SIGTRAP};
use crate::random::Random;
use crate::table::{FLOATING, Form, case};

const STATES: usize = 2000;
const BOX: u64 = 0xffff_ffff_0000_0000;

/// An operation's result: what it leaves in a floating-point register or an integer one.
enum Outcome {
    Float(u64),
    Integer(u64),
}

/// The operands of a case as raw bits without their box, and the rounding mode in force.
struct Operands {
    integer: u64,
    values: [u64; 3],
    rm: Rounding,
}

fn fields(case: &Case) -> [usize; 4] {
    [7, 15, 20, 27].map(|shift| (case.instruction >> shift & 31) as usize)
}

/// None when the mode is a reserved one.
fn operands(case: &Case, single: bool) -> Option<Operands> {
    let [_, rs1, rs2, rs3] = fields(case);
    let unboxed = |register: usize| {
        let value = case.state.f[register];
        match (single, value & BOX == BOX) {
            (true, true) => value & !BOX,
            (true, false) => Single::CANONICAL_NAN,
            (false, _) => value,
        }
    };
    let mode = match case.instruction >> 12 & 7 {
        7 => case.state.fcsr >> 5,
        mode => mode,
    };
    let rm = Rounding::from_bits(mode)?;
    Some(Operands { integer: case.state.x[rs1], values: [unboxed(rs1), unboxed(rs2), unboxed(rs3)], rm })
}

fn evaluate<F: Format>(operation: &str, from: &Operands, flags: &mut Flags) -> Option<Outcome> {
    let Operands { integer: x, values: [a, b, c], rm } = *from;
    let result = match operation {
        "fadd" => float::add::<F>(a, b, rm, flags),
        "fsub" => float::sub::<F>(a, b, rm, flags),
        "fmul" => float::mul::<F>(a, b, rm, flags),
        "fdiv" => float::div::<F>(a, b, rm, flags),
        "fsqrt" => float::sqrt::<F>(a, rm, flags),
        "fmadd" => float::fused_multiply_add::<F>(a, b, c, rm, flags),
        "fmsub" => float::fused_multiply_add::<F>(a, b, c ^ F::SIGN, rm, flags),
        "fnmsub" => float::fused_multiply_add::<F>(a ^ F::SIGN, b, c, rm, flags),
        "fnmadd" => float::fused_multiply_add::<F>(a ^ F::SIGN, b, c ^ F::SIGN, rm, flags),
        "fmin" => float::min::<F>(a, b, flags),
        "fmax" => float::max::<F>(a, b, flags),
        "fcvt.s.d" => float::f64_to_f32(a, rm, flags),
        "fcvt.d.s" => float::f32_to_f64(a, flags),
        "fcvt.s.w" | "fcvt.d.w" => float::from_i32::<F>(x, rm, flags),
        "fcvt.s.wu" | "fcvt.d.wu" => float::from_u32::<F>(x, rm, flags),
        "fcvt.s.l" | "fcvt.d.l" => float::from_i64::<F>(x, rm, flags),
        "fcvt.s.lu" | "fcvt.d.lu" => float::from_u64::<F>(x, rm, flags),
        _ => return evaluate_to_integer::<F>(operation, from, flags).map(Outcome::Integer),
    };
    Some(Outcome::Float(result))
}

fn evaluate_to_integer<F: Format>(operation: &str, from: &Operands, flags: &mut Flags) -> Option<u64> {
    let Operands { values: [a, b, _], rm, .. } = *from;
    Some(match operation {
        "feq" => float::eq::<F>(a, b, flags) as u64,
        "flt" => float::lt::<F>(a, b, flags) as u64,
        "fle" => float::le::<F>(a, b, flags) as u64,
        "fclass" => float::classify::<F>(a) as u64,
        "fcvt.w" => float::to_i32::<F>(a, rm, flags),
        "fcvt.wu" => float::to_u32::<F>(a, rm, flags),
        "fcvt.l" => float::to_i64::<F>(a, rm, flags),
        "fcvt.lu" => float::to_u64::<F>(a, rm, flags),
        _ => return None,
    })
}

/// The state that the module gives; None for what is not its business.
fn expected(case: &Case) -> Option<Case> {
    let from_single = case.name.ends_with(".s");
    let to_single = case.name.starts_with("fcvt.s") || from_single && case.name != "fcvt.d.s";
    // A conversion from an integer has its format first.
    let to_format = case.name.starts_with("fcvt.s.") || case.name.starts_with("fcvt.d.");
    let operation = if to_format { case.name } else { case.name.rsplit_once('.')?.0 };
    let format_single = if to_format { to_single } else { from_single };
    let operands = operands(case, from_single)?;
    let mut flags = case.state.fcsr & 31;
    let outcome = if format_single {
        evaluate::<Single>(operation, &operands, &mut flags)
    } else {
        evaluate::<Double>(operation, &operands, &mut flags)
    }?;
    let mut after = case.clone();
    let rd = fields(case)[0];
    match outcome {
        Outcome::Float(value) => after.state.f[rd] = if to_single { BOX | value } else { value },
        Outcome::Integer(_) if rd == 0 => {}
        Outcome::Integer(value) => after.state.x[rd] = value,
    }
    after.state.fcsr |= flags;
    after.state.pc += 4;
    after.state.signal = SIGTRAP;
    Some(after)
}

#[test]
fn arithmetic_is_that_of_the_emulator() {
    let Some(emulator) = Emulator::find("float") else { return };
    let mut random = Random(1);
    let rows = FLOATING.iter().filter(|row| !matches!(row.2, Form::Load | Form::Store));
    let cases: Vec<Case> =
        rows.flat_map(|row| std::iter::repeat_n(row, STATES)).map(|row| case(row, &mut random)).collect();
    let mut checked = 0;
    for (case, actual) in cases.iter().zip(emulator.run(Model::Newest, &cases)) {
        let Some(after) = expected(case) else { continue };
        let difference = after.state.difference(&actual);
        assert!(difference.is_empty(), "{} {:08x}:{difference}", case.name, case.instruction);
        checked += 1;
    }
    assert!(checked > STATES * 40, "{checked} of {} were checked", cases.len());
}
