//! Any bytes make a valid module, the same each time, within the bounds.

mod machine;

use machine::Numbers;
use shallop_riscv64::decode::ROWS;
use shallop_translate::image::Image;
use shallop_translate::{Options, Region, Translated, Variant, translate};

/// Bytes of code: noise, or instructions with random operands.
fn code(numbers: &mut Numbers) -> Vec<u8> {
    let mut code = Vec::new();
    let noise = numbers.below(4);
    for _ in 0..numbers.below(600) {
        let random = numbers.next() as u32;
        match numbers.below(4) {
            kind if kind < noise => code.extend((random as u16).to_le_bytes()),
            _ => {
                let row = &ROWS[numbers.below(ROWS.len() as u64) as usize];
                // Offsets that stay near.
                let near = if numbers.below(2) == 0 { !0xf800_0000 } else { !0 };
                code.extend((row.bits | random & !row.mask & near).to_le_bytes());
            }
        }
    }
    code
}

fn check(seed: u64) -> Translated {
    let mut numbers = Numbers(seed * 2 + 1);
    let code = code(&mut numbers);
    let start = [0, 0x1000, u32::MAX - 400, 0xffff_fffe][numbers.below(4) as usize];
    let region = Region { code: &code, start, image: &Image::default() };
    let starts: Vec<u32> =
        (0..numbers.below(20)).map(|_| start.wrapping_add(numbers.below(code.len() as u64 + 16) as u32)).collect();
    let variant = if seed.is_multiple_of(2) { Variant::Lazy } else { Variant::Precise };
    let options = Options { variant, ..Options::default() };
    let translated = translate(&region, &starts, &options);
    let features = wasmparser::WasmFeatures::default() | wasmparser::WasmFeatures::WIDE_ARITHMETIC;
    wasmparser::Validator::new_with_features(features)
        .validate_all(&translated.wasm)
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    assert_eq!(translated, translate(&region, &starts, &options), "seed {seed}");
    for start in starts {
        let known = translated.functions.iter().any(|function| function.start == start);
        assert_ne!(known, translated.skipped.iter().any(|(skipped, _)| *skipped == start), "seed {seed}");
    }
    translated
}

#[test]
fn any_bytes() {
    let functions: usize = (0..1500).map(|seed| check(seed).functions.len()).sum();
    assert!(functions > 1000);
}

#[test]
fn bounds_hold() {
    let word = 0x0015_0513_u32; // addi a0, a0, 1
    let code: Vec<u8> = std::iter::repeat_n(word.to_le_bytes(), 20_000).flatten().collect();
    let translated =
        translate(&Region { code: &code, start: 0, image: &Image::default() }, &[0, 79_000], &Options::default());
    assert_eq!(translated.functions.len(), 1);
    assert_eq!(translated.skipped.len(), 1);
    assert!(translated.wasm.len() < 16 << 10);
}
