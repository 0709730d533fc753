//! Names of images: tagging, finding by name, digest or id, and removal by Docker's rules.

use std::str::FromStr;

use rusqlite::{OptionalExtension, Transaction, params};
use shallop_oci::{Digest, Platform, Reference, ReferenceError};

use crate::error::{Result, StoreError};
use crate::gc::GcOptions;
use crate::image::{self, Image, ImageId, ImageSummary};
use crate::{Names, Store};

/// What a removal did; the caller words it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removal {
    pub untagged: Vec<Reference>,
    /// The image's id, then the diffIDs of layers that nothing else uses.
    pub deleted: Vec<Digest>,
}

impl Store {
    /// Gives an image a name; another image that had it loses it. A reference without tag and digest cannot exist.
    ///
    /// # Errors
    /// [`StoreError::NoSuchImage`].
    pub fn tag(&self, name: &Reference, id: &ImageId) -> Result<()> {
        self.database.write(|t| {
            if image::find_by_id(t, id)?.is_none() {
                return Err(StoreError::NoSuchImage { name: id.to_string() });
            }
            set_tag(t, name, id)
        })
    }

    /// Takes a name away and returns the image that had it. The image stays, maybe dangling.
    ///
    /// # Errors
    /// [`StoreError::NoSuchImage`].
    pub fn untag(&self, name: &Reference) -> Result<ImageId> {
        self.database.write(|t| {
            let id: Option<String> = t
                .query_row("DELETE FROM tag WHERE name = ? RETURNING image", [tag_name(name)], |row| row.get(0))
                .optional()?;
            image::column(&id.ok_or_else(|| StoreError::NoSuchImage { name: name.familiar() })?)
        })
    }

    /// Finds an image as Docker does: by name (`python`, `catalog/python:latest`, `name@sha256:…`), by id, or by the
    /// beginning of its id. With `platform`, an image for another one is an error.
    ///
    /// # Errors
    /// [`StoreError::NoSuchImage`], [`StoreError::AmbiguousImage`], [`StoreError::WrongPlatform`],
    /// [`StoreError::Reference`] when it is neither a name nor an id.
    pub fn resolve(&self, name: &str, platform: Option<&Platform>) -> Result<Image> {
        let image = self.database.read(|t| locate(t, name))?.0;
        if let Some(wanted) = platform.filter(|wanted| !wanted.matches(&image.platform)) {
            let (wanted, found) = (Box::new(wanted.clone()), Box::new(image.platform));
            return Err(StoreError::WrongPlatform { name: name.to_owned(), wanted, found });
        }
        self.complete(image)
    }

    /// Removes what `name` stands for. A name of several is only untagged; the last one takes the image with it. An id
    /// takes the image when it has at most one name, or with `force`. Images of containers stay unless forced, and those of
    /// running containers always stay.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] in Docker's words, and those of [`Store::resolve`].
    pub fn remove_image(&self, name: &str, force: bool) -> Result<Removal> {
        let live = self.running_containers()?;
        let removal = self.database.write(|t| {
            let (image, by_name) = locate(t, name)?;
            if let Some(tag) = by_name.filter(|_| image.tags.len() > 1) {
                t.execute("DELETE FROM tag WHERE name = ?", [tag_name(&tag)])?;
                return Ok((Removal { untagged: vec![tag], deleted: Vec::new() }, Vec::new()));
            }
            check_removable(t, &image, name, force, &live)?;
            let layers = layers_of(t, &image.id)?;
            t.execute("DELETE FROM tag WHERE image = ?", [image.id.to_string()])?;
            t.execute("DELETE FROM image WHERE id = ?", [image.id.to_string()])?;
            let untagged = image.tags.into_iter().chain(image.origins).collect();
            Ok((Removal { untagged, deleted: vec![image.id] }, layers))
        });
        let (mut removal, layers) = removal?;
        if !removal.deleted.is_empty() {
            let swept = self.gc(&GcOptions::default())?;
            removal.deleted.extend(layers.into_iter().filter(|layer| swept.layers.contains(layer)));
        }
        Ok(removal)
    }
}

fn set_tag(t: &Transaction, name: &Reference, id: &ImageId) -> Result<()> {
    t.execute(
        "INSERT INTO tag (name, image) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET image = excluded.image",
        params![tag_name(name), id.to_string()],
    )?;
    Ok(())
}

