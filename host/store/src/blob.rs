//! Blobs: content by digest, in `blobs/sha256/<hex>`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use shallop_oci::{Digest, Hasher};

use crate::Store;
use crate::error::{Doing, Result, StoreError};
use crate::{files, lease};

/// Bytes of a JSON document (manifest, configuration) that are read into memory.
pub(crate) const DOCUMENT_MAX: u64 = 8 << 20;

/// What was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

impl Store {
    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.dirs.blobs().join(digest.hex())
    }

    /// Stores everything that `reader` gives. With `expected`, other content is refused and not kept.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`], [`StoreError::NoSpace`], [`StoreError::Input`] when `reader` fails.
    pub fn put_blob(&self, reader: &mut dyn Read, expected: Option<&Digest>) -> Result<Stored> {
        let draft = self.draft()?;
        let file = files::create_file(&draft.path)?;
        let mut out = Tee { hasher: Hasher::default(), file: &file };
        files::copy(reader, &mut out, &draft.path)?;
        let (digest, size) = out.hasher.finish();
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            let what = format!("content for blob {expected}");
            return Err(StoreError::Mismatch { what, expected: *expected, found: digest });
        }
        file.sync_all().doing("syncing", &draft.path)?;
        drop(file);
        self.place_blob(&draft.path, &digest)?;
        Ok(Stored { digest, size })
    }

    /// Moves a file that holds what the digest says, and that is on the disk, to its place.
    pub(crate) fn place_blob(&self, file: &Path, digest: &Digest) -> Result<()> {
        let place = self.blob_path(digest);
        let _sweep = lease::share_sweep(&self.dirs)?;
        files::create_dir(&self.dirs.blobs())?;
        // What is there may be damaged: ours takes its place.
        if fs::symlink_metadata(&place).is_ok_and(|there| there.is_dir()) {
            files::remove(&place)?;
        }
        fs::rename(file, &place).doing("writing", &place)?;
        files::sync_dir(&self.dirs.blobs())
    }

    /// Stores some bytes.
    ///
    /// # Errors
    /// As [`Store::put_blob`].
    pub fn put_bytes(&self, mut bytes: &[u8]) -> Result<Stored> {
        self.put_blob(&mut bytes, None)
    }

    /// Marks a blob as used now, so that this session's lease covers it. `false` when it is not here.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub fn pin_blob(&self, digest: &Digest) -> Result<bool> {
        self.lease()?;
        let _sweep = lease::share_sweep(&self.dirs)?;
        let path = self.blob_path(digest);
        let here = path.is_file();
        if here {
            files::touch(&path)?;
        }
        Ok(here)
    }

    /// Whether the content is here, as a blob or as a layer's tar.
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.blob_path(digest).is_file() || self.has_layer(digest)
    }

    /// Opens a blob or, when the digest is a diffID, that layer's tar. What is read is not verified.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBlob`].
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        for path in [self.blob_path(digest), self.layer_path(digest).join("tar")] {
            if let Some(file) = files::open_if_exists(&path)? {
                return Ok(file);
            }
        }
        Err(StoreError::NoSuchBlob(*digest))
    }

    /// A small blob's bytes, verified.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBlob`], [`StoreError::Damaged`], or when it has more than 8 MiB.
    pub fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.blob_path(digest);
        let file = files::open_if_exists(&path)?.ok_or(StoreError::NoSuchBlob(*digest))?;
        let mut bytes = Vec::new();
        file.take(DOCUMENT_MAX + 1).read_to_end(&mut bytes).doing("reading", &path)?;
        if bytes.len() as u64 > DOCUMENT_MAX {
            return Err(StoreError::invalid(format!("blob {digest}"), "it is too large for a document"));
        }
        match Digest::of(&bytes) {
            found if found == *digest => Ok(bytes),
            found => {
                let why = format!("its digest is now {found}");
                Err(StoreError::Damaged { what: format!("blob {digest}"), path, why })
            }
        }
    }

    /// Copies a blob or a layer's tar to `out`, verified. On a mismatch `out` has got the wrong bytes already.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBlob`], [`StoreError::Mismatch`], [`StoreError::Io`] when `out` fails.
    pub fn copy_blob(&self, digest: &Digest, out: &mut dyn Write) -> Result<u64> {
        let mut file = self.open_blob(digest)?;
        let path = self.blob_path(digest);
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let n = file.read(&mut buffer).doing("reading", &path)?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
            out.write_all(&buffer[..n]).doing("copying", &path)?;
        }
        match hasher.finish() {
            (found, size) if found == *digest => Ok(size),
            (found, _) => Err(StoreError::Mismatch { what: format!("blob {digest}"), expected: *digest, found }),
        }
    }
}

/// Digests what goes into a file.
pub(crate) struct Tee<'a> {
    pub(crate) hasher: Hasher,
    pub(crate) file: &'a File,
}

impl Write for Tee<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
