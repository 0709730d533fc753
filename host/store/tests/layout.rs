//! OCI layouts: out, in, and as skopeo sees them.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Home, gzip, oracle, put_image, put_layer, tagged, tar};
use shallop_oci::{Descriptor, Digest, ImageConfig, Index, Manifest, Platform, Reference, media_type};
use shallop_store::{Store, StoreError};

fn export(store: &Store, name: &str, dir: &Path) -> Digest {
    store.export_oci_layout(&store.resolve(name, None).unwrap().id, dir).unwrap()
}

/// A layout made by hand.
struct ByHand {
    dir: tempfile::TempDir,
}

impl ByHand {
    fn new() -> ByHand {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("blobs/sha256")).unwrap();
        fs::write(dir.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        ByHand { dir }
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let digest = Digest::of(bytes);
        fs::write(self.dir.path().join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        Descriptor::new(media_type, digest, bytes.len() as u64)
    }

    fn index(&self, manifests: Vec<Descriptor>) {
        fs::write(self.dir.path().join("index.json"), Index::new(manifests).to_json().unwrap()).unwrap();
    }

    fn image(&self, platform: &Platform, layer: Descriptor, diff_id: Digest) -> Descriptor {
        let mut config = ImageConfig::new(platform);
        config.rootfs.diff_ids = vec![diff_id];
        let config = self.blob(media_type::OCI_CONFIG, &config.to_json().unwrap());
        let manifest = Manifest::new(config, vec![layer]).to_json().unwrap();
        Descriptor { platform: Some(platform.clone()), ..self.blob(media_type::OCI_MANIFEST, &manifest) }
    }
}

#[test]
fn out_and_in_again() {
    let (home, other) = (Home::new(), Home::new());
    let store = home.store();
    let (id, layer) = tagged(&store, "user/app:v1");
    store.tag(&Reference::parse("app").unwrap(), &id).unwrap();
    tagged(&store, "second");
    let dir = home.folder.path().join("layout");
    let manifest = export(&store, "user/app:v1", &dir);
    export(&store, "second", &dir);
    assert_eq!(export(&store, "app", &dir), manifest, "again is the same");
    let index = Index::parse(&fs::read(dir.join("index.json")).unwrap()).unwrap();
    assert_eq!(index.manifests.len(), 3, "one entry per name");
    let there = other.store();
    let imported = there.import_oci_layout(&dir).unwrap();
    assert_eq!(imported.len(), 3);
    let image = there.resolve("user/app:v1", Some(&Platform::default())).unwrap();
    assert_eq!((image.id, image.manifest, image.layers), (id, manifest, vec![layer.diff_id]));
    assert_eq!(there.resolve("app", None).unwrap().id, id);
    there.layer_files(&layer.diff_id).unwrap();
    assert_eq!(there.import_oci_layout(&dir).unwrap(), imported);
}

#[test]
fn a_compressed_image_is_kept_as_it_came() {
    let layout = ByHand::new();
    let archive = tar(&[("file", b"content")]);
    let layer = layout.blob(media_type::OCI_LAYER_GZIP, &gzip(&archive));
    let wanted = layout.image(&Platform::default(), layer.clone(), Digest::of(&archive));
    let foreign = layout.image(&Platform::new("linux", "amd64"), layer.clone(), Digest::of(&archive));
    let nested = Index::new(vec![foreign, wanted.clone()]).to_json().unwrap();
    layout.index(vec![layout.blob(media_type::OCI_INDEX, &nested)]);
    let home = Home::new();
    let imported = home.store().import_oci_layout(layout.dir.path()).unwrap();
    assert_eq!((imported.len(), imported[0].platform.to_string().as_str()), (1, "linux/riscv64"));
    let store = home.store();
    let image = store.image(&imported[0].id).unwrap();
    assert_eq!((image.manifest, image.layers), (wanted.digest, vec![Digest::of(&archive)]));
    assert!(store.has_blob(&layer.digest));
    store.gc(&Default::default()).unwrap();
    assert!(store.has_blob(&layer.digest) && store.has_layer(&Digest::of(&archive)));
    let again = home.folder.path().join("again");
    assert_eq!(store.export_oci_layout(&image.id, &again).unwrap(), wanted.digest);
    assert!(again.join("blobs/sha256").join(layer.digest.hex()).is_file());
}

#[test]
fn wrong_content_is_refused_by_name() {
    let archive = tar(&[("file", b"content")]);
    let import = |layout: &ByHand| {
        let home = Home::new();
        let error = home.store().import_oci_layout(layout.dir.path()).unwrap_err();
        assert!(home.store().images().unwrap().is_empty());
        error
    };
    // A layer that is not what the configuration says.
    let layout = ByHand::new();
    let layer = layout.blob(media_type::OCI_LAYER_GZIP, &gzip(&archive));
    layout.index(vec![layout.image(&Platform::default(), layer, Digest::of(b"other"))]);
    assert!(matches!(import(&layout), StoreError::Mismatch { .. }));
    // Damage on disk: of a layer, of a manifest.
    for damage_layer in [true, false] {
        let layout = ByHand::new();
        let layer = layout.blob(media_type::OCI_LAYER, &archive);
        let manifest = layout.image(&Platform::default(), layer.clone(), Digest::of(&archive));
        let victim = if damage_layer { layer.digest } else { manifest.digest };
        layout.index(vec![manifest]);
        let path = layout.dir.path().join("blobs/sha256").join(victim.hex());
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 4 + 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = import(&layout).to_string();
        assert!(error.contains(&victim.hex()), "{error}");
    }
    // Only a foreign platform.
    let layout = ByHand::new();
    let layer = layout.blob(media_type::OCI_LAYER, &archive);
    layout.index(vec![layout.image(&Platform::new("linux", "amd64"), layer, Digest::of(&archive))]);
    let error = import(&layout).to_string();
    assert!(error.contains("linux/amd64"), "{error}");
}

#[test]
fn hostile_layouts_end_in_errors() {
    let home = Home::new();
    let store = home.store();
    let layout = ByHand::new();
    for (file, text) in [
        ("index.json", "{}"),
        ("index.json", "\u{0}"),
        ("index.json", r#"{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"sha256:../../../x","size":1}]}"#),
        ("index.json", r#"{"schemaVersion":2,"manifests":[]}"#),
        ("oci-layout", r#"{"imageLayoutVersion":"9"}"#),
    ] {
        fs::write(layout.dir.path().join(file), text).unwrap();
        assert!(matches!(store.import_oci_layout(layout.dir.path()), Err(StoreError::Invalid { .. })), "{text}");
    }
    // An index within an index within …
    let layout = ByHand::new();
    let mut inner = layout.blob(media_type::OCI_MANIFEST, b"{}");
    for _ in 0..10 {
        inner = layout.blob(media_type::OCI_INDEX, &Index::new(vec![inner]).to_json().unwrap());
    }
    layout.index(vec![inner]);
    let error = store.import_oci_layout(layout.dir.path()).unwrap_err().to_string();
    assert!(error.contains("nested"), "{error}");
    assert!(store.import_oci_layout(&home.folder.path().join("nowhere")).is_err());
}

#[test]
fn damage_in_the_store_stops_an_export() {
    let home = Home::new();
    let store = home.store();
    let layer = put_layer(&store, &[("a", b"1")]);
    let id = put_image(&store, "app", &[layer]);
    let path = home.dirs.layers().join(layer.diff_id.hex()).join("tar");
    let mut bytes = fs::read(&path).unwrap();
    bytes[512] ^= 1;
    fs::write(&path, bytes).unwrap();
    let dir = home.folder.path().join("layout");
    let error = store.export_oci_layout(&id, &dir).unwrap_err().to_string();
    assert!(error.contains(&layer.diff_id.to_string()), "{error}");
    assert!(!dir.join("index.json").exists());
    assert!(!dir.join("blobs/sha256").join(layer.diff_id.hex()).exists());
}

#[test]
fn skopeo_reads_an_export_and_we_read_its_copy() {
    if !oracle("skopeo") {
        return;
    }
    let home = Home::new();
    let store = home.store();
    let (id, layer) = tagged(&store, "user/app:v1");
    let dir = home.folder.path().join("layout");
    let manifest = export(&store, "user/app:v1", &dir);
    let source = format!("oci:{}:v1", dir.display());
    let out = Command::new("skopeo").args(["inspect", &source]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let shown: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(shown["Digest"], manifest.to_string());
    assert_eq!((&shown["Architecture"], &shown["Os"]), (&"riscv64".into(), &"linux".into()));
    assert_eq!(shown["Layers"][0], layer.diff_id.to_string());
    assert_eq!(shown["Labels"]["label"], "user/app:v1");
    // It copies (and compresses) the image; what comes back has the same id.
    let copy = home.folder.path().join("copy");
    let target = format!("oci:{}:copied", copy.display());
    let args = ["--insecure-policy", "copy", "--dest-compress", &source, &target];
    let out = Command::new("skopeo").args(args).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let other = Home::new();
    let imported = other.store().import_oci_layout(&copy).unwrap();
    assert_eq!(imported[0].id, id);
    assert!(other.store().has_layer(&layer.diff_id));
}
