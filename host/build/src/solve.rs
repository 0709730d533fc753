//! The build itself: stages in order of need, each instruction's effect on files and configuration, the cache.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use shallop_dockerfile::{Dockerfile, Instruction, Kind, Span, Stage, expand};
use shallop_oci::{Digest, ImageConfig, Platform, Reference};

use crate::arguments::Arguments;
use crate::config;
use crate::context::Context;
use crate::effects::{End, Images, Progress, Steps};
use crate::epoch;
use crate::scope::Scope;
use crate::stages;

/// What to build.
#[derive(Debug, Clone)]
pub struct Request {
    /// Shown in errors.
    pub dockerfile_path: PathBuf,
    pub dockerfile: String,
    pub context: PathBuf,
    /// Names that the image gets.
    pub tags: Vec<String>,
    pub arguments: Vec<(String, String)>,
    pub labels: Vec<(String, String)>,
    pub target: Option<String>,
    pub platform: Platform,
    /// Where the build runs.
    pub build_platform: Platform,
    pub no_cache: bool,
    /// `--network none`: steps get none.
    pub no_network: bool,
}

/// What was built.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    pub image: Digest,
    pub config: ImageConfig,
}

/// Builds an image and tags it.
///
/// # Errors
/// What is wrong with the Dockerfile, with its place; a step that failed; what the outside refuses.
pub fn build(request: &Request, images: &dyn Images, steps: &dyn Steps, progress: &dyn Progress) -> Result<Built> {
    let name = request.dockerfile_path.display().to_string();
    let file = shallop_dockerfile::parse(&request.dockerfile)
        .map_err(|error| anyhow!(error.within(&name, &request.dockerfile)))?;
    let target = stages::target(&file, request.target.as_deref())?;
    let context = Context::open(&request.context, &request.dockerfile_path)?;
    let stage_name = request.target.clone().unwrap_or_else(|| "default".into());
    let arguments = Arguments::new(&request.arguments, &request.build_platform, &request.platform, &stage_name);
    let mut builder = Builder {
        request,
        name,
        file: &file,
        arguments,
        images,
        steps,
        progress,
        context,
        done: HashMap::new(),
        declared: Vec::new(),
        epoch: None,
    };
    builder.epoch = epoch::of(&builder.globals()?, builder.arguments.given("SOURCE_DATE_EPOCH"))?;
    let mut config = builder.stage(target)?.config;
    for (name, value) in &request.labels {
        config.config.labels.insert(name.clone(), value.clone());
    }
    builder.warn_of_unused();
    let image = images.put_image(&config, &request.tags)?;
    Ok(Built { image, config })
}

/// A stage's result.
#[derive(Clone)]
pub(crate) struct Done {
    pub(crate) config: ImageConfig,
    platform: Platform,
}

pub(crate) struct Builder<'a> {
    pub(crate) request: &'a Request,
    name: String,
    pub(crate) file: &'a Dockerfile,
    pub(crate) arguments: Arguments,
    pub(crate) images: &'a dyn Images,
    pub(crate) steps: &'a dyn Steps,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) context: Context,
    done: HashMap<usize, Done>,
    /// Names of every ARG seen.
    declared: Vec<String>,
    /// SOURCE_DATE_EPOCH, RFC 3339: the time of whatever this build adds to an image's history.
    pub(crate) epoch: Option<String>,
}

/// A stage while it is built.
pub(crate) struct State {
    pub(crate) config: ImageConfig,
    pub(crate) platform: Platform,
    pub(crate) scope: Scope,
    /// The stage's name in progress, `stage-2` where it has none; empty in a file with one stage.
    pub(crate) label: String,
    /// Number of the step that is shown, of `total`.
    pub(crate) step: usize,
    pub(crate) total: usize,
    /// There was a CMD in this stage.
    has_cmd: bool,
}

