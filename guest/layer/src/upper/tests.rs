//! Tests of the upper layer: replay, contents, and the layer that is written from it.

use std::cell::RefCell;

use super::*;
use crate::index::{Index, build};
use crate::merge::Merged;
use crate::tar::{Entry, Kind, Writer};
use crate::{PAGE, WriteAt};

const REG: u32 = 0o100644;
const DIR: u32 = 0o040755;

fn attr(mode: u32) -> Attr {
    Attr { mode, nlink: 1, mtime: Time { sec: 100, nsec: 7 }, ..Attr::default() }
}

fn base_tar() -> Vec<u8> {
    let mut tar = Vec::new();
    let mut writer = Writer::new(&mut tar);
    let mut add = |path: &str, kind: Kind, data: &[u8]| {
        writer.append(&Entry::new(path, 0o755, kind), &mut &data[..]).expect("appends");
    };
    add("bin/a", Kind::File { size: 3 }, b"aaa");
    add("bin/b", Kind::HardLink(b"bin/a".to_vec()), b"");
    add("dir/sub/x", Kind::File { size: 1 }, b"x");
    add("dir/y", Kind::File { size: 1 }, b"y");
    add("gone", Kind::File { size: 0 }, b"");
    add("link", Kind::Symlink(b"bin/a".to_vec()), b"");
    writer.finish().expect("finishes");
    tar
}

fn merged_of(tars: &[Vec<u8>]) -> Merged {
    let index = |tar: &Vec<u8>| Index::parse(build(&mut &tar[..], &mut Vec::new()).expect("builds")).expect("parses");
    let mut merged = Merged::new(tars.iter().map(index).collect()).expect("few layers");
    for (n, tar) in tars.iter().enumerate() {
        merged.attach(u32::try_from(n).expect("few"), Box::new(tar.clone()));
    }
    merged
}

/// A journal and a data file in memory and the upper layer in front of them.
struct Disk {
    journal: RefCell<Vec<u8>>,
    data: RefCell<Vec<u8>>,
}

impl Disk {
    fn new() -> (Disk, Upper) {
        let disk = Disk { journal: RefCell::new(empty_journal()), data: RefCell::new(Vec::new()) };
        let upper = Upper::replay(&disk.journal).expect("new");
        (disk, upper)
    }

    fn flush(&self, upper: &mut Upper, clean: bool) {
        let (at, bytes) = upper.take_journal(clean);
        self.journal.write_at(at, &bytes).expect("writes");
        for run in upper.take_freed() {
            let mut data = self.data.borrow_mut();
            let end = data.len();
            let cut = |page: u64| usize::try_from(page * PAGE).expect("small").min(end);
            data[cut(run.start)..cut(run.start + run.len)].fill(0);
            drop(data);
            upper.give_back(run);
        }
    }
}

fn make(upper: &mut Upper, dir: u64, name: &str, mode: u32, body: NewBody) -> u64 {
    let ino = upper.new_ino().expect("room");
    let node = Op::Node { ino, attr: attr(mode), body };
    upper.record(&[node, Op::Link { dir, name: name.into(), ino }]).expect("sound");
    ino
}

/// Takes a lower file over, as the kernel does before it changes it.
fn copy_up(merged: &Merged, upper: &mut Upper, path: &str) -> u64 {
    let tree = Tree::new(merged, upper);
    let file = tree.find(path.as_bytes()).expect("sound").expect("there");
    let lower = file.lower.clone().expect("lower");
    let attr = tree.attr(&file).expect("attr");
    let body = match attr.mode & 0o170000 {
        0o040000 => NewBody::Directory(lower.places().collect()),
        _ => NewBody::Regular(Some(lower.top)),
    };
    upper.record(&[Op::Node { ino: file.ino, attr, body }]).expect("sound");
    file.ino
}

fn contents(merged: &Merged, upper: &Upper, disk: &Disk, path: &str) -> Option<Vec<u8>> {
    let tree = Tree::new(merged, upper);
    let file = tree.find(path.as_bytes()).expect("sound")?;
    let size = tree.attr(&file).expect("attr").size;
    let mut buf = vec![0xee; usize::try_from(size).expect("small") + 9];
    let n = tree.read(&file, &disk.data, 0, &mut buf).expect("reads");
    buf.truncate(n);
    Some(buf)
}

