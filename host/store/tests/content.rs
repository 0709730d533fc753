//! Blobs and layers: stored whole or not at all, found again, damage seen.

mod common;

use std::io::{self, Read};

use common::{Home, entries, gzip, put_layer, tar};
use shallop_oci::{Digest, media_type};
use shallop_store::{Store, StoreError};

#[test]
fn a_blob_comes_back() {
    let home = Home::new();
    let stored = home.store().put_blob(&mut &b"hello"[..], Some(&Digest::of(b"hello"))).unwrap();
    assert_eq!((stored.digest, stored.size), (Digest::of(b"hello"), 5));
    let mut text = String::new();
    home.store().open_blob(&stored.digest).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
    assert_eq!(entries(&home.dirs.ingest()), 0);
    assert_eq!(entries(&home.dirs.locks()), 1, "only `sweep` stays when the sessions are over");
}

#[test]
fn other_content_is_refused_and_not_kept() {
    let home = Home::new();
    let store = home.store();
    let wanted = Digest::of(b"wanted");
    let error = store.put_blob(&mut &b"other"[..], Some(&wanted)).unwrap_err();
    assert!(matches!(error, StoreError::Mismatch { .. }) && error.to_string().contains(&wanted.to_string()));
    assert!(!store.has_blob(&wanted) && !store.has_blob(&Digest::of(b"other")));
    assert_eq!(entries(&home.dirs.ingest()), 0);
    let missing = store.open_blob(&wanted).unwrap_err().to_string();
    assert!(missing.contains(&wanted.to_string()), "{missing}");
}

#[test]
fn a_reader_that_fails_leaves_nothing() {
    struct Broken(usize);
    impl Read for Broken {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("the network is gone"));
            }
            let n = self.0.min(buf.len());
            buf[..n].fill(0);
            self.0 -= n;
            Ok(n)
        }
    }
    let home = Home::new();
    let store = home.store();
    let error = store.put_blob(&mut Broken(1000), None).unwrap_err().to_string();
    assert!(error.contains("the network is gone"), "{error}");
    assert!(matches!(store.put_layer_tar(&mut Broken(100)), Err(StoreError::Input(_))));
    assert_eq!(entries(&home.dirs.ingest()), 0);
}

#[test]
fn damage_is_seen_and_mended_by_putting_again() {
    let home = Home::new();
    let store = home.store();
    let digest = store.put_bytes(b"precious").unwrap().digest;
    let path = home.dirs.blobs().join(digest.hex());
    std::fs::write(&path, b"preciouS").unwrap();
    let error = store.read_blob(&digest).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }) && error.to_string().contains(&digest.hex()), "{error}");
    assert!(store.copy_blob(&digest, &mut io::sink()).is_err());
    for damaged in [&b"preciouS"[..], b"prec"] {
        std::fs::write(&path, damaged).unwrap();
        store.put_bytes(b"precious").unwrap();
        assert_eq!(store.read_blob(&digest).unwrap(), b"precious");
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(store.read_blob(&digest).unwrap_err().to_string().contains(&digest.hex()));
    store.put_bytes(b"precious").unwrap();
    assert_eq!(store.read_blob(&digest).unwrap(), b"precious");
}

#[test]
fn many_threads_and_sessions_put_the_same() {
    let home = Home::new();
    let big = vec![7; 300_000];
    let archive = tar(&[("a", b"1"), ("big", &big)]);
    let shared = home.store();
    std::thread::scope(|scope| {
        for i in 0..8 {
            let (home, shared, archive) = (&home, &shared, &archive);
            scope.spawn(move || {
                let own;
                let store: &Store = if i % 2 == 0 {
                    shared
                } else {
                    own = home.store();
                    &own
                };
                let blob = store.put_bytes(b"same").unwrap().digest;
                let layer = store.put_layer_tar(&mut &archive[..]).unwrap();
                assert_eq!((blob, layer.diff_id), (Digest::of(b"same"), Digest::of(archive)));
                store.layer_files(&layer.diff_id).unwrap();
            });
        }
    });
    assert_eq!((entries(&home.dirs.blobs()), entries(&home.dirs.layers()), entries(&home.dirs.ingest())), (1, 1, 0));
}

#[test]
fn a_layer_has_its_three_files() {
    let home = Home::new();
    let store = home.store();
    let big = vec![42; 100_000];
    let archive = tar(&[("dir/big", &big), ("small", b"x")]);
    let info = store.put_layer_tar(&mut &archive[..]).unwrap();
    assert_eq!((info.diff_id, info.size), (Digest::of(&archive), archive.len() as u64));
    let mut files = store.layer_files(&info.diff_id).unwrap();
    let (mut tar, mut index) = (Vec::new(), Vec::new());
    files.tar.read_to_end(&mut tar).unwrap();
    files.index.read_to_end(&mut index).unwrap();
    assert_eq!(tar, archive);
    assert!(shallop_layer::index::Index::parse(index).is_ok());
    assert!(files.aligned.unwrap().metadata().unwrap().len() >= 100_000);
    assert!(store.layer_files(&put_layer(&store, &[("small", b"y")]).diff_id).unwrap().aligned.is_none());
    let mut through_blob = Vec::new();
    store.copy_blob(&info.diff_id, &mut through_blob).unwrap();
    assert_eq!(through_blob, archive);
}

