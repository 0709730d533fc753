//! The loop that interprets cells until the task has to leave the engine.

use core::ptr::{null, read_volatile, write_volatile};

use shallop_machine::backend::Width;
use shallop_machine::exit::{MAX_DEPTH, UNWIND, kind};
use shallop_machine::{Access, Control, Exit};
use shallop_riscv64::execute::execute;
use shallop_riscv64::interpreter::{Guest, Interpreter, Leave};
use shallop_riscv64::registers::{NO_RESERVATION, word};
use shallop_riscv64::{Kind, Op};

use crate::cache::{self, Cell};
use crate::translate::{cell_at, is_begun};
use crate::translated::{self, CALL, Entry, JUMP_BACK};
use crate::{memory, slots};

/// Why a task does not stay in the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It has to leave the engine; its registers and control block tell how.
    Exit,
    /// It came to where translated code waits for it.
    Back,
    /// It came out of translated code that was left as a whole, and the pc is in its registers.
    Unwind,
}

/// What the word for the current cell holds while translated code runs; no cell is there.
const IN_TRANSLATED: usize = 1;

/// The running task. All that the loop needs is behind `words`, so that the processor has registers enough for it.
pub struct Running {
    /// Its `Registers`, as words.
    words: *mut u64,
    /// The current instruction.
    cell: *const Cell,
    /// Why it left.
    left: Left,
}

impl Running {
    fn new(slot: usize) -> Running {
        let running = Running { words: slots::registers(slot).cast(), cell: null(), left: Left::Exit };
        // SAFETY: the word is in the slot's registers.
        unsafe { running.words.add(word::CONTROL).cast::<*mut Control>().write(slots::control(slot)) };
        running
    }

    /// The task with these registers, which calls the engine from translated code.
    pub fn above(words: *mut u64) -> Running {
        Running::new(slots::number(words))
    }

    /// Notes that it fetches the instruction at `pc`, for [`fixup`].
    pub fn fetches(&mut self, pc: u64) {
        self.set_word(word::PC, pc);
        // SAFETY: the word is in the slot's registers.
        unsafe { *self.current() = 0 };
    }

    /// Makes a cell the current one, which lives as long as it is.
    pub fn at(&mut self, cell: &Cell) {
        self.cell = cell;
    }

    /// Notes that translated code goes on, for [`fixup`].
    pub fn goes_back(&mut self) {
        // SAFETY: the word is in the slot's registers.
        unsafe { *self.current() = IN_TRANSLATED };
    }

    /// The task's control block.
    #[inline(always)]
    pub fn control(&self) -> *mut Control {
        // SAFETY: `new` wrote the word, which is in the slot's registers; no op changes it.
        unsafe { self.words.add(word::CONTROL).cast::<*mut Control>().read() }
    }

    /// Where the engine notes the current cell for [`fixup`].
    #[inline(always)]
    fn current(&self) -> *mut usize {
        // SAFETY: the word is in the slot's registers.
        unsafe { self.words.add(word::CURRENT).cast() }
    }

    /// Whether the host wants the task to yield.
    #[inline(always)]
    pub fn preempted(&self) -> bool {
        // SAFETY: this is the slot's control block; the host may write the word at any time.
        unsafe { read_volatile(&raw const (*self.control()).preempt) != 0 }
    }

    /// Address after the current instruction.
    #[inline(always)]
    fn next_pc(&self) -> u64 {
        // SAFETY: the current cell is of the arena.
        self.pc() + u64::from(unsafe { (*self.cell).op.len })
    }

    /// The current cell's jump, or the computed one, when its target is known and the task need not yield.
    #[inline(always)]
    fn known_target(&self, leave: Leave) -> Option<*const Cell> {
        let target = match leave {
            // SAFETY: the current cell is of the arena.
            Leave::Jump => unsafe { *cache::link_of(self.cell) },
            Leave::To => {
                let pc = self.word(word::PC);
                // SAFETY: the current cell is of the arena.
                let (op, site) = unsafe { ((*self.cell).op, (*self.cell).pc) };
                if op.rd != 0 || !is_linking(op.rs1) {
                    translated::note_jump(site, pc as u32);
                }
                if pc == self.word(word::BACK) {
                    return None;
                }
                let found = cache::find(u32::try_from(pc).ok()?)?;
                // SAFETY: the current cell is of the arena.
                if is_switch(unsafe { &(*self.cell).op }) && !is_begun(found) {
                    return None;
                }
                found
            }
            _ => return None,
        };
        (!target.is_null() && !self.preempted()).then_some(target)
    }

