//! IEEE 754 arithmetic with RISC-V's rules (unprivileged ISA, chapters "F" and "D"): exact, in integer code, with a
//! path over the host's own arithmetic where the result and the flags can be told from it.
//!
//! A value is its raw bits in a `u64`; a single is in the low 32 bits, and the upper 32 are zero in results and
//! ignored in operands. NaN results are the canonical NaN. Tininess is detected after rounding.

mod arithmetic;
mod compare;
mod convert;
mod divide;
mod fast;
mod fma;
mod format;
mod round;
#[cfg(test)]
mod tests;

pub use arithmetic::{add, mul, sub};
pub use compare::{classify, eq, le, lt, max, min};
pub use convert::{f32_to_f64, f64_to_f32, from_i32, from_i64, from_u32, from_u64, to_i32, to_i64, to_u32, to_u64};
pub use divide::{div, sqrt};
pub use fma::fused_multiply_add;
pub use format::{Double, Format, Single};

/// Accrued exceptions, as in `fflags`.
pub type Flags = u32;

/// Inexact.
pub const NX: Flags = 1;
/// Underflow.
pub const UF: Flags = 2;
/// Overflow.
pub const OF: Flags = 4;
/// Divide by zero.
pub const DZ: Flags = 8;
/// Invalid operation.
pub const NV: Flags = 16;

/// A rounding mode, with the encoding of `frm` and of an instruction's `rm` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    NearestEven = 0,
    TowardZero = 1,
    Down = 2,
    Up = 3,
    NearestMaxMagnitude = 4,
}

impl Rounding {
    /// The mode of these bits; 5, 6 (reserved) and 7 (dynamic) are none.
    #[inline]
    pub const fn from_bits(bits: u32) -> Option<Rounding> {
        match bits {
            0 => Some(Rounding::NearestEven),
            1 => Some(Rounding::TowardZero),
            2 => Some(Rounding::Down),
            3 => Some(Rounding::Up),
            4 => Some(Rounding::NearestMaxMagnitude),
            _ => None,
        }
    }
}
