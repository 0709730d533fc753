//! Runs single instructions on qemu's user-mode emulator, by way of `tests/isa/riscv64/oracle.c`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the tested instruction lies, and where the bytes that it may access.
pub const ENTRY: u64 = 0x2020_0000;
pub const SCRATCH: u64 = 0x1000_0800;
pub const SCRATCH_LENGTH: usize = 64;

/// Linux's numbers of the signals that end a step.
pub const SIGILL: u32 = 4;
pub const SIGTRAP: u32 = 5;
pub const SIGBUS: u32 = 7;
pub const SIGSEGV: u32 = 11;

const RECORD_BYTES: usize = 600;
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/isa/riscv64/oracle.c");
const EMULATOR: &str = "qemu-riscv64-static";
const COMPILER: &str = "riscv64-linux-gnu-gcc";

/// The state before or after one instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub x: [u64; 32],
    pub f: [u64; 32],
    pub fcsr: u32,
    /// After: SIGTRAP when the instruction was executed.
    pub signal: u32,
    pub pc: u64,
    pub scratch: [u8; SCRATCH_LENGTH],
}

/// An instruction with the state to execute it in.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: &'static str,
    pub instruction: u32,
    pub state: State,
}

impl Case {
    /// Bytes of the instruction.
    pub fn length(&self) -> u32 {
        if self.instruction & 3 == 3 { 4 } else { 2 }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(RECORD_BYTES);
        bytes.extend(self.instruction.to_le_bytes());
        bytes.extend(self.length().to_le_bytes());
        for value in self.state.x.iter().chain(&self.state.f) {
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend(self.state.fcsr.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
        bytes.extend(0u64.to_le_bytes());
        bytes.extend(self.state.scratch);
        bytes
    }
}

impl State {
    /// What of this state is not as in `other`, in words; empty when nothing.
    pub fn difference(&self, other: &State) -> String {
        let mut text = String::new();
        let mut add = |name: &str, ours: u64, theirs: u64| {
            if ours != theirs {
                text += &format!(" {name}: {ours:#x}, the emulator has {theirs:#x};");
            }
        };
        for index in 0..32 {
            add(&format!("x{index}"), self.x[index], other.x[index]);
            add(&format!("f{index}"), self.f[index], other.f[index]);
        }
        for index in 0..SCRATCH_LENGTH {
            add(&format!("scratch[{index}]"), self.scratch[index] as u64, other.scratch[index] as u64);
        }
        add("fcsr", self.fcsr as u64, other.fcsr as u64);
        add("signal", self.signal as u64, other.signal as u64);
        add("pc", self.pc, other.pc);
        text
    }

    fn from_bytes(record: &[u8]) -> State {
        let word = |offset: usize| u64::from_le_bytes(record[offset..offset + 8].try_into().unwrap());
        let half = |offset: usize| u32::from_le_bytes(record[offset..offset + 4].try_into().unwrap());
        State {
            x: std::array::from_fn(|index| word(8 + 8 * index)),
            f: std::array::from_fn(|index| word(264 + 8 * index)),
            fcsr: half(520),
            signal: half(524),
            pc: word(528),
            scratch: record[536..600].try_into().unwrap(),
        }
    }
}

/// The emulated processor.
#[derive(Debug, Clone, Copy)]
pub enum Model {
    /// The newest rules (FMIN and FMAX of a signalling NaN), and more extensions than RV64GC.
    Newest,
    /// RV64GC and nothing else.
    Plain,
}

impl Model {
    fn name(self) -> &'static str {
        match self {
            Model::Newest => "rv64",
            Model::Plain => "sifive-u54",
        }
    }
}

/// The compiled program of the oracle, ready to run.
pub struct Emulator {
    program: PathBuf,
}

impl Emulator {
    /// None when a tool is missing; the reason has been printed. Fails the test instead when the environment has
    /// `SHALLOP_TEST_REQUIRE_ORACLES`.
    pub fn find(test: &str) -> Option<Emulator> {
        if in_path(EMULATOR) && in_path(COMPILER) {
            return Some(Emulator { program: compile(test) });
        }
        let missing = "install qemu-user-static, gcc-riscv64-linux-gnu";
        assert!(std::env::var_os("SHALLOP_TEST_REQUIRE_ORACLES").is_none(), "{missing}");
        println!("skipped: {missing}");
        None
    }

    /// The states after the cases, in their order.
    pub fn run(&self, model: Model, cases: &[Case]) -> Vec<State> {
        let mut child = Command::new(EMULATOR)
            .args(["-cpu", model.name()])
            .arg(&self.program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the emulator");
        let mut input = child.stdin.take().expect("a pipe");
        let mut output = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for case in cases {
                    // A broken pipe shows as a short output, below.
                    if input.write_all(&case.to_bytes()).is_err() {
                        return;
                    }
                }
            });
            child.stdout.take().expect("a pipe").read_to_end(&mut output).expect("read the emulator's output");
        });
        let status = child.wait().expect("wait for the emulator");
        let done = output.len() / RECORD_BYTES;
        assert!(status.success() && done == cases.len(), "{status} at {:x?}", cases.get(done));
        output.chunks_exact(RECORD_BYTES).map(State::from_bytes).collect()
    }
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Each test compiles its own copy: tests run at the same time.
fn compile(test: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("oracle-{test}"));
    let status = Command::new(COMPILER)
        .args(["-O1", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-mno-relax"])
        .args(["-Wl,--no-relax", SOURCE, "-o"])
        .arg(&program)
        .status()
        .expect("start the compiler");
    assert!(status.success(), "{COMPILER}: {status}");
    program
}
