//! WORKDIR: the folder, made where it is missing.

use anyhow::{Result, bail};
use shallop_layer::tar::{Entry, Kind};

use crate::step::owner;
use crate::tree::{self, Tree};

/// Folders to make so that `path` (absolute, clean) is one, owned by `user`; empty when it is there.
pub fn missing(image: &dyn Tree, path: &str, user: &str) -> Result<Vec<Entry>> {
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
    if !entries.is_empty() && !user.is_empty() {
        let (uid, gid) = owner::parse(user, image)?;
        entries.iter_mut().for_each(|entry| (entry.uid, entry.gid) = (uid, gid));
    }
    Ok(entries)
}
