//! A process that is killed while it stores leaves a store that works; a full disk leaves nothing half there.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{Home, entries, put_layer, tagged, tar};
use shallop_config::{Dirs, env};
use shallop_oci::Digest;
use shallop_store::{GcOptions, Store, StoreError};

/// Not a test of its own: the process that the next test kills.
#[test]
#[ignore = "started by a_killed_process_leaves_a_store_that_works"]
fn store_until_killed() {
    if !env::SHALLOP_TEST_CHILD.is_set() {
        return;
    }
    let store = Store::open(&Dirs::from_env().unwrap()).unwrap();
    for i in 0_u32..10_000 {
        let content = vec![i as u8; 200_000];
        put_layer(&store, &[(&format!("file{i}"), &content)]);
        tagged(&store, &format!("app:{i}"));
        println!("stored {i}");
    }
}

#[test]
fn a_killed_process_leaves_a_store_that_works() {
    let home = Home::new();
    for rounds in [1, 2, 7] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store_until_killed", "--ignored", "--nocapture"])
            .env(env::SHALLOP_HOME.name, home.folder.path())
            .env(env::SHALLOP_TEST_CHILD.name, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.map_while(Result::ok).filter(|line| line.contains("stored ")).take(rounds).count(), rounds);
        child.kill().unwrap();
        child.wait().unwrap();
        let store = home.store();
        for image in store.images().unwrap() {
            let image = store.image(&image.id).unwrap();
            for layer in image.layers {
                let mut files = store.layer_files(&layer).unwrap();
                assert_eq!(Digest::of_reader(&mut files.tar).unwrap().0, layer);
            }
        }
        store.gc(&GcOptions::default()).unwrap();
        assert_eq!(entries(&home.dirs.ingest()), 0);
    }
}

/// Not a test of its own: runs in a file system that has room for 4 MiB.
#[test]
#[ignore = "started by a_full_disk_is_said_and_nothing_is_kept"]
fn store_until_full() {
    if !env::SHALLOP_TEST_CHILD.is_set() {
        return;
    }
    let home = Dirs::from_env().unwrap();
    let store = Store::open(&home).unwrap();
    let (id, _) = tagged(&store, "app");
    let big = tar(&[("big", &vec![1; 8 << 20])]);
    let full = |result: Result<(), StoreError>| {
        let error = result.unwrap_err();
        assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
        assert!(error.to_string().contains("no space left"), "{error}");
        assert_eq!((entries(&home.ingest()), entries(&home.layers())), (0, 1));
    };
    full(store.put_blob(&mut &big[..], None).map(drop));
    full(store.partial(&Digest::of(&big)).unwrap().fill(&mut &big[..]));
    assert_eq!(entries(&home.partial()), 0);
    full(store.put_layer_tar(&mut &big[..]).map(drop));
    full(store.put_layer_with(&mut |out| out.write_all(&big)).map(drop));
    // The copy for mapping does not fit beside the tar.
    let medium = tar(&[("medium", &vec![1; 2 << 20])]);
    full(store.put_layer_tar(&mut &medium[..]).map(drop));
    assert_eq!(store.resolve("app", None).unwrap().id, id);
    println!("stored until full");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_said_and_nothing_is_kept() {
    let small = |command: &str| {
        let script = format!("mount -t tmpfs -o size=4m none \"$SHALLOP_HOME\" && {command}");
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
        unshare
    };
    let home = Home::new();
    let folder = home.folder.path();
    let able = small("true").env(env::SHALLOP_HOME.name, folder).output().is_ok_and(|out| out.status.success());
    if !able {
        return common::skip("a user namespace with tmpfs");
    }
    let mut child = small("exec \"$@\"");
    child.arg(std::env::current_exe().unwrap()).args(["--exact", "store_until_full", "--ignored", "--nocapture"]);
    child.env(env::SHALLOP_HOME.name, folder).env(env::SHALLOP_TEST_CHILD.name, "1");
    let out = child.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains("stored until full"), "{text}{}", String::from_utf8_lossy(&out.stderr));
}
