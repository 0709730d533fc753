//! The loop that interprets cells until the task has to leave the engine.

use core::ptr::{null, read_volatile, write_volatile};

use shallop_machine::backend::Width;
use shallop_machine::{Access, Control, Exit};
use shallop_riscv64::execute::execute;
use shallop_riscv64::interpreter::{Guest, Interpreter, Leave};
use shallop_riscv64::registers::{NO_RESERVATION, word};

use crate::cache::{self, Cell};
use crate::translate::cell_at;
use crate::{memory, slots};

/// The running task.
struct Running {
    /// Its `Registers`, as words.
    words: *mut u64,
    control: *mut Control,
    /// The current instruction.
    cell: *const Cell,
    /// Jumps taken since the counter was last brought up to date.
    jumps: u64,
}

impl Running {
    fn new(slot: usize) -> Running {
        Running { words: slots::registers(slot).cast(), control: slots::control(slot), cell: null(), jumps: 0 }
    }

    /// Where the engine notes the current cell for [`fixup`].
    #[inline(always)]
    fn current(&self) -> *mut usize {
        // SAFETY: the word is in the slot's registers.
        unsafe { self.words.add(word::CURRENT).cast() }
    }

    /// Whether the host wants the task to yield.
    #[inline(always)]
    fn preempted(&self) -> bool {
        // SAFETY: `control` is the slot's control block; the host may write the word at any time.
        unsafe { read_volatile(&raw const (*self.control).preempt) != 0 }
    }

    #[inline(always)]
    fn set_pc(&mut self, pc: u64) {
        self.set_word(word::PC, pc);
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
            Leave::Jump(_) => unsafe { *cache::link_of(self.cell) },
            Leave::To(pc) if pc >> 32 == 0 => cache::find(pc as u32)?,
            _ => return None,
        };
        (!target.is_null() && !self.preempted()).then_some(target)
    }

    /// Goes where the loop could not go by itself.
    ///
    /// # Errors
    /// The exit, when that is out of the engine; the registers hold the pc to continue at.
    fn follow(&mut self, leave: Leave) -> Result<(), Exit> {
        match leave {
            Leave::Jump(offset) => self.link(self.pc().wrapping_add(offset as u64)),
            Leave::To(pc) => self.enter(pc),
            Leave::FenceI => {
                let next = self.next_pc();
                cache::reset();
                self.enter(next)
            }
            Leave::Deferred => self.execute_deferred(),
            Leave::Exit(exit) => {
                self.set_pc(if exit == Exit::Syscall { self.next_pc() } else { self.pc() });
                Err(exit)
            }
        }
    }

    /// Makes the cell at `pc` the current one, decoding it if need be. A trap on the way is a fetch fault at `pc`.
    fn enter(&mut self, pc: u64) -> Result<(), Exit> {
        self.set_pc(pc);
        if self.preempted() {
            return Err(Exit::Yield);
        }
        // SAFETY: the word is in the slot's registers.
        unsafe { *self.current() = 0 };
        self.cell = cell_at(pc)?;
        Ok(())
    }

    /// Enters `pc`, and has the current cell's jump lead there from now on.
    fn link(&mut self, pc: u64) -> Result<(), Exit> {
        let (from, generation) = (self.cell, cache::generation());
        self.enter(pc)?;
        if cache::generation() == generation {
            // SAFETY: no cell was dropped, so `from` is still of the arena.
            unsafe { *cache::link_of(from) = self.cell };
        }
        Ok(())
    }

    /// Executes the current op, which the loop deferred, and goes on after it.
    fn execute_deferred(&mut self) -> Result<(), Exit> {
        // SAFETY: the current cell is of the arena.
        let op = unsafe { (*self.cell).op };
        match execute(&mut Interpreter(Complete(self)), &op) {
            Ok(()) => {
                // SAFETY: an op that lets the next one follow is never the last of its line.
                self.cell = unsafe { self.cell.add(1) };
                Ok(())
            }
            // Ops that jump are not deferred, so there is no more than one step of this.
            Err(leave) => self.follow(leave),
        }
    }
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
    fn load(&mut self, address: u64, width: Width, signed: bool) -> Result<u64, Exit> {
        let fault = Exit::Fault(Access::Load, address);
        if address >> 32 != 0 {
            return Err(fault);
        }
        // SAFETY: the word is in the slot's registers.
        unsafe { *self.current() = self.cell as usize };
        memory::load(address as u32, width, signed).map_err(|_| fault)
    }

    #[inline(always)]
    fn store(&mut self, address: u64, value: u64, width: Width) -> Result<(), Exit> {
        let fault = Exit::Fault(Access::Store, address);
        if address >> 32 != 0 {
            return Err(fault);
        }
        // SAFETY: the word is in the slot's registers.
        unsafe { *self.current() = self.cell as usize };
        memory::store(address as u32, value, width).map_err(|_| fault)
    }

    /// Each call is one instruction, the time between them the jumps that were taken.
    fn count(&mut self) -> u64 {
        let count = self.word(word::COUNTER).wrapping_add(self.jumps + 1);
        self.jumps = 0;
        self.set_word(word::COUNTER, count);
        count
    }
}

