//! One instruction at a time on a [`State`]: for tests and for comparison with other implementations.

use shallop_machine::backend::Width;
use shallop_machine::{Access, Exit};

use crate::decode::{self, Op};
use crate::execute::execute;
use crate::interpreter::{Guest, Interpreter, Leave, prepared};
use crate::registers::{NO_RESERVATION, State, word};

/// Memory of single steps; values are in the low bytes.
pub trait Memory {
    /// Loads `width` bytes, zero-extended; none when they are not readable.
    fn load(&mut self, address: u64, width: Width) -> Option<u64>;
    /// Stores the low `width` bytes; none, with nothing stored, when they are not writable.
    fn store(&mut self, address: u64, value: u64, width: Width) -> Option<()>;
}

/// Bytes at an address, everything else is a fault.
#[derive(Debug, Clone)]
pub struct Span {
    pub base: u64,
    pub bytes: [u8; Span::BYTES],
}

impl Span {
    /// Bytes of a span.
    pub const BYTES: usize = 4096;

    /// Zeroes at `base`.
    pub fn new(base: u64) -> Span {
        Span { base, bytes: [0; Span::BYTES] }
    }

    fn at(&mut self, address: u64, width: Width) -> Option<&mut [u8]> {
        let start = usize::try_from(address.checked_sub(self.base)?).ok()?;
        self.bytes.get_mut(start..start.checked_add(width.bytes() as usize)?)
    }
}

impl Memory for Span {
    fn load(&mut self, address: u64, width: Width) -> Option<u64> {
        let mut value = [0; 8];
        let bytes = self.at(address, width)?;
        value[..bytes.len()].copy_from_slice(bytes);
        Some(u64::from_le_bytes(value))
    }

    fn store(&mut self, address: u64, value: u64, width: Width) -> Option<()> {
        let bytes = self.at(address, width)?;
        bytes.copy_from_slice(&value.to_le_bytes()[..bytes.len()]);
        Some(())
    }
}

/// Executes the instruction at the state's pc.
///
/// After `Syscall` the pc is past the instruction; after every other exit it is the instruction's, and nothing else
/// has changed.
///
/// # Errors
/// The exit, when the instruction makes one.
pub fn interpret_one<M: Memory>(state: &mut State, memory: &mut M) -> Result<(), Exit> {
    let pc = state.pc;
    let op = fetch(pc, memory)?;
    let mut interpreter = Interpreter(Stepped { pc, state, memory, sink: 0, exit: None });
    let left = execute(&mut interpreter, &prepared(op));
    let exit = interpreter.0.exit;
    let past = pc.wrapping_add(u64::from(op.len));
    match left {
        Ok(()) | Err(Leave::FenceI) => state.pc = past,
        Err(Leave::Jump) => state.pc = pc.wrapping_add(op.imm as u64),
        Err(Leave::To | Leave::Deferred) => {}
        Err(Leave::Exit) => state.pc = if exit == Some(Exit::Syscall) { past } else { pc },
    }
    exit.map_or(Ok(()), Err)
}

/// Fetches and decodes the instruction at `pc`.
fn fetch<M: Memory>(pc: u64, memory: &mut M) -> Result<Op, Exit> {
    if pc & 1 != 0 {
        return Err(Exit::Misaligned(Access::Fetch, pc));
    }
    let mut half = |address: u64| load(memory, address, Width::Half, Access::Fetch);
    let low = half(pc)?;
    let high = if decode::is_long(low as u16) { half(pc.wrapping_add(2))? } else { 0 };
    Ok(decode::decode((low | high << 16) as u32))
}

/// Loads from memory, of which there are 4 GiB.
fn load<M: Memory>(memory: &mut M, address: u64, width: Width, access: Access) -> Result<u64, Exit> {
    let fault = Exit::Fault(access, address);
    if address >> 32 != 0 { Err(fault) } else { memory.load(address, width).ok_or(fault) }
}

