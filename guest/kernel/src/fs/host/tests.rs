//! Tests of host directories on the fake host.

use shallop_host_abi::hypercall::open_flags;
use shallop_platform::fake::Fake;

use super::*;
use crate::vfs::{Backing, NewAttr, NewNode};

fn attr(mode: u32) -> NewAttr {
    NewAttr { mode, uid: 1000, gid: 1000, now: Timespec::default() }
}

/// A volume with `d/` and the file `f`.
fn volume() -> (&'static Fake, Handle) {
    let host: &'static Fake = Box::leak(Box::new(Fake::new()));
    let root = host.add_volume();
    host.volume_make_dir(root, b"d", 0o750).unwrap();
    let file = host.volume_open(root, b"f", open_flags::CREATE | open_flags::WRITE, 0o640).unwrap();
    host.file_write(file, 0, b"content").unwrap();
    (host, root)
}

fn mounted(read_only: bool) -> (&'static Fake, Handle, InodeRef) {
    let (host, root) = volume();
    (host, root, HostDir::mount(host, root, read_only, 1000, 1000).unwrap().root())
}

fn read(inode: &InodeRef) -> Vec<u8> {
    let mut bytes = vec![0; 100];
    let count = inode.open(0).unwrap().read_at(0, &mut bytes, false).unwrap();
    bytes.truncate(count);
    bytes
}

#[test]
fn files_show_the_hosts_modes_and_the_containers_owner() {
    let (_, _, root) = mounted(false);
    let f = root.lookup(b"f").unwrap();
    let stat = f.stat().unwrap();
    assert_eq!((stat.mode, stat.uid, stat.gid, stat.size), (0o100640, 1000, 1000, 7));
    assert_eq!(read(&f), b"content");
    f.set_attr(&SetAttr { uid: Some(5), ..SetAttr::default() }).unwrap();
    assert_eq!(root.lookup(b"f").unwrap().stat().unwrap().uid, 5);
    assert_eq!(root.lookup(b"none").err(), Some(Errno::ENOENT));
    assert_eq!(f.lookup(b"x").err(), Some(Errno::ENOTDIR));
    assert_eq!(root.lookup(b"../x").err(), Some(Errno::EINVAL));
}

#[test]
fn two_lookups_give_the_same_file_and_mounts_differ() {
    let (host, handle, root) = mounted(false);
    assert!(Rc::ptr_eq(&root.lookup(b"f").unwrap(), &root.lookup(b"f").unwrap()));
    let other = HostDir::mount(host, handle, false, 0, 0).unwrap().root();
    assert_ne!(other.stat().unwrap().dev, root.stat().unwrap().dev);
}

#[test]
fn renames_are_followed_by_open_inodes() {
    let (host, handle, root) = mounted(false);
    let (d, f) = (root.lookup(b"d").unwrap(), root.lookup(b"f").unwrap());
    root.rename(b"f", &d, b"g").unwrap();
    assert_eq!(read(&f), b"content");
    f.set_attr(&SetAttr { mode: Some(0o600), ..SetAttr::default() }).unwrap();
    assert_eq!(host.volume_stat(handle, b"d/g").unwrap().mode, 0o100600);
    assert_eq!(root.remove_dir(b"d"), Err(Errno::ENOTEMPTY));
    d.unlink(b"g").unwrap();
    assert_eq!(f.stat().unwrap().nlink, 0);
    assert_eq!(root.remove_dir(b"d"), Ok(()));
}

#[test]
fn an_open_file_outlives_its_name() {
    let (_, _, root) = mounted(false);
    let f = root.create(b"new", &NewNode::Regular, &attr(0o400)).unwrap();
    let open = f.open(2).unwrap();
    open.write_at(0, b"abc", false).unwrap();
    root.unlink(b"new").unwrap();
    let mut buf = [0; 3];
    assert_eq!(open.read_at(0, &mut buf, false).unwrap(), 3);
    assert_eq!(f.stat().unwrap().size, 3);
    assert_eq!(root.create(b"pipe", &NewNode::Fifo, &attr(0o600)).err(), Some(Errno::EPERM));
}

#[test]
fn read_only_mounts_refuse_every_change() {
    let (_, _, root) = mounted(true);
    let f = root.lookup(b"f").unwrap();
    assert_eq!(root.create(b"x", &NewNode::Regular, &attr(0o600)).err(), Some(Errno::EROFS));
    assert_eq!(root.unlink(b"f"), Err(Errno::EROFS));
    assert_eq!(root.rename(b"f", &root, b"g"), Err(Errno::EROFS));
    assert_eq!(f.set_attr(&SetAttr { size: Some(0), ..SetAttr::default() }), Err(Errno::EROFS));
    assert!(f.open(1).is_err());
    assert_eq!(read(&f), b"content");
}

#[test]
fn only_private_mappings_are_given() {
    let (_, _, root) = mounted(false);
    let f = root.lookup(b"f").unwrap();
    assert_eq!(f.open(0).unwrap().backing(0, 8192, false).unwrap(), [Backing::Copy { len: PAGE }]);
    assert_eq!(f.open(2).unwrap().backing(0, 4096, true), Err(Errno::ENODEV));
}

#[test]
fn listing_goes_on_after_a_cookie() {
    let (_, _, root) = mounted(false);
    let all = root.read_dir(0).unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(root.read_dir(all[0].next).unwrap(), all[1..]);
    assert_eq!(root.read_dir(all[1].next).unwrap(), []);
}

#[test]
fn a_single_file_can_be_a_mount() {
    let host: &'static Fake = Box::leak(Box::new(Fake::new()));
    let handle = host.add_file(b"text".to_vec());
    let file = host_file(host, handle, true, 3, 4).unwrap();
    assert_eq!((read(&file), file.stat().unwrap().uid), (b"text".to_vec(), 3));
    assert!(file.open(1).is_err());
    assert!(file.fs().read_only());
    assert_eq!(host_file(host, 999, true, 0, 0).err(), Some(Errno::EBADF));
}

#[test]
fn times_before_the_epoch_keep_their_order() {
    assert_eq!(timespec(-1), Timespec { sec: -1, nsec: 999_999_999 });
    assert_eq!(nanoseconds(timespec(-1_500_000_000)), Ok(-1_500_000_000));
    assert_eq!(nanoseconds(Timespec { sec: i64::MAX, nsec: 0 }), Err(Errno::EINVAL));
}
