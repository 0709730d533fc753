//! Address spaces, files and volumes through the hypercalls.

mod common;

use std::os::unix::fs::FileExt;

use common::{Setup, expect_status, file, run_kernel};
use shallop_sandbox::Grant;

const BODY: &str = "(local $s i32) (local $c i32) (local $t i32) (local $u i32) (local $h i32)
    (local.set $s (call $space))";

#[test]
fn a_fork_copies_private_pages_and_shares_objects() {
    expect_status(
        1,
        &format!(
            "{BODY} (local.set $h (i32.wrap_i64 (call $object_create (i64.const 4096))))
             (call $equal (i64.const 0) (call $map_anon (local.get $s) (i64.const 0x200000) (i64.const 0x1000) (i32.const 3)))
             (call $equal (i64.const 0) (call $map_file (local.get $s) (i64.const 0x300000) (i64.const 0x1000) (i32.const 3)
               (local.get $h) (i64.const 0) (i32.const 1)))
             (local.set $t (call $task (local.get $s)))
             (drop (call $do (local.get $t) (i64.const 2) (i64.const 0x200000) (i64.const 1)))
             (local.set $c (i32.wrap_i64 (call $space_fork (local.get $s))))
             (local.set $u (call $task (local.get $c)))
             (drop (call $do (local.get $t) (i64.const 2) (i64.const 0x200000) (i64.const 2)))
             (drop (call $do (local.get $t) (i64.const 2) (i64.const 0x300000) (i64.const 3)))
             (drop (call $do (local.get $u) (i64.const 1) (i64.const 0x200000) (i64.const 0)))
             (call $equal (call $result) (i64.const 1))
             (drop (call $do (local.get $u) (i64.const 1) (i64.const 0x300000) (i64.const 0)))
             (call $equal (call $result) (i64.const 3))
             (drop (call $do (local.get $u) (i64.const 2) (i64.const 0x300001) (i64.const 4)))
             (call $equal (call $file_read (local.get $h) (i64.const 0) (i32.const 8192) (i32.const 8)) (i64.const 8))
             (call $equal (i64.load (i32.const 8192)) (i64.const 0x403))
             (call $exit (i32.const 1))"
        ),
    );
}

#[test]
fn changes_of_code_are_flushed_once_something_ran() {
    expect_status(
        1,
        &format!(
            "{BODY} (local.set $t (call $task (local.get $s)))
             (call $equal (i64.const 0) (call $map_anon (local.get $s) (i64.const 0x200000) (i64.const 0x1000) (i32.const 7)))
             (drop (call $do (local.get $t) (i64.const 7) (i64.const 0) (i64.const 0)))
             (call $equal (call $result) (i64.const 0))
             (drop (call $mem_write (local.get $s) (i64.const 0x200000) (i32.const 8192) (i32.const 4)))
             (call $equal (i64.const 0) (call $map_anon (local.get $s) (i64.const 0x300000) (i64.const 0x1000) (i32.const 3)))
             (drop (call $do (local.get $t) (i64.const 7) (i64.const 0) (i64.const 0)))
             (call $equal (call $result) (i64.const 1))
             (drop (call $unmap (local.get $s) (i64.const 0x200000) (i64.const 0x1000)))
             (drop (call $unmap (local.get $s) (i64.const 0x300000) (i64.const 0x1000)))
             (drop (call $do (local.get $t) (i64.const 7) (i64.const 0) (i64.const 0)))
             (call $equal (call $result) (i64.const 2))
             (call $exit (i32.const 1))"
        ),
    );
}

#[test]
fn a_shortened_file_is_a_bus_error() {
    expect_status(
        0x100,
        &format!(
            "{BODY} (local.set $h (i32.wrap_i64 (call $object_create (i64.const 8192))))
             (local.set $t (call $task (local.get $s)))
             (call $equal (i64.const 0) (call $map_file (local.get $s) (i64.const 0x300000) (i64.const 0x2000) (i32.const 3)
               (local.get $h) (i64.const 0) (i32.const 1)))
             (call $equal (i64.const 0) (call $file_resize (local.get $h) (i64.const 4096)))
             (call $check (i32.eqz (call $do (local.get $t) (i64.const 1) (i64.const 0x300000) (i64.const 0))))
             (call $check (i32.eq (i32.const 2) (call $do (local.get $t) (i64.const 1) (i64.const 0x301008) (i64.const 0))))
             (call $equal (call $address) (i64.const 0x301008))
             (call $exit (call $detail))"
        ),
    );
}

