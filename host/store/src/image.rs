//! Images: a configuration, a manifest and layers, recorded as a row. Their names are in `refs`.

use std::str::FromStr;

use rusqlite::{OptionalExtension, Row, Transaction, params};
use shallop_oci::{Descriptor, Digest, ImageConfig, Manifest, Platform, Reference, media_type, time};

use crate::error::{Result, StoreError};
use crate::{LayerInfo, Names, Store, lease, refs};

/// The digest of an image's configuration.
pub type ImageId = Digest;

/// An image with all that is needed to run it.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    pub id: ImageId,
    /// Digest of the manifest.
    pub manifest: Digest,
    pub config: ImageConfig,
    /// DiffIDs, lowest first.
    pub layers: Vec<Digest>,
    pub platform: Platform,
    /// Seconds since 1970; 0 when the configuration does not say.
    pub created: i64,
    /// Bytes of the uncompressed layers.
    pub size: u64,
    pub tags: Vec<Reference>,
    /// Where it came from: `name@sha256:…`, without tags.
    pub origins: Vec<Reference>,
}

/// A line of the list of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSummary {
    pub id: ImageId,
    pub manifest: Digest,
    pub platform: Platform,
    pub created: i64,
    pub size: u64,
    /// Empty for a dangling image.
    pub tags: Vec<Reference>,
    /// Where it came from: `name@sha256:…`, without tags.
    pub origins: Vec<Reference>,
}

/// A layer as the manifest names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerRecord {
    pub(crate) info: LayerInfo,
    /// The blob that the manifest points to.
    pub(crate) blob: Digest,
}

impl Store {
    /// Stores an image made here under these names. `config.rootfs` is filled in from `layers`, which must be in the store.
    /// The manifest names the layers as uncompressed tars, so their digests are the diffIDs.
    ///
    /// # Errors
    /// [`StoreError::NoSuchLayer`], and those of [`Store::put_blob`].
    pub fn put_image(&self, config: &ImageConfig, layers: &[LayerInfo], tags: &[Reference]) -> Result<ImageId> {
        let mut config = config.clone();
        config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
        let json = config.to_json().map_err(|e| StoreError::invalid("image configuration", e))?;
        let stored = self.put_bytes(&json)?;
        let descriptors =
            layers.iter().map(|layer| Descriptor::new(media_type::OCI_LAYER, layer.diff_id, layer.size)).collect();
        let manifest = Manifest::new(Descriptor::new(media_type::OCI_CONFIG, stored.digest, stored.size), descriptors);
        let json = manifest.to_json().map_err(|e| StoreError::invalid("image manifest", e))?;
        let manifest = self.put_bytes(&json)?.digest;
        let records: Vec<_> = layers.iter().map(|info| LayerRecord { info: *info, blob: info.diff_id }).collect();
        let names = Names { tags: tags.to_vec(), origin: None };
        self.record_image(stored.digest, manifest, &config, &records, &names)?;
        Ok(stored.digest)
    }

    /// Writes an image's rows and names together, so that nobody removes it in between. Its blobs were put in this session; its
    /// layers are looked for.
    pub(crate) fn record_image(
        &self,
        id: ImageId,
        manifest: Digest,
        config: &ImageConfig,
        layers: &[LayerRecord],
        names: &Names,
    ) -> Result<()> {
        self.lease()?;
        let _sweep = lease::share_sweep(&self.dirs)?;
        for layer in layers {
            self.layer_info(&layer.info.diff_id)?;
        }
        let platform = config.platform().normalized();
        let created = config.created.as_deref().and_then(time::parse).unwrap_or(0);
        let size: u64 = layers.iter().map(|layer| layer.info.size).sum();
        self.database.write(|t| {
            t.execute(
                "INSERT INTO image (id, manifest, os, arch, variant, created, stored, size) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (id) DO UPDATE SET manifest = excluded.manifest, stored = excluded.stored",
                params![
                    id.to_string(),
                    manifest.to_string(),
                    platform.os,
                    platform.architecture,
                    platform.variant,
                    created,
                    time::now().as_secs() as i64,
                    size as i64
                ],
            )?;
            t.execute("DELETE FROM image_layer WHERE image = ?", [id.to_string()])?;
            let mut insert =
                t.prepare("INSERT INTO image_layer (image, position, diff_id, blob) VALUES (?, ?, ?, ?)")?;
            for (i, layer) in layers.iter().enumerate() {
                let (diff_id, blob) = (layer.info.diff_id.to_string(), layer.blob.to_string());
                insert.execute(params![id.to_string(), i as i64, diff_id, blob])?;
            }
            refs::set_names(t, names, &id)
        })
    }

