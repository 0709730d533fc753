//! Archives of images, in: OCI layouts in a tar (skopeo's and podman's `oci-archive`, Docker's `save` since version 25), and
//! Docker's older form, which `docker-archive` of skopeo and podman still is: `manifest.json` with configurations and tars.

use std::fs::File;
use std::io::Read;

use serde::Deserialize;
use shallop_oci::{Descriptor, Digest, ImageConfig, Manifest, Reference, media_type};

use crate::error::{Result, StoreError};
use crate::image::ImageId;
use crate::incoming::{Incoming, Names};
use crate::layout::{Foreign, Layout};
use crate::source::{Archive, Source, fill};
use crate::{LayerInfo, Store};

/// Images of one archive, names of one image, layers of one image.
const LIST_MAX: usize = 1000;

/// An image that came out of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub id: ImageId,
    /// The name that it has now; `None` when the archive gives none.
    pub name: Option<Reference>,
    /// The image that had this name before.
    pub replaced: Option<ImageId>,
}

/// An entry of Docker's `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl Store {
    /// Takes in every image of an archive and names it as the archive says. `name` is what errors call the archive.
    /// Names are given when all of it was taken in and verified: what fails loses nothing.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] and [`StoreError::Mismatch`] name what is wrong.
    pub fn load(&self, input: File, name: &str) -> Result<Vec<Loaded>> {
        let archive = Archive::open(self, input, name)?;
        let found: Vec<(ImageId, Option<Reference>)> = if archive.open("index.json")?.is_some() {
            let imported = self.import_layout(&Layout::new(&archive), Foreign::WhenAlone)?;
            imported.into_iter().map(|image| (image.id, image.reference)).collect()
        } else if let Some(list) = archive.document("manifest.json")? {
            self.load_docker(&archive, &list)?
        } else {
            return Err(StoreError::invalid(
                name,
                "it is no archive of images: it has no index.json and no manifest.json",
            ));
        };
        found.into_iter().map(|(id, name)| self.name_loaded(id, name)).collect()
    }

    fn name_loaded(&self, id: ImageId, name: Option<Reference>) -> Result<Loaded> {
        let mut replaced = None;
        if let Some(name) = &name {
            replaced = match self.resolve(&name.to_string(), None) {
                Ok(before) => Some(before.id).filter(|before| *before != id),
                Err(error) if error.is_no_such_image() => None,
                Err(error) => return Err(error),
            };
            self.tag(name, &id)?;
        }
        Ok(Loaded { id, name, replaced })
    }

    /// The images of a `manifest.json`, an entry for each of their names.
    fn load_docker(&self, archive: &Archive, list: &[u8]) -> Result<Vec<(ImageId, Option<Reference>)>> {
        let what = || format!("{}/manifest.json", archive.name());
        let entries: Vec<Entry> = serde_json::from_slice(list).map_err(|e| StoreError::invalid(what(), e))?;
        if entries.is_empty() || entries.len() > LIST_MAX {
            return Err(StoreError::invalid(what(), format!("it has {} images", entries.len())));
        }
        let mut found = Vec::new();
        for entry in entries {
            let tags = entry.repo_tags.as_deref().unwrap_or_default();
            if tags.len() > LIST_MAX {
                return Err(StoreError::invalid(what(), format!("an image has {} names", tags.len())));
            }
            let names = tags.iter().map(|tag| Ok(Reference::parse(tag)?.tagged()));
            let names = names.collect::<Result<Vec<_>>>()?;
            let id = self.load_docker_image(archive, &entry)?;
            match names.is_empty() {
                true => found.push((id, None)),
                false => found.extend(names.into_iter().map(|name| (id, Some(name)))),
            }
        }
        Ok(found)
    }

    /// Its configuration is kept as it is, for its digest is the image's id; a manifest is made for it.
    fn load_docker_image(&self, archive: &Archive, entry: &Entry) -> Result<ImageId> {
        let missing =
            |path: &str| StoreError::invalid(format!("{}/{path}", archive.name()), "it is not in the archive");
        let config_bytes = archive.document(&entry.config)?.ok_or_else(|| missing(&entry.config))?;
        let config = ImageConfig::parse(&config_bytes)
            .map_err(|e| StoreError::invalid(format!("{}/{}", archive.name(), entry.config), e))?;
        let (paths, diff_ids) = (entry.layers.as_deref().unwrap_or_default(), &config.rootfs.diff_ids);
        if paths.len() != diff_ids.len() {
            let why = format!("it has {} layers, its configuration {}", paths.len(), diff_ids.len());
            return Err(StoreError::invalid(format!("{}/manifest.json", archive.name()), why));
        }
        let mut layers = Vec::new();
        for (path, diff_id) in paths.iter().zip(diff_ids) {
            let info = if self.pin_layer(diff_id)? {
                self.layer_info(diff_id)?
            } else {
                let mut tar = archive.open(path)?.ok_or_else(|| missing(path))?;
                self.put_unlabelled_layer(&mut tar, diff_id)?
            };
            layers.push(Descriptor::new(media_type::OCI_LAYER, info.diff_id, info.size));
        }
        let size = config_bytes.len() as u64;
        let config = Descriptor::new(media_type::OCI_CONFIG, Digest::of(&config_bytes), size);
        let manifest = Manifest::new(config, layers).to_json().map_err(|e| StoreError::invalid("image manifest", e))?;
        self.put_incoming(&Incoming::new(manifest, config_bytes)?, &Names::default())
    }

    /// A layer whose compression is seen by its first bytes.
    fn put_unlabelled_layer(&self, content: &mut dyn Read, diff_id: &Digest) -> Result<LayerInfo> {
        let mut head = [0; 4];
        let got = fill(content, &mut head).map_err(StoreError::Input)?;
        let media_type = match head {
            [0x1f, 0x8b, ..] => media_type::OCI_LAYER_GZIP,
            [0x28, 0xb5, 0x2f, 0xfd] => media_type::OCI_LAYER_ZSTD,
            _ => media_type::OCI_LAYER,
        };
        self.put_layer_blob(media_type, &mut Read::chain(&head[..got], content), Some(diff_id))
    }
}
