//! The two formats, and a value taken apart.

use super::{Flags, NV};

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Single {}
    impl Sealed for super::Double {}
}

/// binary32.
#[derive(Debug, Clone, Copy)]
pub struct Single;

/// binary64.
#[derive(Debug, Clone, Copy)]
pub struct Double;

/// A binary interchange format, and the host's arithmetic on it. The bodies of the host operations are plain `f32`
/// and `f64` arithmetic (nearest-even, no flags).
pub trait Format: sealed::Sealed {
    /// Width of the whole value, in bits.
    const BITS: u32;
    /// Width of the stored fraction, in bits.
    const FRACTION_BITS: u32;
    /// Exponent bias, also the largest exponent.
    const BIAS: i32;

    /// Significant bits, with the hidden one.
    const PRECISION: u32 = Self::FRACTION_BITS + 1;
    /// Bits of the value, as a mask.
    const VALUE_MASK: u64 = u64::MAX >> (64 - Self::BITS);
    const SIGN: u64 = 1 << (Self::BITS - 1);
    const FRACTION_MASK: u64 = (1 << Self::FRACTION_BITS) - 1;
    /// The largest exponent field: infinities and NaNs.
    const EXPONENT_MAX: u32 = (1 << (Self::BITS - 1 - Self::FRACTION_BITS)) - 1;
    const INFINITY: u64 = (Self::EXPONENT_MAX as u64) << Self::FRACTION_BITS;
    const QUIET: u64 = 1 << (Self::FRACTION_BITS - 1);
    const CANONICAL_NAN: u64 = Self::INFINITY | Self::QUIET;
    /// Exponent of the smallest normal number.
    const EXPONENT_MIN: i32 = 1 - Self::BIAS;

    /// The same value as a host's double; a NaN's bits may change.
    fn to_host(a: u64) -> f64;
    fn host_add(a: u64, b: u64) -> u64;
    fn host_mul(a: u64, b: u64) -> u64;
    fn host_div(a: u64, b: u64) -> u64;
    fn host_sqrt(a: u64) -> u64;
    /// Whether `sum`, the rounded `a + b`, is exact (the error of Knuth's TwoSum is 0); `None` where the computation
    /// of the error overflows.
    fn host_add_exact(a: u64, b: u64, sum: u64) -> Option<bool>;
}

impl Format for Single {
    const BITS: u32 = 32;
    const FRACTION_BITS: u32 = 23;
    const BIAS: i32 = 127;

    #[inline(always)]
    fn to_host(a: u64) -> f64 {
        f32::from_bits(a as u32) as f64
    }

    #[inline(always)]
    fn host_add(a: u64, b: u64) -> u64 {
        (f32::from_bits(a as u32) + f32::from_bits(b as u32)).to_bits() as u64
    }

    #[inline(always)]
    fn host_mul(a: u64, b: u64) -> u64 {
        (f32::from_bits(a as u32) * f32::from_bits(b as u32)).to_bits() as u64
    }

    #[inline(always)]
    fn host_div(a: u64, b: u64) -> u64 {
        (f32::from_bits(a as u32) / f32::from_bits(b as u32)).to_bits() as u64
    }

    #[inline(always)]
    fn host_sqrt(a: u64) -> u64 {
        host_sqrt_single(f32::from_bits(a as u32)).to_bits() as u64
    }

    #[inline(always)]
    fn host_add_exact(a: u64, b: u64, sum: u64) -> Option<bool> {
        let (a, b, sum) = (f32::from_bits(a as u32), f32::from_bits(b as u32), f32::from_bits(sum as u32));
        let part = sum - a;
        let error = (a - (sum - part)) + (b - part);
        if error.is_finite() { Some(error == 0.0) } else { None }
    }
}

impl Format for Double {
    const BITS: u32 = 64;
    const FRACTION_BITS: u32 = 52;
    const BIAS: i32 = 1023;

    #[inline(always)]
    fn to_host(a: u64) -> f64 {
        f64::from_bits(a)
    }

    #[inline(always)]
    fn host_add(a: u64, b: u64) -> u64 {
        (f64::from_bits(a) + f64::from_bits(b)).to_bits()
    }

    #[inline(always)]
    fn host_mul(a: u64, b: u64) -> u64 {
        (f64::from_bits(a) * f64::from_bits(b)).to_bits()
    }

    #[inline(always)]
    fn host_div(a: u64, b: u64) -> u64 {
        (f64::from_bits(a) / f64::from_bits(b)).to_bits()
    }

