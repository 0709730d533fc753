//! Runs small kernels written as wat over a processor module that is written as wat.

use std::fs::File;
use std::io::{Seek, Write};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use shallop_sandbox::{Artifacts, Events, Grant, Launch, Outcome, compile, run};

static CPU: LazyLock<Vec<u8>> = LazyLock::new(|| native(include_str!("cpu.wat")));

/// A module's native code.
pub fn native(wat: &str) -> Vec<u8> {
    compile(&wat::parse_str(wat).expect("wat")).expect("compiling")
}

pub fn file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(content).expect("writing");
    file.rewind().expect("rewinding");
    file
}

/// What a test gives its kernel.
pub struct Setup {
    pub grants: Vec<Grant>,
    pub memory_limit: u64,
    pub wall_limit: Option<Duration>,
    pub events: Arc<Events>,
}

impl Default for Setup {
    fn default() -> Setup {
        let events = Events::new().expect("an event descriptor");
        Setup { grants: Vec::new(), memory_limit: 0, wall_limit: None, events }
    }
}

/// Runs a kernel whose `_start` has these locals and this body.
pub fn run_kernel(body: &str, setup: Setup) -> Outcome {
    let kernel = format!("(module {} (func (export \"_start\") {body}))", include_str!("kernel.wat"));
    let artifacts = Artifacts { kernel: file(&native(&kernel)), cpu: file(&CPU) };
    let launch = Launch {
        spec: b"{\"the\": \"spec\"}".to_vec(),
        grants: setup.grants,
        memory_limit: setup.memory_limit,
        wall_limit: setup.wall_limit,
        trace: None,
        events: setup.events,
    };
    run(artifacts, launch).expect("starting")
}

/// Runs a kernel that must exit with `status`.
pub fn expect_status(status: u32, body: &str) {
    let outcome = run_kernel(body, Setup::default());
    assert_eq!((outcome.status, outcome.report.as_deref()), (status, None), "{outcome:x?}");
}
