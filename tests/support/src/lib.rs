//! What the end-to-end tests share: programs to compare with ([`oracle`]), running a command with a time limit
//! ([`command`]), what processes it leaves ([`processes`]), a web server ([`http`]), a registry
//! ([`registry`]), and the `shallop` command with a home
//! of its own ([`shallop`]), images with more of Debian in them ([`packages`]), suites that others wrote ([`suite`]).
#![forbid(unsafe_code)]

pub mod command;
pub mod http;
pub mod oracle;
pub mod packages;
pub mod processes;
pub mod registry;
pub mod shallop;
pub mod suite;

pub use command::{Finished, run};
pub use oracle::oracle;
pub use shallop::Shallop;

use std::path::PathBuf;

/// The root folder of the workspace.
pub fn workspace() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("tests/support is two folders deep").to_owned()
}
