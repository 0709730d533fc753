//! Images that come from outside and are kept byte for byte: pulled, loaded, or read from a layout.

use std::io::Read;

use shallop_oci::media_type::{self, Compression};
use shallop_oci::{Descriptor, Digest, ImageConfig, Manifest, Platform, Reference};

use crate::Store;
use crate::error::{Result, StoreError};
use crate::image::{ImageId, LayerRecord};
use crate::layer::LayerInfo;

/// An image's two documents, which fit each other.
#[derive(Debug, Clone)]
pub struct Incoming {
    bytes: Vec<u8>,
    manifest: Manifest,
    config_bytes: Vec<u8>,
    config: ImageConfig,
}

/// What an image is to be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Another image that has one of them loses it.
    pub tags: Vec<Reference>,
    /// The repository that it came from, and the digest that it was asked for by or that its tag stood for there.
    pub origin: Option<(String, Digest)>,
}

impl Incoming {
    /// Reads a manifest and its configuration.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] when the manifest names another configuration, [`StoreError::Invalid`] when one of them is
    /// not what it should be or they disagree on the layers.
    pub fn new(manifest: Vec<u8>, config: Vec<u8>) -> Result<Incoming> {
        let what = format!("manifest {}", Digest::of(&manifest));
        let read = Manifest::parse(&manifest).map_err(|e| StoreError::invalid(what.clone(), e))?;
        let (expected, found) = (read.config.digest, Digest::of(&config));
        if expected != found {
            return Err(StoreError::Mismatch { what: "image configuration".to_owned(), expected, found });
        }
        let settings = ImageConfig::parse(&config)
            .map_err(|e| StoreError::invalid(format!("image configuration {expected}"), e))?;
        let diff_ids = settings.rootfs.diff_ids.len();
        if diff_ids != read.layers.len() {
            let why = format!("it has {} layers, its configuration {diff_ids}", read.layers.len());
            return Err(StoreError::invalid(what, why));
        }
        Ok(Incoming { bytes: manifest, manifest: read, config_bytes: config, config: settings })
    }

    pub fn platform(&self) -> Platform {
        self.config.platform().normalized()
    }

    /// Each layer with its diffID, lowest first.
    pub fn layers(&self) -> impl Iterator<Item = (&Descriptor, &Digest)> {
        self.manifest.layers.iter().zip(&self.config.rootfs.diff_ids)
    }
}

impl Store {
    /// Whether a layer is here in both forms, as it came and ready to be mounted. It is safe from collection from now on.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn has_incoming_layer(&self, layer: &Descriptor, diff_id: &Digest) -> Result<bool> {
        Ok(self.pin_layer(diff_id)? && (layer.digest == *diff_id || self.pin_blob(&layer.digest)?))
    }

    /// Makes a layer from its blob, which is in the store, unless that was done.
    ///
    /// # Errors
    /// Those of [`Store::put_layer_blob`].
    pub fn unpack_layer(&self, layer: &Descriptor, diff_id: &Digest) -> Result<()> {
        if !self.pin_layer(diff_id)? {
            self.put_layer_blob(&layer.media_type, &mut self.open_blob(&layer.digest)?, Some(diff_id))?;
        }
        Ok(())
    }

    /// Takes a layer in from `content`, which is what the descriptor says.
    ///
    /// # Errors
    /// Those of [`Store::put_layer_blob`].
    pub(crate) fn put_incoming_layer(
        &self,
        layer: &Descriptor,
        diff_id: &Digest,
        content: &mut dyn Read,
    ) -> Result<()> {
        if self.has_incoming_layer(layer, diff_id)? {
            return Ok(());
        }
        if media_type::layer_compression(&layer.media_type) == Some(Compression::None) && layer.digest == *diff_id {
            return self.put_layer_blob(&layer.media_type, content, Some(diff_id)).map(|_| ());
        }
        // A byte more than there may be makes another digest.
        let mut content = Read::take(content, layer.size.saturating_add(1));
        self.put_blob(&mut content, Some(&layer.digest))?;
        self.unpack_layer(layer, diff_id)
    }

    /// Records an image whose layers are in the store, and names it: all of that, or nothing.
    ///
    /// # Errors
    /// [`StoreError::NoSuchLayer`], [`StoreError::NoSuchBlob`], and those of the database.
    pub fn put_incoming(&self, image: &Incoming, names: &Names) -> Result<ImageId> {
        let records = image.layers().map(|(layer, diff_id)| {
            if !self.has_incoming_layer(layer, diff_id)? {
                return Err(StoreError::NoSuchBlob(layer.digest));
            }
            let LayerInfo { size, .. } = self.layer_info(diff_id)?;
            Ok(LayerRecord { info: LayerInfo { diff_id: *diff_id, size }, blob: layer.digest })
        });
        let records = records.collect::<Result<Vec<_>>>()?;
        let id = self.put_bytes(&image.config_bytes)?.digest;
        let manifest = self.put_bytes(&image.bytes)?.digest;
        self.record_image(id, manifest, &image.config, &records, names)?;
        Ok(id)
    }
}
