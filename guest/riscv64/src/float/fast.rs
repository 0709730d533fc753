//! The host's arithmetic, taken when it rounds as asked (nearest-even) and the flags can be told: `None` otherwise.
//!
//! All of it rests on the host's `f32` and `f64` operations being those of IEEE 754, which both wasm and the native
//! targets promise for everything but the bits of a NaN; a NaN is never taken from here.

use super::format::{Format, Single, exponent_field};
use super::{Flags, NX, Rounding};

/// Finite, and so large that neither it nor what was rounded to it was below the normal numbers.
#[inline(always)]
fn is_plain<F: Format>(a: u64) -> bool {
    exponent_field::<F>(a).wrapping_sub(2) < F::EXPONENT_MAX - 2
}

#[inline(always)]
fn is_zero<F: Format>(a: u64) -> bool {
    a & (F::SIGN - 1) == 0
}

#[inline(always)]
fn raise_if(inexact: bool, flags: &mut Flags) {
    *flags |= inexact as Flags * NX;
}

/// The significand of a finite value other than zero, without its trailing zeros.
#[inline(always)]
fn odd_part<F: Format>(a: u64) -> u64 {
    let hidden = (exponent_field::<F>(a) != 0) as u64;
    let significand = a & F::FRACTION_MASK | hidden << F::FRACTION_BITS;
    significand >> (significand.trailing_zeros() & 63)
}

#[inline(always)]
fn bits(a: u64) -> u32 {
    64 - a.leading_zeros()
}

#[inline(always)]
pub(super) fn add<F: Format>(a: u64, b: u64, rm: Rounding, flags: &mut Flags) -> Option<u64> {
    if rm != Rounding::NearestEven {
        return None;
    }
    let sum = F::host_add(a, b);
    // A finite sum has finite operands, and one below the normal numbers is exact.
    if exponent_field::<F>(sum) == F::EXPONENT_MAX {
        return None;
    }
    if *flags & NX == 0 {
        raise_if(!F::host_add_exact(a, b, sum)?, flags);
    }
    Some(sum)
}

#[inline(always)]
pub(super) fn mul<F: Format>(a: u64, b: u64, rm: Rounding, flags: &mut Flags) -> Option<u64> {
    if rm != Rounding::NearestEven {
        return None;
    }
    let product = F::host_mul(a, b);
    if !is_plain::<F>(product) {
        let exact_zero = is_zero::<F>(product) && (is_zero::<F>(a) || is_zero::<F>(b));
        return if exact_zero { Some(product) } else { None };
    }
    if *flags & NX == 0 {
        raise_if(!product_is_exact::<F>(a, b), flags);
    }
    Some(product)
}

/// Whether the product's significant bits fit; the factors are finite and not zero.
#[inline(always)]
fn product_is_exact<F: Format>(a: u64, b: u64) -> bool {
    let (x, y) = (odd_part::<F>(a), odd_part::<F>(b));
    bits(x) + bits(y) <= F::PRECISION + 1 && (x * y) >> F::PRECISION == 0
}

#[inline(always)]
pub(super) fn div<F: Format>(a: u64, b: u64, rm: Rounding, flags: &mut Flags) -> Option<u64> {
    if rm != Rounding::NearestEven {
        return None;
    }
    let quotient = F::host_div(a, b);
    if !is_plain::<F>(quotient) {
        let exact_zero = is_zero::<F>(quotient) && is_zero::<F>(a);
        return if exact_zero { Some(quotient) } else { None };
    }
    if *flags & NX == 0 {
        // A plain quotient has finite operands other than zero.
        raise_if(!odd_part::<F>(a).is_multiple_of(odd_part::<F>(b)), flags);
    }
    Some(quotient)
}

#[inline(always)]
pub(super) fn sqrt<F: Format>(a: u64, rm: Rounding, flags: &mut Flags) -> Option<u64> {
    if rm != Rounding::NearestEven {
        return None;
    }
    let root = F::host_sqrt(a);
    if !is_plain::<F>(root) {
        return None;
    }
    if *flags & NX == 0 {
        let odd = odd_part::<F>(root);
        let exact = 2 * bits(odd) <= F::PRECISION + 1 && odd * odd == odd_part::<F>(a);
        raise_if(!exact, flags);
    }
    Some(root)
}

