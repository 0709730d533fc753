//! The exact paths against the host's arithmetic, the fast paths against the exact ones, and tricky known values.

use super::arithmetic::{add_exact, mul_exact};
use super::divide::{div_exact, sqrt_exact};
use super::fma::fused_exact;
use super::format::is_nan;
use super::*;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Special values, any bits, short significands, exponents near each other.
    fn value<F: Format>(&mut self) -> u64 {
        let kind = self.next() % 8;
        let any = self.next() & F::VALUE_MASK;
        let near = (F::BIAS as u64 - 32 + self.next() % 64) << F::FRACTION_BITS;
        match kind {
            0 => {
                let magnitudes = [
                    0,
                    1,
                    F::FRACTION_MASK,
                    F::FRACTION_MASK + 1,
                    F::FRACTION_MASK + 2,
                    F::INFINITY - 1,
                    F::INFINITY,
                    F::INFINITY | 1,
                    F::CANONICAL_NAN,
                    (F::BIAS as u64) << F::FRACTION_BITS,
                ];
                magnitudes[(self.next() % 10) as usize] | any & F::SIGN
            }
            1 => any & (F::SIGN | F::FRACTION_MASK),
            2 | 3 => any & (F::SIGN | F::FRACTION_MASK) | near,
            4 => any & (F::SIGN | F::FRACTION_MASK & !(F::FRACTION_MASK >> 5)) | near,
            5 => any & (F::SIGN | F::FRACTION_MASK & !(F::FRACTION_MASK >> (F::FRACTION_BITS / 2))) | near,
            6 => any & (F::SIGN | 7) | near,
            _ => any,
        }
    }
}

fn canonical<F: Format>(a: u64) -> u64 {
    if is_nan::<F>(a) { F::CANONICAL_NAN } else { a }
}

const MODES: [Rounding; 5] =
    [Rounding::NearestEven, Rounding::TowardZero, Rounding::Down, Rounding::Up, Rounding::NearestMaxMagnitude];
const ROUNDS: usize = 200_000;

/// The exact path equals the host's result; the public function equals the exact path, flags too, whether or not NX
/// was set before.
fn check(
    name: &str,
    operands: &[u64],
    host: u64,
    exact: impl Fn(&mut Flags) -> u64,
    public: impl Fn(&mut Flags) -> u64,
) {
    let mut exact_flags = 0;
    let result = exact(&mut exact_flags);
    assert_eq!(result, host, "{name} {operands:x?}: {result:x}, the host has {host:x}");
    for before in [0, NX] {
        let mut flags = before;
        let result = public(&mut flags);
        assert_eq!(result, host, "{name} {operands:x?} fast: {result:x}, the host has {host:x}");
        assert_eq!(flags, exact_flags | before, "{name} {operands:x?}: flags");
    }
}

fn check_format<F: Format>(seed: u64, host_fma: impl Fn(u64, u64, u64) -> u64) {
    let mut random = Random(seed);
    let rm = Rounding::NearestEven;
    for _ in 0..ROUNDS {
        let [a, b, c] = [random.value::<F>(), random.value::<F>(), random.value::<F>()];
        let host = canonical::<F>(F::host_add(a, b));
        check("add", &[a, b], host, |f| add_exact::<F>(a, b, rm, f), |f| add::<F>(a, b, rm, f));
        let host = canonical::<F>(F::host_add(a, b ^ F::SIGN));
        check("sub", &[a, b], host, |f| add_exact::<F>(a, b ^ F::SIGN, rm, f), |f| sub::<F>(a, b, rm, f));
        let host = canonical::<F>(F::host_mul(a, b));
        check("mul", &[a, b], host, |f| mul_exact::<F>(a, b, rm, f), |f| mul::<F>(a, b, rm, f));
        let host = canonical::<F>(F::host_div(a, b));
        check("div", &[a, b], host, |f| div_exact::<F>(a, b, rm, f), |f| div::<F>(a, b, rm, f));
        let host = canonical::<F>(F::host_sqrt(a));
        check("sqrt", &[a], host, |f| sqrt_exact::<F>(a, rm, f), |f| sqrt::<F>(a, rm, f));
        let square = canonical::<F>(F::host_mul(a, a));
        let host = canonical::<F>(F::host_sqrt(square));
        check("sqrt", &[square], host, |f| sqrt_exact::<F>(square, rm, f), |f| sqrt::<F>(square, rm, f));
        // A third operand that cancels much of the product half of the time.
        let c = if c & 2 == 0 { c } else { F::host_mul(a, b) ^ F::SIGN ^ (c & 4) >> 2 };
        let host = canonical::<F>(host_fma(a, b, c));
        check(
            "fma",
            &[a, b, c],
            host,
            |f| fused_exact::<F>(a, b, c, rm, f),
            |f| fused_multiply_add::<F>(a, b, c, rm, f),
        );
    }
}

