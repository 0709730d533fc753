//! The translator process: takes jobs from one worker, gives back native code of guest functions.
//!
//! When no job waits it translates the rest of the regions that had some, so that programs that start later find all of
//! their code translated.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, setrlimit};
use shallop_sandbox::{Compiler, Function};
use shallop_supervisor::jobs::{self, Answer, Job};
use shallop_translate::image::{Image, data_extent};
use shallop_translate::{Options, Region, Translated, Variant, translate};

use crate::translated::Folder;

/// Address space and CPU time that one worker's translations may use.
const MEMORY_LIMIT: u64 = 4 << 30;
const CPU_SECONDS: u64 = 1200;

/// How much less important than other processes it is.
const NICENESS: i32 = 5;

/// Regions that are kept; with more, all are forgotten.
const MAX_REGIONS: usize = 256;
/// Bytes of their code and data.
const MAX_KEPT: usize = 512 << 20;

/// Jobs that are taken at once.
const MAX_BATCH: usize = 64;

/// Functions of one module. More make their caller wait, fewer make more modules.
const MAX_FUNCTIONS: usize = 256;

/// Functions of a module that nobody waits for.
const MAX_AHEAD: usize = 128;

/// The translator process. Its stdin is the socket; `cache` is the folder of translated code.
///
/// # Errors
/// When the worker says what is no job.
pub fn main(cache: &Path) -> Result<()> {
    let limit = |value| Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(Resource::As, limit(MEMORY_LIMIT)).context("limiting memory")?;
    setrlimit(Resource::Cpu, limit(CPU_SECONDS)).context("limiting CPU time")?;
    rustix::process::nice(NICENESS).context("stepping back behind others")?;
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().context("the socket")?);
    let compiler = Compiler::new()?;
    let mut translator = Translator { socket, cache: cache.to_owned(), compiler, regions: BTreeMap::new(), kept: 0 };
    translator.serve()
}

/// What is known of a region.
struct Known {
    code: Vec<u8>,
    image: Image,
    options: Options,
    folder: Folder,
    /// Offsets that a sent module has an entry for, or that cannot be translated.
    done: BTreeSet<u32>,
    /// Starts of functions that are translated when nothing else is to be done.
    ahead: VecDeque<u32>,
}

impl Known {
    /// Takes the next functions that nobody asked for.
    fn next_ahead(&mut self) -> BTreeSet<u32> {
        let count = self.ahead.len().min(MAX_AHEAD);
        self.ahead.drain(..count).collect()
    }
}

struct Translator {
    socket: UnixStream,
    cache: PathBuf,
    compiler: Compiler,
    /// By the worker's numbers.
    regions: BTreeMap<u32, Known>,
    kept: usize,
}

impl Translator {
    fn serve(&mut self) -> Result<()> {
        loop {
            if !self.more() && self.translate_ahead()? {
                continue;
            }
            let Some((job, file)) = jobs::receive_job(&self.socket)? else { return Ok(()) };
            let (mut wanted, mut told) = (BTreeMap::new(), Vec::new());
            self.take(&mut wanted, &mut told, job, file);
            for _ in 0..MAX_BATCH {
                if !self.more() {
                    break;
                }
                let Some((job, file)) = jobs::receive_job(&self.socket)? else { return Ok(()) };
                self.take(&mut wanted, &mut told, job, file);
            }
            for (region, starts) in wanted {
                self.translate(region, &starts)?;
            }
            for (region, file) in told {
                jobs::send_answer(&self.socket, &Answer { region, done: true }, &file)?;
            }
        }
    }

    /// Translates some of what nobody asked for yet, of a region that was asked for; false: there is no more.
    fn translate_ahead(&mut self) -> Result<bool> {
        let next =
            |(number, known): (&u32, &mut Known)| (!known.ahead.is_empty()).then(|| (*number, known.next_ahead()));
        let Some((number, starts)) = self.regions.iter_mut().find_map(next) else { return Ok(false) };
        self.translate(number, &starts)?;
        Ok(true)
    }

