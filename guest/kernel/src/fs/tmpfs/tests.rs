//! Tests of tmpfs: what may be renamed over what, links, cookies, space, mapping.

use std::rc::Rc;

use shallop_linux_abi::Errno;
use shallop_platform::Platform;
use shallop_platform::fake::Fake;

use super::*;
use crate::vfs::{Backing, SetAttr};
use crate::wait::Stop;

fn attr() -> NewAttr {
    NewAttr { mode: 0o644, uid: 7, gid: 8, now: Timespec::default() }
}

fn mounted(limit: u64) -> (&'static Fake, Rc<Tmpfs>, InodeRef) {
    let host: &'static Fake = Box::leak(Box::new(Fake::new()));
    let fs = Tmpfs::new(host, limit);
    let root = FileSystem::root(&*fs);
    (host, fs, root)
}

fn file(dir: &InodeRef, name: &str) -> InodeRef {
    dir.create(name.as_bytes(), &NewNode::Regular, &attr()).unwrap()
}

fn dir(parent: &InodeRef, name: &str) -> InodeRef {
    parent.create(name.as_bytes(), &NewNode::Directory, &attr()).unwrap()
}

fn write(inode: &InodeRef, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
    inode.open(2).unwrap().write_at(offset, bytes, false).map_err(|stop| match stop {
        Stop::Errno(errno) => errno,
        other => panic!("{other:?}"),
    })
}

fn read(inode: &InodeRef) -> Vec<u8> {
    let mut bytes = vec![0xff; inode.stat().unwrap().size as usize + 10];
    let count = inode.open(0).unwrap().read_at(0, &mut bytes, false).unwrap();
    bytes.truncate(count);
    bytes
}

#[test]
fn rename_replaces_only_what_it_may() {
    let (_, _fs, root) = mounted(1 << 20);
    let (f, d, e) = (file(&root, "f"), dir(&root, "d"), dir(&root, "e"));
    file(&d, "x");
    assert_eq!(root.rename(b"f", &root, b"d"), Err(Errno::EISDIR));
    assert_eq!(root.rename(b"d", &root, b"f"), Err(Errno::ENOTDIR));
    assert_eq!(root.rename(b"e", &root, b"d"), Err(Errno::ENOTEMPTY));
    assert_eq!(root.rename(b"missing", &root, b"y"), Err(Errno::ENOENT));
    assert_eq!(root.rename(b"d", &root, b"e"), Ok(()));
    assert_eq!(e.stat().unwrap().nlink, 0);
    assert_eq!(e.create(b"late", &NewNode::Regular, &attr()).err(), Some(Errno::ENOENT));
    assert_eq!(root.stat().unwrap().nlink, 3);
    assert_eq!(root.rename(b"f", &d, b"x"), Ok(()));
    assert_eq!(d.lookup(b"x").unwrap().stat().unwrap().ino, f.stat().unwrap().ino);
}

#[test]
fn a_directory_does_not_go_into_itself() {
    let (_, _fs, root) = mounted(1 << 20);
    let a = dir(&root, "a");
    let b = dir(&a, "b");
    assert_eq!(root.rename(b"a", &b, b"c"), Err(Errno::EINVAL));
    assert_eq!(root.rename(b"a", &a, b"c"), Err(Errno::EINVAL));
    assert_eq!(a.rename(b"b", &root, b"b"), Ok(()));
    assert_eq!(root.rename(b"a", &b, b"a"), Ok(()));
    assert_eq!((root.stat().unwrap().nlink, b.stat().unwrap().nlink), (3, 3));
}

#[test]
fn hard_links_share_a_file_and_renaming_one_over_the_other_does_nothing() {
    let (_, _fs, root) = mounted(1 << 20);
    let f = file(&root, "f");
    root.link(b"g", &f).unwrap();
    assert_eq!(f.stat().unwrap().nlink, 2);
    root.rename(b"f", &root, b"g").unwrap();
    assert!(root.lookup(b"f").is_ok());
    root.unlink(b"f").unwrap();
    write(&root.lookup(b"g").unwrap(), 0, b"hello").unwrap();
    assert_eq!(read(&f), b"hello");
    assert_eq!(root.link(b"d", &dir(&root, "dir")), Err(Errno::EPERM));
    let (_, _other, elsewhere) = mounted(1 << 20);
    assert_eq!(elsewhere.link(b"f", &f), Err(Errno::EXDEV));
}

