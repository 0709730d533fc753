//! Tests of the overlay over a fake host.

use shallop_layer::index::{self, Index};
use shallop_layer::tar::{Entry, Kind, Writer};
use shallop_layer::upper::write_layer;
use shallop_platform::fake::Fake;

use super::*;
use crate::tunables::PAGE;
use crate::vfs::{Backing, NewAttr, NewNode, SetAttr, Timespec};
use crate::wait::Stop;

struct World {
    host: &'static Fake,
    grants: Vec<LayerGrant>,
    tars: Vec<Vec<u8>>,
    journal: Handle,
    data: Handle,
}

fn base() -> Vec<u8> {
    let mut tar = Vec::new();
    let mut writer = Writer::new(&mut tar);
    let mut add = |path: &str, kind: Kind, data: &[u8]| {
        let mut entry = Entry::new(path, 0o755, kind);
        entry.xattrs = if path == "bin/a" { vec![(b"user.x".to_vec(), b"1".to_vec())] } else { Vec::new() };
        writer.append(&entry, &mut &data[..]).unwrap();
    };
    add("bin/a", Kind::File { size: 5 }, b"lower");
    add("bin/b", Kind::HardLink(b"bin/a".to_vec()), b"");
    add("bin/big", Kind::File { size: 70_000 }, &[7; 70_000]);
    add("d/sub/x", Kind::File { size: 1 }, b"x");
    add("d/y", Kind::File { size: 1 }, b"y");
    add("e", Kind::Dir, b"");
    add("s", Kind::Symlink(b"bin/a".to_vec()), b"");
    writer.finish().unwrap();
    tar
}

fn world() -> World {
    let host: &'static Fake = Box::leak(Box::new(Fake::new()));
    let tars = vec![base()];
    let grant = |tar: &Vec<u8>| {
        let mut aligned = Vec::new();
        let index = index::build(&mut &tar[..], &mut aligned).unwrap();
        LayerGrant {
            tar: host.add_file(tar.clone()),
            index: host.add_file(index),
            aligned: Some(host.add_file(aligned)),
        }
    };
    let grants = tars.iter().map(grant).collect();
    let journal = host.add_file(shallop_layer::upper::empty_journal());
    World { host, grants, tars, journal, data: host.add_file(Vec::new()) }
}

impl World {
    fn mount(&self) -> (Rc<Overlay>, InodeRef) {
        let fs = Overlay::mount(self.host, &self.grants, self.journal, self.data, 1 << 40).unwrap();
        let root = FileSystem::root(&*fs);
        (fs, root)
    }

    /// What the layer written from the journal holds, laid over the base.
    fn layer(&self) -> Merged {
        let indexes: Vec<Index> = self.tars.iter().map(|tar| parse(tar)).collect();
        let mut merged = Merged::new(indexes).unwrap();
        for (n, tar) in self.tars.iter().enumerate() {
            merged.attach(n as u32, Box::new(tar.clone()));
        }
        let upper = Upper::replay(&self.host.content(self.journal)).unwrap();
        let mut tar = Vec::new();
        write_layer(&merged, &upper, &self.host.content(self.data), &mut tar).unwrap();
        let mut flat = Merged::new(vec![parse(&self.tars[0]), parse(&tar)]).unwrap();
        flat.attach(0, Box::new(self.tars[0].clone()));
        flat.attach(1, Box::new(tar));
        flat
    }
}

fn parse(tar: &[u8]) -> Index {
    Index::parse(index::build(&mut &tar[..], &mut Vec::new()).unwrap()).unwrap()
}

fn attr() -> NewAttr {
    NewAttr { mode: 0o644, uid: 1, gid: 2, now: Timespec { sec: 50, nsec: 5 } }
}

fn find(root: &InodeRef, path: &str) -> Result<InodeRef, Errno> {
    path.split('/').filter(|n| !n.is_empty()).try_fold(root.clone(), |at, name| at.lookup(name.as_bytes()))
}

fn create(root: &InodeRef, path: &str, node: NewNode) -> Result<InodeRef, Errno> {
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
    find(root, dir)?.create(name.as_bytes(), &node, &attr())
}

fn rename(root: &InodeRef, from: &str, to: &str) -> Result<(), Errno> {
    let split =
        |path: &str| path.rsplit_once('/').map_or((String::new(), path.to_string()), |(d, n)| (d.into(), n.into()));
    let ((d1, n1), (d2, n2)) = (split(from), split(to));
    find(root, &d1)?.rename(n1.as_bytes(), &find(root, &d2)?, n2.as_bytes())
}

