//! OCI layouts (OCI image specification, image-layout.md): images as a folder with `oci-layout`, `index.json`, `blobs/`.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use shallop_oci::index::{IMAGE_NAME, REF_NAME};
use shallop_oci::{Descriptor, Digest, ImageConfig, Index, Manifest, Platform, Reference, media_type};

use crate::blob::DOCUMENT_MAX;
use crate::error::{Doing, Result, StoreError};
use crate::image::ImageId;
use crate::incoming::{Incoming, Names};
use crate::source::{Folder, Source};
use crate::{Store, files, platform};

/// The file `oci-layout`.
pub(crate) const LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";
/// Indexes within indexes.
const DEPTH_MAX: u32 = 4;
/// Manifests of one layout.
const MANIFESTS_MAX: usize = 1000;

/// An image that came out of a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    pub id: ImageId,
    pub platform: Platform,
    /// The name that the layout gives it.
    pub reference: Option<Reference>,
}

impl Store {
    /// Writes an image to the layout in `dir`, which is created when missing; other images there stay. Returns the
    /// digest of the manifest. Content is verified on the way.
    ///
    /// # Errors
    /// [`StoreError::NoSuchImage`], [`StoreError::Mismatch`] for damaged content, [`StoreError::Io`].
    pub fn export_oci_layout(&self, id: &ImageId, dir: &Path) -> Result<Digest> {
        let tags = self.image(id)?.tags;
        let (digest, manifest) = self.manifest(id)?;
        let blobs = dir.join("blobs").join("sha256");
        fs::create_dir_all(&blobs).doing("creating", &blobs)?;
        let size = self.export_blob(&digest, &blobs)?;
        for descriptor in std::iter::once(&manifest.config).chain(&manifest.layers) {
            self.export_blob(&descriptor.digest, &blobs)?;
        }
        replace(&dir.join("oci-layout"), LAYOUT.as_bytes())?;
        let descriptor = manifest_descriptor(self, id, &digest, &manifest, size)?;
        add_to_index(&dir.join("index.json"), &descriptor, &tags)?;
        Ok(digest)
    }

    fn export_blob(&self, digest: &Digest, blobs: &Path) -> Result<u64> {
        let path = blobs.join(digest.hex());
        if let Ok(meta) = fs::metadata(&path) {
            let mut there = File::open(&path).doing("opening", &path)?;
            if Digest::of_reader(&mut there).doing("reading", &path)?.0 == *digest {
                return Ok(meta.len());
            }
        }
        write_file(&path, &mut |out| self.copy_blob(digest, out))
    }

    /// Takes in every image of the layout in `dir` that shallop can run, and tags those that have a full name. Every
    /// digest is checked.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] and [`StoreError::Mismatch`] name what is wrong; when there is no image for a supported
    /// platform, that is an error too.
    pub fn import_oci_layout(&self, dir: &Path) -> Result<Vec<Imported>> {
        let imported = self.import_layout(&Layout::new(&Folder(dir)), Foreign::Never)?;
        for Imported { id, reference, .. } in &imported {
            reference.iter().try_for_each(|name| self.tag(name, id))?;
        }
        Ok(imported)
    }

    /// Takes in the images of a layout; names are left to the caller.
    pub(crate) fn import_layout(&self, layout: &Layout<'_>, foreign: Foreign) -> Result<Vec<Imported>> {
        layout.check()?;
        let index = Index::parse(&layout.file("index.json")?)
            .map_err(|e| StoreError::invalid(format!("{}/index.json", layout.source.name()), e))?;
        let mut found = Vec::new();
        layout.manifests(&index, None, 0, &mut found)?;
        let alone = found.iter().all(|(descriptor, _)| descriptor.digest == found[0].0.digest);
        let takes_all = alone && foreign == Foreign::WhenAlone;
        let mut imported = Vec::new();
        let mut others = Vec::new();
        for (descriptor, reference) in found {
            match self.import_image(layout, &descriptor, takes_all)? {
                Ok((id, platform)) => imported.push(Imported { id, platform, reference }),
                Err(platform) => others.push(platform.to_string()),
            }
        }
        if imported.is_empty() {
            let why = match others.is_empty() {
                true => "it has no images".to_owned(),
                false => format!("its images are for {}, not for linux/riscv64 or wasi/wasm", others.join(", ")),
            };
            return Err(StoreError::invalid(format!("OCI layout {}", layout.source.name()), why));
        }
        Ok(imported)
    }

