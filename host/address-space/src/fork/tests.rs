//! Tests of fork: what is copied, what is shared.

use super::*;
use crate::Stability;
use crate::object::MemoryObject;
use std::os::unix::fs::FileExt;

const AT: u64 = 0x20_0000;
const RW: Protection = Protection::WRITE;

fn space() -> AddressSpace {
    AddressSpace::new().expect("space")
}

fn peek(space: &AddressSpace, addr: u64) -> Option<u8> {
    let mut byte = [0];
    (space.read(addr, &mut byte) == 1).then_some(byte[0])
}

#[test]
fn private_pages_part_ways() {
    let mut parent = space();
    parent.map_anon(AT, 1 << 30, RW).expect("map");
    parent.write(AT + 5 * PAGE, b"old");
    let mut child = parent.fork().expect("fork");
    assert_eq!(child.resident(), PAGE, "only what was there is copied");
    parent.write(AT + 5 * PAGE, b"A");
    child.write(AT + 5 * PAGE + 1, b"B");
    child.write(AT + 6 * PAGE, b"C");
    let mut seen = [0; 3];
    assert_eq!(parent.read(AT + 5 * PAGE, &mut seen), 3);
    assert_eq!(&seen, b"Ald");
    assert_eq!(child.read(AT + 5 * PAGE, &mut seen), 3);
    assert_eq!(&seen, b"oBd");
    assert_eq!(peek(&parent, AT + 6 * PAGE), Some(0));
}

#[test]
fn rights_and_reservations_are_kept() {
    let mut parent = space();
    parent.map_anon(AT, 4 * PAGE, RW).expect("map");
    parent.write(AT, &[7; 4 * 4096]);
    parent.protect(AT + PAGE, PAGE, Protection::EXEC).expect("protect");
    parent.protect(AT + 2 * PAGE, PAGE, Protection::NONE).expect("protect");
    parent.reserve(AT + 4 * PAGE, PAGE).expect("reserve");
    let mut child = parent.fork().expect("fork");
    assert_eq!(child.mappings(), parent.mappings());
    for space in [&mut parent, &mut child] {
        assert_eq!((peek(space, AT), peek(space, AT + PAGE), peek(space, AT + 2 * PAGE)), (Some(7), Some(7), None));
        assert_eq!(space.write(AT + PAGE, b"x"), 0);
        assert!(space.executable_in(AT + PAGE, 1));
        space.protect(AT + 2 * PAGE, 3 * PAGE, RW).expect("protect");
        assert_eq!((peek(space, AT + 2 * PAGE), peek(space, AT + 4 * PAGE)), (Some(7), None));
    }
}

#[test]
fn shared_objects_stay_shared_and_private_file_pages_do_not() {
    let mut parent = space();
    let file = MemoryObject::create(4 * PAGE).expect("object").file();
    file.write_all_at(b"file", 3 * PAGE).expect("write");
    parent.map_file(AT, 2 * PAGE, RW, &file, 0, Sharing::Shared, Stability::Own).expect("map");
    parent.map_file(AT + 2 * PAGE, 2 * PAGE, RW, &file, 2 * PAGE, Sharing::Private, Stability::Own).expect("map");
    parent.write(AT + 2 * PAGE, b"dirty");
    let mut child = parent.fork().expect("fork");
    child.write(AT, b"S");
    assert_eq!(peek(&parent, AT), Some(b'S'));
    assert_eq!((peek(&child, AT + 2 * PAGE), peek(&child, AT + 3 * PAGE)), (Some(b'd'), Some(b'f')));
    assert_eq!(child.resident(), PAGE, "the clean page is the file's");
    child.write(AT + 2 * PAGE, b"D");
    assert_eq!(peek(&parent, AT + 2 * PAGE), Some(b'd'));
    assert_eq!(child.resident(), PAGE);
}

