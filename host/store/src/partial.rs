//! [`Partial`]: a blob on its way in, in `partial/<hex>`. It outlives who fetches it: the next one goes on at its end.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use shallop_oci::{Digest, Hasher};

use crate::blob::Tee;
use crate::error::{Doing, Result, StoreError};
use crate::files::{self, Lock};
use crate::layer::LayerInfo;
use crate::{Draft, Store};

/// Nobody comes back for what is older.
const AGE_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Bytes of all that are kept; a larger one is fetched anew.
const TOTAL_MAX: u64 = 4 << 30;

/// What came of a blob, locked against others who fetch it.
#[derive(Debug)]
pub struct Partial<'a> {
    store: &'a Store,
    digest: Digest,
    path: PathBuf,
    place: Place,
    size: u64,
    /// It went on from here: there is nothing to be kept.
    gone: bool,
}

#[derive(Debug)]
enum Place {
    /// `partial/<hex>`.
    Kept(Lock),
    /// A draft: another process has the lock.
    Own { file: File, _draft: Draft },
}

impl Store {
    /// What came of a blob before, or nothing yet. While another process fetches the same one, this is a file of this
    /// session's own, which goes with it.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub fn partial(&self, digest: &Digest) -> Result<Partial<'_>> {
        self.lease()?;
        files::create_dir(&self.dirs.partial())?;
        let path = self.dirs.partial().join(digest.hex());
        let (path, place) = match Lock::try_exclusive(&path)? {
            Some(lock) => (path, Place::Kept(lock)),
            None => {
                let draft = self.draft()?;
                (draft.path.clone(), Place::Own { file: files::create_file(&draft.path)?, _draft: draft })
            }
        };
        let mut partial = Partial { store: self, digest: *digest, path, place, size: 0, gone: false };
        partial.size = partial.file().metadata().doing("reading", &partial.path)?.len();
        Ok(partial)
    }

    /// Removes partial blobs that nobody is at: those that have grown old, and those for which younger ones leave no room.
    pub(crate) fn collect_partial(&self) -> Result<()> {
        let mut all = Vec::new();
        for name in files::names(&self.dirs.partial())? {
            let path = self.dirs.partial().join(name);
            // One that is gone has become a blob.
            all.extend(fs::symlink_metadata(&path).ok().map(|meta| (age(&meta), meta.len(), path)));
        }
        all.sort();
        let mut total = 0;
        for (age, size, path) in all {
            let stays = age <= AGE_MAX && total + size <= TOTAL_MAX;
            if stays || !remove_unused(&path, size)? {
                total += size;
            }
        }
        Ok(())
    }
}

/// A time that lies ahead, of a clock that was set back, is none to go by.
fn age(meta: &fs::Metadata) -> Duration {
    let age = meta.modified().map(|modified| SystemTime::now().duration_since(modified));
    age.map_or(Duration::ZERO, |age| age.unwrap_or(Duration::MAX))
}

/// Removes a partial blob unless somebody is at it, or was since it had this size.
fn remove_unused(path: &Path, size: u64) -> Result<bool> {
    let Some(nobody) = Lock::try_exclusive(path)? else { return Ok(false) };
    let now = nobody.file().metadata().doing("reading", path)?.len();
    // One that was taken away meanwhile is empty again.
    let unused = now == size || now == 0;
    if unused {
        files::remove(path)?;
    }
    Ok(unused)
}

impl Partial<'_> {
    /// Bytes that are here.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Forgets what lies beyond `size`.
    ///
    /// # Errors
    /// When the file cannot be written to.
    pub fn truncate(&mut self, size: u64) -> Result<()> {
        if size < self.size {
            self.file().set_len(size).doing("writing", &self.path)?;
            self.size = size;
        }
        Ok(())
    }

    /// Appends what `rest` gives, and checks the whole. Bytes that came before `rest` failed stay for the next time; content
    /// that turns out to be other than the digest says does not, nor does what filled the disk.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`], [`StoreError::NoSpace`], [`StoreError::Input`] when `rest` fails.
    pub fn fill(&mut self, rest: &mut dyn Read) -> Result<()> {
        let filled = self.append(rest);
        match &filled {
            Ok(()) => {}
            Err(StoreError::Input(_)) => self.size = self.file().metadata().doing("reading", &self.path)?.len(),
            Err(_) => self.truncate(0)?,
        }
        filled
    }

    fn append(&mut self, rest: &mut dyn Read) -> Result<()> {
        let mut hasher = Hasher::default();
        let mut file = self.file();
        file.seek(SeekFrom::Start(0)).doing("reading", &self.path)?;
        io::copy(&mut file.take(self.size), &mut hasher).doing("reading", &self.path)?;
        let mut out = Tee { hasher, file };
        files::copy(rest, &mut out, &self.path)?;
        let (found, size) = out.hasher.finish();
        if found != self.digest {
            let what = format!("content for blob {}", self.digest);
            return Err(StoreError::Mismatch { what, expected: self.digest, found });
        }
        file.sync_all().doing("syncing", &self.path)?;
        self.size = size;
        Ok(())
    }

    /// Makes a blob of what [`Partial::fill`] found whole.
    ///
    /// # Errors
    /// When the file cannot be moved.
    pub fn keep(mut self) -> Result<()> {
        // It may have come whole in an earlier session, whose lease has ended.
        files::touch(&self.path)?;
        self.store.place_blob(&self.path, &self.digest)?;
        self.gone = true;
        Ok(())
    }

    /// Makes a layer of what [`Partial::fill`] found whole, and does not keep it beside that.
    ///
    /// # Errors
    /// Those of [`Store::put_layer_blob`].
    pub fn unpack(mut self, media_type: &str, diff_id: &Digest) -> Result<LayerInfo> {
        let mut file = self.file();
        file.seek(SeekFrom::Start(0)).doing("reading", &self.path)?;
        let info = self.store.put_layer_blob(media_type, &mut file, Some(diff_id))?;
        files::remove(&self.path)?;
        self.gone = true;
        Ok(info)
    }

    fn file(&self) -> &File {
        match &self.place {
            Place::Kept(lock) => lock.file(),
            Place::Own { file, .. } => file,
        }
    }
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        if !self.gone && (self.size == 0 || self.size > TOTAL_MAX) {
            // There is nothing to go on with, or too much.
            let _ = files::remove(&self.path);
        }
    }
}
