//! Real signals: bus errors become ordinary faults, watched pages are repaired.

use shallop_address_space::fault::{Repairer, install_sigbus};
use shallop_address_space::object::MemoryObject;
use shallop_address_space::{AddressSpace, PAGE, Protection, Sharing, Stability, classify};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const AT: u64 = 0x20_0000;
const RW: Protection = Protection::WRITE;

/// The space whose faults the handler below takes care of.
static BASE: AtomicUsize = AtomicUsize::new(0);
static REPAIRER: AtomicPtr<Repairer> = AtomicPtr::new(std::ptr::null_mut());
/// Faults that were delivered, and the host address of the last one.
static DELIVERED: AtomicUsize = AtomicUsize::new(0);
static LAST: AtomicUsize = AtomicUsize::new(0);

/// Only one test at a time may own the statics above.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stands for the wasm runtime: repairs, or counts the fault and puts a page there so that the instruction ends.
extern "C" fn on_segv(signal: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel passes a valid record; the pointer is null or a repairer that a running test keeps.
    let (addr, repairer) = unsafe { ((*info).si_addr().addr(), REPAIRER.load(Ordering::Acquire).as_ref()) };
    let base = BASE.load(Ordering::Acquire);
    let inside = base != 0 && (base..base + (1 << 32)).contains(&addr);
    let Some(repairer) = repairer.filter(|_| inside) else {
        // SAFETY: the default action kills the process when the instruction runs again.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return;
    };
    if repairer.repair((addr - base) as u64, true) {
        return;
    }
    DELIVERED.fetch_add(1, Ordering::AcqRel);
    LAST.store(addr, Ordering::Release);
    let page = std::ptr::with_exposed_provenance_mut(addr & !(PAGE as usize - 1));
    let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED);
    // SAFETY: the page is in the test's space, which knows no references.
    unsafe { libc::mmap(page, PAGE as usize, prot, flags, -1, 0) };
}

/// Runs `body` with the handlers in place for `space`; the number of faults that were delivered.
fn delivered(space: &AddressSpace, body: impl FnOnce()) -> usize {
    install_sigbus().expect("SIGBUS handler");
    install_sigbus().expect("once more");
    let repairer = space.repairer();
    REPAIRER.store((&raw const repairer).cast_mut(), Ordering::Release);
    BASE.store(space.base().expose_provenance(), Ordering::Release);
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_segv;
    // SAFETY: a complete action whose handler only does what is allowed in one.
    let previous = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        let mut previous: libc::sigaction = std::mem::zeroed();
        assert_eq!(libc::sigaction(libc::SIGSEGV, &action, &mut previous), 0);
        previous
    };
    let before = DELIVERED.load(Ordering::Acquire);
    body();
    // SAFETY: puts back what was there.
    unsafe { libc::sigaction(libc::SIGSEGV, &previous, std::ptr::null_mut()) };
    BASE.store(0, Ordering::Release);
    REPAIRER.store(std::ptr::null_mut(), Ordering::Release);
    DELIVERED.load(Ordering::Acquire) - before
}

fn store(space: &AddressSpace, addr: u64, byte: u8) {
    // SAFETY: a store of the test's guest; a fault is handled.
    unsafe { space.base().add(addr as usize).write_volatile(byte) };
}

fn load(space: &AddressSpace, addr: u64) -> u8 {
    // SAFETY: a load of the test's guest; a fault is handled.
    unsafe { space.base().add(addr as usize).read_volatile() }
}

#[test]
fn stores_to_watched_pages_go_on() {
    let _alone = alone();
    let mut space = AddressSpace::new().expect("space");
    space.map_anon(AT, 4 * PAGE, RW).expect("map");
    space.track_dirty(AT, 4 * PAGE).expect("track");
    let faults = delivered(&space, || {
        store(&space, AT + PAGE + 3, 1);
        store(&space, AT + PAGE + 4, 2);
        store(&space, AT + 3 * PAGE, 3);
        assert_eq!(load(&space, AT + PAGE + 4), 2);
    });
    assert_eq!(faults, 0);
    assert_eq!(space.take_dirty(AT, 4 * PAGE), [AT + PAGE, AT + 3 * PAGE]);
}

