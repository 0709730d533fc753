//! COPY and ADD: which files go where, with which owner and mode; then their cache key, then their layer.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context as _, Result, bail, ensure};
use shallop_dockerfile::pattern;
use shallop_layer::tar::{Entry, Kind, Writer};
use shallop_oci::Digest;

use crate::cache_key::Key;
use crate::tree::{self, Tree, clean, join};

/// Entries of one step at most.
const MAX_ENTRIES: usize = 2_000_000;

/// A source, expanded.
#[derive(Debug, Clone)]
pub enum From {
    /// A path or pattern in the tree.
    Path(String),
    /// A file written in the Dockerfile: name and content.
    Inline(String, String),
}

/// An expanded COPY.
#[derive(Debug, Clone)]
pub struct CopyStep {
    pub sources: Vec<From>,
    /// Absolute; ends with `/` where the Dockerfile's does.
    pub destination: String,
    pub chown: Option<(u32, u32)>,
    pub chmod: Option<u32>,
    /// Ownership comes from the source (another stage) rather than being root's (the context).
    pub keep_owner: bool,
}

/// Where a file's bytes come from.
#[derive(Debug, Clone)]
enum Data {
    None,
    Tree(String),
    Inline(String),
}

/// What a step is planned with.
struct Job<'a> {
    step: &'a CopyStep,
    source: &'a dyn Tree,
    /// The image so far.
    image: &'a dyn Tree,
}

/// The files that the step puts into the image, by path.
#[derive(Debug, Default)]
pub struct Files(BTreeMap<String, (Entry, Data)>);

/// Finds out what to copy.
pub fn plan(step: &CopyStep, source: &dyn Tree, image: &dyn Tree) -> Result<Files> {
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    for from in &step.sources {
        match from {
            From::Inline(name, content) => found.push((name.clone(), Some(content.clone()))),
            From::Path(path) => found.extend(matching(source, path)?.into_iter().map(|path| (path, None))),
        }
    }
    let wants_dir = step.destination.ends_with('/');
    ensure!(
        found.len() < 2 || wants_dir || is_dir(image, &step.destination)?,
        "when using COPY with more than one source file, the destination must be a directory and end with a /"
    );
    let mut files = Files::default();
    let job = Job { step, source, image };
    for (path, inline) in found {
        match inline {
            Some(content) => files.add_inline(&job, &path, content)?,
            None => files.add_source(&job, &path)?,
        }
    }
    Ok(files)
}

fn is_dir(image: &dyn Tree, path: &str) -> Result<bool> {
    let real = tree::resolve(image, path)?;
    Ok(matches!(image.entry(&real)?, Some(Entry { kind: Kind::Dir, .. })))
}

/// The paths that a source names: itself, or what its pattern matches, which may be nothing.
fn matching(source: &dyn Tree, path: &str) -> Result<Vec<String>> {
    let wanted = clean(path);
    if !wanted.contains(['*', '?', '[']) {
        let real = tree::resolve(source, &wanted)?;
        return match source.entry(&real)? {
            Some(_) => Ok(vec![wanted]),
            None => bail!(
                "\"/{wanted}\": not found; it must be in the build context (or the stage of --from) and not be ignored"
            ),
        };
    }
    let mut found = vec![String::new()];
    for part in wanted.split('/') {
        let part: Vec<char> = part.chars().collect();
        let mut next = Vec::new();
        for dir in found {
            let real = tree::resolve(source, &dir)?;
            if !matches!(source.entry(&real)?, Some(Entry { kind: Kind::Dir, .. })) {
                continue;
            }
            let names = source.names(&real)?;
            let matching = names.iter().filter(|name| pattern::matches(&part, &name.chars().collect::<Vec<_>>()));
            next.extend(matching.map(|name| join(&dir, name)));
        }
        found = next;
    }
    Ok(found)
}

