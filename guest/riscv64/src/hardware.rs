//! Floating point by the host's own instructions alone, without a call: where it is easy to tell that the result and
//! the flags are right. Everything else is left to [`crate::float`].

use shallop_machine::backend::{Float, Precision};

use crate::float::{Flags, NX, Rounding};

/// The result, when no flag but those in `flags` can come of the operation.
#[inline(always)]
pub fn calculate(
    operation: Float,
    precision: Precision,
    [a, b, _]: [u64; 3],
    rounding: Rounding,
    flags: Flags,
) -> Option<u64> {
    // Whether the result is inexact can only be neglected when that is flagged already.
    let inexact = flags & NX != 0;
    let nearest = inexact && rounding == Rounding::NearestEven;
    let truncates = inexact && rounding == Rounding::TowardZero;
    match precision {
        Precision::Double => double(operation, f64::from_bits(a), f64::from_bits(b), a, nearest, truncates),
        Precision::Single => {
            single(operation, f32::from_bits(a as u32), f32::from_bits(b as u32), a, nearest, truncates)
        }
    }
}

/// Finite and well above the subnormal numbers.
#[inline(always)]
fn plain_double(value: f64) -> Option<u64> {
    let bits = value.to_bits();
    let exponent = bits >> 52 & 0x7ff;
    (exponent.wrapping_sub(2) < 0x7fd).then_some(bits)
}

/// Finite and well above the subnormal numbers.
#[inline(always)]
fn plain_single(value: f32) -> Option<u64> {
    let bits = value.to_bits();
    let exponent = bits >> 23 & 0xff;
    (exponent.wrapping_sub(2) < 0xfd).then_some(u64::from(bits))
}

#[inline(always)]
fn double(operation: Float, a: f64, b: f64, integer: u64, nearest: bool, truncates: bool) -> Option<u64> {
    let arithmetic = |value: f64| if nearest { plain_double(value) } else { None };
    match operation {
        Float::Add => arithmetic(a + b),
        Float::Sub => arithmetic(a - b),
        Float::Mul => arithmetic(a * b),
        Float::Div => arithmetic(a / b),
        Float::Equal | Float::Less | Float::LessEqual => compare(operation, a, b),
        Float::ToI32 | Float::ToI64 if truncates => to_integer(operation, a),
        Float::FromI32 => Some(f64::from(integer as i32).to_bits()),
        Float::FromU32 => Some(f64::from(integer as u32).to_bits()),
        Float::FromI64 if nearest => Some((integer as i64 as f64).to_bits()),
        Float::FromU64 if nearest => Some((integer as f64).to_bits()),
        Float::Convert if nearest => plain_single(a as f32),
        _ => None,
    }
}

#[inline(always)]
fn single(operation: Float, a: f32, b: f32, integer: u64, nearest: bool, truncates: bool) -> Option<u64> {
    let arithmetic = |value: f32| if nearest { plain_single(value) } else { None };
    match operation {
        Float::Add => arithmetic(a + b),
        Float::Sub => arithmetic(a - b),
        Float::Mul => arithmetic(a * b),
        Float::Div => arithmetic(a / b),
        Float::Equal | Float::Less | Float::LessEqual => compare(operation, f64::from(a), f64::from(b)),
        Float::ToI32 | Float::ToI64 if truncates => to_integer(operation, f64::from(a)),
        Float::FromI32 if nearest => Some(u64::from((integer as i32 as f32).to_bits())),
        Float::FromU32 if nearest => Some(u64::from((integer as u32 as f32).to_bits())),
        Float::FromI64 if nearest => Some(u64::from((integer as i64 as f32).to_bits())),
        Float::FromU64 if nearest => Some(u64::from((integer as f32).to_bits())),
        Float::Convert => plain_double(f64::from(a)),
        _ => None,
    }
}