#[test]
fn grants_allow_what_they_are_for() {
    let own = file(b"own");
    let seen = own.try_clone().expect("a second descriptor");
    let read_only = Grant::VolumeFile { file: file(b"volume"), read_only: true };
    let writable = Grant::VolumeFile { file: file(b"volume"), read_only: false };
    let grants =
        vec![Grant::Immutable(file(&[7; 4096])), Grant::Own { file: own, limit: u64::MAX }, read_only, writable];
    let outcome = run_kernel(
        &format!(
            "{BODY} (i32.store (i32.const 8192) (i32.const 0x21212121))
             (call $equal (call $file_size (i32.const 0)) (i64.const 4096))
             (call $equal (call $file_write (i32.const 0) (i64.const 0) (i32.const 8192) (i32.const 4)) (i64.const -30))
             (call $equal (call $file_write (i32.const 1) (i64.const 3) (i32.const 8192) (i32.const 4)) (i64.const 4))
             (call $equal (call $file_write (i32.const 2) (i64.const 0) (i32.const 8192) (i32.const 4)) (i64.const -30))
             (call $equal (call $file_write (i32.const 3) (i64.const 0) (i32.const 8192) (i32.const 4)) (i64.const 4))
             (call $equal (call $file_write (i32.const 4) (i64.const 0) (i32.const 8192) (i32.const 4)) (i64.const -9))
             (call $equal (call $file_read (i32.const 1) (i64.const -1) (i32.const 8192) (i32.const 4)) (i64.const -22))
             (call $equal (call $map_file (local.get $s) (i64.const 0x200000) (i64.const 0x1000) (i32.const 3)
               (i32.const 0) (i64.const 0) (i32.const 1)) (i64.const -13))
             (call $equal (call $map_file (local.get $s) (i64.const 0x200000) (i64.const 0x1000) (i32.const 3)
               (i32.const 0) (i64.const 0) (i32.const 0)) (i64.const 0))
             (call $equal (call $map_file (local.get $s) (i64.const 0x200000) (i64.const 0x1000) (i32.const 1)
               (i32.const 3) (i64.const 0) (i32.const 0)) (i64.const -19))
             (call $exit (i32.const 1))"
        ),
        Setup { grants, ..Setup::default() },
    );
    assert_eq!((outcome.status, outcome.report), (1, None));
    let mut content = [0; 7];
    seen.read_exact_at(&mut content, 0).expect("seven bytes");
    assert_eq!(&content, b"own!!!!");
}

#[test]
fn a_read_only_volume_is_not_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("abcd"), "text").expect("a file");
    let dir = |read_only| {
        let file = std::fs::File::open(folder.path()).expect("the folder");
        Grant::Directory { dir: cap_std::fs::Dir::from_std_file(file), read_only }
    };
    let outcome = run_kernel(
        &format!(
            "{BODY} (i32.store (i32.const 8192) (i32.const 0x64636261))
             (call $equal (call $volume_make_dir (i32.const 0) (i32.const 8192) (i32.const 3) (i32.const 511)) (i64.const -30))
             (call $equal (call $volume_open (i32.const 0) (i32.const 8192) (i32.const 4) (i32.const 2) (i32.const 0)) (i64.const -30))
             (local.set $h (i32.wrap_i64 (call $volume_open (i32.const 0) (i32.const 8192) (i32.const 4) (i32.const 1) (i32.const 0))))
             (call $equal (call $file_read (local.get $h) (i64.const 0) (i32.const 8200) (i32.const 9)) (i64.const 4))
             (call $equal (call $file_write (local.get $h) (i64.const 0) (i32.const 8200) (i32.const 4)) (i64.const -30))
             (call $equal (call $volume_make_dir (i32.const 1) (i32.const 8192) (i32.const 3) (i32.const 488)) (i64.const 0))
             (call $exit (i32.load (i32.const 8200)))"
        ),
        Setup { grants: vec![dir(true), dir(false)], ..Setup::default() },
    );
    assert_eq!((outcome.status, outcome.report), (u32::from_le_bytes(*b"text"), None));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&folder.path().join("abc").metadata().expect("abc").permissions());
    assert_eq!(mode & 0o7777, 0o750);
}
