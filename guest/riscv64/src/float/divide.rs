//! Division and square root.

use super::format::{Class, Format, Unpacked, infinity, invalid, is_signalling, nan_result, unpack, zero};
use super::round::round_wide;
use super::{DZ, Flags, Rounding, fast};

/// `a / b`.
#[inline]
pub fn div<F: Format>(a: u64, b: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    match fast::div::<F>(a, b, rm, flags) {
        Some(result) => result,
        None => div_exact::<F>(a, b, rm, flags),
    }
}

/// The square root of `a`.
#[inline]
pub fn sqrt<F: Format>(a: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    match fast::sqrt::<F>(a, rm, flags) {
        Some(result) => result,
        None => sqrt_exact::<F>(a, rm, flags),
    }
}

#[cold]
#[inline(never)]
pub(super) fn div_exact<F: Format>(a: u64, b: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    let (x, y) = (unpack::<F>(a), unpack::<F>(b));
    let sign = x.sign != y.sign;
    match (x.class, y.class) {
        (Class::Nan, _) | (_, Class::Nan) => nan_result::<F>(is_signalling::<F>(a) || is_signalling::<F>(b), flags),
        (Class::Infinite, Class::Infinite) | (Class::Zero, Class::Zero) => invalid::<F>(flags),
        (Class::Infinite, _) => infinity::<F>(sign),
        (Class::Zero, _) | (_, Class::Infinite) => zero::<F>(sign),
        (Class::Finite, Class::Zero) => {
            *flags |= DZ;
            infinity::<F>(sign)
        }
        (Class::Finite, Class::Finite) => quotient::<F>(&x, &y, sign, rm, flags),
    }
}

/// The quotient of two finite values other than zero.
fn quotient<F: Format>(x: &Unpacked, y: &Unpacked, sign: bool, rm: Rounding, flags: &mut Flags) -> u64 {
    let numerator = (x.significand as u128) << 63;
    let divisor = y.significand as u128;
    let quotient = numerator / divisor;
    let sticky = (numerator - quotient * divisor != 0) as u128;
    // The quotient is 2^63 times a number between 1/2 and 2; one more bit below holds the remainder.
    round_wide::<F>(sign, x.exponent - y.exponent + 63, quotient << 1 | sticky, rm, flags)
}

#[cold]
#[inline(never)]
pub(super) fn sqrt_exact<F: Format>(a: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    let x = unpack::<F>(a);
    match x.class {
        Class::Nan => nan_result::<F>(is_signalling::<F>(a), flags),
        Class::Zero => zero::<F>(x.sign),
        _ if x.sign => invalid::<F>(flags),
        Class::Infinite => infinity::<F>(false),
        Class::Finite => root::<F>(&x, rm, flags),
    }
}

/// The root of a positive finite value.
fn root<F: Format>(x: &Unpacked, rm: Rounding, flags: &mut Flags) -> u64 {
    let odd = x.exponent & 1;
    // An even exponent, and a radicand in [2^126, 2^128): its root is in [2^63, 2^64).
    let radicand = (x.significand as u128) << (63 + odd);
    let root = integer_root(radicand);
    let sticky = (root as u128 * root as u128 != radicand) as u128;
    round_wide::<F>(false, (x.exponent - odd) / 2 + 63, (root as u128) << 1 | sticky, rm, flags)
}

/// The floor of the square root of a number of at least 2^126.
fn integer_root(radicand: u128) -> u64 {
    let mut root = 0u64;
    let mut remainder = 0u128;
    for step in 0..64 {
        remainder = remainder << 2 | radicand >> (126 - 2 * step) & 3;
        let trial = (root as u128) << 2 | 1;
        root <<= 1;
        if remainder >= trial {
            remainder -= trial;
            root |= 1;
        }
    }
    root
}
