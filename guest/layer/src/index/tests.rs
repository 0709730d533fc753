//! Tests of building and reading indexes, with tars made by our writer and by hand.

use super::*;
use crate::tar::{Entry, Kind, Writer};

fn tar_of(entries: &[(Entry, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    for (entry, data) in entries {
        writer.append(entry, &mut &data[..]).expect("appends");
    }
    writer.finish().expect("finishes");
    out
}

fn build_bytes(tar: &[u8]) -> Result<(Index, Vec<u8>), LayerError> {
    let mut aligned = Vec::new();
    let bytes = build(&mut &tar[..], &mut aligned)?;
    Ok((Index::parse(bytes)?, aligned))
}

fn index_of(entries: &[(Entry, &[u8])]) -> Result<Index, LayerError> {
    build_bytes(&tar_of(entries)).map(|(index, _)| index)
}

fn find(index: &Index, path: &str) -> Option<NodeId> {
    path.split('/').filter(|p| !p.is_empty()).try_fold(0, |dir, name| {
        match index.lookup(dir, name.as_bytes()).expect("sound index") {
            Some(Found::Node(n)) => Some(n),
            _ => None,
        }
    })
}

fn file(path: &str, size: u64) -> Entry {
    Entry::new(path, 0o644, Kind::File { size })
}

#[test]
fn finds_what_was_written() {
    let long = format!("deep/{}/{}", "a".repeat(120), "b".repeat(200));
    let mut big = file("usr/bin/prog", 4);
    big.uid = 3_000_000;
    big.mtime = Time { sec: -5, nsec: 250_000_000 };
    big.mode = 0o4755;
    big.xattrs = vec![(b"user.note".to_vec(), b"a=b\nc\0d".to_vec()), (b"security.capability".to_vec(), vec![0, 1, 2])];
    let index = index_of(&[
        (big, b"\x7fELF"),
        (file(&long, 3), b"abc"),
        (Entry::new("dev/null", 0o666, Kind::Char(1, 3)), b""),
        (Entry::new("lib", 0o777, Kind::Symlink(b"usr/lib".to_vec())), b""),
        (Entry::new("run/pipe", 0o600, Kind::Fifo), b""),
        (Entry::new("usr/bin/again", 0o755, Kind::HardLink(b"usr/bin/prog".to_vec())), b""),
    ])
    .expect("builds");
    let prog = find(&index, "usr/bin/prog").expect("there");
    let meta = index.meta(prog).expect("meta");
    assert_eq!((meta.mode, meta.uid, meta.nlink, meta.size), (0o104755, 3_000_000, 2, 4));
    assert_eq!(meta.mtime, Time { sec: -5, nsec: 250_000_000 });
    assert_eq!(index.xattrs(prog).expect("xattrs").len(), 2);
    assert_eq!(find(&index, "usr/bin/again"), Some(prog));
    assert_eq!(index.meta(find(&index, &long).expect("long name")).expect("meta").size, 3);
    assert_eq!(index.meta(find(&index, "dev/null").expect("device")).expect("meta").rdev, (1, 3));
    assert_eq!(index.link(find(&index, "lib").expect("link")).expect("text"), b"usr/lib");
    let usr = index.meta(find(&index, "usr").expect("dir")).expect("meta");
    assert!(usr.implied && usr.mode == 0o040755);
    assert_eq!(find(&index, "usr/bin/none"), None);
}

#[test]
fn data_is_where_the_index_says() {
    let big = vec![7u8; 70_000];
    let elf = [b"\x7fELF".as_slice(), &[9; 100]].concat();
    let tar = tar_of(&[
        (file("small", 5), b"hello"),
        (file("elf", elf.len() as u64), &elf),
        (file("big", big.len() as u64), &big),
        (file("empty", 0), b""),
    ]);
    let (index, aligned) = build_bytes(&tar).expect("builds");
    assert_eq!(index.header().tar_size, tar.len() as u64);
    assert_eq!(index.header().aligned_size, aligned.len() as u64);
    assert_eq!(aligned.len() % 4096, 0);
    for (name, want, has_copy) in [("small", &b"hello"[..], false), ("elf", &elf, true), ("big", &big, true)] {
        let data = index.data(find(&index, name).expect(name)).expect(name);
        let at = usize::try_from(data.tar_offset).expect("small");
        assert_eq!(&tar[at..at + want.len()], want, "{name}");
        assert_eq!(data.aligned.is_some(), has_copy, "{name}");
        if let Some(at) = data.aligned {
            assert_eq!(at % 4096, 0);
            let at = usize::try_from(at).expect("small");
            assert_eq!(&aligned[at..at + want.len()], want, "{name}");
        }
    }
}

#[test]
fn later_duplicates_win_and_directories_keep_their_children() {
    let index = index_of(&[
        (file("a/f", 1), b"1"),
        (file("a/f", 2), b"22"),
        (Entry::new("./a/", 0o700, Kind::Dir), b""),
        (Entry::new("early", 0o644, Kind::HardLink(b"/late".to_vec())), b""),
        (file("late", 4), b"late"),
        (file("x/y", 1), b"1"),
        (Entry::new("x", 0o777, Kind::Symlink(b"a".to_vec())), b""),
    ])
    .expect("builds");
    assert_eq!(index.meta(find(&index, "a/f").expect("f")).expect("meta").size, 2);
    assert_eq!(index.meta(find(&index, "a").expect("a")).expect("meta").mode, 0o040700);
    assert_eq!(find(&index, "early"), find(&index, "late"));
    assert_eq!(find(&index, "x/y"), None);
    assert_eq!(index.link(find(&index, "x").expect("x")).expect("text"), b"a");
}

#[test]
fn whiteouts_hide_only_what_is_below() {
    let index = index_of(&[
        (file("d/.wh.gone", 0), b""),
        (file("d/.wh..wh..opq", 0), b""),
        (file("d/kept", 0), b""),
        (file("d/.wh.kept", 0), b""),
        (file(".wh..wh.plnk", 0), b""),
    ])
    .expect("builds");
    let d = find(&index, "d").expect("d");
    assert!(index.meta(d).expect("meta").opaque);
    assert_eq!(index.lookup(d, b"gone"), Ok(Some(Found::Whiteout)));
    assert!(find(&index, "d/kept").is_some());
    assert_eq!(index.children(0).expect("root").count(), 1);
}

#[test]
fn hostile_members_are_refused() {
    let link = |path: &str, target: &str| Entry::new(path, 0o777, Kind::Symlink(target.into()));
    let cases: Vec<Vec<(Entry, &[u8])>> = vec![
        vec![(file("../etc/passwd", 0), b"")],
        vec![(file("a/../../b", 0), b"")],
        vec![(link("l", "/etc"), b""), (file("l/passwd", 0), b"")],
        vec![(file("f", 0), b""), (file("f/g", 0), b"")],
        vec![(Entry::new("d", 0o755, Kind::Dir), b""), (Entry::new("h", 0o644, Kind::HardLink(b"d".to_vec())), b"")],
        vec![(Entry::new("h", 0o644, Kind::HardLink(b"../x".to_vec())), b"")],
        vec![(file(".wh.", 0), b"")],
        vec![(file(".wh...", 0), b"")],
        vec![(file(".wh.d/x", 0), b"")],
        vec![(Entry::new("/", 0o600, Kind::Fifo), b"")],
    ];
    for case in cases {
        let got = index_of(&case);
        assert!(matches!(got, Err(LayerError::Hostile { .. })), "{:?}: {got:?}", case[0].0);
    }
    let absolute = index_of(&[(file("///etc//./x", 0), b"")]).expect("leading slashes are dropped");
    assert!(find(&absolute, "etc/x").is_some());
    assert!(matches!(index_of(&[(file(&"n".repeat(256), 0), b"")]), Err(LayerError::Limit { .. })));
    assert!(matches!(index_of(&[(file(&"d/".repeat(600), 0), b"")]), Err(LayerError::Limit { .. })));
}

#[test]
fn hard_links_may_lead_below_the_layer() {
    let index = index_of(&[(Entry::new("b", 0o644, Kind::HardLink(b"./bin/a".to_vec())), b"")]).expect("builds");
    let b = find(&index, "b").expect("b");
    assert!(index.meta(b).expect("meta").external);
    assert_eq!(index.link(b).expect("path"), b"bin/a");
}

#[test]
fn every_truncation_is_noticed() {
    let tar = tar_of(&[(file(&"p".repeat(150), 700), &[1; 700]), (file("b", 3), b"abc")]);
    let whole = tar.len() - 1024;
    for len in 0..whole {
        match build_bytes(&tar[..len]) {
            Ok(_) => assert!(len == 0 || len == whole - 1024, "cut at {len} went unnoticed"),
            Err(LayerError::Corrupt { offset, .. }) => assert!(offset <= len as u64),
            Err(e) => panic!("cut at {len}: {e}"),
        }
    }
    build_bytes(&tar[..whole]).expect("the end mark may be missing");
}

#[test]
fn flipped_bytes_never_panic() {
    let mut entry = file(&"p".repeat(150), 10);
    entry.xattrs = vec![(b"user.a".to_vec(), b"b".to_vec())];
    let tar = tar_of(&[(entry, &[1; 10]), (Entry::new("d/l", 0o777, Kind::Symlink(vec![b't'; 130])), b"")]);
    for at in 0..tar.len() {
        for bit in [0x01, 0x80] {
            let mut bad = tar.clone();
            bad[at] ^= bit;
            let _ = build_bytes(&bad);
        }
    }
    let bytes = build(&mut &tar[..], &mut Vec::new()).expect("builds");
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0xff;
        if let Ok(index) = Index::parse(bad) {
            for node in 0..index.nodes().min(16) {
                let _ = (index.meta(node), index.link(node), index.xattrs(node), index.data(node));
                let _ = index.lookup(node, b"d");
                let _ = index.children(node).map(|c| c.take(100).count());
            }
        }
    }
    for len in 0..bytes.len() {
        assert!(Index::parse(bytes[..len].to_vec()).is_err());
    }
}

#[test]
fn an_empty_archive_is_an_empty_root() {
    for tar in [vec![], vec![0; 1024], vec![0; 10240]] {
        let (index, _) = build_bytes(&tar).expect("builds");
        assert_eq!(index.children(0).expect("root").count(), 0);
        assert_eq!(index.meta(0).expect("meta").mode, 0o040755);
    }
}
