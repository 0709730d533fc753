//! What the engine calls of the host.

#[cfg(target_arch = "wasm32")]
mod imports {
    #[link(wasm_import_module = "shallop")]
    unsafe extern "C" {
        /// Gives the host the thread; returns when the task is run again.
        pub fn suspend(slot: i32);
        /// Gives this task the translated functions that other tasks of its process have.
        pub fn install(slot: i32);
        /// Looks for translated code.
        pub fn find(pc: i32) -> i64;
    }
}

/// Natively no task waits for a host, and there is no translated code.
#[cfg(not(target_arch = "wasm32"))]
mod imports {
    pub unsafe fn suspend(_: i32) {}
    pub unsafe fn find(_: i32) -> i64 {
        0
    }
}

/// Suspends the task of `slot`; when it is run again, it has the translated functions that other tasks have.
pub fn suspend(slot: usize) {
    // SAFETY: the host may change the slot's data and drop cells meanwhile; no pointers to cells are kept.
    unsafe { imports::suspend(slot as i32) }
}

/// Gives the task of `slot` the translated functions that other tasks of its process have.
#[cfg(target_arch = "wasm32")]
pub fn install(slot: usize) {
    // SAFETY: it appends to this task's table.
    unsafe { imports::install(slot as i32) }
}

/// The entry at `pc`: its function's place in the table, 0 for none, and above 32 bits its number.
pub fn find(pc: u32) -> u64 {
    // SAFETY: it changes tables of the host alone, and appends to this task's.
    unsafe { imports::find(pc as i32) as u64 }
}
