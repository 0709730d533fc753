//! Addition, subtraction, multiplication.

use super::format::{Class, Format, Unpacked, infinity, invalid, is_nan, is_signalling, nan_result, unpack, zero};
use super::round::{round_wide, shift_right_sticky};
use super::{Flags, Rounding, fast};

/// A magnitude on its way to be rounded: `(-1)^sign * value * 2^(exponent - 126)`, bit 126 set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wide {
    pub sign: bool,
    pub exponent: i32,
    pub value: u128,
}

impl Wide {
    /// A finite value other than zero.
    pub(super) fn of(a: &Unpacked) -> Wide {
        Wide { sign: a.sign, exponent: a.exponent, value: (a.significand as u128) << 63 }
    }

    /// The exact product of two finite values other than zero.
    pub(super) fn product(a: &Unpacked, b: &Unpacked) -> Wide {
        let sign = a.sign != b.sign;
        let exponent = a.exponent + b.exponent;
        // No format fills more than 53 bits of a significand: the low bit of the product is 0.
        let value = (a.significand as u128 * b.significand as u128) >> 1;
        if value >> 126 != 0 {
            Wide { sign, exponent: exponent + 1, value }
        } else {
            Wide { sign, exponent, value: value << 1 }
        }
    }

    pub(super) fn round<F: Format>(self, rm: Rounding, flags: &mut Flags) -> u64 {
        round_wide::<F>(self.sign, self.exponent + 1, self.value, rm, flags)
    }
}

/// The sign of an exact zero sum of two values of unlike signs.
#[inline]
pub(super) fn zero_sum<F: Format>(rm: Rounding) -> u64 {
    zero::<F>(rm == Rounding::Down)
}

/// Rounds `a + b`.
pub(super) fn sum_wide<F: Format>(a: Wide, b: Wide, rm: Rounding, flags: &mut Flags) -> u64 {
    let a_is_larger = (a.exponent, a.value) >= (b.exponent, b.value);
    let (large, small) = if a_is_larger { (a, b) } else { (b, a) };
    // Sticky only ever replaces bits far below the last kept one: a difference of exponents of 2 or more leaves at
    // most one leading bit to cancel, and a smaller difference loses no bit.
    let aligned = shift_right_sticky(small.value, (large.exponent - small.exponent) as u32);
    let value = if large.sign == small.sign { large.value + aligned } else { large.value - aligned };
    if value == 0 {
        return zero_sum::<F>(rm);
    }
    Wide { value, ..large }.round::<F>(rm, flags)
}

/// `a + b`.
#[inline]
pub fn add<F: Format>(a: u64, b: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    match fast::add::<F>(a, b, rm, flags) {
        Some(result) => result,
        None => add_exact::<F>(a, b, rm, flags),
    }
}

/// `a - b`.
#[inline]
pub fn sub<F: Format>(a: u64, b: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    // Whether a NaN signals does not hang on its sign.
    add::<F>(a, b ^ F::SIGN, rm, flags)
}

/// `a * b`.
#[inline]
pub fn mul<F: Format>(a: u64, b: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    match fast::mul::<F>(a, b, rm, flags) {
        Some(result) => result,
        None => mul_exact::<F>(a, b, rm, flags),
    }
}

#[cold]
#[inline(never)]
pub(super) fn add_exact<F: Format>(a: u64, b: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    let (x, y) = (unpack::<F>(a), unpack::<F>(b));
    match (x.class, y.class) {
        (Class::Nan, _) | (_, Class::Nan) => nan_result::<F>(is_signalling::<F>(a) || is_signalling::<F>(b), flags),
        (Class::Infinite, Class::Infinite) if x.sign != y.sign => invalid::<F>(flags),
        (Class::Infinite, _) => infinity::<F>(x.sign),
        (_, Class::Infinite) => infinity::<F>(y.sign),
        (Class::Zero, Class::Zero) if x.sign == y.sign => zero::<F>(x.sign),
        (Class::Zero, Class::Zero) => zero_sum::<F>(rm),
        (Class::Zero, Class::Finite) => b & F::VALUE_MASK,
        (Class::Finite, Class::Zero) => a & F::VALUE_MASK,
        (Class::Finite, Class::Finite) => sum_wide::<F>(Wide::of(&x), Wide::of(&y), rm, flags),
    }
}

#[cold]
#[inline(never)]
pub(super) fn mul_exact<F: Format>(a: u64, b: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    if is_nan::<F>(a) || is_nan::<F>(b) {
        return nan_result::<F>(is_signalling::<F>(a) || is_signalling::<F>(b), flags);
    }
    let (x, y) = (unpack::<F>(a), unpack::<F>(b));
    let sign = x.sign != y.sign;
    match (x.class, y.class) {
        (Class::Infinite, Class::Zero) | (Class::Zero, Class::Infinite) => invalid::<F>(flags),
        (Class::Infinite, _) | (_, Class::Infinite) => infinity::<F>(sign),
        (Class::Zero, _) | (_, Class::Zero) => zero::<F>(sign),
        _ => Wide::product(&x, &y).round::<F>(rm, flags),
    }
}
