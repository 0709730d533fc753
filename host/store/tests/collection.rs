//! Leases and collection: what is in use stays, what dead processes left goes.

mod common;

use std::time::Duration;

use common::{Home, entries, put_image, put_layer, tagged};
use shallop_oci::Digest;
use shallop_store::{CacheEntry, GcOptions, StoreError};

fn everything() -> GcOptions {
    GcOptions { unused_images: true, build_cache_older_than: Some(Duration::ZERO), ..GcOptions::default() }
}

#[test]
fn what_a_live_session_stored_stays() {
    let home = Home::new();
    let builder = home.store();
    let layer = put_layer(&builder, &[("a", b"1")]);
    let id = put_image(&builder, "unnamed", &[layer]);
    let loose = builder.put_bytes(b"loose").unwrap().digest;
    let collected = home.store().gc(&everything()).unwrap();
    assert!(collected.images.is_empty() && collected.layers.is_empty() && collected.blobs.is_empty());
    drop(builder);
    let collected = home.store().gc(&GcOptions { dangling_images: true, ..GcOptions::default() }).unwrap();
    assert_eq!((collected.images, collected.layers), (vec![id], vec![layer.diff_id]));
    assert!(collected.blobs.contains(&loose) && collected.blobs.contains(&id) && collected.bytes > 0);
    assert_eq!(entries(&home.dirs.blobs()) + entries(&home.dirs.layers()) + entries(&home.dirs.ingest()), 0);
}

#[test]
fn finding_content_that_is_there_keeps_it() {
    let home = Home::new();
    let layer = put_layer(&home.store(), &[("a", b"1")]);
    let blob = home.store().put_bytes(b"blob").unwrap().digest;
    let old = std::time::SystemTime::now() - Duration::from_secs(3600);
    for path in [home.dirs.layers().join(layer.diff_id.hex()), home.dirs.blobs().join(blob.hex())] {
        std::fs::File::open(path).unwrap().set_times(std::fs::FileTimes::new().set_modified(old)).unwrap();
    }
    let builder = home.store();
    put_layer(&builder, &[("a", b"1")]);
    builder.put_bytes(b"blob").unwrap();
    home.store().gc(&everything()).unwrap();
    assert!(builder.has_layer(&layer.diff_id) && builder.has_blob(&blob));
}

#[test]
fn named_images_stay_unless_asked_for() {
    let home = Home::new();
    let (id, layer) = tagged(&home.store(), "app");
    let store = home.store();
    assert_eq!(store.gc(&GcOptions { dangling_images: true, ..GcOptions::default() }).unwrap().images, []);
    assert_eq!(store.resolve("app", None).unwrap().id, id);
    assert_eq!(store.gc(&everything()).unwrap().layers, [layer.diff_id]);
    assert!(store.images().unwrap().is_empty());
}

#[test]
fn crash_leftovers_go_and_drafts_of_the_living_stay() {
    let home = Home::new();
    let store = home.store();
    store.put_bytes(b"x").unwrap();
    let lease = std::fs::read_dir(home.dirs.locks()).unwrap().flatten().map(|e| e.file_name().into_string().unwrap());
    let lease = lease.filter_map(|name| name.strip_suffix(".lease").map(str::to_owned)).next().unwrap();
    let ingest = home.dirs.ingest();
    std::fs::write(ingest.join(format!("{lease}-99")), b"being written").unwrap();
    std::fs::write(home.dirs.locks().join("dead.lease"), b"").unwrap();
    std::fs::write(home.dirs.locks().join("step-dead"), b"").unwrap();
    std::fs::create_dir_all(ingest.join("dead-0")).unwrap();
    std::fs::write(ingest.join("dead-0/tar"), b"half").unwrap();
    std::fs::create_dir_all(home.dirs.containers().join("0".repeat(64))).unwrap();
    home.store().gc(&GcOptions::default()).unwrap();
    assert_eq!(std::fs::read_dir(&ingest).unwrap().count(), 1);
    assert!(ingest.join(format!("{lease}-99")).exists());
    assert!(!home.dirs.locks().join("dead.lease").exists() && !home.dirs.locks().join("step-dead").exists());
    assert_eq!(entries(&home.dirs.containers()), 0);
}

#[test]
fn build_results_come_back_and_hold_their_layer() {
    let home = Home::new();
    let store = home.store();
    let layer = put_layer(&store, &[("a", b"1")]);
    let entry = CacheEntry { layer: Some(layer.diff_id), config: "{\"a\":1}".to_owned() };
    store.cache_put("key", &entry).unwrap();
    store.cache_put("empty", &CacheEntry { layer: None, config: String::new() }).unwrap();
    drop(store);
    let store = home.store();
    store.gc(&GcOptions::default()).unwrap();
    assert_eq!(store.cache_get("key").unwrap(), Some(entry.clone()));
    assert_eq!(store.cache_get("other").unwrap(), None);
    // The hit pins the layer for this session even when the result is forgotten.
    let collected = home.store().gc(&everything()).unwrap();
    assert_eq!((collected.build_results, collected.layers.len()), (2, 0));
    assert_eq!(store.cache_get("key").unwrap(), None);
    assert!(store.has_layer(&layer.diff_id));
    let gone = CacheEntry { layer: Some(Digest::of(b"gone")), ..entry };
    assert!(matches!(store.cache_put("key", &gone), Err(StoreError::NoSuchLayer(_))));
}