#[test]
fn pages_that_a_file_lost_fault_and_are_known_as_bus_errors() {
    let _alone = alone();
    let mut space = AddressSpace::new().expect("space");
    let file = MemoryObject::create(4 * PAGE).expect("object").file();
    space.map_file(AT, 4 * PAGE, RW, &file, 0, Sharing::Shared, Stability::Own).expect("map");
    let before = space.mappings();
    file.set_len(PAGE).expect("cut");
    let faults = delivered(&space, || {
        store(&space, AT, 1);
        assert_eq!(load(&space, AT + 2 * PAGE + 9), 0);
    });
    assert_eq!(faults, 1);
    assert_eq!(classify(&space, LAST.load(Ordering::Acquire)), Some(AT + 2 * PAGE + 9));
    assert_eq!(space.mappings(), before + 2);
    assert!(!space.take_bus(AT) && !space.take_bus(AT + PAGE));
    assert!(space.take_bus(AT + 2 * PAGE + 9));
    assert!(!space.take_bus(AT + 2 * PAGE), "taken");
    assert_eq!(space.mappings(), before);
    space.unmap(AT, 4 * PAGE).expect("unmap");
}

#[test]
fn a_bus_error_is_over_when_the_file_grows_or_the_mapping_changes() {
    let _alone = alone();
    let mut space = AddressSpace::new().expect("space");
    let file = MemoryObject::create(4 * PAGE).expect("object").file();
    space.map_file(AT, 4 * PAGE, RW, &file, 0, Sharing::Shared, Stability::Own).expect("map");
    file.set_len(PAGE).expect("cut");
    // The handler of this test covers the page, so the file is mapped again by the changes below.
    assert_eq!(delivered(&space, || store(&space, AT + PAGE, 1)), 1);
    space.map_anon(AT + PAGE, PAGE, RW).expect("map");
    assert!(!space.take_bus(AT + PAGE));
    assert_eq!(delivered(&space, || store(&space, AT + 2 * PAGE, 1)), 1);
    space.protect(AT, 4 * PAGE, Protection::READ).expect("protect");
    assert!(!space.take_bus(AT + 2 * PAGE));
    file.set_len(4 * PAGE).expect("grow");
    assert_eq!(delivered(&space, || assert_eq!(load(&space, AT + 3 * PAGE), 0)), 0);
}

#[test]
fn unmapped_and_protected_pages_are_delivered() {
    let _alone = alone();
    let mut space = AddressSpace::new().expect("space");
    space.map_anon(AT, PAGE, Protection::READ).expect("map");
    assert_eq!(delivered(&space, || store(&space, AT, 1)), 1);
    assert!(!space.take_bus(AT));
    assert_eq!(delivered(&space, || store(&space, AT + PAGE, 1)), 1);
    assert_eq!(delivered(&space, || store(&space, 0, 1)), 1);
}

#[test]
fn other_bus_errors_still_kill() {
    const CHILD: &str = "SHALLOP_TEST_SIGBUS_CHILD";
    if std::env::var_os(CHILD).is_some() {
        install_sigbus().expect("SIGBUS handler");
        let file = MemoryObject::create(PAGE).expect("object").file();
        // SAFETY: a new mapping; the access past the cut file's end is what the test is about.
        unsafe {
            let at = libc::mmap(
                std::ptr::null_mut(),
                PAGE as usize,
                libc::PROT_READ,
                libc::MAP_SHARED,
                std::os::fd::AsRawFd::as_raw_fd(&*file),
                0,
            );
            file.set_len(0).expect("cut");
            at.cast::<u8>().read_volatile();
        }
        std::process::exit(0);
    }
    let status = std::process::Command::new(std::env::current_exe().expect("path"))
        .args(["--exact", "other_bus_errors_still_kill"])
        .env(CHILD, "1")
        .stdout(std::process::Stdio::null())
        .status()
        .expect("child");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGBUS));
}
