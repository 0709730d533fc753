//! One region of guest code as a translator knows it: its bytes, what is translated of it and what may come next.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};
use shallop_sandbox::Function;
use shallop_supervisor::jobs::{self, Job};
use shallop_translate::image::{Image, data_extent};
use shallop_translate::{Options, Region, Translated, Variant, translate};

use crate::translated::{Claim, Folder};

/// What is known of a region.
pub struct Known {
    code: Vec<u8>,
    image: Image,
    options: Options,
    pub folder: Folder,
    /// Offsets that a module has an entry for, or that cannot be translated.
    done: BTreeSet<u32>,
    /// Starts of functions that nobody asked for.
    ahead: VecDeque<u32>,
    /// The right to translate those; `None`: it was not asked for yet.
    claim: Option<Claim>,
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
        // Without it the region is only not found at the next start.
        let _ = folder.note(cache, file, (job.offset, job.len), job.variant);
        let size = code.len() + data.len();
        let image = Image::new(&code, 0, data);
        let ahead = image.starts().collect();
        let options = options(job.variant);
        Ok(Known { code, image, options, folder, done: BTreeSet::new(), ahead, claim: None, size })
    }

    /// Takes the modules that have come to the folder since the last call.
    pub fn arrived(&mut self) -> Vec<File> {
        let mut files = Vec::new();
        while let Some((entries, file)) = self.folder.take() {
            self.done.extend(entries);
            files.push(file);
        }
        files
    }

    /// Whether nothing is to be done for this offset.
    pub fn is_done(&self, start: u32) -> bool {
        self.done.contains(&start)
    }

    /// Bytes of the function that `start` is in; 0: unknown.
    pub fn bytes(&self, start: u32) -> u32 {
        self.image.function(start).map_or(0, |function| function.end - function.start)
    }

    /// Translates functions to wasm; `None`: none can be. They count as done from now on.
    pub fn translate(&mut self, starts: &[u32]) -> Option<(Vec<u8>, Vec<Function>)> {
        self.done.extend(starts);
        let region = Region { code: &self.code, start: 0, image: &self.image };
        let Translated { wasm, functions, .. } = translate(&region, starts, &self.options);
        let functions: Vec<_> = functions.into_iter().map(|f| Function { start: f.start, resume: f.resume }).collect();
        self.done.extend(entries(&functions));
        (!functions.is_empty()).then_some((wasm, functions))
    }

    /// The next functions that nobody asked for, of about so many bytes together.
    pub fn next_ahead(&mut self, bytes: u32) -> Vec<u32> {
        if self.ahead.is_empty() || !self.claim.get_or_insert_with(|| self.folder.claim()).is_ours() {
            return Vec::new();
        }
        let (mut taken, mut sum) = (Vec::new(), 0);
        while sum < bytes
            && let Some(start) = self.ahead.pop_front()
        {
            if !self.done.contains(&start) {
                sum += self.bytes(start).max(1);
                taken.push(start);
            }
        }
        taken
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
