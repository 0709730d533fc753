//! /proc/<pid>/ns (namespaces(7)): there is one of each kind, and every process is in it.

use std::any::Any;
use std::rc::Rc;

use shallop_linux_abi::Errno;

use crate::fs::pseudo::tree::{Body, Directory, Row, Subject};
use crate::kernel::Kernel;
use crate::vfs::anonymous::AnonymousFs;
use crate::vfs::{File, FileKind, FileSystem, GuestMemory, Inode, Location, Stat};
use crate::wait::Stop;

/// st_dev of namespaces.
const DEV: u64 = 4;

macro_rules! namespaces {
    ($($name:literal $file:literal $ino:literal;)*) => {
        pub(super) static DIRECTORY: Directory = Directory {
            rows: &[$(Row {
                name: $file,
                mode: 0o777,
                body: Body::Magic(
                    |_: &Kernel, _: &Subject| Ok(concat!($name, ":[", $ino, "]").as_bytes().to_vec()),
                    |_: &Kernel, _: &Subject| Ok(place(concat!($name, ":[", $ino, "]"), $ino)),
                ),
            }),*],
            more: None,
        };
    };
}

namespaces! {
    "cgroup" "cgroup" 4026531835;
    "ipc" "ipc" 4026531839;
    "mnt" "mnt" 4026531841;
    "net" "net" 4026531840;
    "pid" "pid" 4026531836;
    "pid" "pid_for_children" 4026531836;
    "time" "time" 4026531834;
    "time" "time_for_children" 4026531834;
    "user" "user" 4026531837;
    "uts" "uts" 4026531838;
}

fn place(label: &str, ino: u64) -> Location {
    Location { inode: Rc::new(Namespace { ino }), name: label.as_bytes().into(), parent: None, mount: 0 }
}

/// A namespace as a file: it can be opened and compared with others.
struct Namespace {
    ino: u64,
}

impl Inode for Namespace {
    fn kind(&self) -> FileKind {
        FileKind::Regular
    }

    fn stat(&self) -> Result<Stat, Errno> {
        let mode = FileKind::Regular.mode_bits() | 0o444;
        Ok(Stat { dev: DEV, ino: self.ino, mode, nlink: 1, block_size: 4096, ..Stat::default() })
    }

    fn fs(&self) -> Rc<dyn FileSystem> {
        Rc::new(AnonymousFs)
    }

    fn open(&self, _flags: u32) -> Result<Rc<dyn File>, Stop> {
        Ok(Rc::new(OpenNamespace))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct OpenNamespace;

impl File for OpenNamespace {
    /// NS_GET_USERNS, NS_GET_PARENT: whose it is lies outside the container (ioctl_ns(2)).
    fn ioctl(&self, request: u32, _arg: u64, _memory: &dyn GuestMemory) -> Result<u64, Stop> {
        Err(if matches!(request, 0xb701 | 0xb702) { Errno::EPERM } else { Errno::ENOTTY }.into())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
