//! The limit of the cache of translated code: [`trim`] removes what was not used for the longest time.
//!
//! A folder's own time tells when it was used. Who has modules of a removed folder open keeps them; who wants to add
//! to it finds it gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;

use crate::{platform, program_stamp};

/// The folder by which regions are found.
pub(crate) const FILES: &str = "files";

/// What follows a folder's name when all of its region is in it, in as few modules as can be.
pub(crate) const WHOLE: &str = "-whole";

/// How folders begin that are not finished.
pub(crate) const UNFINISHED: &str = "new-";

/// What was in use so lately is noted as used already.
pub(crate) const FRESH: Duration = Duration::from_secs(3600);

/// After that an unfinished folder is nobody's any more, and code of another build of the program goes.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Folders that hold little cost at least this: an entry and a file.
const FOLDER_BYTES: u64 = 4096;

/// A folder of the cache.
struct Entry {
    path: PathBuf,
    used: SystemTime,
    bytes: u64,
    /// Made by this very build of the program.
    ours: bool,
}

/// Notes that a folder or file is in use.
pub fn mark(path: &Path) {
    let Ok(used) = fs::metadata(path).and_then(|meta| meta.modified()) else { return };
    let now = SystemTime::now();
    if now.duration_since(used).is_ok_and(|age| age > FRESH) {
        // What cannot be marked only goes earlier.
        let _ = platform::open_to_mark(path).and_then(|file| file.set_modified(now));
    }
}

