//! Archives of images, out: an OCI layout with Docker's `manifest.json` in one tar, as Docker's `save` writes it since
//! version 25. Equal images give equal bytes: time stamps are the epoch.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};

use serde::Serialize;
use shallop_layer::tar::{Entry, Kind, Writer};
use shallop_oci::{Descriptor, Digest, Hasher, Index, Reference};

use crate::Store;
use crate::error::{Result, StoreError};
use crate::image::ImageId;
use crate::layout::{LAYOUT, blob_path, index_entries, manifest_descriptor};

/// An entry of `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Store {
    /// Writes images, each with the names that it is to have, as one archive. Content is verified on the way.
    ///
    /// # Errors
    /// [`StoreError::NoSuchImage`], [`StoreError::Mismatch`] for damaged content, [`StoreError::Layer`] when `out` fails.
    pub fn save(&self, images: &[(ImageId, Vec<Reference>)], out: &mut dyn Write) -> Result<()> {
        let mut writer = Writer::new(out);
        for folder in ["blobs", "blobs/sha256"] {
            writer.append(&Entry::new(folder, 0o755, Kind::Dir), &mut io::empty())?;
        }
        let mut written = BTreeSet::new();
        let (mut entries, mut docker) = (Vec::new(), Vec::new());
        for (id, tags) in images {
            let (digest, manifest) = self.manifest(id)?;
            let size = self.save_blob(&digest, &mut writer, &mut written)?;
            for descriptor in std::iter::once(&manifest.config).chain(&manifest.layers) {
                self.save_blob(&descriptor.digest, &mut writer, &mut written)?;
            }
            let descriptor = manifest_descriptor(self, id, &digest, &manifest, size)?;
            entries.extend(index_entries(&descriptor, tags));
            docker.push(DockerEntry {
                config: blob_path(&manifest.config.digest),
                repo_tags: (!tags.is_empty()).then(|| tags.iter().map(Reference::familiar).collect()),
                layers: manifest.layers.iter().map(|layer: &Descriptor| blob_path(&layer.digest)).collect(),
            });
        }
        let fail = |e: serde_json::Error| StoreError::invalid("archive", e);
        let index = Index::new(entries).to_json().map_err(fail)?;
        let docker = serde_json::to_vec(&docker).map_err(fail)?;
        for (name, bytes) in [("index.json", &index[..]), ("manifest.json", &docker), ("oci-layout", LAYOUT.as_bytes())]
        {
            let entry = Entry::new(name, 0o644, Kind::File { size: bytes.len() as u64 });
            writer.append(&entry, &mut &bytes[..])?;
        }
        Ok(writer.finish()?)
    }

    /// Writes a blob once; its size.
    fn save_blob(&self, digest: &Digest, writer: &mut Writer<'_>, written: &mut BTreeSet<Digest>) -> Result<u64> {
        let file = self.open_blob(digest)?;
        let size = file.metadata().map_err(StoreError::Input)?.len();
        if written.insert(*digest) {
            let mut content = Digesting { file, hasher: Hasher::default() };
            writer.append(&Entry::new(blob_path(digest), 0o644, Kind::File { size }), &mut content)?;
            let (found, _) = content.hasher.finish();
            if found != *digest {
                return Err(StoreError::Mismatch { what: format!("blob {digest}"), expected: *digest, found });
            }
        }
        Ok(size)
    }
}

/// Digests what is read.
struct Digesting {
    file: File,
    hasher: Hasher,
}

impl Read for Digesting {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buf)?;
        self.hasher.update(&buf[..n]);
        Ok(n)
    }
}