    /// Goes where the loop could not go by itself; gives whether the task stays in the engine.
    fn follow(&mut self, leave: Leave) -> bool {
        match leave {
            Leave::Jump => self.link(),
            Leave::To => {
                // SAFETY: the current cell is of the arena.
                let op = unsafe { (*self.cell).op };
                let weight = match () {
                    () if is_linking(op.rd) => CALL,
                    () if is_switch(&op) => JUMP_BACK,
                    () => 0,
                };
                self.enter(self.word(word::PC), weight)
            }
            Leave::FenceI => {
                let next = self.next_pc();
                cache::reset();
                self.enter(next, 0)
            }
            Leave::Deferred => self.execute_deferred(),
            Leave::Exit => {
                // SAFETY: this is the slot's control block.
                let is_syscall = unsafe { (*self.control()).kind } == kind::SYSCALL;
                self.set_word(word::PC, if is_syscall { self.next_pc() } else { self.pc() });
                self.leave(Left::Exit)
            }
        }
    }

    /// Makes the cell at `pc` the current one, decoding it if need be; `weight` is what this adds to its count. Gives whether the task stays in the engine. A
    /// trap on the way is a fetch fault at `pc`.
    fn enter(&mut self, pc: u64, weight: u8) -> bool {
        self.set_word(word::PC, pc);
        // SAFETY: the word is in the slot's registers.
        unsafe { *self.current() = 0 };
        if pc == self.word(word::BACK) {
            return self.leave(Left::Back);
        }
        let cell = if self.preempted() { Err(Exit::Yield) } else { cell_at(pc, weight) };
        match cell {
            Ok(cell) => {
                self.cell = cell;
                true
            }
            Err(exit) => {
                self.exit(exit);
                self.leave(Left::Exit)
            }
        }
    }

    /// False: the task does not stay.
    fn leave(&mut self, left: Left) -> bool {
        self.left = left;
        false
    }

    /// Follows the current cell's jump, and has it lead there from now on.
    fn link(&mut self) -> bool {
        let (from, generation) = (self.cell, cache::generation());
        // SAFETY: the current cell is of the arena.
        let op = unsafe { (*from).op };
        if translated::is_tag(&op) {
            return self.pass_tag(&op);
        }
        let is_call = op.kind == Kind::Jal && is_linking(op.rd);
        let weight = if is_call { CALL } else { u8::from(op.imm < 0) * JUMP_BACK };
        let stays = self.enter(self.pc().wrapping_add(op.imm as u64), weight);
        if stays && cache::generation() == generation {
            // SAFETY: no cell was dropped, so `from` is still of the arena.
            unsafe { *cache::link_of(from) = self.cell };
        }
        stays
    }

    /// Goes on at a cell that is no instruction: in translated code, or behind it after it was counted.
    fn pass_tag(&mut self, op: &Op) -> bool {
        if self.preempted() {
            return self.enter(self.pc(), 0);
        }
        let pc = self.pc() as u32;
        if translated::is_entry(op) {
            if self.word(word::REPLAYS) == 0 {
                return self.run_translated(translated::entry_of(op, pc));
            }
            self.skip_tag();
            return true;
        }
        if translated::count(pc, op.rd) {
            // From now on the loop goes on by itself.
            // SAFETY: the current cell is of the arena, and an instruction follows it.
            unsafe { *cache::link_of(self.cell) = self.cell.add(1) };
        }
        self.skip_tag();
        true
    }

    /// Goes from a cell that is no instruction to the instruction behind it.
    fn skip_tag(&mut self) {
        // SAFETY: the current cell is of the arena; a tag is never the last of its line.
        unsafe {
            if translated::is_tag(&(*self.cell).op) {
                self.cell = self.cell.add(1);
            }
        }
    }

    /// Runs translated code until it leaves; then the interpreter goes on, by at least one instruction when nothing was
    /// done.
    fn run_translated(&mut self, entry: Entry) -> bool {
        if entry.entry == 0 {
            translated::remember(entry);
        }
        // For a fault in translated code; see `fixup`.
        // SAFETY: the word is in the slot's registers.
        unsafe { *self.current() = IN_TRANSLATED };
        // SAFETY: the host installs what it tells of in each task before that runs; the registers are the task's.
        let mut pc = unsafe { translated::call(entry, self.words, self.word(word::ROOM) as i32) };
        if pc == UNWIND {
            if self.word(word::ROOM) as i32 != MAX_DEPTH {
                return self.leave(Left::Unwind);
            }
            pc = self.word(word::PC);
        }
        let stays = self.enter(pc, 0);
        if stays && pc == u64::from(entry.pc) {
            self.skip_tag();
        }
        stays
    }

