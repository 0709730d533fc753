//! The build itself: stages in order of need, each instruction's effect on files and configuration, the cache.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use shallop_dockerfile::{Dockerfile, Instruction, Kind, Span, Stage, expand};
use shallop_oci::{Digest, ImageConfig, Platform};

use crate::arguments::Arguments;
use crate::config;
use crate::context::Context;
use crate::effects::{Cached, End, Images, Progress, RunStep, Steps};
use crate::scope::{Expander, Scope};
use crate::stages;
use crate::step::copy::{self, CopyStep};
use crate::step::{run, workdir};
use crate::tree::{self, ImageTree, Tree};

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
    };
    let mut config = builder.stage(target)?.config;
    for (name, value) in &request.labels {
        config.config.labels.insert(name.clone(), value.clone());
    }
    builder.warn_of_unused();
    let image = images.put_image(&config)?;
    request.tags.iter().try_for_each(|tag| images.tag(&image, tag))?;
    Ok(Built { image, config })
}

/// A stage's result.
#[derive(Clone)]
struct Done {
    config: ImageConfig,
    platform: Platform,
}

struct Builder<'a> {
    request: &'a Request,
    name: String,
    file: &'a Dockerfile,
    arguments: Arguments,
    images: &'a dyn Images,
    steps: &'a dyn Steps,
    progress: &'a dyn Progress,
    context: Context,
    done: HashMap<usize, Done>,
    /// Names of every ARG seen.
    declared: Vec<String>,
}

/// A stage while it is built.
struct State {
    config: ImageConfig,
    platform: Platform,
    scope: Scope,
    /// `stage 2/5`, without the brackets' number for what is not shown.
    label: String,
    step: usize,
    total: usize,
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

