//! On other systems, where only WASI modules run: wasmtime's own memories, and paths.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use wasmtime::{Config, Engine, Module};

/// A granted folder: its path.
pub type Folder = PathBuf;

/// A path by which this process reaches the folder.
pub fn path_of(folder: &Folder) -> PathBuf {
    folder.clone()
}

/// The settings of an engine that only this system has: none. Windows cannot do without unwind information.
pub fn configure(_: &mut Config) {}

/// Loads native code into memory: Windows maps only files that were opened to be executed.
///
/// # Safety
/// As [`Module::deserialize`]: [`crate::compile`] made what is in the file.
pub unsafe fn deserialize(engine: &Engine, mut file: File) -> wasmtime::Result<Module> {
    let mut code = Vec::new();
    file.read_to_end(&mut code)?;
    // SAFETY: by this function's own contract.
    unsafe { Module::deserialize(engine, code) }
}

/// A WASI module's thread does not wait for events: who waits for its end looks for them now and then.
pub struct Wake;

impl Wake {
    pub fn new() -> io::Result<Wake> {
        Ok(Wake)
    }

    pub fn wake(&self) {}
}

/// A WASI module's memory is bounded by its `StoreLimits` alone.
pub struct Meter;

impl Meter {
    pub fn new() -> Meter {
        Meter
    }

    /// Bytes of private and shared memory; 0 where nobody can tell.
    pub fn used(&self) -> u64 {
        0
    }
}
