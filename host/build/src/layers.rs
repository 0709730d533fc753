//! The steps that make layers: RUN, WORKDIR, COPY and ADD, taken from the cache where they were done before.

use anyhow::{Context as _, Result, anyhow, bail};
use shallop_dockerfile::{CommandLine, Network};
use shallop_layer::tar::Writer;
use shallop_oci::{Config, Digest, Platform};

use crate::config;
use crate::effects::{Cached, End, RunStep};
use crate::scope::Expander;
use crate::solve::{Builder, State, StepFailed};
use crate::stages;
use crate::step::copy::{self, CopyStep};
use crate::step::{owner, run, workdir};
use crate::tree::{self, ImageTree, Tree};

/// Shown for a step that another build is at.
const WAITING: &[u8] = b"another build is at this step; waiting for its result\n";

impl Builder<'_> {
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
        let done = self.taken_or_made(key, make);
        self.progress.end(match &done {
            Ok((_, how)) => how.clone(),
            Err(error) => End::Failed(format!("{error:#}")),
        });
        let (result, _) = done?;
        if let Some(layer) = &result.layer {
            state.config.rootfs.diff_ids.push(*layer);
        }
        let result = Cached { created: self.epoch.clone().unwrap_or(result.created), ..result };
        config::remember(&mut state.config, history, Some(&result));
        Ok(())
    }

    /// A step's result: of the cache, of another build that does the same step right now, or its own.
    fn taken_or_made(&self, key: &str, make: impl FnOnce() -> Result<Option<Digest>>) -> Result<(Cached, End)> {
        let mut turn = None;
        if !self.request.no_cache {
            if let Some(hit) = self.images.cached(key)? {
                return Ok((hit, End::Cached));
            }
            turn = Some(self.images.turn(key, &mut || self.progress.output(WAITING))?);
            if let Some(hit) = self.images.cached(key)? {
                return Ok((hit, End::Cached));
            }
        }
        let made = Cached { layer: make()?, created: self.images.now() };
        self.images.keep(key, &made)?;
        drop(turn);
        Ok((made, End::Done))
    }

    fn image_tree(&self, layers: &[Digest]) -> Result<ImageTree> {
        Ok(ImageTree(self.images.merged(layers)?))
    }

    pub(crate) fn run(&self, state: &mut State, step: &shallop_dockerfile::Run, text: &str) -> Result<()> {
        run::check(&state.platform)?;
        let image = &state.config.config;
        let script = step.script.as_ref().map(run::Script);
        let argv = match &script {
            Some(script) => run::argv(&CommandLine::Shell(script.path()), image.shell.as_deref()),
            None => run::argv(&step.command, image.shell.as_deref()),
        };
        let arguments = state.scope.environment(&image.env);
        let proxies: Vec<String> = self.arguments.proxies().map(|(name, value)| format!("{name}={value}")).collect();
        let run_step = RunStep {
            layers: state.config.rootfs.diff_ids.clone(),
            argv: argv.clone(),
            env: [&image.env[..], &arguments, &proxies].concat(),
            workdir: if image.working_dir.is_empty() { "/".into() } else { image.working_dir.clone() },
            user: image.user.clone(),
            platform: state.platform.clone(),
            network: self.network(step),
        };
        let key = run::key(&run_step, step, &proxies);
        let counted =
            if arguments.is_empty() { String::new() } else { format!("|{} {} ", arguments.len(), arguments.join(" ")) };
        let history = format!("RUN {counted}{} # buildkit", argv.join(" "));
        let title = state.title(text);
        self.cached(state, &key, &title, &history, || {
            let mut run_step = run_step;
            if let Some(script) = &script {
                run_step.layers.push(self.images.put_layer(&mut |out| script.write(out))?);
            }
            let result = self.steps.run(&run_step, &mut |bytes| self.progress.output(bytes))?;
            if result.exit_code != 0 {
                let command = argv.join(" ");
                return Err(anyhow!(StepFailed { command, code: result.exit_code }));
            }
            Ok(Some(result.layer.context("the step's sandbox gave no layer")?))
        })
    }

    /// The network of a step: its own flag's, else the build's.
    fn network(&self, step: &shallop_dockerfile::Run) -> Network {
        if self.request.no_network { Network::None } else { step.network }
    }

    pub(crate) fn workdir(&self, state: &mut State, path: &str, text: &str) -> Result<()> {
        let path = state.scope.expander(&state.config.config.env, self.file.escape).word(path)?;
        let full =
            if path.starts_with('/') { path.clone() } else { format!("{}/{path}", state.config.config.working_dir) };
        let full = format!("/{}", tree::clean(&full));
        state.config.config.working_dir = full.clone();
        let layers = state.config.rootfs.diff_ids.clone();
        let user = state.config.config.user.clone();
        let mut key = crate::cache_key::Key::new("WORKDIR", &layers);
        key.field("path", full.as_bytes());
        key.field("user", user.as_bytes());
        let title = state.title(text);
        self.cached(state, &key.finish(), &title, &format!("WORKDIR {full}"), || {
            let image = self.image_tree(&layers)?;
            let entries = workdir::missing(&image, &full, &user)?;
            // A layer also where the folder is there already, as BuildKit makes one.
            Ok(Some(self.images.put_layer(&mut |out| {
                let mut writer = Writer::new(out);
                entries.iter().try_for_each(|entry| writer.append(entry, &mut std::io::empty()))?;
                Ok(writer.finish()?)
            })?))
        })
    }

    pub(crate) fn copy(
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
        let step = expanded(copy, &expand, &state.config.config, &image)?;
        if keyword == "ADD" {
            refuse_archives(&step)?;
        }
        let source: &dyn Tree = match &from {
            Some(tree) => tree,
            None => &self.context,
        };
        let history = history(keyword, copy, &step, &expand)?;
        let title = state.title(text);
        let files = copy::plan(&step, source, &image)?;
        if files.is_empty() {
            self.progress.note(&format!("[Warning] {text}: there is nothing to copy"));
        }
        let key = files.key(source, &layers)?;
        self.cached(state, &key, &title, &history, || {
            Ok(Some(self.images.put_layer(&mut |out| files.write(source, out))?))
        })
    }

    /// What --from names: an earlier stage, or an image.
    fn copy_source(&mut self, index: usize, from: &str, platform: &Platform) -> Result<ImageTree> {
        let layers = match stages::find(self.file, from, index) {
            Some(stage) => self.stage(stage)?.config.rootfs.diff_ids,
            None => {
                stages::refuse_later(self.file, from, index)?;
                self.images.base(from, platform)?.rootfs.diff_ids
            }
        };
        self.image_tree(&layers)
    }
}

fn expanded(copy: &shallop_dockerfile::Copy, expand: &Expander, config: &Config, image: &dyn Tree) -> Result<CopyStep> {
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
        false => format!("{}/{destination}", config.working_dir),
    };
    let folder =
        destination.ends_with('/') || destination.ends_with("/.") || matches!(destination.as_str(), "." | ".." | "");
    let chown = copy.chown.as_ref().map(|text| chown_of(&expand.word(text)?, image)).transpose()?;
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

fn chown_of(text: &str, image: &dyn Tree) -> Result<(u32, u32)> {
    owner::parse(text, image).with_context(|| format!("--chown={text}"))
}
