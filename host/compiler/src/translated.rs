//! The cache of translated guest code: for each region of code, by its digest, a folder of numbered modules.
//!
//! A module's file is its native code, where its functions are entered (`shallop_sandbox::encode_functions`), a checksum of all before it.
//! So that a region is found without reading it, `files/` has a folder for each file that regions are in, by the file's
//! identity on this machine, and in that a file for each region, which holds the name of the region's folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use shallop_sandbox::{Function, encode_functions, read_entries};
use shallop_supervisor::jobs::Variant;

use crate::limit::{FILES, UNFINISHED, WHOLE, mark};
use crate::{is_whole, open_trusted, program_stamp};

/// Modules of one region at most.
const MAX_MODULES: u32 = 1024;

/// Modules of one region that a sandbox is given at its start, at most.
const MAX_READY: usize = 192;

/// Bytes of the disk that are left to others.
const LEFT_FREE: u64 = 128 << 20;

/// The file in the folder of a region that says that nothing is left to be translated unasked, in whatever modules it is.
const DONE: &str = "done";

/// The files in the folder of a region that tell where computed jumps went, and how often functions were warm: pairs of numbers, as JSON.
const JUMPS: &str = "jumps";
const WARM: &str = "warm";

/// Pairs in each at most, and bytes: each is two numbers of ten digits at most, and what separates them.
pub(crate) const MAX_PAIRS: usize = 1 << 17;
const MAX_PAIRS_BYTES: u64 = 24 * MAX_PAIRS as u64 + 2;

/// The file whose lock is a [`Claim`].
const LOCK: &str = "lock";

/// The modules of one region.
#[derive(Debug)]
pub struct Folder {
    cache: PathBuf,
    /// Without [`WHOLE`].
    name: String,
    path: PathBuf,
    /// Modules up to this number were looked at.
    next: u32,
}

