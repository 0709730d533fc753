//! Runs blocks on qemu's user-mode emulator, by way of `tests/isa/riscv64/blocks.c`: one process for all.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use shallop_riscv64::State;
use shallop_test_support::oracle;

use crate::block::DATA_BYTES;

/// Bytes of code of a block at most.
pub const CODE_BYTES: usize = 1024;
const RECORD_BYTES: usize = 64 * 8 + 16 + CODE_BYTES + DATA_BYTES;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/isa/riscv64/blocks.c");
const EMULATOR: &str = "qemu-riscv64-static";
const COMPILER: &str = "riscv64-linux-gnu-gcc";

/// A block and the state in which it begins.
pub struct Case<'a> {
    pub code: &'a [u8],
    pub state: &'a State,
    pub data: &'a [u8],
}

/// Registers, flags and memory after a block, and Linux's number of the signal that ended it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub x: [u64; 32],
    pub f: [u64; 32],
    pub pc: u64,
    pub fcsr: u32,
    pub signal: u32,
    pub data: Vec<u8>,
}

impl End {
    /// What of this is not as in `other`, in words; empty when nothing.
    pub fn difference(&self, other: &End) -> String {
        let mut text = String::new();
        let mut add = |name: String, ours: u64, theirs: u64| {
            if ours != theirs {
                text += &format!(" {name}: {ours:#x} and {theirs:#x};");
            }
        };
        for index in 0..32 {
            add(format!("x{index}"), self.x[index], other.x[index]);
            add(format!("f{index}"), self.f[index], other.f[index]);
        }
        add("pc".into(), self.pc, other.pc);
        add("fcsr".into(), self.fcsr.into(), other.fcsr.into());
        add("signal".into(), self.signal.into(), other.signal.into());
        for (at, (ours, theirs)) in self.data.iter().zip(&other.data).enumerate() {
            add(format!("data[{at}]"), (*ours).into(), (*theirs).into());
        }
        text
    }

    fn from_bytes(record: &[u8]) -> End {
        let word = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().unwrap());
        let half = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap());
        End {
            x: std::array::from_fn(|index| word(8 * index)),
            f: std::array::from_fn(|index| word(256 + 8 * index)),
            pc: word(512),
            fcsr: half(520),
            signal: half(524),
            data: record[528 + CODE_BYTES..].to_vec(),
        }
    }
}

fn to_bytes(case: &Case<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(RECORD_BYTES);
    case.state.x.iter().chain(&case.state.f).for_each(|value| bytes.extend(value.to_le_bytes()));
    bytes.extend([0; 8]);
    bytes.extend(case.state.fcsr.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(case.code);
    bytes.resize(64 * 8 + 16 + CODE_BYTES, 0);
    bytes.extend(case.data);
    bytes
}

/// The compiled program, ready to run.
pub struct Emulator(PathBuf);

impl Emulator {
    /// `None` when a tool is missing.
    pub fn find(test: &str) -> Option<Emulator> {
        let needed = [(EMULATOR, "qemu-user-static"), (COMPILER, "gcc-riscv64-linux-gnu")];
        oracle(&format!("blocks {test}"), &needed).then(|| Emulator(compile(test)))
    }

    /// How the cases end, in their order.
    pub fn run(&self, cases: &[Case<'_>]) -> Vec<End> {
        let mut child = Command::new(EMULATOR)
            .args(["-cpu", "rv64"])
            .arg(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the emulator");
        let mut input = child.stdin.take().expect("a pipe");
        let mut output = Vec::new();
        std::thread::scope(|scope| {
            // A broken pipe shows as a short output, below.
            scope.spawn(move || cases.iter().try_for_each(|case| input.write_all(&to_bytes(case))));
            child.stdout.take().expect("a pipe").read_to_end(&mut output).expect("read the emulator's output");
        });
        let status = child.wait().expect("wait for the emulator");
        let done = output.len() / RECORD_BYTES;
        assert!(status.success() && done == cases.len(), "{status} at case {done} of {}", cases.len());
        output.chunks_exact(RECORD_BYTES).map(End::from_bytes).collect()
    }
}

/// Each test compiles its own copy: tests run at the same time.
fn compile(test: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("blocks-{test}"));
    let status = Command::new(COMPILER)
        .args(["-O1", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-mno-relax"])
        .args(["-Wl,--no-relax", SOURCE, "-o"])
        .arg(&program)
        .status()
        .expect("start the compiler");
    assert!(status.success(), "{COMPILER}: {status}");
    program
}