    fn stage(&mut self, index: usize) -> Result<Done> {
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
        let total = stages::shown(stage);
        let mut state = State {
            config: ImageConfig::new(&platform),
            platform,
            scope: Scope::new(globals.globals()),
            label,
            step: 1,
            total,
        };
        if let Some(earlier) = stages::find(self.file, &image, index).filter(|_| image.parse::<usize>().is_err()) {
            let done = self.stage(earlier)?;
            (state.config, state.platform) = (done.config, done.platform);
            return Ok(state);
        }
        if !state.platform.is_supported() {
            bail!("platform {} is not supported; there are linux/riscv64 and wasi/wasm", state.platform);
        }
        if image == "scratch" {
            if state.platform.is_linux() {
                state.config.config.env.push(config::DEFAULT_PATH.into());
            }
            return Ok(state);
        }
        self.progress.begin(&title(&state, &format!("FROM {image}")));
        let found = self.images.base(&image, &state.platform);
        self.progress.end(if found.is_ok() { End::Done } else { End::Failed });
        state.config = found?;
        state.platform = state.config.platform();
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
                config::apply(&mut state.config, other, &expand)
            }
        }
    }

    /// Does a step that makes a layer, or takes its result from the cache.
    fn cached(
        &self,
        state: &mut State,
        key: &str,
        title: &str,
        history: &str,
        make: impl FnOnce() -> Result<Option<Digest>>,
    ) -> Result<()> {
        self.progress.begin(title);
        let hit = if self.request.no_cache { None } else { self.images.cached(key)? };
        let result = match hit {
            Some(hit) => {
                self.progress.end(End::Cached);
                hit
            }
            None => {
                let made = make().and_then(|layer| {
                    let made = Cached { layer, created: self.images.now() };
                    self.images.keep(key, &made).map(|()| made)
                });
                self.progress.end(if made.is_ok() { End::Done } else { End::Failed });
                made?
            }
        };
        if let Some(layer) = &result.layer {
            state.config.rootfs.diff_ids.push(layer.clone());
        }
        config::remember(&mut state.config, history, Some(&result));
        Ok(())
    }

    fn image_tree(&self, layers: &[Digest]) -> Result<ImageTree> {
        Ok(ImageTree(self.images.merged(layers)?))
    }

    fn run(&self, state: &mut State, step: &shallop_dockerfile::Run, text: &str) -> Result<()> {
        run::check(step, &state.platform)?;
        let image = &state.config.config;
        let argv = run::argv(&step.command, image.shell.as_deref());
        let arguments = state.scope.environment(&image.env);
        let proxies: Vec<String> = self.arguments.proxies().map(|(name, value)| format!("{name}={value}")).collect();
        let run_step = RunStep {
            layers: state.config.rootfs.diff_ids.clone(),
            argv: argv.clone(),
            env: [&image.env[..], &arguments, &proxies].concat(),
            workdir: if image.working_dir.is_empty() { "/".into() } else { image.working_dir.clone() },
            user: image.user.clone(),
            platform: state.platform.clone(),
        };
        let key = run::key(&run_step, step, &proxies);
        let counted =
            if arguments.is_empty() { String::new() } else { format!("|{} {} ", arguments.len(), arguments.join(" ")) };
        let history = format!("RUN {counted}{} # buildkit", argv.join(" "));
        let title = title(state, text);
        self.cached(state, &key, &title, &history, || {
            let result = self.steps.run(&run_step, &mut |bytes| self.progress.output(bytes))?;
            if result.exit_code != 0 {
                let command = argv.join(" ");
                return Err(anyhow!(StepFailed { command, code: result.exit_code }));
            }
            Ok(Some(result.layer.context("the step's sandbox gave no layer")?))
        })
    }

    fn workdir(&self, state: &mut State, path: &str, text: &str) -> Result<()> {
        let path = state.scope.expander(&state.config.config.env, self.file.escape).word(path)?;
        let full =
            if path.starts_with('/') { path.clone() } else { format!("{}/{path}", state.config.config.working_dir) };
        let full = format!("/{}", tree::clean(&full));
        state.config.config.working_dir = full.clone();
        let layers = state.config.rootfs.diff_ids.clone();
        let mut key = crate::cache_key::Key::new("WORKDIR", &layers);
        key.field("path", full.as_bytes());
        let title = title(state, text);
        self.cached(state, &key.finish(), &title, &format!("WORKDIR {full}"), || {
            let missing = workdir::missing(&self.image_tree(&layers)?, &full)?;
            if missing.is_empty() {
                return Ok(None);
            }
            let layer = self.images.put_layer(&mut |out| {
                let mut writer = shallop_layer::tar::Writer::new(out);
                missing.iter().try_for_each(|entry| writer.append(entry, &mut std::io::empty()))?;
                Ok(writer.finish()?)
            })?;
            Ok(Some(layer))
        })
    }

    fn copy(
        &mut self,
        index: usize,
        state: &mut State,
        copy: &shallop_dockerfile::Copy,
        keyword: &str,
        text: &str,
    ) -> Result<()> {
        let from = match &copy.from {
            Some(from) => Some(self.copy_source(index, from, &state.platform)?),
            None => None,
        };
        let expand = state.scope.expander(&state.config.config.env, self.file.escape);
        let layers = state.config.rootfs.diff_ids.clone();
        let image = self.image_tree(&layers)?;
        let step = expanded(copy, &expand, &state.config, &image)?;
        if keyword == "ADD" {
            refuse_archives(&step)?;
        }
        let source: &dyn Tree = match &from {
            Some(tree) => tree,
            None => &self.context,
        };
        let history = history(keyword, copy, &step, &expand)?;
        let title = title(state, text);
        let files = copy::plan(&step, source, &image)?;
        let key = files.key(source, &layers)?;
        self.cached(state, &key, &title, &history, || {
            Ok(Some(self.images.put_layer(&mut |out| files.write(source, out))?))
        })
    }

    /// What --from names: an earlier stage, or an image.
    fn copy_source(&mut self, index: usize, from: &str, platform: &Platform) -> Result<ImageTree> {
        let layers = match stages::find(self.file, from, index) {
            Some(stage) => self.stage(stage)?.config.rootfs.diff_ids,
            None => self.images.base(from, platform)?.rootfs.diff_ids,
        };
        self.image_tree(&layers)
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

/// `[make 2/4] RUN make`.
fn title(state: &State, text: &str) -> String {
    let space = if state.label.is_empty() { "" } else { " " };
    let first = text.lines().next().unwrap_or_default();
    format!("[{}{space}{}/{}] {first}", state.label, state.step, state.total)
}

fn expanded(
    copy: &shallop_dockerfile::Copy,
    expand: &Expander,
    config: &ImageConfig,
    image: &dyn Tree,
) -> Result<CopyStep> {
    let mut sources = Vec::new();
    for source in &copy.sources {
        sources.push(match source {
            shallop_dockerfile::Source::Path(path) => copy::From::Path(expand.word(path)?),
            shallop_dockerfile::Source::Inline(document) => {
                let content =
                    if document.expand { expand.document(&document.content)? } else { document.content.clone() };
                copy::From::Inline(document.name.clone(), content)
            }
        });
    }
    let destination = expand.word(&copy.destination)?;
    let absolute = match destination.starts_with('/') {
        true => destination.clone(),
        false => format!("{}/{destination}", config.config.working_dir),
    };
    let folder =
        destination.ends_with('/') || destination.ends_with("/.") || matches!(destination.as_str(), "." | ".." | "");
    let chown = copy.chown.as_ref().map(|text| copy::parse_owner(&expand.word(text)?, image)).transpose()?;
    let chmod = copy.chmod.as_ref().map(|text| copy::parse_mode(&expand.word(text)?)).transpose()?;
    Ok(CopyStep {
        sources,
        destination: format!("/{}{}", tree::clean(&absolute), if folder { "/" } else { "" }),
        chown,
        chmod,
        keep_owner: copy.from.is_some(),
    })
}

/// ADD would unpack these; that is not done yet, and to copy them as they are would be something else.
fn refuse_archives(step: &CopyStep) -> Result<()> {
    const ARCHIVES: [&str; 9] =
        [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.zst", ".tzst"];
    for source in &step.sources {
        if let copy::From::Path(path) = source
            && ARCHIVES.iter().any(|suffix| path.ends_with(suffix))
        {
            bail!("ADD {path}: unpacking archives is not done yet; use COPY and unpack it in a RUN step");
        }
    }
    Ok(())
}

fn history(keyword: &str, copy: &shallop_dockerfile::Copy, step: &CopyStep, expand: &Expander) -> Result<String> {
    let mut text = keyword.to_owned();
    for (flag, value) in [("chown", &copy.chown), ("chmod", &copy.chmod)] {
        if let Some(value) = value {
            text.push_str(&format!(" --{flag}={}", expand.word(value)?));
        }
    }
    for source in &step.sources {
        match source {
            copy::From::Path(path) => text.push_str(&format!(" {path}")),
            copy::From::Inline(name, _) => text.push_str(&format!(" <<{name}")),
        }
    }
    text.push_str(&format!(" {} # buildkit", expand.word(&copy.destination)?));
    Ok(text)
}
