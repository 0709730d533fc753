//! Comparison, minimum, maximum, classification.

use super::format::{Format, exponent_field, is_nan, is_signalling};
use super::{Flags, NV};

/// Bits as a number that is ordered as the values are; both zeros alike. Not of NaNs.
#[inline]
fn order<F: Format>(a: u64) -> i64 {
    let magnitude = (a & (F::SIGN - 1)) as i64;
    if a & F::SIGN != 0 { -magnitude } else { magnitude }
}

/// The smaller, or the one that is no NaN; -0 is smaller than +0.
#[inline]
pub fn min<F: Format>(a: u64, b: u64, flags: &mut Flags) -> u64 {
    pick::<F>(a, b, flags, |a, b| order::<F>(a) < order::<F>(b) || (order::<F>(a) == order::<F>(b) && a & F::SIGN != 0))
}

/// The larger, or the one that is no NaN; +0 is larger than -0.
#[inline]
pub fn max<F: Format>(a: u64, b: u64, flags: &mut Flags) -> u64 {
    pick::<F>(a, b, flags, |a, b| order::<F>(a) > order::<F>(b) || (order::<F>(a) == order::<F>(b) && a & F::SIGN == 0))
}

#[inline(always)]
fn pick<F: Format>(a: u64, b: u64, flags: &mut Flags, first: impl Fn(u64, u64) -> bool) -> u64 {
    if is_signalling::<F>(a) || is_signalling::<F>(b) {
        *flags |= NV;
    }
    let result = match (is_nan::<F>(a), is_nan::<F>(b)) {
        (true, true) => F::CANONICAL_NAN,
        (true, false) => b,
        (false, true) => a,
        (false, false) if first(a, b) => a,
        (false, false) => b,
    };
    result & F::VALUE_MASK
}

/// `a == b`; only a signalling NaN raises NV.
#[inline]
pub fn eq<F: Format>(a: u64, b: u64, flags: &mut Flags) -> bool {
    if F::to_host(a) == F::to_host(b) {
        return true;
    }
    if is_signalling::<F>(a) || is_signalling::<F>(b) {
        *flags |= NV;
    }
    false
}

/// `a < b`; any NaN raises NV.
#[inline]
pub fn lt<F: Format>(a: u64, b: u64, flags: &mut Flags) -> bool {
    F::to_host(a) < F::to_host(b) || signal_nan::<F>(a, b, flags)
}

/// `a <= b`; any NaN raises NV.
#[inline]
pub fn le<F: Format>(a: u64, b: u64, flags: &mut Flags) -> bool {
    F::to_host(a) <= F::to_host(b) || signal_nan::<F>(a, b, flags)
}

/// Raises NV when an operand is a NaN; false.
#[inline]
fn signal_nan<F: Format>(a: u64, b: u64, flags: &mut Flags) -> bool {
    if is_nan::<F>(a) || is_nan::<F>(b) {
        *flags |= NV;
    }
    false
}

/// The mask of FCLASS: bit 0 -infinity, 1 negative normal, 2 negative subnormal, 3 -0, 4 +0, 5 positive subnormal,
/// 6 positive normal, 7 +infinity, 8 signalling NaN, 9 quiet NaN.
#[inline]
pub fn classify<F: Format>(a: u64) -> u32 {
    if is_nan::<F>(a) {
        return if is_signalling::<F>(a) { 1 << 8 } else { 1 << 9 };
    }
    let field = exponent_field::<F>(a);
    let rank = if field == F::EXPONENT_MAX {
        3
    } else if field != 0 {
        2
    } else if a & F::FRACTION_MASK != 0 {
        1
    } else {
        0
    };
    if a & F::SIGN != 0 { 1 << (3 - rank) } else { 1 << (4 + rank) }
}
