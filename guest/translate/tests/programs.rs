//! C functions, compiled for riscv64 and translated, give what the interpreter and the host's compiler give.

mod machine;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use machine::elf::{self, Program};
use machine::{Machine, STOP, engine};
use shallop_riscv64::State;
use shallop_test_support::oracle;
use shallop_translate::function::Shape;
use shallop_translate::image::Image;
use shallop_translate::{Options, Region, Translated, Variant, translate};

/// Each program, and its size: for single steps, and to measure.
const PROGRAMS: [(&str, u64, u64); 9] = [
    ("run_fib", 15, 32),
    ("run_sha256", 10, 20_000),
    ("run_sort", 1, 20),
    ("run_hash", 3000, 4_000_000),
    ("run_nbody", 100, 400_000),
    ("run_switch", 1000, 3_000_000),
    ("run_goto", 1000, 3_000_000),
    ("run_pointers", 1000, 10_000_000),
    ("run_large", 2000, 3_000_000),
];

fn source() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/kernels.c")
}

fn compile(folder: &Path) -> Program {
    let output = folder.join("kernels");
    let done = Command::new("riscv64-linux-gnu-gcc")
        .args([
            "-O2",
            "-march=rv64gc",
            "-static",
            "-nostdlib",
            "-ffreestanding",
            "-fno-math-errno",
            "-Wl,-erun_fib",
            "-Wl,--no-relax",
            // Where functions end, as files of a distribution say it.
            "-fasynchronous-unwind-tables",
            "-Wl,--eh-frame-hdr",
        ])
        .args(["-Wl,-Ttext-segment=0x100000", "-fno-tree-loop-distribute-patterns", "-ffp-contract=off", "-o"])
        .arg(&output)
        .arg(source())
        .status();
    assert!(done.unwrap().success());
    elf::read(&std::fs::read(output).unwrap())
}

/// The programs; `None` where there is no compiler.
fn compiled() -> Option<Program> {
    if !oracle::oracle("translate", &[("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu")]) {
        return None;
    }
    Some(compile(tempfile::tempdir().unwrap().path()))
}

/// Gives a region of the program's code to `use_it`.
fn with_region<R>(program: &Program, use_it: impl FnOnce(&Region) -> R) -> R {
    let segment = program.segments.iter().find(|segment| segment.executable).unwrap();
    let data = program.segments.iter().find(|segment| !segment.executable);
    let data = data.map_or_else(Vec::new, |segment| segment.bytes.clone());
    let image = Image::new(&segment.bytes, segment.address, data);
    use_it(&Region { code: &segment.bytes, start: segment.address, image: &image })
}

fn translated(program: &Program, variant: Variant) -> Translated {
    let starts: Vec<u32> = program.functions.iter().map(|function| function.address).collect();
    let options = Options { variant, ..Options::of_files() };
    let translated = with_region(program, |region| translate(region, &starts, &options));
    assert_eq!(translated.skipped, []);
    translated
}

fn address(program: &Program, name: &str) -> u32 {
    program.functions.iter().find(|function| function.name == name).unwrap().address
}

fn load(machine: &mut Machine, program: &Program) {
    machine.guest()[..0x40_0000].fill(0);
    for segment in &program.segments {
        machine.guest()[segment.address as usize..][..segment.bytes.len()].copy_from_slice(&segment.bytes);
    }
}

/// Runs a function, with one argument; gives all registers after it.
fn call(machine: &mut Machine, program: &Program, name: &str, size: u64) -> State {
    load(machine, program);
    let pc = address(program, name);
    let mut state = State { pc: u64::from(pc), ..State::default() };
    (state.x[1], state.x[2], state.x[10]) = (STOP, 0x3f_0000, size);
    machine.set_state(&state);
    machine.run(u64::MAX).unwrap()
}

/// Value and nanoseconds of each program on the host.
fn native(folder: &Path) -> Option<Vec<(u64, f64)>> {
    let output = folder.join("native");
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-DNATIVE", "-fno-math-errno", "-ffp-contract=off", "-o"]).arg(&output).arg(source());
    compiler.status().ok().filter(|status| status.success())?;
    let sizes = PROGRAMS.iter().map(|(_, _, size)| size.to_string());
    let text = Command::new(&output).args(sizes).output().ok()?.stdout;
    let text = String::from_utf8(text).ok()?;
    let line = |line: &str| {
        let (value, time) = line.split_once(' ')?;
        Some((value.parse::<i64>().ok()? as u64, time.parse().ok()?))
    };
    text.lines().map(line).collect()
}

#[test]
fn one_of_them_is_large() {
    let Some(program) = compiled() else { return };
    let starts = program.functions.iter().map(|function| function.address).collect();
    let large = |name: &str| {
        let shape = |region: &Region| Shape::new(region, address(&program, name), &starts, &Options::of_files());
        with_region(&program, shape).unwrap().layout.graph.is_large()
    };
    assert!(large("run_large") && !large("run_goto"));
}

#[test]
fn code_in_the_middle_is_entered_by_one_function() {
    let Some(program) = compiled() else { return };
    let start = address(&program, "run_goto");
    let (mut inside, mut alone) = (0, 0);
    with_region(&program, |region| {
        for middle in (start + 4..start + 200).step_by(4) {
            let functions = translate(region, &[middle], &Options::of_files()).functions;
            let [function] = &functions[..] else { panic!("{middle:#x}: {functions:x?}") };
            match function.start == start {
                true => inside += usize::from(function.resume.contains(&middle)),
                false => alone += usize::from(function.start == middle && function.resume.is_empty()),
            }
        }
    });
    assert!(inside > 0 && alone > 0 && inside + alone == 49, "{inside} {alone}");
}

#[test]
fn programs_give_the_same() {
    let Some(program) = compiled() else { return };
    let engine = engine();
    let mut plain = Machine::new(&engine);
    for variant in [Variant::Lazy, Variant::Precise] {
        let mut machine = Machine::new(&engine);
        machine.install(&translated(&program, variant), 0);
        for (name, size, _) in PROGRAMS {
            let mut expected = call(&mut plain, &program, name, size);
            let before = machine.interpreted;
            let found = call(&mut machine, &program, name, size);
            assert!(machine.interpreted - before < 10, "{name}");
            expected.counter = found.counter;
            // A store for an access that may fault leaves nothing else behind than the registers.
            assert_eq!(found, expected, "{name}");
        }
    }
}

#[test]
#[ignore = "a benchmark: prints times, compares none"]
fn speed() {
    if !oracle::oracle("translate", &[("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu"), ("cc", "gcc")]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path());
    let native = native(folder.path()).unwrap();
    let mut machine = Machine::new(&engine());
    machine.install(&translated(&program, Variant::Lazy), 0);
    for ((name, _, size), (expected, time)) in PROGRAMS.into_iter().zip(native) {
        let begin = Instant::now();
        let found = call(&mut machine, &program, name, size);
        let taken = begin.elapsed().as_nanos() as f64;
        assert_eq!(found.x[10], expected, "{name}");
        let (dispatched, interpreted) = (machine.dispatched, machine.interpreted);
        println!(
            "{name}: {:.1} ms, {:.2} times native; {dispatched} dispatches, {interpreted} interpreted",
            taken / 1e6,
            taken / time
        );
    }
}
