//! Signals: interruption and restart of calls, masks, default actions, signalfd.

use super::{call, straight};
use crate::testing::{DATA, Next, Script, kernel, run};

const HANDLER: u64 = 0x5000_0000;
const SA_RESTART: u64 = 0x1000_0000;

/// struct sigaction at `at`.
fn action(k: &crate::Kernel, at: u64, handler: u64, flags: u64) {
    k.write_u64(crate::Tid(1), at, handler).unwrap();
    k.write_u64(crate::Tid(1), at + 8, flags).unwrap();
}

/// Reads from a pipe while a child sends SIGUSR1; returns what the read gave after the handler.
fn read_under_signal(flags: u64) -> i64 {
    let (mut k, fake) = kernel();
    action(&k, DATA + 0x100, HANDLER, flags);
    let seen = std::rc::Rc::new(std::cell::Cell::new(0));
    let kept = seen.clone();
    let parent: Script = Box::new(move |step, result| match step {
        0 => call("rt_sigaction", &[10, DATA + 0x100, 0, 8]),
        1 => call("pipe2", &[DATA, 0]),
        2 => call("clone", &[17, 0, 0, 0, 0]),
        3 => call("read", &[0, DATA, 8]),
        // In the handler: its argument is the signal.
        4 => {
            assert_eq!(result, 10);
            call("rt_sigreturn", &[])
        }
        _ => {
            kept.set(result);
            call("exit_group", &[0])
        }
    });
    let (child, _) = straight(vec![
        ("sched_yield", vec![]),
        ("kill", vec![1, 10]),
        ("sched_yield", vec![]),
        ("write", vec![1, DATA, 3]),
    ]);
    // The handler runs on the main stack, which the test puts into its memory.
    set_stack(&mut k);
    run(&mut k, fake, vec![parent, child]);
    seen.get()
}

fn set_stack(k: &mut crate::Kernel) {
    let isa = k.isa;
    let registers = &mut k.task_mut(crate::Tid(1)).registers;
    isa.start(registers, 0x1000, DATA + 0xf000);
}

#[test]
fn a_handler_interrupts_a_read_or_lets_it_go_on() {
    assert_eq!(read_under_signal(0), -4);
    assert_eq!(read_under_signal(SA_RESTART), 3);
}

#[test]
fn a_signal_ends_a_process_but_not_the_first() {
    let (mut k, fake) = kernel();
    let (parent, results) = straight(vec![
        ("kill", vec![1, 15]),
        ("clone", vec![17, 0, 0, 0, 0]),
        ("kill", vec![2, 15]),
        ("wait4", vec![2, DATA, 0, 0]),
        ("kill", vec![2, 0]),
    ]);
    let child: Script = Box::new(|_, _| Next::Spin);
    assert_eq!(run(&mut k, fake, vec![parent, child]), 0);
    assert_eq!(*results.borrow(), [0, 2, 0, 2, -3]);
}

#[test]
fn blocked_signals_wait_for_sigtimedwait_and_signalfd() {
    let (mut k, fake) = kernel();
    let tid = crate::Tid(1);
    k.write_u64(tid, DATA, 1 << 9 | 1 << 11).unwrap();
    let (script, results) = straight(vec![
        ("rt_sigprocmask", vec![0, DATA, 0, 8]),
        ("signalfd4", vec![u64::MAX, DATA, 8, 0o4000]),
        ("read", vec![0, DATA + 0x100, 128]),
        ("kill", vec![1, 10]),
        ("kill", vec![1, 12]),
        ("rt_sigtimedwait", vec![DATA, 0, 0, 8]),
        ("read", vec![0, DATA + 0x100, 256]),
        ("rt_sigpending", vec![DATA + 0x200, 8]),
    ]);
    run(&mut k, fake, vec![script]);
    assert_eq!(*results.borrow(), [0, 0, -11, 0, 0, 10, 128, 0]);
}

#[test]
fn a_stopped_child_is_told_of_and_goes_on() {
    let (mut k, fake) = kernel();
    let (parent, results) = straight(vec![
        ("clone", vec![17, 0, 0, 0, 0]),
        ("kill", vec![2, 19]),
        ("wait4", vec![2, DATA, 2, 0]),
        ("kill", vec![2, 18]),
        ("wait4", vec![2, DATA, 8, 0]),
        ("kill", vec![2, 9]),
        ("wait4", vec![2, DATA, 0, 0]),
    ]);
    let child: Script = Box::new(|_, _| Next::Spin);
    run(&mut k, fake, vec![parent, child]);
    assert_eq!(*results.borrow(), [2, 0, 2, 0, 2, 0, 2]);
}

#[test]
fn an_interval_timer_rings_again_and_again() {
    let (mut k, fake) = kernel();
    let tid = crate::Tid(1);
    // itimerval: every 10 ms, first after 10 ms.
    k.write_u64(tid, DATA + 8, 10_000).unwrap();
    k.write_u64(tid, DATA + 24, 10_000).unwrap();
    k.write_u64(tid, DATA + 64, 1 << 13).unwrap();
    let (script, results) = straight(vec![
        ("rt_sigprocmask", vec![0, DATA + 64, 0, 8]),
        ("setitimer", vec![0, DATA, 0]),
        ("rt_sigtimedwait", vec![DATA + 64, 0, 0, 8]),
        ("rt_sigtimedwait", vec![DATA + 64, 0, 0, 8]),
        ("getitimer", vec![0, DATA + 128]),
    ]);
    run(&mut k, fake, vec![script]);
    assert_eq!(*results.borrow(), [0, 0, 14, 14, 0]);
    assert_eq!(fake.clock.get(), 20_000_000);
}

#[test]
fn traces_are_straces() {
    let (mut k, fake) = kernel();
    k.strace = true;
    k.write_memory(crate::Tid(1), DATA, b"/none\0").unwrap();
    let (script, _) = straight(vec![
        ("openat", vec![-100i64 as u64, DATA, 0o2000000, 0]),
        ("pipe2", vec![DATA + 16, 0]),
        ("write", vec![1, DATA, 5]),
        ("read", vec![0, DATA + 32, 9]),
    ]);
    run(&mut k, fake, vec![script]);
    let trace = String::from_utf8_lossy(&fake.output.borrow()[3]).into_owned();
    let lines: Vec<&str> = trace.lines().collect();
    assert_eq!(lines[0], "openat(AT_FDCWD, \"/none\", O_RDONLY|O_CLOEXEC, 00) = -1 ENOENT (No such file or directory)");
    assert_eq!(lines[2], "write(1, \"/none\", 5) = 5");
    assert_eq!(lines[3], "read(0, \"/none\", 9) = 5");
    assert_eq!(lines[4..], ["exit_group(0) = ?", "+++ exited with 0 +++"]);
}
