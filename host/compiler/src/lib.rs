//! The process that turns wasm into native code, and the code cache that only it writes.
//!
//! `CodeCache::open` is called by the supervisor; on a miss it starts the compiler process (`main`), which reads
//! wasm on stdin and leaves the compiled module in the cache by an atomic rename. `translator` is the process that
//! turns a worker's hot guest code into native code.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod alone;
#[cfg(target_os = "linux")]
mod crew;
pub mod limit;
mod platform;
#[cfg(target_os = "linux")]
mod queue;
#[cfg(target_os = "linux")]
mod region;
#[cfg(target_os = "linux")]
pub mod translated;
#[cfg(target_os = "linux")]
pub mod translator;

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
pub use shallop_sandbox::Stops;

/// The hidden verb of the `shallop` program that starts the compiler process.
pub const VERB: &str = "internal-compile";

/// What the verb has behind the path for [`Stops::ByWord`].
const BY_WORD: &str = "by-word";

/// Bytes of wasm that the compiler takes at most.
const MAX_WASM: u64 = 256 << 20;

/// Address space and CPU time that one compilation may use.
const MEMORY_LIMIT: u64 = 8 << 30;
const CPU_SECONDS: u64 = 600;

/// Compiled modules on disk, by key. Trusted for their owner and mode; see "Security" in `docs/architecture.md`.
#[derive(Debug, Clone)]
pub struct CodeCache {
    dir: PathBuf,
}

impl CodeCache {
    /// The cache in `dir`, which is created when missing, private to its owner.
    pub fn new(dir: &Path) -> Result<CodeCache> {
        fs::create_dir_all(dir).with_context(|| format!("creating the code cache {}", dir.display()))?;
        platform::make_private(dir).with_context(|| format!("making the code cache {} private", dir.display()))?;
        Ok(CodeCache { dir: dir.to_owned() })
    }

    /// Where a module is, or would be.
    ///
    /// # Errors
    /// When this program's file cannot be found.
    pub fn path(&self, key: &str) -> Result<PathBuf> {
        Ok(self.dir.join(format!("{key}-{}.cwasm", program_stamp()?)))
    }

    /// The compiled form, when the cache has it and it is as it was written.
    pub fn existing(&self, key: &str) -> Result<Option<File>> {
        let path = self.path(key)?;
        let Some(file) = open_trusted(&path)? else { return Ok(None) };
        if was_found_whole(&file) {
            return Ok(Some(file));
        }
        let whole = is_whole(&file);
        if whole {
            note_whole(&path, &file);
        }
        Ok(whole.then_some(file))
    }

    /// The compiled form of `wasm`, from the cache or made now. `key` names the content: a digest, or the identity of an
    /// embedded module. Code made by another build of this program is never used.
    pub fn open(&self, key: &str, wasm: &[u8], stops: Stops) -> Result<File> {
        if let Some(file) = self.existing(key)? {
            return Ok(file);
        }
        let path = self.path(key)?;
        if path.exists() {
            eprintln!("shallop: the compiled code {} is damaged; compiling it again", path.display());
            remove(&path).with_context(|| format!("removing {}", path.display()))?;
        }
        limit::remove_abandoned(&self.dir);
        compile_in_child(wasm, &path, stops).with_context(|| format!("compiling module {key}"))?;
        open_trusted(&path)?.with_context(|| format!("the compiler left no {}", path.display()))
    }
}

/// Changes with every build of this program, and so with its engine and settings.
fn program_stamp() -> Result<String> {
    stamp(&std::env::current_exe().context("finding this program's file")?)
}

/// What the names of code of this build of the program end with, but for `.cwasm`.
///
/// # Errors
/// When there is no such file.
pub fn stamp(program: &Path) -> Result<String> {
    let meta = fs::metadata(program).with_context(|| format!("reading {}", program.display()))?;
    let made = meta.modified().with_context(|| format!("reading {}", program.display()))?;
    // A file from before 1970 is as good as one of that moment.
    let made = made.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Ok(format!("{:x}-{:x}-{:x}", meta.len(), made.as_secs(), made.subsec_nanos()))
}

/// Opens a cache entry that belongs to us and that nobody else can write; `None` when there is none.
fn open_trusted(path: &Path) -> Result<Option<File>> {
    let file = match platform::open_itself(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("opening {}", path.display())),
    };
    ensure!(
        platform::is_ours_alone(&file.metadata()?),
        "{} can be written by somebody else; remove it and try again",
        path.display()
    );
    Ok(Some(file))
}

/// A folder in an entry's place is damage too.
fn remove(path: &Path) -> std::io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// Bytes at the end of an entry: the checksum of those before them. The code's own format does not mind what follows it.
const CHECKSUM_BYTES: u64 = 4;

/// Whether an entry is as it was written. Code that a failing disk changed must not run.
fn is_whole(file: &File) -> bool {
    let Some(size) = file.metadata().ok().and_then(|meta| meta.len().checked_sub(CHECKSUM_BYTES)) else { return false };
    checksums(file, size).is_ok_and(|(stored, found)| stored == found)
}

/// Whether an entry was found whole a short while ago, so that not each start reads all of it: its time is of then, with
/// the checksum in the nanoseconds, which a change of the file would set to others.
fn was_found_whole(file: &File) -> bool {
    let modified = file.metadata().and_then(|meta| meta.modified());
    let Ok((modified, nanoseconds)) = modified.and_then(|modified| Ok((modified, nanoseconds(file)?))) else {
        return false;
    };
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    // The nanoseconds may be of later in that second.
    let age = (SystemTime::now() + Duration::from_secs(1)).duration_since(modified);
    since.subsec_nanos() == nanoseconds && age.is_ok_and(|age| age < limit::FRESH)
}