/// Removes files that were not used for a day; what is wanted of them is made again.
pub fn remove_abandoned(folder: &Path) {
    let now = SystemTime::now();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let used = entry.metadata().and_then(|meta| meta.modified());
        if used.is_ok_and(|used| now.duration_since(used).is_ok_and(|age| age > ABANDONED)) {
            // One that stays costs only its place.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Bytes of all translated code.
pub fn size(cache: &Path) -> u64 {
    entries(cache).iter().map(|entry| entry.bytes).sum()
}

/// Removes folders until the rest has no more than `limit` bytes.
///
/// # Errors
/// When this program's file cannot be found. What cannot be removed stays.
pub fn trim(cache: &Path, limit: u64) -> Result<()> {
    let stamp = program_stamp()?;
    let mut entries = entries(cache);
    let now = SystemTime::now();
    entries.iter_mut().for_each(|entry| entry.ours = is_ours(&entry.path, &stamp));
    entries.sort_by_key(|entry| (entry.ours, entry.used));
    let mut sum: u64 = entries.iter().map(|entry| entry.bytes).sum();
    for entry in entries {
        let abandoned = !entry.ours && now.duration_since(entry.used).is_ok_and(|age| age > ABANDONED);
        let unfinished = name(&entry.path).starts_with(UNFINISHED) && !abandoned;
        if !unfinished && (abandoned || sum > limit) && fs::remove_dir_all(&entry.path).is_ok() {
            sum -= entry.bytes;
        }
    }
    forget_files(cache);
    Ok(())
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn is_ours(path: &Path, stamp: &str) -> bool {
    let name = name(path);
    name.strip_suffix(WHOLE).unwrap_or(name).ends_with(stamp)
}

fn folders(of: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(of).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

fn entries(cache: &Path) -> Vec<Entry> {
    let regions = folders(cache).filter(|path| name(path) != FILES);
    let entry = |path: PathBuf| {
        let used = fs::metadata(&path).and_then(|meta| meta.modified()).ok()?;
        let modules = fs::read_dir(&path).ok()?.flatten();
        let bytes = modules.filter_map(|module| Some(module.metadata().ok()?.len())).sum::<u64>() + FOLDER_BYTES;
        Some(Entry { path, used, bytes, ours: false })
    };
    regions.filter_map(entry).collect()
}

/// Removes what leads to folders that are gone.
fn forget_files(cache: &Path) {
    for file in folders(&cache.join(FILES)) {
        for entry in fs::read_dir(&file).into_iter().flatten().flatten() {
            let leads = fs::read_to_string(entry.path()).is_ok_and(|name| {
                let there = |name: &str| cache.join(name).is_dir();
                there(&name) || there(&format!("{name}{WHOLE}"))
            });
            if !leads {
                let _ = fs::remove_file(entry.path());
            }
        }
        // Only when it is empty.
        let _ = fs::remove_dir(&file);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use shallop_supervisor::jobs::Variant;

    use super::*;
    use crate::translated::{Folder, find};

    const SIZE: usize = 100_000;

    fn age(folder: &Path, hours: u64) {
        let then = SystemTime::now() - Duration::from_secs(hours * 3600);
        fs::File::open(folder).unwrap().set_modified(then).unwrap();
    }

    /// A region's folder with one module, used so many hours ago.
    fn region(cache: &Path, code: &str, hours: u64) -> PathBuf {
        let mut folder = Folder::new(cache, &[code.as_bytes()], Variant::Lazy).unwrap();
        folder.add(&vec![0; SIZE], &[]).unwrap();
        age(folder.path(), hours);
        folder.path().to_owned()
    }

    #[test]
    fn what_was_not_used_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let [old, marked, new] =
            [("old", 50), ("marked", 60), ("new", 1)].map(|(code, age)| region(dir.path(), code, age));
        mark(&marked);
        trim(dir.path(), 10 * SIZE as u64).unwrap();
        assert!(old.exists());
        assert!(size(dir.path()) > 3 * SIZE as u64);
        trim(dir.path(), 25 * SIZE as u64 / 10).unwrap();
        assert_eq!([&old, &marked, &new].map(|path| path.exists()), [false, true, true]);
        trim(dir.path(), 0).unwrap();
        assert!(!marked.exists() && !new.exists());
    }

    #[test]
    fn files_of_yesterday_go() {
        let dir = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| dir.path().join(name));
        for (path, hours) in [(&old, 30), (&new, 20)] {
            fs::write(path, b"code").unwrap();
            age(path, hours);
        }
        remove_abandoned(dir.path());
        assert!(!old.exists() && new.exists());
    }

    #[test]
    fn code_of_other_builds_goes_before_ours() {
        let dir = tempfile::tempdir().unwrap();
        let ours = region(dir.path(), "ours", 90);
        let [fresh, old] = [("aa-lazy-1-2-3", 0), ("bb-lazy-1-2-3-whole", 30)].map(|(name, hours)| {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("0.cwasm"), vec![0; SIZE]).unwrap();
            age(&path, hours);
            path
        });
        trim(dir.path(), 10 * SIZE as u64).unwrap();
        assert_eq!([&ours, &fresh, &old].map(|path| path.exists()), [true, true, false]);
        trim(dir.path(), 15 * SIZE as u64 / 10).unwrap();
        assert_eq!([&ours, &fresh].map(|path| path.exists()), [true, false]);
    }

    #[test]
    fn a_region_that_was_removed_is_not_found_and_comes_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = tempfile::tempfile_in(dir.path()).unwrap();
        let mut folder = Folder::new(dir.path(), &[b"code"], Variant::Lazy).unwrap();
        folder.note(dir.path(), &file, (0, 0x1000), Variant::Lazy).unwrap();
        let mut open = folder.add(&vec![7; SIZE], &[]).unwrap();
        trim(dir.path(), 0).unwrap();
        assert!(find(dir.path(), &file, &[Variant::Lazy]).is_empty());
        assert!(folder.add(b"native", &[]).is_err(), "its folder is gone");
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut open, &mut text).unwrap();
        assert_eq!(text[..SIZE], vec![7; SIZE], "who has it open keeps it");
        let mut again = Folder::new(dir.path(), &[b"code"], Variant::Lazy).unwrap();
        again.note(dir.path(), &file, (0, 0x1000), Variant::Lazy).unwrap();
        again.add(b"native", &[]).unwrap();
        assert_eq!(find(dir.path(), &file, &[Variant::Lazy])[0].modules.len(), 1);
    }
}