impl Folder {
    /// The folder below `cache` of what is translated from these bytes: a region's code, and data of its file.
    ///
    /// # Errors
    /// When this program's file cannot be found.
    pub fn new(cache: &Path, bytes: &[&[u8]], variant: Variant) -> Result<Folder> {
        let mut digest = Sha256::new();
        for part in bytes {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let digest: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{digest}-{}-{}", word(variant), program_stamp()?);
        let folder = Folder::named(cache, &name);
        // Where it cannot be made, nothing is found in it and nothing kept.
        let _ = fs::create_dir_all(&folder.path);
        Ok(folder)
    }

    fn named(cache: &Path, name: &str) -> Folder {
        let whole = cache.join(format!("{name}{WHOLE}"));
        let path = if whole.is_dir() { whole } else { cache.join(name) };
        Folder { cache: cache.to_owned(), name: name.to_owned(), path, next: 0 }
    }

    /// Whether all of the region is in it.
    pub fn is_whole(&self) -> bool {
        self.path.as_os_str().as_encoded_bytes().ends_with(WHOLE.as_bytes())
    }

    /// Notes that there is nothing left to be translated of the region. Where that cannot be kept, it is looked for again.
    pub fn note_done(&self) {
        if !self.is_whole() {
            let _ = fs::write(self.path.join(DONE), []);
        }
    }

    /// Where computed jumps went, as far as it was kept: guesses.
    pub fn jumps(&self) -> BTreeMap<u32, u32> {
        self.pairs(JUMPS)
    }

    /// Keeps where computed jumps went. Where that cannot be kept, they are slower.
    pub fn keep_jumps(&self, jumps: &BTreeMap<u32, u32>) {
        self.keep_pairs(JUMPS, jumps);
    }

    /// How often functions were warm, as far as it was kept.
    pub fn warm(&self) -> BTreeMap<u32, u32> {
        self.pairs(WARM)
    }

    /// Keeps how often functions were warm. Where that cannot be kept, they are translated later.
    pub fn keep_warm(&self, warm: &BTreeMap<u32, u32>) {
        self.keep_pairs(WARM, warm);
    }

    fn pairs(&self, name: &str) -> BTreeMap<u32, u32> {
        let mut json = Vec::new();
        let read = |file: File| file.take(MAX_PAIRS_BYTES).read_to_end(&mut json);
        let _ = open_trusted(&self.path.join(name)).ok().flatten().map(read);
        serde_json::from_slice::<Vec<(u32, u32)>>(&json).map(BTreeMap::from_iter).unwrap_or_default()
    }

    fn keep_pairs(&self, name: &str, pairs: &BTreeMap<u32, u32>) {
        let all: Vec<(&u32, &u32)> = pairs.iter().collect();
        if !all.is_empty()
            && !self.is_whole()
            && let Ok(json) = serde_json::to_vec(&all)
            && let Ok(mut file) = tempfile::NamedTempFile::new_in(&self.path)
            && file.write_all(&json).is_ok()
        {
            let _ = file.persist(self.path.join(name));
        }
    }

    /// An empty folder that may take its place.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(&self) -> Result<Unfinished> {
        let dir = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&self.cache).context("making a folder")?;
        let path = dir.path().to_owned();
        let folder = Folder { cache: self.cache.clone(), name: self.name.clone(), path, next: 0 };
        Ok(Unfinished { dir, folder })
    }

    /// Puts a folder with all of the region in its place. Who has modules of the old one open keeps them.
    ///
    /// # Errors
    /// When it cannot be. What another process put there at the same time is as good.
    pub fn finish(&mut self, fresh: Unfinished) -> Result<()> {
        let whole = self.cache.join(format!("{}{WHOLE}", self.name));
        if let Err(error) = fs::rename(fresh.dir.path(), &whole) {
            *self = Folder::named(&self.cache, &self.name);
            anyhow::ensure!(self.is_whole(), "renaming to {}: {error}", whole.display());
            return Ok(());
        }
        // There is nothing left to be removed in its place.
        let _ = fresh.dir.keep();
        let old = std::mem::replace(&mut self.path, whole);
        // What stays is removed with what is not used.
        let _ = fs::remove_dir_all(old);
        self.next = fresh.folder.next;
        Ok(())
    }

    /// Has [`find`] find it for `len` bytes at `offset` of a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note(&self, cache: &Path, file: &File, (offset, len): (u64, u32), variant: Variant) -> Result<()> {
        let folder = folder_of_file(cache, file)?;
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let entry = folder.join(format!("{offset:x}-{len:x}{}", suffix(variant)?));
        let name = self.name.as_bytes();
        if fs::read(&entry).is_ok_and(|there| there == name) {
            return Ok(());
        }
        let mut fresh = tempfile::NamedTempFile::new_in(&folder).context("making a file for a region")?;
        fresh.write_all(name).context("writing a region's folder")?;
        fresh.persist(&entry).with_context(|| format!("renaming to {}", entry.display()))?;
        Ok(())
    }

    fn file(&self, number: u32) -> PathBuf {
        self.path.join(format!("{number}.cwasm"))
    }

    /// The next module that is there and was not taken: its number, where it can be entered, and its file. Damaged ones are
    /// passed over.
    pub fn take(&mut self) -> Option<(u32, Vec<u32>, File)> {
        while self.next < MAX_MODULES {
            let file = open_trusted(&self.file(self.next)).ok()??;
            self.next += 1;
            if let Some(entries) = is_whole(&file).then(|| read_entries(&file).ok()).flatten() {
                return Some((self.next - 1, entries, file));
            }
        }
        None
    }

    /// Adds a module.
    ///
    /// # Errors
    /// When it cannot be written, the folder is full, or the disk nearly so.
    pub fn add(&mut self, code: &[u8], functions: &[Function]) -> Result<File> {
        let disk = rustix::fs::statvfs(&self.path).context("looking for room on the disk")?;
        anyhow::ensure!(disk.f_bavail.saturating_mul(disk.f_frsize) >= LEFT_FREE, "the disk is nearly full");
        let mut file = tempfile::NamedTempFile::new_in(&self.path).context("making a file for translated code")?;
        write(&mut file, code, functions)?;
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

    /// Where it is.
    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How many modules were taken.
    pub fn taken(&self) -> u32 {
        self.next
    }

    /// The right to translate what nobody asked for.
    pub fn claim(&self) -> Claim {
        claim(&self.path)
    }
}

/// A folder that is being filled; it goes with the value.
#[derive(Debug)]
pub struct Unfinished {
    dir: tempfile::TempDir,
    folder: Folder,
}

impl Unfinished {
    /// Adds a module.
    ///
    /// # Errors
    /// As [`Folder::add`].
    pub fn add(&mut self, code: &[u8], functions: &[Function]) -> Result<()> {
        self.folder.add(code, functions)?;
        self.folder.next += 1;
        Ok(())
    }
}

