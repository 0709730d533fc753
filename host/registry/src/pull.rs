//! [`pull`]: an image from a registry into the store. Nothing is recorded before all of it is here and verified.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use shallop_oci::media_type::{self, Compression};
use shallop_oci::{Descriptor, Digest, Manifest, Platform, Reference};
use shallop_store::{Image, ImageId, Incoming, LAYER_MAX, Names, Partial, Store, StoreError};

use crate::blob::{BlobReader, Pulling};
use crate::client::{Client, Place};
use crate::error::{RegistryError, Result};
use crate::manifest::{self, Document, Kind};
use crate::progress::{Progress, Step};

/// Layers that are fetched at a time, as Docker does.
const PARALLEL: usize = 3;
/// Bytes of a configuration.
const CONFIG_MAX: u64 = 8 << 20;
/// Layers of one image.
const LAYERS_MAX: usize = 1000;

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub struct Pulled {
    pub image: Image,
    /// What the name stands for: the digest of the index, or of the manifest when there is none.
    pub digest: Digest,
    /// The name stood for another image before, or for none.
    pub newer: bool,
}

/// Fetches what `name` stands for. Without a platform it is linux/riscv64, else wasi/wasm. With a digest, no tag is made.
///
/// # Errors
/// [`RegistryError`]; names keep what they stood for.
pub fn pull(
    client: &Client,
    store: &Store,
    name: &Reference,
    platform: Option<&Platform>,
    progress: &dyn Progress,
) -> Result<Pulled> {
    let pulled = Pull { client, store, name, platform, progress }.run();
    progress.end();
    pulled
}

struct Pull<'a> {
    client: &'a Client,
    store: &'a Store,
    name: &'a Reference,
    platform: Option<&'a Platform>,
    progress: &'a dyn Progress,
}

