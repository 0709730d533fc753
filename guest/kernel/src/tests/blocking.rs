//! Waiting and waking: pipes, futexes, sleeping, poll, timers, event descriptors.

use super::{call, straight};
use crate::testing::{DATA, kernel, run};

const CLONE_THREAD_FLAGS: u64 = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000;

#[test]
fn a_reader_sleeps_until_a_writer_comes() {
    let (mut k, fake) = kernel();
    // Descriptors 0 and 1: nothing else is open.
    let (parent, results) = straight(vec![
        ("pipe2", vec![DATA, 0]),
        ("clone", vec![17, 0, 0, 0, 0]),
        ("read", vec![0, DATA + 64, 16]),
        ("wait4", vec![u64::MAX, DATA + 128, 0, 0]),
    ]);
    let (child, wrote) = straight(vec![("sched_yield", vec![]), ("write", vec![1, DATA, 5])]);
    assert_eq!(run(&mut k, fake, vec![parent, child]), 0);
    assert_eq!(*results.borrow(), [0, 2, 5, 2]);
    assert_eq!(wrote.borrow()[1], 5);
}

#[test]
fn a_full_pipe_keeps_what_was_written_before_it_blocked() {
    let (mut k, fake) = kernel();
    let (parent, results) = straight(vec![
        ("pipe2", vec![DATA, 0]),
        ("clone", vec![17, 0, 0, 0, 0]),
        ("write", vec![1, DATA, 0x10000]),
        ("write", vec![1, DATA, 0x2000]),
    ]);
    let (child, read) =
        straight(vec![("sched_yield", vec![]), ("read", vec![0, DATA, 0x8000]), ("read", vec![0, DATA, 0x10000])]);
    run(&mut k, fake, vec![parent, child]);
    assert_eq!(*results.borrow(), [0, 2, 0x10000, 0x2000]);
    assert_eq!(read.borrow()[1], 0x8000);
}

#[test]
fn threads_wake_each_other_at_a_futex() {
    let (mut k, fake) = kernel();
    let (waiter, waited) = straight(vec![
        ("clone", vec![CLONE_THREAD_FLAGS, DATA + 0x8000, 0, 0, 0]),
        ("futex", vec![DATA, 128, 7, 0, 0, 0]),
        ("futex", vec![DATA, 128, 0, 0, 0, 0]),
    ]);
    let (waker, woke) =
        straight(vec![("sched_yield", vec![]), ("futex", vec![DATA, 129, 1, 0, 0, 0]), ("exit", vec![0])]);
    assert_eq!(run(&mut k, fake, vec![waiter, waker]), 0);
    // The first value does not match (EAGAIN); the second sleeps and is woken.
    assert_eq!(*waited.borrow(), [2, -11, 0]);
    assert_eq!(woke.borrow()[1], 1);
}

#[test]
fn a_futex_wait_times_out_by_the_clock() {
    let (mut k, fake) = kernel();
    k.write_memory(crate::Tid(1), DATA + 64, &[0, 0, 0, 0, 0, 0, 0, 0, 64, 66, 15, 0, 0, 0, 0, 0]).unwrap();
    let (script, results) = straight(vec![("futex", vec![DATA, 128, 0, DATA + 64, 0, 0])]);
    run(&mut k, fake, vec![script]);
    assert_eq!(*results.borrow(), [-110]);
    assert_eq!(fake.clock.get(), 1_000_000);
}

#[test]
fn sleeping_moves_the_clock_and_nothing_else() {
    let (mut k, fake) = kernel();
    k.write_u64(crate::Tid(1), DATA, 3).unwrap();
    let (script, results) = straight(vec![("nanosleep", vec![DATA, 0]), ("clock_gettime", vec![1, DATA + 16])]);
    run(&mut k, fake, vec![script]);
    assert_eq!(*results.borrow(), [0, 0]);
    assert_eq!(fake.clock.get(), 3_000_000_000);
}

