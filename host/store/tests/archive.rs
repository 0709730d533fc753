//! Archives: out and in, in both forms, and hostile ones.

mod common;

use std::fs::File;
use std::io::{Seek, Write};

use common::{Home, entries, gzip, oracle, put_image, put_layer, tagged, tar};
use shallop_layer::tar::{Entry, Kind, Writer};
use shallop_oci::{Digest, ImageConfig, Platform, Reference};
use shallop_store::{Store, StoreError};

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

fn load(store: &Store, bytes: &[u8]) -> Result<Vec<shallop_store::Loaded>, StoreError> {
    store.load(file(bytes), "x.tar")
}

fn save(store: &Store, names: &[&str]) -> Vec<u8> {
    let image = |name: &&str| (store.resolve(name, None).unwrap().id, vec![Reference::parse(name).unwrap()]);
    let mut out = Vec::new();
    store.save(&names.iter().map(image).collect::<Vec<_>>(), &mut out).unwrap();
    out
}

/// Docker's older form by hand: a configuration and layers at these paths.
fn docker_archive(layers: &[(&str, &[u8], &[u8])]) -> (Vec<u8>, Digest) {
    let mut config = ImageConfig::new(&Platform::default());
    config.rootfs.diff_ids = layers.iter().map(|(_, _, tar)| Digest::of(tar)).collect();
    // Bytes that no program would write again in the same way.
    let config = [&config.to_json().unwrap()[..], b"\n"].concat();
    let paths: Vec<&str> = layers.iter().map(|(path, _, _)| *path).collect();
    let manifest = serde_json::json!([{"Config": "c.json", "RepoTags": ["old:1"], "Layers": paths}]).to_string();
    let mut files: Vec<(&str, &[u8])> = layers.iter().map(|(path, bytes, _)| (*path, *bytes)).collect();
    files.extend([("c.json", &config[..]), ("manifest.json", manifest.as_bytes())]);
    (tar(&files), Digest::of(&config))
}

#[test]
fn out_and_in_again() {
    let (home, other) = (Home::new(), Home::new());
    let store = home.store();
    let (one, layer) = tagged(&store, "user/app:v1");
    let two = put_image(&store, "second", &[layer]);
    store.tag(&Reference::parse("second").unwrap(), &two).unwrap();
    let bytes = save(&store, &["user/app:v1", "second"]);
    assert_eq!(save(&store, &["user/app:v1", "second"]), bytes, "again is the same");
    for form in [bytes.clone(), gzip(&bytes), zstd::encode_all(&bytes[..], 1).unwrap()] {
        let there = Home::new().store();
        let loaded = load(&there, &form).unwrap();
        let names: Vec<String> = loaded.iter().map(|image| image.name.as_ref().unwrap().familiar()).collect();
        assert_eq!(
            (loaded[0].id, loaded[1].id, names),
            (one, two, vec!["user/app:v1".to_owned(), "second:latest".to_owned()])
        );
        there.layer_files(&layer.diff_id).unwrap();
    }
    // A name that stood for another image.
    let there = other.store();
    let (before, _) = tagged(&there, "second");
    let loaded = load(&there, &bytes).unwrap();
    assert_eq!((loaded[0].replaced, loaded[1].replaced), (None, (before != two).then_some(before)));
    assert_eq!(entries(&other.dirs.ingest()), 0);
}

#[test]
fn dockers_older_form() {
    let layers = [tar(&[("a", b"1")]), tar(&[("b", b"2")]), tar(&[("c", b"3")])];
    let packed = [layers[0].clone(), gzip(&layers[1]), zstd::encode_all(&layers[2][..], 1).unwrap()];
    let (bytes, id) = docker_archive(&[
        ("1/layer.tar", &packed[0], &layers[0]),
        ("2/layer.tar", &packed[1], &layers[1]),
        ("3.tar", &packed[2], &layers[2]),
    ]);
    let home = Home::new();
    let loaded = load(&home.store(), &bytes).unwrap();
    assert_eq!((loaded[0].id, loaded[0].name.as_ref().unwrap().familiar().as_str()), (id, "old:1"));
    let image = home.store().resolve("old:1", None).unwrap();
    assert_eq!(image.layers, layers.iter().map(|layer| Digest::of(layer)).collect::<Vec<_>>());
    // It can be saved again.
    let there = Home::new().store();
    assert_eq!(load(&there, &save(&home.store(), &["old:1"])).unwrap()[0].id, id);
}

#[test]
fn links_within_an_archive() {
    let layer = tar(&[("a", b"1")]);
    let link = |target: &str| {
        let (bytes, id) = docker_archive(&[("2/layer.tar", b"", &layer)]);
        // The member is replaced by a link; the last one of a name counts.
        let mut out = bytes[..bytes.len() - 1024].to_vec();
        let mut writer = Writer::new(&mut out);
        let size = layer.len() as u64;
        writer.append(&Entry::new("1/layer.tar", 0o644, Kind::File { size }), &mut &layer[..]).unwrap();
        let entry = Entry::new("2/layer.tar", 0o777, Kind::Symlink(target.as_bytes().to_vec()));
        writer.append(&entry, &mut std::io::empty()).unwrap();
        writer.finish().unwrap();
        (out, id)
    };
    let home = Home::new();
    let (bytes, id) = link("../1/layer.tar");
    assert_eq!(load(&home.store(), &bytes).unwrap()[0].id, id);
    for bad in ["../../../etc/passwd", "/etc/passwd", "../2/layer.tar", ".."] {
        let home = Home::new();
        let error = load(&home.store(), &link(bad).0).unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{bad}: {error}");
        assert!(home.store().images().unwrap().is_empty());
    }
}

