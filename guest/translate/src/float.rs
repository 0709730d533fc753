//! Floating point: the host's own instructions where result and flags can be told from them, else a call.
//!
//! Results are inexact more often than not, and whether one was is hard to tell; so wasm's arithmetic is taken when
//! the inexact flag is set already, rounding is to nearest, and the result is neither a NaN, nor infinite, nor so
//! small that it could have underflowed. One comparison tells all of that: a local holds the bound of such results,
//! which is 0 while flag and rounding are otherwise ([`BOUND`]).

use shallop_machine::backend::{Float, Precision};

use crate::Variant;
use crate::code::{BOUND, Code};
use crate::doors::{door, engine, packed};
use crate::effects::FCSR;
use crate::value::{Value, Word};

/// The `rm` field of the dynamic mode.
const DYNAMIC: u8 = 7;

/// When the fast path is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wants {
    /// Always, with any mode that is not reserved.
    Mode,
    /// Whatever the mode is, reserved ones too.
    Nothing,
    /// Rounding to nearest, and inexact already.
    Nearest,
    /// Rounding towards zero, and inexact already.
    Truncates,
    /// Never.
    Never,
}

fn wants(operation: Float, precision: Precision) -> Wants {
    match operation {
        Float::Add | Float::Sub | Float::Mul | Float::Div | Float::Sqrt => Wants::Nearest,
        Float::Min | Float::Max | Float::Equal | Float::Less | Float::LessEqual => Wants::Nothing,
        Float::ToI32 | Float::ToU32 | Float::ToI64 | Float::ToU64 => Wants::Truncates,
        Float::FromI32 | Float::FromU32 if precision == Precision::Double => Wants::Mode,
        Float::FromI32 | Float::FromU32 | Float::FromI64 | Float::FromU64 => Wants::Nearest,
        Float::Convert if precision == Precision::Single => Wants::Mode,
        Float::Convert => Wants::Nearest,
        Float::FusedMultiplyAdd => Wants::Nearest,
        Float::Classify => Wants::Never,
    }
}

/// Whether the result of the fast path is compared with the bound.
fn checks_result(operation: Float) -> bool {
    use Float::{Add, Convert, Div, FusedMultiplyAdd, Mul, Sqrt, Sub};
    matches!(operation, Add | Sub | Mul | Div | Sqrt | FusedMultiplyAdd | Convert)
}

/// What is left of [`BOUND`] for results of single precision, of which bits are moved up by 33.
const SINGLE_BOUND: i64 = 0xfd << 56;
const _: () = assert!(SINGLE_BOUND & BOUND == SINGLE_BOUND);

/// Whether the `rm` field of this operation is a rounding mode.
fn rounds(operation: Float) -> bool {
    !matches!(operation, Float::Min | Float::Max | Float::Equal | Float::Less | Float::LessEqual | Float::Classify)
}

impl Code {
    /// The result of an operation.
    pub fn calculate(&mut self, operation: Float, precision: Precision, operands: [Word; 3], rounding: u8) -> Word {
        let bound = self.slot(FCSR);
        let operands = self.settle_all(operands);
        let result = self.result(operation, precision);
        let wants = wants(operation, precision);
        let has_fast = wants != Wants::Never
            && (wants != Wants::Truncates || rounding == 1)
            && (wants != Wants::Nearest || matches!(rounding, 0 | DYNAMIC));
        self.values.open_block();
        if has_fast {
            self.values.open_block();
            self.check_control(operation, wants, bound);
            self.fast(operation, precision, operands, (result, bound));
            self.values.sink().br(1);
            self.values.close();
        }
        let dynamic = rounding == DYNAMIC && rounds(operation);
        if dynamic && !self.rounds {
            self.push_control();
            self.values.sink().i32_const(0xa0).i32_ge_u();
            self.leave_if(self.pc);
            self.values.hint_seldom();
        }
        self.call_float(operation, precision, operands, rounding, result);
        self.values.close();
        self.rounds |= dynamic;
        result
    }

