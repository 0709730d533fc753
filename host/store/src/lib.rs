//! The local store: images, layers, containers and build results, shared by every shallop process of a user.
//!
//! Content is in files named by digest, metadata in a SQLite database (`schema.sql`). Everything is written beside its
//! place, synced and renamed, so that a process that dies at any moment leaves a store that works; what it left
//! unfinished goes at the next collection.
//!
//! | module | what |
//! |---|---|
//! | `blob` | content by digest |
//! | `layer` | layers by diffID: tar, index, page-aligned copies |
//! | `seal` | whether a layer's files are whole |
//! | `image`, `refs` | images, their names, how to find and remove them |
//! | `incoming` | images from outside, kept as they came |
//! | `partial` | blobs of which a part has come |
//! | `container`, `names` | containers, their folders and names |
//! | `cache` | results of build steps |
//! | `lease`, `gc` | what is in use, and removal of the rest |
//! | `layout` | OCI layouts, out and in |
//! | `save`, `load` | archives of images, out and in |
//! | `source` | files of layouts and archives from outside |
//! | `database`, `files` | how rows and files are written |
//! | `platform` | what differs between systems in that |
#![forbid(unsafe_code)]

mod blob;
mod cache;
mod container;
mod database;
mod error;
mod files;
mod gc;
mod image;
mod incoming;
mod layer;
mod layout;
mod lease;
mod load;
mod names;
mod partial;
mod platform;
mod refs;
mod save;
mod seal;
mod source;

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use shallop_config::Dirs;

pub use blob::Stored;
pub use cache::CacheEntry;
pub use container::{Container, ContainerState, NewContainer, UpperPaths};
pub use error::{Result, StoreError};
pub use files::Lock;
pub use gc::{Collected, GcOptions};
pub use image::{Image, ImageId, ImageSummary};
pub use incoming::{Incoming, Names};
pub use layer::{LAYER_MAX, LayerFiles, LayerInfo};
pub use layout::Imported;
pub use lease::KeyLock;
pub use load::Loaded;
pub use partial::Partial;
pub use refs::Removal;

use database::Database;
use lease::Lease;

/// A session with the store, for any number of threads. What it stores is safe from collection until it is dropped; so
/// a process that lives long opens one per job. Opening does next to nothing: the database is opened when needed.
#[derive(Debug)]
pub struct Store {
    dirs: Dirs,
    database: Database,
    lease: OnceLock<Lease>,
    taking_lease: Mutex<()>,
}

impl Store {
    /// The store in these folders, which are created when missing.
    ///
    /// # Errors
    /// When the data folder cannot be created.
    pub fn open(dirs: &Dirs) -> Result<Store> {
        for dir in [dirs.data.as_path(), &dirs.locks()] {
            files::create_dir(dir)?;
        }
        Ok(Store {
            database: Database::new(dirs.database()),
            dirs: dirs.clone(),
            lease: OnceLock::new(),
            taking_lease: Mutex::new(()),
        })
    }

    /// Where it is.
    pub fn dirs(&self) -> &Dirs {
        &self.dirs
    }

    /// Writes the database's log back when it has grown long, for a moment at which nobody waits: it waits for the disk.
    pub fn shorten_log(&self) {
        self.database.shorten_log();
    }

    /// This session's lease, taken at the first call.
    fn lease(&self) -> Result<&Lease> {
        if let Some(lease) = self.lease.get() {
            return Ok(lease);
        }
        let _one_at_a_time = self.taking_lease.lock().unwrap_or_else(PoisonError::into_inner);
        match self.lease.get() {
            Some(lease) => Ok(lease),
            None => {
                let lease = Lease::take(&self.dirs)?;
                if self.has_leftovers()? {
                    // What cannot be cleared now is tried again by the next session.
                    let _ = self.clear_abandoned();
                }
                Ok(self.lease.get_or_init(|| lease))
            }
        }
    }

    /// Whether there is more than this session's own lease and the collector's lock: somebody is at work, or was killed.
    fn has_leftovers(&self) -> Result<bool> {
        const OWN: usize = 2;
        let count = |dir: PathBuf| files::names(&dir).map(|names| names.len());
        Ok(count(self.dirs.locks())? > OWN || count(self.dirs.ingest())? + count(self.dirs.partial())? > 0)
    }

    /// A place for something unfinished. It is removed when the draft is dropped, unless it was renamed.
    fn draft(&self) -> Result<Draft> {
        Ok(Draft { path: self.lease()?.draft_path(&self.dirs) })
    }
}

/// A path in `ingest/`.
#[derive(Debug)]
struct Draft {
    path: PathBuf,
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What cannot be removed now goes with the next collection.
        let _ = files::remove(&self.path);
    }
}
