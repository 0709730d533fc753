//! Tests of formats that programs parse.

use super::pid::{MapsLine, escape, maps_line};
use super::{net, number, pid, root, setting};
use crate::fs::pseudo::tree::{Body, Directory};

#[test]
fn maps_lines_have_linuxs_columns() {
    let mut line = MapsLine {
        range: (0x10000, 0x9f000),
        prot: 5,
        shared: false,
        offset: 0x1000,
        device: (0, 0x20),
        ino: 12,
        name: b"/bin/a\nb".to_vec(),
    };
    let text = String::from_utf8(maps_line(&line)).unwrap();
    assert_eq!(text, "00010000-0009f000 r-xp 00001000 00:20 12                                 /bin/a\\012b\n");
    assert_eq!(text.find('/'), Some(73));
    (line.name, line.shared, line.prot) = (Vec::new(), true, 2);
    assert_eq!(maps_line(&line), b"00010000-0009f000 -w-s 00001000 00:20 12 \n");
}

#[test]
fn mount_points_are_escaped() {
    assert_eq!(escape(b"/a b\t\\\n"), b"/a\\040b\\011\\134\\012");
}

#[test]
fn meminfo_counts_kibibytes_in_columns() {
    let text = root::meminfo_text(1 << 30, 256 << 20);
    assert!(text.starts_with("MemTotal:        1048576 kB\nMemFree:          786432 kB\n"));
    assert_eq!(text.lines().last(), Some("VmallocTotal:          0 kB"));
    assert!(root::meminfo_text(1 << 20, 1 << 30).contains("MemFree:               0 kB"));
}

#[test]
fn the_isa_string_follows_the_hardware_capabilities() {
    let hwcap = "imafdc".bytes().fold(0, |bits, letter| bits | 1 << (letter - b'a'));
    assert_eq!(root::isa_string(hwcap), "rv64imafdc_zicsr_zifencei");
}

#[test]
fn uuids_say_that_they_are_random() {
    assert_eq!(setting::uuid_text([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    assert_eq!(setting::uuid_text([0; 16]), "00000000-0000-4000-8000-000000000000");
}

#[test]
fn names_that_are_no_plain_numbers_name_no_process() {
    assert_eq!(number(b"12"), Some(12));
    for name in [&b"012"[..], b"+1", b"-1", b"", b"1x", b"99999999999"] {
        assert_eq!(number(name), None);
    }
}

#[test]
fn no_name_is_in_a_directory_twice() {
    fn check(directory: &Directory) {
        let mut names: Vec<_> = directory.rows.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), directory.rows.len());
        for row in directory.rows {
            if let Body::Directory(below) = row.body {
                check(below);
            }
        }
    }
    check(&super::ROOT);
    check(&pid::DIRECTORY);
    check(&net::DIRECTORY);
}