    /// Where the result of an operation goes.
    fn result(&mut self, operation: Float, precision: Precision) -> Word {
        let double = match operation {
            Float::Convert => precision == Precision::Single,
            Float::Equal | Float::Less | Float::LessEqual | Float::Classify => false,
            Float::ToI32 | Float::ToU32 | Float::ToI64 | Float::ToU64 => false,
            _ => precision == Precision::Double,
        };
        let value = match double {
            true => Value::Float(self.values.locals.float_result()),
            false => Value::Local(self.values.locals.take()),
        };
        self.values.make(value)
    }

    /// Sets `result` to the i64 on the stack.
    fn set_bits(&mut self, result: Word) {
        match self.values.value(result) {
            Value::Float(local) => self.values.sink().f64_reinterpret_i64().local_set(local),
            Value::Local(local) => self.values.sink().local_set(local),
            _ => self.values.sink().drop(),
        };
    }

    /// Settles operands, equal ones once.
    fn settle_all(&mut self, [a, b, c]: [Word; 3]) -> [Word; 3] {
        let first = self.values.settle(a);
        let second = if b == a { first } else { self.values.settle(b) };
        let third = match c {
            _ if c == a => first,
            _ if c == b => second,
            _ => self.values.settle(c),
        };
        [first, second, third]
    }

    fn call_float(&mut self, operation: Float, precision: Precision, operands: [Word; 3], rounding: u8, result: Word) {
        // Flags that it sets are set again.
        match self.variant {
            Variant::Lazy => self.store_dirty(),
            Variant::Precise => self.checkpoint(),
        }
        self.values.sink().i32_const(packed(operation as i32, precision as i32, rounding));
        for operand in operands {
            self.values.push(operand);
        }
        self.values.sink().call(door(engine::FLOAT));
        self.set_bits(result);
        self.reload();
    }

    /// Goes to the slow path when `fcsr` is not as the fast one wants it, if the check of the result does not see to that.
    fn check_control(&mut self, operation: Float, wants: Wants, bound: Word) {
        match wants {
            Wants::Nearest if checks_result(operation) => return,
            Wants::Nearest | Wants::Truncates => {
                self.values.push(bound);
                self.values.sink().i64_eqz();
            }
            Wants::Mode => {
                self.push_control();
                self.values.sink().i32_const(0xe0).i32_and();
            }
            Wants::Nothing | Wants::Never => return,
        }
        self.values.br_unlikely_if(0);
    }

    /// The fast path: sets the result, or goes to the slow path. `results`: where it goes, and the bound of good ones.
    fn fast(&mut self, operation: Float, precision: Precision, operands: [Word; 3], results: (Word, Word)) {
        let (result, _) = results;
        match operation {
            Float::Equal | Float::Less | Float::LessEqual => self.compare(operation, precision, operands, result),
            Float::Min | Float::Max => {
                self.least_or_greatest(operation == Float::Min, precision, operands, result);
            }
            Float::ToI32 | Float::ToU32 | Float::ToI64 | Float::ToU64 => {
                self.truncate(operation, precision, operands[0], result);
            }
            Float::FromI32 | Float::FromU32 | Float::FromI64 | Float::FromU64 => {
                self.convert_integer(operation, precision, operands[0]);
                self.set_result(precision, result);
            }
            Float::Convert => self.convert(precision, operands[0], results),
            Float::FusedMultiplyAdd => self.fused(precision, operands, results),
            _ => self.arithmetic(operation, precision, operands, results),
        }
    }

    fn push_float(&mut self, word: Word, precision: Precision) {
        match precision {
            Precision::Double => self.values.push_double(word),
            Precision::Single => {
                self.values.push_low(word);
                self.values.sink().f32_reinterpret_i32();
            }
        }
    }

