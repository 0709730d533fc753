//! The end of a sandbox: exits, panics, limits, kills; events from outside.

mod common;

use std::time::Duration;

use common::{Setup, expect_status, file, run_kernel};
use shallop_sandbox::{Grant, Outcome};

/// A kernel that goes on letting a task run a step that never ends by itself.
const ENDLESS: &str = "(local $s i32) (local $t i32)
    (local.set $s (call $space)) (local.set $t (call $task (local.get $s)))
    (loop $again (drop (call $do (local.get $t) (i64.const OP) (i64.const 0) (i64.const 0))) (br $again))";

/// A kernel that waits for ever; stdin's end may wake it once.
const WAIT: &str = "(loop $again (drop (call $event_wait (i64.const 0x7fffffffffffffff))) (br $again))";

/// Runs `body`, and kills it once it runs.
fn killed(body: &str) -> Outcome {
    let sign = file(b"");
    let grants = vec![Grant::Own { file: sign.try_clone().expect("a second descriptor"), limit: u64::MAX }];
    let setup = Setup { grants, ..Setup::default() };
    let events = setup.events.clone();
    let killer = std::thread::spawn(move || {
        while sign.metadata().expect("the sign").len() == 0 {
            std::thread::yield_now();
        }
        events.kill();
    });
    let sign = "(call $equal (i64.const 0) (call $file_resize (i32.const 0) (i64.const 1)))";
    let outcome = run_kernel(&format!("(local $s i32) (local $t i32) {sign} {body}"), setup);
    killer.join().expect("the killer");
    outcome
}

/// [`ENDLESS`] with an operation in it, without its locals.
fn endless(op: &str) -> String {
    ENDLESS.replace("OP", op).replacen("(local $s i32) (local $t i32)", "", 1)
}

#[test]
fn a_kill_ends_a_task() {
    let outcome = killed(&endless("3"));
    assert_eq!((outcome.status, outcome.limit, outcome.report), (9, None, None));
}

#[test]
fn a_kill_ends_a_kernel_that_loops_or_waits() {
    assert_eq!(killed("(loop $again (br $again))").status, 9);
    assert_eq!(killed(WAIT).status, 9);
}

#[test]
fn a_kill_before_the_start_counts() {
    let setup = Setup::default();
    setup.events.kill();
    assert_eq!(run_kernel("(loop $again (br $again))", setup).status, 9);
}

#[test]
fn the_wall_limit_ends_yielding_tasks_and_waits() {
    for body in [ENDLESS.replace("OP", "3"), WAIT.to_owned()] {
        let outcome = run_kernel(&body, Setup { wall_limit: Some(Duration::from_millis(30)), ..Setup::default() });
        assert_eq!((outcome.status, outcome.limit), (9, Some("wall clock")), "{body}");
    }
}

#[test]
fn the_memory_limit_ends_a_task_that_goes_on() {
    let setup = Setup { memory_limit: 4096, ..Setup::default() };
    let outcome = run_kernel(&ENDLESS.replace("OP", "3"), setup);
    assert_eq!((outcome.status, outcome.limit), (9, Some("memory")));
}

#[test]
fn a_panic_of_the_kernel_is_reported_with_what_it_said() {
    let outcome = run_kernel(
        "(i64.store (i32.const 8192) (i64.const 0x6f6f6c6720686f)) ;; \"oh gloo\"
         (i32.store (i32.const 8208) (i32.const 8192)) (i32.store (i32.const 8212) (i32.const 7))
         (drop (call $fd_write (i32.const 2) (i32.const 8208) (i32.const 1) (i32.const 8220)))
         (call $check (i32.eq (i32.load (i32.const 8220)) (i32.const 7)))
         unreachable",
        Setup::default(),
    );
    let report = outcome.report.expect("a report");
    assert_eq!(outcome.status, 125 << 8);
    assert!(report.starts_with("the sandbox's kernel stopped: "), "{report}");
    assert!(report.contains("unreachable") && report.ends_with("oh gloo"), "{report}");
}

#[test]
fn a_kernel_that_gives_up_says_why() {
    let say = "(i64.store (i32.const 8192) (i64.const 0x6f6f6c6720686f))
        (i32.store (i32.const 8208) (i32.const 8192)) (i32.store (i32.const 8212) (i32.const 7))
        (drop (call $fd_write (i32.const 2) (i32.const 8208) (i32.const 1) (i32.const 8220)))";
    let outcome = run_kernel(&format!("{say} (call $exit (i32.const 0x7d00))"), Setup::default());
    assert_eq!((outcome.status, outcome.report.as_deref()), (125 << 8, Some("oh gloo")));
    expect_status(125 << 8, "(call $exit (i32.const 0x7d00))");
    expect_status(1 << 8, &format!("{say} (call $exit (i32.const 0x100))"));
}

#[test]
fn a_kernel_that_returns_or_calls_what_it_does_not_have_is_reported() {
    assert!(run_kernel("", Setup::default()).report.is_some_and(|text| text.contains("without an exit status")));
    let unknown = run_kernel("(call $unknown (i32.const 0) (i32.const 0))", Setup::default());
    assert!(unknown.report.is_some_and(|text| text.contains("path_open")));
}

#[test]
fn a_bad_iovec_is_an_error() {
    expect_status(
        21,
        "(i32.store (i32.const 8208) (i32.const 0x3fffe)) (i32.store (i32.const 8212) (i32.const 7))
         (call $exit (call $fd_write (i32.const 2) (i32.const 8208) (i32.const 1) (i32.const 8220)))",
    );
}

#[test]
fn the_spec_is_read_whole_or_in_part() {
    expect_status(
        0x227b,
        "(call $equal (call $spec_read (i32.const 0) (i32.const 0)) (i64.const 15))
         (call $equal (call $spec_read (i32.const 8192) (i32.const 2)) (i64.const 15))
         (call $exit (i32.load (i32.const 8192)))",
    );
}

#[test]
fn signals_and_window_changes_arrive() {
    let setup = Setup::default();
    setup.events.signal(15);
    setup.events.signal(2);
    setup.events.winsize_changed();
    let outcome = run_kernel(
        "(local $bits i64)
         (local.set $bits (call $event_wait (i64.const 0x7fffffffffffffff)))
         (call $equal (i64.and (local.get $bits) (i64.const 6)) (i64.const 6))
         (call $equal (call $take_signal) (i64.const 15))
         (call $equal (i64.and (call $event_wait (i64.const 0)) (i64.const 6)) (i64.const 2))
         (call $equal (call $take_signal) (i64.const 2))
         (call $equal (call $take_signal) (i64.const 0))
         (call $equal (i64.and (call $event_wait (i64.const 0)) (i64.const 6)) (i64.const 0))
         (call $exit (i32.const 1))",
        setup,
    );
    assert_eq!((outcome.status, outcome.report), (1, None));
}

#[test]
fn a_wait_ends_at_its_deadline() {
    expect_status(
        1,
        "(local $end i64)
         (local.set $end (i64.add (call $clock_now (i32.const 1)) (i64.const 1000000)))
         (drop (call $event_wait (i64.const 0)))
         (call $equal (i64.and (call $event_wait (local.get $end)) (i64.const 6)) (i64.const 0))
         (loop $more (br_if $more (i64.lt_s (call $clock_now (i32.const 1)) (local.get $end))))
         (call $equal (call $clock_now (i32.const 9)) (i64.const -22))
         (call $exit (i32.const 1))",
    );
}
