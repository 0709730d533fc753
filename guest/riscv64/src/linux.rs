//! Linux's view of riscv64: system call registers, program start, signals (asm/unistd.h, asm/elf.h,
//! arch/riscv/kernel/signal.c).

use core::fmt::Write;

use shallop_machine::isa::FrameBytes;
use shallop_machine::{Isa, Registers, SignalFrame};

use crate::registers::{NO_RESERVATION, State, offset, read, write};
use crate::signal_frame::{Context, FRAME_SIZE, INFO_OFFSET, UCONTEXT_OFFSET};

/// The riscv64 personality.
#[derive(Debug, Clone, Copy, Default)]
pub struct Riscv64;

const RA: usize = 1;
const SP: usize = 2;
const TP: usize = 4;
const S0: usize = 8;
const A0: usize = 10;
const A1: usize = 11;
const A2: usize = 12;
const A7: usize = 17;

/// frm and fflags.
const FCSR_MASK: u32 = 0xff;

/// Length of ECALL.
const ECALL_LENGTH: u64 = 4;
/// `li a7, 139` (rt_sigreturn); `ecall`.
static RESTORER: [u8; 8] = [0x93, 0x08, 0xb0, 0x08, 0x73, 0x00, 0x00, 0x00];

/// AT_HWCAP: a bit per letter of the base extensions.
const HWCAP: u64 = letter(b'I') | letter(b'M') | letter(b'A') | letter(b'F') | letter(b'D') | letter(b'C');
const EM_RISCV: u16 = 243;

const NAMES: [&str; 32] = [
    "pc", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2",
    "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
];

const fn letter(letter: u8) -> u64 {
    1 << (letter - b'A')
}

fn x(registers: &Registers, index: usize) -> u64 {
    read(registers, offset::X + 8 * index)
}

fn set_x(registers: &mut Registers, index: usize, value: u64) {
    write(registers, offset::X + 8 * index, value);
}

fn set_pc(registers: &mut Registers, value: u64) {
    write(registers, offset::PC, value);
}

fn set_f(registers: &mut Registers, index: usize, value: u64) {
    write(registers, offset::F + 8 * index, value);
}

/// pc, then x1 to x31, as a frame has them.
fn general(registers: &Registers) -> [u64; 32] {
    let mut general = [0; 32];
    general[0] = read(registers, offset::PC);
    for (index, value) in general.iter_mut().enumerate().skip(1) {
        *value = x(registers, index);
    }
    general
}