    /// Sets `result` to the value on the stack.
    fn set_result(&mut self, precision: Precision, result: Word) {
        if let (Precision::Double, Value::Float(local)) = (precision, self.values.value(result)) {
            self.values.sink().local_set(local);
            return;
        }
        let mut sink = self.values.sink();
        match precision {
            Precision::Double => sink.i64_reinterpret_f64(),
            Precision::Single => sink.i32_reinterpret_f32().i64_extend_i32_u(),
        };
        self.set_bits(result);
    }

    fn arithmetic(
        &mut self,
        operation: Float,
        precision: Precision,
        [a, b, _]: [Word; 3],
        (result, bound): (Word, Word),
    ) {
        self.push_float(a, precision);
        if operation != Float::Sqrt {
            self.push_float(b, precision);
        }
        let mut sink = self.values.sink();
        match (operation, precision) {
            (Float::Add, Precision::Double) => sink.f64_add(),
            (Float::Sub, Precision::Double) => sink.f64_sub(),
            (Float::Mul, Precision::Double) => sink.f64_mul(),
            (Float::Div, Precision::Double) => sink.f64_div(),
            (_, Precision::Double) => sink.f64_sqrt(),
            (Float::Add, Precision::Single) => sink.f32_add(),
            (Float::Sub, Precision::Single) => sink.f32_sub(),
            (Float::Mul, Precision::Single) => sink.f32_mul(),
            (Float::Div, Precision::Single) => sink.f32_div(),
            (_, Precision::Single) => sink.f32_sqrt(),
        };
        self.set_result(precision, result);
        // A sum below the normal numbers is exact.
        let least = if matches!(operation, Float::Add | Float::Sub) { 0 } else { 2 };
        self.check_exponent(precision, (result, bound), least);
    }

    /// A product and a sum in one rounding. Wasm has it for vectors alone; the engine is set so that it is always exact.
    fn fused(&mut self, precision: Precision, operands: [Word; 3], (result, bound): (Word, Word)) {
        for operand in operands {
            self.push_float(operand, precision);
            let mut sink = self.values.sink();
            match precision {
                Precision::Double => sink.f64x2_splat(),
                Precision::Single => sink.f32x4_splat(),
            };
        }
        let mut sink = self.values.sink();
        match precision {
            Precision::Double => sink.f64x2_relaxed_madd().f64x2_extract_lane(0),
            Precision::Single => sink.f32x4_relaxed_madd().f32x4_extract_lane(0),
        };
        self.set_result(precision, result);
        self.check_exponent(precision, (result, bound), 2);
    }

    /// Goes to the slow path unless the exponent field is at least `least` and the value below the bound.
    fn check_exponent(&mut self, precision: Precision, (result, bound): (Word, Word), least: i64) {
        let (shift, exponent) = match precision {
            Precision::Double => (1, 53),
            Precision::Single => (33, 56),
        };
        self.values.push(result);
        self.values.sink().i64_const(shift).i64_shl();
        if least != 0 {
            self.values.sink().i64_const(least << exponent).i64_sub();
        }
        self.values.push(bound);
        if precision == Precision::Single {
            self.values.sink().i64_const(SINGLE_BOUND).i64_and();
        }
        self.values.sink().i64_ge_u();
        self.values.br_unlikely_if(0);
    }

    fn compare(&mut self, operation: Float, precision: Precision, [a, b, _]: [Word; 3], result: Word) {
        for operand in [a, b] {
            self.push_float(operand, precision);
            self.push_float(operand, precision);
            let mut sink = self.values.sink();
            match precision {
                Precision::Double => sink.f64_ne(),
                Precision::Single => sink.f32_ne(),
            };
            self.values.br_unlikely_if(0);
        }
        self.push_float(a, precision);
        self.push_float(b, precision);
        let mut sink = self.values.sink();
        match (operation, precision) {
            (Float::Equal, Precision::Double) => sink.f64_eq(),
            (Float::Less, Precision::Double) => sink.f64_lt(),
            (_, Precision::Double) => sink.f64_le(),
            (Float::Equal, Precision::Single) => sink.f32_eq(),
            (Float::Less, Precision::Single) => sink.f32_lt(),
            (_, Precision::Single) => sink.f32_le(),
        };
        sink.i64_extend_i32_u();
        self.set_bits(result);
    }

