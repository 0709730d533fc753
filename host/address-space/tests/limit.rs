//! The process-wide limit of host mappings.

use shallop_address_space::fault::MAPPINGS_LIMIT;
use shallop_address_space::{AddressSpace, Error, PAGE, Protection};

const AT: u64 = 0x20_0000;
const RW: Protection = Protection::WRITE;

/// One test, since the limit is the process's.
#[test]
fn mappings_end_at_the_limit_and_come_back() {
    let mut space = AddressSpace::new().expect("space");
    let mut pages = 0;
    let refused = loop {
        match space.map_anon(AT + 2 * pages * PAGE, PAGE, RW) {
            Ok(()) => pages += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, Error::ENOMEM);
    assert!(space.mappings() <= MAPPINGS_LIMIT && space.mappings() + 2 > MAPPINGS_LIMIT);
    assert_eq!(space.fork().err(), Some(Error::ENOMEM));
    assert_eq!(AddressSpace::new().err(), Some(Error::ENOMEM));

    // What needs no further mapping goes on.
    space.protect(AT, PAGE, Protection::READ).expect("a whole region");
    space.map_anon(AT + PAGE, PAGE, Protection::READ).expect("fills a gap");
    space.unmap(AT, 64 * PAGE).expect("unmap");
    space.map_anon(AT, 32 * PAGE, RW).expect("there is room again");

    // Watched pages are repaired without using more mappings than there are.
    while space.map_anon(AT + 2 * pages * PAGE, PAGE, RW).is_ok() {
        pages += 1;
    }
    let before = space.mappings();
    space.track_dirty(AT, 32 * PAGE).expect("track");
    assert!(space.repair(AT + 7 * PAGE, true));
    assert!(space.mappings() <= before);
    assert_eq!(space.take_dirty(AT, 32 * PAGE).len(), 32, "all of the run at once");

    drop(space);
    let mut space = AddressSpace::new().expect("everything was given back");
    space.map_anon(AT, PAGE, RW).expect("map");
}
