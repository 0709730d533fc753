//! Directories and files of the host, mounted into the container.
//!
//! `volume` is what one mounted directory keeps, `node` a file in it, `names` a directory's cookies, `file` an open
//! file, `single` a mount of one file. The host's permission bits are shown; owners are the container's user, since the
//! host's own numbers mean nothing inside, until something changes them (kept while the sandbox runs).

mod file;
mod names;
mod node;
mod single;
#[cfg(test)]
mod tests;
mod volume;

use std::rc::Rc;

use shallop_host_abi::hypercall::HostStat;
use shallop_host_abi::spec::Handle;
use shallop_linux_abi::Errno;
use shallop_platform::Platform;

use self::volume::Volume;
use crate::tunables::PAGE;
use crate::vfs::{FileKind, FileSystem, InodeRef, SetAttr, Stat, Timespec};

pub use single::host_file;

/// f_type shown for both (that of FUSE: files of somebody else's).
const MAGIC: u64 = 0x6573_5546;
/// Sizes that the host does not tell: a file system that looks half empty, in pages and files.
const BLOCKS: u64 = 1 << 28;
const FILES: u64 = 1 << 24;

/// A mounted host directory.
pub struct HostDir(Rc<Volume>);

impl HostDir {
    /// Mounts the directory behind `root`; its files look as if (uid, gid) owned them.
    pub fn mount(
        platform: &'static dyn Platform,
        root: Handle,
        read_only: bool,
        uid: u32,
        gid: u32,
    ) -> Result<Rc<HostDir>, Errno> {
        Ok(Rc::new(HostDir(Volume::new(platform, root, read_only, uid, gid)?)))
    }
}

impl FileSystem for HostDir {
    fn name(&self) -> &'static str {
        "fuse.shallop"
    }

    fn dev(&self) -> u64 {
        self.0.device
    }

    fn root(&self) -> InodeRef {
        self.0.root()
    }

    fn read_only(&self) -> bool {
        self.0.read_only
    }

    fn statfs(&self) -> (u64, u64, u64, u64, u64, u64) {
        statfs()
    }
}

fn statfs() -> (u64, u64, u64, u64, u64, u64) {
    (MAGIC, PAGE, BLOCKS, BLOCKS / 2, FILES, FILES / 2)
}

/// Nanoseconds since the epoch as a time.
fn timespec(nanoseconds: i64) -> Timespec {
    const SECOND: i64 = 1_000_000_000;
    Timespec { sec: nanoseconds.div_euclid(SECOND), nsec: nanoseconds.rem_euclid(SECOND) as u32 }
}

/// The other way; EINVAL for times that do not fit (before 1677, after 2262).
fn nanoseconds(time: Timespec) -> Result<i64, Errno> {
    time.sec.checked_mul(1_000_000_000).and_then(|ns| ns.checked_add(time.nsec.into())).ok_or(Errno::EINVAL)
}

/// Both times of a change, in nanoseconds.
fn times(attr: &SetAttr) -> Result<(Option<i64>, Option<i64>), Errno> {
    Ok((attr.atime.map(nanoseconds).transpose()?, attr.mtime.map(nanoseconds).transpose()?))
}

/// The file's type as the host tells it.
fn kind_of(stat: &HostStat) -> FileKind {
    FileKind::from_mode(stat.mode).unwrap_or(FileKind::Regular)
}

/// What the container is shown.
fn shown(stat: &HostStat, device: u64, ino: u64, (uid, gid): (u32, u32)) -> Stat {
    Stat {
        dev: device,
        ino,
        mode: stat.mode,
        nlink: stat.nlink,
        uid,
        gid,
        rdev: (0, 0),
        size: stat.size,
        blocks: stat.blocks,
        block_size: PAGE as u32,
        atime: timespec(stat.atime_ns),
        mtime: timespec(stat.mtime_ns),
        ctime: timespec(stat.ctime_ns),
        btime: None,
    }
}
