//! Tests of mapping, protecting, discarding and moving.

use super::*;
use crate::object::MemoryObject;
use crate::{HIGHEST, LOWEST, SPACE};
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

fn object(pages: u64) -> (Arc<File>, AddressSpace) {
    let object = MemoryObject::create(pages * PAGE).expect("object");
    (object.file(), space())
}

#[test]
fn the_edges_and_bad_ranges_are_refused() {
    let mut space = space();
    let top = HIGHEST;
    for (addr, len) in [
        (0, PAGE),
        (LOWEST - PAGE, 2 * PAGE),
        (top, PAGE),
        (top - PAGE, 2 * PAGE),
        (SPACE, PAGE),
        (u64::MAX - PAGE + 1, PAGE),
        (AT, u64::MAX - AT + 1),
        (AT, 0),
        (AT + 1, PAGE),
        (AT, PAGE + 1),
    ] {
        assert_eq!(space.map_anon(addr, len, RW), Err(Error::EINVAL), "{addr:#x}+{len:#x}");
        assert_eq!(space.unmap(addr, len), Err(Error::EINVAL));
        assert_eq!(space.reserve(addr, len), Err(Error::EINVAL));
        assert_eq!(space.move_pages(addr, AT + (1 << 20), len), Err(Error::EINVAL));
    }
    space.map_anon(LOWEST, PAGE, RW).expect("lowest page");
    space.map_anon(top - PAGE, PAGE, RW).expect("highest page");
    space.map_anon(LOWEST, top - LOWEST, RW).expect("everything");
    assert_eq!(space.regions().count(), 1);
}

#[test]
fn anonymous_pages_are_zero_and_can_be_unmapped_in_the_middle() {
    let mut space = space();
    space.map_anon(AT, 4 * PAGE, RW).expect("map");
    assert_eq!(space.write(AT, &[5; 4 * 4096]), 4 * 4096);
    space.unmap(AT + PAGE, PAGE).expect("unmap");
    assert_eq!(peek(&space, AT), Some(5));
    assert_eq!(peek(&space, AT + PAGE), None);
    assert_eq!(peek(&space, AT + 2 * PAGE), Some(5));
    space.map_anon(AT, 4 * PAGE, RW).expect("map over it");
    assert_eq!(peek(&space, AT), Some(0));
    assert_eq!(space.regions().count(), 1);
}

#[test]
fn protect_wants_every_page_mapped() {
    let mut space = space();
    space.map_anon(AT, 4 * PAGE, RW).expect("map");
    assert_eq!(space.protect(AT + 3 * PAGE, 2 * PAGE, Protection::READ), Err(Error::ENOMEM));
    assert_eq!(space.write(AT + 3 * PAGE, b"x"), 1, "nothing changed");
    space.protect(AT + PAGE, PAGE, Protection::READ).expect("read-only");
    space.protect(AT + 2 * PAGE, PAGE, Protection::NONE).expect("no access");
    assert_eq!(space.write(AT + PAGE, b"x"), 0);
    assert_eq!(peek(&space, AT + PAGE), Some(0));
    assert_eq!(peek(&space, AT + 2 * PAGE), None);
    assert_eq!(space.regions().count(), 4);
    space.protect(AT, 4 * PAGE, RW).expect("all again");
    assert_eq!(space.regions().count(), 1);
    assert_eq!(space.protect(AT, 0, RW), Ok(()));
}

#[test]
fn executable_pages_are_readable_and_found() {
    let mut space = space();
    space.map_anon(AT, 2 * PAGE, RW).expect("map");
    assert!(!space.executable_in(AT, 2 * PAGE));
    space.protect(AT + PAGE, PAGE, Protection::EXEC).expect("protect");
    assert_eq!(peek(&space, AT + PAGE), Some(0));
    assert!(space.executable_in(AT + PAGE, 1) && space.executable_in(AT, u64::MAX));
    assert!(!space.executable_in(AT, PAGE) && !space.executable_in(u64::MAX, 1) && !space.executable_in(AT + PAGE, 0));
}