    /// Executes the current op, which the loop deferred, and goes on after it.
    fn execute_deferred(&mut self) -> bool {
        // SAFETY: the current cell is of the arena.
        let op = unsafe { (*self.cell).op };
        match execute(&mut Interpreter(Complete(self)), &op) {
            Ok(()) => {
                // SAFETY: an op that lets the next one follow is never the last of its line.
                self.cell = unsafe { self.cell.add(1) };
                true
            }
            // Nothing is deferred twice, so there is no more than one step of this.
            Err(leave) => self.follow(leave),
        }
    }
}

/// Whether a jump with this `rd` is a call: `ra` and `t0` (RISC-V unprivileged specification, return-address stack hints).
fn is_linking(rd: u8) -> bool {
    matches!(rd, 1 | 5)
}

/// Whether a computed jump is neither a call nor a return. A loop may go back by such jumps alone.
#[inline(always)]
fn is_switch(op: &Op) -> bool {
    !is_linking(op.rd) && !is_linking(op.rs1)
}

impl Guest for Running {
    const DEFERS: bool = true;

    #[inline(always)]
    fn word(&self, index: usize) -> u64 {
        debug_assert!(index < word::COUNT);
        // SAFETY: register numbers come from the decoder: below 32 or the sink; the others are constants.
        unsafe { *self.words.add(index) }
    }

    #[inline(always)]
    fn set_word(&mut self, index: usize, value: u64) {
        debug_assert!(index < word::COUNT);
        // SAFETY: as in `word`.
        unsafe { *self.words.add(index) = value }
    }

    #[inline(always)]
    fn pc(&self) -> u64 {
        // SAFETY: the current cell is of the arena.
        u64::from(unsafe { (*self.cell).pc })
    }

    #[inline(always)]
    fn load(&mut self, address: u64, width: Width, signed: bool) -> Result<u64, Leave> {
        if address >> 32 != 0 {
            return Err(self.exit(Exit::Fault(Access::Load, address)));
        }
        // SAFETY: the word is in the slot's registers.
        unsafe { *self.current() = self.cell as usize };
        memory::load(address as u32, width, signed).map_err(|_| self.exit(Exit::Fault(Access::Load, address)))
    }

    #[inline(always)]
    fn store(&mut self, address: u64, value: u64, width: Width) -> Result<(), Leave> {
        if address >> 32 != 0 {
            return Err(self.exit(Exit::Fault(Access::Store, address)));
        }
        // SAFETY: the word is in the slot's registers.
        unsafe { *self.current() = self.cell as usize };
        memory::store(address as u32, value, width).map_err(|_| self.exit(Exit::Fault(Access::Store, address)))
    }

    /// Fills the control block.
    #[inline(always)]
    fn exit(&mut self, exit: Exit) -> Leave {
        let (kind, detail, address) = exit.parts();
        self.set_word(word::REPLAYS, 0);
        // SAFETY: this is a slot's control block; only its `preempt` may be written meanwhile.
        unsafe {
            (*self.control()).kind = kind;
            (*self.control()).detail = detail;
            (*self.control()).address = address;
            if let Exit::Fault(access, _) | Exit::Misaligned(access, _) = exit {
                (*self.control()).fault_kind = access as u32;
            }
            if exit == Exit::Yield {
                write_volatile(&raw mut (*self.control()).preempt, 0);
            }
        }
        Leave::Exit
    }

    /// Counts this call and the jumps of the loop.
    #[inline(always)]
    fn count(&mut self) -> u64 {
        let count = self.word(word::COUNTER).wrapping_add(1);
        self.set_word(word::COUNTER, count);
        count
    }
}

/// The running task, for ops that the loop deferred.
pub struct Complete<'a>(pub &'a mut Running);

impl Guest for Complete<'_> {
    const DEFERS: bool = false;

    fn word(&self, index: usize) -> u64 {
        self.0.word(index)
    }

    fn set_word(&mut self, index: usize, value: u64) {
        self.0.set_word(index, value);
    }

    fn pc(&self) -> u64 {
        self.0.pc()
    }

    fn load(&mut self, address: u64, width: Width, signed: bool) -> Result<u64, Leave> {
        self.0.load(address, width, signed)
    }

    fn store(&mut self, address: u64, value: u64, width: Width) -> Result<(), Leave> {
        self.0.store(address, value, width)
    }

    fn exit(&mut self, exit: Exit) -> Leave {
        self.0.exit(exit)
    }

    fn count(&mut self) -> u64 {
        self.0.count()
    }
}

/// Runs the task of `slot` until it leaves the engine; its registers and control block then tell how.
pub fn run_to_exit(slot: usize) {
    let pc = Running::new(slot).word(word::PC);
    run(slot, pc, 0, (NOWHERE, MAX_DEPTH));
}

