//! The cache of translated guest code: for each region of code, by its digest, a folder of numbered modules.
//!
//! A module's file is its native code, then its functions as JSON, the JSON's length and a checksum of all before it.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use shallop_supervisor::jobs::{Function, Variant};

use crate::{is_whole, open_trusted, program_stamp};

/// Modules of one region at most.
const MAX_MODULES: u32 = 1024;

/// Bytes after the JSON: its length and the checksum.
const TRAILER: u64 = 8;

/// Bytes of a module's JSON at most.
const MAX_JSON: u64 = 16 << 20;

/// The modules of one region.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Modules up to this number were looked at.
    next: u32,
}

impl Folder {
    /// The folder below `cache` of a region with this code.
    ///
    /// # Errors
    /// When it is not there and cannot be made.
    pub fn new(cache: &Path, code: &[u8], variant: Variant) -> Result<Folder> {
        let digest: String = Sha256::digest(code).iter().map(|byte| format!("{byte:02x}")).collect();
        let variant = match variant {
            Variant::Lazy => "lazy",
            Variant::Precise => "precise",
        };
        let path = cache.join(format!("{digest}-{variant}-{}", program_stamp()?));
        fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Folder { path, next: 0 })
    }

    fn file(&self, number: u32) -> PathBuf {
        self.path.join(format!("{number}.cwasm"))
    }

    /// The next module that is there and was not taken; damaged ones are passed over.
    pub fn take(&mut self) -> Option<(Vec<Function>, File)> {
        while self.next < MAX_MODULES {
            let file = open_trusted(&self.file(self.next)).ok()??;
            self.next += 1;
            if let Some(functions) = is_whole(&file).then(|| read_functions(&file).ok()).flatten() {
                return Some((functions, file));
            }
        }
        None
    }

    /// Adds a module.
    ///
    /// # Errors
    /// When it cannot be written, or the folder is full.
    pub fn add(&mut self, code: &[u8], functions: &[Function]) -> Result<File> {
        let json = serde_json::to_vec(functions)?;
        let mut sum = crc32fast::Hasher::new();
        let mut file = tempfile::NamedTempFile::new_in(&self.path).context("making a file for translated code")?;
        for part in [code, &json, &(json.len() as u32).to_le_bytes()] {
            sum.update(part);
            file.write_all(part).context("writing translated code")?;
        }
        file.write_all(&sum.finalize().to_le_bytes()).context("writing translated code")?;
        file.seek(SeekFrom::Start(0))?;
        // Others may add to the folder at the same time.
        for number in self.next..MAX_MODULES {
            file = match file.persist_noclobber(self.file(number)) {
                Ok(_) => return open_trusted(&self.file(number))?.context("the module that was just written is gone"),
                Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => error.file,
                Err(error) => return Err(error.error).context("renaming translated code"),
            };
        }
        anyhow::bail!("there are {MAX_MODULES} modules of this region already")
    }
}

fn read_functions(file: &File) -> Result<Vec<Function>> {
    let size = file.metadata()?.len();
    let end = size.checked_sub(TRAILER).context("too short")?;
    let mut len = [0; 4];
    file.read_exact_at(&mut len, end)?;
    let len = u64::from(u32::from_le_bytes(len));
    ensure!(len <= MAX_JSON && len <= end, "no list of functions");
    let mut json = vec![0; len as usize];
    file.read_exact_at(&mut json, end - len)?;
    Ok(serde_json::from_slice(&json)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions(start: u32) -> Vec<Function> {
        vec![Function { start, resume: vec![start + 4] }]
    }

    #[test]
    fn modules_come_back_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(dir.path(), b"code", Variant::Lazy).unwrap();
        assert!(folder.take().is_none());
        folder.add(b"native", &functions(0)).unwrap();
        folder.add(b"native too", &functions(8)).unwrap();
        let mut again = Folder::new(dir.path(), b"code", Variant::Lazy).unwrap();
        assert_eq!(again.take().unwrap().0, functions(0));
        assert_eq!(again.take().unwrap().0, functions(8));
        assert!(again.take().is_none());
        assert!(Folder::new(dir.path(), b"code", Variant::Precise).unwrap().take().is_none());
    }

    #[test]
    fn damaged_modules_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(dir.path(), b"code", Variant::Lazy).unwrap();
        folder.add(b"native", &functions(0)).unwrap();
        folder.add(b"native", &functions(8)).unwrap();
        fs::write(folder.file(0), b"short").unwrap();
        assert_eq!(folder.take().unwrap().0, functions(8));
    }
}
