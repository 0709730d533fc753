//! Whole C programs on the kernel without a sandbox: the fake host, and the interpreter one instruction at a time.
//!
//! Each program of `tests/syscall` is built for riscv64 and for this machine; both must print the same. Needs
//! `riscv64-linux-gnu-gcc` and `gcc`; without them there is nothing to compare and the test says so.

use std::path::{Path, PathBuf};
use std::process::Command;

use shallop_host_abi::hypercall::{Exit, exit};
use shallop_host_abi::profile::Record;
use shallop_host_abi::{ABI_VERSION, LaunchSpec, LayerGrant};
use shallop_layer::tar::{Entry, Kind, Writer};
use shallop_layer::{index, upper};
use shallop_machine::backend::Width;
use shallop_machine::{Access, Exit as Left};
use shallop_platform::fake::Fake;
use shallop_platform::{Platform, SpaceId};
use shallop_riscv64::single_step::{Memory, drop_reservation};
use shallop_riscv64::{State, interpret_one};

/// Instructions of a time slice.
const SLICE: u32 = 50_000;

/// An address space of the fake host as the interpreter's memory.
struct Space<'a>(&'a Fake, SpaceId);

impl Memory for Space<'_> {
    fn load(&mut self, address: u64, width: Width) -> Option<u64> {
        let mut bytes = [0; 8];
        let len = width.bytes() as usize;
        (self.0.read(self.1, address, &mut bytes[..len]) == len).then_some(u64::from_le_bytes(bytes))
    }

    fn store(&mut self, address: u64, value: u64, width: Width) -> Option<()> {
        let len = width.bytes() as usize;
        (self.0.write(self.1, address, &value.to_le_bytes()[..len]) == len).then_some(())
    }
}

/// Runs a task until it leaves its program; the clock goes on by 100 ns an instruction.
fn run_slice(state: &mut State, memory: &mut Space<'_>) -> Exit {
    let Fake { clock, alarm, .. } = memory.0;
    let ended = |kind, detail, address| Exit { kind, detail, address };
    let access = |access| match access {
        Access::Load => 0,
        Access::Store => 1,
        Access::Fetch => 2,
    };
    for _ in 0..SLICE {
        clock.set(clock.get() + 100);
        match interpret_one(state, memory) {
            Ok(()) => {}
            Err(Left::Syscall) => return ended(exit::SYSCALL, 0, 0),
            Err(Left::Fault(how, address)) => return ended(exit::FAULT, access(how), address),
            Err(Left::Illegal(bits)) => return ended(exit::ILLEGAL, bits, 0),
            Err(Left::Breakpoint) => return ended(exit::BREAKPOINT, 0, 0),
            Err(Left::Misaligned(_, address)) => return ended(exit::MISALIGNED, 0, address),
            Err(_) => return ended(exit::BROKEN, 0, 0),
        }
        if alarm.get().is_some_and(|alarm| clock.get() >= alarm) {
            break;
        }
    }
    ended(exit::YIELD, 0, 0)
}

/// What a run came to: wait status, standard output, standard error, trace, profile.
struct Outcome {
    status: u32,
    output: [String; 4],
}

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    Nothing,
    Calls,
    Time,
}

/// Runs a static program as the only file of an image.
fn run(program: &[u8], watch: Watch) -> Outcome {
    let host: &'static Fake = Box::leak(Box::new(Fake::new()));
    let mut tar = Vec::new();
    let mut writer = Writer::new(&mut tar);
    let size = program.len() as u64;
    writer.append(&Entry::new("bin/program", 0o755, Kind::File { size }), &mut &program[..]).unwrap();
    writer.append(&Entry::new("tmp", 0o1777, Kind::Dir), &mut &[][..]).unwrap();
    writer.finish().unwrap();
    let mut aligned = Vec::new();
    let index = index::build(&mut &tar[..], &mut aligned).unwrap();
    let layer =
        LayerGrant { tar: host.add_file(tar), index: host.add_file(index), aligned: Some(host.add_file(aligned)) };
    let spec = LaunchSpec {
        version: ABI_VERSION,
        arch: "riscv64".into(),
        hostname: "box".into(),
        argv: vec!["/bin/program".into()],
        env: vec!["PATH=/bin".into()],
        cwd: "/work".into(),
        user: String::new(),
        layers: vec![layer],
        network: None,
        upper_journal: host.add_file(upper::empty_journal()),
        upper_data: host.add_file(Vec::new()),
        mounts: Vec::new(),
        overlay_files: Vec::new(),
        tty: false,
        interactive: false,
        memory_limit: 1 << 30,
        disk_limit: 1 << 40,
        tasks_max: 1000,
        strace: watch == Watch::Calls,
        profile: watch == Watch::Time,
        seed: 1,
    };
    host.on_run(Box::new(|fake, _, space, registers| {
        let mut state = State::view(registers);
        drop_reservation(&mut state);
        let ended = run_slice(&mut state, &mut Space(fake, space));
        state.store(registers);
        ended
    }));
    let status = shallop_kernel::boot(host, spec);
    let output = host.output.borrow();
    let text = |fd: usize| String::from_utf8_lossy(&output[fd]).into_owned();
    Outcome { status, output: [text(1), text(2), text(3), text(4)] }
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/syscall")
}