#[test]
fn reserved_pages_never_become_accessible() {
    let mut space = space();
    space.map_anon(AT, PAGE, RW).expect("map");
    space.reserve(AT + PAGE, PAGE).expect("reserve");
    space.protect(AT, 2 * PAGE, Protection::READ).expect("protect");
    assert_eq!(peek(&space, AT), Some(0));
    assert_eq!(peek(&space, AT + PAGE), None);
}

#[test]
fn shared_pages_and_the_file_agree() {
    let (file, mut space) = object(4);
    space.map_file(AT, 2 * PAGE, RW, &file, PAGE, Sharing::Shared, Stability::Own).expect("map");
    file.write_all_at(b"from file", PAGE + 10).expect("write");
    let mut seen = [0; 9];
    assert_eq!(space.read(AT + 10, &mut seen), 9);
    assert_eq!(&seen, b"from file");
    assert_eq!(space.write(AT + PAGE, b"from space"), 10);
    let mut seen = [0; 10];
    file.read_exact_at(&mut seen, 2 * PAGE).expect("read");
    assert_eq!(&seen, b"from space");
    space.discard(AT, 2 * PAGE).expect("discard");
    assert_eq!(peek(&space, AT + PAGE), Some(b'f'), "shared pages keep their content");
}

#[test]
fn private_pages_leave_the_file_alone() {
    let (file, mut space) = object(2);
    file.write_all_at(b"file", 0).expect("write");
    space.map_file(AT, 2 * PAGE, RW, &file, 0, Sharing::Private, Stability::Own).expect("map");
    assert_eq!(space.write(AT, b"mine"), 4);
    let mut seen = [0; 4];
    file.read_exact_at(&mut seen, 0).expect("read");
    assert_eq!(&seen, b"file");
    assert_eq!(space.resident(), PAGE);
    space.discard(AT, PAGE).expect("discard");
    assert_eq!(space.read(AT, &mut seen), 4);
    assert_eq!(&seen, b"file");
}

#[test]
fn files_are_never_mapped_past_their_last_page() {
    let object = MemoryObject::create(PAGE + 1).expect("object");
    let (file, mut space) = (object.file(), space());
    let mut map = |len, offset| space.map_file(AT, len, RW, &file, offset, Sharing::Shared, Stability::Own);
    assert_eq!(map(3 * PAGE, 0), Err(Error::EINVAL));
    assert_eq!(map(2 * PAGE, PAGE), Err(Error::EINVAL));
    assert_eq!(map(PAGE, 1), Err(Error::EINVAL));
    assert_eq!(map(PAGE, u64::MAX - PAGE + 1), Err(Error::EINVAL));
    assert_eq!(map(2 * PAGE, 0), Ok(()));
}

#[test]
fn nobody_stores_to_immutable_files() {
    let (file, mut space) = object(1);
    let shared = Sharing::Shared;
    assert_eq!(space.map_file(AT, PAGE, RW, &file, 0, shared, Stability::Immutable), Err(Error::EACCES));
    space.map_file(AT, PAGE, Protection::READ, &file, 0, shared, Stability::Immutable).expect("read-only");
    assert_eq!(space.protect(AT, PAGE, RW), Err(Error::EACCES));
    assert_eq!(space.write(AT, b"x"), 0);
    space.map_file(AT, PAGE, RW, &file, 0, Sharing::Private, Stability::Immutable).expect("private");
    assert_eq!(space.write(AT, b"x"), 1);
}

#[test]
fn files_without_write_access_refuse_later_rights_too() {
    let path = std::env::current_exe().expect("path");
    let file = Arc::new(File::open(path).expect("open"));
    let mut space = space();
    let map =
        |space: &mut AddressSpace, prot| space.map_file(AT, PAGE, prot, &file, 0, Sharing::Shared, Stability::Own);
    assert_eq!(map(&mut space, RW), Err(Error::EACCES));
    assert!(space.regions().next().is_none());
    map(&mut space, Protection::READ).expect("map");
    assert_eq!(space.protect(AT, PAGE, RW), Err(Error::EACCES));
    assert_eq!(space.regions().next().map(|region| region.prot), Some(Protection::READ));
    assert_eq!(peek(&space, AT), Some(0x7f));
}