#[test]
fn doubles_are_those_of_the_host() {
    check_format::<Double>(1, |a, b, c| f64::from_bits(a).mul_add(f64::from_bits(b), f64::from_bits(c)).to_bits());
}

#[test]
fn singles_are_those_of_the_host() {
    check_format::<Single>(2, |a, b, c| {
        let [a, b, c] = [a, b, c].map(|bits| f32::from_bits(bits as u32));
        a.mul_add(b, c).to_bits() as u64
    });
}

/// Of every inexact result, the directed modes give its two neighbours, and the nearest ones one of them.
#[test]
fn directed_modes_enclose_the_result() {
    let mut random = Random(3);
    for _ in 0..ROUNDS {
        let (a, b) = (random.value::<Double>(), random.value::<Double>());
        let run = |rm| {
            let mut flags = 0;
            let result = mul::<Double>(a, b, rm, &mut flags);
            (f64::from_bits(result), flags)
        };
        let [nearest, zero, down, up, away] = MODES.map(run);
        if nearest.0.is_nan() {
            assert!(down.0.is_nan() && up.0.is_nan());
            continue;
        }
        if nearest.1 & NX == 0 {
            assert_eq!([nearest.0; 4].map(f64::to_bits), [zero.0, down.0, up.0, away.0].map(f64::to_bits));
            continue;
        }
        assert!(down.0.next_up() == up.0 || (down.0.abs() == f64::from_bits(1) || up.0.abs() == f64::from_bits(1)));
        assert!(nearest.0 == down.0 || nearest.0 == up.0);
        assert!(away.0 == down.0 || away.0 == up.0);
        assert_eq!(zero.0.to_bits(), if up.0 <= 0.0 && up.0.is_sign_negative() { up.0 } else { down.0 }.to_bits());
    }
}

#[test]
fn conversions_to_integers_saturate() {
    let mut random = Random(4);
    let rm = Rounding::TowardZero;
    for _ in 0..ROUNDS {
        let a = random.value::<Double>();
        let value = f64::from_bits(a);
        let nan = value.is_nan();
        let mut flags = 0;
        assert_eq!(to_i32::<Double>(a, rm, &mut flags), if nan { i32::MAX } else { value as i32 } as u64, "{value:e}");
        assert_eq!(flags & NV != 0, nan || value.trunc() != value as i32 as f64, "{value:e}");
        assert_eq!(flags & NX != 0, flags & NV == 0 && value.fract() != 0.0, "{value:e}");
        let mut flags = 0;
        let expected = if nan { u32::MAX } else { value as u32 } as i32 as u64;
        assert_eq!(to_u32::<Double>(a, rm, &mut flags), expected, "{value:e}");
        assert_eq!(flags & NV != 0, nan || value.trunc() != value as u32 as f64, "{value:e}");
        let expected = if nan { i64::MAX } else { value as i64 } as u64;
        assert_eq!(to_i64::<Double>(a, rm, &mut flags), expected, "{value:e}");
        assert_eq!(to_u64::<Double>(a, rm, &mut flags), if nan { u64::MAX } else { value as u64 }, "{value:e}");
        let single = random.value::<Single>();
        let value = f32::from_bits(single as u32);
        let expected = if value.is_nan() { i64::MAX } else { value as i64 } as u64;
        assert_eq!(to_i64::<Single>(single, rm, &mut flags), expected, "{value:e}");
    }
}

#[test]
fn conversions_round_as_asked() {
    let cases = [(0.5, [0, 0, 0, 1, 1]), (1.5, [2, 1, 1, 2, 2]), (2.5, [2, 2, 2, 3, 3]), (-0.5, [0, 0, -1, 0, -1])];
    for (value, expected) in cases {
        for (rm, expected) in MODES.into_iter().zip(expected) {
            let mut flags = 0;
            assert_eq!(to_i64::<Double>(f64::to_bits(value), rm, &mut flags) as i64, expected, "{value} {rm:?}");
            assert_eq!(flags, NX);
        }
    }
    let mut flags = 0;
    assert_eq!(to_u32::<Double>((-0.25f64).to_bits(), Rounding::TowardZero, &mut flags), 0);
    assert_eq!(flags, NX);
    assert_eq!(to_u32::<Double>((-0.25f64).to_bits(), Rounding::Down, &mut flags), 0);
    assert_eq!(flags, NX | NV);
}