#[test]
fn cookies_stay_good_while_names_come_and_go() {
    let (_, _fs, root) = mounted(1 << 20);
    (0..600).for_each(|n| drop(file(&root, &format!("f{n:03}"))));
    let first = root.read_dir(0).unwrap();
    let cookie = first.last().unwrap().next;
    let seen = first.len();
    (0..50).for_each(|n| root.unlink(format!("f{n:03}").as_bytes()).unwrap());
    file(&root, "late");
    let mut rest = Vec::new();
    let mut at = cookie;
    loop {
        let more = root.read_dir(at).unwrap();
        let Some(last) = more.last() else { break };
        at = last.next;
        rest.extend(more);
    }
    assert_eq!(rest.len(), 600 - seen + 1);
    assert_eq!(rest[0].name, format!("f{seen:03}").into_bytes());
    assert_eq!(rest.last().unwrap().name, b"late");
}

#[test]
fn space_is_counted_by_the_page_and_given_back() {
    let (_, fs, root) = mounted(4 * PAGE);
    let f = file(&root, "f");
    assert_eq!(write(&f, 0, &[1; 5 * PAGE as usize]), Err(Errno::ENOSPC));
    write(&f, 100 * PAGE, &[1; PAGE as usize]).unwrap();
    assert_eq!(f.stat().unwrap().blocks, 8);
    write(&f, 0, b"x").unwrap();
    assert_eq!(FileSystem::statfs(&*fs).3, 2);
    f.set_attr(&SetAttr { size: Some(PAGE), ..SetAttr::default() }).unwrap();
    assert_eq!(FileSystem::statfs(&*fs).3, 3);
    root.unlink(b"f").unwrap();
    drop(f);
    assert_eq!(FileSystem::statfs(&*fs).3, 4);
    let g = file(&root, "g");
    assert_eq!(write(&g, u64::MAX - 1, b"abc"), Err(Errno::EFBIG));
    assert_eq!(g.set_attr(&SetAttr { size: Some(u64::MAX), ..SetAttr::default() }), Err(Errno::EFBIG));
}

#[test]
fn cut_off_bytes_do_not_come_back() {
    let (_, _fs, root) = mounted(1 << 20);
    for len in [100, 6000] {
        let f = file(&root, &format!("f{len}"));
        write(&f, 0, &vec![7; len]).unwrap();
        f.set_attr(&SetAttr { size: Some(10), ..SetAttr::default() }).unwrap();
        f.set_attr(&SetAttr { size: Some(20), ..SetAttr::default() }).unwrap();
        assert_eq!(read(&f), [&[7; 10][..], &[0; 10]].concat());
    }
}

#[test]
fn a_mapping_and_reads_see_the_same_bytes() {
    let (host, _fs, root) = mounted(1 << 20);
    let f = file(&root, "f");
    write(&f, 0, b"inline").unwrap();
    let open = f.open(2).unwrap();
    let pieces = open.backing(0, 4 * PAGE, true).unwrap();
    let [Backing::Host { handle, offset: 0, len: PAGE }] = pieces[..] else { panic!("{pieces:?}") };
    host.file_write(handle, 2, b"-mapped-").unwrap();
    assert_eq!(read(&f), b"in-map");
    write(&f, 5000, b"more").unwrap();
    assert_eq!(host.content(handle)[5000..5004], *b"more");
    assert_eq!(open.backing(2 * PAGE, PAGE, false).unwrap(), vec![]);
    // What a mapping left behind the end is gone once the file grows.
    f.set_attr(&SetAttr { size: Some(5002), ..SetAttr::default() }).unwrap();
    host.file_write(handle, 5002, b"stray").unwrap();
    f.set_attr(&SetAttr { size: Some(6000), ..SetAttr::default() }).unwrap();
    assert_eq!(read(&f)[5000..5008], *b"mo\0\0\0\0\0\0");
}

#[test]
fn an_unnamed_file_is_labelled_and_writable() {
    let host: &'static Fake = Box::leak(Box::new(Fake::new()));
    let place = memfd(host, b"buf", (1, 2), 0o777, 1);
    assert_eq!(place.path(), b"/memfd:buf (deleted)");
    write(&place.inode, 0, b"abc").unwrap();
    assert_eq!((read(&place.inode), place.inode.stat().unwrap().nlink), (b"abc".to_vec(), 0));
}

#[test]
fn attributes_have_known_prefixes_and_a_limit() {
    let (_, _fs, root) = mounted(1 << 20);
    root.set_xattr(b"user.a", b"1").unwrap();
    assert_eq!(root.get_xattr(b"user.a"), Ok(b"1".to_vec()));
    assert_eq!(root.set_xattr(b"odd.a", b"1"), Err(Errno::EOPNOTSUPP));
    assert_eq!(root.set_xattr(b"user.b", &vec![0; 200 << 10]), Err(Errno::ENOSPC));
    root.remove_xattr(b"user.a").unwrap();
    assert_eq!(root.get_xattr(b"user.a"), Err(Errno::ENODATA));
}
