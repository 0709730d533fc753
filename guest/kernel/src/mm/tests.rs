//! The address map against the fake host.

use shallop_platform::fake::Fake;

use super::*;

fn mm() -> (&'static Fake, Mm) {
    let fake: &'static Fake = Box::leak(Box::new(Fake::new()));
    (fake, Mm::new(fake).unwrap())
}

fn anon(addr: u64, len: u64, prot: u32, fixed: Fixed) -> Request {
    Request { addr, len, prot, shared: false, fixed, file: None, name: "" }
}

#[test]
fn places_from_the_top_down_and_joins() {
    let (_, mut mm) = mm();
    let a = mm.mmap(anon(0, 5000, 3, Fixed::Hint)).unwrap();
    let b = mm.mmap(anon(0, 4096, 3, Fixed::Hint)).unwrap();
    assert_eq!(a, HIGHEST - PAGE - 8192);
    assert_eq!(b, a - 4096);
    assert_eq!(mm.vmas().count(), 1);
    assert_eq!(mm.size(), 3 * PAGE);
}

#[test]
fn addresses_above_four_gib_are_hints_or_refused() {
    let (_, mut mm) = mm();
    assert!(mm.mmap(anon(0x7fff_0000_0000, 4096, 3, Fixed::Hint)).unwrap() < 1 << 32);
    assert_eq!(mm.mmap(anon(0x7fff_0000_0000, 4096, 3, Fixed::Replace)), Err(Errno::ENOMEM));
    assert_eq!(mm.mmap(anon(!0xfff, 4096, 3, Fixed::Replace)), Err(Errno::ENOMEM));
    assert_eq!(mm.mmap(anon(0, u64::MAX - 100, 3, Fixed::Hint)), Err(Errno::ENOMEM));
}

#[test]
fn holes_and_protection_split_mappings() {
    let (fake, mut mm) = mm();
    mm.mmap(anon(0x20_0000, 5 * PAGE, 3, Fixed::Replace)).unwrap();
    mm.munmap(0x20_1000, PAGE).unwrap();
    mm.mprotect(0x20_3000, PAGE, 1).unwrap();
    let list: Vec<_> = mm.vmas().map(|v| (v.start, v.end, v.prot)).collect();
    assert_eq!(
        list,
        [(0x20_0000, 0x20_1000, 3), (0x20_2000, 0x20_3000, 3), (0x20_3000, 0x20_4000, 1), (0x20_4000, 0x20_5000, 3)]
    );
    assert_eq!(fake.write(mm.space(), 0x20_3000, b"x"), 0);
    assert_eq!(mm.mprotect(0x20_0000, 2 * PAGE, 1), Err(Errno::ENOMEM));
    assert_eq!(mm.mmap(anon(0x20_0000, PAGE, 3, Fixed::NoReplace)), Err(Errno::EEXIST));
    mm.mprotect(0x20_3000, PAGE, 3).unwrap();
    assert_eq!(mm.vmas().count(), 2);
}

#[test]
fn reserved_addresses_become_memory_by_mprotect() {
    let (fake, mut mm) = mm();
    let at = mm.mmap(anon(0, 16 * PAGE, 0, Fixed::Hint)).unwrap();
    mm.mprotect(at + PAGE, PAGE, 3).unwrap();
    assert_eq!(fake.write(mm.space(), at + PAGE, b"heap"), 4);
    assert_eq!(fake.write(mm.space(), at, b"x"), 0);
    assert_eq!(mm.fault(at, true, false).1, shallop_linux_abi::signal::SEGV_ACCERR);
}

#[test]
fn brk_grows_and_shrinks() {
    let (_, mut mm) = mm();
    mm.brk_start = 0x30_0010;
    mm.brk = 0x30_0010;
    assert_eq!(mm.set_brk(0), 0x30_0010);
    assert_eq!(mm.set_brk(0x32_0000), 0x32_0000);
    assert_eq!(mm.set_brk(0x30_1000), 0x30_1000);
    mm.mmap(anon(0x31_0000, PAGE, 3, Fixed::Replace)).unwrap();
    assert_eq!(mm.set_brk(0x32_0000), 0x30_1000);
}

#[test]
fn mremap_grows_in_place_or_moves_with_content() {
    let (fake, mut mm) = mm();
    mm.mmap(anon(0x40_0000, PAGE, 3, Fixed::Replace)).unwrap();
    fake.write(mm.space(), 0x40_0000, b"content");
    assert_eq!(mm.mremap(0x40_0000, PAGE, 2 * PAGE, 0, 0), Ok(0x40_0000));
    mm.mmap(anon(0x40_2000, PAGE, 1, Fixed::Replace)).unwrap();
    assert_eq!(mm.mremap(0x40_0000, 2 * PAGE, 3 * PAGE, 0, 0), Err(Errno::ENOMEM));
    let moved = mm.mremap(0x40_0000, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE, 0).unwrap();
    let mut seen = [0; 7];
    assert_eq!(fake.read(mm.space(), moved, &mut seen), 7);
    assert_eq!(&seen, b"content");
    assert!(mm.find(0x40_0000).is_none());
}