#[test]
fn conversions_between_formats_and_from_integers() {
    let mut random = Random(5);
    let rm = Rounding::NearestEven;
    for _ in 0..ROUNDS {
        let (a, b) = (random.value::<Double>(), random.value::<Single>());
        let mut flags = 0;
        let host = canonical::<Single>((f64::from_bits(a) as f32).to_bits() as u64);
        assert_eq!(f64_to_f32(a, rm, &mut flags), host, "{a:x}");
        let host = canonical::<Double>((f32::from_bits(b as u32) as f64).to_bits());
        assert_eq!(f32_to_f64(b, &mut flags), host, "{b:x}");
        let x = random.next() >> (random.next() % 64);
        for x in [x, x.wrapping_neg()] {
            assert_eq!(from_u64::<Double>(x, rm, &mut flags), (x as f64).to_bits());
            assert_eq!(from_i64::<Double>(x, rm, &mut flags), (x as i64 as f64).to_bits());
            assert_eq!(from_u64::<Single>(x, rm, &mut flags), (x as f32).to_bits() as u64);
            assert_eq!(from_i64::<Single>(x, rm, &mut flags), (x as i64 as f32).to_bits() as u64);
            assert_eq!(from_i32::<Single>(x, rm, &mut flags), (x as i32 as f32).to_bits() as u64);
            assert_eq!(from_u32::<Double>(x, rm, &mut flags), (x as u32 as f64).to_bits());
        }
    }
}

#[test]
fn tininess_is_found_after_rounding() {
    let smallest_normal = Double::FRACTION_MASK + 1;
    // 2^-1022 (1 - 2^-104): with an unbounded exponent it rounds to the smallest normal number.
    let mut flags = 0;
    let above_one = 1.0f64.to_bits() + 1;
    let result = mul::<Double>(Double::FRACTION_MASK, above_one, Rounding::NearestEven, &mut flags);
    assert_eq!((result, flags), (smallest_normal, NX));
    // 2^-1022 (1 - 2^-53): with an unbounded exponent it is exact, and below the smallest normal number.
    let mut flags = 0;
    let below_two = 2.0f64.to_bits() - 1;
    let result = mul::<Double>(smallest_normal >> 1, below_two, Rounding::NearestEven, &mut flags);
    assert_eq!((result, flags), (smallest_normal, NX | UF));
}

#[test]
fn overflow_follows_the_mode() {
    let max = f64::MAX.to_bits();
    let two = 2.0f64.to_bits();
    let expected = [Double::INFINITY, max, max, Double::INFINITY, Double::INFINITY];
    for (rm, expected) in MODES.into_iter().zip(expected) {
        let mut flags = 0;
        assert_eq!(mul::<Double>(max, two, rm, &mut flags), expected, "{rm:?}");
        assert_eq!(flags, OF | NX);
    }
}

#[test]
fn invalid_operations_and_zero_sums() {
    let (inf, one) = (Double::INFINITY, 1.0f64.to_bits());
    let mut flags = 0;
    let nan = Double::CANONICAL_NAN;
    assert_eq!(fused_multiply_add::<Double>(inf, 0, nan, Rounding::NearestEven, &mut flags), nan);
    assert_eq!(flags, NV);
    let mut flags = 0;
    assert_eq!(div::<Double>(one, Double::SIGN, Rounding::NearestEven, &mut flags), inf | Double::SIGN);
    assert_eq!(flags, DZ);
    let mut flags = 0;
    assert_eq!(sub::<Double>(one, one, Rounding::Down, &mut flags), Double::SIGN);
    assert_eq!(sub::<Double>(one, one, Rounding::NearestEven, &mut flags), 0);
    assert_eq!(sqrt::<Double>(Double::SIGN, Rounding::NearestEven, &mut flags), Double::SIGN);
    assert_eq!(flags, 0);
    assert_eq!(sqrt::<Double>(one | Double::SIGN, Rounding::NearestEven, &mut flags), nan);
    assert_eq!(flags, NV);
}

#[test]
fn comparisons_and_classes() {
    let (signalling, quiet) = (Single::INFINITY | 1, Single::CANONICAL_NAN);
    let one = 1.0f32.to_bits() as u64;
    let mut flags = 0;
    assert_eq!(min::<Single>(quiet, one, &mut flags), one);
    assert_eq!(max::<Single>(0, Single::SIGN, &mut flags), 0);
    assert_eq!(min::<Single>(0, Single::SIGN, &mut flags), Single::SIGN);
    assert!(eq::<Single>(0, Single::SIGN, &mut flags));
    assert!(!lt::<Single>(Single::SIGN, 0, &mut flags));
    assert!(le::<Single>(Single::SIGN | one, 0, &mut flags));
    assert!(!eq::<Single>(quiet, quiet, &mut flags));
    assert_eq!(flags, 0);
    assert_eq!(max::<Single>(signalling, one, &mut flags), one);
    assert_eq!(flags, NV);
    let mut flags = 0;
    assert!(!le::<Single>(quiet, one, &mut flags));
    assert_eq!(flags, NV);
    let values = [Single::SIGN | Single::INFINITY, Single::SIGN | one, Single::SIGN | 1, Single::SIGN, 0, 1, one];
    for (bit, value) in values.into_iter().chain([Single::INFINITY, signalling, quiet]).enumerate() {
        assert_eq!(classify::<Single>(value), 1 << bit);
    }
}