/// To an integer toward zero, as a cast in C asks; `-lowest ..= highest` is the result's range.
#[inline(always)]
pub(super) fn to_integer<F: Format>(a: u64, rm: Rounding, flags: &mut Flags, lowest: u64, highest: u64) -> Option<u64> {
    const LIMIT: f64 = (1u64 << 63) as f64;
    let value = F::to_host(a);
    if rm != Rounding::TowardZero || value.is_nan() || value.abs() >= LIMIT {
        return None;
    }
    let integer = value as i64;
    let end = if integer < 0 { lowest } else { highest };
    if integer.unsigned_abs() > end {
        return None;
    }
    raise_if(integer as f64 != value, flags);
    Some(integer as u64)
}

#[inline(always)]
pub(super) fn f64_to_f32(a: u64, rm: Rounding, flags: &mut Flags) -> Option<u64> {
    let value = f64::from_bits(a);
    let result = value as f32;
    if rm != Rounding::NearestEven || !is_plain::<Single>(result.to_bits() as u64) {
        return None;
    }
    raise_if(result as f64 != value, flags);
    Some(result.to_bits() as u64)
}

#[inline(always)]
pub(super) fn fused_multiply_add<F: Format>(a: u64, b: u64, c: u64, rm: Rounding, flags: &mut Flags) -> Option<u64> {
    if rm != Rounding::NearestEven {
        return None;
    }
    let (result, inexact) = if F::BITS == 32 { fused_single(a, b, c) } else { fused_double(a, b, c)? };
    if !is_plain::<F>(result) {
        return None;
    }
    raise_if(inexact, flags);
    Some(result)
}

/// A double holds the product of two singles, and two bits more than twice a single's: what is rounded to it to odd
/// rounds to a single as the exact sum does.
#[inline(always)]
fn fused_single(a: u64, b: u64, c: u64) -> (u64, bool) {
    let [a, b, c] = [a, b, c].map(|bits| f32::from_bits(bits as u32) as f64);
    let (sum, sum_inexact) = add_to_odd(a * b, c);
    let result = sum as f32;
    (result.to_bits() as u64, sum_inexact || result as f64 != sum)
}

/// The result and whether it is inexact; of operands whose product's every bit is a normal number. From Boldo and
/// Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd" (2008).
#[inline(always)]
fn fused_double(a: u64, b: u64, c: u64) -> Option<(u64, bool)> {
    let moderate = |bits: u64| (bits >> 52 & 0x7ff).wrapping_sub(1023 - 400) <= 800;
    let c_fits = (c >> 52 & 0x7ff).wrapping_sub(1) < 1023 + 900 || c << 1 == 0;
    if !(moderate(a) && moderate(b) && c_fits) {
        return None;
    }
    let (a, b, c) = (f64::from_bits(a), f64::from_bits(b), f64::from_bits(c));
    let (product, product_low) = two_product(a, b);
    let (low, lowest) = two_sum(c, product_low);
    let (high, high_low) = two_sum(product, low);
    let (rest, rest_inexact) = add_to_odd(lowest, high_low);
    let (result, error) = two_sum(high, rest);
    Some((result.to_bits(), rest_inexact || error != 0.0))
}

/// The rounded sum and its error (Knuth).
#[inline(always)]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// The rounded product and its error (Dekker, Veltkamp).
#[inline(always)]
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let split = |value: f64| {
        let scaled = value * 134_217_729.0;
        let high = scaled - (scaled - value);
        (high, value - high)
    };
    let product = a * b;
    let ((a_high, a_low), (b_high, b_low)) = (split(a), split(b));
    (product, a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low))
}

/// The sum rounded to odd, and whether it is inexact: an inexact sum is that neighbour of the exact one whose last
/// bit is set.
#[inline(always)]
fn add_to_odd(a: f64, b: f64) -> (f64, bool) {
    let (sum, error) = two_sum(a, b);
    let inexact = error != 0.0;
    let bits = sum.to_bits();
    if !inexact || bits & 1 != 0 {
        return (sum, inexact);
    }
    let away = (error > 0.0) == (sum > 0.0);
    (f64::from_bits(if away { bits.wrapping_add(1) } else { bits.wrapping_sub(1) }), true)
}