    #[inline(always)]
    fn host_sqrt(a: u64) -> u64 {
        host_sqrt_double(f64::from_bits(a)).to_bits()
    }

    #[inline(always)]
    fn host_add_exact(a: u64, b: u64, sum: u64) -> Option<bool> {
        let (a, b, sum) = (f64::from_bits(a), f64::from_bits(b), f64::from_bits(sum));
        let part = sum - a;
        let error = (a - (sum - part)) + (b - part);
        if error.is_finite() { Some(error == 0.0) } else { None }
    }
}

/// `core` has no square root; the vector instruction set of wasm gives it in safe code.
#[cfg(target_arch = "wasm32")]
#[target_feature(enable = "simd128")]
fn host_sqrt_double(a: f64) -> f64 {
    use core::arch::wasm32::{f64x2_extract_lane, f64x2_splat, f64x2_sqrt};
    f64x2_extract_lane::<0>(f64x2_sqrt(f64x2_splat(a)))
}

#[cfg(target_arch = "wasm32")]
#[target_feature(enable = "simd128")]
fn host_sqrt_single(a: f32) -> f32 {
    use core::arch::wasm32::{f32x4_extract_lane, f32x4_splat, f32x4_sqrt};
    f32x4_extract_lane::<0>(f32x4_sqrt(f32x4_splat(a)))
}

#[cfg(not(target_arch = "wasm32"))]
#[inline(always)]
fn host_sqrt_double(a: f64) -> f64 {
    a.sqrt()
}

#[cfg(not(target_arch = "wasm32"))]
#[inline(always)]
fn host_sqrt_single(a: f32) -> f32 {
    a.sqrt()
}

/// What a value is, with the numbers of the finite ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Zero,
    Finite,
    Infinite,
    Nan,
}

/// A value taken apart. Of `Class::Finite`: `(-1)^sign * significand * 2^(exponent - 63)`, bit 63 of the significand
/// set; of the others both are 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unpacked {
    pub class: Class,
    pub sign: bool,
    pub exponent: i32,
    pub significand: u64,
}

#[inline]
pub(super) fn exponent_field<F: Format>(a: u64) -> u32 {
    (a >> F::FRACTION_BITS) as u32 & F::EXPONENT_MAX
}

#[inline]
pub(super) fn is_nan<F: Format>(a: u64) -> bool {
    a & (F::VALUE_MASK ^ F::SIGN) > F::INFINITY
}

#[inline]
pub(super) fn is_signalling<F: Format>(a: u64) -> bool {
    is_nan::<F>(a) && a & F::QUIET == 0
}

/// Infinity of this sign.
#[inline]
pub(super) fn infinity<F: Format>(sign: bool) -> u64 {
    signed::<F>(sign, F::INFINITY)
}

/// Zero of this sign.
#[inline]
pub(super) fn zero<F: Format>(sign: bool) -> u64 {
    signed::<F>(sign, 0)
}

#[inline]
pub(super) fn signed<F: Format>(sign: bool, magnitude: u64) -> u64 {
    if sign { F::SIGN | magnitude } else { magnitude }
}

/// The result of an operation with a NaN operand: canonical; NV when `signalling`.
#[inline]
pub(super) fn nan_result<F: Format>(signalling: bool, flags: &mut Flags) -> u64 {
    if signalling {
        *flags |= NV;
    }
    F::CANONICAL_NAN
}

/// The result of an invalid operation.
#[inline]
pub(super) fn invalid<F: Format>(flags: &mut Flags) -> u64 {
    nan_result::<F>(true, flags)
}

pub(super) fn unpack<F: Format>(a: u64) -> Unpacked {
    let sign = a & F::SIGN != 0;
    let fraction = a & F::FRACTION_MASK;
    let field = exponent_field::<F>(a);
    let special = |class| Unpacked { class, sign, exponent: 0, significand: 0 };
    if field == F::EXPONENT_MAX {
        return special(if fraction == 0 { Class::Infinite } else { Class::Nan });
    }
    let shift = 63 - F::FRACTION_BITS;
    if field != 0 {
        let significand = (fraction | 1 << F::FRACTION_BITS) << shift;
        return Unpacked { class: Class::Finite, sign, exponent: field as i32 - F::BIAS, significand };
    }
    if fraction == 0 {
        return special(Class::Zero);
    }
    let left = fraction.leading_zeros();
    let exponent = F::EXPONENT_MIN - (left - shift) as i32;
    Unpacked { class: Class::Finite, sign, exponent, significand: fraction << left }
}
