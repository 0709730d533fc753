//! Rounding a significand of any length to a format.

use super::format::{Format, signed};
use super::{Flags, NX, OF, Rounding, UF};

/// Whether a magnitude is to be rounded away from zero: `rest` are the bits below the last kept one, `half` the value
/// of the highest of them.
#[inline]
pub(super) fn rounds_up(rm: Rounding, sign: bool, odd: bool, rest: u64, half: u64) -> bool {
    match rm {
        Rounding::NearestEven => rest > half || (rest == half && odd),
        Rounding::NearestMaxMagnitude => rest >= half,
        Rounding::TowardZero => false,
        Rounding::Down => sign && rest != 0,
        Rounding::Up => !sign && rest != 0,
    }
}

/// `value >> count`, the last bit set if any bit was lost.
#[inline]
pub(super) fn shift_right_sticky(value: u128, count: u32) -> u128 {
    if count == 0 {
        value
    } else if count < 128 {
        value >> count | (value << (128 - count) != 0) as u128
    } else {
        (value != 0) as u128
    }
}

/// Rounds `(-1)^sign * value * 2^(exponent - 127)`, value not 0, to the format. The last bit of `value` may be
/// sticky.
pub(super) fn round_wide<F: Format>(sign: bool, exponent: i32, value: u128, rm: Rounding, flags: &mut Flags) -> u64 {
    let left = value.leading_zeros();
    let value = value << left;
    let significand = (value >> 64) as u64 | (value as u64 != 0) as u64;
    round::<F>(sign, exponent - left as i32, significand, rm, flags)
}

/// Rounds `(-1)^sign * significand * 2^(exponent - 63)` to the format. Bit 63 is set; the last bit may be sticky.
pub(super) fn round<F: Format>(sign: bool, exponent: i32, significand: u64, rm: Rounding, flags: &mut Flags) -> u64 {
    let extra = 64 - F::PRECISION;
    let half = 1u64 << (extra - 1);
    let below = (1u64 << extra) - 1;
    let kept = significand >> extra;
    let rest = significand & below;
    let up = rounds_up(rm, sign, kept & 1 != 0, rest, half);
    if exponent < F::EXPONENT_MIN {
        let reaches_normal = exponent == F::EXPONENT_MIN - 1 && up && kept + 1 == 1 << F::PRECISION;
        let shift = F::EXPONENT_MIN.saturating_sub(exponent).min(64) as u32;
        let shifted = shift_right_sticky(significand as u128, shift) as u64;
        return round_subnormal::<F>(sign, shifted, !reaches_normal, rm, flags);
    }
    let mut exponent = exponent;
    let mut kept = kept + up as u64;
    if kept == 1 << F::PRECISION {
        kept >>= 1;
        exponent += 1;
    }
    if exponent > F::BIAS {
        return overflow::<F>(sign, rm, flags);
    }
    if rest != 0 {
        *flags |= NX;
    }
    let field = (exponent + F::BIAS) as u64;
    signed::<F>(sign, field << F::FRACTION_BITS | kept & F::FRACTION_MASK)
}

/// A result below the normal numbers: `significand` has its binary point where the smallest normal number has it.
fn round_subnormal<F: Format>(sign: bool, significand: u64, tiny: bool, rm: Rounding, flags: &mut Flags) -> u64 {
    let extra = 64 - F::PRECISION;
    let kept = significand >> extra;
    let rest = significand & ((1u64 << extra) - 1);
    let up = rounds_up(rm, sign, kept & 1 != 0, rest, 1 << (extra - 1));
    if rest != 0 {
        *flags |= NX;
        if tiny {
            *flags |= UF;
        }
    }
    // A carry into the hidden bit is the smallest normal number's encoding.
    signed::<F>(sign, kept + up as u64)
}

fn overflow<F: Format>(sign: bool, rm: Rounding, flags: &mut Flags) -> u64 {
    *flags |= OF | NX;
    let to_infinity = match rm {
        Rounding::NearestEven | Rounding::NearestMaxMagnitude => true,
        Rounding::TowardZero => false,
        Rounding::Down => sign,
        Rounding::Up => !sign,
    };
    signed::<F>(sign, if to_infinity { F::INFINITY } else { F::INFINITY - 1 })
}