fn write(inode: &InodeRef, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
    inode.open(2).and_then(|open| open.write_at(offset, bytes, false)).map_err(|stop| match stop {
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

/// Every path with its metadata and bytes.
fn listing(root: &InodeRef) -> Vec<String> {
    let mut lines = Vec::new();
    let mut stack = vec![(String::new(), root.clone())];
    while let Some((path, inode)) = stack.pop() {
        let stat = inode.stat().unwrap();
        let bytes = if stat.mode & 0o170000 == 0o100000 { read(&inode) } else { Vec::new() };
        let nlink = if stat.mode & 0o170000 == 0o040000 { 1 } else { stat.nlink };
        let xattrs = inode.list_xattr().unwrap();
        let size = if stat.mode & 0o170000 == 0o040000 { 0 } else { stat.size };
        lines.push(format!(
            "{path} {:o} {} {} {nlink} {:?} {size} {:?} {:?} {xattrs:?} {:?}",
            stat.mode,
            stat.uid,
            stat.gid,
            stat.rdev,
            stat.mtime,
            inode.read_link().ok(),
            bytes.iter().fold((bytes.len(), 0u64), |(n, sum), b| (n, sum.wrapping_mul(31) + u64::from(*b)))
        ));
        if let Ok(entries) = inode.read_dir(0) {
            for entry in entries.into_iter().rev() {
                let child = inode.lookup(&entry.name).unwrap();
                assert_eq!(child.stat().unwrap().ino, entry.ino);
                stack.push((format!("{path}/{}", String::from_utf8_lossy(&entry.name)), child));
            }
        }
    }
    lines.sort();
    lines
}

#[test]
fn writing_takes_a_file_over_and_keeps_its_number() {
    let w = world();
    let (fs, root) = w.mount();
    let a = find(&root, "bin/a").unwrap();
    let before = a.stat().unwrap();
    let open = a.open(2).unwrap();
    assert_eq!(read(&a), b"lower");
    open.write_at(5, b" and upper", false).unwrap();
    let after = a.stat().unwrap();
    assert_eq!((after.dev, after.ino, after.nlink), (before.dev, before.ino, 2));
    assert_eq!(read(&find(&root, "bin/b").unwrap()), b"lower and upper");
    assert_eq!(a.get_xattr(b"user.x"), Ok(b"1".to_vec()));
    FileSystem::sync(&*fs).unwrap();
    let (_, again) = w.mount();
    assert_eq!(listing(&again), listing(&root));
}

#[test]
fn nothing_is_written_where_nothing_changed() {
    let w = world();
    let (fs, root) = w.mount();
    listing(&root);
    FileSystem::sync(&*fs).unwrap();
    assert_eq!(w.host.content(w.journal), shallop_layer::upper::empty_journal());
    assert_eq!(w.host.content(w.data).len(), 0);
    find(&root, "bin/big").unwrap().set_attr(&SetAttr { mode: Some(0o600), ..SetAttr::default() }).unwrap();
    FileSystem::sync(&*fs).unwrap();
    assert_eq!(w.host.content(w.data).len(), 0, "new metadata copies no bytes");
}

#[test]
fn the_layer_is_what_was_seen() {
    let w = world();
    let (fs, root) = w.mount();
    create(&root, "new", NewNode::Directory).unwrap();
    rename(&root, "d", "new/moved").unwrap();
    create(&root, "d", NewNode::Directory).unwrap();
    let f = create(&root, "d/f", NewNode::Regular).unwrap();
    write(&f, 9000, b"tail").unwrap();
    find(&root, "d").unwrap().link(b"g", &f).unwrap();
    create(&root, "pipe", NewNode::Fifo).unwrap();
    create(&root, "null", NewNode::CharDevice(1, 3)).unwrap();
    create(&root, "sym", NewNode::Symlink(b"d/f".to_vec())).unwrap();
    f.set_xattr(b"user.k", b"v").unwrap();
    root.remove_dir(b"e").unwrap();
    find(&root, "bin").unwrap().unlink(b"b").unwrap();
    find(&root, "bin/big").unwrap().set_attr(&SetAttr { size: Some(100), uid: Some(9), ..SetAttr::default() }).unwrap();
    rename(&root, "new/moved/y", "new/moved/sub/x").unwrap();
    let seen = listing(&root);
    FileSystem::sync(&*fs).unwrap();
    let (_, again) = w.mount();
    assert_eq!(listing(&again), seen);

    let flat = w.layer();
    let paths = |path: &str| flat.find(path.as_bytes()).unwrap();
    for line in &seen {
        let path = line.split(' ').next().unwrap();
        assert!(paths(path).is_some(), "{path}");
    }
    for gone in ["e", "bin/b", "new/moved/y", "d/y", "d/sub"] {
        assert!(paths(gone).is_none(), "{gone}");
    }
    let mut bytes = [0; 8];
    assert_eq!(flat.read(&paths("new/moved/sub/x").unwrap(), 0, &mut bytes), Ok(1));
    assert_eq!(bytes[0], b'y');
    assert_eq!(flat.stat(&paths("bin/big").unwrap()).unwrap().size, 100);
    assert_eq!(paths("d/f").unwrap().ino(), paths("d/g").unwrap().ino());
}

#[test]
fn rename_replaces_only_what_it_may() {
    let w = world();
    let (_fs, root) = w.mount();
    assert_eq!(rename(&root, "bin/a", "d"), Err(Errno::EISDIR));
    assert_eq!(rename(&root, "d", "bin/a"), Err(Errno::ENOTDIR));
    assert_eq!(rename(&root, "e", "d"), Err(Errno::ENOTEMPTY));
    assert_eq!(rename(&root, "none", "d"), Err(Errno::ENOENT));
    assert_eq!(rename(&root, "d", "d/sub/d"), Err(Errno::EINVAL));
    assert_eq!(rename(&root, "bin/a", "bin/b"), Ok(()), "two names of one file");
    assert!(find(&root, "bin/a").is_ok());
    let held = find(&root, "e").unwrap();
    assert_eq!(rename(&root, "d", "e"), Ok(()));
    assert_eq!(held.stat().unwrap().nlink, 0);
    assert_eq!(held.create(b"late", &NewNode::Regular, &attr()).err(), Some(Errno::ENOENT));
    assert_eq!(read(&find(&root, "e/sub/x").unwrap()), b"x");
    assert_eq!(find(&root, "d").err(), Some(Errno::ENOENT));
}

#[test]
fn what_is_below_does_not_show_through_a_new_directory() {
    let w = world();
    let (_fs, root) = w.mount();
    let d = find(&root, "d").unwrap();
    assert_eq!(root.remove_dir(b"d"), Err(Errno::ENOTEMPTY));
    find(&root, "d/sub").unwrap().unlink(b"x").unwrap();
    d.remove_dir(b"sub").unwrap();
    d.unlink(b"y").unwrap();
    assert!(d.read_dir(0).unwrap().is_empty());
    root.remove_dir(b"d").unwrap();
    let fresh = create(&root, "d", NewNode::Directory).unwrap();
    assert_ne!(fresh.stat().unwrap().ino, d.stat().unwrap().ino);
    assert!(fresh.read_dir(0).unwrap().is_empty());
    assert_eq!(create(&root, "d", NewNode::Regular).err(), Some(Errno::EEXIST));
}

#[test]
fn open_files_outlive_their_names() {
    let w = world();
    let (fs, root) = w.mount();
    let bin = find(&root, "bin").unwrap();
    let open = find(&root, "bin/big").unwrap().open(2).unwrap();
    bin.unlink(b"big").unwrap();
    assert_eq!(bin.lookup(b"big").err(), Some(Errno::ENOENT));
    open.write_at(0, b"still", false).unwrap();
    let mut bytes = [0; 6];
    open.read_at(0, &mut bytes, false).unwrap();
    assert_eq!(&bytes, b"still\x07");
    let used = fs.upper.borrow().data_end();
    drop(open);
    FileSystem::sync(&*fs).unwrap();
    assert!(used > 0);
    assert_eq!(fs.upper.borrow().data_end(), 0, "its pages are free again");
}

#[test]
fn mappings_see_what_reads_see() {
    let w = world();
    let (_fs, root) = w.mount();
    let big = find(&root, "bin/big").unwrap();
    let open = big.open(2).unwrap();
    let aligned = w.grants[0].aligned.unwrap();
    let whole = 70_000u64.next_multiple_of(PAGE);
    let layers = [Backing::Layer { handle: aligned, offset: 0, len: whole }];
    assert_eq!(open.backing(0, 1 << 20, false).unwrap(), layers);
    // Who can only read shares what the layer has.
    assert_eq!(big.open(0).unwrap().backing(0, 1 << 20, true).unwrap(), layers);
    let small = find(&root, "bin/a").unwrap().open(0).unwrap();
    assert_eq!(small.backing(0, PAGE, false).unwrap(), [Backing::Copy { len: PAGE }]);
    let pieces = open.backing(0, 1 << 20, true).unwrap();
    let [Backing::Host { handle, offset, len }] = pieces[..] else { panic!("{pieces:?}") };
    assert_eq!((handle, len), (w.data, whole));
    assert!(w.host.content(handle).len() as u64 >= offset + len);
    w.host.file_write(handle, offset + 3, b"shared").unwrap();
    assert_eq!(read(&big)[2..10], *b"\x07shared\x07");
    // Cutting a mapped file keeps its pages, empty.
    big.set_attr(&SetAttr { size: Some(5), ..SetAttr::default() }).unwrap();
    assert_eq!(w.host.content(handle)[offset as usize + 4096], 0);
    big.set_attr(&SetAttr { size: Some(8192), ..SetAttr::default() }).unwrap();
    assert_eq!(read(&big), [b"\x07\x07\x07sh".as_slice(), &[0; 8187]].concat());
    let f = create(&root, "f", NewNode::Regular).unwrap();
    write(&f, 3 * PAGE, b"x").unwrap();
    let pieces = f.open(0).unwrap().backing(0, 1 << 20, false).unwrap();
    assert!(matches!(pieces[..], [Backing::Zero { len: 12288 }, Backing::Host { len: PAGE, .. }]), "{pieces:?}");
}

#[test]
fn cookies_stay_good_while_names_come_and_go() {
    let w = world();
    let (_fs, root) = w.mount();
    (0..600).for_each(|n| drop(create(&root, &format!("e/f{n:03}"), NewNode::Regular).unwrap()));
    let e = find(&root, "e").unwrap();
    let first = e.read_dir(0).unwrap();
    let mut at = first.last().unwrap().next;
    (0..50).for_each(|n| e.unlink(format!("f{n:03}").as_bytes()).unwrap());
    create(&root, "e/late", NewNode::Regular).unwrap();
    let mut rest = Vec::new();
    loop {
        let more = e.read_dir(at).unwrap();
        let Some(last) = more.last() else { break };
        at = last.next;
        rest.extend(more);
    }
    assert_eq!(rest.len(), 600 - first.len() + 1);
    assert_eq!(rest.last().unwrap().name, b"late");
}

#[test]
fn a_killed_worker_leaves_what_was_synced() {
    let w = world();
    let (_fs, root) = w.mount();
    let f = create(&root, "f", NewNode::Regular).unwrap();
    write(&f, 0, b"kept").unwrap();
    f.open(2).unwrap().sync().unwrap();
    write(&f, 0, b"over").unwrap();
    write(&f, 4, &[1; 5000]).unwrap();
    create(&root, "lost", NewNode::Regular).unwrap();
    // Mounted again without an orderly end, and with half a record behind the journal.
    w.host.file_write(w.journal, w.host.content(w.journal).len() as u64, &[9, 0, 0, 0, 1, 2]).unwrap();
    let (fs, again) = w.mount();
    let f = find(&again, "f").unwrap();
    assert_eq!(read(&f), b"over");
    assert_eq!(find(&again, "lost").err(), Some(Errno::ENOENT));
    f.set_attr(&SetAttr { size: Some(6000), ..SetAttr::default() }).unwrap();
    assert_eq!(read(&f), [b"over".as_slice(), &[0; 5996]].concat(), "unsynced bytes do not come back");
    FileSystem::sync(&*fs).unwrap();
}

#[test]
fn other_file_systems_files_are_refused() {
    let (w, v) = (world(), world());
    let (_f1, one) = w.mount();
    let (_f2, two) = v.mount();
    let f = create(&one, "f", NewNode::Regular).unwrap();
    assert_eq!(two.link(b"f", &f), Err(Errno::EXDEV));
    assert_eq!(one.rename(b"f", &two, b"f"), Err(Errno::EXDEV));
    assert_eq!(one.link(b"d2", &find(&one, "d").unwrap()), Err(Errno::EPERM));
    assert_eq!(f.set_xattr(b"odd.a", b""), Err(Errno::EOPNOTSUPP));
    assert_eq!(write(&f, u64::MAX - 1, b"abc"), Err(Errno::EFBIG));
}

#[test]
fn a_long_journal_is_compacted() {
    let w = world();
    let (fs, root) = w.mount();
    let f = create(&root, "f", NewNode::Regular).unwrap();
    for n in 0..70_000u32 {
        f.set_xattr(b"user.n", &[n as u8; 200]).unwrap();
    }
    write(&f, 0, b"bytes").unwrap();
    FileSystem::sync(&*fs).unwrap();
    let journal = w.host.content(w.journal);
    let used = journal.iter().filter(|b| **b != 0).count();
    assert!(used < 9 << 20, "{used}");
    assert!(journal.len() > 12 << 20, "it was longer once");
    let (_, again) = w.mount();
    assert_eq!(listing(&again), listing(&root));
}
