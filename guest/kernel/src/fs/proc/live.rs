//! Tests of /proc on a running kernel.

use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::open;

use super::ProcFs;
use crate::fs::pseudo::PseudoFile;
use crate::fs::sys::SysFs;
use crate::kernel::Kernel;
use crate::testing;
use crate::vfs::open_file::OpenFile;
use crate::vfs::path::{Limits, Walk};
use crate::vfs::{FileKind, FileSystem, InodeRef, Location, NewAttr, NewNode, Timespec};
use crate::wait::Tid;

const CALLER: Tid = Tid(1);

/// A kernel with /proc and /sys.
fn kernel() -> Kernel {
    let (mut k, _) = testing::kernel();
    let mounts: [(&[u8], Rc<dyn FileSystem>); 2] = [(b"proc", ProcFs::new()), (b"sys", SysFs::new())];
    for (name, fs) in mounts {
        let inode = create(&k.mounts.root().inode, name, &NewNode::Directory);
        let place = k.mounts.root().child(name, inode);
        let root = fs.root();
        k.mounts.mount(&place, fs, root, b"none", false).unwrap();
    }
    k
}

fn create(directory: &InodeRef, name: &[u8], node: &NewNode) -> InodeRef {
    let attr = NewAttr { mode: 0o755, uid: 0, gid: 0, now: Timespec::default() };
    directory.create(name, node, &attr).unwrap()
}

fn find(k: &Kernel, path: &str, follow: bool) -> Result<Location, Errno> {
    let root = k.mounts.root();
    let credentials = &k.task(CALLER).credentials;
    let walk =
        Walk { mounts: &k.mounts, credentials, root: &root, kernel: Some((k, CALLER)), limits: Limits::default() };
    walk.resolve(&root, path.as_bytes(), follow)
}

fn text(k: &Kernel, path: &str) -> String {
    let place = find(k, path, true).unwrap_or_else(|errno| panic!("{path}: {errno:?}"));
    let content = place.inode.kernel_view().unwrap().content(k, CALLER);
    String::from_utf8(content.unwrap_or_else(|errno| panic!("{path}: {errno:?}"))).unwrap()
}

fn link(k: &Kernel, path: &str) -> String {
    let place = find(k, path, false).unwrap();
    String::from_utf8(place.inode.kernel_view().unwrap().read_link(k, CALLER).unwrap()).unwrap()
}

/// Puts an open file of the root directory at descriptor 0.
fn open_file(k: &Kernel, name: &[u8]) -> Location {
    let inode = create(&k.mounts.root().inode, name, &NewNode::Regular);
    let place = k.mounts.root().child(name, inode.clone());
    let file = inode.open(open::RDWR).unwrap();
    let file = OpenFile::new(file, place.clone(), open::RDWR, &k.io.locks);
    k.task(CALLER).files.borrow_mut().replace(0, file, true);
    place
}

/// Reads every file below a directory.
fn read_all(k: &Kernel, path: &str, seen: &mut usize) {
    let place = find(k, path, false).unwrap();
    for entry in place.inode.kernel_view().unwrap().entries(k, CALLER).unwrap() {
        let below = format!("{path}/{}", String::from_utf8(entry.name).unwrap());
        let stat = find(k, &below, false).unwrap().inode.stat().unwrap();
        assert_eq!((stat.ino, stat.mode & 0o170000), (entry.ino, entry.kind.mode_bits()), "{below}");
        *seen += 1;
        match entry.kind {
            FileKind::Directory => read_all(k, &below, seen),
            FileKind::Regular if below.ends_with("/auxv") => {}
            FileKind::Regular => drop(text(k, &below)),
            _ => {}
        }
    }
}

#[test]
fn every_file_can_be_found_and_read() {
    let k = kernel();
    open_file(&k, b"f");
    let mut seen = 0;
    read_all(&k, "/proc", &mut seen);
    read_all(&k, "/sys", &mut seen);
    assert!(seen > 200, "{seen}");
}

