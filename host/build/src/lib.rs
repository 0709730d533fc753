//! The builder: from a parsed Dockerfile, a context and the outside's effects to an image.
//!
//! `solve` walks the stages that are needed; `step/<instruction>` is what an instruction does to files, `config` what it
//! does to the image's configuration; `effects` are the traits that a store, a runner and a watcher implement. Stages are
//! built one after the other; those that nothing needs are not built.
#![forbid(unsafe_code)]

mod arguments;
mod cache_key;
mod config;
mod context;
pub mod effects;
mod epoch;
mod expose;
mod go;
mod layers;
mod platform;
mod scope;
mod signal;
mod solve;
mod stages;
mod step;
mod tree;

#[cfg(test)]
mod tests;

pub use effects::{Cached, End, Images, Progress, RunResult, RunStep, Steps};
pub use shallop_dockerfile::Network;
pub use solve::{Built, Request, StepFailed, build};