    /// All images, newest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn images(&self) -> Result<Vec<ImageSummary>> {
        self.database.read(|t| {
            let mut statement = t.prepare(
                "SELECT id, manifest, os, arch, variant, created, size FROM image ORDER BY created DESC, stored DESC, id",
            )?;
            let rows = statement.query_map([], |row| Ok(summary(row)))?;
            rows.map(|row| {
                let image = row??;
                named(t, image)
            })
            .collect()
        })
    }

    /// An image by its whole id.
    ///
    /// # Errors
    /// [`StoreError::NoSuchImage`], or when its configuration is damaged.
    pub fn image(&self, id: &ImageId) -> Result<Image> {
        let found = self.database.read(|t| find_by_id(t, id))?;
        found.ok_or_else(|| StoreError::NoSuchImage { name: id.to_string() }).and_then(|image| self.complete(image))
    }

    /// An image's manifest, as it was stored.
    ///
    /// # Errors
    /// [`StoreError::NoSuchImage`], or when the manifest is damaged.
    pub fn manifest(&self, id: &ImageId) -> Result<(Digest, Manifest)> {
        let found = self.database.read(|t| find_by_id(t, id))?;
        let digest = found.ok_or_else(|| StoreError::NoSuchImage { name: id.to_string() })?.manifest;
        let manifest = Manifest::parse(&self.read_blob(&digest)?);
        Ok((digest, manifest.map_err(|e| StoreError::invalid(format!("manifest {digest}"), e))?))
    }

    /// Reads the configuration of a found image.
    pub(crate) fn complete(&self, image: ImageSummary) -> Result<Image> {
        let config = ImageConfig::parse(&self.read_blob(&image.id)?)
            .map_err(|e| StoreError::invalid(format!("image configuration {}", image.id), e))?;
        Ok(Image {
            id: image.id,
            manifest: image.manifest,
            layers: config.rootfs.diff_ids.clone(),
            config,
            platform: image.platform,
            created: image.created,
            size: image.size,
            tags: image.tags,
            origins: image.origins,
        })
    }
}

/// A digest in a row.
pub(crate) fn column(text: &str) -> Result<Digest> {
    Digest::from_str(text).map_err(|e| StoreError::invalid(format!("digest {text:?} in the database"), e))
}

/// A row of `id, manifest, os, arch, variant, created, size`; without names.
fn summary(row: &Row) -> Result<ImageSummary> {
    Ok(ImageSummary {
        id: column(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?,
        manifest: column(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?,
        platform: Platform { os: row.get(2)?, architecture: row.get(3)?, variant: row.get(4)?, os_version: None },
        created: row.get(5)?,
        size: u64::try_from(row.get::<_, i64>(6)?).unwrap_or(0),
        tags: Vec::new(),
        origins: Vec::new(),
    })
}

/// The image with its names.
fn named(t: &Transaction, image: ImageSummary) -> Result<ImageSummary> {
    Ok(ImageSummary { tags: tags_of(t, &image.id)?, origins: origins_of(t, &image.id)?, ..image })
}

/// An image by a condition on its row.
fn find(t: &Transaction, condition: &str, value: &str) -> Result<Option<ImageSummary>> {
    let sql = format!("SELECT id, manifest, os, arch, variant, created, size FROM image WHERE {condition}");
    let mut statement = t.prepare_cached(&sql)?;
    let Some(image) = statement.query_row([value], |row| Ok(summary(row))).optional()? else { return Ok(None) };
    named(t, image?).map(Some)
}

pub(crate) fn find_by_id(t: &Transaction, id: &Digest) -> Result<Option<ImageSummary>> {
    find(t, "id = ?", &id.to_string())
}

pub(crate) fn find_by_tag(t: &Transaction, name: &str) -> Result<Option<ImageSummary>> {
    find(t, "id = (SELECT image FROM tag WHERE name = ?)", name)
}

/// By the digest that it came under (an index may have brought several images: the latest), of the manifest, or of the
/// configuration.
pub(crate) fn find_by_digest(t: &Transaction, digest: &Digest) -> Result<Option<ImageSummary>> {
    let text = digest.to_string();
    for condition in [
        "id IN (SELECT image FROM origin WHERE digest = ?) ORDER BY stored DESC LIMIT 1",
        "manifest = ? LIMIT 1",
        "id = ?",
    ] {
        if let Some(image) = find(t, condition, &text)? {
            return Ok(Some(image));
        }
    }
    Ok(None)
}

/// By the beginning of the id's hexadecimal digits: at most two, which is enough to see that it is ambiguous.
pub(crate) fn find_by_prefix(t: &Transaction, prefix: &str) -> Result<Vec<ImageSummary>> {
    // Hexadecimal digits have no meaning in a GLOB pattern.
    let mut statement =
        t.prepare_cached("SELECT id FROM image WHERE id GLOB 'sha256:' || ? || '*' ORDER BY id LIMIT 2")?;
    let ids: Vec<String> = statement.query_map([prefix], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut found = Vec::new();
    for id in ids {
        found.extend(find(t, "id = ?", &id)?);
    }
    Ok(found)
}

fn tags_of(t: &Transaction, id: &ImageId) -> Result<Vec<Reference>> {
    let mut statement = t.prepare_cached("SELECT name FROM tag WHERE image = ? ORDER BY name")?;
    let names = statement.query_map([id.to_string()], |row| row.get::<_, String>(0))?;
    names
        .map(|name| {
            let name = name?;
            Reference::parse(&name).map_err(|e| StoreError::invalid(format!("tag {name:?} in the database"), e))
        })
        .collect()
}

fn origins_of(t: &Transaction, id: &ImageId) -> Result<Vec<Reference>> {
    let mut statement =
        t.prepare_cached("SELECT repository || '@' || digest FROM origin WHERE image = ? ORDER BY repository, digest")?;
    let names = statement.query_map([id.to_string()], |row| row.get::<_, String>(0))?;
    names
        .map(|name| {
            let name = name?;
            Reference::parse(&name).map_err(|e| StoreError::invalid(format!("origin {name:?} in the database"), e))
        })
        .collect()
}