#[test]
fn cut_files_are_forked_without_a_fault() {
    let mut parent = space();
    let file = MemoryObject::create(4 * PAGE).expect("object").file();
    parent.map_file(AT, 4 * PAGE, RW, &file, 0, Sharing::Private, Stability::Own).expect("map");
    parent.write(AT, &[4; 4 * 4096]);
    file.set_len(PAGE).expect("cut");
    let child = parent.fork().expect("fork");
    assert_eq!((peek(&child, AT), peek(&child, AT + PAGE)), (Some(4), None));
}

#[test]
fn large_runs_are_copied_whole() {
    let mut parent = space();
    let len = 3 * HUGE + 5 * PAGE;
    parent.map_anon(AT, 64 << 20, RW).expect("map");
    let bytes: Vec<u8> = (0..len).map(|i| (i / 97 % 255) as u8 + 1).collect();
    assert_eq!(parent.write(AT + PAGE, &bytes), bytes.len());
    let child = parent.fork().expect("fork");
    let mut seen = vec![0; bytes.len()];
    assert_eq!(child.read(AT + PAGE, &mut seen), seen.len());
    assert!(seen == bytes);
    assert_eq!((peek(&child, AT), peek(&child, AT + PAGE + len)), (Some(0), Some(0)));
}

#[test]
fn watches_are_not_inherited() {
    let mut parent = space();
    parent.map_anon(AT, 2 * PAGE, RW).expect("map");
    parent.write(AT, b"x");
    parent.track_dirty(AT, 2 * PAGE).expect("track");
    let mut child = parent.fork().expect("fork");
    assert_eq!(child.write(AT, b"y"), 1);
    assert!(child.take_dirty(AT, 2 * PAGE).is_empty() && !child.repair(AT, true));
    assert!(parent.repair(AT, true));
    assert_eq!(peek(&parent, AT), Some(b'x'));
}

#[test]
fn comparing_finds_what_the_pagemap_tells() {
    let mut parent = space();
    let file = MemoryObject::create(80 * PAGE).expect("object").file();
    file.write_all_at(&[1; 80 * 4096], 0).expect("write");
    parent.map_file(AT, 80 * PAGE, RW, &file, 0, Sharing::Private, Stability::Own).expect("map");
    parent.map_anon(AT + 80 * PAGE, 80 * PAGE, RW).expect("map");
    for page in [0, 1, 70, 79, 80, 159] {
        parent.write(AT + page * PAGE, b"!");
    }
    let fresh = space();
    let mut found = Vec::new();
    for region in parent.regions() {
        fresh.map_again(region, Protection::READ).expect("map");
        let runs = parent.different_runs(region, &fresh).expect("compare");
        if let Some(told) = parent.private_runs(region.start..region.end()) {
            assert!(runs.iter().all(|run| told.iter().any(|t| t.start <= run.start && run.end <= t.end)));
        }
        found.extend(runs.iter().map(|run| ((run.start - AT) / PAGE, (run.end - AT) / PAGE)));
    }
    assert_eq!(found, [(0, 2), (70, 71), (79, 80), (80, 81), (159, 160)]);
}

#[test]
fn huge_pages_are_for_dense_memory() {
    let region = Region { start: 0, len: 64 * HUGE, prot: RW, kind: Kind::Anon };
    let span = |runs: &[(u64, u64)]| huge_span(&region, &runs.iter().map(|run| run.0..run.1).collect::<Vec<_>>());
    assert_eq!(span(&[(PAGE, HUGE)]), None);
    assert_eq!(span(&[(PAGE, 3 * HUGE + PAGE)]), Some(HUGE..3 * HUGE));
    assert_eq!(span(&[(HUGE, 2 * HUGE), (3 * HUGE, 4 * HUGE)]), Some(HUGE..4 * HUGE));
    assert_eq!(span(&[(0, HUGE), (9 * HUGE, 10 * HUGE)]), None, "sparse");
}