/// Everything of a tree that a layer can hold, by path.
fn listing(merged: &Merged, upper: &Upper, disk: &Disk) -> Vec<String> {
    let tree = Tree::new(merged, upper);
    let mut lines = Vec::new();
    let mut stack = vec![(String::from("/"), tree.root())];
    let mut groups: HashMap<u64, String> = HashMap::new();
    while let Some((path, file)) = stack.pop() {
        let a = tree.attr(&file).expect("attr");
        let first = groups.entry(file.ino).or_insert_with(|| path.clone()).clone();
        let bytes = if a.mode & 0o170000 == 0o100000 { contents(merged, upper, disk, &path) } else { None };
        let (link, xattrs) = (tree.link(&file).expect("link"), tree.xattrs(&file).expect("xattrs"));
        lines.push(format!(
            "{path} {:o} {} {} {:?} {:?} {link:?} {xattrs:?} {bytes:?} {first}",
            a.mode, a.uid, a.gid, a.rdev, a.mtime
        ));
        for (name, child) in tree.children(&file).expect("children").into_iter().rev() {
            stack.push((format!("{path}{}/", String::from_utf8_lossy(&name)), child));
        }
    }
    lines
}

#[test]
fn contents_grow_shrink_and_have_holes() {
    let merged = merged_of(&[]);
    let (disk, mut upper) = Disk::new();
    let root = copy_up(&merged, &mut upper, "");
    let f = make(&mut upper, root, "f", REG, NewBody::Regular(None));
    let mut want = Vec::new();
    let mut seed = 12345u64;
    for step in 0..300 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let at = (seed >> 33) % 60_000;
        if step % 7 == 3 {
            upper.truncate(f, at, false, &disk.data).expect("truncates");
            want.resize(usize::try_from(at).expect("small"), 0);
        } else {
            let piece = vec![
                u8::try_from(step % 251 + 1).expect("a byte");
                usize::try_from((seed >> 20) % 9000).expect("small")
            ];
            upper.write(f, at, &piece, &disk.data).expect("writes");
            if !piece.is_empty() {
                let at = usize::try_from(at).expect("small");
                want.resize(want.len().max(at + piece.len()), 0);
                want[at..at + piece.len()].copy_from_slice(&piece);
            } else {
                want.resize(want.len().max(usize::try_from(at).expect("small")), 0);
            }
        }
        if step % 10 == 0 {
            disk.flush(&mut upper, false);
        }
        assert_eq!(contents(&merged, &upper, &disk, "f").as_ref(), Some(&want), "step {step}");
    }
    disk.flush(&mut upper, true);
    let again = Upper::replay(&disk.journal).expect("replays");
    assert!(again.clean());
    assert_eq!(contents(&merged, &again, &disk, "f"), Some(want));
}

#[test]
fn appending_keeps_extents_long() {
    let merged = merged_of(&[]);
    let (disk, mut upper) = Disk::new();
    let root = copy_up(&merged, &mut upper, "");
    let files = ["a", "b"].map(|name| make(&mut upper, root, name, REG, NewBody::Regular(None)));
    for n in 0..2000u64 {
        for ino in files {
            upper.write(ino, n * 1000, &[1; 1000], &disk.data).expect("writes");
        }
    }
    for ino in files {
        let Some(Body::Regular(Content::Own(extents))) = upper.inode(ino).map(|i| &i.body) else { panic!("no file") };
        assert!(extents.iter().count() <= 12, "{}", extents.iter().count());
    }
    assert!(upper.pending_bytes() < 4096);
}

#[test]
fn a_torn_tail_is_ignored_at_every_byte() {
    let merged = merged_of(&[base_tar()]);
    let (disk, mut upper) = Disk::new();
    let root = copy_up(&merged, &mut upper, "");
    let mut states = vec![(journal::HEADER_BYTES, listing(&merged, &upper, &disk))];
    disk.flush(&mut upper, false);
    states.push((upper.journal_end(), listing(&merged, &upper, &disk)));
    let f = make(&mut upper, root, "new", REG, NewBody::Regular(None));
    upper.write(f, 0, b"hello", &disk.data).expect("writes");
    let ops = [
        Op::Unlink { dir: root, name: b"gone".to_vec(), whiteout: true },
        Op::Xattr { ino: f, name: b"user.n".to_vec(), value: Some(b"v".to_vec()) },
    ];
    upper.record(&ops).expect("sound");
    disk.flush(&mut upper, true);
    let whole = disk.journal.borrow().clone();
    let full = listing(&merged, &upper, &disk);
    for len in 0..=whole.len() {
        let cut = RefCell::new(whole[..len].to_vec());
        let again = Upper::replay(&cut).unwrap_or_else(|e| panic!("cut at {len}: {e}"));
        assert!(again.journal_end() <= len as u64);
        let shown = listing(&merged, &again, &disk);
        if len == whole.len() {
            assert_eq!(shown, full);
        }
        // A cut is at a record's border or the half record does not count; never half a record's operations.
        let gone = !shown.iter().any(|line| line.starts_with("/gone/"));
        assert_eq!(gone, shown.iter().any(|line| line.contains("user.n") || line.contains("[117, 115, 101, 114")));
    }
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 0x55;
        let _ = Upper::replay(&bad);
    }
}