#[test]
fn a_result_without_its_layer_is_none() {
    let home = Home::new();
    let store = home.store();
    let layer = put_layer(&store, &[("a", b"1")]);
    store.cache_put("key", &CacheEntry { layer: Some(layer.diff_id), config: String::new() }).unwrap();
    std::fs::remove_dir_all(home.dirs.layers().join(layer.diff_id.hex())).unwrap();
    assert_eq!(store.cache_get("key").unwrap(), None);
}

#[test]
fn one_works_on_a_step_and_others_wait() {
    let home = Home::new();
    let counter = std::sync::atomic::AtomicU32::new(0);
    let inside = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = home.store();
                for _ in 0..20 {
                    let _lock = store.lock_step("RUN make").unwrap();
                    assert!(!inside.swap(true, std::sync::atomic::Ordering::SeqCst));
                    counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    inside.store(false, std::sync::atomic::Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(counter.into_inner(), 80);
    let store = home.store();
    let held = store.lock_step("a").unwrap();
    assert!(store.try_lock_step("a").unwrap().is_none() && store.try_lock_step("b").unwrap().is_some());
    drop(held);
    assert!(store.try_lock_step("a").unwrap().is_some());
}

#[test]
fn collecting_while_others_store_loses_nothing() {
    let home = Home::new();
    std::thread::scope(|scope| {
        let makers: Vec<_> = (0..3)
            .map(|i| {
                let home = &home;
                scope.spawn(move || {
                    for round in 0..10 {
                        // The same content from everybody, so that one's garbage is another's find.
                        let name = format!("app:{}", round % 2);
                        let (id, layer) = tagged(&home.store(), &name);
                        let store = home.store();
                        let pinned = store.pin(&[layer.diff_id]);
                        if i == 0 && pinned.is_ok() {
                            assert!(store.has_layer(&layer.diff_id));
                            let _ = store.remove_image(&id.hex(), true);
                            assert!(store.has_layer(&layer.diff_id), "pinned");
                        }
                    }
                })
            })
            .collect();
        while makers.iter().any(|maker| !maker.is_finished()) {
            home.store().gc(&everything()).unwrap();
        }
    });
}

#[test]
fn part_of_a_blob_stays_for_a_while() {
    let home = Home::new();
    let [blob, old, held] = [&b"blob"[..], b"old", b"held"].map(Digest::of);
    let path = |digest: &Digest| home.dirs.partial().join(digest.hex());
    let holder = home.store();
    let breaking_off = |digest: &Digest| {
        let store = home.store();
        let mut broken = std::io::Read::chain(&b"bl"[..], Broken);
        let error = store.partial(digest).unwrap().fill(&mut broken).unwrap_err();
        assert!(matches!(error, StoreError::Input(_)), "{error}");
    };
    [blob, old, held].iter().for_each(breaking_off);
    let partial = holder.partial(&held).unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(8 * 24 * 3600);
    for digest in [old, held] {
        let file = std::fs::OpenOptions::new().write(true).open(path(&digest)).unwrap();
        file.set_times(std::fs::FileTimes::new().set_modified(long_ago)).unwrap();
    }
    home.store().gc(&everything()).unwrap();
    assert!(path(&blob).exists() && !path(&old).exists() && path(&held).exists());
    drop(partial);
    // The next session that stores something clears up, too.
    home.store().put_bytes(b"other").unwrap();
    assert!(path(&blob).exists() && !path(&held).exists());
    let store = home.store();
    let mut partial = store.partial(&blob).unwrap();
    assert_eq!(partial.size(), 2);
    partial.fill(&mut &b"ob"[..]).unwrap();
    partial.keep().unwrap();
    assert!(!path(&blob).exists() && store.read_blob(&blob).unwrap() == b"blob");
    // A part that was whole long ago is young as a blob.
    home.store().gc(&everything()).unwrap();
    assert!(store.has_blob(&blob));
    // Nothing came, or something else: nothing is left.
    drop(store.partial(&old).unwrap());
    assert!(matches!(store.partial(&old).unwrap().fill(&mut &b"new"[..]), Err(StoreError::Mismatch { .. })));
    assert_eq!(entries(&home.dirs.partial()), 0);
}

#[test]
fn parts_of_blobs_are_bounded_together() {
    let home = Home::new();
    let part = |name: &[u8], gigabytes: u64, hours: u64| {
        let digest = Digest::of(name);
        std::fs::create_dir_all(home.dirs.partial()).unwrap();
        let file = std::fs::File::create(home.dirs.partial().join(digest.hex())).unwrap();
        file.set_len(gigabytes << 30).unwrap();
        let modified = std::time::SystemTime::now() - Duration::from_secs(3600 * hours);
        file.set_times(std::fs::FileTimes::new().set_modified(modified)).unwrap();
        digest
    };
    let here = |digest: &Digest| home.dirs.partial().join(digest.hex()).exists();
    let [old, large, held, young] = [(3, 4), (2, 3), (2, 2), (1, 1)].map(|(size, age)| part(&[age], size, age.into()));
    let holder = home.store();
    let partial = holder.partial(&held).unwrap();
    home.store().gc(&everything()).unwrap();
    assert_eq!([old, large, held, young].map(|digest| here(&digest)), [false, false, true, true]);
    part(&[4], 1, 4);
    part(&[0], 3, 0);
    home.store().gc(&everything()).unwrap();
    // Who is at one keeps it.
    assert_eq!([old, held, young].map(|digest| here(&digest)), [false, true, true]);
    drop(partial);
    // What is more than all may be does not stay at all.
    let huge = part(b"huge", 5, 0);
    drop(holder.partial(&huge).unwrap());
    assert!(!here(&huge) && here(&held));
}

struct Broken;

impl std::io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("it broke off"))
    }
}