impl Files {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Copies one source: a folder's contents, or a file.
    fn add_source(&mut self, job: &Job, path: &str) -> Result<()> {
        let real = tree::resolve(job.source, path)?;
        let entry = job.source.entry(&real)?.with_context(|| format!("\"/{path}\": not found"))?;
        if entry.kind != Kind::Dir {
            let target = self.file_target(job, path)?;
            return self.insert(job, target, entry, Data::Tree(real));
        }
        let target = self.folder_target(job, &real, entry)?;
        for name in job.source.names(&real)? {
            self.add_below(job, &join(&real, &name), &join(&target, &name))?;
        }
        Ok(())
    }

    fn add_inline(&mut self, job: &Job, name: &str, content: String) -> Result<()> {
        let target = self.file_target(job, name)?;
        let entry = Entry::new(target.clone(), 0o644, Kind::File { size: content.len() as u64 });
        self.insert(job, target, entry, Data::Inline(content))
    }

    /// Where a single file goes: into the destination when that is a folder, else there, through a symlink of the image.
    fn file_target(&mut self, job: &Job, path: &str) -> Result<String> {
        let name = path.rsplit('/').next().unwrap_or(path);
        if job.step.destination.ends_with('/') || self.is_dir(job.image, &job.step.destination)? {
            let dir = self.make_dirs(job, &job.step.destination)?;
            return Ok(join(&dir, name));
        }
        let wanted = tree::resolve(job.image, &clean(&job.step.destination))?;
        self.make_dirs(job, wanted.rsplit_once('/').map_or("", |(dir, _)| dir))?;
        Ok(wanted)
    }

    /// Where a folder's contents go. A folder that has to be made there is like the source, unless the destination ends
    /// with a slash; the root of a tree has no attributes of its own.
    fn folder_target(&mut self, job: &Job, real: &str, entry: Entry) -> Result<String> {
        let wanted = tree::resolve(job.image, &clean(&job.step.destination))?;
        if job.step.destination.ends_with('/') || real.is_empty() || self.is_dir(job.image, &wanted)? {
            return self.make_dirs(job, &wanted);
        }
        self.make_dirs(job, wanted.rsplit_once('/').map_or("", |(dir, _)| dir))?;
        self.insert(job, wanted.clone(), entry, Data::None)?;
        Ok(wanted)
    }

    fn add_below(&mut self, job: &Job, from: &str, to: &str) -> Result<()> {
        // What is neither file, folder, link nor pipe is left out.
        let Some(entry) = job.source.entry(from)? else { return Ok(()) };
        if entry.kind != Kind::Dir {
            return self.insert(job, to.to_owned(), entry, Data::Tree(from.to_owned()));
        }
        // A folder of the image may be reached through a symlink there: it stays one.
        let to = match job.image.entry(to)? {
            Some(Entry { kind: Kind::Symlink(_), .. }) if is_dir(job.image, to)? => tree::resolve(job.image, to)?,
            _ => to.to_owned(),
        };
        // A folder that is there keeps its owner and mode.
        if !self.is_dir(job.image, &to)? {
            self.insert(job, to.clone(), entry, Data::None)?;
        }
        for name in job.source.names(from)? {
            self.add_below(job, &join(from, &name), &join(&to, &name))?;
        }
        Ok(())
    }

    /// Whether there is a folder, in the image or by this step.
    fn is_dir(&self, image: &dyn Tree, path: &str) -> Result<bool> {
        let real = tree::resolve(image, path)?;
        match self.0.get(&real) {
            Some((entry, _)) => Ok(entry.kind == Kind::Dir),
            None => is_dir(image, &real),
        }
    }

    /// Makes the missing folders of a path; its real path in the image.
    fn make_dirs(&mut self, job: &Job, path: &str) -> Result<String> {
        let real = tree::resolve(job.image, &clean(path))?;
        let mut at = String::new();
        for name in real.split('/').filter(|name| !name.is_empty()) {
            at = join(&at, name);
            if !self.is_dir(job.image, &at)? {
                let entry = Entry::new(at.clone(), 0o755, Kind::Dir);
                self.insert(job, at.clone(), entry, Data::None)?;
            }
        }
        Ok(real)
    }