/// No pc.
const NOWHERE: u64 = u64::MAX;

/// Runs the task of `slot` from `pc` on, which was called if `weight` is not 0, until it leaves or comes back to an address.
/// Translated code that is entered has this room for calls.
pub fn run(slot: usize, pc: u64, weight: u8, (back, room): (u64, i32)) -> Left {
    let mut running = Running::new(slot);
    running.set_word(0, 0);
    running.set_word(word::RESERVATION_ADDRESS, NO_RESERVATION);
    running.set_word(word::BACK, back);
    running.set_word(word::ROOM, room as u64);
    let mut stays = running.enter(pc, weight);
    while stays {
        let leave = interpret(&mut running);
        stays = running.follow(leave);
    }
    running.left
}

/// Interprets from the current cell on, as far as that goes without a call: so this loop keeps all it needs in the
/// processor's registers.
#[inline(never)]
fn interpret(running: &mut Running) -> Leave {
    let mut interpreter = Interpreter(Running { words: running.words, cell: running.cell, left: Left::Exit });
    loop {
        // SAFETY: the current cell is of the arena; what an op does neither moves nor changes it.
        let op = unsafe { &(*interpreter.0.cell).op };
        match execute(&mut interpreter, op) {
            // SAFETY: an op that lets the next one follow is never the last of its line.
            Ok(()) => interpreter.0.cell = unsafe { interpreter.0.cell.add(1) },
            Err(leave) => match interpreter.0.known_target(leave) {
                Some(target) => {
                    interpreter.0.count();
                    interpreter.0.cell = target;
                }
                None => {
                    running.cell = interpreter.0.cell;
                    return leave;
                }
            },
        }
    }
}

/// Has a task whose access to guest memory trapped in precise translated code interpret from that code's last checkpoint
/// on, when it runs next: it comes to the same access with all registers then. False when it did not trap in translated code.
pub fn replay(slot: usize) -> bool {
    let mut running = Running::new(slot);
    // SAFETY: the word is in the slot's registers.
    let is_translated = unsafe { *running.current() } == IN_TRANSLATED;
    running.set_word(word::REPLAYS, u64::from(is_translated));
    is_translated
}

/// Completes the registers and control block of a task whose access to guest memory trapped in the interpreter. Of one that
/// trapped in translated code the registers are lost.
pub fn fixup(slot: usize) {
    let mut running = Running::new(slot);
    running.set_word(word::REPLAYS, 0);
    // SAFETY: the word is in the slot's registers.
    let current = unsafe { *running.current() } as *const Cell;
    let access = if cache::is_cell(current) {
        // SAFETY: this was just checked.
        let cell = unsafe { &*current };
        running.set_word(word::PC, u64::from(cell.pc));
        if cell.op.kind.loads_only() { Access::Load } else { Access::Store }
    } else if current as usize == IN_TRANSLATED {
        Access::Load
    } else {
        // `enter` set the pc before it fetched.
        Access::Fetch
    };
    // SAFETY: this is the slot's control block.
    unsafe { (*running.control()).fault_kind = access as u32 };
}

/// A floating-point operation of translated code; the flags go to the task with these registers.
///
/// `operation` and `precision` are numbers of [`Float`] and [`Precision`]; others give 0.
pub fn calculate(words: *mut u64, operation: i32, precision: i32, rounding: u8, operands: [u64; 3]) -> u64 {
    use shallop_machine::backend::{Backend, Float, Precision};
    const OPERATIONS: [Float; 21] = [
        Float::Add,
        Float::Sub,
        Float::Mul,
        Float::Div,
        Float::Sqrt,
        Float::FusedMultiplyAdd,
        Float::Min,
        Float::Max,
        Float::Equal,
        Float::Less,
        Float::LessEqual,
        Float::Classify,
        Float::ToI32,
        Float::ToU32,
        Float::ToI64,
        Float::ToU64,
        Float::FromI32,
        Float::FromU32,
        Float::FromI64,
        Float::FromU64,
        Float::Convert,
    ];
    const { assert!(Float::Convert as usize + 1 == OPERATIONS.len()) };
    let Some(&operation) = OPERATIONS.get(operation as usize) else { return 0 };
    let precision = if precision == Precision::Single as i32 { Precision::Single } else { Precision::Double };
    let mut running = Running { words, cell: null(), left: Left::Exit };
    // The mode is none of the reserved ones, so that there is a result.
    Interpreter(Complete(&mut running)).float(operation, precision, operands, rounding, 0).unwrap_or(0)
}
