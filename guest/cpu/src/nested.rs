//! What translated code calls: the engine runs on top of it, and gives it the pc to go on at.
//!
//! A task that leaves the engine here is suspended with its wasm calls in place. Each function gives `UNWIND` when those
//! must be given up: the registers are in the task's state then, with the pc.

use shallop_machine::Exit;
use shallop_machine::exit::{ASTRAY, TRANSLATED, UNWIND, kind};
use shallop_riscv64::execute::execute;
use shallop_riscv64::interpreter::{Guest, Interpreter, Leave, prepared};
use shallop_riscv64::registers::{NO_RESERVATION, word};

use crate::cache::{self, Cell};
use crate::run::{Complete, Left, Running, run};
use crate::translate::op_at;
use crate::translated::{self, CALL, RA, SP};
use crate::{host, slots};

/// What this takes of the room for calls: its share of the shadow stack.
const WEIGHT: i32 = 100;

/// Goes on at `target`, which was called, until the task comes to `back`. The result is odd unless this was a return with
/// the stack pointer as it was.
pub fn dispatch(words: *mut u64, room: i32, target: u64, back: u64) -> u64 {
    let mut task = Running::above(words);
    let room = room.saturating_sub(WEIGHT);
    if room < 0 {
        task.set_word(word::PC, target);
        return UNWIND;
    }
    let outer = [word::BACK, word::ROOM].map(|index| (index, task.word(index)));
    let (mut pc, mut weight) = (target, CALL);
    let sp = task.word(SP);
    let result = loop {
        match run(slots::number(words), pc, weight, (back, room)) {
            Left::Back if (task.word(SP), task.word(RA)) == (sp, back) => break back,
            Left::Back => break back | ASTRAY,
            Left::Unwind => break UNWIND,
            Left::Exit if suspend(words) => break UNWIND,
            Left::Exit => (pc, weight) = (task.word(word::PC), 0),
        }
    };
    outer.into_iter().for_each(|(index, value)| task.set_word(index, value));
    task.goes_back();
    result
}

/// Executes the instruction at `pc`. The result is odd unless the task goes on behind it with the stack pointer as it was.
pub fn step(words: *mut u64, pc: u64) -> u64 {
    let mut task = Running::above(words);
    let sp = task.word(SP);
    loop {
        task.fetches(pc);
        let Some(op) = op_at(pc as u32) else { return pc | ASTRAY };
        let cell = Cell { op: prepared(op), pc: pc as u32 };
        task.at(&cell);
        let behind = pc.wrapping_add(u64::from(op.len));
        let next = match execute(&mut Interpreter(Complete(&mut task)), &cell.op) {
            Ok(()) => behind,
            Err(Leave::FenceI) => {
                cache::reset();
                behind
            }
            Err(Leave::Exit) => {
                // SAFETY: the task's control block.
                let is_syscall = unsafe { (*task.control()).kind } == kind::SYSCALL;
                task.set_word(word::PC, if is_syscall { behind } else { pc });
                if suspend(words) {
                    return UNWIND;
                }
                if task.word(word::PC) == pc {
                    // The system call is to be made again.
                    continue;
                }
                task.word(word::PC)
            }
            // Another kind of instruction than translated code has here.
            Err(_) => pc,
        };
        task.goes_back();
        return if (next, task.word(SP)) == (behind, sp) { next } else { next | ASTRAY };
    }
}

/// Yields when the task is to stop; else calls are too deep. The result is odd unless the task goes on there
/// with the stack pointer as it was.
pub fn pause(words: *mut u64, pc: u64) -> u64 {
    let mut task = Running::above(words);
    task.set_word(word::PC, pc);
    if !task.preempted() {
        return UNWIND;
    }
    let sp = task.word(SP);
    task.exit(Exit::Yield);
    // SAFETY: the task's control block.
    unsafe { (*task.control()).detail = TRANSLATED };
    if suspend(words) {
        return UNWIND;
    }
    task.goes_back();
    let next = task.word(word::PC);
    if (next, task.word(SP)) == (pc, sp) { next } else { next | ASTRAY }
}

/// Suspends the task. True when it must not go on in the translated code that called.
fn suspend(words: *mut u64) -> bool {
    let retired = translated::retired();
    host::suspend(slots::number(words));
    Running::above(words).set_word(word::RESERVATION_ADDRESS, NO_RESERVATION);
    translated::retired() != retired || translated::storms()
}