#[test]
fn a_written_layer_is_the_same_as_a_read_one() {
    let home = Home::new();
    let store = home.store();
    let archive = tar(&[("file", b"content")]);
    let read = store.put_layer_tar(&mut &archive[..]).unwrap();
    let written = store.put_layer_with(&mut |out| out.write_all(&archive)).unwrap();
    assert_eq!(read, written);
    let error = store.put_layer_with(&mut |_| Err(io::Error::other("no more paper"))).unwrap_err().to_string();
    assert!(error.contains("no more paper"), "{error}");
    assert_eq!(entries(&home.dirs.ingest()), 0);
}

#[test]
fn compressed_layers_are_unpacked_and_checked() {
    let home = Home::new();
    let store = home.store();
    let archive = tar(&[("file", b"content")]);
    let diff_id = Digest::of(&archive);
    let zstd = zstd::encode_all(&archive[..], 1).unwrap();
    for (media_type, blob) in [
        (media_type::OCI_LAYER_GZIP, gzip(&archive)),
        (media_type::DOCKER_LAYER_GZIP, gzip(&archive)),
        (media_type::OCI_LAYER_ZSTD, zstd),
        (media_type::OCI_LAYER, archive.clone()),
    ] {
        let info = store.put_layer_blob(media_type, &mut &blob[..], Some(&diff_id)).unwrap();
        assert_eq!(info.diff_id, diff_id);
        let wrong = store.put_layer_blob(media_type, &mut &blob[..], Some(&Digest::of(b"x")));
        assert!(matches!(wrong, Err(StoreError::Mismatch { .. })));
        assert!(store.put_layer_blob(media_type, &mut &blob[..blob.len() * 3 / 10], None).is_err());
    }
    let unknown = store.put_layer_blob("text/plain", &mut &archive[..], None).unwrap_err();
    assert!(unknown.to_string().contains("text/plain"));
    assert_eq!(entries(&home.dirs.ingest()), 0);
}

#[test]
fn a_lost_index_is_made_again_from_a_sound_tar_only() {
    let home = Home::new();
    let store = home.store();
    let info = put_layer(&store, &[("file", b"content")]);
    let dir = home.dirs.layers().join(info.diff_id.hex());
    let index = std::fs::read(dir.join("index")).unwrap();
    std::fs::remove_file(dir.join("index")).unwrap();
    store.layer_files(&info.diff_id).unwrap();
    assert_eq!(std::fs::read(dir.join("index")).unwrap(), index);
    let mut bytes = std::fs::read(dir.join("tar")).unwrap();
    bytes[513] ^= 1;
    std::fs::write(dir.join("tar"), bytes).unwrap();
    let error = store.rebuild_index(&info.diff_id).unwrap_err().to_string();
    assert!(error.contains("damaged") && error.contains(&info.diff_id.to_string()), "{error}");
}

#[test]
fn damaged_files_of_a_layer_are_made_again_or_named() {
    let home = Home::new();
    let store = home.store();
    let big = vec![42; 100_000];
    let put = || put_layer(&store, &[("big", &big), ("small", b"content")]);
    let id = put().diff_id;
    let dir = home.dirs.layers().join(id.hex());
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
    let (tar, index, aligned) = (read("tar"), read("index"), read("aligned"));
    let halves = |good: &[u8]| {
        let mut flipped = good.to_vec();
        flipped[good.len() / 2] ^= 1;
        [Vec::new(), good[..good.len() / 2].to_vec(), flipped]
    };
    for bad in halves(&index) {
        std::fs::write(dir.join("index"), bad).unwrap();
        store.layer_files(&id).unwrap();
        assert_eq!(read("index"), index);
    }
    for bad in &halves(&aligned)[..2] {
        std::fs::write(dir.join("aligned"), bad).unwrap();
        store.layer_files(&id).unwrap();
        assert_eq!(read("aligned"), aligned);
    }
    for bad in &halves(&tar)[..2] {
        std::fs::write(dir.join("tar"), bad).unwrap();
        let error = store.layer_files(&id).unwrap_err().to_string();
        assert!(error.contains("damaged") && error.contains(&id.hex()), "{error}");
    }
    for bad in halves(&tar) {
        std::fs::write(dir.join("tar"), bad).unwrap();
        put();
        assert_eq!(read("tar"), tar);
    }
    for name in ["index", "aligned"] {
        std::fs::remove_file(dir.join(name)).unwrap();
        std::fs::create_dir(dir.join(name)).unwrap();
        store.layer_files(&id).unwrap();
    }
    assert_eq!((read("index"), read("aligned"), entries(&home.dirs.ingest())), (index, aligned, 0));
}

#[test]
fn no_tar_is_no_layer() {
    let home = Home::new();
    let store = home.store();
    assert!(matches!(store.put_layer_tar(&mut &[7; 2048][..]), Err(StoreError::Layer(_))));
    assert_eq!((entries(&home.dirs.layers()), entries(&home.dirs.ingest())), (0, 0));
}
