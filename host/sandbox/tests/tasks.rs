//! Tasks: running, suspending, faulting, yielding, dropping.

mod common;

use common::{Setup, expect_status, run_kernel};

/// One space with a writable page at 0x200000, and a task in it.
const ONE: &str = "(local $s i32) (local $t i32) (local $u i32)
    (local.set $s (call $space)) (local.set $t (call $task (local.get $s)))
    (call $equal (i64.const 0) (call $map_anon (local.get $s) (i64.const 0x200000) (i64.const 0x1000) (i32.const 3)))";

#[test]
fn a_task_stores_what_the_kernel_reads() {
    expect_status(
        0x2a,
        &format!(
            "{ONE} (call $check (i32.eqz (call $do (local.get $t) (i64.const 2) (i64.const 0x200010) (i64.const 0x2a))))
             (call $check (i32.eq (call $detail) (i32.const 77)))
             (call $equal (i64.const 1) (call $mem_read (local.get $s) (i64.const 0x200010) (i32.const 8192) (i32.const 1)))
             (call $exit (i32.load8_u (i32.const 8192)))"
        ),
    );
}

#[test]
fn two_tasks_of_a_process_share_its_memory_and_take_turns() {
    expect_status(
        7,
        &format!(
            "{ONE} (local.set $u (call $task (local.get $s)))
             (drop (call $do (local.get $t) (i64.const 2) (i64.const 0x200000) (i64.const 7)))
             (drop (call $do (local.get $u) (i64.const 0) (i64.const 0) (i64.const 0)))
             (drop (call $do (local.get $t) (i64.const 0) (i64.const 0) (i64.const 0)))
             (drop (call $do (local.get $u) (i64.const 1) (i64.const 0x200000) (i64.const 0)))
             (call $exit (i32.wrap_i64 (call $result)))"
        ),
    );
}

#[test]
fn a_fault_tells_address_and_kind_and_the_task_goes_on_after_a_repair() {
    expect_status(
        5,
        &format!(
            "{ONE} (call $check (i32.eq (i32.const 2) (call $do (local.get $t) (i64.const 2) (i64.const 0x300123) (i64.const 5))))
             (call $equal (call $address) (i64.const 0x300123))
             (call $check (i32.eq (call $detail) (i32.const 1)))
             (call $equal (i64.load (i32.const 1280)) (i64.const 0xf1))
             (call $check (i32.eq (i32.const 2) (call $do (local.get $t) (i64.const 1) (i64.const 0xfffffff0) (i64.const 0))))
             (call $equal (call $address) (i64.const 0xfffffff0))
             (call $check (i32.eqz (call $detail)))
             (call $equal (i64.const 0) (call $map_anon (local.get $s) (i64.const 0x300000) (i64.const 0x1000) (i32.const 3)))
             (call $check (i32.eqz (call $do (local.get $t) (i64.const 2) (i64.const 0x300123) (i64.const 5))))
             (call $check (i32.eqz (call $do (local.get $t) (i64.const 1) (i64.const 0x300123) (i64.const 0))))
             (call $exit (i32.wrap_i64 (call $result)))"
        ),
    );
}

#[test]
fn a_fault_in_one_task_leaves_the_other_suspended_as_it_was() {
    expect_status(
        9,
        &format!(
            "{ONE} (local.set $u (call $task (local.get $s)))
             (drop (call $do (local.get $u) (i64.const 2) (i64.const 0x200000) (i64.const 9)))
             (call $check (i32.eq (i32.const 2) (call $do (local.get $t) (i64.const 1) (i64.const 0x900000) (i64.const 0))))
             (call $check (i32.eqz (call $do (local.get $u) (i64.const 1) (i64.const 0x200000) (i64.const 0))))
             (call $exit (i32.wrap_i64 (call $result)))"
        ),
    );
}

#[test]
fn a_store_to_a_read_only_page_faults() {
    expect_status(
        1,
        &format!(
            "{ONE} (call $equal (i64.const 0) (call $protect (local.get $s) (i64.const 0x200000) (i64.const 0x1000) (i32.const 1)))
             (call $check (i32.eqz (call $do (local.get $t) (i64.const 1) (i64.const 0x200000) (i64.const 0))))
             (call $check (i32.eq (i32.const 2) (call $do (local.get $t) (i64.const 2) (i64.const 0x200000) (i64.const 1))))
             (call $exit (call $detail))"
        ),
    );
}