#[test]
fn freed_pages_are_not_reused_before_the_journal_knows() {
    let merged = merged_of(&[]);
    let (disk, mut upper) = Disk::new();
    let root = copy_up(&merged, &mut upper, "");
    let a = make(&mut upper, root, "a", REG, NewBody::Regular(None));
    upper.write(a, 0, &[1; 8192], &disk.data).expect("writes");
    disk.flush(&mut upper, false);
    upper
        .record(&[Op::Unlink { dir: root, name: b"a".to_vec(), whiteout: false }, Op::Drop { ino: a }])
        .expect("sound");
    let b = make(&mut upper, root, "b", REG, NewBody::Regular(None));
    upper.write(b, 0, &[2; 8192], &disk.data).expect("writes");
    // Killed here: the journal still shows `a`, and its bytes must be whole.
    let again = Upper::replay(&disk.journal).expect("replays");
    assert_eq!(contents(&merged, &again, &disk, "a"), Some(vec![1; 8192]));
    disk.flush(&mut upper, false);
    let c = make(&mut upper, root, "c", REG, NewBody::Regular(None));
    upper.write(c, 0, &[3; 100], &disk.data).expect("writes");
    upper.truncate(c, 5000, false, &disk.data).expect("grows");
    assert_eq!(upper.data_end(), 4, "the pages of `a` are used again");
    assert_eq!(contents(&merged, &upper, &disk, "c"), Some([vec![3; 100], vec![0; 4900]].concat()));
}

#[test]
fn nameless_inodes_are_dropped_at_replay() {
    let merged = merged_of(&[]);
    let (disk, mut upper) = Disk::new();
    let root = copy_up(&merged, &mut upper, "");
    let a = make(&mut upper, root, "a", REG, NewBody::Regular(None));
    upper.write(a, 0, &[1; 8192], &disk.data).expect("writes");
    upper.record(&[Op::Unlink { dir: root, name: b"a".to_vec(), whiteout: false }]).expect("sound");
    upper.attr_mut(a).expect("there").nlink = 0;
    disk.flush(&mut upper, false);
    let mut again = Upper::replay(&disk.journal).expect("replays");
    assert!(again.inode(a).is_none());
    disk.flush(&mut again, false);
    let b = make(&mut again, root, "b", REG, NewBody::Regular(None));
    again.write(b, 0, &[2; 8192], &disk.data).expect("writes");
    disk.flush(&mut again, false);
    Upper::replay(&disk.journal).expect("no page is shared");
}

/// Writes the layer, puts it over the base, and compares the two views.
fn check_layer(merged: &Merged, upper: &Upper, disk: &Disk) -> Vec<String> {
    let mut tar = Vec::new();
    write_layer(merged, upper, &disk.data, &mut tar).expect("writes the layer");
    let flat = merged_of(&[base_tar(), tar.clone()]);
    let (empty_disk, empty) = Disk::new();
    assert_eq!(listing(&flat, &empty, &empty_disk), listing(merged, upper, disk));
    let mut paths = Vec::new();
    let mut input = &tar[..];
    let mut reader = crate::tar::Reader::new(&mut input);
    while let Some(record) = reader.next_record().expect("sound tar") {
        paths.push(String::from_utf8(record.entry.path).expect("text"));
    }
    paths
}

#[test]
fn an_untouched_upper_layer_is_an_empty_tar() {
    let merged = merged_of(&[base_tar()]);
    let (disk, mut upper) = Disk::new();
    assert!(check_layer(&merged, &upper, &disk).is_empty());
    copy_up(&merged, &mut upper, "dir");
    let a = copy_up(&merged, &mut upper, "bin/a");
    upper.record(&[Op::Own { ino: a }]).expect("sound");
    upper.write(a, 0, b"aaa", &disk.data).expect("writes");
    assert!(check_layer(&merged, &upper, &disk).is_empty(), "the same again is no change");
}