#[test]
fn poll_tells_of_pipes_timers_and_events() {
    let (mut k, fake) = kernel();
    let tid = crate::Tid(1);
    // pollfd 0: the pipe's reader; 1: its writer; then an itimerspec of 5 ms, one shot.
    k.write_u64(tid, DATA + 0x100, 1 << 32).unwrap();
    k.write_u64(tid, DATA + 0x108, 4 << 32 | 1).unwrap();
    k.write_u64(tid, DATA + 0x110, 1 << 32 | 2).unwrap();
    k.write_u64(tid, DATA + 0x218, 5_000_000).unwrap();
    let (script, results) = straight(vec![
        ("pipe2", vec![DATA, 0]),
        ("timerfd_create", vec![1, 0]),
        ("ppoll", vec![DATA + 0x100, 2, 0, 0, 0]),
        ("timerfd_settime", vec![2, 0, DATA + 0x200, 0]),
        ("ppoll", vec![DATA + 0x110, 1, 0, 0, 0]),
        ("read", vec![2, DATA + 0x300, 8]),
        ("eventfd2", vec![3, 0]),
        ("read", vec![3, DATA + 0x308, 8]),
    ]);
    run(&mut k, fake, vec![script]);
    assert_eq!(*results.borrow(), [0, 2, 1, 0, 1, 8, 3, 8]);
    assert_eq!(fake.clock.get(), 5_000_000);
}

#[test]
fn an_edge_triggered_set_tells_once() {
    let (mut k, fake) = kernel();
    k.write_u64(crate::Tid(1), DATA + 0x100, 1 | 1 << 31).unwrap();
    let (script, results) = straight(vec![
        ("pipe2", vec![DATA, 0]),
        ("epoll_create1", vec![0]),
        ("epoll_ctl", vec![2, 1, 0, DATA + 0x100]),
        ("epoll_pwait", vec![2, DATA + 0x200, 4, 0, 0, 8]),
        ("write", vec![1, DATA, 1]),
        ("epoll_pwait", vec![2, DATA + 0x200, 4, 0, 0, 8]),
        ("epoll_pwait", vec![2, DATA + 0x200, 4, 0, 0, 8]),
        ("write", vec![1, DATA, 1]),
        ("epoll_pwait", vec![2, DATA + 0x200, 4, 0, 0, 8]),
    ]);
    run(&mut k, fake, vec![script]);
    assert_eq!(*results.borrow(), [0, 2, 0, 0, 1, 1, 0, 1, 1]);
}

#[test]
fn a_socket_pair_carries_descriptors() {
    let (mut k, fake) = kernel();
    let tid = crate::Tid(1);
    // iovec {DATA, 1}; control: SCM_RIGHTS of descriptor 0; msghdr.
    let words = |at: u64, values: &[u64]| {
        values.iter().enumerate().for_each(|(i, v)| k.write_u64(tid, DATA + at + 8 * i as u64, *v).unwrap());
    };
    words(0x100, &[DATA, 1]);
    words(0x200, &[20, 1 | 1 << 32, 0]);
    words(0x300, &[0, 0, DATA + 0x100, 1, DATA + 0x200, 20, 0]);
    let (script, results) = straight(vec![
        ("socketpair", vec![1, 1, 0, DATA + 0x10]),
        ("sendmsg", vec![0, DATA + 0x300, 0]),
        ("recvmsg", vec![1, DATA + 0x300, 0]),
        ("write", vec![2, DATA, 3]),
        ("read", vec![1, DATA, 8]),
    ]);
    let status = run(&mut k, fake, vec![script]);
    assert_eq!((status, &*results.borrow()), (0, &vec![0, 1, 1, 3, 3]));
}

#[test]
fn nobody_left_to_write_is_the_end() {
    let (mut k, fake) = kernel();
    let script: crate::testing::Script = Box::new(|step, result| match step {
        0 => call("pipe2", &[DATA, 0]),
        1 => call("close", &[1]),
        2 => call("read", &[0, DATA, 8]),
        _ => call("exit_group", &[result as u64 + 40]),
    });
    assert_eq!(run(&mut k, fake, vec![script]), 40 << 8);
}
