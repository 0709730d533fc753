//! The module's exports, and what it does when it panics.

#[link(wasm_import_module = "shallop")]
unsafe extern "C" {
    /// Gives the host the thread; returns when the task is run again.
    fn suspend(slot: i32);
}

/// Runs the task of `slot` for ever; each exit fills its control block and suspends it.
#[unsafe(no_mangle)]
pub extern "C" fn run(slot: i32) {
    loop {
        crate::run_to_exit(slot as usize);
        // SAFETY: the host may change the slot's data and drop cells meanwhile; no pointers to cells are kept.
        unsafe { suspend(slot) };
    }
}

/// The slot's registers, 1024 bytes.
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

/// Completes the slot's registers and control block after an access to guest memory trapped in `run`.
#[unsafe(no_mangle)]
pub extern "C" fn fixup(slot: i32) {
    crate::fixup(slot as usize);
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