    /// Whether another job waits.
    fn more(&self) -> bool {
        let mut watched = [PollFd::new(&self.socket, PollFlags::IN)];
        matches!(poll(&mut watched, Some(&Timespec::default())), Ok(1))
    }

    /// Notes what a job wants. One whose code cannot be read is passed over.
    fn take(&mut self, wanted: &mut BTreeMap<u32, BTreeSet<u32>>, told: &mut Vec<(u32, File)>, job: Job, file: File) {
        let known = self.regions.contains_key(&job.region) || self.know(&job, &file).is_ok();
        if job.tell {
            told.push((job.region, file));
        }
        if !known {
            return;
        }
        wanted.entry(job.region).or_default().extend(job.starts);
    }

    /// Reads a region's code, and sends what the cache has of it.
    fn know(&mut self, job: &Job, file: &File) -> Result<()> {
        let code = read(file, job.offset, job.len as usize)?;
        let data = match data_extent(&code) {
            Some((offset, len)) => read(file, job.offset.saturating_add(offset), len)?,
            None => Vec::new(),
        };
        let mut folder = Folder::new(&self.cache, &[&code, &data], job.variant)?;
        folder.note(&self.cache, file, (job.offset, job.len), job.variant)?;
        let bytes = code.len() + data.len();
        let image = Image::new(&code, 0, data);
        if self.regions.len() >= MAX_REGIONS || self.kept + bytes > MAX_KEPT {
            self.regions.clear();
            self.kept = 0;
        }
        let mut done = BTreeSet::new();
        while let Some((functions, file)) = folder.take() {
            done.extend(entries(&functions));
            jobs::send_answer(&self.socket, &Answer { region: job.region, done: false }, &file)?;
        }
        self.kept += bytes;
        let ahead = image.starts().filter(|start| !done.contains(start)).collect();
        self.regions.insert(job.region, Known { code, image, options: options(job.variant), folder, done, ahead });
        Ok(())
    }

    fn translate(&mut self, number: u32, starts: &BTreeSet<u32>) -> Result<()> {
        let Some(known) = self.regions.get_mut(&number) else { return Ok(()) };
        let fresh: Vec<u32> = starts.difference(&known.done).copied().collect();
        known.done.extend(&fresh);
        for starts in fresh.chunks(MAX_FUNCTIONS) {
            let region = Region { code: &known.code, start: 0, image: &known.image };
            let Translated { wasm, functions, .. } = translate(&region, starts, &known.options);
            if functions.is_empty() {
                continue;
            }
            let functions: Vec<_> =
                functions.into_iter().map(|f| Function { start: f.start, resume: f.resume }).collect();
            known.done.extend(entries(&functions));
            // What cannot be compiled or kept stays interpreted.
            let made = self.compiler.compile(&wasm).and_then(|code| known.folder.add(&code, &functions));
            if let Ok(file) = made {
                jobs::send_answer(&self.socket, &Answer { region: number, done: false }, &file)?;
            }
        }
        Ok(())
    }
}

fn options(variant: jobs::Variant) -> Options {
    let variant = match variant {
        jobs::Variant::Lazy => Variant::Lazy,
        jobs::Variant::Precise => Variant::Precise,
    };
    Options { variant, ..Options::of_files() }
}

/// Every offset that functions can be entered at.
fn entries(functions: &[Function]) -> impl Iterator<Item = u32> + '_ {
    functions.iter().flat_map(|function| std::iter::once(function.start).chain(function.resume.iter().copied()))
}

/// A part of a file; zeroes past its end.
fn read(file: &File, offset: u64, len: usize) -> Result<Vec<u8>> {
    let mut code = vec![0; len];
    let mut done = 0;
    while done < code.len() {
        match file.read_at(&mut code[done..], offset.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(bytes) => done += bytes,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("reading code"),
        }
    }
    Ok(code)
}