/// A module that only who has its descriptor knows of.
///
/// # Errors
/// When there is no memory for it.
pub fn loose(code: &[u8], functions: &[Function]) -> Result<File> {
    let memory = rustix::fs::memfd_create("translated", rustix::fs::MemfdFlags::CLOEXEC).context("making a file")?;
    let mut file = File::from(memory);
    write(&mut file, code, functions)?;
    Ok(file)
}

fn write(file: &mut (impl Write + Seek), code: &[u8], functions: &[Function]) -> Result<()> {
    let functions = encode_functions(functions);
    let mut sum = crc32fast::Hasher::new();
    for part in [code, &functions] {
        sum.update(part);
        file.write_all(part).context("writing translated code")?;
    }
    file.write_all(&sum.finalize().to_le_bytes()).context("writing translated code")?;
    file.seek(SeekFrom::Start(0))?;
    Ok(())
}

/// What one process at a time has, until it ends: a lock on a file, `None` when another has it.
#[derive(Debug)]
pub struct Claim(Option<File>);

impl Claim {
    pub fn is_ours(&self) -> bool {
        self.0.is_some()
    }
}

/// The right to go ahead in a folder.
pub(crate) fn claim(folder: &Path) -> Claim {
    let file = File::options().create(true).append(true).open(folder.join(LOCK));
    Claim(file.ok().filter(|file| file.try_lock().is_ok()))
}

fn word(variant: Variant) -> &'static str {
    match variant {
        Variant::Lazy => "lazy",
        Variant::Precise => "precise",
    }
}

/// Where the names of the folders of a file's regions are.
fn folder_of_file(cache: &Path, file: &File) -> Result<PathBuf> {
    let meta = file.metadata().context("looking at a file of code")?;
    let (time, nanoseconds) = (meta.mtime(), meta.mtime_nsec());
    let name = format!("{:x}-{:x}-{:x}-{time:x}-{nanoseconds:x}", meta.dev(), meta.ino(), meta.size());
    Ok(cache.join(FILES).join(name))
}

/// What follows the region in the name of its file.
fn suffix(variant: Variant) -> Result<String> {
    Ok(format!("-{}-{}", word(variant), program_stamp()?))
}

/// Translated code of a piece of a file.
#[derive(Debug)]
pub struct Found {
    pub offset: u64,
    pub len: u32,
    pub variant: Variant,
    pub modules: Vec<File>,
    /// They have all of it.
    pub whole: bool,
    /// Some of it is not translated yet, and could be.
    pub unfinished: bool,
}

/// What the cache has of these variants for the regions of a file. Entries that cannot be read are left out; the modules are
/// trusted for their owner and mode, their checksums are not looked at.
pub fn find(cache: &Path, file: &File, variants: &[Variant]) -> Vec<Found> {
    let with_suffix = |&variant| Some((variant, suffix(variant).ok()?));
    let suffixes: Vec<(Variant, String)> = variants.iter().filter_map(with_suffix).collect();
    let entries = folder_of_file(cache, file).and_then(|folder| Ok(fs::read_dir(folder)?));
    let entries = entries.into_iter().flatten().flatten();
    let find = |entry: &Path| suffixes.iter().find_map(|(variant, suffix)| found(cache, entry, (*variant, suffix)));
    entries.filter_map(|entry| find(&entry.path())).collect()
}