/// Gives an image its names; they are new to it or its own already.
pub(crate) fn set_names(t: &Transaction, names: &Names, id: &ImageId) -> Result<()> {
    names.tags.iter().try_for_each(|tag| set_tag(t, tag, id))?;
    if let Some((repository, digest)) = &names.origin {
        t.execute(
            "INSERT OR IGNORE INTO origin (repository, digest, image) VALUES (?, ?, ?)",
            params![repository, digest.to_string(), id.to_string()],
        )?;
    }
    Ok(())
}

/// The key of a row: name and tag; name and digest when there is no tag.
fn tag_name(name: &Reference) -> String {
    if name.tag().is_some() { name.tagged().to_string() } else { name.to_string() }
}

/// The image, and the name by which it was found when it was one of its own.
fn locate(t: &Transaction, name: &str) -> Result<(ImageSummary, Option<Reference>)> {
    let missing = || StoreError::NoSuchImage { name: name.to_owned() };
    if let Ok(digest) = Digest::from_str(name).or_else(|_| Digest::from_hex(name)) {
        return Ok((image::find_by_digest(t, &digest)?.ok_or_else(missing)?, None));
    }
    let prefix = name.strip_prefix("sha256:").unwrap_or(name);
    let is_prefix =
        !prefix.is_empty() && prefix.len() < 64 && prefix.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    let reference = match Reference::parse_cli(name) {
        Ok(reference) => Some(reference),
        Err(ReferenceError::LooksLikeId(_)) => None,
        Err(_) if is_prefix => None,
        Err(e) => return Err(e.into()),
    };
    if let Some(reference) = &reference
        && let Some(image) = find_by_reference(t, reference)?
    {
        let own = image.tags.iter().find(|tag| tag_name(tag) == tag_name(reference)).cloned();
        return Ok((image, own));
    }
    if is_prefix {
        let found = image::find_by_prefix(t, prefix)?;
        if let [a, b] = &found[..] {
            return Err(StoreError::AmbiguousImage { prefix: prefix.to_owned(), ids: [a.id, b.id] });
        }
        if let Some(image) = found.into_iter().next() {
            return Ok((image, None));
        }
    }
    // As Docker says it: with the tag that was looked for.
    Err(StoreError::NoSuchImage { name: reference.map_or_else(|| name.to_owned(), |r| r.familiar()) })
}

/// A digest decides alone: the tag beside it is for the reader.
fn find_by_reference(t: &Transaction, reference: &Reference) -> Result<Option<ImageSummary>> {
    match reference.digest() {
        Some(digest) => image::find_by_digest(t, digest),
        None => image::find_by_tag(t, &tag_name(reference)),
    }
}

fn layers_of(t: &Transaction, id: &ImageId) -> Result<Vec<Digest>> {
    let mut statement = t.prepare("SELECT diff_id FROM image_layer WHERE image = ? ORDER BY position DESC")?;
    let rows = statement.query_map([id.to_string()], |row| row.get::<_, String>(0))?;
    rows.map(|row| image::column(&row?)).collect()
}

fn check_removable(t: &Transaction, image: &ImageSummary, name: &str, force: bool, live: &[String]) -> Result<()> {
    let short = image.id.short();
    let mut statement = t.prepare("SELECT id FROM container WHERE image = ? ORDER BY created")?;
    let containers: Vec<String> =
        statement.query_map([image.id.to_string()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    if let Some(container) = containers.iter().find(|id| live.contains(id)) {
        let container = container.get(..12).unwrap_or(container);
        return Err(StoreError::Conflict(format!(
            "unable to delete {short} (cannot be forced) - image is being used by running container {container}"
        )));
    }
    if force {
        return Ok(());
    }
    if let Some(container) = containers.first() {
        let container = container.get(..12).unwrap_or(container);
        return Err(StoreError::Conflict(format!(
            "unable to remove repository reference \"{name}\" (must force) - container {container} is using its referenced image {short}"
        )));
    }
    let several = image.tags.len() > 1;
    if several {
        return Err(StoreError::Conflict(format!(
            "unable to delete {short} (must be forced) - image is referenced in multiple repositories"
        )));
    }
    Ok(())
}