/// The guest of one step.
struct Stepped<'a, M> {
    /// Address of the instruction.
    pc: u64,
    state: &'a mut State,
    memory: &'a mut M,
    sink: u64,
    exit: Option<Exit>,
}

impl<M: Memory> Guest for Stepped<'_, M> {
    const DEFERS: bool = false;

    fn word(&self, index: usize) -> u64 {
        match index {
            0..=31 => self.state.x[index],
            word::PC => self.state.pc,
            word::F..word::FCSR => self.state.f[index - word::F],
            word::FCSR => u64::from(self.state.fcsr),
            word::RESERVATION_ADDRESS => self.state.reservation_address,
            word::RESERVATION_VALUE => self.state.reservation_value,
            _ => self.sink,
        }
    }

    fn set_word(&mut self, index: usize, value: u64) {
        match index {
            0..=31 => self.state.x[index] = value,
            word::PC => self.state.pc = value,
            word::F..word::FCSR => self.state.f[index - word::F] = value,
            word::FCSR => self.state.fcsr = value as u32,
            word::RESERVATION_ADDRESS => self.state.reservation_address = value,
            word::RESERVATION_VALUE => self.state.reservation_value = value,
            _ => self.sink = value,
        }
    }

    fn pc(&self) -> u64 {
        self.pc
    }

    fn exit(&mut self, exit: Exit) -> Leave {
        self.exit = Some(exit);
        Leave::Exit
    }

    fn load(&mut self, address: u64, width: Width, signed: bool) -> Result<u64, Leave> {
        let value = load(self.memory, address, width, Access::Load).map_err(|exit| self.exit(exit))?;
        Ok(match (signed, width) {
            (true, Width::Byte) => value as i8 as u64,
            (true, Width::Half) => value as i16 as u64,
            (true, Width::Word) => value as i32 as u64,
            _ => value,
        })
    }

    fn store(&mut self, address: u64, value: u64, width: Width) -> Result<(), Leave> {
        let stored = if address >> 32 == 0 { self.memory.store(address, value, width) } else { None };
        stored.ok_or_else(|| self.exit(Exit::Fault(Access::Store, address)))
    }

    fn count(&mut self) -> u64 {
        self.state.counter = self.state.counter.wrapping_add(1);
        self.state.counter
    }
}

