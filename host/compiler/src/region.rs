//! One region of guest code as a translator knows it: its bytes, what is translated of it and what may come next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use shallop_sandbox::{Compiler, Function};
use shallop_supervisor::jobs::{self, Job};
use shallop_translate::image::{Image, data_extent};
use shallop_translate::{Options, Refusal, Region, Translated, Variant, translate};

use crate::translated::{Claim, Folder, MAX_PAIRS};

/// Bytes of guest code of one module of a whole region.
const WHOLE_BYTES: u32 = 4 << 20;

/// Bytes of native code of a region that nobody asked for, at most. In a larger one only what gets hot is translated, and what
/// is warm again and again: most of a compiler's code seldom runs, and all of it would fill the cache.
const UNASKED_BYTES: u32 = 256 << 20;

/// How often functions of such a region are told of as warm before they are translated: when the worker has ended, and while it
/// runs.
const AGAIN: u32 = 2;
const OFTEN: u32 = 4;

/// How often code in the middle of a function is asked for before it is entered there: what is called anew by then is not.
const TIMES_IN_MIDDLE: u32 = 3;

/// So many modules of a region are no burden.
const FEW: u32 = 4;

/// Adds to what is known of jumps or of warm functions; who runs the code says it, so that there is no end to it.
fn note(known: &mut BTreeMap<u32, u32>, pairs: impl IntoIterator<Item = (u32, u32)>) {
    for (key, value) in pairs {
        if known.len() < MAX_PAIRS || known.contains_key(&key) {
            known.insert(key, value);
        }
    }
}

/// What is known of a region.
pub struct Known {
    code: Vec<u8>,
    image: Image,
    /// Functions' starts, in order.
    starts: Vec<u32>,
    /// Bytes of all functions.
    total: u32,
    options: Options,
    pub folder: Folder,
    /// Offsets that a module has an entry for, or that cannot be translated.
    done: BTreeSet<u32>,
    /// Offsets in the middle of functions that were asked for, and how often.
    asked: BTreeMap<u32, u32>,
    /// Where it can be entered besides the functions' starts.
    others: BTreeSet<u32>,
    /// Starts of functions that processes told of as warm, and how often, if not all are translated anyway.
    warm: BTreeMap<u32, u32>,
    /// The right to translate what nobody asked for; `None`: it was not asked for yet.
    claim: Option<Claim>,
    /// Whether it was to be merged.
    tried: bool,
    /// How many of the folder's modules the worker has from its start.
    given: u32,
    /// Bytes that it takes here.
    pub size: usize,
}

