//! Leases: while a process holds one, nothing that it stored is collected.
//!
//! A lease is a locked file in `locks/`. The lock ends with the process, so there is nothing to renew and nothing to
//! expire. Content that is older than every live lease, and that no row points to, is garbage. Whoever finds content
//! already there touches it, which makes it younger than the finder's lease; the lock `locks/sweep` (shared by finders,
//! exclusive for the collector) keeps the two apart.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use shallop_config::Dirs;
use shallop_oci::Digest;

use crate::error::{Doing, Result, StoreError};
use crate::files::{self, Lock};

const SUFFIX: &str = ".lease";

/// Held by one [`crate::Store`] from its first write.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    id: String,
    drafts: AtomicU64,
    _lock: Lock,
}

impl Lease {
    /// Takes a lease that begins now.
    pub fn take(dirs: &Dirs) -> Result<Lease> {
        files::create_dir(&dirs.locks())?;
        files::create_dir(&dirs.ingest())?;
        // The collector must not take the new file for an abandoned one before it is locked.
        let _sweep = share_sweep(dirs)?;
        let locks = dirs.locks();
        let file = tempfile::Builder::new()
            .prefix("")
            .suffix(SUFFIX)
            .rand_bytes(16)
            .tempfile_in(&locks)
            .doing("creating a lease in", &locks)?;
        let path = file.into_temp_path().keep().map_err(|e| StoreError::io("creating a lease in", &locks, e.error))?;
        let lock = Lock::exclusive(&path)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let id = name.trim_end_matches(SUFFIX).to_owned();
        Ok(Lease { path, id, drafts: AtomicU64::new(0), _lock: lock })
    }

    /// A new name in `ingest/`, which shows whose it is: `<lease>-<number>`.
    pub fn draft_path(&self, dirs: &Dirs) -> PathBuf {
        dirs.ingest().join(format!("{}-{}", self.id, self.drafts.fetch_add(1, Ordering::Relaxed)))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A file that stays is taken for abandoned by the next collection.
        let _ = fs::remove_file(&self.path);
    }
}

/// Keeps the collector out while content is looked up and touched.
pub fn share_sweep(dirs: &Dirs) -> Result<Lock> {
    Lock::shared(&dirs.locks().join("sweep"))
}

/// Keeps everybody else out.
pub fn own_sweep(dirs: &Dirs) -> Result<Lock> {
    files::create_dir(&dirs.locks())?;
    Lock::exclusive(&dirs.locks().join("sweep"))
}

/// Keeps everybody else out, when nobody is in; `None` otherwise.
pub fn try_own_sweep(dirs: &Dirs) -> Result<Option<Lock>> {
    Lock::try_exclusive(&dirs.locks().join("sweep"))
}

/// The leases that are held, and when the oldest of them began.
#[derive(Debug, Default)]
pub struct Live {
    ids: Vec<String>,
    oldest: Option<SystemTime>,
}

impl Live {
    /// Reads `locks/` and removes what dead processes left there. The caller owns the sweep lock.
    pub fn read(dirs: &Dirs) -> Result<Live> {
        let mut live = Live::default();
        for name in files::names(&dirs.locks())? {
            let path = dirs.locks().join(&name);
            let Some(id) = name.strip_suffix(SUFFIX) else { continue };
            if !Lock::is_held(&path)? {
                files::remove(&path)?;
                continue;
            }
            match fs::metadata(&path).and_then(|meta| meta.modified()) {
                Ok(began) => live.oldest = Some(live.oldest.map_or(began, |oldest| oldest.min(began))),
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(StoreError::io("reading", &path, e)),
            }
            live.ids.push(id.to_owned());
        }
        Ok(live)
    }

    /// Whether something modified at `time` may belong to a lease.
    pub fn covers(&self, time: SystemTime) -> bool {
        // Time stamps of files are taken from a coarser clock than the present.
        self.oldest.is_some_and(|oldest| time + std::time::Duration::from_millis(20) >= oldest)
    }

    /// Whether this entry of `ingest/` belongs to a live lease.
    pub fn owns_draft(&self, name: &str) -> bool {
        name.rsplit_once('-').is_some_and(|(id, _)| self.ids.iter().any(|live| live == id))
    }
}

/// One build step's key, locked: others that want to run the same step wait.
#[derive(Debug)]
pub struct KeyLock {
    path: PathBuf,
    _lock: Lock,
}

impl KeyLock {
    pub(crate) fn path(dirs: &Dirs, key: &str) -> PathBuf {
        dirs.locks().join(format!("step-{}", Digest::of(key.as_bytes()).hex()))
    }

    pub(crate) fn wait(path: &Path) -> Result<KeyLock> {
        Ok(KeyLock { path: path.to_owned(), _lock: Lock::exclusive(path)? })
    }

    pub(crate) fn attempt(path: &Path) -> Result<Option<KeyLock>> {
        Ok(Lock::try_exclusive(path)?.map(|lock| KeyLock { path: path.to_owned(), _lock: lock }))
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        // Removed while still held: who waits on it sees that the file is gone and makes a new one.
        let _ = fs::remove_file(&self.path);
    }
}
