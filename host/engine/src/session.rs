//! [`Session`]: the store and the code cache, as one command uses them.

use std::fs::File;

use anyhow::{Context, Result};
use shallop_compiler::CodeCache;
use shallop_config::Dirs;
use shallop_guest_wasm::{CPU, Embedded, KERNEL};
use shallop_layer::index::Index;
use shallop_layer::merge::Merged;
use shallop_oci::Digest;
use shallop_store::Store;

use crate::launch::Layer;

/// One command's view of what is on this machine.
#[derive(Debug)]
pub struct Session {
    pub store: Store,
    pub dirs: Dirs,
    code: CodeCache,
}

impl Session {
    /// Opens the store and the code cache that the environment names.
    pub fn open() -> Result<Session> {
        let dirs = Dirs::from_env()?;
        let store = Store::open(&dirs)?;
        let code = CodeCache::new(&dirs.code_cache())?;
        Ok(Session { store, dirs, code })
    }

    /// The compiled kernel and engine.
    pub fn engine_code(&self) -> Result<(File, File)> {
        Ok((self.embedded(&KERNEL)?, self.embedded(&CPU)?))
    }

    fn embedded(&self, module: &Embedded) -> Result<File> {
        self.code.open(&format!("{}-{}", module.name, module.identity), module.wasm)
    }

    /// A WASI module's compiled form.
    pub fn module_code(&self, wasm: &[u8]) -> Result<File> {
        self.code.open(&format!("wasi-{}", Digest::of(wasm).hex()), wasm)
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