impl Pull<'_> {
    fn run(&self) -> Result<Pulled> {
        let (places, top) = self.find()?;
        self.progress.begin(self.name);
        let digest = top.digest;
        let (bytes, manifest) = self.image_manifest(&places[0], top)?;
        let before = self.current();
        let image = match self.complete(&Digest::of(&bytes), &manifest)? {
            Some(image) => image,
            None => self.fetch(&places, bytes, &manifest)?,
        };
        let id = self.store.put_incoming(&image, &self.names(&digest))?;
        Ok(Pulled { image: self.store.image(&id)?, digest, newer: before != Some(id) })
    }

    /// Asks one server after the other. The one that answers comes first in the list.
    fn find(&self) -> Result<(Vec<Place>, Document)> {
        let mut places = self.client.places(self.name)?;
        let mut at = 0;
        loop {
            match manifest::of_name(self.client, &places[at], self.name) {
                Ok(document) => {
                    places.drain(..at);
                    return Ok((places, document));
                }
                Err(error) if at + 1 == places.len() => return Err(error),
                Err(error) => {
                    let authority = &places[at].endpoint.authority;
                    debug_assert!(places[at].endpoint.mirror, "a registry itself is asked last");
                    self.progress.note(&format!("mirror {authority}: {error}"));
                    at += 1;
                }
            }
        }
    }

    fn image_manifest(&self, place: &Place, top: Document) -> Result<(Vec<u8>, Manifest)> {
        let document = match &top.kind {
            Kind::Manifest(_) => top,
            Kind::Index(index) => {
                let wanted = self.wanted();
                let selected = wanted.iter().find_map(|platform| index.select(platform));
                let descriptor = selected.ok_or_else(|| {
                    let there = index.manifests.iter().filter_map(|entry| entry.platform.clone());
                    let there = there.filter(|platform| platform.os != "unknown").collect();
                    RegistryError::NoPlatform { wanted: wanted[0].clone(), there }
                })?;
                manifest::of_descriptor(self.client, place, self.name, descriptor)?
            }
        };
        let Document { bytes, digest, kind: Kind::Manifest(manifest) } = document else {
            return Err(RegistryError::invalid("index", "it names an index where an image was expected"));
        };
        self.check(&digest, &manifest)?;
        Ok((bytes, manifest))
    }

    /// The platforms that will do, the best first.
    fn wanted(&self) -> Vec<Platform> {
        match self.platform {
            Some(platform) => vec![platform.clone()],
            None => vec![Platform::linux_riscv64(), Platform::wasi_wasm()],
        }
    }

    /// Bounds what a manifest asks us to fetch.
    fn check(&self, digest: &Digest, manifest: &Manifest) -> Result<()> {
        let invalid = |why: String| Err(RegistryError::invalid(format!("manifest {digest}"), why));
        if !media_type::is_config(&manifest.config.media_type) {
            return invalid(format!("it is no image: its configuration is {:.100}", manifest.config.media_type));
        }
        if manifest.config.size > CONFIG_MAX {
            return invalid(format!("its configuration has more than {CONFIG_MAX} bytes"));
        }
        if manifest.layers.len() > LAYERS_MAX {
            return invalid(format!("it has more than {LAYERS_MAX} layers"));
        }
        let total = manifest.layers.iter().try_fold(0u64, |sum, layer| sum.checked_add(layer.size));
        if total.is_none_or(|total| total > LAYER_MAX) {
            return invalid(format!("its layers have more than {LAYER_MAX} bytes"));
        }
        match manifest.layers.iter().find(|layer| media_type::layer_compression(&layer.media_type).is_none()) {
            Some(layer) => invalid(format!("layer {:.100} is of an unsupported media type", layer.media_type)),
            None => Ok(()),
        }
    }

    /// What the name stands for now. An image that is damaged counts as none: it is made whole.
    fn current(&self) -> Option<ImageId> {
        self.store.resolve(&self.name.to_string(), None).ok().map(|image| image.id)
    }

    /// The image, when all of it is in the store.
    fn complete(&self, digest: &Digest, manifest: &Manifest) -> Result<Option<Incoming>> {
        let documents = (self.store.read_blob(digest), self.store.read_blob(&manifest.config.digest));
        let (Ok(bytes), Ok(config)) = documents else { return Ok(None) };
        let image = Incoming::new(bytes, config)?;
        for (layer, diff_id) in image.layers() {
            if !self.store.has_incoming_layer(layer, diff_id)? {
                return Ok(None);
            }
        }
        self.check_platform(&image)?;
        Ok(Some(image))
    }

    fn fetch(&self, places: &[Place], bytes: Vec<u8>, manifest: &Manifest) -> Result<Incoming> {
        let stop = AtomicBool::new(false);
        let pulling = Pulling { client: self.client, places, stop: &stop };
        let mut config = Vec::new();
        let size = manifest.config.size;
        let read = BlobReader::new(pulling, &manifest.config, &|_| ()).take(size).read_to_end(&mut config);
        read.map_err(|e| RegistryError::from(shallop_store::StoreError::Input(e)))?;
        let image = Incoming::new(bytes, config)?;
        self.check_platform(&image)?;
        self.fetch_layers(pulling, &image)?;
        Ok(image)
    }

    fn check_platform(&self, image: &Incoming) -> Result<()> {
        let (wanted, found) = (self.wanted(), image.platform());
        if wanted.iter().any(|platform| platform.matches(&found)) {
            return Ok(());
        }
        let (name, wanted) = (self.name.familiar(), Box::new(wanted[0].clone()));
        Err(RegistryError::WrongPlatform { name, wanted, found: Box::new(found) })
    }

    fn fetch_layers(&self, pulling: Pulling<'_>, image: &Incoming) -> Result<()> {
        // A blob that is there twice is fetched once.
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<(&Descriptor, &Digest)> = Vec::new();
        for (layer, diff_id) in image.layers().filter(|(layer, _)| seen.insert(layer.digest)) {
            if self.store.has_incoming_layer(layer, diff_id)? {
                self.progress.layer(&layer.digest, Step::AlreadyExists);
            } else {
                self.progress.layer(&layer.digest, Step::Wanted);
                waiting.push((layer, diff_id));
            }
        }
        waiting.reverse();
        let threads = PARALLEL.min(waiting.len());
        let (waiting, failure) = (Mutex::new(waiting), Mutex::new(None));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    while let Some((layer, diff_id)) = next().filter(|_| !pulling.stop.load(Ordering::Relaxed)) {
                        if let Err(error) = self.fetch_layer(pulling, layer, diff_id) {
                            // The first one is the cause; others stop because of it.
                            failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                            pulling.stop.store(true, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn fetch_layer(&self, pulling: Pulling<'_>, layer: &Descriptor, diff_id: &Digest) -> Result<()> {
        let tell = |step| self.progress.layer(&layer.digest, step);
        if media_type::layer_compression(&layer.media_type) == Some(Compression::None) {
            // The blob is the tar: it is kept once.
            if layer.digest != *diff_id {
                let what = format!("content for layer {diff_id}");
                return Err(RegistryError::Mismatch { what, expected: *diff_id, found: layer.digest });
            }
            let blob = self.download(pulling, layer, &tell)?;
            tell(Step::Downloaded);
            tell(Step::Unpacking);
            blob.unpack(&layer.media_type, diff_id)?;
        } else {
            if !self.store.pin_blob(&layer.digest)? {
                self.download(pulling, layer, &tell)?.keep()?;
            }
            tell(Step::Downloaded);
            tell(Step::Unpacking);
            self.store.unpack_layer(layer, diff_id)?;
        }
        tell(Step::Done);
        Ok(())
    }

    /// Brings a blob here whole, from where an earlier pull left it. When that turns out wrong, it is fetched once more,
    /// from the start.
    fn download(&self, pulling: Pulling<'_>, blob: &Descriptor, tell: &dyn Fn(Step)) -> Result<Partial<'_>> {
        let mut partial = self.store.partial(&blob.digest)?;
        let mut content = BlobReader::new(pulling, blob, tell);
        let earlier = content.resume(partial.size())?;
        partial.truncate(earlier)?;
        match partial.fill(&mut content) {
            Err(StoreError::Mismatch { .. }) if earlier > 0 => {
                partial.fill(&mut BlobReader::new(pulling, blob, tell))?
            }
            filled => filled?,
        }
        Ok(partial)
    }

    /// The tag, and where it came from.
    fn names(&self, digest: &Digest) -> Names {
        let tag = self.name.digest().is_none().then(|| self.name.tagged());
        Names { tags: tag.into_iter().collect(), origin: Some((self.name.repository(), *digest)) }
    }
}
