//! The crate's own single step, on the emulator's terms.

use shallop_machine::Exit;
use shallop_machine::backend::Width;
use shallop_riscv64::registers;
use shallop_riscv64::single_step::{Memory, Span, interpret_one};

use crate::emulator::{Case, ENTRY, SCRATCH, SCRATCH_LENGTH, SIGBUS, SIGILL, SIGSEGV, SIGTRAP, State};

const PAGE: u64 = SCRATCH & !0xfff;
/// Start and end of the breakpoints around the instruction.
const CODE: u64 = ENTRY - 0x20_0000;
const CODE_END: u64 = ENTRY + 0x20_0000;

/// The oracle's page of scratch bytes, and the instruction.
struct Layout {
    scratch: Span,
    code: [u16; 2],
}

impl Memory for Layout {
    fn load(&mut self, address: u64, width: Width) -> Option<u64> {
        match address {
            ENTRY => Some(self.code[0] as u64),
            _ if address == ENTRY + 2 => Some(self.code[1] as u64),
            _ => self.scratch.load(address, width),
        }
    }

    fn store(&mut self, address: u64, value: u64, width: Width) -> Option<()> {
        self.scratch.store(address, value, width)
    }
}

/// Whether the instruction's next one would be itself or its second half, and not a breakpoint.
pub fn goes_on_in_itself(case: &Case, after: &State) -> bool {
    let is_breakpoint = matches!(case.instruction, 0x0010_0073 | 0x9002);
    let within = ENTRY..ENTRY + case.length() as u64;
    after.signal == SIGTRAP && within.contains(&after.pc) && !is_breakpoint
}

/// What is left from one instruction for the next: the reservation.
#[derive(Default)]
pub struct Model {
    before: registers::State,
}

impl Model {
    /// The state after the case.
    pub fn run(&mut self, case: &Case) -> State {
        let mut memory =
            Layout { scratch: Span::new(PAGE), code: [case.instruction as u16, (case.instruction >> 16) as u16] };
        let offset = (SCRATCH - PAGE) as usize;
        memory.scratch.bytes[offset..offset + SCRATCH_LENGTH].copy_from_slice(&case.state.scratch);
        let from = &case.state;
        let mut state = registers::State { x: from.x, f: from.f, fcsr: from.fcsr, pc: ENTRY, ..self.before.clone() };
        let signal = match interpret_one(&mut state, &mut memory) {
            Ok(()) if (CODE..CODE_END).contains(&state.pc) => SIGTRAP,
            Ok(()) | Err(Exit::Fault(..)) => SIGSEGV,
            Err(Exit::Breakpoint) => SIGTRAP,
            Err(Exit::Illegal(_)) => SIGILL,
            Err(Exit::Misaligned(..)) => SIGBUS,
            Err(other) => panic!("{} {:08x}: {other:?}", case.name, case.instruction),
        };
        let scratch = memory.scratch.bytes[offset..offset + SCRATCH_LENGTH].try_into().unwrap();
        let after = State { x: state.x, f: state.f, fcsr: state.fcsr, pc: state.pc, signal, scratch };
        self.before = state;
        after
    }
}
