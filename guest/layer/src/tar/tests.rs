//! Tests of the reader and writer: round trips, golden bytes, GNU tar where the machine has it.

use std::io::Read;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::error::LayerError;

fn entries_of(tar: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, LayerError> {
    let mut input = tar;
    let mut reader = Reader::new(&mut input);
    let mut entries = Vec::new();
    while let Some(record) = reader.next_record()? {
        let mut data = Vec::new();
        let mut buf = [0; 333];
        loop {
            match reader.read_data(&mut buf)? {
                0 => break,
                n => data.extend_from_slice(&buf[..n]),
            }
        }
        entries.push((record.entry, data));
    }
    Ok(entries)
}

fn tar_of(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    for (entry, data) in entries {
        writer.append(entry, &mut data.as_slice()).expect("appends");
    }
    writer.finish().expect("finishes");
    out
}

fn samples() -> Vec<(Entry, Vec<u8>)> {
    let file = |path: String, size: u64| Entry::new(path, 0o644, Kind::File { size });
    let mut odd = file("odd".into(), 1);
    odd.uid = u32::MAX;
    odd.gid = 0o7777777;
    odd.mtime = Time { sec: -7, nsec: 1 };
    odd.xattrs = vec![(b"user.a".to_vec(), b"\0\n=".to_vec()), (b"user.b".to_vec(), Vec::new())];
    let mut entries = vec![
        (odd, vec![1]),
        (Entry::new("dir", 0o1777, Kind::Dir), vec![]),
        (Entry::new("dev", 0o660, Kind::Block(8, 1_048_575)), vec![]),
        (Entry::new("pipe", 0o600, Kind::Fifo), vec![]),
        (Entry::new("s", 0o777, Kind::Symlink(vec![b't'; 150])), vec![]),
        (Entry::new("h", 0o644, Kind::HardLink([b"d/".as_slice(), &[b'l'; 100]].concat())), vec![]),
    ];
    for n in [1, 98, 99, 100, 101, 154, 155, 156, 200, 255] {
        entries.push((file("p".repeat(n), n as u64), vec![b'x'; n]));
        entries.push((file(format!("{}/{}", "d".repeat(n), "f".repeat(99)), 0), vec![]));
        entries.push((Entry::new("q".repeat(n), 0o755, Kind::Dir), vec![]));
    }
    entries
}

#[test]
fn what_is_written_is_read_again() {
    let entries = samples();
    let tar = tar_of(&entries);
    assert_eq!(tar.len() % 512, 0);
    assert_eq!(entries_of(&tar).expect("reads"), entries);
    assert_eq!(tar_of(&entries_of(&tar).expect("reads")), tar, "equal entries give equal bytes");
}

#[test]
fn a_plain_file_is_one_plain_header() {
    let mut entry = Entry::new("a/b", 0o640, Kind::File { size: 2 });
    entry.mtime = Time::seconds(0o1234);
    entry.uid = 0o17;
    let tar = tar_of(&[(entry, b"hi".to_vec())]);
    assert_eq!(tar.len(), 4 * 512);
    assert_eq!(&tar[..4], b"a/b\0");
    assert_eq!(&tar[100..160], b"0000640\x000000017\x000000000\x0000000000002\x0000000001234\x00007577\0 0\0\0\0");
    assert_eq!(&tar[257..265], b"ustar\x0000");
    assert_eq!(&tar[512..515], b"hi\0");
}

#[test]
fn what_tar_cannot_say_is_refused() {
    let bad = [
        Entry::new("", 0o644, Kind::Fifo),
        Entry::new("a\0b", 0o644, Kind::Fifo),
        Entry::new("a", 0o644, Kind::Symlink(vec![])),
        Entry::new("a", 0o644, Kind::Char(1 << 30, 0)),
        Entry { xattrs: vec![(b"a=b".to_vec(), vec![])], ..Entry::new("a", 0o644, Kind::Fifo) },
    ];
    for entry in bad {
        let mut out = Vec::new();
        let got = Writer::new(&mut out).append(&entry, &mut std::io::empty());
        assert!(matches!(got, Err(LayerError::Unsupported { .. })), "{entry:?}");
        assert!(out.is_empty());
    }
    let short = Entry::new("a", 0o644, Kind::File { size: 5 });
    assert!(matches!(Writer::new(&mut Vec::new()).append(&short, &mut &b"abc"[..]), Err(LayerError::Io(_))));
}

/// A header as GNU tar has it, with a given type and numbers in base 256 where asked.
fn gnu_header(name: &[u8], kind: u8, size: u64, base256: bool) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0000644\0");
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    if base256 {
        block[124] = 0x80;
        block[128..136].copy_from_slice(&size.to_be_bytes());
        block[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0x12, 0x34, 0x56, 0x78]);
        block[136..148].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]);
    } else {
        block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        block[136..148].copy_from_slice(b"00000000001\0");
    }
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar  \0");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[test]
fn gnu_extensions_are_understood() {
    let name = [b"long/".as_slice(), &[b'n'; 200]].concat();
    let mut tar = gnu_header(b"././@LongLink", b'L', name.len() as u64 + 1, false);
    tar.extend_from_slice(&name);
    tar.resize(1024, 0);
    tar.extend(gnu_header(b"cut", b'0', 3, true));
    tar.extend_from_slice(b"abc");
    tar.resize(2048, 0);
    let entries = entries_of(&tar).expect("reads");
    let (entry, data) = &entries[0];
    assert_eq!((&entry.path, data.as_slice()), (&name, &b"abc"[..]));
    assert_eq!((entry.uid, entry.mtime.sec), (0x1234_5678, -2));
    assert!(matches!(entries_of(&gnu_header(b"x", b'S', 0, false)), Err(LayerError::Unsupported { .. })));
    assert!(matches!(entries_of(&gnu_header(b"x", b'L', 1 << 30, false)), Err(LayerError::Limit { .. })));
    assert!(matches!(entries_of(&gnu_header(b"x", b'0', u64::MAX, true)), Err(LayerError::Corrupt { .. })));
}

