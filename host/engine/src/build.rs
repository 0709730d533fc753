//! The builder's effects: images and layers of the store, RUN steps in sandboxes.

use std::any::Any;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use shallop_build::{Cached, Images, RunResult, RunStep, Steps};
use shallop_layer::merge::Merged;
use shallop_layer::upper::{self, Upper};
use shallop_oci::{Digest, ImageConfig, Platform, Reference};
use shallop_store::CacheEntry;

use crate::limits::Limits;
use crate::network::Access;
use crate::pull::Finding;
use crate::{Session, images, platform, substitutes};

/// How long a build waits for another one without a word.
const PATIENCE: Duration = Duration::from_secs(1);

/// A session that builds.
#[derive(Debug)]
pub struct Effects<'a> {
    pub session: &'a Session,
    pub finding: Finding<'a>,
    /// Of each step.
    pub limits: Limits,
    /// Bytes of a step's output that are shown.
    pub log_limit: u64,
    /// The network of steps that do not ask for none.
    pub network: Access,
}

impl Images for Effects<'_> {
    fn base(&self, name: &str, platform: &Platform) -> Result<ImageConfig> {
        let image = images::find(self.session, name, Some(platform), &self.finding)?;
        self.session.store.pin(&image.layers)?;
        let mut config = image.config;
        let asked = Reference::parse_cli(name)?.tagged();
        if !image.tags.contains(&asked) && !image.tags.is_empty() && name.parse::<Digest>().is_err() {
            config.config.labels.insert(substitutes::SUBSTITUTE_LABEL.into(), asked.familiar());
        }
        Ok(config)
    }

    fn merged(&self, layers: &[Digest]) -> Result<Merged> {
        self.session.merged(layers)
    }

    fn put_layer(&self, write: &mut dyn FnMut(&mut dyn Write) -> Result<()>) -> Result<Digest> {
        // The builder's own error is kept: the store only knows that writing failed.
        let mut failure = None;
        let stored = self.session.store.put_layer_with(&mut |out| {
            write(out).map_err(|error| {
                let text = format!("{error:#}");
                failure = Some(error);
                std::io::Error::other(text)
            })
        });
        match (stored, failure) {
            (Ok(layer), _) => Ok(layer.diff_id),
            (Err(shallop_store::StoreError::Input(_)), Some(error)) => Err(error),
            (Err(error), _) => Err(error.into()),
        }
    }

    fn cached(&self, key: &str) -> Result<Option<Cached>> {
        let Some(entry) = self.session.store.cache_get(key)? else { return Ok(None) };
        let config: serde_json::Value = serde_json::from_str(&entry.config).context("a cache entry is damaged")?;
        let created = config["created"].as_str().unwrap_or_default().to_owned();
        Ok(Some(Cached { layer: entry.layer, created }))
    }

    fn keep(&self, key: &str, result: &Cached) -> Result<()> {
        let config = json!({ "created": result.created }).to_string();
        Ok(self.session.store.cache_put(key, &CacheEntry { layer: result.layer, config })?)
    }

    fn turn(&self, key: &str, waits: &mut dyn FnMut()) -> Result<Box<dyn Any>> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(lock) = self.session.store.try_lock_step(key)? {
                return Ok(Box::new(lock));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        waits();
        Ok(Box::new(self.session.store.lock_step(key)?))
    }

    fn put_image(&self, config: &ImageConfig, names: &[String]) -> Result<Digest> {
        let layers = config.rootfs.diff_ids.iter().map(|layer| self.session.store.layer_info(layer));
        let layers = layers.collect::<Result<Vec<_>, _>>()?;
        let names = names.iter().map(|name| Ok(Reference::parse_cli(name)?.tagged()));
        Ok(self.session.store.put_image(config, &layers, &names.collect::<Result<Vec<_>>>()?)?)
    }

    fn now(&self) -> String {
        let now = shallop_oci::time::now();
        shallop_oci::time::format(now.as_secs() as i64, now.subsec_nanos())
    }
}

impl Steps for Effects<'_> {
    fn run(&self, step: &RunStep, output: &mut dyn FnMut(&[u8])) -> Result<RunResult> {
        platform::check_linux("RUN")?;
        let folder = self.session.dirs.state.join("steps");
        std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        // Without a name from the start: a process that is killed leaves nothing behind.
        let scratch = || tempfile::tempfile_in(&folder).with_context(|| format!("a file in {}", folder.display()));
        let (mut journal, data) = (scratch()?, scratch()?);
        journal.write_all(&upper::empty_journal()).context("writing the step's journal")?;
        let code = platform::run_step(self, step, (journal.try_clone()?, data.try_clone()?), output)?;
        if code != 0 {
            return Ok(RunResult { exit_code: code, layer: None });
        }
        let upper = Upper::replay(&journal).context("reading what the step changed")?;
        let merged = self.session.merged(&step.layers)?;
        let layer = self.put_layer(&mut |out| Ok(upper::write_layer(&merged, &upper, &data, out)?))?;
        Ok(RunResult { exit_code: 0, layer: Some(layer) })
    }
}