#[test]
fn self_is_the_caller_and_others_are_missing() {
    let k = kernel();
    assert_eq!(link(&k, "/proc/self"), "1");
    assert_eq!(link(&k, "/proc/thread-self"), "1/task/1");
    assert_eq!(find(&k, "/proc/2/stat", true).err(), Some(Errno::ENOENT));
    assert_eq!(find(&k, "/proc/1/task/2", true).err(), Some(Errno::ENOENT));
    assert_eq!(find(&k, "/proc/self/fd/9", false).err(), Some(Errno::ENOENT));
}

#[test]
fn descriptors_are_links_to_the_open_file_itself() {
    let k = kernel();
    let place = open_file(&k, b"f");
    assert_eq!(link(&k, "/proc/self/fd/0"), "/f");
    assert!(find(&k, "/proc/self/fd/0", true).unwrap().same(&place));
    assert_eq!(find(&k, "/proc/self/fd/0", false).unwrap().inode.stat().unwrap().mode, 0o120700);
    assert!(text(&k, "/proc/self/fdinfo/0").starts_with("pos:\t0\nflags:\t02000002\nmnt_id:\t1\nino:\t"));
    k.mounts.root().inode.unlink(b"f").unwrap();
    assert_eq!(link(&k, "/proc/self/fd/0"), "/f (deleted)");
    assert!(find(&k, "/proc/self/fd/0", true).is_ok());
}

#[test]
fn stat_has_fifty_two_fields_and_status_its_names() {
    let mut k = kernel();
    k.task_mut(CALLER).name = b"a) b".to_vec();
    let stat = text(&k, "/proc/1/stat");
    let (head, rest) = stat.rsplit_once(") ").unwrap();
    assert_eq!(head, "1 (a) b");
    assert_eq!(rest.split_whitespace().count(), 50);
    let status = text(&k, "/proc/self/status");
    for line in ["Name:\ta) b\n", "State:\tR (running)\n", "Uid:\t0\t0\t0\t0\n", "Threads:\t1\n"] {
        assert!(status.contains(line), "{line}");
    }
}

#[test]
fn maps_and_mounts_show_what_is_there() {
    let k = kernel();
    assert_eq!(text(&k, "/proc/self/maps").lines().next().unwrap(), "00200000-00210000 rw-p 00000000 00:00 0 ");
    let mounts = text(&k, "/proc/mounts");
    assert!(mounts.starts_with("tmpfs / tmpfs rw,relatime 0 0\nnone /proc proc rw,nosuid"), "{mounts}");
    let info = text(&k, "/proc/self/mountinfo");
    assert!(info.lines().nth(1).unwrap().starts_with("2 1 0:"), "{info}");
}

#[test]
fn a_name_is_changed_by_writing_it() {
    let mut k = kernel();
    let place = find(&k, "/proc/self/comm", true).unwrap();
    let file = place.inode.open(open::WRONLY).unwrap();
    let file = file.as_any().downcast_ref::<PseudoFile>().unwrap();
    file.store(&mut k, CALLER, b"a name that is long\n").unwrap();
    assert_eq!(text(&k, "/proc/self/comm"), "a name that is \n");
    assert!(find(&k, "/proc/version", true).unwrap().inode.open(open::WRONLY).is_err());
}

#[test]
fn an_open_text_stays_the_same_until_read_from_the_start() {
    let mut k = kernel();
    let file = find(&k, "/proc/sys/kernel/hostname", true).unwrap().inode.open(open::RDONLY).unwrap();
    let pseudo = file.as_any().downcast_ref::<PseudoFile>().unwrap();
    let read = |k: &Kernel, at: u64| {
        let mut buf = [0; 16];
        pseudo.refresh(k, CALLER, at).unwrap();
        let count = file.read_at(at, &mut buf, false).unwrap();
        String::from_utf8(buf[..count].to_vec()).unwrap()
    };
    k.hostname = b"first".to_vec();
    assert_eq!(read(&k, 0), "first\n");
    k.hostname = b"other".to_vec();
    assert_eq!(read(&k, 2), "rst\n");
    assert_eq!(read(&k, 0), "other\n");
}