impl Isa for Riscv64 {
    fn machine(&self) -> &'static str {
        "riscv64"
    }

    fn elf_machine(&self) -> u16 {
        EM_RISCV
    }

    fn hwcap(&self) -> u64 {
        HWCAP
    }

    fn syscall(&self, registers: &Registers) -> (u64, [u64; 6]) {
        (x(registers, A7), core::array::from_fn(|index| x(registers, A0 + index)))
    }

    fn set_result(&self, registers: &mut Registers, value: i64) {
        set_x(registers, A0, value as u64);
    }

    fn restart_syscall(&self, registers: &mut Registers, number: u64, first_argument: u64) {
        let pc = self.pc(registers).wrapping_sub(ECALL_LENGTH);
        set_pc(registers, pc);
        set_x(registers, A0, first_argument);
        set_x(registers, A7, number);
    }

    fn start(&self, registers: &mut Registers, pc: u64, sp: u64) {
        *registers = Registers::default();
        State::default().store(registers);
        set_pc(registers, pc);
        set_x(registers, SP, sp);
    }

    fn pc(&self, registers: &Registers) -> u64 {
        read(registers, offset::PC)
    }

    fn sp(&self, registers: &Registers) -> u64 {
        x(registers, SP)
    }

    fn links(&self, registers: &Registers) -> (u64, u64) {
        (x(registers, RA), x(registers, S0))
    }

    fn frame_record(&self, frame_pointer: u64) -> u64 {
        frame_pointer.wrapping_sub(16)
    }

    fn is_call(&self, code: [u8; 4]) -> bool {
        let [_, _, low, high] = code;
        let (word, half) = (u32::from_le_bytes(code), u16::from_le_bytes([low, high]));
        // jal ra; jalr ra; c.jalr, whose register is not 0: that would be c.ebreak.
        word & 0xfff == 0x0ef || word & 0x7fff == 0x00e7 || half & 0xf07f == 0x9002 && half != 0x9002
    }

    fn set_clone(&self, registers: &mut Registers, sp: u64, tls: Option<u64>) {
        set_x(registers, A0, 0);
        if sp != 0 {
            set_x(registers, SP, sp);
        }
        if let Some(tls) = tls {
            set_x(registers, TP, tls);
        }
    }

    fn restorer_code(&self) -> &'static [u8] {
        &RESTORER
    }

    fn push_frame(&self, registers: &mut Registers, frame: &SignalFrame<'_>) -> (u64, FrameBytes) {
        let context = Context {
            alt_stack: frame.alt_stack,
            mask: frame.mask,
            general: general(registers),
            floating: core::array::from_fn(|index| read(registers, offset::F + 8 * index)),
            fcsr: read(registers, offset::FCSR) as u32,
        };
        let sp = frame.stack_top.wrapping_sub(FRAME_SIZE as u64) & !15;
        set_pc(registers, frame.handler);
        set_x(registers, RA, frame.restorer);
        set_x(registers, SP, sp);
        set_x(registers, A0, frame.signal as u64);
        set_x(registers, A1, sp.wrapping_add(INFO_OFFSET));
        set_x(registers, A2, sp.wrapping_add(UCONTEXT_OFFSET));
        (sp, context.to_frame(frame.info))
    }

    fn frame_size(&self) -> usize {
        FRAME_SIZE
    }

    fn pop_frame(&self, registers: &mut Registers, frame: &[u8]) -> (u64, (u64, u32, u64)) {
        let context = Context::from_frame(frame);
        set_pc(registers, context.general[0]);
        for index in 1..32 {
            set_x(registers, index, context.general[index]);
        }
        for (index, value) in context.floating.iter().enumerate() {
            set_f(registers, index, *value);
        }
        write(registers, offset::FCSR, (context.fcsr & FCSR_MASK) as u64);
        // A handler ends a reservation of the code that it interrupted.
        write(registers, offset::RESERVATION_ADDRESS, NO_RESERVATION);
        (context.mask, context.alt_stack)
    }

    fn describe(&self, registers: &Registers, out: &mut dyn Write) -> core::fmt::Result {
        let values = general(registers);
        for pair in 0..16 {
            let (left, right) = (2 * pair, 2 * pair + 1);
            let (left_name, right_name) = (NAMES[left], NAMES[right]);
            writeln!(out, "{left_name:>3} {:016x}  {right_name:>3} {:016x}", values[left], values[right])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered() -> Registers {
        let mut registers = Registers::default();
        State::default().store(&mut registers);
        for index in 1..32 {
            set_x(&mut registers, index, 100 + index as u64);
            set_f(&mut registers, index, 200 + index as u64);
        }
        set_pc(&mut registers, 0x1_0000);
        write(&mut registers, offset::FCSR, 0xe3);
        registers
    }

    #[test]
    fn a_frame_enters_the_handler_and_comes_back() {
        let before = numbered();
        let mut registers = before.clone();
        let frame = SignalFrame {
            signal: 10,
            handler: 0x2_0000,
            info: &[9; 128],
            mask: 0x1234,
            alt_stack: (0x7000, 1, 0x2000),
            stack_top: 0x8_0009,
            restorer: 0x3_0000,
        };
        let (address, bytes) = Riscv64.push_frame(&mut registers, &frame);
        assert_eq!(address % 16, 0);
        assert!(address + Riscv64.frame_size() as u64 <= frame.stack_top);
        assert_eq!([Riscv64.pc(&registers), Riscv64.sp(&registers)], [0x2_0000, address]);
        assert_eq!([A0, A1, A2, RA].map(|index| x(&registers, index)), [10, address, address + 128, 0x3_0000]);
        assert_eq!(x(&registers, TP), 104);
        let popped = Riscv64.pop_frame(&mut registers, &bytes.bytes[..bytes.len]);
        assert_eq!(popped, (0x1234, (0x7000, 1, 0x2000)));
        assert!(registers.0 == before.0);
    }

    #[test]
    fn a_call_is_restarted() {
        let mut registers = numbered();
        assert_eq!(Riscv64.syscall(&registers), (117, [110, 111, 112, 113, 114, 115]));
        Riscv64.set_result(&mut registers, -4);
        Riscv64.restart_syscall(&mut registers, 117, 110);
        assert_eq!(Riscv64.syscall(&registers).1[0], 110);
        assert_eq!(Riscv64.pc(&registers), 0xfffc);
    }

    #[test]
    fn a_clone_has_its_own_stack_and_thread_pointer() {
        let mut registers = numbered();
        Riscv64.set_clone(&mut registers, 0, None);
        assert_eq!([A0, SP, TP].map(|index| x(&registers, index)), [0, 102, 104]);
        Riscv64.set_clone(&mut registers, 0x9000, Some(0));
        assert_eq!([SP, TP].map(|index| x(&registers, index)), [0x9000, 0]);
    }

    #[test]
    fn a_report_has_two_registers_a_line() {
        let mut text = String::new();
        Riscv64.describe(&numbered(), &mut text).unwrap();
        assert_eq!(text.lines().count(), 16);
        assert_eq!(text.lines().next(), Some(" pc 0000000000010000   ra 0000000000000065"));
    }

    #[test]
    fn hardware_capabilities_are_imafdc() {
        assert_eq!(Riscv64.hwcap(), 0x112d);
    }
}
