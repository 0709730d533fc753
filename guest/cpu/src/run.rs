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

    /// The cell at `pc`, decoding it if need be. A trap on the way is a fetch fault at `pc`.
    #[cold]
    #[inline(never)]
    fn enter(words: *mut u64, pc: u64) -> Result<*const Cell, Exit> {
        // SAFETY: `words` are a slot's registers.
        unsafe {
            *words.add(word::PC) = pc;
            words.add(word::CURRENT).cast::<usize>().write(0);
        }
        cell_at(pc)
    }

    /// The cell at a computed address.
    #[inline(always)]
    fn jump_to(&mut self, pc: u64) -> Result<(), Exit> {
        self.jumps += 1;
        let found = if pc >> 32 == 0 { cache::find(pc as u32) } else { None };
        self.cell = match found {
            Some(cell) if !self.preempted() => cell,
            _ => self.arrive(pc)?,
        };
        Ok(())
    }

    /// The static target of the current cell.
    #[inline(always)]
    fn jump(&mut self, offset: i32) -> Result<(), Exit> {
        self.jumps += 1;
        // SAFETY: the current cell is of the arena.
        let linked = unsafe { *cache::link_of(self.cell) };
        if linked.is_null() || self.preempted() {
            let from = self.cell;
            let generation = cache::generation();
            let target = self.pc().wrapping_add(offset as u64);
            self.cell = self.arrive(target)?;
            if cache::generation() == generation {
                // SAFETY: no cell was dropped, so `from` is still of the arena.
                unsafe { *cache::link_of(from) = self.cell };
            }
        } else {
            self.cell = linked;
        }
        Ok(())
    }

    /// The cell at `pc`, unless the task has to yield before it.
    #[inline(always)]
    fn arrive(&self, pc: u64) -> Result<*const Cell, Exit> {
        if self.preempted() {
            // SAFETY: the words are the slot's registers.
            unsafe { *self.words.add(word::PC) = pc };
            return Err(Exit::Yield);
        }
        Running::enter(self.words, pc)
    }

    /// Goes where the current op leads; gives the exit and the pc to continue at when that is out of the engine.
    #[inline(always)]
    fn follow(&mut self, leave: Leave) -> Result<(), Exit> {
        match leave {
            Leave::Jump(offset) => self.jump(offset),
            Leave::To(pc) => self.jump_to(pc),
            Leave::FenceI => {
                let next = self.next_pc();
                cache::reset();
                self.jump_to(next)
            }
            Leave::Exit(exit) => {
                let pc = if exit == Exit::Syscall { self.next_pc() } else { self.pc() };
                // SAFETY: the words are the slot's registers.
                unsafe { *self.words.add(word::PC) = pc };
                Err(exit)
            }
        }
    }

    #[inline(always)]
    fn next_pc(&self) -> u64 {
        // SAFETY: the current cell is of the arena.
        self.pc() + u64::from(unsafe { (*self.cell).op.len })
    }

    /// Adds the jumps to the counter.
    fn count_jumps(&mut self) -> u64 {
        // SAFETY: the word is in the slot's registers.
        let counter = unsafe { &mut *self.words.add(word::COUNTER) };
        *counter = counter.wrapping_add(self.jumps);
        self.jumps = 0;
        *counter
    }
}

impl Guest for Running {
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

    #[inline(always)]
    fn count(&mut self) -> u64 {
        self.jumps += 1;
        self.count_jumps()
    }
}

/// Runs the task of `slot` until it leaves the engine; its registers and control block then tell how.
pub fn run_to_exit(slot: usize) {
    let mut running = Running::new(slot);
    // SAFETY: the words are the slot's registers.
    let pc = unsafe {
        *running.words = 0;
        *running.words.add(word::RESERVATION_ADDRESS) = NO_RESERVATION;
        *running.words.add(word::PC)
    };
    let exit = match running.jump_to(pc) {
        Ok(()) => interpret(&mut running),
        Err(exit) => exit,
    };
    leave(running.control, exit);
}

/// Interprets from the current cell on.
#[inline(always)]
fn interpret(running: &mut Running) -> Exit {
    let Running { words, control, cell, jumps } = *running;
    let mut interpreter = Interpreter(Running { words, control, cell, jumps });
    let exit = loop {
        // SAFETY: the current cell is of the arena; what an op does next neither moves nor changes it.
        let op = unsafe { &(*interpreter.0.cell).op };
        match execute(&mut interpreter, op) {
            // SAFETY: an op that lets the next one follow is never the last of its line.
            Ok(()) => interpreter.0.cell = unsafe { interpreter.0.cell.add(1) },
            Err(leave) => match interpreter.0.follow(leave) {
                Ok(()) => {}
                Err(exit) => break exit,
            },
        }
    };
    interpreter.0.count_jumps();
    exit
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
