//! The module's exports, and what it does when it panics.

use crate::translated;
use crate::{host, nested};

/// Runs the task of `slot` for ever; each exit fills its control block and suspends it.
#[unsafe(no_mangle)]
pub extern "C" fn run(slot: i32) {
    let slot = slot as usize;
    translated::begin();
    host::install(slot);
    loop {
        crate::run_to_exit(slot);
        host::suspend(slot);
    }
}

/// The slot's registers, `STATE_BYTES` bytes.
#[unsafe(no_mangle)]
pub extern "C" fn task_state(slot: i32) -> i32 {
    crate::registers(slot as usize) as i32
}

/// The slot's control block.
#[unsafe(no_mangle)]
pub extern "C" fn task_control(slot: i32) -> i32 {
    crate::control(slot as usize) as i32
}

/// The top of the slot's shadow stack.
#[unsafe(no_mangle)]
pub extern "C" fn task_stack(slot: i32) -> i32 {
    crate::stack_top(slot as usize) as i32
}

/// Drops what was decoded from `len` bytes at `address`.
#[unsafe(no_mangle)]
pub extern "C" fn flush(address: i64, len: i64) {
    crate::flush(address as u64, len as u64);
}

/// See [`crate::replay`].
#[unsafe(no_mangle)]
pub extern "C" fn replay(slot: i32) -> i32 {
    i32::from(crate::replay(slot as usize))
}

/// Completes the slot's registers and control block after an access to guest memory trapped in `run`.
#[unsafe(no_mangle)]
pub extern "C" fn fixup(slot: i32) {
    crate::fixup(slot as usize);
}

/// What engine and host exchange about translated code: see `translated::Exchange`.
#[unsafe(no_mangle)]
pub extern "C" fn exchange() -> i32 {
    translated::exchange() as i32
}

/// Where the number of cells with decoded code is.
#[unsafe(no_mangle)]
pub extern "C" fn used_cells() -> i32 {
    crate::used_cells() as i32
}

/// The table by which translated code finds functions: 65536 of an address and an index.
#[unsafe(no_mangle)]
pub extern "C" fn entries() -> i32 {
    translated::called() as i32
}

/// Makes known that translated code has come for the first `count` addresses of the exchange's list.
#[unsafe(no_mangle)]
pub extern "C" fn announce(count: i32) {
    translated::announce(count as usize);
}

/// Forgets the entries in `len` bytes at `address`, and what was decoded there.
#[unsafe(no_mangle)]
pub extern "C" fn forget(address: i64, len: i64) {
    translated::forget(address as u64, len as u64);
}

/// A floating-point operation for translated code: numbers of `Float` and `Precision`, a rounding mode that is none of
/// the reserved ones, and the operands. Flags go to the task whose registers are at `state`.
#[unsafe(no_mangle)]
pub extern "C" fn float(state: i32, operation: i32, precision: i32, rounding: i32, a: i64, b: i64, c: i64) -> i64 {
    crate::calculate(state as *mut u64, operation, precision, rounding as u8, [a as u64, b as u64, c as u64]) as i64
}

/// See [`nested::dispatch`].
#[unsafe(no_mangle)]
pub extern "C" fn dispatch(state: i32, room: i32, target: i64, back: i64) -> i64 {
    nested::dispatch(state as *mut u64, room, target as u64, back as u64) as i64
}

/// See [`nested::step`].
#[unsafe(no_mangle)]
pub extern "C" fn step(state: i32, pc: i64) -> i64 {
    nested::step(state as *mut u64, pc as u64) as i64
}

/// See [`nested::pause`].
#[unsafe(no_mangle)]
pub extern "C" fn pause(state: i32, pc: i64) -> i64 {
    nested::pause(state as *mut u64, pc as u64) as i64
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