/// Runs GNU tar; `None` where there is none.
fn gnu_tar(args: &[&str], dir: &Path) -> Option<Vec<u8>> {
    let is_gnu = Command::new("tar").arg("--version").output().is_ok_and(|o| o.stdout.starts_with(b"tar (GNU tar)"));
    if !is_gnu {
        println!("GNU tar is not here; not compared");
        return None;
    }
    let output = Command::new("tar").args(args).current_dir(dir).env("TZ", "UTC").env("LC_ALL", "C").output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

/// A fresh directory that is removed when it goes out of scope.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("shallop-layer-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn gnu_tar_lists_what_was_written() {
    let scratch = Scratch::new("list");
    let entries = samples();
    std::fs::write(scratch.0.join("t.tar"), tar_of(&entries)).expect("writes");
    let Some(listed) = gnu_tar(&["-tf", "t.tar"], &scratch.0) else { return };
    let listed = String::from_utf8(listed).expect("text");
    let names: Vec<&str> = listed.lines().map(|line| line.trim_end_matches('/')).collect();
    let want: Vec<String> = entries.iter().map(|(e, _)| String::from_utf8_lossy(&e.path).into_owned()).collect();
    assert_eq!(names, want);
    let long =
        String::from_utf8(gnu_tar(&["-tvf", "t.tar", "--numeric-owner"], &scratch.0).expect("there")).expect("text");
    let first = long.lines().next().expect("a line");
    assert!(first.starts_with("-rw-r--r-- 4294967295/2097151") && first.contains("1969-12-31"), "{first}");
}

#[test]
fn what_gnu_tar_writes_is_read() {
    let scratch = Scratch::new("read");
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
    let root = scratch.0.join("in");
    std::fs::create_dir_all(root.join("d".repeat(120))).expect("makes");
    std::fs::write(root.join(&long), vec![5; 1000]).expect("writes");
    std::fs::hard_link(root.join(&long), root.join("hard")).expect("links");
    for format in ["gnu", "posix", "oldgnu"] {
        let Some(tar) = gnu_tar(&["-c", "--format", format, "--sort=name", "-C", "in", "."], &scratch.0) else {
            return;
        };
        let mut aligned = Vec::new();
        let bytes = crate::index::build(&mut &tar[..], &mut aligned).expect("indexes");
        let merged = crate::merge::Merged::new(vec![crate::index::Index::parse(bytes).expect("parses")]).expect("one");
        let file = merged.find(long.as_bytes()).expect("sound").expect(format);
        let stat = merged.stat(&file).expect("stat");
        assert_eq!((stat.size, stat.nlink), (1000, 2), "{format}");
        assert_eq!(merged.find(b"hard").expect("sound"), Some(file), "{format}");
    }
}

#[test]
fn data_left_unread_is_skipped() {
    let tar = tar_of(&samples());
    let mut input = tar.as_slice();
    let mut reader = Reader::new(&mut input);
    let mut count = 0;
    while reader.next_record().expect("sound").is_some() {
        count += 1;
    }
    assert_eq!(count, samples().len());
    reader.drain().expect("reads to the end");
    assert_eq!(reader.offset(), tar.len() as u64);
    let mut rest = Vec::new();
    input.read_to_end(&mut rest).expect("reads");
    assert!(rest.is_empty());
}
