//! `run --profile`: from the samples that the sandbox wrote to a file that speedscope opens.
//!
//! The form is speedscope's own ("file-format-schema.json" of its source): shared frames, and profiles of samples, each a
//! list of frames with a weight. The first profile has all tasks, the others one each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use shallop_host_abi::profile::Record;

const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";

/// Bytes of a line of the stream at most, and frames of a stack.
const MAX_LINE: u64 = 64 << 10;
const MAX_STACK: usize = 1024;

/// A profile being taken.
pub struct Profile {
    path: PathBuf,
    output: File,
    /// What the sandbox writes.
    samples: File,
}

impl Profile {
    /// Makes the file at `path`, and one without a name for the samples.
    pub fn new(path: &Path) -> Result<Profile> {
        let output = File::create(path).with_context(|| format!("--profile: making {}", path.display()))?;
        let samples = tempfile::tempfile().context("--profile: making a file for samples")?;
        Ok(Profile { path: path.to_owned(), output, samples })
    }

    /// The sandbox's end.
    pub fn stream(&self) -> Result<OwnedFd> {
        Ok(self.samples.try_clone().context("--profile: sharing the file for samples")?.into())
    }

    /// Writes what was sampled; `name` is shown as the profile's.
    pub fn finish(mut self, name: &str) -> Result<()> {
        self.samples.seek(SeekFrom::Start(0)).context("--profile: reading the samples")?;
        let taken = Samples::read(BufReader::new(&self.samples)).context("--profile: reading the samples")?;
        let doing = || format!("--profile: writing {}", self.path.display());
        let mut output = BufWriter::new(&self.output);
        serde_json::to_writer(&mut output, &taken.to_json(name)).with_context(doing)?;
        output.flush().with_context(doing)
    }
}

/// What the kernel wrote.
#[derive(Debug, Default)]
struct Samples {
    /// Names and files.
    frames: Vec<(String, Option<String>)>,
    tasks: Vec<String>,
    /// Task, nanoseconds, stack.
    list: Vec<(u32, u64, Vec<u32>)>,
}

impl Samples {
    /// Reads the stream as far as it goes: the last line may be cut off where the sandbox was ended.
    fn read(mut stream: impl BufRead) -> Result<Samples> {
        let mut samples = Samples::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            let len = std::io::Read::take(&mut stream, MAX_LINE).read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                return if len as u64 == MAX_LINE { bail!("a line is too long") } else { Ok(samples) };
            }
            samples.add(Record::from_line(&line).map_err(anyhow::Error::msg)?)?;
        }
    }

    fn add(&mut self, record: Record) -> Result<()> {
        match record {
            Record::Frame { name, file } => self.frames.push((name, file)),
            Record::Task { pid, tid, name } if pid == tid => self.tasks.push(format!("{name} (process {pid})")),
            Record::Task { pid, tid, name } => self.tasks.push(format!("{name} (thread {tid} of process {pid})")),
            Record::Sample { task, nanoseconds, stack } => {
                let known = stack.len() <= MAX_STACK && stack.iter().all(|frame| (*frame as usize) < self.frames.len());
                if !known || task as usize >= self.tasks.len() {
                    bail!("a sample of a frame or task that was not told of");
                }
                self.list.push((task, nanoseconds, stack));
            }
        }
        Ok(())
    }

    fn to_json(&self, name: &str) -> Value {
        let mut frames: Vec<Value> = self.frames.iter().map(frame).collect();
        // A task's own frame is the outermost one where all tasks are together.
        frames.extend(self.tasks.iter().map(|name| json!({ "name": name })));
        let whole = self.list.iter().map(|(task, nanoseconds, stack)| {
            let root = self.frames.len() as u64 + u64::from(*task);
            (std::iter::once(root).chain(stack.iter().map(|frame| u64::from(*frame))).collect(), *nanoseconds)
        });
        let mut profiles = vec![profile(name, whole)];
        let mut by_task = BTreeMap::<u32, Vec<_>>::new();
        for (task, nanoseconds, stack) in &self.list {
            let stack = stack.iter().map(|frame| u64::from(*frame)).collect();
            by_task.entry(*task).or_default().push((stack, *nanoseconds));
        }
        let named = by_task.into_iter().map(|(task, samples)| profile(&self.tasks[task as usize], samples.into_iter()));
        profiles.extend(named);
        json!({
            "$schema": SCHEMA,
            "exporter": concat!("shallop ", env!("CARGO_PKG_VERSION")),
            "name": name,
            "activeProfileIndex": 0,
            "shared": { "frames": frames },
            "profiles": profiles,
        })
    }
}

fn frame((name, file): &(String, Option<String>)) -> Value {
    match file {
        Some(file) => json!({ "name": name, "file": file }),
        None => json!({ "name": name }),
    }
}

fn profile(name: &str, samples: impl Iterator<Item = (Vec<u64>, u64)>) -> Value {
    let (samples, weights): (Vec<Vec<u64>>, Vec<u64>) = samples.unzip();
    let end = weights.iter().fold(0, |sum: u64, weight| sum.saturating_add(*weight));
    json!({
        "type": "sampled",
        "name": name,
        "unit": "nanoseconds",
        "startValue": 0,
        "endValue": end,
        "samples": samples,
        "weights": weights,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(records: &[Record]) -> Vec<u8> {
        records.iter().flat_map(Record::to_line).collect()
    }

    fn frame(name: &str) -> Record {
        Record::Frame { name: name.into(), file: Some("/bin/p".into()) }
    }

    #[test]
    fn samples_become_profiles() {
        let task = Record::Task { pid: 1, tid: 2, name: "p".into() };
        let sample = Record::Sample { task: 0, nanoseconds: 7, stack: vec![0, 1] };
        let mut bytes = stream(&[frame("main"), frame("hot"), task, sample]);
        bytes.extend_from_slice(b"{\"Sample\":{\"task\"");
        let json = Samples::read(&bytes[..]).unwrap().to_json("image");
        assert_eq!(json["shared"]["frames"][1], json!({ "name": "hot", "file": "/bin/p" }));
        assert_eq!(json["shared"]["frames"][2]["name"], "p (thread 2 of process 1)");
        assert_eq!(json["profiles"][0]["samples"], json!([[2, 0, 1]]));
        assert_eq!(json["profiles"][1]["samples"], json!([[0, 1]]));
        assert_eq!(json["profiles"][1]["endValue"], 7);
    }

    #[test]
    fn nonsense_is_refused() {
        let unknown = stream(&[Record::Sample { task: 0, nanoseconds: 1, stack: vec![] }]);
        assert!(Samples::read(&unknown[..]).is_err());
        assert!(Samples::read(&b"what\n"[..]).is_err());
        assert!(Samples::read(&vec![b'x'; 1 << 20][..]).is_err());
    }
}