#[test]
fn the_layer_shows_what_the_overlay_showed() {
    let merged = merged_of(&[base_tar()]);
    let (disk, mut upper) = Disk::new();
    let root = copy_up(&merged, &mut upper, "");
    let bin = copy_up(&merged, &mut upper, "bin");
    // chmod of a lower file with two names.
    let a = copy_up(&merged, &mut upper, "bin/a");
    upper.attr_mut(a).expect("there").mode = 0o104711;
    // rename of a lower directory, which leaves a new one in its place.
    let dir = copy_up(&merged, &mut upper, "dir");
    upper
        .record(&[
            Op::Unlink { dir: root, name: b"dir".to_vec(), whiteout: true },
            Op::Link { dir: bin, name: b"moved".to_vec(), ino: dir },
            Op::Unlink { dir: root, name: b"gone".to_vec(), whiteout: true },
        ])
        .expect("sound");
    let fresh = make(&mut upper, root, "dir", DIR, NewBody::Directory(Vec::new()));
    let f = make(&mut upper, fresh, "f", REG, NewBody::Regular(None));
    upper.write(f, 5000, b"end", &disk.data).expect("writes");
    upper.record(&[Op::Link { dir: root, name: b"f2".to_vec(), ino: f }]).expect("sound");
    upper.attr_mut(f).expect("there").nlink = 2;
    upper.record(&[Op::Xattr { ino: f, name: b"user.k".to_vec(), value: Some(b"v".to_vec()) }]).expect("sound");
    make(&mut upper, root, "pipe", 0o010600, NewBody::Special);
    make(&mut upper, root, "sym", 0o120777, NewBody::Symlink(b"f2".to_vec()));
    let paths = check_layer(&merged, &upper, &disk);
    let want = [
        "bin/a",
        "bin/b",
        "bin/moved",
        "bin/moved/sub",
        "bin/moved/sub/x",
        "bin/moved/y",
        "dir",
        "dir/.wh..wh..opq",
        "dir/f",
        "f2",
        ".wh.gone",
        "pipe",
        "sym",
    ];
    assert_eq!(paths, want);
}

#[test]
fn circles_and_reserved_names_are_errors() {
    let merged = merged_of(&[]);
    let (disk, mut upper) = Disk::new();
    let root = copy_up(&merged, &mut upper, "");
    let d = make(&mut upper, root, "d", DIR, NewBody::Directory(Vec::new()));
    upper.record(&[Op::Link { dir: d, name: b"again".to_vec(), ino: d }]).expect("recorded");
    let mut out = Vec::new();
    assert!(matches!(write_layer(&merged, &upper, &disk.data, &mut out), Err(LayerError::Corrupt { .. })));
    let (disk, mut upper) = Disk::new();
    let root = copy_up(&merged, &mut upper, "");
    make(&mut upper, root, ".wh.x", REG, NewBody::Regular(None));
    assert!(matches!(write_layer(&merged, &upper, &disk.data, &mut out), Err(LayerError::Unsupported { .. })));
}

#[test]
fn a_compacted_journal_says_the_same() {
    let merged = merged_of(&[base_tar()]);
    let (disk, mut upper) = Disk::new();
    let root = copy_up(&merged, &mut upper, "");
    copy_up(&merged, &mut upper, "bin/a");
    let dir = copy_up(&merged, &mut upper, "dir");
    let f = make(&mut upper, dir, "f", REG, NewBody::Regular(None));
    upper.write(f, 20_000, b"end", &disk.data).expect("writes");
    make(&mut upper, root, "sym", 0o120777, NewBody::Symlink(b"f2".to_vec()));
    let ops = [
        Op::Unlink { dir: root, name: b"gone".to_vec(), whiteout: true },
        Op::Xattr { ino: f, name: b"user.n".to_vec(), value: Some(b"v".to_vec()) },
    ];
    upper.record(&ops).expect("sound");
    disk.flush(&mut upper, true);
    assert_eq!(upper.compaction(), None, "too short to be worth it");
    let seen = listing(&merged, &upper, &disk);
    let before = disk.journal.borrow().clone();
    let plan = upper.plan();
    disk.journal.write_at(plan.at, &plan.bytes).expect("writes");
    let whole = disk.journal.borrow().clone();
    for len in before.len()..=whole.len() {
        let again = Upper::replay(&whole[..len].to_vec()).expect("the old copy still counts");
        assert_eq!(again.journal_end(), before.len() as u64);
        assert_eq!(listing(&merged, &again, &disk), seen);
    }
    disk.journal.write_at(Compaction::HEADER_AT, &plan.header).expect("writes");
    let garbage =
        usize::try_from(Compaction::GARBAGE_FROM).expect("small")..usize::try_from(plan.garbage_to).expect("small");
    disk.journal.borrow_mut()[garbage].fill(0);
    upper.compacted(&plan);
    upper.attr_mut(f).expect("there").uid = 77;
    disk.flush(&mut upper, true);
    let again = Upper::replay(&disk.journal).expect("replays");
    assert!(again.clean());
    assert_eq!(listing(&merged, &again, &disk), listing(&merged, &upper, &disk));
    assert_ne!(listing(&merged, &again, &disk), seen);
}
