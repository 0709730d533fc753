//! Which pages of a space hold private data: what fork copies, and what a process is charged for.

use crate::{AddressSpace, PAGE};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

/// Entry bits of /proc/PID/pagemap (Linux Documentation/admin-guide/mm/pagemap.rst).
mod entry {
    /// In memory.
    pub const PRESENT: u64 = 1 << 63;
    /// In swap.
    pub const SWAPPED: u64 = 1 << 62;
    /// A file's page or shared memory.
    pub const FILE: u64 = 1 << 61;
}

/// Entries read by one system call.
const CHUNK: usize = 8192;

struct Pagemap {
    file: File,
    /// The process whose memory the file shows.
    pid: u32,
}

static PAGEMAP: OnceLock<Option<Pagemap>> = OnceLock::new();

/// Prepares the process: installs the SIGBUS handler and opens `/proc/self/pagemap`. Call it before the process gives
/// up its access to the file system. False if one of the two failed: without the file, forks compare pages instead,
/// which is slow; without the handler, a page that a file lost ends the process.
pub fn prepare() -> bool {
    let handler = crate::fault::install_sigbus().is_ok();
    pagemap().is_some() && handler
}

fn pagemap() -> Option<&'static File> {
    let open = || Some(Pagemap { file: File::open("/proc/self/pagemap").ok()?, pid: std::process::id() });
    let pagemap = PAGEMAP.get_or_init(open).as_ref()?;
    // After a fork(2) of this process it would show the parent's memory.
    (pagemap.pid == std::process::id()).then_some(&pagemap.file)
}

impl AddressSpace {
    /// Private bytes in memory or swap: written pages of private mappings, in host pages.
    pub fn resident(&self) -> u64 {
        let private = self.map.iter().filter(|region| region.kind.is_private());
        private.map(|region| self.private_bytes(region.start..region.end())).sum()
    }

    fn private_bytes(&self, range: Range<u64>) -> u64 {
        let Some(runs) = self.private_runs(range.clone()) else { return self.core_bytes(range) };
        runs.iter().map(|run| run.end - run.start).sum()
    }

    /// Bytes of files and shared memory that this space has come to, but for pages that it has copies of.
    pub fn touched(&self) -> u64 {
        let files = self.map.iter().filter(|region| region.kind.is_file());
        let pages = files.map(|region| {
            let mut pages = 0;
            let file_page = entry::PRESENT | entry::FILE;
            self.for_entries(region.start..region.end(), |_, entry| pages += u64::from(entry & file_page == file_page));
            pages
        });
        pages.sum::<u64>() * PAGE
    }

    /// Runs of pages in `range` that hold private data, ascending. `None` if the host does not tell.
    pub(crate) fn private_runs(&self, range: Range<u64>) -> Option<Vec<Range<u64>>> {
        let mut runs = Runs::default();
        self.for_entries(range, |addr, entry| {
            if entry & (entry::PRESENT | entry::SWAPPED) != 0 && entry & entry::FILE == 0 {
                runs.add(addr);
            }
        })?;
        Some(runs.0)
    }

    /// Calls `each` with the address and the entry of each page of `range`. `None` if the host does not tell.
    fn for_entries(&self, range: Range<u64>, mut each: impl FnMut(u64, u64)) -> Option<()> {
        let file = pagemap()?;
        let first = (self.base().addr() as u64 + range.start) / PAGE;
        let count = (range.end - range.start) / PAGE;
        let mut buffer = vec![0; CHUNK.min(count as usize) * 8];
        let mut done = 0;
        while done < count {
            let want = ((count - done) as usize).min(CHUNK) * 8;
            let got = file.read_at(buffer.get_mut(..want)?, (first + done) * 8).ok()? / 8;
            if got == 0 {
                return None;
            }
            for (index, bytes) in buffer.chunks_exact(8).take(got).enumerate() {
                let entry = u64::from_ne_bytes(bytes.try_into().ok()?);
                each(range.start + (done + index as u64) * PAGE, entry);
            }
            done += got as u64;
        }
        Some(())
    }

    /// Bytes of `range` in memory by mincore(2): pages of files that others read count too.
    fn core_bytes(&self, range: Range<u64>) -> u64 {
        let len = range.end - range.start;
        let Ok(at) = self.host.at(range.start, len) else { return 0 };
        let mut seen = vec![0_u8; (len / PAGE) as usize];
        // SAFETY: one byte for each page of a range that is mapped.
        if unsafe { libc::mincore(at, len as usize, seen.as_mut_ptr()) } != 0 {
            return 0;
        }
        seen.iter().filter(|page| **page & 1 != 0).count() as u64 * PAGE
    }
}

/// Collects ascending pages into runs.
#[derive(Default)]
pub(crate) struct Runs(pub(crate) Vec<Range<u64>>);

impl Runs {
    /// Adds the page at `addr`.
    pub(crate) fn add(&mut self, addr: u64) {
        match self.0.last_mut() {
            Some(run) if run.end == addr => run.end += PAGE,
            _ => self.0.push(addr..addr + PAGE),
        }
    }
}
