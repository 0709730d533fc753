//! The C programs of `tests/syscall` say the same inside a container (riscv64) as on the machine the tests run on.
//!
//! Each family is one test and one container: a shell script runs its programs one after another, each in an empty
//! folder, and marks where one begins and how it ended. The machine's own output is the expectation. The families run
//! as the engine does by default; all programs run again in each other mode, where nearly all code is translated.

use shallop_config::env;
use shallop_test_support::shallop::folder;
use shallop_test_support::{Finished, Shallop, command, oracle, workspace};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Programs (`family/name`) that cannot agree, and why. They are compiled but not compared.
const NOT_COMPARED: &[(&str, &str)] =
    &[("memory/no_execute", "the engine fetches instructions from every page that can be read")];

/// Families whose programs begin as root: without it they have nothing to say.
const FOR_ROOT: &[&str] = &["ids"];

const FLAGS: &[&str] = &["-std=gnu11", "-O1", "-w", "-pthread"];
const COMPILE_LIMIT: Duration = Duration::from_secs(120);
/// For one family inside, in seconds; the processes outside get a little longer.
const FAMILY_SECONDS: u64 = 240;

/// Runs the programs that follow the two folders: `$1` with the programs, `$2` to work in.
const SCRIPT: &str = r#"programs=$1 work=$2
shift 2
for name in "$@"; do
    mkdir -p "$work/$name" && cd "$work/$name" || exit 99
    echo "=== $name"
    "$programs/$name" </dev/null
    echo "--- $?"
done
"#;

/// What one program printed, and its exit code; `None` when it never came to an end.
#[derive(Debug, PartialEq, Eq)]
struct Section {
    name: String,
    output: String,
    status: Option<i32>,
}

#[derive(Debug, Clone, Copy)]
struct Target {
    name: &'static str,
    compiler: &'static str,
    flags: &'static [&'static str],
}

const NATIVE: Target = Target { name: "native", compiler: "gcc", flags: &[] };
const RISCV64: Target = Target { name: "riscv64", compiler: "riscv64-linux-gnu-gcc", flags: &["-static"] };
/// With libraries of their own in /t/lib: what is translated of them serves all programs.
const SHARED: Target = Target {
    name: "riscv64-shared",
    compiler: RISCV64.compiler,
    flags: &["-Wl,--dynamic-linker=/t/lib/ld-linux-riscv64-lp64d.so.1", "-Wl,-rpath,/t/lib,--disable-new-dtags"],
};
/// `pthread_exit` loads the last one.
const LIBRARIES: &[&str] = &["ld-linux-riscv64-lp64d.so.1", "libc.so.6", "libgcc_s.so.1"];

