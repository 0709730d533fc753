//! Between the formats, and between them and integers.

use super::format::{
    Class, Double, Format, Single, exponent_field, infinity, is_signalling, nan_result, signed, unpack, zero,
};
use super::round::{round, rounds_up};
use super::{Flags, NV, NX, Rounding, fast};

/// The magnitude of a finite value rounded to an integer (saturated at 2^64), and whether it was inexact.
#[inline]
fn rounded_magnitude(sign: bool, exponent: i32, significand: u64, rm: Rounding) -> (u64, bool) {
    let (integer, rest) = match exponent {
        63 => (significand, 0),
        0..=62 => (significand >> (63 - exponent), significand << (exponent + 1)),
        -1 => (0, significand),
        i32::MIN..=-2 => (0, 1),
        64.. => return (u64::MAX, false),
    };
    let up = rounds_up(rm, sign, integer & 1 != 0, rest, 1 << 63);
    (integer + up as u64, rest != 0)
}

/// To an integer of the range `-lowest ..= highest`; out of range, NaN: NV and the nearer end (the highest for NaN).
#[inline]
fn to_integer<F: Format>(a: u64, rm: Rounding, flags: &mut Flags, lowest: u64, highest: u64) -> u64 {
    if let Some(result) = fast::to_integer::<F>(a, rm, flags, lowest, highest) {
        return result;
    }
    let x = unpack::<F>(a);
    let (magnitude, inexact, in_range) = match x.class {
        Class::Zero => return 0,
        Class::Nan => {
            *flags |= NV;
            return highest;
        }
        Class::Infinite => (u64::MAX, false, false),
        Class::Finite => {
            let (magnitude, inexact) = rounded_magnitude(x.sign, x.exponent, x.significand, rm);
            (magnitude, inexact, x.exponent < 64)
        }
    };
    let end = if x.sign { lowest } else { highest };
    let magnitude = if in_range && magnitude <= end {
        *flags |= inexact as Flags * NX;
        magnitude
    } else {
        *flags |= NV;
        end
    };
    if x.sign { magnitude.wrapping_neg() } else { magnitude }
}

/// FCVT.W: the result is sign-extended.
#[inline]
pub fn to_i32<F: Format>(a: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    to_integer::<F>(a, rm, flags, 1 << 31, i32::MAX as u64)
}

/// FCVT.WU: the result is sign-extended from bit 31, too.
#[inline]
pub fn to_u32<F: Format>(a: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    to_integer::<F>(a, rm, flags, 0, u32::MAX as u64) as i32 as u64
}

/// FCVT.L.
#[inline]
pub fn to_i64<F: Format>(a: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    to_integer::<F>(a, rm, flags, 1 << 63, i64::MAX as u64)
}

/// FCVT.LU.
#[inline]
pub fn to_u64<F: Format>(a: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    to_integer::<F>(a, rm, flags, 0, u64::MAX)
}

#[inline]
fn from_magnitude<F: Format>(sign: bool, magnitude: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    if magnitude == 0 {
        return 0;
    }
    let left = magnitude.leading_zeros();
    if 64 - left <= F::PRECISION {
        let fraction = magnitude << (F::PRECISION + left - 64) & F::FRACTION_MASK;
        let field = (F::BIAS + 63 - left as i32) as u64;
        return signed::<F>(sign, field << F::FRACTION_BITS | fraction);
    }
    round::<F>(sign, 63 - left as i32, magnitude << left, rm, flags)
}

/// FCVT from W: the low 32 bits of `x`.
#[inline]
pub fn from_i32<F: Format>(x: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    from_i64::<F>(x as i32 as u64, rm, flags)
}

/// FCVT from WU: the low 32 bits of `x`.
#[inline]
pub fn from_u32<F: Format>(x: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    from_magnitude::<F>(false, x as u32 as u64, rm, flags)
}

/// FCVT from L.
#[inline]
pub fn from_i64<F: Format>(x: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    from_magnitude::<F>((x as i64) < 0, (x as i64).unsigned_abs(), rm, flags)
}

/// FCVT from LU.
#[inline]
pub fn from_u64<F: Format>(x: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    from_magnitude::<F>(false, x, rm, flags)
}

/// FCVT.D.S: exact.
#[inline]
pub fn f32_to_f64(a: u64, flags: &mut Flags) -> u64 {
    if exponent_field::<Single>(a).wrapping_sub(1) < Single::EXPONENT_MAX - 1 {
        return (f32::from_bits(a as u32) as f64).to_bits();
    }
    let x = unpack::<Single>(a);
    match x.class {
        Class::Nan => nan_result::<Double>(is_signalling::<Single>(a), flags),
        Class::Infinite => infinity::<Double>(x.sign),
        Class::Zero => zero::<Double>(x.sign),
        Class::Finite => round::<Double>(x.sign, x.exponent, x.significand, Rounding::NearestEven, flags),
    }
}

/// FCVT.S.D.
#[inline]
pub fn f64_to_f32(a: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    if let Some(result) = fast::f64_to_f32(a, rm, flags) {
        return result;
    }
    let x = unpack::<Double>(a);
    match x.class {
        Class::Nan => nan_result::<Single>(is_signalling::<Double>(a), flags),
        Class::Infinite => infinity::<Single>(x.sign),
        Class::Zero => zero::<Single>(x.sign),
        Class::Finite => round::<Single>(x.sign, x.exponent, x.significand, rm, flags),
    }
}
