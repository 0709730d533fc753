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
