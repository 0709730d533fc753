//! What the builder needs of the outside: images and layers, a runner of steps, somebody who watches.

use std::any::Any;
use std::io::Write;

use anyhow::Result;
use shallop_dockerfile::Network;
use shallop_layer::merge::Merged;
use shallop_oci::{Digest, ImageConfig, Platform};

/// The store, as the builder sees it.
pub trait Images {
    /// The configuration of an image that a FROM or a COPY --from names.
    fn base(&self, name: &str, platform: &Platform) -> Result<ImageConfig>;
    /// The files of these layers, lowest first, with their contents.
    fn merged(&self, layers: &[Digest]) -> Result<Merged>;
    /// Keeps a layer that `write` writes as an uncompressed tar; its diffID.
    fn put_layer(&self, write: &mut dyn FnMut(&mut dyn Write) -> Result<()>) -> Result<Digest>;
    /// What a step with this key gave before, if its layer is still there.
    fn cached(&self, key: &str) -> Result<Option<Cached>>;
    fn keep(&self, key: &str, result: &Cached) -> Result<()>;
    /// Waits until no other build does the step with this key; `waits` is called once if that takes long. The step is
    /// this build's own until the value is dropped.
    fn turn(&self, key: &str, waits: &mut dyn FnMut()) -> Result<Box<dyn Any>>;
    /// Keeps an image under these names; its ID.
    fn put_image(&self, config: &ImageConfig, names: &[String]) -> Result<Digest>;
    /// The time now, RFC 3339.
    fn now(&self) -> String;
}

/// The result of a step that made a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// `None`: there was nothing to do (a WORKDIR that existed).
    pub layer: Option<Digest>,
    /// RFC 3339.
    pub created: String,
}

/// One RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStep {
    pub layers: Vec<Digest>,
    pub argv: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    pub workdir: String,
    pub user: String,
    pub platform: Platform,
    pub network: Network,
}

/// How a RUN ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunResult {
    pub exit_code: i32,
    /// What it changed; there is one also when it changed nothing. Not looked at when `exit_code` is not 0.
    pub layer: Option<Digest>,
}

/// Runs steps in sandboxes.
pub trait Steps {
    /// `output` gets the step's standard output and error as they come.
    fn run(&self, step: &RunStep, output: &mut dyn FnMut(&[u8])) -> Result<RunResult>;
}

/// How a shown step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Cached,
    Done,
    /// With the reason.
    Failed(String),
}

impl End {
    /// How a step ended that was really done.
    pub fn of<T>(result: &Result<T>) -> End {
        match result {
            Ok(_) => End::Done,
            Err(error) => End::Failed(format!("{error:#}")),
        }
    }
}

/// Somebody who watches a build.
pub trait Progress {
    /// A step begins: `[stage 2/5] RUN make`.
    fn begin(&self, title: &str);
    /// Output of the step that began last.
    fn output(&self, bytes: &[u8]);
    fn end(&self, how: End);
    /// Something to tell that is no step: a warning.
    fn note(&self, text: &str);
}
