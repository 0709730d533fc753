//! [`Session`]: the store and the code cache, as one command uses them.

use std::fs::File;

use anyhow::{Context, Result, bail};
use shallop_compiler::{CodeCache, Stops};
use shallop_config::{Dirs, env, size};
use shallop_guest_wasm::{CPU, Embedded, KERNEL};
use shallop_layer::index::Index;
use shallop_layer::merge::Merged;
use shallop_oci::Digest;
use shallop_store::Store;
use shallop_supervisor::{Descriptor, Translating, Translations, Waiting};

use crate::ahead::Ahead;

/// The count of calls and jumps back, weighed by the engine, at which code is hot.
const HOT: u32 = 2000;

/// Bytes of translated code that are kept.
const CACHE_LIMIT: u64 = 1 << 30;

/// Seconds of CPU time for which a translator goes on after its worker's end.
const LINGER: u64 = 60;

/// One layer's opened files, lowest first in a list.
#[derive(Debug)]
pub struct Layer {
    pub tar: File,
    pub index: File,
    pub aligned: Option<File>,
}

/// One command's view of what is on this machine.
#[derive(Debug)]
pub struct Session {
    pub store: Store,
    pub dirs: Dirs,
    code: CodeCache,
    /// The compiled kernel and engine.
    engine: Ahead<(File, File)>,
    worker: Ahead<Waiting>,
}

impl Session {
    /// Opens the store and the code cache that the environment names.
    ///
    /// # Errors
    /// When they cannot be opened.
    pub fn open() -> Result<Session> {
        let dirs = Dirs::from_env()?;
        let code = CodeCache::new(&dirs.code_cache())?;
        Ok(Session { store: Store::open(&dirs)?, dirs, code, engine: Ahead::default(), worker: Ahead::default() })
    }

    /// As [`Session::open`], for a command that runs something at once: meanwhile threads start a worker, and open and check
    /// the engine's code.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open_to_run() -> Result<Session> {
        let dirs = Dirs::from_env()?;
        let worker = Ahead::begin("worker", || Waiting::start().ok());
        let code = CodeCache::new(&dirs.code_cache())?;
        let cache = code.clone();
        let engine = Ahead::begin("engine", move || {
            let existing = |module| cache.existing(&key(module)).ok().flatten();
            Some((existing(&KERNEL)?, existing(&CPU)?))
        });
        Ok(Session { store: Store::open(&dirs)?, dirs, code, engine, worker })
    }

    /// The compiled kernel and engine.
    ///
    /// # Errors
    /// When they cannot be compiled.
    pub fn engine_code(&self) -> Result<(File, File)> {
        match self.engine.take() {
            Some(code) => Ok(code),
            None => Ok((self.embedded(&KERNEL, Stops::Anywhere)?, self.embedded(&CPU, Stops::ByWord)?)),
        }
    }

    /// A worker.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn worker(&self) -> Result<Waiting> {
        self.worker.take().map_or_else(Waiting::start, Ok)
    }

    fn embedded(&self, module: &Embedded, stops: Stops) -> Result<File> {
        self.code.open(&key(module), module.wasm, stops)
    }

    /// How hot code is translated, when it is.
    ///
    /// # Errors
    /// When an environment variable has a value that is none.
    pub fn translations(&self) -> Result<Option<Translations>> {
        let mode = env::SHALLOP_ENGINE.get();
        let (precise, storm) = match mode.as_deref().map(|value| value.to_string_lossy()).as_deref() {
            Some("interpreter") => return Ok(None),
            None | Some("lazy") => (false, false),
            Some("precise") => (true, false),
            Some("storm") => (false, true),
            Some(other) => {
                bail!("SHALLOP_ENGINE is {other:?}; there are \"interpreter\", \"lazy\", \"precise\" and \"storm\"")
            }
        };
        let test = env::SHALLOP_TEST_HOT.get().map(|value| value.to_string_lossy().parse());
        let test = test.transpose().context("SHALLOP_TEST_HOT is no number")?;
        let hot = test.unwrap_or(HOT).clamp(1, HOT);
        let how = Translating { precise, storm, hot, waits: test.is_some() };
        let limit = env::SHALLOP_CACHE_LIMIT.get().map(|value| size::parse(&value.to_string_lossy()));
        let limit = limit.transpose().context("SHALLOP_CACHE_LIMIT is no size")?.unwrap_or(CACHE_LIMIT);
        let linger = env::SHALLOP_TEST_LINGER.get().map(|value| value.to_string_lossy().parse());
        let linger = linger.transpose().context("SHALLOP_TEST_LINGER is no number")?.unwrap_or(LINGER);
        Ok(Some(Translations { cache: self.dirs.translations(), limit, linger, how }))
    }

    /// A WASI module's compiled form.
    pub fn module_code(&self, wasm: &[u8]) -> Result<Descriptor> {
        let key = format!("wasi-{}", Digest::of(wasm).hex());
        let code = self.code.open(&key, wasm, Stops::Anywhere)?;
        Ok(shallop_supervisor::file(code, &self.code.path(&key)?))
    }

    /// The opened files of layers, lowest first.
    pub fn layers(&self, layers: &[Digest]) -> Result<Vec<Layer>> {
        layers
            .iter()
            .map(|layer| {
                let files = self.store.layer_files(layer)?;
                Ok(Layer { tar: files.tar, index: files.index, aligned: files.aligned })
            })
            .collect()
    }

    /// The files of layers, with their contents.
    pub fn merged(&self, layers: &[Digest]) -> Result<Merged> {
        let mut indexes = Vec::new();
        let mut tars = Vec::new();
        for layer in layers {
            let files = self.store.layer_files(layer)?;
            indexes.push(Index::read(&files.index).with_context(|| format!("the index of layer {layer}"))?);
            tars.push(files.tar);
        }
        let mut merged = Merged::new(indexes)?;
        for (number, tar) in tars.into_iter().enumerate() {
            merged.attach(number as u32, Box::new(tar));
        }
        Ok(merged)
    }
}

/// An embedded module's key in the code cache.
fn key(module: &Embedded) -> String {
    format!("{}-{}", module.name, module.identity)
}
