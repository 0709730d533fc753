//! Files: walking with loops of links, descriptors, locks, offsets, memory files.

use super::straight;
use crate::testing::{DATA, kernel, run};
use crate::vfs::{FileSystem, SetAttr};

const CWD: u64 = -100i64 as u64;

#[test]
fn links_are_followed_until_they_go_round() {
    let (mut k, fake) = kernel();
    let tid = crate::Tid(1);
    for (at, text) in [(0, "a\0"), (8, "b\0"), (16, "d/e\0"), (24, "d\0"), (32, "../f\0"), (40, "f\0"), (48, "d/e/\0")]
    {
        k.write_memory(tid, DATA + at, text.as_bytes()).unwrap();
    }
    let (script, results) = straight(vec![
        ("symlinkat", vec![DATA, CWD, DATA + 8]),
        ("symlinkat", vec![DATA + 8, CWD, DATA]),
        ("openat", vec![CWD, DATA, 0, 0]),
        ("mkdirat", vec![CWD, DATA + 24, 0o755]),
        ("symlinkat", vec![DATA + 32, CWD, DATA + 16]),
        ("openat", vec![CWD, DATA + 16, 0o102, 0o600]),
        ("faccessat", vec![CWD, DATA + 40, 6]),
        ("openat", vec![CWD, DATA + 48, 0, 0]),
        ("openat", vec![CWD, DATA + 16, 0o400000, 0]),
        ("unlinkat", vec![CWD, DATA + 24, 0x200]),
    ]);
    run(&mut k, fake, vec![script]);
    assert_eq!(*results.borrow(), [0, 0, -40, 0, 0, 0, 0, -20, -40, -39]);
}

#[test]
fn descriptors_are_the_lowest_free_and_share_offsets() {
    let (mut k, fake) = kernel();
    k.write_memory(crate::Tid(1), DATA, b"f\0hello").unwrap();
    let (script, results) = straight(vec![
        ("openat", vec![CWD, DATA, 0o102, 0o600]),
        ("dup", vec![0]),
        ("write", vec![0, DATA + 2, 5]),
        ("lseek", vec![1, 0, 1]),
        ("dup3", vec![0, 5, 0o2000000]),
        ("close", vec![0]),
        ("fcntl", vec![1, 0, 0]),
        ("fcntl", vec![5, 1, 0]),
        ("pread64", vec![5, DATA + 16, 8, 1]),
        ("close_range", vec![1, u32::MAX.into(), 0]),
        ("lseek", vec![1, 0, 1]),
        ("dup3", vec![0, 0, 0]),
    ]);
    run(&mut k, fake, vec![script]);
    assert_eq!(*results.borrow(), [0, 1, 5, 5, 5, 0, 0, 1, 4, 0, -9, -22]);
}

#[test]
fn rights_are_checked_on_the_way() {
    let (mut k, fake) = kernel();
    k.write_memory(crate::Tid(1), DATA, b"d\0d/f\0").unwrap();
    let (script, results) = straight(vec![
        ("mkdirat", vec![CWD, DATA, 0o700]),
        ("openat", vec![CWD, DATA + 2, 0o101, 0o644]),
        ("setresuid", vec![5, 5, 5]),
        ("openat", vec![CWD, DATA + 2, 0, 0]),
        ("mkdirat", vec![CWD, DATA + 3, 0o700]),
        ("fchmod", vec![0, 0o777]),
    ]);
    run(&mut k, fake, vec![script]);
    assert_eq!(*results.borrow(), [0, 0, 0, -13, -13, -1]);
}

#[test]
fn a_memory_file_is_written_and_mapped() {
    let (mut k, fake) = kernel();
    k.write_memory(crate::Tid(1), DATA, b"m\0data").unwrap();
    let (script, results) = straight(vec![
        ("memfd_create", vec![DATA, 1]),
        ("pwrite64", vec![0, DATA + 2, 4, 0]),
        ("mmap", vec![0x50_0000, 4096, 3, 0x11, 0, 0]),
        ("write", vec![0, 0x50_0000, 4]),
        ("ftruncate", vec![0, 2]),
        ("lseek", vec![0, 0, 2]),
    ]);
    run(&mut k, fake, vec![script]);
    assert_eq!(*results.borrow(), [0, 4, 0x50_0000, 4, 0, 2]);
}

#[test]
fn a_second_writer_waits_for_the_lock() {
    let (mut k, fake) = kernel();
    k.write_memory(crate::Tid(1), DATA, b"f\0").unwrap();
    let (parent, results) = straight(vec![
        ("openat", vec![CWD, DATA, 0o102, 0o600]),
        ("flock", vec![0, 2]),
        ("clone", vec![17, 0, 0, 0, 0]),
        ("sched_yield", vec![]),
        ("flock", vec![0, 8]),
        ("wait4", vec![2, 0, 0, 0]),
    ]);
    let (child, got) = straight(vec![("openat", vec![CWD, DATA, 2, 0]), ("flock", vec![1, 6]), ("flock", vec![1, 2])]);
    run(&mut k, fake, vec![parent, child]);
    assert_eq!(*results.borrow(), [0, 0, 2, 0, 0, 2]);
    assert_eq!(*got.borrow(), [1, -11, 0]);
}

#[test]
fn queues_are_made_and_removed_by_who_may_change_their_folder() {
    for (mode, found) in [(0o755, 1), (0o700, -13)] {
        let (mut k, fake) = kernel();
        let folder = FileSystem::root(&*k.queues);
        folder.set_attr(&SetAttr { mode: Some(mode), ..SetAttr::default() }).unwrap();
        k.write_memory(crate::Tid(1), DATA, b"q\0new\0").unwrap();
        let (script, results) = straight(vec![
            ("mq_open", vec![DATA, 0o102, 0o644, 0]),
            ("setresuid", vec![5, 5, 5]),
            ("mq_open", vec![DATA, 0, 0, 0]),
            ("mq_open", vec![DATA + 2, 0o102, 0o600, 0]),
            ("mq_unlink", vec![DATA]),
        ]);
        run(&mut k, fake, vec![script]);
        assert_eq!(*results.borrow(), [0, 0, found, -13, -13], "{mode:o}");
    }
}