/// Notes that an entry is whole, and in use.
fn note_whole(path: &Path, file: &File) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // What cannot be noted is only read again.
    let _ = nanoseconds(file).and_then(|nanoseconds| {
        let time = UNIX_EPOCH + Duration::new(now.as_secs(), nanoseconds);
        platform::open_to_mark(path)?.set_modified(time)
    });
}

/// The nanoseconds of the time of an entry that was found whole.
fn nanoseconds(mut file: &File) -> std::io::Result<u32> {
    let mut stored = [0; CHECKSUM_BYTES as usize];
    file.seek(SeekFrom::End(-(CHECKSUM_BYTES as i64)))?;
    file.read_exact(&mut stored)?;
    file.rewind()?;
    Ok(u32::from_le_bytes(stored) % 1_000_000_000)
}

/// The checksum behind the first `size` bytes of a file, and theirs.
fn checksums(mut file: &File, size: u64) -> std::io::Result<([u8; CHECKSUM_BYTES as usize], [u8; 4])> {
    file.seek(SeekFrom::Start(0))?;
    let mut crc = crc32fast::Hasher::new();
    // As much as stays in the processor's nearest caches.
    let mut buffer = vec![0; 32 << 10];
    let mut left = size;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        file.read_exact(&mut buffer[..part])?;
        crc.update(&buffer[..part]);
        left -= part as u64;
    }
    let mut stored = [0; CHECKSUM_BYTES as usize];
    file.read_exact(&mut stored)?;
    file.seek(SeekFrom::Start(0))?;
    Ok((stored, crc.finalize().to_le_bytes()))
}

/// Runs the compiler process over `wasm`; it writes `path`.
fn compile_in_child(wasm: &[u8], path: &Path, stops: Stops) -> Result<()> {
    let program = std::env::current_exe().context("finding this program's file")?;
    let mut command = Command::new(program);
    let mut child = shallop_supervisor::clear_environment(&mut command)
        .arg(VERB)
        .arg(path)
        .args((stops == Stops::ByWord).then_some(BY_WORD))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting the compiler process")?;
    let written = child.stdin.take().map(|mut stdin| stdin.write_all(wasm));
    let output = child.wait_with_output().context("waiting for the compiler process")?;
    if !output.status.success() {
        let report = String::from_utf8_lossy(&output.stderr);
        bail!("the compiler process ended with {}: {}", output.status, report.trim());
    }
    written.transpose().context("sending the module to the compiler process")?;
    Ok(())
}

/// The compiler process: bounds itself, compiles the wasm on stdin for code that stops as the argument behind the path says, renames the result to `path`.
pub fn main(path: &Path, stops: Option<&str>) -> Result<()> {
    platform::bound(MEMORY_LIMIT, CPU_SECONDS)?;
    let stops = if stops == Some(BY_WORD) { Stops::ByWord } else { Stops::Anywhere };
    let mut wasm = Vec::new();
    std::io::stdin().take(MAX_WASM + 1).read_to_end(&mut wasm).context("reading the module")?;
    ensure!(wasm.len() as u64 <= MAX_WASM, "the module is larger than {} MiB", MAX_WASM >> 20);
    let code = shallop_sandbox::compile(&wasm, stops)?;
    let dir = path.parent().context("the result's path has no folder")?;
    let mut file = tempfile::NamedTempFile::new_in(dir).with_context(|| format!("writing to {}", dir.display()))?;
    let sum = crc32fast::hash(&code).to_le_bytes();
    file.write_all(&code)
        .and_then(|()| file.write_all(&sum))
        .with_context(|| format!("writing {} bytes to {}", code.len(), dir.display()))?;
    file.as_file().sync_all()?;
    file.persist(path).with_context(|| format!("renaming to {}", path.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_code_is_found() {
        let mut good = vec![7; 600_000];
        good.extend(crc32fast::hash(&good).to_le_bytes());
        let whole = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            is_whole(&file)
        };
        assert!(whole(&good));
        for cut in [0, 3, 300_000, good.len() - 1] {
            assert!(!whole(&good[..cut]), "{cut}");
        }
        for at in [0, 299_999, 600_000, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 0x80;
            assert!(!whole(&bad), "{at}");
        }
    }

    #[test]
    fn what_was_found_whole_is_not_read_until_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.cwasm");
        let mut code = vec![7; 600_000];
        code.extend(crc32fast::hash(&code).to_le_bytes());
        fs::write(&path, &code).unwrap();
        let open = || File::open(&path).unwrap();
        assert!(!was_found_whole(&open()));
        note_whole(&path, &open());
        assert!(was_found_whole(&open()));
        let marked = fs::metadata(&path).unwrap().modified().unwrap();
        // Long ago, or to come.
        for time in [marked - limit::FRESH - Duration::from_secs(1), marked + Duration::from_secs(60)] {
            platform::open_to_mark(&path).unwrap().set_modified(time).unwrap();
            assert!(!was_found_whole(&open()));
        }
        note_whole(&path, &open());
        assert!(was_found_whole(&open()));
        code[9] ^= 1;
        fs::write(&path, &code).unwrap();
        assert!(!was_found_whole(&open()) && !is_whole(&open()));
    }

    #[test]
    fn a_folder_is_no_code_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.cwasm");
        fs::create_dir(&path).unwrap();
        assert!(!is_whole(&open_trusted(&path).unwrap().unwrap()));
        remove(&path).unwrap();
        assert!(!path.exists());
    }
}