/// The running task, for ops that the loop deferred.
struct Complete<'a>(&'a mut Running);

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

    fn load(&mut self, address: u64, width: Width, signed: bool) -> Result<u64, Exit> {
        self.0.load(address, width, signed)
    }

    fn store(&mut self, address: u64, value: u64, width: Width) -> Result<(), Exit> {
        self.0.store(address, value, width)
    }

    fn count(&mut self) -> u64 {
        self.0.count()
    }
}

/// Runs the task of `slot` until it leaves the engine; its registers and control block then tell how.
pub fn run_to_exit(slot: usize) {
    let mut running = Running::new(slot);
    running.set_word(0, 0);
    running.set_word(word::RESERVATION_ADDRESS, NO_RESERVATION);
    let mut next = running.enter(running.word(word::PC));
    let exit = loop {
        next = match next {
            Ok(()) => {
                let leave = interpret(&mut running);
                running.follow(leave)
            }
            Err(exit) => break exit,
        }
    };
    running.count();
    leave(running.control, exit);
}

/// Interprets from the current cell on, as far as that goes without a call: so this loop keeps all it needs in the
/// processor's registers.
#[inline(never)]
fn interpret(running: &mut Running) -> Leave {
    let Running { words, control, cell, jumps } = *running;
    let mut interpreter = Interpreter(Running { words, control, cell, jumps });
    let leave = loop {
        // SAFETY: the current cell is of the arena; what an op does neither moves nor changes it.
        let op = unsafe { &(*interpreter.0.cell).op };
        match execute(&mut interpreter, op) {
            // SAFETY: an op that lets the next one follow is never the last of its line.
            Ok(()) => interpreter.0.cell = unsafe { interpreter.0.cell.add(1) },
            Err(leave) => match interpreter.0.known_target(leave) {
                Some(target) => {
                    interpreter.0.cell = target;
                    interpreter.0.jumps += 1;
                }
                None => break leave,
            },
        }
    };
    running.cell = interpreter.0.cell;
    running.jumps = interpreter.0.jumps;
    leave
}

/// Fills the control block for the host.
fn leave(control: *mut Control, exit: Exit) {
    let (kind, detail, address) = exit.parts();
    // SAFETY: this is a slot's control block; only its `preempt` may be written meanwhile.
    unsafe {
        (*control).kind = kind;
        (*control).detail = detail;
        (*control).address = address;
        if let Exit::Fault(access, _) | Exit::Misaligned(access, _) = exit {
            (*control).fault_kind = access as u32;
        }
        if exit == Exit::Yield {
            write_volatile(&raw mut (*control).preempt, 0);
        }
    }
}

/// Completes the registers and control block of a task whose access to guest memory trapped.
pub fn fixup(slot: usize) {
    let running = Running::new(slot);
    // SAFETY: the word is in the slot's registers.
    let current = unsafe { *running.current() } as *const Cell;
    let access = if cache::is_cell(current) {
        // SAFETY: this was just checked.
        let cell = unsafe { *current };
        // SAFETY: the word is in the slot's registers.
        unsafe { *running.words.add(word::PC) = u64::from(cell.pc) };
        if cell.op.kind.loads_only() { Access::Load } else { Access::Store }
    } else {
        // `enter` set the pc before it fetched.
        Access::Fetch
    };
    // SAFETY: this is the slot's control block.
    unsafe { (*running.control).fault_kind = access as u32 };
}
