//! WASI modules without a kernel.

#[path = "common/native.rs"]
mod native;

use std::time::Duration;

use native::{file, native};
use shallop_sandbox::{Events, Grant, Outcome, Stops, WasiLaunch, run_wasi};

fn launch() -> WasiLaunch {
    WasiLaunch {
        argv: vec!["program".into(), "x".into()],
        env: Vec::new(),
        preopens: Vec::new(),
        grants: Vec::new(),
        memory_limit: 1 << 20,
        wall_limit: None,
        events: Events::new().expect("an event descriptor"),
    }
}

fn start(body: &str, launch: WasiLaunch) -> Outcome {
    let imports = r#"
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 64) "made")"#;
    let module = format!("(module {imports} (func (export \"_start\") {body}))");
    run_wasi(file(&native(&module, Stops::Anywhere)), launch).expect("starting")
}

#[test]
fn the_exit_code_is_the_status() {
    assert_eq!(start("", launch()).status, 0);
    let outcome =
        start("(drop (call $args (i32.const 0) (i32.const 4))) (call $exit (i32.load (i32.const 0)))", launch());
    assert_eq!((outcome.status, outcome.report), (2 << 8, None));
}

#[test]
fn a_trap_is_reported() {
    let outcome = start("unreachable", launch());
    assert_eq!(outcome.status, 134 << 8);
    assert!(outcome.report.is_some_and(|text| text.contains("unreachable")));
}

#[test]
fn memory_stays_below_its_limit() {
    assert_eq!(start("(call $exit (i32.and (memory.grow (i32.const 8)) (i32.const 255)))", launch()).status, 1 << 8);
    assert_eq!(start("(call $exit (i32.and (memory.grow (i32.const 16)) (i32.const 255)))", launch()).status, 255 << 8);
}

#[test]
fn the_wall_limit_ends_loops_and_sleeps() {
    // A subscription to the monotonic clock (1), an hour from now.
    let sleep = "(i32.store (i32.const 1040) (i32.const 1)) (i64.store (i32.const 1048) (i64.const 3600000000000))
        (drop (call $poll (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 4096)))";
    for body in ["(loop $again (br $again))", sleep] {
        let outcome = start(body, WasiLaunch { wall_limit: Some(Duration::from_millis(30)), ..launch() });
        assert_eq!((outcome.status, outcome.limit), (9, Some("wall clock")));
    }
}

#[test]
fn a_kill_ends_it() {
    let launch = launch();
    launch.events.kill();
    assert_eq!(start("(loop $again (br $again))", launch).status, 9);
}

#[test]
fn volumes_are_preopened_with_their_rights() {
    let folder = tempfile::tempdir().expect("a folder");
    for read_only in [true, false] {
        let dir = cap_std::fs::Dir::from_std_file(std::fs::File::open(folder.path()).expect("the folder"));
        let grants = vec![Grant::Directory { dir, read_only }];
        let launch = WasiLaunch { grants, preopens: vec![("/data".into(), 0)], ..launch() };
        let status = start("(call $exit (call $mkdir (i32.const 3) (i32.const 64) (i32.const 4)))", launch).status;
        assert_eq!(status == 0, !read_only, "{status}");
        assert_eq!(folder.path().join("made").is_dir(), !read_only);
    }
}
