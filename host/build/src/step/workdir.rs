//! WORKDIR: the folder, made where it is missing.

use anyhow::{Result, bail};
use shallop_layer::tar::{Entry, Kind};

use crate::tree::{self, Tree};

/// Folders to make so that `path` (absolute, clean) is one; empty when it is there.
pub fn missing(image: &dyn Tree, path: &str) -> Result<Vec<Entry>> {
    let real = tree::resolve(image, path)?;
    let mut entries = Vec::new();
    let mut at = String::new();
    for name in real.split('/').filter(|name| !name.is_empty()) {
        at = tree::join(&at, name);
        match image.entry(&at)? {
            None => entries.push(Entry::new(at.clone(), 0o755, Kind::Dir)),
            Some(Entry { kind: Kind::Dir, .. }) => {}
            Some(_) => bail!("/{at} is not a directory"),
        }
    }
    Ok(entries)
}