/// The names of a family's programs, sorted.
fn programs(family: &str) -> Vec<String> {
    let folder = workspace().join("tests/syscall").join(family);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("read a folder entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
        .map(|path| path.file_stem().expect("a file has a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Compile a family for a target; programs newer than their sources stay. Gives their folder.
fn compile(target: Target, family: &str, names: &[String]) -> PathBuf {
    let sources = workspace().join("tests/syscall");
    let folder = target_folder(target).join(family);
    fs::create_dir_all(&folder).expect("create the folder of programs");
    let _lock = lock(&folder);
    for name in names {
        let source = sources.join(family).join(format!("{name}.c"));
        let program = folder.join(name);
        if is_newer(&program, &[&source, &sources.join("check.h")]) {
            continue;
        }
        let mut gcc = Command::new(target.compiler);
        gcc.args(FLAGS).args(target.flags).arg("-I").arg(&sources).arg(&source).arg("-o").arg(&program);
        let done = command::run(&mut gcc, b"", COMPILE_LIMIT);
        assert_eq!(done.code, 0, "{} {}:\n{}", target.compiler, source.display(), done.stderr);
    }
    folder
}

fn target_folder(target: Target) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("syscall").join(target.name)
}

/// Put the compiler's own libraries beside the programs of `SHARED`.
fn copy_libraries(folder: &Path) {
    let _lock = lock(folder);
    fs::create_dir_all(folder.join("lib")).expect("create the folder of libraries");
    for name in LIBRARIES {
        let mut gcc = Command::new(SHARED.compiler);
        let found = command::run(gcc.arg(format!("-print-file-name={name}")), b"", COMPILE_LIMIT).expect_code(0);
        let (from, to) = (PathBuf::from(found.stdout.trim()), folder.join("lib").join(name));
        if !is_newer(&to, &[&from]) {
            fs::copy(&from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
    }
}

/// Held while programs are compiled: other tests may want them too. Freed with the file.
fn lock(folder: &Path) -> fs::File {
    let file = fs::File::create(folder.with_extension("lock")).expect("create a lock");
    file.lock().expect("lock the folder of programs");
    file
}

fn is_newer(program: &Path, sources: &[&Path]) -> bool {
    let time = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
    let Some(made) = time(program) else { return false };
    sources.iter().all(|source| time(source).is_some_and(|changed| changed < made))
}

fn run_native(programs: &Path, names: &[String]) -> Finished {
    let work = folder();
    let mut sh = Command::new("sh");
    sh.args(["-c", SCRIPT, "sh"]).arg(programs).arg(work.path()).args(names).env("LC_ALL", "C");
    command::run(&mut sh, b"", Duration::from_secs(FAMILY_SECONDS + 30))
}

fn run_inside(shallop: &Shallop, programs: &Path, names: &[String]) -> Finished {
    let volume = format!("{}:/t:ro", programs.display());
    let limit = FAMILY_SECONDS.to_string();
    let mut inside = shallop.command(&["run", "--rm", "--timeout", &limit, "-v", &volume, "-w", "/tmp"]);
    inside.args(["catalog.internal/busybox", "sh", "-c", SCRIPT, "sh", "/t", "/tmp/w"]).args(names);
    command::run(&mut inside, b"", Duration::from_secs(FAMILY_SECONDS + 30))
}

/// Run programs of an image's /t with this engine; code is hot at `hot`.
fn run_in_image(shallop: &Shallop, image: &str, (engine, hot): (&str, u32), names: &[String]) -> Finished {
    let limit = FAMILY_SECONDS.to_string();
    let mut inside = shallop.command(&["run", "--rm", "--timeout", &limit, "-w", "/tmp", image]);
    inside.args(["sh", "-c", SCRIPT, "sh", "/t", "/tmp/w"]).args(names);
    inside.env(env::SHALLOP_ENGINE.name, engine).env(env::SHALLOP_TEST_HOT.name, hot.to_string());
    command::run(&mut inside, b"", Duration::from_secs(FAMILY_SECONDS + 30))
}

/// Take the output of the script apart. Text before the first mark is dropped.
fn sections(output: &str) -> Vec<Section> {
    let mut found: Vec<Section> = Vec::new();
    for line in output.split_inclusive('\n') {
        let text = line.trim_end_matches('\n');
        if let Some(name) = text.strip_prefix("=== ") {
            found.push(Section { name: name.to_owned(), output: String::new(), status: None });
        } else if let Some(last) = found.last_mut().filter(|last| last.status.is_none()) {
            match text.strip_prefix("--- ").and_then(|status| status.parse().ok()) {
                Some(status) => last.status = Some(status),
                None => last.output.push_str(line),
            }
        }
    }
    found
}

/// Run all, beginning again after each program that takes the container down or never ends.
fn run_all(names: &[String], run: impl Fn(&[String]) -> Finished) -> (Vec<Section>, String) {
    let mut all = Vec::new();
    let mut notes = String::new();
    let mut rest = names;
    while !rest.is_empty() {
        let done = run(rest);
        let got = sections(&done.stdout);
        let begun = got.len().max(1).min(rest.len());
        if got.last().is_none_or(|last| last.status.is_none()) || begun < rest.len() {
            let how = if done.timed_out { "time limit reached".to_owned() } else { format!("exit code {}", done.code) };
            notes += &format!("stopped in {}: {how}\n{}\n", rest[begun - 1], done.stderr);
        }
        all.extend(got);
        rest = &rest[begun..];
    }
    (all, notes)
}

/// Where two outputs part: the lines around the first difference.
fn difference(expected: &Section, found: Option<&Section>) -> String {
    let Some(found) = found else { return format!("{}: did not run\n", expected.name) };
    let mut text = format!("{}: expected status {:?}, found {:?}\n", expected.name, expected.status, found.status);
    let (left, right): (Vec<_>, Vec<_>) = (expected.output.lines().collect(), found.output.lines().collect());
    let mut shown = 0;
    for line in 0..left.len().max(right.len()) {
        let (left, right) = (left.get(line), right.get(line));
        if left == right || shown == 12 {
            continue;
        }
        shown += 1;
        text += &format!("  line {}:\n    expected {}\n    found    {}\n", line + 1, or_end(left), or_end(right));
    }
    text
}

fn or_end<'a>(line: Option<&&'a str>) -> &'a str {
    line.copied().unwrap_or("(end of output)")
}

/// The command, when all that a suite needs is there.
fn ready(suite: &str) -> Option<Shallop> {
    let needed = [("gcc", "gcc"), ("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu")];
    let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
    (oracle(suite, &needed) && shallop.needs(suite, &["busybox"])).then_some(shallop)
}

/// Compare one family.
fn family(name: &str) {
    let suite = format!("syscall {name}");
    let Some(shallop) = ready(&suite) else { return };
    if FOR_ROOT.contains(&name) && !rustix::process::geteuid().is_root() {
        return oracle::skip(&suite, "root", "the container begins as root, this machine's programs do not");
    }
    let names = programs(name);
    let (native, riscv64) = (compile(NATIVE, name, &names), compile(RISCV64, name, &names));
    let compared: Vec<String> = names.into_iter().filter(|program| !is_listed(name, program)).collect();
    compare(name, &compared, |rest| run_native(&native, rest), |rest| run_inside(&shallop, &riscv64, rest));
}

/// Compare all programs in a mode of the engine. They are in a layer, since code of volumes is not translated.
fn mode(engine: &str, hot: u32) {
    let suite = format!("syscall in mode {engine}");
    let Some(shallop) = ready(&suite) else { return };
    let root = rustix::process::geteuid().is_root();
    let mut names = Vec::new();
    for family in FAMILIES.iter().filter(|family| root || !FOR_ROOT.contains(family)) {
        let programs = programs(family);
        for target in [NATIVE, SHARED] {
            compile(target, family, &programs);
        }
        names.extend(programs.iter().filter(|name| !is_listed(family, name)).map(|name| format!("{family}/{name}")));
    }
    let (native, context) = (target_folder(NATIVE), target_folder(SHARED));
    copy_libraries(&context);
    let dockerfile = "FROM catalog.internal/busybox\nCOPY . /t/\n";
    let image = format!("shallop-test/modes-{engine}");
    let context = context.to_string_lossy();
    shallop.run_with(&["build", "-q", "-t", &image, "-f", "-", &context], dockerfile.as_bytes()).expect_code(0);
    let inside = |rest: &[String]| run_in_image(&shallop, &image, (engine, hot), rest);
    compare(engine, &names, |rest| run_native(&native, rest), inside);
}

/// Compare what programs say on this machine with what they say inside.
fn compare(
    suite: &str,
    compared: &[String],
    native: impl Fn(&[String]) -> Finished,
    inside: impl Fn(&[String]) -> Finished,
) {
    let (expected, trouble) = run_all(compared, native);
    assert!(trouble.is_empty(), "on this machine: {trouble}");
    for section in &expected {
        assert_eq!(section.status, Some(0), "{} fails on this machine:\n{}", section.name, section.output);
    }
    let (found, notes) = run_all(compared, inside);
    let report: String = expected
        .iter()
        .filter(|want| !found.contains(want))
        .map(|want| difference(want, found.iter().find(|got| got.name == want.name)))
        .collect();
    assert!(report.is_empty(), "{suite}: {} programs\n{report}{notes}", compared.len());
}

fn is_listed(family: &str, program: &str) -> bool {
    NOT_COMPARED.iter().any(|(name, _)| name.split_once('/') == Some((family, program)))
}

macro_rules! families {
    ($($name:ident),*) => {
        const FAMILIES: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            family(stringify!($name));
        })*
    };
}

families!(file, pipe, process, signal, memory, time, poll, futex, ids, ipc, limits, tty, proc, socket);

#[test]
fn mode_interpreter() {
    mode("interpreter", 1000);
}

#[test]
fn mode_lazy() {
    mode("lazy", 20);
}

#[test]
fn mode_precise() {
    mode("precise", 20);
}

#[test]
fn mode_storm() {
    mode("storm", 5);
}

#[test]
fn every_family_is_tested() {
    let root = workspace().join("tests/syscall");
    for entry in fs::read_dir(root).expect("read tests/syscall") {
        let entry = entry.expect("read a folder entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(!entry.path().is_dir() || FAMILIES.contains(&&*name), "tests/syscall/{name} is not run");
    }
    for (program, reason) in NOT_COMPARED {
        let source = workspace().join("tests/syscall").join(format!("{program}.c"));
        assert!(source.exists() && !reason.is_empty(), "{program} is listed in vain");
    }
}

#[test]
fn output_is_taken_apart() {
    let found = sections("noise\n=== a\none\n--- 0\nbetween\n=== b\n--- x\n");
    assert_eq!(found.len(), 2);
    assert_eq!((&*found[0].output, found[0].status), ("one\n", Some(0)));
    assert_eq!((&*found[1].output, found[1].status), ("--- x\n", None));
}