/// Drops the state's reservation, as an interruption does.
pub fn drop_reservation(state: &mut State) {
    state.reservation_address = NO_RESERVATION;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::ROWS;

    const CODE: u64 = 0x1000;

    /// Executes `bits` on the state; data is at 0x1100.
    fn step(bits: u32, state: &mut State) -> Result<(), Exit> {
        let mut memory = Span::new(CODE);
        memory.store(CODE, u64::from(bits), Width::Word).unwrap();
        memory.store(CODE + 0x100, 0x8877_6655_4433_2211, Width::Double).unwrap();
        state.pc = CODE;
        interpret_one(state, &mut memory)
    }

    /// A state with `a1` and `a2`.
    fn with(a1: u64, a2: u64) -> State {
        let mut state = State::default();
        (state.x[11], state.x[12]) = (a1, a2);
        state
    }

    #[test]
    fn every_row_executes() {
        let fails = ["ecall", "ebreak"];
        for row in ROWS {
            // CSR 1 is `fflags`; every other open field is 0.
            let is_csr = row.name.starts_with("csr");
            let bits = row.bits | if is_csr { 1 << 20 } else { 0 };
            let mut state = State::default();
            state.x[0] = 0;
            let result = step(bits, &mut state);
            let faults = matches!(result, Err(Exit::Fault(..)));
            assert!(result.is_ok() || faults || fails.contains(&row.name), "{}: {result:?}", row.name);
            assert_eq!(state.x[0], 0, "{}", row.name);
        }
    }

    #[test]
    fn jumps_link_and_clear_the_low_bit() {
        let mut state = with(0x2001, 0);
        step(0x0045_85e7, &mut state).unwrap(); // jalr a1, 4(a1)
        assert_eq!((state.pc, state.x[11]), (0x2004, CODE + 4));
        step(0xff5f_f0ef, &mut state).unwrap(); // jal ra, .-12
        assert_eq!((state.pc, state.x[1]), (CODE - 12, CODE + 4));
    }

    #[test]
    fn loads_extend() {
        let mut state = with(CODE + 0x100, 0);
        step(0x0075_8503, &mut state).unwrap(); // lb a0, 7(a1)
        assert_eq!(state.x[10], 0xffff_ffff_ffff_ff88);
        step(0x0065_d503, &mut state).unwrap(); // lhu a0, 6(a1)
        assert_eq!(state.x[10], 0x8877);
        step(0x0045_a503, &mut state).unwrap(); // lw a0, 4(a1)
        assert_eq!(state.x[10], 0xffff_ffff_8877_6655);
        step(0x0045_e503, &mut state).unwrap(); // lwu a0, 4(a1)
        assert_eq!(state.x[10], 0x8877_6655);
    }

    #[test]
    fn a_lost_reservation_stores_nothing() {
        let mut state = with(CODE + 0x100, 7);
        step(0x1005_b52f, &mut state).unwrap(); // lr.d a0, (a1)
        assert_eq!(state.reservation_address, CODE + 0x100);
        drop_reservation(&mut state);
        step(0x18c5_b52f, &mut state).unwrap(); // sc.d a0, a2, (a1)
        assert_eq!(state.x[10], 1);
    }

    #[test]
    fn faults_leave_the_state_alone() {
        let before = State { pc: CODE, ..with(0x9_0000_0000, 0) };
        let mut state = before.clone();
        let result = step(0x0085_b583, &mut state); // ld a1, 8(a1)
        assert_eq!(result, Err(Exit::Fault(Access::Load, 0x9_0000_0008)));
        assert_eq!(state, before);
        let result = step(0x60c5_b52f, &mut state); // amoand.d a0, a2, (a1)
        assert_eq!(result, Err(Exit::Fault(Access::Store, 0x9_0000_0000)));
        assert_eq!(state, before);
    }

    #[test]
    fn singles_are_boxed() {
        let mut state = State::default();
        state.f[10] = u64::from(1.5_f32.to_bits()) | !0xffff_ffff;
        state.f[11] = u64::from(2.0_f32.to_bits()); // no box
        step(0x00a5_7553, &mut state).unwrap(); // fadd.s fa0, fa0, fa0
        assert_eq!(state.f[10], u64::from(3.0_f32.to_bits()) | !0xffff_ffff);
        step(0x00b5_7653, &mut state).unwrap(); // fadd.s fa2, fa0, fa1
        assert_eq!(state.f[12], 0xffff_ffff_7fc0_0000);
        step(0xe005_8553, &mut state).unwrap(); // fmv.x.w a0, fa1
        assert_eq!(state.x[10], u64::from(2.0_f32.to_bits()));
        step(0x20b5_1653, &mut state).unwrap(); // fsgnjn.s fa2, fa0, fa1
        assert_eq!(state.f[12], u64::from((-3.0_f32).to_bits()) | !0xffff_ffff);
    }

    #[test]
    fn control_registers_are_parts_of_fcsr() {
        let mut state = with(0xff, 0);
        step(0x0025_9573, &mut state).unwrap(); // csrrw a0, frm, a1
        assert_eq!((state.x[10], state.fcsr), (0, 0xe0));
        step(0x0011_6573, &mut state).unwrap(); // csrrsi a0, fflags, 2
        assert_eq!(state.fcsr, 0xe2);
        step(0x0035_b573, &mut state).unwrap(); // csrrc a0, fcsr, a1
        assert_eq!((state.x[10], state.fcsr), (0xe2, 0));
        assert_eq!(step(0x3000_2573, &mut state), Err(Exit::Illegal(0x3000_2573))); // csrr a0, mstatus
        assert_eq!(step(0xc000_1073, &mut state), Err(Exit::Illegal(0xc000_1073))); // csrw cycle, x0
    }
}
