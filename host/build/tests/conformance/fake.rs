//! A store and a runner in memory: every base image is the same stub, every RUN succeeds and changes nothing.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use anyhow::Result;
use shallop_build::{Cached, End, Images, Progress, RunResult, RunStep, Steps};
use shallop_layer::index::{self, Index};
use shallop_layer::merge::Merged;
use shallop_layer::tar::{Entry, Kind, Writer};
use shallop_oci::{Digest, History, ImageConfig, Platform};

/// What the outside of the builder is here.
#[derive(Default)]
pub struct Fake {
    tars: RefCell<HashMap<Digest, Vec<u8>>>,
    /// Paths that the base image and every RUN have; true for folders.
    files: BTreeMap<String, bool>,
}

impl Images for Fake {
    fn base(&self, _: &str, platform: &Platform) -> Result<ImageConfig> {
        let mut config = ImageConfig::new(platform);
        config.config.env = vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()];
        config.config.cmd = Some(vec!["/bin/sh".into()]);
        let layer = self.put_layer(&mut |out| self.write(out))?;
        config.rootfs.diff_ids.push(layer);
        config.history.push(History {
            created: Some("2020-01-01T00:00:00Z".into()),
            created_by: Some("base".into()),
            ..History::default()
        });
        Ok(config)
    }

    fn merged(&self, layers: &[Digest]) -> Result<Merged> {
        let tars = self.tars.borrow();
        let mut indexes = Vec::new();
        for layer in layers {
            indexes.push(Index::parse(index::build(&mut &tars[layer][..], &mut std::io::sink())?)?);
        }
        let mut merged = Merged::new(indexes)?;
        for (i, layer) in layers.iter().enumerate() {
            merged.attach(i as u32, Box::new(tars[layer].clone()));
        }
        Ok(merged)
    }

    fn put_layer(&self, write: &mut dyn FnMut(&mut dyn Write) -> Result<()>) -> Result<Digest> {
        let mut tar = Vec::new();
        write(&mut tar)?;
        let digest = Digest::of(&tar);
        self.tars.borrow_mut().insert(digest, tar);
        Ok(digest)
    }

    fn cached(&self, _: &str) -> Result<Option<Cached>> {
        Ok(None)
    }

    fn keep(&self, _: &str, _: &Cached) -> Result<()> {
        Ok(())
    }

    fn turn(&self, _: &str, _: &mut dyn FnMut()) -> Result<Box<dyn Any>> {
        Ok(Box::new(()))
    }

    fn put_image(&self, config: &ImageConfig, _: &[String]) -> Result<Digest> {
        Ok(Digest::of(&config.to_json()?))
    }

    fn now(&self) -> String {
        "2026-01-02T03:04:05Z".into()
    }
}

impl Fake {
    pub fn with(files: BTreeMap<String, bool>) -> Fake {
        Fake { files, ..Fake::default() }
    }

    fn names(writer: &mut Writer<'_>) -> Result<()> {
        const PASSWD: &[u8] = b"root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/:/bin/false\nuser:x:1000:1000::/:/bin/sh\n";
        const GROUP: &[u8] = b"root:x:0:\ndaemon:x:1:\nuser:x:1000:\nnobody:x:65534:\n";
        writer.append(&Entry::new("etc", 0o755, Kind::Dir), &mut std::io::empty())?;
        for (path, mut text) in [("etc/passwd", PASSWD), ("etc/group", GROUP)] {
            writer.append(&Entry::new(path, 0o644, Kind::File { size: text.len() as u64 }), &mut text)?;
        }
        Ok(())
    }

    fn write(&self, out: &mut dyn Write) -> Result<()> {
        let mut writer = Writer::new(out);
        Fake::names(&mut writer)?;
        for (path, is_dir) in &self.files {
            let (mode, kind) = if *is_dir { (0o755, Kind::Dir) } else { (0o644, Kind::File { size: 0 }) };
            writer.append(&Entry::new(path.clone(), mode, kind), &mut std::io::empty())?;
        }
        Ok(writer.finish()?)
    }
}

impl Steps for Fake {
    fn run(&self, _: &RunStep, _: &mut dyn FnMut(&[u8])) -> Result<RunResult> {
        let layer = self.put_layer(&mut |out| self.write(out))?;
        Ok(RunResult { exit_code: 0, layer: Some(layer) })
    }
}

impl Progress for Fake {
    fn begin(&self, _: &str) {}
    fn output(&self, _: &[u8]) {}
    fn end(&self, _: End) {}
    fn note(&self, _: &str) {}
}
