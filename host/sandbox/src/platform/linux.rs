//! On Linux: memories of the sandbox's own making, an eventfd, `/proc`.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use cap_std::fs::Dir;
use rustix::event::{EventfdFlags, eventfd};
use wasmtime::{Config, Engine, Module};

use crate::memory::Creator;

/// A granted folder: one that is open, whatever becomes of its name.
pub type Folder = Dir;

/// A path by which this process reaches the very folder that is open.
pub fn path_of(folder: &Folder) -> PathBuf {
    format!("/proc/self/fd/{}", folder.as_fd().as_raw_fd()).into()
}

/// The settings of an engine that only this system has.
pub fn configure(config: &mut Config) {
    config.native_unwind_info(false).with_host_memory(Arc::new(Creator));
}

/// Loads native code, which stays in its file.
///
/// # Safety
/// As [`Module::deserialize_open_file`]: [`crate::compile`] made the file, and nobody changes it.
pub unsafe fn deserialize(engine: &Engine, file: File) -> wasmtime::Result<Module> {
    // SAFETY: by this function's own contract.
    unsafe { Module::deserialize_open_file(engine, file) }
}

/// Wakes the thread that waits for events: a descriptor that is readable while there may be some.
pub struct Wake(OwnedFd);

impl Wake {
    pub fn new() -> io::Result<Wake> {
        Ok(Wake(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    pub fn wake(&self) {
        // It fails only when the counter is full, and then it is readable already.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Makes it unreadable until it is woken again.
    pub fn drain(&self) {
        let _ = rustix::io::read(&self.0, &mut [0u8; 8]);
    }

    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Measures this process's memory by `/proc/self/status`, open since before anything could keep us from it.
pub struct Meter(Option<File>);

impl Meter {
    pub fn new() -> Meter {
        Meter(File::open("/proc/self/status").ok())
    }

    /// Bytes of private and shared memory; 0 where nobody can tell.
    pub fn used(&self) -> u64 {
        let Some(status) = &self.0 else { return 0 };
        let mut text = [0; 4096];
        let len = status.read_at(&mut text, 0).unwrap_or(0);
        used_bytes(&text[..len])
    }
}

/// Anonymous and shared memory in a `/proc/PID/status` (proc_pid_status(5)). File pages can be dropped and do not count.
fn used_bytes(status: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(status);
    let kib = |line: &str| line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
    let counted = text.lines().filter(|line| line.starts_with("RssAnon:") || line.starts_with("RssShmem:"));
    counted.map(|line| kib(line).saturating_mul(1024)).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_memory_is_anonymous_and_shared() {
        let status = b"VmRSS:\t  9000 kB\nRssAnon:\t   100 kB\nRssFile:\t  8000 kB\nRssShmem:\t  20 kB\n";
        assert_eq!(used_bytes(status), 120 * 1024);
        assert_eq!(used_bytes(b"RssAnon: nonsense\n"), 0);
    }
}
