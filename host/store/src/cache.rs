//! Results of build steps by key. What a key covers is the builder's affair.

use rusqlite::{OptionalExtension, params};
use shallop_oci::{Digest, time};

use crate::error::Result;
use crate::lease::KeyLock;
use crate::{Store, files, image};

/// Seconds until a use is written down again.
const USED_STEP: i64 = 60;

/// What a build step made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// The layer's diffID; `None` when the step made none.
    pub layer: Option<Digest>,
    /// JSON that the builder keeps.
    pub config: String,
}

impl Store {
    /// The result for `key`. Its layer is safe from collection until this session ends; a result whose layer is gone is none.
    ///
    /// # Errors
    /// Those of the database.
    pub fn cache_get(&self, key: &str) -> Result<Option<CacheEntry>> {
        let row = self.database.read(|t| {
            let mut statement = t.prepare_cached("SELECT layer, config, used FROM build_cache WHERE key = ?")?;
            let row = statement.query_row([key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
            Ok(row.optional()?)
        })?;
        let Some((layer, config, used)): Option<(Option<String>, String, i64)> = row else { return Ok(None) };
        let layer = layer.as_deref().map(image::column).transpose()?;
        if let Some(layer) = &layer
            && !self.pin_layer(layer)?
        {
            return Ok(None);
        }
        let now = time::now().as_secs() as i64;
        if now - used >= USED_STEP {
            self.database
                .write(|t| Ok(t.execute("UPDATE build_cache SET used = ? WHERE key = ?", params![now, key])?))?;
        }
        Ok(Some(CacheEntry { layer, config }))
    }

    /// Records a result; an older one for the same key is replaced.
    ///
    /// # Errors
    /// [`crate::StoreError::NoSuchLayer`], and those of the database.
    pub fn cache_put(&self, key: &str, entry: &CacheEntry) -> Result<()> {
        if let Some(layer) = &entry.layer
            && !self.pin_layer(layer)?
        {
            return Err(crate::StoreError::NoSuchLayer(*layer));
        }
        let now = time::now().as_secs() as i64;
        let layer = entry.layer.map(|layer| layer.to_string());
        self.database.write(|t| {
            t.execute(
                "INSERT OR REPLACE INTO build_cache (key, layer, config, created, used) VALUES (?, ?, ?, ?4, ?4)",
                params![key, layer, entry.config, now],
            )?;
            Ok(())
        })
    }

    /// Waits until no other process or thread works on the step with this key. Look into the cache again afterwards.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn lock_step(&self, key: &str) -> Result<KeyLock> {
        files::create_dir(&self.dirs.locks())?;
        KeyLock::wait(&KeyLock::path(&self.dirs, key))
    }

    /// As [`Store::lock_step`], but `None` where it would wait.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn try_lock_step(&self, key: &str) -> Result<Option<KeyLock>> {
        files::create_dir(&self.dirs.locks())?;
        KeyLock::attempt(&KeyLock::path(&self.dirs, key))
    }

    /// Keeps layers safe from collection until this session ends, whatever happens to the images that use them.
    ///
    /// # Errors
    /// [`crate::StoreError::NoSuchLayer`].
    pub fn pin(&self, layers: &[Digest]) -> Result<()> {
        for layer in layers {
            if !self.pin_layer(layer)? {
                return Err(crate::StoreError::NoSuchLayer(*layer));
            }
        }
        Ok(())
    }
}