impl Known {
    /// Reads the code that a job is about.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(cache: &Path, job: &Job, file: &File) -> Result<Known> {
        let code = read(file, job.offset, job.len as usize)?;
        let data = match data_extent(&code) {
            Some((offset, len)) => read(file, job.offset.saturating_add(offset), len)?,
            None => Vec::new(),
        };
        let folder = Folder::new(cache, &[&code, &data], job.variant)?;
        if job.lasts {
            // Without it the region is only not found at the next start.
            let _ = folder.note(cache, file, (job.offset, job.len), job.variant);
        }
        let size = code.len() + data.len();
        let image = Image::new(&code, 0, data);
        let starts: Vec<u32> = image.starts().collect();
        let total = starts.iter().filter_map(|&start| image.function(start)).map(|it| it.end - it.start).sum::<u32>();
        let mut options = options(job.variant);
        options.likely = Arc::new(folder.jumps());
        let warm = folder.warm();
        let (done, asked, others) = Default::default();
        let (claim, tried, given) = (None, false, job.given);
        Ok(Known { code, image, starts, total, options, folder, done, asked, others, warm, claim, tried, given, size })
    }

    /// Takes the modules that have come to the folder since the last call, but for those that the worker has.
    pub fn arrived(&mut self) -> Vec<File> {
        let mut files = Vec::new();
        while let Some((number, entries, file)) = self.folder.take() {
            self.note(&entries);
            if number >= self.given {
                files.push(file);
            }
        }
        files
    }

    /// Whether nothing is to be done for this offset.
    pub fn is_done(&self, start: u32) -> bool {
        self.done.contains(&start)
    }

    /// What is to be translated when code at an offset is asked for. In the middle of a function that is its start, by which
    /// the next call enters it, and only if that is asked for again and again the rest from there on, for the call that goes on.
    pub fn wanted(&mut self, offset: u32) -> Vec<u32> {
        let start = self.image.function(offset).map(|function| function.start).filter(|start| *start != offset);
        let middle = match start {
            None => Some(offset),
            Some(_) => {
                let times = self.asked.entry(offset).or_default();
                *times += 1;
                (*times >= TIMES_IN_MIDDLE).then_some(offset)
            }
        };
        [middle, start].into_iter().flatten().filter(|start| !self.done.contains(start)).collect()
    }

    /// Bytes of the function that `start` is in.
    pub fn bytes(&self, start: u32) -> u32 {
        self.image.function(start).map_or(0, |function| function.end - function.start)
    }

    /// Whether only what is asked for is translated, and what is warm.
    fn is_vast(&self) -> bool {
        self.total > UNASKED_BYTES / growth(self.options.variant)
    }

    /// Notes that the functions that these offsets are in were warm in a process.
    pub fn note_warm(&mut self, offsets: &[u32]) {
        if self.is_vast() {
            let functions = offsets.iter().filter_map(|&offset| self.image.function(offset));
            for start in functions.map(|function| function.start).filter(|start| !self.done.contains(start)) {
                let times = self.warm.get(&start).map_or(1, |times| times.saturating_add(1));
                note(&mut self.warm, [(start, times)]);
            }
        }
    }

    /// Translates functions to wasm; `None`: none can be. They count as done from now on.
    pub fn translate(&mut self, starts: &[u32]) -> Option<(Vec<u8>, Vec<Function>)> {
        self.done.extend(starts);
        let (wasm, functions, _) = self.module(starts);
        self.note(&entries(&functions));
        (!functions.is_empty()).then_some((wasm, functions))
    }

    /// Notes that a module has these entries.
    fn note(&mut self, entries: &[u32]) {
        self.done.extend(entries);
        // In the middle of a function it is entered by code that runs already, and by no program that starts.
        let image = &self.image;
        self.others.extend(entries.iter().filter(|entry| image.function(**entry).is_none()));
    }

    /// Notes where computed jumps of the region went, as far as there is room for them.
    pub fn note_jumps(&mut self, jumps: Vec<(u32, u32)>) {
        let inside = |jump: &(u32, u32)| (jump.0 as usize) < self.code.len();
        let jumps: Vec<_> = jumps.into_iter().filter(inside).collect();
        if !jumps.is_empty() {
            note(Arc::make_mut(&mut self.options.likely), jumps);
        }
    }

    /// Keeps what processes told, for who goes on with the region.
    pub fn keep(&self) {
        self.folder.keep_jumps(&self.options.likely);
        let is_left = |&(start, _): &(&u32, &u32)| !self.done.contains(start);
        self.folder.keep_warm(&self.warm.iter().filter(is_left).map(|(start, told)| (*start, *told)).collect());
    }

    /// A module of functions, and those that had no room in it.
    fn module(&self, starts: &[u32]) -> (Vec<u8>, Vec<Function>, Vec<u32>) {
        let region = Region { code: &self.code, start: 0, image: &self.image };
        let Translated { wasm, functions, skipped } = translate(&region, starts, &self.options);
        let functions = functions.into_iter().map(|f| Function { start: f.start, resume: f.resume }).collect();
        let full = skipped.into_iter().filter(|(_, why)| *why == Refusal::Module);
        (wasm, functions, full.map(|(start, _)| start).collect())
    }

    /// Whether it should be merged, once, by this process: it has at most so many bytes, in more modules than it needs or
    /// not all of them.
    pub fn may_merge(&mut self, bytes: u32) -> bool {
        let scattered = || self.folder.taken() > FEW || !self.left(AGAIN).is_empty();
        let may = !self.tried && !self.folder.is_whole() && self.total <= bytes && scattered();
        self.tried |= may;
        may && self.has_claim()
    }

    /// Whether this process is the one that translates what nobody asked for.
    fn has_claim(&mut self) -> bool {
        self.claim.get_or_insert_with(|| self.folder.claim()).is_ours()
    }

    /// Compiles all of it once more into as few modules as can be, unless that was done; these take the place of what
    /// is there. `goes_on` says whether to.
    ///
    /// # Errors
    /// When they cannot be kept; what was there stays.
    pub fn merge(&mut self, compiler: &Compiler, mut goes_on: impl FnMut() -> bool) -> Result<()> {
        if self.folder.is_whole() {
            return Ok(());
        }
        let starts: BTreeSet<u32> = self.starts.iter().chain(&self.others).copied().collect();
        ensure!(!starts.is_empty(), "no function is known");
        let mut fresh = self.folder.begin()?;
        let mut left: VecDeque<u32> = starts.iter().copied().collect();
        while !left.is_empty() {
            ensure!(goes_on(), "the command has ended");
            let part = self.part(&mut left, WHOLE_BYTES);
            let (wasm, functions, full) = self.module(&part);
            ensure!(full.len() < part.len(), "a function that fits no module");
            full.into_iter().rev().for_each(|start| left.push_front(start));
            if !functions.is_empty() {
                fresh.add(&compiler.compile(&wasm)?, &functions)?;
            }
        }
        self.folder.finish(fresh)?;
        self.done.extend(starts);
        Ok(())
    }

    /// Takes functions of about so many bytes.
    fn part(&self, from: &mut VecDeque<u32>, bytes: u32) -> Vec<u32> {
        let (mut taken, mut sum) = (Vec::new(), 0);
        while sum < bytes
            && let Some(start) = from.pop_front()
        {
            sum += if self.others.contains(&start) { 1 } else { self.bytes(start).max(1) };
            taken.push(start);
        }
        taken
    }

    /// Starts of functions that nobody asked for and that are to be translated nevertheless: all, or those that were told of
    /// so often.
    fn left(&self, times: u32) -> VecDeque<u32> {
        let is_left = |start: &&u32| !self.folder.is_whole() && !self.done.contains(*start);
        if self.is_vast() {
            let warm = self.warm.iter().filter(|(_, told)| **told >= times).map(|(start, _)| start);
            warm.filter(is_left).copied().collect()
        } else {
            self.starts.iter().filter(is_left).copied().collect()
        }
    }

    /// Notes that nothing is left to be done, if that is so and this process is the one to tell.
    pub fn note_end(&mut self) {
        if self.left(AGAIN).is_empty() && self.has_claim() {
            self.folder.note_done();
        }
    }

    /// The next functions that nobody asked for, of about so many bytes together, of a region of which not all is translated
    /// (`warm`) or of another.
    pub fn next_ahead(&mut self, warm: bool, bytes: u32) -> Vec<u32> {
        if self.is_vast() != warm {
            return Vec::new();
        }
        let mut left = self.left(AGAIN);
        if left.is_empty() || !self.has_claim() {
            return Vec::new();
        }
        self.part(&mut left, bytes)
    }

    /// Functions that were warm so often that they are wanted before the worker's end, if they make a module of so many bytes.
    pub fn next_warm(&self, bytes: u32) -> Vec<u32> {
        if self.warm.is_empty() {
            return Vec::new();
        }
        let part = self.part(&mut self.left(OFTEN), bytes);
        let sum = part.iter().map(|&start| self.bytes(start)).sum::<u32>();
        if sum >= bytes { part } else { Vec::new() }
    }
}

/// How many times as large as guest code its translation is, about.
fn growth(variant: Variant) -> u32 {
    match variant {
        Variant::Lazy => 10,
        Variant::Precise => 40,
    }
}

fn options(variant: jobs::Variant) -> Options {
    let variant = match variant {
        jobs::Variant::Lazy => Variant::Lazy,
        jobs::Variant::Precise => Variant::Precise,
    };
    Options { variant, ..Options::of_files() }
}

/// Every offset that functions are good to be entered at: one that has more entries than its start is slower.
fn entries(functions: &[Function]) -> Vec<u32> {
    let start = |function: &Function| function.resume.is_empty().then_some(function.start);
    let all = |function: &Function| start(function).into_iter().chain(function.resume.clone()).collect::<Vec<_>>();
    functions.iter().flat_map(all).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_that_are_told_have_an_end() {
        let mut known = BTreeMap::new();
        note(&mut known, (0..MAX_PAIRS as u32 + 9).map(|site| (site, 4)));
        note(&mut known, [(1, 8)]);
        assert_eq!((known.len(), known[&0], known[&1]), (MAX_PAIRS, 4, 8));
    }
}