impl Builder<'_> {
    /// An error with its place in the Dockerfile.
    fn at(&self, span: Span, error: anyhow::Error) -> anyhow::Error {
        anyhow!(shallop_dockerfile::Error::new(span, format!("{error:#}")).within(&self.name, &self.request.dockerfile))
    }

    fn warn_of_unused(&self) {
        let unused = self.arguments.unused(&self.declared);
        if !unused.is_empty() {
            self.progress.note(&format!("[Warning] One or more build-args {unused:?} were not consumed"));
        }
    }

    pub(crate) fn stage(&mut self, index: usize) -> Result<Done> {
        if let Some(done) = self.done.get(&index) {
            return Ok(done.clone());
        }
        let stage = &self.file.stages[index];
        let mut state = self.from(index, stage).map_err(|error| self.located(stage.span, error))?;
        for instruction in &stage.instructions {
            self.instruction(index, &mut state, instruction).map_err(|error| self.located(instruction.span, error))?;
        }
        let done = Done { config: state.config, platform: state.platform };
        self.done.insert(index, done.clone());
        Ok(done)
    }

    /// Adds a place to an error that has none yet (an inner stage's has).
    fn located(&self, span: Span, error: anyhow::Error) -> anyhow::Error {
        if error.is::<shallop_dockerfile::Error>() { error } else { self.at(span, error) }
    }

    /// FROM: an earlier stage, `scratch`, or an image.
    fn from(&mut self, index: usize, stage: &Stage) -> Result<State> {
        let globals = self.globals()?;
        let expand = |text: &str| {
            expand::word(text, self.file.escape, &|name: &str| globals.lookup(name)).map_err(|e| anyhow!(e))
        };
        let image = expand(&stage.from.image)?;
        if image.is_empty() {
            bail!("base name ({}) should not be blank", stage.from.image);
        }
        let mut platform = self.request.platform.clone();
        if let Some(text) = &stage.from.platform {
            platform = expand(text)?.parse().with_context(|| format!("FROM --platform={text}"))?;
        }
        let label = match &stage.from.name {
            Some(name) => name.clone(),
            None if self.file.stages.len() == 1 => String::new(),
            None => format!("stage-{index}"),
        };
        let mut state = State {
            config: ImageConfig::new(&platform),
            platform,
            scope: Scope::new(globals.globals()),
            label,
            step: 0,
            total: stages::shown(stage),
            has_cmd: false,
        };
        if let Some(earlier) = stages::named(self.file, &image, index) {
            let done = self.stage(earlier)?;
            (state.config, state.platform) = (done.config, done.platform);
            return Ok(state);
        }
        if !state.platform.is_supported() {
            bail!("platform {} is not supported; there are linux/riscv64 and wasi/wasm", state.platform);
        }
        if image == "scratch" {
            state.config.created.clone_from(&self.epoch);
            if state.platform.is_linux() {
                state.config.config.env.push(config::DEFAULT_PATH.into());
                state.config.config.working_dir = "/".into();
            }
            return Ok(state);
        }
        Reference::parse_cli(&image).with_context(|| format!("failed to parse stage name \"{image}\""))?;
        (state.step, state.total) = (1, state.total + 1);
        self.progress.begin(&state.title(&format!("FROM {image}")));
        let found = self.images.base(&image, &state.platform);
        self.progress.end(End::of(&found));
        state.config = found?;
        if self.epoch.is_some() {
            state.config.created.clone_from(&self.epoch);
        }
        state.platform = state.config.platform();
        if state.platform.is_linux() && !state.config.config.env.iter().any(|entry| entry.starts_with("PATH=")) {
            state.config.config.env.push(config::DEFAULT_PATH.into());
        }
        Ok(state)
    }

    /// The ARGs before the first FROM.
    fn globals(&mut self) -> Result<Scope> {
        let mut scope = Scope::default();
        for (arg, span) in &self.file.arguments {
            self.declared.push(arg.name.clone());
            scope.declare(arg, &self.arguments, self.file.escape).map_err(|error| self.at(*span, error))?;
        }
        scope.add_automatic(&self.arguments);
        Ok(scope)
    }

    fn instruction(&mut self, index: usize, state: &mut State, instruction: &Instruction) -> Result<()> {
        if stages::changes_files(&instruction.kind) {
            state.step += 1;
        }
        match &instruction.kind {
            Kind::Run(step) => self.run(state, step, &instruction.text),
            Kind::Copy(step) => self.copy(index, state, step, "COPY", &instruction.text),
            Kind::Add(step) => self.copy(index, state, step, "ADD", &instruction.text),
            Kind::Workdir(path) => self.workdir(state, path, &instruction.text),
            Kind::Arg(arguments) => {
                for arg in arguments {
                    self.declared.push(arg.name.clone());
                    state.scope.declare(arg, &self.arguments, self.file.escape)?;
                }
                let texts: Vec<String> = arguments.iter().map(|arg| state.scope.describe(&arg.name)).collect();
                config::remember(&mut state.config, &format!("ARG {}", texts.join(" ")), None);
                Ok(())
            }
            other => {
                let expand = state.scope.expander(&state.config.config.env, self.file.escape);
                state.has_cmd |= matches!(other, Kind::Cmd(_));
                config::apply(&mut state.config, other, &expand, state.has_cmd)
            }
        }
    }
}

/// A RUN whose command failed.
#[derive(Debug)]
pub struct StepFailed {
    pub command: String,
    pub code: i32,
}

impl std::fmt::Display for StepFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process \"{}\" did not complete successfully: exit code: {}", self.command, self.code)
    }
}

impl std::error::Error for StepFailed {}

impl State {
    /// `[make 2/4] RUN make`.
    pub(crate) fn title(&self, text: &str) -> String {
        let space = if self.label.is_empty() { "" } else { " " };
        let width = self.total.to_string().len();
        let (keyword, rest) =
            text.lines().next().unwrap_or_default().split_once(char::is_whitespace).unwrap_or((text, ""));
        format!("[{}{space}{:width$}/{}] {} {rest}", self.label, self.step, self.total, keyword.to_ascii_uppercase())
    }
}