fn found(cache: &Path, entry: &Path, (variant, suffix): (Variant, &str)) -> Option<Found> {
    let (offset, len) = entry.file_name()?.to_str()?.strip_suffix(suffix)?.split_once('-')?;
    let folder = fs::read_to_string(entry).ok()?;
    // A name and no path, whoever wrote it.
    let name = Path::new(&folder).file_name().filter(|name| *name == folder.as_str())?;
    let folder = Folder::named(cache, name.to_str()?);
    mark(&folder.path);
    let numbers = 0..MAX_MODULES;
    let modules = numbers.map_while(|number| open_trusted(&folder.file(number)).ok()?);
    Some(Found {
        offset: u64::from_str_radix(offset, 16).ok()?,
        len: u32::from_str_radix(len, 16).ok()?,
        variant,
        modules: modules.take(MAX_READY).collect(),
        whole: folder.is_whole(),
        unfinished: !folder.is_whole() && !folder.path.join(DONE).exists(),
    })
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
        let mut folder = Folder::new(dir.path(), &[b"code"], Variant::Lazy).unwrap();
        assert!(folder.take().is_none());
        folder.add(b"native", &functions(0)).unwrap();
        folder.add(b"native too", &functions(8)).unwrap();
        let mut again = Folder::new(dir.path(), &[b"code"], Variant::Lazy).unwrap();
        assert_eq!(again.take().unwrap().1, [4]);
        assert_eq!(again.take().unwrap().1, [12]);
        assert!(again.take().is_none());
        assert!(Folder::new(dir.path(), &[b"code"], Variant::Precise).unwrap().take().is_none());
    }

    #[test]
    fn regions_are_found_by_their_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = tempfile::tempfile_in(dir.path()).unwrap();
        let mut folder = Folder::new(dir.path(), &[b"code"], Variant::Lazy).unwrap();
        folder.note(dir.path(), &file, (0x1000, 0x2000), Variant::Lazy).unwrap();
        folder.note(dir.path(), &file, (0x1000, 0x2000), Variant::Lazy).unwrap();
        folder.add(b"native", &functions(0)).unwrap();
        let found = find(dir.path(), &file, &[Variant::Lazy]);
        assert_eq!((found.len(), found[0].offset, found[0].len, found[0].modules.len()), (1, 0x1000, 0x2000, 1));
        assert_eq!(read_entries(&found[0].modules[0]).unwrap(), [4]);
        assert!(find(dir.path(), &file, &[Variant::Precise]).is_empty());
        file.set_len(1).unwrap();
        assert!(find(dir.path(), &file, &[Variant::Lazy]).is_empty());
    }

    #[test]
    fn all_of_a_region_takes_the_place_of_its_parts() {
        let dir = tempfile::tempdir().unwrap();
        let file = tempfile::tempfile_in(dir.path()).unwrap();
        let new = || Folder::new(dir.path(), &[b"code"], Variant::Lazy).unwrap();
        let mut folder = new();
        folder.note(dir.path(), &file, (0, 0x2000), Variant::Lazy).unwrap();
        folder.add(b"native", &functions(0)).unwrap();
        folder.begin().unwrap().add(b"lost", &functions(4)).unwrap();
        let (mut fresh, mut late) = (folder.begin().unwrap(), new());
        fresh.add(b"all", &functions(8)).unwrap();
        folder.finish(fresh).unwrap();
        assert!(folder.is_whole() && folder.take().is_none());
        assert_eq!(new().take().unwrap().1, [12]);
        let found = find(dir.path(), &file, &[Variant::Lazy]);
        assert!(found[0].whole && found[0].modules.len() == 1);
        // Others find their folder gone, or themselves too late.
        assert!(late.add(b"native", &functions(12)).is_err());
        let mut second = late.begin().unwrap();
        second.add(b"all", &functions(8)).unwrap();
        late.finish(second).unwrap();
        assert_eq!(late.take().unwrap().1, [12]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "the folder, and where it is found");
    }

    #[test]
    fn jumps_are_kept_for_the_next_process() {
        let dir = tempfile::tempdir().unwrap();
        let new = || Folder::new(dir.path(), &[b"code"], Variant::Lazy).unwrap();
        assert_eq!(new().jumps(), BTreeMap::new());
        let jumps = BTreeMap::from([(2, 8), (10, 40)]);
        new().keep_jumps(&jumps);
        assert_eq!((new().jumps(), new().warm()), (jumps, BTreeMap::new()));
        let most = (0..MAX_PAIRS as u32).map(|n| (u32::MAX - n, u32::MAX)).collect();
        new().keep_jumps(&most);
        assert_eq!(new().jumps(), most);
        fs::write(new().path.join(JUMPS), b"[[1").unwrap();
        assert_eq!(new().jumps(), BTreeMap::new(), "damaged");
    }

    #[test]
    fn damaged_modules_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(dir.path(), &[b"code"], Variant::Lazy).unwrap();
        folder.add(b"native", &functions(0)).unwrap();
        folder.add(b"native", &functions(8)).unwrap();
        fs::write(folder.file(0), b"short").unwrap();
        assert_eq!(folder.take().unwrap().1, [12]);
    }
}