    fn insert(&mut self, job: &Job, path: String, mut entry: Entry, data: Data) -> Result<()> {
        ensure!(self.0.len() < MAX_ENTRIES, "more than {MAX_ENTRIES} files in one step");
        let is_mark = path.split('/').any(|name| name.starts_with(".wh."));
        ensure!(!is_mark, "/{path}: names that begin with '.wh.' mean something else in a layer");
        self.check_kind(job.image, &path, entry.kind == Kind::Dir)?;
        entry.path = path.clone().into_bytes();
        if let Some((uid, gid)) = job.step.chown {
            (entry.uid, entry.gid) = (uid, gid);
        } else if !job.step.keep_owner {
            (entry.uid, entry.gid) = (0, 0);
        }
        if let Some(mode) = job.step.chmod
            && !matches!(entry.kind, Kind::Symlink(_))
        {
            entry.mode = mode;
        }
        self.0.insert(path, (entry, data));
        Ok(())
    }

    /// A file does not take a folder's place, nor a folder a file's.
    fn check_kind(&self, image: &dyn Tree, path: &str, is_dir: bool) -> Result<()> {
        let there = match self.0.get(path) {
            Some((entry, _)) => Some(entry.kind == Kind::Dir),
            None => image.entry(path)?.map(|entry| entry.kind == Kind::Dir),
        };
        match there {
            Some(true) if !is_dir => bail!("cannot replace the directory /{path} with a file"),
            Some(false) if is_dir => bail!("cannot copy to /{path}: it is not a directory"),
            _ => Ok(()),
        }
    }

    /// The step's cache key: content, mode, owner and links count, times do not.
    pub fn key(&self, source: &dyn Tree, layers: &[Digest]) -> Result<String> {
        let mut key = Key::new("COPY", layers);
        for (path, (entry, data)) in &self.0 {
            key.field("path", path.as_bytes());
            let kind = match &entry.kind {
                Kind::File { .. } => "file".to_owned(),
                other => format!("{other:?}"),
            };
            key.field("kind", kind.as_bytes());
            key.field("owner", format!("{} {} {:o}", entry.uid, entry.gid, entry.mode).as_bytes());
            for (name, value) in &entry.xattrs {
                key.field("xattr", name);
                key.field("value", value);
            }
            if matches!(entry.kind, Kind::File { .. }) {
                let mut content = open(source, data)?;
                let (digest, _) = Digest::of_reader(&mut content).with_context(|| format!("reading /{path}"))?;
                key.field("content", digest.bytes());
            }
        }
        Ok(key.finish())
    }

    /// Writes the layer.
    pub fn write(&self, source: &dyn Tree, out: &mut dyn std::io::Write) -> Result<()> {
        let mut writer = Writer::new(out);
        for (path, (entry, data)) in &self.0 {
            let mut content = open(source, data)?;
            writer.append(entry, &mut content).with_context(|| format!("copying /{path}"))?;
        }
        writer.finish()?;
        Ok(())
    }
}

fn open<'a>(source: &'a dyn Tree, data: &'a Data) -> Result<Box<dyn Read + 'a>> {
    match data {
        Data::None => Ok(Box::new(std::io::empty())),
        Data::Inline(text) => Ok(Box::new(text.as_bytes())),
        Data::Tree(path) => match source.entry(path)? {
            Some(Entry { kind: Kind::File { .. }, .. }) => source.read(path),
            _ => Ok(Box::new(std::io::empty())),
        },
    }
}

/// `--chmod`: an octal mode.
pub fn parse_mode(text: &str) -> Result<u32> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
    mode.with_context(|| {
        format!("invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777")
    })
}
