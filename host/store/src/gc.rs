//! Collection of what nothing points to: blobs, layers, unfinished writes, partial blobs that are old or too many, folders of
//! containers that are gone.
//!
//! Roots are the rows: images, containers, build results. What is younger than the oldest live lease stays (see `lease`).

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Transaction, params};
use shallop_oci::{Digest, time};

use crate::error::{Doing, Result, StoreError};
use crate::files::Lock;
use crate::lease::{self, Live};
use crate::{Store, files, image};

/// Which rows go before content is collected. The default takes none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GcOptions {
    /// Images without a name and without a container.
    pub dangling_images: bool,
    /// Images without a container, named or not.
    pub unused_images: bool,
    /// Build results that were not used for so long.
    pub build_cache_older_than: Option<Duration>,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    pub images: Vec<Digest>,
    pub layers: Vec<Digest>,
    pub blobs: Vec<Digest>,
    /// Build results forgotten.
    pub build_results: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

impl Store {
    /// Removes what nothing needs, including what processes that died left unfinished.
    ///
    /// # Errors
    /// Those of the database and of the file system.
    pub fn gc(&self, options: &GcOptions) -> Result<Collected> {
        let mut collected = Collected::default();
        let mut trash = Vec::new();
        {
            let _sweep = lease::own_sweep(&self.dirs)?;
            let live = Live::read(&self.dirs)?;
            let roots = self.database.write(|t| {
                remove_images(t, options, &live, &mut collected)?;
                forget_results(t, options, &mut collected)?;
                Roots::read(t)
            })?;
            self.collect_blobs(&roots, &live, &mut collected)?;
            self.collect_layers(&roots, &live, &mut collected, &mut trash)?;
            self.collect_leftovers(&live, &mut trash)?;
            self.collect_partial()?;
            self.collect_containers(&roots.containers)?;
        }
        // Large folders are deleted when others may work again; if this dies, the next collection finds them.
        for path in trash {
            files::remove(&path)?;
        }
        Ok(collected)
    }

    /// Removes what killed processes left half written, unless somebody is at work right now.
    pub(crate) fn clear_abandoned(&self) -> Result<()> {
        let mut trash = Vec::new();
        if let Some(_sweep) = lease::try_own_sweep(&self.dirs)? {
            self.collect_leftovers(&Live::read(&self.dirs)?, &mut trash)?;
            self.collect_partial()?;
        }
        trash.iter().try_for_each(|path| files::remove(path))
    }

    fn collect_blobs(&self, roots: &Roots, live: &Live, collected: &mut Collected) -> Result<()> {
        for name in files::names(&self.dirs.blobs())? {
            let Ok(digest) = Digest::from_hex(&name) else { continue };
            let path = self.blob_path(&digest);
            if !roots.content.contains(&digest)
                && let Some(size) = old(&path, live)?
            {
                files::remove(&path)?;
                collected.blobs.push(digest);
                collected.bytes += size;
            }
        }
        Ok(())
    }

    fn collect_layers(
        &self,
        roots: &Roots,
        live: &Live,
        collected: &mut Collected,
        trash: &mut Vec<PathBuf>,
    ) -> Result<()> {
        for name in files::names(&self.dirs.layers())? {
            let Ok(digest) = Digest::from_hex(&name) else { continue };
            let path = self.layer_path(&digest);
            if roots.content.contains(&digest) || old(&path, live)?.is_none() {
                continue;
            }
            let size = size_below(&path)?;
            let gone = self.dirs.ingest().join(format!("trash-{name}-{}-{}", std::process::id(), trash.len()));
            files::create_dir(&self.dirs.ingest())?;
            fs::rename(&path, &gone).doing("removing", &path)?;
            trash.push(gone);
            collected.layers.push(digest);
            collected.bytes += size;
        }
        Ok(())
    }

