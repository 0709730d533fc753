//! Operands: deterministic, and mostly the values where implementations go wrong.

use crate::emulator::{ENTRY, SCRATCH_LENGTH, State};

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `end - 1`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    /// An integer register's value.
    pub fn integer(&mut self) -> u64 {
        let any = self.next();
        match self.below(4) {
            0 => self.pick(&[
                0,
                1,
                2,
                u64::MAX,
                u64::MAX - 1,
                i64::MAX as u64,
                i64::MIN as u64,
                i32::MAX as u64,
                i32::MIN as u64,
                1 << 31,
                u32::MAX as u64,
                1 << 32,
            ]),
            1 => any >> self.below(64),
            2 => any as i32 as u64,
            _ => any,
        }
    }

    /// A floating-point register's value: a double, or a single in its box, rarely out of it.
    pub fn floating(&mut self) -> u64 {
        match self.below(16) {
            0..=7 => self.double(),
            8..=14 => 0xffff_ffff_0000_0000 | self.single(),
            _ => self.next(),
        }
    }

    pub fn double(&mut self) -> u64 {
        self.value(52, 1023)
    }

    pub fn single(&mut self) -> u64 {
        self.value(23, 127)
    }

    /// A value of a format: specials, subnormals, near one another, short fractions, near integers' limits, any.
    fn value(&mut self, fraction_bits: u32, bias: u64) -> u64 {
        let exponent_max = 2 * bias + 1;
        let fraction_mask = (1u64 << fraction_bits) - 1;
        let sign = self.below(2) * ((exponent_max + 1) << fraction_bits);
        let any = self.next();
        let (exponent, fraction) = match self.below(8) {
            0 => {
                let exponent = self.pick(&[0, 0, 1, bias, bias - 1, exponent_max - 1, exponent_max, exponent_max]);
                (exponent, self.pick(&[0, 0, 1, fraction_mask, fraction_mask / 2 + 1]))
            }
            1 => (0, any & fraction_mask >> self.below(fraction_bits as u64)),
            2 => (bias - 8 + self.below(16), any & fraction_mask),
            3 => (bias - 8 + self.below(16), any & fraction_mask & !(fraction_mask >> self.below(12))),
            4 => {
                (bias - 2 + self.below(70), any & fraction_mask & !(fraction_mask >> self.below(fraction_bits as u64)))
            }
            5 => (self.below(60), any & fraction_mask),
            6 => (self.pick(&[bias / 2, bias + bias / 2]) - 2 + self.below(5), any & fraction_mask),
            _ => (self.below(exponent_max + 1), any & fraction_mask),
        };
        sign | exponent << fraction_bits | fraction
    }

    /// All registers, and the scratch bytes.
    pub fn state(&mut self) -> State {
        let mut x = std::array::from_fn(|_| self.integer());
        x[0] = 0;
        let f = std::array::from_fn(|_| self.floating());
        let mode = if self.below(16) == 0 { 5 + self.below(3) } else { self.below(5) };
        let flags = if self.below(2) == 0 { 0 } else { self.below(32) };
        let mut scratch = [0; SCRATCH_LENGTH];
        for chunk in scratch.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.integer().to_le_bytes());
        }
        State { x, f, fcsr: (mode << 5 | flags) as u32, signal: 0, pc: ENTRY, scratch }
    }
}