    /// One image, or the platform for which it is when that is not ours.
    fn import_image(
        &self,
        layout: &Layout<'_>,
        descriptor: &Descriptor,
        takes_all: bool,
    ) -> Result<std::result::Result<(ImageId, Platform), Platform>> {
        let foreign = |platform: &Platform| !takes_all && !platform.clone().normalized().is_supported();
        if let Some(platform) = descriptor.platform.clone().filter(foreign) {
            return Ok(Err(platform));
        }
        let what = format!("manifest {}", descriptor.digest);
        let bytes = layout.document(descriptor)?;
        let manifest = Manifest::parse(&bytes).map_err(|e| StoreError::invalid(what, e))?;
        let image = Incoming::new(bytes, layout.document(&manifest.config)?)?;
        let platform = image.platform();
        if foreign(&platform) {
            return Ok(Err(platform));
        }
        for (layer, diff_id) in image.layers() {
            self.put_incoming_layer(layer, diff_id, &mut layout.open(&layer.digest)?)?;
        }
        Ok(Ok((self.put_incoming(&image, &Names::default())?, platform)))
    }
}

/// What is done with images for platforms that shallop does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    Never,
    /// Taken in where there is nothing else.
    WhenAlone,
}

/// A manifest as an index names it.
pub(crate) fn manifest_descriptor(
    store: &Store,
    id: &ImageId,
    digest: &Digest,
    manifest: &Manifest,
    size: u64,
) -> Result<Descriptor> {
    let media_type = manifest.media_type.as_deref().unwrap_or(media_type::OCI_MANIFEST);
    let config = ImageConfig::parse(&store.read_blob(id)?);
    let platform = Some(config.map_or_else(|_| Platform::default(), |config| config.platform()));
    Ok(Descriptor { platform, ..Descriptor::new(media_type, *digest, size) })
}

/// A manifest's entries in an index: one per name.
pub(crate) fn index_entries(descriptor: &Descriptor, tags: &[Reference]) -> Vec<Descriptor> {
    let named = |tag: &Reference| {
        let mut entry = descriptor.clone();
        entry.annotations.insert(IMAGE_NAME.to_owned(), tag.to_string());
        entry.annotations.insert(REF_NAME.to_owned(), tag.tag().unwrap_or("latest").to_owned());
        entry
    };
    match tags.is_empty() {
        true => vec![descriptor.clone()],
        false => tags.iter().map(named).collect(),
    }
}

/// A layout that is read. Nothing in it is trusted.
pub(crate) struct Layout<'a> {
    source: &'a dyn Source,
}

impl<'a> Layout<'a> {
    pub(crate) fn new(source: &'a dyn Source) -> Layout<'a> {
        Layout { source }
    }

    fn check(&self) -> Result<()> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            image_layout_version: String,
        }
        let invalid = |why: String| StoreError::invalid(format!("{}/oci-layout", self.source.name()), why);
        let version: Version = serde_json::from_slice(&self.file("oci-layout")?).map_err(|e| invalid(e.to_string()))?;
        match version.image_layout_version.as_str() {
            "1.0.0" => Ok(()),
            other => Err(invalid(format!("layout version {other:?} is not known"))),
        }
    }

    /// All of a small file, which must be there.
    fn file(&self, path: &str) -> Result<Vec<u8>> {
        self.source.document(path)?.ok_or_else(|| self.missing(path))
    }

    fn missing(&self, path: &str) -> StoreError {
        StoreError::invalid(format!("{}/{path}", self.source.name()), "there is no such file")
    }

    fn open(&self, digest: &Digest) -> Result<Box<dyn Read + '_>> {
        let path = blob_path(digest);
        self.source.open(&path)?.ok_or_else(|| self.missing(&path))
    }

    /// A document's bytes, verified.
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let path = blob_path(&descriptor.digest);
        let bytes = self.file(&path)?;
        match Digest::of(&bytes) {
            found if found == descriptor.digest => Ok(bytes),
            found => {
                let (what, expected) = (format!("{}/{path}", self.source.name()), descriptor.digest);
                Err(StoreError::Mismatch { what, expected, found })
            }
        }
    }

    /// The image manifests below an index, each with its name.
    fn manifests(
        &self,
        index: &Index,
        name: Option<&Reference>,
        depth: u32,
        found: &mut Vec<(Descriptor, Option<Reference>)>,
    ) -> Result<()> {
        for descriptor in &index.manifests {
            let name = reference(descriptor).or_else(|| name.cloned());
            if media_type::is_index(&descriptor.media_type) {
                if depth == DEPTH_MAX {
                    return Err(StoreError::invalid(self.source.name(), "its indexes are nested too deeply"));
                }
                let nested = Index::parse(&self.document(descriptor)?)
                    .map_err(|e| StoreError::invalid(format!("index {}", descriptor.digest), e))?;
                self.manifests(&nested, name.as_ref(), depth + 1, found)?;
            } else if media_type::is_manifest(&descriptor.media_type) && !is_attestation(descriptor) {
                if found.len() == MANIFESTS_MAX {
                    return Err(StoreError::invalid(self.source.name(), "it has too many manifests"));
                }
                found.push((descriptor.clone(), name));
            }
        }
        Ok(())
    }
}

