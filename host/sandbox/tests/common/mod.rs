//! Runs small kernels written as wat over a processor module that is written as wat.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

mod native;

pub use native::{file, native};
use shallop_sandbox::{Artifacts, Events, Grant, Launch, Outcome, Stops, run};

static CPU: LazyLock<Vec<u8>> = LazyLock::new(|| native(include_str!("cpu.wat"), Stops::ByWord));

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
    let artifacts = Artifacts { kernel: file(&native(&kernel, Stops::Anywhere)), cpu: file(&CPU) };
    let launch = Launch {
        spec: b"{\"the\": \"spec\"}".to_vec(),
        grants: setup.grants,
        memory_limit: setup.memory_limit,
        wall_limit: setup.wall_limit,
        trace: None,
        profile: None,
        events: setup.events,
        network: None,
        translation: None,
        ready: Vec::new(),
    };
    run(artifacts, launch).expect("starting").0
}

/// Runs a kernel that must exit with `status`.
pub fn expect_status(status: u32, body: &str) {
    let outcome = run_kernel(body, Setup::default());
    assert_eq!((outcome.status, outcome.report.as_deref()), (status, None), "{outcome:x?}");
}
