//! SIGBUS: an access to a file page that is gone, in a space, becomes an ordinary fault of guest code.
//!
//! The handler makes the page inaccessible and notes why; the instruction runs again and raises SIGSEGV, which the
//! wasm runtime turns into a trap.

use super::table::lookup;
use crate::{Error, PAGE};
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

/// What the process did about SIGBUS before.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// Installs the process-wide SIGBUS handler; later calls do nothing. What is not a fault in a space goes to the
/// handler that was there before.
pub fn install_sigbus() -> Result<(), Error> {
    static DONE: OnceLock<Result<(), Error>> = OnceLock::new();
    *DONE.get_or_init(install)
}

fn install() -> Result<(), Error> {
    let mut previous = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: asks for the current action; `previous` is writable and every bit pattern of it is valid.
    let previous = unsafe {
        if libc::sigaction(libc::SIGBUS, std::ptr::null(), previous.as_mut_ptr()) != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        previous.assume_init()
    };
    // The handler reads it, so it is there first.
    let _ = PREVIOUS.set(previous);
    // SAFETY: all zeroes is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_sigbus;
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the action is complete and the handler async-signal-safe.
    if unsafe { libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut()) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(())
}

extern "C" fn on_sigbus(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid record; a positive code means a fault, which has an address.
    let (code, addr) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
    // SAFETY: the thread is in the middle of the access at `addr`.
    let found = if code > 0 { unsafe { lookup(addr) } } else { None };
    if let Some((table, offset)) = found
        && keep_errno(|| table.poison(offset as u64 / PAGE))
    {
        return;
    }
    chain(signal, info, context, code);
}

/// Runs `body` and leaves errno as it was: the interrupted code may be about to read it.
fn keep_errno<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: the location is this thread's and valid.
    let saved = unsafe { *libc::__errno_location() };
    let result = body();
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = saved };
    result
}

/// Does what the process would have done without our handler.
fn chain(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void, code: c_int) {
    let previous = PREVIOUS.get().copied();
    let handler = previous.map_or(libc::SIG_DFL, |action| action.sa_sigaction);
    match handler {
        libc::SIG_IGN if code <= 0 => {}
        libc::SIG_DFL | libc::SIG_IGN => die(signal, code),
        handler if previous.is_some_and(|action| action.sa_flags & libc::SA_SIGINFO != 0) => {
            // SAFETY: with SA_SIGINFO the number is the address of a function of this type.
            let call: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = unsafe { std::mem::transmute(handler) };
            call(signal, info, context);
        }
        handler => {
            // SAFETY: without SA_SIGINFO the number is the address of a function of this type.
            let call: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
            call(signal);
        }
    }
}

/// Lets the signal kill the process: a fault by happening again, a sent signal by being sent again.
fn die(signal: c_int, code: c_int) {
    // SAFETY: all zeroes is the default action; the calls are async-signal-safe.
    unsafe {
        let action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, &action, std::ptr::null_mut());
        if code <= 0 {
            libc::raise(signal);
        }
    }
}