    /// Drafts and step locks of processes that are gone.
    fn collect_leftovers(&self, live: &Live, trash: &mut Vec<PathBuf>) -> Result<()> {
        let drafts = files::names(&self.dirs.ingest())?.into_iter().filter(|name| !live.owns_draft(name));
        let known: HashSet<PathBuf> = trash.iter().cloned().collect();
        trash.extend(drafts.map(|name| self.dirs.ingest().join(name)).filter(|path| !known.contains(path)));
        for name in files::names(&self.dirs.locks())?.iter().filter(|name| name.starts_with("step-")) {
            let path = self.dirs.locks().join(name);
            if let Some(_held) = Lock::try_exclusive(&path)? {
                files::remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes the folders of containers that are not recorded; nobody may create one meanwhile.
    pub(crate) fn collect_containers(&self, recorded: &HashSet<String>) -> Result<()> {
        for id in files::names(&self.dirs.containers())? {
            if !recorded.contains(&id) && Digest::from_hex(&id).is_ok() {
                files::remove(&self.dirs.containers().join(id))?;
            }
        }
        Ok(())
    }
}

/// The size of a file or folder that is older than every lease.
fn old(path: &Path, live: &Live) -> Result<Option<u64>> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::io("reading", path, e)),
    };
    let modified = meta.modified().doing("reading", path)?;
    Ok((!live.covers(modified)).then_some(meta.len()))
}

/// Bytes of the files in a layer's folder.
fn size_below(dir: &Path) -> Result<u64> {
    let sizes = files::names(dir)?.into_iter().map(|name| fs::metadata(dir.join(name)).map(|meta| meta.len()));
    sizes.sum::<std::io::Result<u64>>().doing("reading", dir)
}

/// Everything that a row points to.
#[derive(Debug, Default)]
struct Roots {
    content: HashSet<Digest>,
    containers: HashSet<String>,
}

impl Roots {
    fn read(t: &Transaction) -> Result<Roots> {
        let mut roots = Roots::default();
        let digests = "SELECT id FROM image UNION SELECT manifest FROM image UNION SELECT diff_id FROM image_layer
            UNION SELECT blob FROM image_layer UNION SELECT image FROM container
            UNION SELECT layer FROM build_cache WHERE layer IS NOT NULL";
        let mut statement = t.prepare(digests)?;
        for digest in statement.query_map([], |row| row.get::<_, String>(0))? {
            roots.content.insert(image::column(&digest?)?);
        }
        let mut statement = t.prepare("SELECT id, layers FROM container")?;
        for row in statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))? {
            let (id, layers) = row?;
            let layers: Vec<Digest> = serde_json::from_str(&layers)
                .map_err(|e| StoreError::invalid(format!("the list of layers of container {id}"), e))?;
            roots.content.extend(layers);
            roots.containers.insert(id);
        }
        Ok(roots)
    }
}

fn remove_images(t: &Transaction, options: &GcOptions, live: &Live, collected: &mut Collected) -> Result<()> {
    if !options.dangling_images && !options.unused_images {
        return Ok(());
    }
    let mut statement = t.prepare(
        "SELECT id, stored FROM image WHERE id NOT IN (SELECT image FROM container)
         AND (?1 OR id NOT IN (SELECT image FROM tag))",
    )?;
    let rows = statement.query_map([options.unused_images], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (id, stored) in rows.collect::<rusqlite::Result<Vec<(String, i64)>>>()? {
        // `stored` counts whole seconds: the image may have come up to one second later.
        let stored = UNIX_EPOCH + Duration::from_secs(u64::try_from(stored).unwrap_or(0)) + Duration::from_secs(1);
        if live.covers(SystemTime::min(stored, SystemTime::now())) {
            continue;
        }
        t.execute("DELETE FROM tag WHERE image = ?", [&id])?;
        t.execute("DELETE FROM image WHERE id = ?", [&id])?;
        collected.images.push(image::column(&id)?);
    }
    Ok(())
}

fn forget_results(t: &Transaction, options: &GcOptions, collected: &mut Collected) -> Result<()> {
    if let Some(age) = options.build_cache_older_than {
        let before = time::now().saturating_sub(age).as_secs() as i64;
        collected.build_results = t.execute("DELETE FROM build_cache WHERE used <= ?", params![before])? as u64;
    }
    Ok(())
}
