//! A store in a temporary folder, and layers to put into it.
#![allow(dead_code, reason = "not every test file uses everything")]

use std::io::Write;
use std::path::Path;

use shallop_config::Dirs;
use shallop_layer::tar::{Entry, Kind, Writer};
use shallop_oci::{ImageConfig, Platform, Reference};
use shallop_store::{ImageId, LayerInfo, Store};

pub struct Home {
    pub folder: tempfile::TempDir,
    pub dirs: Dirs,
}

impl Home {
    pub fn new() -> Home {
        let folder = tempfile::tempdir().unwrap();
        let dirs = Dirs::below(folder.path());
        Home { folder, dirs }
    }

    /// A session of its own.
    pub fn store(&self) -> Store {
        Store::open(&self.dirs).unwrap()
    }
}

/// A tar with these files.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    for (path, content) in files {
        let entry = Entry::new(path.as_bytes().to_vec(), 0o644, Kind::File { size: content.len() as u64 });
        writer.append(&entry, &mut &content[..]).unwrap();
    }
    writer.finish().unwrap();
    out
}

pub fn put_layer(store: &Store, files: &[(&str, &[u8])]) -> LayerInfo {
    store.put_layer_tar(&mut &tar(files)[..]).unwrap()
}

/// An image whose configuration has `label`, so that its id is its own.
pub fn put_image(store: &Store, label: &str, layers: &[LayerInfo]) -> ImageId {
    put_named(store, label, layers, &[])
}

fn put_named(store: &Store, label: &str, layers: &[LayerInfo], names: &[Reference]) -> ImageId {
    let mut config = ImageConfig::new(&Platform::default());
    config.config.labels.insert("label".to_owned(), label.to_owned());
    config.created = Some("2024-01-02T03:04:05Z".to_owned());
    store.put_image(&config, layers, names).unwrap()
}

/// An image with one layer and a name.
pub fn tagged(store: &Store, name: &str) -> (ImageId, LayerInfo) {
    let layer = put_layer(store, &[("file", name.as_bytes())]);
    let id = put_named(store, name, &[layer], &[Reference::parse(name).unwrap()]);
    (id, layer)
}

pub fn entries(dir: &Path) -> usize {
    std::fs::read_dir(dir).map(|entries| entries.count()).unwrap_or(0)
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Whether a program to compare with is here. Where it is not, the calling test is to return.
pub fn oracle(program: &str) -> bool {
    let found = std::process::Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
    if !found {
        skip(program);
    }
    found
}

/// Says that the calling test is skipped for want of something; with `SHALLOP_TEST_REQUIRE_ORACLES` set it fails instead.
pub fn skip(need: &str) {
    use shallop_config::env;
    assert!(!env::SHALLOP_TEST_REQUIRE_ORACLES.is_set(), "this needs {need}");
    println!("skipped: this needs {need}");
    if let Some(file) = env::SHALLOP_TEST_SKIPS.get() {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
        writeln!(file, "store: needs {need}").unwrap();
    }
}
