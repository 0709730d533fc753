//! Processes: fork and wait, orphans, groups, ids, limits, memory accounting.

use super::{call, straight};
use crate::testing::{DATA, DATA_BYTES, Next, Script, kernel, run};

#[test]
fn a_parent_gets_its_childs_status() {
    let (mut k, fake) = kernel();
    let (parent, results) = straight(vec![
        ("clone", vec![17, 0, 0, 0, 0]),
        ("wait4", vec![u64::MAX, DATA, 0, 0]),
        ("wait4", vec![u64::MAX, DATA + 8, 0, 0]),
        ("exit_group", vec![0]),
    ]);
    let child: Script = Box::new(|step, _| if step < 3 { Next::Spin } else { call("exit_group", &[7]) });
    assert_eq!(run(&mut k, fake, vec![parent, child]), 0);
    assert_eq!(*results.borrow(), [2, 2, -10]);
    assert_eq!(k.processes.iter().count(), 1);
}

#[test]
fn a_forked_childs_memory_is_its_own() {
    let (mut k, fake) = kernel();
    k.write_memory(crate::Tid(1), DATA, b"before").unwrap();
    let (parent, _) = straight(vec![
        ("pipe2", vec![DATA + 0x100, 0]),
        ("clone", vec![17, 0, 0, 0, 0]),
        ("wait4", vec![2, 0, 0, 0]),
        ("write", vec![2, DATA, 6]),
        ("exit_group", vec![0]),
    ]);
    // The child writes over its own copy.
    let (child, results) = straight(vec![("getrandom", vec![DATA, 6, 0]), ("munmap", vec![DATA, DATA_BYTES])]);
    run(&mut k, fake, vec![parent, child]);
    assert_eq!(*results.borrow(), [6, 0]);
}

#[test]
fn orphans_go_to_the_first_process() {
    let (mut k, fake) = kernel();
    let (init, results) = straight(vec![
        ("clone", vec![17, 0, 0, 0, 0]),
        ("wait4", vec![2, DATA, 0, 0]),
        ("wait4", vec![u64::MAX, DATA, 0, 0]),
    ]);
    let (middle, _) = straight(vec![("clone", vec![17, 0, 0, 0, 0])]);
    let (orphan, seen) = straight(vec![("sched_yield", vec![]), ("sched_yield", vec![]), ("getppid", vec![])]);
    run(&mut k, fake, vec![init, middle, orphan]);
    assert_eq!(*results.borrow(), [2, 2, 3]);
    assert_eq!(seen.borrow()[2], 1);
}

#[test]
fn the_limit_of_tasks_is_kept() {
    let (mut k, fake) = kernel();
    k.tasks_max = 2;
    let (parent, results) = straight(vec![("clone", vec![17, 0, 0, 0, 0]), ("clone", vec![17, 0, 0, 0, 0])]);
    run(&mut k, fake, vec![parent]);
    assert_eq!(*results.borrow(), [2, -11]);
}

#[test]
fn giving_up_root_gives_up_its_rights() {
    let (mut k, fake) = kernel();
    let (script, results) = straight(vec![
        ("setresuid", vec![1000, 1000, 1000]),
        ("setuid", vec![0]),
        ("getuid", vec![]),
        ("chroot", vec![DATA]),
        ("setpriority", vec![0, 0, -5i64 as u64]),
    ]);
    k.write_memory(crate::Tid(1), DATA, b"/\0").unwrap();
    run(&mut k, fake, vec![script]);
    assert_eq!(*results.borrow(), [0, -1, 1000, -1, -13]);
}

#[test]
fn groups_and_sessions_follow_their_rules() {
    let (mut k, fake) = kernel();
    let (parent, results) = straight(vec![
        ("clone", vec![17, 0, 0, 0, 0]),
        ("setpgid", vec![2, 2]),
        ("getpgid", vec![2]),
        ("setsid", vec![]),
        ("kill", vec![-2i64 as u64, 9]),
        ("wait4", vec![-2i64 as u64, DATA, 0, 0]),
    ]);
    let child: Script = Box::new(|_, _| Next::Spin);
    run(&mut k, fake, vec![parent, child]);
    assert_eq!(*results.borrow(), [2, 0, 2, -1, 0, 2]);
}

#[test]
fn mappings_are_counted_and_given_back() {
    let (mut k, fake) = kernel();
    let (script, results) = straight(vec![
        ("mmap", vec![0, 0x3000, 3, 0x22, u64::MAX, 0]),
        ("mmap", vec![0x40_0000, 0x2000, 3, 0x32, u64::MAX, 0]),
        ("munmap", vec![0x40_1000, 0x1000]),
        ("mincore", vec![0x40_0000, 0x2000, DATA]),
        ("mprotect", vec![0x40_0000, 0x1000, 1]),
        ("mmap", vec![0, 0, 3, 0x22, u64::MAX, 0]),
        ("mmap", vec![0x40_0000, 0x1000, 3, 0x10_0022, u64::MAX, 0]),
    ]);
    let before = k.process(crate::Pid(1)).mm.borrow().size();
    run(&mut k, fake, vec![script]);
    let results = results.borrow();
    assert_eq!(before, DATA_BYTES);
    assert!(results[0] > 0x40_0000 && results[0] % 4096 == 0);
    assert_eq!(results[1..], [0x40_0000, 0, -12, 0, -22, -17]);
}