#[test]
fn traps_of_the_engine_itself_break_the_task_only() {
    expect_status(
        3,
        &format!(
            "{ONE} (call $check (i32.eq (i32.const 6) (call $do (local.get $t) (i64.const 5) (i64.const 0) (i64.const 0))))
             (call $check (i32.eq (i32.const 6) (call $do (local.get $t) (i64.const 6) (i64.const 0) (i64.const 0))))
             (local.set $u (call $task (local.get $s)))
             (call $check (i32.eqz (call $do (local.get $u) (i64.const 2) (i64.const 0x200000) (i64.const 3))))
             (call $check (i32.eqz (call $do (local.get $u) (i64.const 1) (i64.const 0x200000) (i64.const 0))))
             (call $exit (i32.wrap_i64 (call $result)))"
        ),
    );
}

#[test]
fn the_shadow_stack_is_the_slots_own_and_full_again_after_a_trap() {
    expect_status(
        1,
        &format!(
            "{ONE} (local.set $u (call $task (local.get $s)))
             (drop (call $do (local.get $u) (i64.const 8) (i64.const 0) (i64.const 0)))
             (call $equal (call $result) (i64.const 0x900040))
             (drop (call $do (local.get $t) (i64.const 8) (i64.const 0) (i64.const 0)))
             (call $equal (call $result) (i64.const 0x900000))
             (drop (call $do (local.get $t) (i64.const 8) (i64.const 0) (i64.const 0)))
             (call $equal (call $result) (i64.const 0x8ffff0))
             (drop (call $do (local.get $t) (i64.const 1) (i64.const 0) (i64.const 0)))
             (drop (call $do (local.get $t) (i64.const 8) (i64.const 0) (i64.const 0)))
             (call $equal (call $result) (i64.const 0x900000))
             (call $exit (i32.const 1))"
        ),
    );
}

#[test]
fn the_end_of_a_slice_makes_a_yield() {
    let body = format!("{ONE} (call $exit (call $do (local.get $t) (i64.const 3) (i64.const 0) (i64.const 0)))");
    expect_status(1, &body);
}

#[test]
fn suspended_tasks_can_be_dropped_and_their_slots_used_again() {
    expect_status(
        1,
        "(local $s i32) (local $t i32) (local $n i32)
         (local.set $s (call $space))
         (local.set $n (i32.const 5000))
         (loop $again
           (local.set $t (call $task (local.get $s)))
           (if (i32.and (local.get $n) (i32.const 1))
             (then (drop (call $do (local.get $t) (i64.const 0) (i64.const 0) (i64.const 0)))))
           (call $equal (call $space_drop (local.get $s)) (i64.const -16))
           (call $equal (call $task_drop (local.get $t)) (i64.const 0))
           (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
         (call $equal (call $space_drop (local.get $s)) (i64.const 0))
         (call $equal (call $task_create (local.get $s)) (i64.const -22))
         (call $equal (call $task_run (local.get $t) (i32.const 1024) (i32.const 4096)) (i64.const -22))
         (call $exit (i32.const 1))",
    );
}

#[test]
fn bad_pointers_are_errors_to_the_kernel() {
    expect_status(
        1,
        &format!(
            "{ONE} (call $equal (call $task_run (local.get $t) (i32.const 0x3ffff) (i32.const 4096)) (i64.const -14))
             (call $equal (call $task_run (local.get $t) (i32.const 1024) (i32.const -4)) (i64.const -14))
             (call $equal (call $mem_read (local.get $s) (i64.const 0x200000) (i32.const 0x3ffff) (i32.const 2)) (i64.const -14))
             (call $equal (call $spec_read (i32.const -1) (i32.const -1)) (i64.const -14))
             (call $exit (i32.const 1))"
        ),
    );
}

#[test]
fn a_run_leaves_marks() {
    let body = format!(
        "{ONE} (drop (call $mark (i32.const 7)))
         (drop (call $do (local.get $t) (i64.const 0) (i64.const 0) (i64.const 0))) (call $exit (i32.const 0))"
    );
    let points: Vec<u32> = run_kernel(&body, Setup::default()).marks.iter().map(|(point, _)| *point).collect();
    assert_eq!(points, [1, 3, 2, 107, 4]);
}
