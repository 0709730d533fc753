//! On Linux: translators for the regions of an image's layers, on all cores.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use shallop_compiler::{limit, translated};
use shallop_layer::index::{Index, NodeId};
use shallop_layer::merge::Place;
use shallop_oci::{Config, Digest};
use shallop_supervisor::jobs::{self, Job, Variant};
use shallop_supervisor::{Translations, translator};

use super::Report;
use crate::{Session, entrypoint};

/// ELF-64 object file format, version 1.5: offsets in the file's header, a program header's size, type and flag.
const MACHINE: usize = 18;
const RISCV: u16 = 243;
const TABLE: usize = 32;
const COUNT: usize = 56;
const HEADER_BYTES: usize = 56;
const LOAD: u32 = 1;
const EXECUTABLE: u32 = 1;

/// Program headers of a file that are looked at.
const MAX_HEADERS: u16 = 128;

const PAGE: u64 = 4096;

/// Cores that one translator keeps busy: it compiles a module's functions side by side.
const CORES_EACH: usize = 2;
/// Translators at once: each may need much memory.
const MAX_TRANSLATORS: usize = 4;

/// A piece of a layer's file that is mapped to be executed.
struct Region {
    file: Arc<File>,
    offset: u64,
    len: u32,
    /// The image's process starts with it.
    first: bool,
}

/// What became of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Translated,
    Failed,
    Full,
}

/// Translates the code of an image's layers; `progress` is told how many of how many pieces are done.
///
/// # Errors
/// When translations are turned off, or a layer cannot be read.
pub fn precompile(
    session: &Session,
    (layers, config): (&[Digest], &Config),
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Report> {
    let Some(translations) = session.translations()? else {
        bail!("--precompile: SHALLOP_ENGINE=interpreter turns translation off");
    };
    let variant = if translations.how.precise { Variant::Precise } else { Variant::Lazy };
    let mut regions = Vec::new();
    let starting = entrypoint::files(&session.merged(layers)?, config);
    for (number, layer) in (0..).zip(layers) {
        let first = |node| starting.contains(&Place { layer: number, node });
        regions.extend(regions_of(session, layer, first)?);
    }
    let mut report = Report { all: regions.len(), ..Report::default() };
    let mut whole = BTreeMap::new();
    regions.retain(|region| {
        let file = Arc::as_ptr(&region.file);
        let found = whole.entry(file).or_insert_with(|| {
            let found = translated::find(&translations.cache, &region.file, &[variant]);
            found.into_iter().filter(|found| found.whole).map(|found| (found.offset, found.len)).collect::<Vec<_>>()
        });
        !found.contains(&(region.offset, region.len))
    });
    report.cached = report.all - regions.len();
    // From the end on: what is wanted first, then the largest, so that no core waits for one at the end.
    regions.sort_by_key(|region| (region.first, region.len));
    let ends = translate_all(regions, &translations, variant, &mut |done| progress(report.cached + done, report.all));
    report.failed = ends.iter().filter(|end| **end == End::Failed).count();
    report.full = ends.iter().filter(|end| **end == End::Full).count();
    Ok(report)
}

fn regions_of(session: &Session, layer: &Digest, first: impl Fn(NodeId) -> bool) -> Result<Vec<Region>> {
    let files = session.store.layer_files(layer)?;
    let Some(aligned) = files.aligned.map(Arc::new) else { return Ok(Vec::new()) };
    let index = Index::read(&files.index).with_context(|| format!("the index of layer {layer}"))?;
    let mut regions = Vec::new();
    for node in 0..index.nodes() {
        // What is no regular file has no data.
        let Ok(data) = index.data(node) else { continue };
        if let Some(at) = data.aligned {
            let found = executable(&aligned, at, data.size).unwrap_or_default();
            let region = |(offset, len)| Region { file: aligned.clone(), offset, len, first: first(node) };
            regions.extend(found.into_iter().map(region));
        }
    }
    Ok(regions)
}

/// Where a file's executable segments are mapped from, when it is an ELF file; `at` is where it begins.
fn executable(file: &File, at: u64, size: u64) -> Option<Vec<(u64, u32)>> {
    let mut header = [0; 64];
    file.read_exact_at(&mut header, at).ok()?;
    let half = |at: usize| Some(u16::from_le_bytes(*header.get(at..)?.first_chunk()?));
    if !header.starts_with(b"\x7fELF\x02\x01") || half(MACHINE)? != RISCV {
        return None;
    }
    let table = u64::from_le_bytes(*header.get(TABLE..)?.first_chunk()?);
    let mut bytes = vec![0; usize::from(half(COUNT)?.min(MAX_HEADERS)) * HEADER_BYTES];
    file.read_exact_at(&mut bytes, at.checked_add(table)?).ok()?;
    let segments = bytes.chunks_exact(HEADER_BYTES).filter_map(|header| segment(header, size));
    Some(segments.filter_map(|(offset, len)| Some((at.checked_add(offset)?, len))).collect())
}

/// The whole pages of an executable segment, as loaders map them.
fn segment(header: &[u8], size: u64) -> Option<(u64, u32)> {
    let word = |at: usize| Some(u32::from_le_bytes(*header.get(at..)?.first_chunk()?));
    let double = |at: usize| Some(u64::from_le_bytes(*header.get(at..)?.first_chunk()?));
    let (offset, len) = (double(8)?, double(32)?);
    let end = offset.checked_add(len).filter(|&end| end <= size)?;
    let start = offset - offset % PAGE;
    let whole = u32::try_from(end.next_multiple_of(PAGE) - start).ok().filter(|&len| len <= jobs::MAX_REGION)?;
    (word(0)? == LOAD && word(4)? & EXECUTABLE != 0 && len != 0).then_some((start, whole))
}

/// Ends its process, which otherwise would go on in the background.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Translates regions from the end of the list on.
fn translate_all(
    regions: Vec<Region>,
    translations: &Translations,
    variant: Variant,
    progress: &mut dyn FnMut(usize),
) -> Vec<End> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.div_ceil(CORES_EACH).clamp(1, MAX_TRANSLATORS).min(regions.len());
    let waiting = Mutex::new(regions);
    let (tell, told) = channel();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (waiting, tell) = (&waiting, tell.clone());
            scope.spawn(move || {
                let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
                while let Some(region) = next() {
                    let full = limit::size(&translations.cache) >= translations.limit;
                    let end = match full || translate(&region, translations, variant).is_ok() {
                        _ if full => End::Full,
                        true => End::Translated,
                        false => End::Failed,
                    };
                    if tell.send(end).is_err() {
                        return;
                    }
                }
            });
        }
        drop(tell);
        let mut ends = Vec::new();
        for end in told {
            ends.push(end);
            progress(ends.len());
        }
        ends
    })
}

/// Has a process of its own translate a region, so that its limits are for that alone.
fn translate(region: &Region, translations: &Translations, variant: Variant) -> Result<()> {
    let (ours, theirs) = UnixStream::pair().context("making a socket")?;
    let _running = Running(translator::spawn(translations, OwnedFd::from(theirs))?);
    let Region { offset, len, .. } = *region;
    let job = Job {
        region: 0,
        variant,
        offset,
        len,
        lasts: true,
        starts: Vec::new(),
        warm: false,
        jumps: Vec::new(),
        whole: true,
        tell: true,
        given: 0,
    };
    jobs::send_job(&ours, &job, &region.file)?;
    while let Some((answer, _)) = jobs::receive_answer(&ours)? {
        if answer.done {
            return Ok(());
        }
    }
    bail!("the translator ended")
}
