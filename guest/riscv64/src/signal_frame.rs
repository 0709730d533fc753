//! Linux's riscv `struct rt_sigframe` (arch/riscv/kernel/signal.c, asm/sigcontext.h, asm/ucontext.h): its layout, to
//! bytes and back.
//!
//! ```text
//!    0  siginfo_t info                       128 bytes
//!  128  struct ucontext uc
//!         +0    uc_flags, uc_link            8 + 8
//!         +16   uc_stack                     ss_sp 8, ss_flags 4, 4 of padding, ss_size 8
//!         +40   uc_sigmask                   8, then room for a mask of 1024 bits
//!         +176  uc_mcontext                  aligned to 16
//!                 +0    pc, x1 ... x31       32 * 8
//!                 +256  f0 ... f31, fcsr     32 * 8 + 4, in a union as long as the Q extension's state: 528
//! 1088
//! ```

use shallop_machine::isa::FrameBytes;

/// Length of the frame.
pub const FRAME_SIZE: usize = 1088;
/// Offset of the `siginfo_t`.
pub const INFO_OFFSET: u64 = 0;
/// Offset of the `ucontext`.
pub const UCONTEXT_OFFSET: u64 = 128;

const STACK: usize = 128 + 16;
const MASK: usize = 128 + 40;
const GENERAL: usize = 128 + 176;
const FLOATING: usize = GENERAL + 256;
const FCSR: usize = FLOATING + 256;

/// What a frame holds, but for the `siginfo_t`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// `uc_stack`: sp, flags, size.
    pub alt_stack: (u64, u32, u64),
    /// `uc_sigmask`.
    pub mask: u64,
    /// pc, then x1 to x31.
    pub general: [u64; 32],
    pub floating: [u64; 32],
    pub fcsr: u32,
}

impl Context {
    /// The frame's bytes.
    pub fn to_frame(&self, info: &[u8; 128]) -> FrameBytes {
        let mut bytes = [0u8; 2048];
        bytes[..128].copy_from_slice(info);
        put(&mut bytes, STACK, self.alt_stack.0);
        put(&mut bytes, STACK + 8, self.alt_stack.1 as u64);
        put(&mut bytes, STACK + 16, self.alt_stack.2);
        put(&mut bytes, MASK, self.mask);
        for index in 0..32 {
            put(&mut bytes, GENERAL + 8 * index, self.general[index]);
            put(&mut bytes, FLOATING + 8 * index, self.floating[index]);
        }
        put(&mut bytes, FCSR, self.fcsr as u64);
        FrameBytes { bytes, len: FRAME_SIZE }
    }

    /// What a program left in its frame. Of a frame cut short, the missing bytes are zeros.
    pub fn from_frame(frame: &[u8]) -> Context {
        let mut general = [0; 32];
        let mut floating = [0; 32];
        for index in 0..32 {
            general[index] = get(frame, GENERAL + 8 * index);
            floating[index] = get(frame, FLOATING + 8 * index);
        }
        Context {
            alt_stack: (get(frame, STACK), get(frame, STACK + 8) as u32, get(frame, STACK + 16)),
            mask: get(frame, MASK),
            general,
            floating,
            fcsr: get(frame, FCSR) as u32,
        }
    }
}

fn put(bytes: &mut [u8; 2048], offset: usize, value: u64) {
    bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
}

fn get(frame: &[u8], offset: usize) -> u64 {
    let word = frame.get(offset..offset + 8).and_then(|bytes| bytes.try_into().ok());
    word.map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_survives_the_round_trip() {
        let context = Context {
            alt_stack: (0x1000, 2, 0x4000),
            mask: 1 << 63 | 5,
            general: core::array::from_fn(|index| index as u64 * 3),
            floating: core::array::from_fn(|index| !(index as u64)),
            fcsr: 0xff,
        };
        let frame = context.to_frame(&[7; 128]);
        assert_eq!(frame.len, 1088);
        assert_eq!(frame.bytes[..128], [7; 128]);
        assert_eq!(Context::from_frame(&frame.bytes[..frame.len]), context);
        assert_eq!(Context::from_frame(&[]).general, [0; 32]);
    }

    /// Offsets that a C program sees with glibc's <ucontext.h>.
    #[test]
    fn fields_are_where_linux_has_them() {
        let mut context = Context::from_frame(&[]);
        context.mask = 0x11;
        context.general[0] = 0x22;
        context.floating[0] = 0x33;
        context.fcsr = 0x44;
        context.alt_stack = (0x55, 0x66, 0x77);
        let frame = context.to_frame(&[0; 128]).bytes;
        let at = |offset: usize| frame[128 + offset];
        assert_eq!(
            [at(16), at(24), at(32), at(40), at(176), at(432), at(688)],
            [0x55, 0x66, 0x77, 0x11, 0x22, 0x33, 0x44]
        );
    }
}