#[test]
fn damage_is_found_and_nothing_is_lost() {
    let home = Home::new();
    let store = home.store();
    let (before, _) = tagged(&store, "app");
    let maker = Home::new().store();
    let layer = put_layer(&maker, &[("file", &[7; 5000])]);
    let id = put_image(&maker, "app", &[layer]);
    maker.tag(&Reference::parse("app").unwrap(), &id).unwrap();
    let good = save(&maker, &["app"]);
    for at in (0..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        // Some bytes mean nothing (padding); what is taken in is right.
        if let Ok(loaded) = load(&store, &bad) {
            assert!(loaded.iter().all(|image| image.id == id), "byte {at}");
            store.tag(&Reference::parse("app").unwrap(), &before).unwrap();
        }
        assert_eq!(store.resolve("app", None).unwrap().id, before, "byte {at}");
    }
    for end in (0..good.len()).step_by(1003) {
        // Only the end mark may be missing.
        let loaded = load(&store, &good[..end]);
        assert!(loaded.is_err() || good.len() - end <= 1024, "cut at {end}");
        store.tag(&Reference::parse("app").unwrap(), &before).unwrap();
    }
    assert_eq!(entries(&home.dirs.ingest()), 0);
}

#[test]
fn what_is_no_archive_of_images() {
    let home = Home::new();
    let store = home.store();
    let many = format!("[{}]", vec![r#"{"Config":"c"}"#; 1001].join(","));
    let cases: &[(Vec<u8>, &str)] = &[
        (b"".to_vec(), "no archive of images"),
        (b"hello".to_vec(), "x.tar"),
        (gzip(b""), "no archive of images"),
        (gzip(b"hello"), "x.tar"),
        (vec![0x1f, 0x8b, 1, 2, 3], ""),
        (tar(&[("other", b"x")]), "no archive of images"),
        (tar(&[("manifest.json", b"[]")]), "0 images"),
        (tar(&[("manifest.json", b"{")]), "manifest.json"),
        (tar(&[("manifest.json", many.as_bytes())]), "1001 images"),
        (tar(&[("manifest.json", br#"[{"Config":"../../etc/passwd"}]"#)]), "not in the archive"),
        (tar(&[("manifest.json", br#"[{"Config":"/etc/passwd"}]"#)]), "not in the archive"),
        (tar(&[("manifest.json", br#"[{"Config":"c","RepoTags":["UPPER"]}]"#), ("c", b"{}")]), "lowercase"),
        (tar(&[("manifest.json", br#"[{"Config":"c","Layers":["x"]}]"#), ("c", b"{}")]), "1 layers"),
        (tar(&[("index.json", b"{}")]), "oci-layout"),
        (tar(&[("index.json", b"{}"), ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)]), "index.json"),
        (tar(&[("manifest.json", &vec![b' '; 9 << 20])]), "too large"),
    ];
    for (bytes, why) in cases {
        let error = load(&store, bytes).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert!(store.images().unwrap().is_empty());
    assert_eq!(entries(&home.dirs.ingest()), 0);
}

#[test]
fn damage_in_the_store_stops_a_save() {
    let home = Home::new();
    let store = home.store();
    let (id, layer) = tagged(&store, "app");
    let path = home.dirs.layers().join(layer.diff_id.hex()).join("tar");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[512] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = store.save(&[(id, Vec::new())], &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains(&layer.diff_id.to_string()), "{error}");
}

#[test]
fn one_image_for_another_platform() {
    let (home, other) = (Home::new(), Home::new());
    let store = home.store();
    let layer = put_layer(&store, &[("a", b"1")]);
    let id = store.put_image(&ImageConfig::new(&Platform::new("linux", "amd64")), &[layer], &[]).unwrap();
    let mut bytes = Vec::new();
    store.save(&[(id, Vec::new())], &mut bytes).unwrap();
    let loaded = load(&other.store(), &bytes).unwrap();
    assert_eq!((loaded[0].id, &loaded[0].name), (id, &None));
    assert_eq!(other.store().image(&id).unwrap().platform.to_string(), "linux/amd64");
}

#[test]
fn skopeo_reads_an_archive() {
    if !oracle("skopeo") {
        return;
    }
    let home = Home::new();
    let store = home.store();
    let (_, layer) = tagged(&store, "user/app:v1");
    let path = home.folder.path().join("x.tar");
    std::fs::write(&path, save(&store, &["user/app:v1"])).unwrap();
    for transport in ["docker-archive", "oci-archive"] {
        let source = format!("{transport}:{}", path.display());
        let out = std::process::Command::new("skopeo").args(["inspect", &source]).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let shown: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(shown["Layers"][0], layer.diff_id.to_string(), "{transport}");
    }
}