    fn least_or_greatest(&mut self, least: bool, precision: Precision, [a, b, _]: [Word; 3], result: Word) {
        self.push_float(a, precision);
        self.push_float(b, precision);
        let (double, single) = (self.values.locals.f64(), self.values.locals.f32());
        let mut sink = self.values.sink();
        match (precision, least) {
            (Precision::Double, true) => sink.f64_min().local_tee(double).local_get(double).local_get(double).f64_ne(),
            (Precision::Double, false) => sink.f64_max().local_tee(double).local_get(double).local_get(double).f64_ne(),
            (Precision::Single, true) => sink.f32_min().local_tee(single).local_get(single).local_get(single).f32_ne(),
            (Precision::Single, false) => sink.f32_max().local_tee(single).local_get(single).local_get(single).f32_ne(),
        };
        self.values.br_unlikely_if(0);
        self.set_result(precision, result);
    }

    /// Truncates a value that is well inside the range.
    fn truncate(&mut self, operation: Float, precision: Precision, operand: Word, result: Word) {
        let limit: f64 = match operation {
            Float::ToI32 => 2_147_483_648.0,
            Float::ToU32 => 4_294_967_296.0,
            _ => 9_223_372_036_854_775_808.0,
        };
        let double = self.values.locals.f64();
        self.push_float(operand, precision);
        let mut sink = self.values.sink();
        if precision == Precision::Single {
            sink.f64_promote_f32();
        }
        sink.local_set(double);
        if matches!(operation, Float::ToU32 | Float::ToU64) {
            sink.local_get(double).f64_const(0.0.into()).f64_ge().i32_eqz();
            self.values.br_unlikely_if(0);
        }
        self.values.sink().local_get(double).f64_abs().f64_const(limit.into()).f64_lt().i32_eqz();
        self.values.br_unlikely_if(0);
        let mut sink = self.values.sink();
        sink.local_get(double).i64_trunc_sat_f64_s();
        if operation == Float::ToU32 {
            sink.i64_extend32_s();
        }
        self.set_bits(result);
    }

    fn convert_integer(&mut self, operation: Float, precision: Precision, operand: Word) {
        match operation {
            Float::FromI32 | Float::FromU32 => self.values.push_low(operand),
            _ => self.values.push(operand),
        }
        let mut sink = self.values.sink();
        match (operation, precision) {
            (Float::FromI32, Precision::Double) => sink.f64_convert_i32_s(),
            (Float::FromU32, Precision::Double) => sink.f64_convert_i32_u(),
            (Float::FromI64, Precision::Double) => sink.f64_convert_i64_s(),
            (_, Precision::Double) => sink.f64_convert_i64_u(),
            (Float::FromI32, Precision::Single) => sink.f32_convert_i32_s(),
            (Float::FromU32, Precision::Single) => sink.f32_convert_i32_u(),
            (Float::FromI64, Precision::Single) => sink.f32_convert_i64_s(),
            (_, Precision::Single) => sink.f32_convert_i64_u(),
        };
    }

    /// To the other format.
    fn convert(&mut self, from: Precision, operand: Word, (result, bound): (Word, Word)) {
        self.push_float(operand, from);
        match from {
            Precision::Double => {
                self.values.sink().f32_demote_f64();
                self.set_result(Precision::Single, result);
                self.check_exponent(Precision::Single, (result, bound), 2);
            }
            // Exact, but of a NaN.
            Precision::Single => {
                let double = self.values.locals.f64();
                self.values.sink().f64_promote_f32().local_tee(double).local_get(double).local_get(double).f64_ne();
                self.values.br_unlikely_if(0);
                self.set_result(Precision::Double, result);
            }
        }
    }
}
