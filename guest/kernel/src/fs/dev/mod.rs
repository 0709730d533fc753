//! /dev: a small tmpfs with the usual nodes, and what opening a device means, wherever its node is.

mod memory;
mod open;

use std::rc::Rc;

use shallop_platform::{Clock, Platform};

use crate::fs::tmpfs::Tmpfs;
use crate::vfs::{FileSystem, InodeRef, NewAttr, NewNode, Timespec};

pub use open::{null, open_device};

/// Bytes that files below /dev may hold (as Docker's `size=65536k`).
const LIMIT: u64 = 64 << 20;

/// Character devices: name, major, minor, permission bits.
const DEVICES: [(&str, u32, u32, u32); 7] = [
    ("null", 1, 3, 0o666),
    ("zero", 1, 5, 0o666),
    ("full", 1, 7, 0o666),
    ("random", 1, 8, 0o666),
    ("urandom", 1, 9, 0o666),
    ("tty", 5, 0, 0o666),
    ("console", 5, 1, 0o620),
];

const LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Mount points, with their permission bits until something is mounted there.
const DIRECTORIES: [(&str, u32); 3] = [("pts", 0o755), ("shm", 0o1777), ("mqueue", 0o1777)];

/// The file system of /dev.
pub struct DevFs {
    files: Rc<Tmpfs>,
}

impl DevFs {
    /// With all nodes in it, owned by root.
    pub fn new(platform: &'static dyn Platform) -> Rc<DevFs> {
        let files = Tmpfs::new(platform, LIMIT);
        let root = FileSystem::root(&*files);
        let now = platform.now(Clock::Realtime);
        let now = Timespec { sec: (now / 1_000_000_000) as i64, nsec: (now % 1_000_000_000) as u32 };
        let add = |name: &str, node: NewNode, mode| {
            // An empty tmpfs has room for these, and none of the names is there twice.
            let _ = root.create(name.as_bytes(), &node, &NewAttr { mode, uid: 0, gid: 0, now });
        };
        DEVICES.into_iter().for_each(|(name, major, minor, mode)| add(name, NewNode::CharDevice(major, minor), mode));
        LINKS.into_iter().for_each(|(name, target)| add(name, NewNode::Symlink(target.into()), 0o777));
        DIRECTORIES.into_iter().for_each(|(name, mode)| add(name, NewNode::Directory, mode));
        let _ = root.set_attr(&crate::vfs::SetAttr { mode: Some(0o755), ..Default::default() });
        Rc::new(DevFs { files })
    }
}

impl FileSystem for DevFs {
    fn name(&self) -> &'static str {
        "tmpfs"
    }

    fn dev(&self) -> u64 {
        self.files.dev()
    }

    fn root(&self) -> InodeRef {
        FileSystem::root(&*self.files)
    }

    fn statfs(&self) -> (u64, u64, u64, u64, u64, u64) {
        self.files.statfs()
    }
}

#[cfg(test)]
mod tests {
    use shallop_platform::fake::Fake;

    use super::*;

    #[test]
    fn every_node_is_there() {
        let fs = DevFs::new(Box::leak(Box::new(Fake::new())));
        let root = FileSystem::root(&*fs);
        assert_eq!(root.read_dir(0).unwrap().len(), DEVICES.len() + LINKS.len() + DIRECTORIES.len());
        let urandom = root.lookup(b"urandom").unwrap().stat().unwrap();
        assert_eq!((urandom.mode, urandom.rdev), (0o020666, (1, 9)));
        assert_eq!(root.lookup(b"stderr").unwrap().read_link().unwrap(), b"/proc/self/fd/2");
        assert_eq!(root.stat().unwrap().mode, 0o040755);
    }
}
