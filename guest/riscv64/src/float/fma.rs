//! Fused multiply and add.

use super::arithmetic::{Wide, sum_wide, zero_sum};
use super::format::{Class, Format, infinity, invalid, is_nan, is_signalling, nan_result, unpack, zero};
use super::{Flags, Rounding, fast};

/// `a * b + c`, rounded once. The caller flips the signs of `a` and `c` for the other three instructions.
/// An infinity times zero raises NV whatever `c` is.
#[inline]
pub fn fused_multiply_add<F: Format>(a: u64, b: u64, c: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    match fast::fused_multiply_add::<F>(a, b, c, rm, flags) {
        Some(result) => result,
        None => fused_exact::<F>(a, b, c, rm, flags),
    }
}

#[cold]
#[inline(never)]
pub(super) fn fused_exact<F: Format>(a: u64, b: u64, c: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    let (x, y, z) = (unpack::<F>(a), unpack::<F>(b), unpack::<F>(c));
    let no_product = matches!((x.class, y.class), (Class::Infinite, Class::Zero) | (Class::Zero, Class::Infinite));
    if no_product || is_nan::<F>(a) || is_nan::<F>(b) || is_nan::<F>(c) {
        let signalling = is_signalling::<F>(a) || is_signalling::<F>(b) || is_signalling::<F>(c);
        return nan_result::<F>(no_product || signalling, flags);
    }
    let sign = x.sign != y.sign;
    if x.class == Class::Infinite || y.class == Class::Infinite {
        let opposite = z.class == Class::Infinite && z.sign != sign;
        return if opposite { invalid::<F>(flags) } else { infinity::<F>(sign) };
    }
    let zero_product = x.class == Class::Zero || y.class == Class::Zero;
    match (zero_product, z.class) {
        (_, Class::Infinite) => infinity::<F>(z.sign),
        (true, Class::Zero) if sign == z.sign => zero::<F>(sign),
        (true, Class::Zero) => zero_sum::<F>(rm),
        (true, _) => c & F::VALUE_MASK,
        (false, Class::Zero) => Wide::product(&x, &y).round::<F>(rm, flags),
        (false, _) => sum_wide::<F>(Wide::product(&x, &y), Wide::of(&z), rm, flags),
    }
}