/// Compares values of which none is a NaN.
#[inline(always)]
fn compare(operation: Float, a: f64, b: f64) -> Option<u64> {
    if a.is_nan() || b.is_nan() {
        return None;
    }
    Some(u64::from(match operation {
        Float::Equal => a == b,
        Float::Less => a < b,
        _ => a <= b,
    }))
}

/// Truncates a value that is well inside the range.
#[inline(always)]
fn to_integer(operation: Float, a: f64) -> Option<u64> {
    let limit = if operation == Float::ToI32 { 2_147_483_648.0 } else { 9_223_372_036_854_775_808.0 };
    (a < limit && a > -limit).then_some(a as i64 as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::float::{self, Double, Single};

    const VALUES: &[f64] = &[
        0.0,
        -0.0,
        1.0,
        -1.5,
        3.0,
        1e300,
        -1e300,
        1e-300,
        2.5e-308,
        5e-324,
        0.1,
        1e18,
        2147483647.5,
        2147483648.0,
        9.3e18,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        1e38,
        3.5e38,
        1.2e-38,
        1e-45,
    ];
    const MODES: [Rounding; 3] = [Rounding::NearestEven, Rounding::TowardZero, Rounding::Up];

    /// What `float` makes of it.
    fn exact(operation: Float, precision: Precision, [a, b, _]: [u64; 3], rm: Rounding, flags: &mut Flags) -> u64 {
        macro_rules! of {
            ($format:ty) => {
                match operation {
                    Float::Add => float::add::<$format>(a, b, rm, flags),
                    Float::Sub => float::sub::<$format>(a, b, rm, flags),
                    Float::Mul => float::mul::<$format>(a, b, rm, flags),
                    Float::Div => float::div::<$format>(a, b, rm, flags),
                    Float::Equal => u64::from(float::eq::<$format>(a, b, flags)),
                    Float::Less => u64::from(float::lt::<$format>(a, b, flags)),
                    Float::LessEqual => u64::from(float::le::<$format>(a, b, flags)),
                    Float::ToI32 => float::to_i32::<$format>(a, rm, flags),
                    Float::ToI64 => float::to_i64::<$format>(a, rm, flags),
                    Float::FromI32 => float::from_i32::<$format>(a, rm, flags),
                    Float::FromU32 => float::from_u32::<$format>(a, rm, flags),
                    Float::FromI64 => float::from_i64::<$format>(a, rm, flags),
                    _ => float::from_u64::<$format>(a, rm, flags),
                }
            };
        }
        match (operation, precision) {
            (Float::Convert, Precision::Single) => float::f32_to_f64(a, flags),
            (Float::Convert, Precision::Double) => float::f64_to_f32(a, rm, flags),
            (_, Precision::Single) => of!(Single),
            (_, Precision::Double) => of!(Double),
        }
    }

    #[test]
    fn what_is_taken_is_what_float_gives() {
        use Float::*;
        let operations =
            [Add, Sub, Mul, Div, Equal, Less, LessEqual, ToI32, ToI64, FromI32, FromU32, FromI64, FromU64, Convert];
        let mut taken = 0;
        for operation in operations {
            for precision in [Precision::Single, Precision::Double] {
                let bits = |value: f64| match precision {
                    Precision::Single => u64::from((value as f32).to_bits()),
                    Precision::Double => value.to_bits(),
                };
                for (a, b) in VALUES.iter().flat_map(|a| VALUES.iter().map(move |b| (*a, *b))) {
                    for (rm, before) in MODES.iter().flat_map(|rm| [(*rm, 0), (*rm, NX)]) {
                        let operands = [bits(a), bits(b), 0];
                        let Some(value) = calculate(operation, precision, operands, rm, before) else { continue };
                        let mut flags = before;
                        let expected = exact(operation, precision, operands, rm, &mut flags);
                        assert_eq!((value, before), (expected, flags), "{operation:?} {precision:?} {a} {b} {rm:?}");
                        taken += 1;
                    }
                }
            }
        }
        assert!(taken > 5000);
    }
}
