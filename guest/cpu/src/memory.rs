//! Accesses to the guest's memory. In wasm they are imports that a build step makes plain loads and stores of memory 1,
//! where a fault traps; natively they go to a small memory for tests, where a fault is an error.

use shallop_machine::backend::Width;

/// A native access outside the test's memory; never made in wasm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault;

#[cfg(target_arch = "wasm32")]
mod accessors {
    #[link(wasm_import_module = "guest")]
    unsafe extern "C" {
        pub fn load8u(address: u32) -> u32;
        pub fn load8s(address: u32) -> i32;
        pub fn load16u(address: u32) -> u32;
        pub fn load16s(address: u32) -> i32;
        pub fn load32u(address: u32) -> u32;
        pub fn load32s(address: u32) -> i64;
        pub fn load64(address: u32) -> u64;
        pub fn store8(address: u32, value: u32);
        pub fn store16(address: u32, value: u32);
        pub fn store32(address: u32, value: u32);
        pub fn store64(address: u32, value: u64);
    }
}

/// Loads from guest memory, sign-extending when `signed`, else zero-extending.
#[cfg(target_arch = "wasm32")]
#[inline(always)]
pub fn load(address: u32, width: Width, signed: bool) -> Result<u64, Fault> {
    // SAFETY: the accessors touch guest memory alone, of which every address is in bounds or traps.
    Ok(unsafe {
        match (width, signed) {
            (Width::Byte, false) => u64::from(accessors::load8u(address)),
            (Width::Byte, true) => accessors::load8s(address) as u64,
            (Width::Half, false) => u64::from(accessors::load16u(address)),
            (Width::Half, true) => accessors::load16s(address) as u64,
            (Width::Word, false) => u64::from(accessors::load32u(address)),
            (Width::Word, true) => accessors::load32s(address) as u64,
            (Width::Double, _) => accessors::load64(address),
        }
    })
}

/// Stores the low `width` bytes to guest memory.
#[cfg(target_arch = "wasm32")]
#[inline(always)]
pub fn store(address: u32, value: u64, width: Width) -> Result<(), Fault> {
    // SAFETY: as in `load`.
    unsafe {
        match width {
            Width::Byte => accessors::store8(address, value as u32),
            Width::Half => accessors::store16(address, value as u32),
            Width::Word => accessors::store32(address, value as u32),
            Width::Double => accessors::store64(address, value),
        }
    }
    Ok(())
}

#[cfg(not(target_arch = "wasm32"))]
pub use native::{load, store};

/// The memory of native tests: the first [`native::BYTES`] of the address space.
#[cfg(not(target_arch = "wasm32"))]
pub mod native {
    use super::{Fault, Width};
    use crate::shared::Shared;

    pub const BYTES: usize = 1 << 20;

    static MEMORY: Shared<[u8; BYTES]> = Shared::new([0; BYTES]);

    /// Where `width` bytes at `address` are.
    fn at(address: u32, width: Width) -> Result<*mut u8, Fault> {
        let end = u64::from(address) + width.bytes();
        if end > BYTES as u64 { Err(Fault) } else { Ok(MEMORY.element(address as usize)) }
    }

    pub fn load(address: u32, width: Width, signed: bool) -> Result<u64, Fault> {
        let mut bytes = [0; 8];
        // SAFETY: `at` checked the bounds; nothing else uses the memory meanwhile.
        unsafe { at(address, width)?.copy_to_nonoverlapping(bytes.as_mut_ptr(), width.bytes() as usize) };
        let unused = 64 - 8 * width.bytes() as u32;
        let value = u64::from_le_bytes(bytes);
        Ok(if signed { ((value << unused) as i64 >> unused) as u64 } else { value })
    }

    pub fn store(address: u32, value: u64, width: Width) -> Result<(), Fault> {
        let bytes = value.to_le_bytes();
        // SAFETY: as in `load`.
        unsafe { at(address, width)?.copy_from_nonoverlapping(bytes.as_ptr(), width.bytes() as usize) };
        Ok(())
    }
}
