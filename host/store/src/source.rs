//! [`Source`]: the files of a layout or an archive from outside. Nothing in it is trusted, and nothing is unpacked.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use shallop_layer::tar::{Kind, Reader};

use crate::blob::DOCUMENT_MAX;
use crate::error::{Doing, Result, StoreError};
use crate::layer::LAYER_MAX;
use crate::{Draft, Store, files, platform};

/// Members of an archive.
const MEMBERS_MAX: usize = 200_000;
/// Links from one member to the next.
const LINKS_MAX: u32 = 8;

/// Files by path, such as `blobs/sha256/…`.
pub(crate) trait Source {
    /// What errors call it.
    fn name(&self) -> String;

    /// Opens a regular file; `None` when there is none of that name.
    fn open(&self, path: &str) -> Result<Option<Box<dyn Read + '_>>>;

    /// All of a small file.
    fn document(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open(path)? else { return Ok(None) };
        let what = format!("{}/{path}", self.name());
        let mut bytes = Vec::new();
        file.take(DOCUMENT_MAX + 1).read_to_end(&mut bytes).map_err(StoreError::Input)?;
        if bytes.len() as u64 > DOCUMENT_MAX {
            return Err(StoreError::invalid(what, "it is too large for a document"));
        }
        Ok(Some(bytes))
    }
}

/// A folder of the host's.
#[derive(Debug)]
pub(crate) struct Folder<'a>(pub(crate) &'a Path);

impl Source for Folder<'_> {
    fn name(&self) -> String {
        self.0.display().to_string()
    }

    fn open(&self, path: &str) -> Result<Option<Box<dyn Read + '_>>> {
        let path = self.0.join(path);
        match fs::metadata(&path) {
            // A pipe would never end.
            Ok(meta) if !meta.is_file() => {
                Err(StoreError::invalid(path.display().to_string(), "it is not a regular file"))
            }
            Ok(_) => Ok(Some(Box::new(File::open(&path).doing("opening", &path)?))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::io("opening", &path, e)),
        }
    }
}

/// A tar, read in place.
#[derive(Debug)]
pub(crate) struct Archive {
    name: String,
    file: File,
    members: BTreeMap<String, Member>,
    /// Removes the uncompressed copy.
    _draft: Option<Draft>,
}

#[derive(Debug)]
enum Member {
    File {
        offset: u64,
        size: u64,
    },
    /// Another member's path.
    Link(String),
}

impl Archive {
    /// Opens an archive, compressed by gzip or zstd or not at all. One that is compressed, or comes through a pipe, is
    /// copied into the store's folder for as long as this lives.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when it is no tar, [`StoreError::NoSpace`].
    pub(crate) fn open(store: &Store, mut input: File, name: &str) -> Result<Archive> {
        let mut head = [0; 4];
        let got = fill(&mut input, &mut head).map_err(StoreError::Input)?;
        let head = &head[..got];
        let is_plain = !head.starts_with(GZIP) && !head.starts_with(ZSTD);
        let is_file = input.metadata().is_ok_and(|meta| meta.is_file());
        let (file, draft) = match is_plain && is_file {
            true => (input, None),
            false => {
                let (file, draft) = uncompressed(store, head, input)?;
                (file, Some(draft))
            }
        };
        let members = members(&file).map_err(|e| match e {
            StoreError::Layer(e) => StoreError::invalid(name, e),
            other => other,
        })?;
        Ok(Archive { name: name.to_owned(), file, members, _draft: draft })
    }

    /// Follows links within the archive.
    fn find(&self, path: &str) -> Option<(u64, u64)> {
        let mut path = clean(path)?;
        for _ in 0..=LINKS_MAX {
            match self.members.get(&path)? {
                Member::File { offset, size } => return Some((*offset, *size)),
                Member::Link(target) => path.clone_from(target),
            }
        }
        None
    }
}

impl Source for Archive {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn open(&self, path: &str) -> Result<Option<Box<dyn Read + '_>>> {
        let piece = self.find(path).map(|(at, left)| Piece { file: &self.file, at, left });
        Ok(piece.map(|piece| Box::new(piece) as Box<dyn Read + '_>))
    }
}

/// A part of a file.
struct Piece<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Piece<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let n = platform::read_at(self.file, &mut buf[..want], self.at)?;
        (self.at, self.left) = (self.at + n as u64, self.left - n as u64);
        Ok(n)
    }
}

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Reads until `buf` is full or nothing more comes.
pub(crate) fn fill(input: &mut dyn Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buf.len() {
        match input.read(&mut buf[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}

/// What comes after `head`, uncompressed, in a file of the store's.
fn uncompressed(store: &Store, head: &[u8], input: File) -> Result<(File, Draft)> {
    let draft = store.draft()?;
    let mut file = files::create_file(&draft.path)?;
    let whole = head.chain(input);
    let mut plain: Box<dyn Read + '_> = match head {
        _ if head.starts_with(GZIP) => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::new(whole))),
        _ if head.starts_with(ZSTD) => Box::new(zstd::stream::read::Decoder::new(whole).map_err(StoreError::Input)?),
        _ => Box::new(whole),
    };
    // One byte more than may be: a bomb is told from an archive that ends there.
    let size = files::copy(&mut plain.by_ref().take(LAYER_MAX + 1), &mut file, &draft.path)?;
    if size > LAYER_MAX {
        return Err(StoreError::invalid("the archive", format!("it has more than {LAYER_MAX} bytes")));
    }
    Ok((file, draft))
}

fn members(mut file: &File) -> Result<BTreeMap<String, Member>> {
    let length = file.metadata().map_err(StoreError::Input)?.len();
    file.seek(SeekFrom::Start(0)).map_err(StoreError::Input)?;
    let mut input = BufReader::with_capacity(128 << 10, file);
    let mut found = BTreeMap::new();
    let mut reader = Reader::new(&mut input);
    while let Some(record) = reader.next_record()? {
        let path = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(clean);
        // What has no name that a document can say is never asked for.
        let Some(name) = path(&record.entry.path) else { continue };
        let member = match &record.entry.kind {
            Kind::File { size } if record.data_offset.saturating_add(*size) <= length => {
                Some(Member::File { offset: record.data_offset, size: *size })
            }
            Kind::File { .. } => return Err(StoreError::invalid(name, "the archive ends inside it")),
            Kind::HardLink(target) => path(target).map(Member::Link),
            Kind::Symlink(target) => {
                let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
                let target = std::str::from_utf8(target).ok();
                target.and_then(|target| clean(&format!("{folder}/{target}"))).map(Member::Link)
            }
            _ => None,
        };
        // The last of a name counts, also when it is of no use.
        match member {
            Some(member) => found.insert(name, member),
            None => found.remove(&name),
        };
        if found.len() > MEMBERS_MAX {
            return Err(StoreError::invalid("the archive", format!("it has more than {MEMBERS_MAX} members")));
        }
    }
    Ok(found)
}

/// A path without `.`, and `..` resolved; `None` when it leads out.
fn clean(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}