/// Where a layout has a blob.
pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// BuildKit stores provenance beside images, as manifests that are no images.
fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.annotations.contains_key("vnd.docker.reference.type")
}

/// The name of an entry: Docker's annotation, or OCI's when it holds a whole reference and not only a tag.
fn reference(descriptor: &Descriptor) -> Option<Reference> {
    let whole = |name: &&String| name.contains(['/', ':']);
    let named = descriptor.annotations.get(IMAGE_NAME);
    let named = named.or_else(|| descriptor.annotations.get(REF_NAME).filter(whole))?;
    Reference::parse(named).ok().map(|name| name.tagged())
}

/// Adds an entry per name to `index.json`, in place of entries with the same name or content.
fn add_to_index(path: &Path, descriptor: &Descriptor, tags: &[Reference]) -> Result<()> {
    let mut index = match path.exists() {
        true => Index::parse(&read_limited(path)?).map_err(|e| StoreError::invalid(path.display().to_string(), e))?,
        false => Index::new(Vec::new()),
    };
    let entries = index_entries(descriptor, tags);
    let same_name = |a: &Descriptor, b: &Descriptor| {
        let name = |d: &Descriptor| d.annotations.get(IMAGE_NAME).or_else(|| d.annotations.get(REF_NAME)).cloned();
        name(a).is_some() && name(a) == name(b)
    };
    index.manifests.retain(|old| old.digest != descriptor.digest && !entries.iter().any(|new| same_name(old, new)));
    index.manifests.extend(entries);
    let json = index.to_json().map_err(|e| StoreError::invalid(path.display().to_string(), e))?;
    replace(path, &json)
}

fn read_limited(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).doing("opening", path)?;
    file.take(DOCUMENT_MAX + 1).read_to_end(&mut bytes).doing("reading", path)?;
    if bytes.len() as u64 > DOCUMENT_MAX {
        return Err(StoreError::invalid(path.display().to_string(), "it is too large for a document"));
    }
    Ok(bytes)
}

fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    write_file(path, &mut |out| files::copy(&mut &bytes[..], out, path)).map(|_| ())
}

/// Writes a file beside its place and renames it; readable for everybody, as exports are given away.
fn write_file(path: &Path, write: &mut dyn FnMut(&mut dyn Write) -> Result<u64>) -> Result<u64> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut draft = tempfile::Builder::new();
    platform::shared_file(&mut draft);
    let file = draft.prefix(".shallop-").tempfile_in(dir).doing("writing in", dir)?;
    let mut out = BufWriter::with_capacity(256 << 10, file.as_file());
    let size = write(&mut out)?;
    out.flush().doing("writing", path)?;
    drop(out);
    file.as_file().sync_all().doing("syncing", path)?;
    file.persist(path).map_err(|e| StoreError::io("writing", path, e.error))?;
    Ok(size)
}