#[test]
fn discarded_anonymous_pages_are_zero() {
    let mut space = space();
    space.map_anon(AT, 2 * PAGE, RW).expect("map");
    space.write(AT, &[1; 2 * 4096]);
    assert_eq!(space.resident(), 2 * PAGE);
    space.discard(AT + PAGE, PAGE).expect("discard");
    assert_eq!((peek(&space, AT), peek(&space, AT + PAGE)), (Some(1), Some(0)));
    assert_eq!(space.discard(AT, 3 * PAGE), Err(Error::ENOMEM));
}

#[test]
fn moved_pages_keep_content_rights_and_backing() {
    let (file, mut space) = object(4);
    file.write_all_at(b"page two", 2 * PAGE).expect("write");
    space.map_anon(AT, 2 * PAGE, RW).expect("map");
    space.write(AT, b"anon");
    space
        .map_file(AT + 2 * PAGE, 2 * PAGE, Protection::READ, &file, 2 * PAGE, Sharing::Private, Stability::Own)
        .expect("map");
    space.reserve(AT + 4 * PAGE, PAGE).expect("reserve");
    let to = AT + 64 * PAGE;
    space.map_anon(to, 8 * PAGE, RW).expect("target");
    space.move_pages(AT, to, 5 * PAGE).expect("move");
    let mut seen = [0; 8];
    assert_eq!(space.read(to, &mut seen[..4]), 4);
    assert_eq!(&seen[..4], b"anon");
    assert_eq!(space.read(to + 2 * PAGE, &mut seen), 8);
    assert_eq!(&seen, b"page two");
    assert_eq!(space.write(to + 2 * PAGE, b"x"), 0);
    assert_eq!(peek(&space, to + 4 * PAGE), None);
    assert_eq!(peek(&space, to + 5 * PAGE), Some(0), "the rest of the target stays");
    assert_eq!(peek(&space, AT), None);
    assert_eq!(space.protect(AT, PAGE, RW), Err(Error::ENOMEM));
}

#[test]
fn regions_of_several_host_mappings_move_too() {
    let mut space = space();
    // Pages touched before they became neighbours stay mappings of their own.
    for page in [0, 2, 4, 6] {
        space.map_anon(AT + page * PAGE, PAGE, RW).expect("map");
        space.write(AT + page * PAGE, &[page as u8 + 1]);
    }
    for page in [1, 3, 5, 7] {
        space.map_anon(AT + page * PAGE, PAGE, RW).expect("map");
        space.write(AT + page * PAGE, &[page as u8 + 1]);
    }
    assert_eq!(space.regions().count(), 1);
    let to = AT + 100 * PAGE;
    space.move_pages(AT, to, 8 * PAGE).expect("move");
    for page in 0..8 {
        assert_eq!(peek(&space, to + page * PAGE), Some(page as u8 + 1));
    }
    assert_eq!(space.regions().count(), 1);
}

#[test]
fn moves_onto_themselves_or_from_nowhere_are_refused() {
    let mut space = space();
    space.map_anon(AT, 4 * PAGE, RW).expect("map");
    assert_eq!(space.move_pages(AT, AT + PAGE, 2 * PAGE), Err(Error::EINVAL));
    assert_eq!(space.move_pages(AT + 3 * PAGE, AT + 100 * PAGE, 2 * PAGE), Err(Error::EFAULT));
    assert_eq!(space.move_pages(AT, AT + 4 * PAGE, 4 * PAGE), Ok(()));
}

#[test]
fn host_addresses_are_told_apart() {
    let space = space();
    let base = space.base().addr();
    assert_eq!(classify(&space, base + 0x1234), Some(0x1234));
    assert_eq!(classify(&space, base + space.reserved()), None);
    assert_eq!(classify(&space, base.wrapping_sub(1)), None);
}

#[test]
fn mappings_count_runs_and_gaps() {
    let mut space = space();
    let empty = space.mappings();
    space.map_anon(AT, 4 * PAGE, RW).expect("map");
    assert_eq!(space.mappings(), empty + 2);
    space.protect(AT + PAGE, PAGE, Protection::READ).expect("protect");
    assert_eq!(space.mappings(), empty + 4);
    space.unmap(AT, 4 * PAGE).expect("unmap");
    assert_eq!(space.mappings(), empty);
}