/// Every C file below the directory of sources, or only those whose path has the word in SHALLOP_TEST_PROGRAM.
fn programs() -> Vec<PathBuf> {
    let only = std::env::var("SHALLOP_TEST_PROGRAM").unwrap_or_default();
    let mut found = Vec::new();
    let mut folders = vec![sources()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|e| e == "c") => found.push(path),
                false => {}
            }
        }
    }
    // Those that start other programs need a whole image; the fake host lets every readable page be executed, and has
    // copies of all pages of files.
    let needs_more = |text: String| ["/bin/", "PROT_EXEC", "RssFile"].iter().any(|word| text.contains(word));
    let alone = |path: &PathBuf| !std::fs::read_to_string(path).is_ok_and(needs_more);
    found.retain(|path| path.to_string_lossy().contains(&only) && alone(path));
    found.sort();
    found
}

fn compile(compiler: &str, source: &Path, out: &Path) -> bool {
    compile_with(compiler, source, out, &[])
}

fn compile_with(compiler: &str, source: &Path, out: &Path, flags: &[&str]) -> bool {
    let built = Command::new(compiler)
        .args(["-O1", "-static", "-pthread", "-D_GNU_SOURCE", "-w", "-I"])
        .arg(sources())
        .args(flags)
        .arg(source)
        .arg("-o")
        .arg(out)
        .output();
    match built {
        Ok(built) if built.status.success() => true,
        Ok(built) => panic!("{}: {}", source.display(), String::from_utf8_lossy(&built.stderr)),
        Err(_) => false,
    }
}

/// What the program prints on this machine's own kernel.
fn here(program: &Path, folder: &Path) -> (i32, String) {
    let work = folder.join("work");
    let _ = std::fs::remove_dir_all(&work);
    std::fs::create_dir_all(&work).unwrap();
    let done = Command::new(program).current_dir(&work).env_clear().env("PATH", "/bin").output().unwrap();
    (done.status.code().unwrap_or(-1), String::from_utf8_lossy(&done.stdout).into_owned())
}

/// The program's samples: nanoseconds and names, callers first.
fn samples(profile: &str) -> Vec<(u64, Vec<String>)> {
    let (mut frames, mut samples) = (Vec::new(), Vec::new());
    for line in profile.lines() {
        match Record::from_line(line.as_bytes()).unwrap() {
            Record::Frame { name, .. } => frames.push(name),
            Record::Task { name, .. } => assert_eq!(name, "program"),
            Record::Sample { nanoseconds, stack, .. } => {
                samples.push((nanoseconds, stack.iter().map(|frame| frames[*frame as usize].clone()).collect()));
            }
        }
    }
    samples
}

#[test]
fn a_profile_tells_functions_and_their_callers() {
    let folder = std::env::temp_dir().join(format!("shallop-profile-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let source = sources().join("../profile/hot.c");
    for frames in ["-fno-omit-frame-pointer", "-fomit-frame-pointer"] {
        let guest = folder.join("guest");
        if !compile_with("riscv64-linux-gnu-gcc", &source, &guest, &[frames]) {
            return eprintln!("no compiler: nothing was profiled");
        }
        let outcome = run(&std::fs::read(&guest).unwrap(), Watch::Time);
        assert_eq!(outcome.status, 0);
        let samples = samples(&outcome.output[3]);
        let all: u64 = samples.iter().map(|(time, _)| time).sum();
        let under = |names: &[&str]| -> u64 {
            let here = samples.iter().filter(|(_, stack)| names.iter().all(|name| stack.iter().any(|s| s == name)));
            here.map(|(time, _)| time).sum()
        };
        assert!(under(&["hot (interpreted)"]) * 10 > all * 8, "{samples:?}");
        let callers: &[&str] = if frames.contains("no") { &["main", "outer", "middle"] } else { &["middle"] };
        assert!(under(callers) * 10 > all * 8, "{samples:?}");
    }
    let _ = std::fs::remove_dir_all(&folder);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "slow without optimization; run with --release")]
fn programs_see_what_linux_shows_them() {
    let folder = std::env::temp_dir().join(format!("shallop-programs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (guest, native) = (folder.join("guest"), folder.join("program"));
    let mut wrong = Vec::new();
    for source in programs() {
        if !compile("riscv64-linux-gnu-gcc", &source, &guest) || !compile("gcc", &source, &native) {
            eprintln!("no compilers: nothing was compared");
            break;
        }
        let (status, expected) = here(&native, &folder);
        let watch = std::env::var_os("SHALLOP_TEST_PROGRAM").map_or(Watch::Nothing, |_| Watch::Calls);
        let program = std::fs::read(&guest).unwrap();
        // A program that waits for ever ends in the fake host's panic.
        let Ok(outcome) = std::panic::catch_unwind(|| run(&program, watch)) else {
            wrong.push(source);
            continue;
        };
        if outcome.output[0] != expected || outcome.status != (status as u32) << 8 {
            let [out, err, trace, _] = &outcome.output;
            let lines = differences(&expected, out);
            eprintln!("== {}: status {:#x}, here {status}\n{lines}{err}{trace}", source.display(), outcome.status);
            wrong.push(source);
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
    assert!(wrong.is_empty(), "other output than here: {wrong:#?}");
}

/// Lines that are not the same: `-` here, `+` in the kernel.
fn differences(expected: &str, seen: &str) -> String {
    let (mut a, mut b) = (expected.lines(), seen.lines());
    let mut out = String::new();
    loop {
        match (a.next(), b.next()) {
            (None, None) => return out,
            (a, b) if a == b => {}
            (a, b) => {
                a.iter().for_each(|line| out.push_str(&format!("-{line}\n")));
                b.iter().for_each(|line| out.push_str(&format!("+{line}\n")));
            }
        }
    }
}
