//! Layers by diffID, in `layers/<hex>/`: `tar` is the truth; `index` and `aligned` are made from it by `shallop_layer`.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use shallop_oci::media_type::{self, Compression};
use shallop_oci::{Digest, Hasher};

use crate::error::{Doing, Result, StoreError};
use crate::{Draft, Store, files, lease, platform, seal};

/// Bytes of an uncompressed layer. More is taken for a decompression bomb.
pub const LAYER_MAX: u64 = 64 << 30;

/// A stored layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LayerInfo {
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Bytes of the uncompressed tar.
    pub size: u64,
}

/// A layer's opened files, ready to be given to a sandbox.
#[derive(Debug)]
pub struct LayerFiles {
    pub tar: File,
    pub index: File,
    /// Page-aligned copies of large files; `None` when the layer has none.
    pub aligned: Option<File>,
}

impl Store {
    pub(crate) fn layer_path(&self, diff_id: &Digest) -> PathBuf {
        self.dirs.layers().join(diff_id.hex())
    }

    /// Whether the layer is here.
    pub fn has_layer(&self, diff_id: &Digest) -> bool {
        self.layer_path(diff_id).join("tar").is_file()
    }

    /// A layer that is here.
    ///
    /// # Errors
    /// [`StoreError::NoSuchLayer`].
    pub fn layer_info(&self, diff_id: &Digest) -> Result<LayerInfo> {
        match fs::metadata(self.layer_path(diff_id).join("tar")) {
            Ok(meta) => Ok(LayerInfo { diff_id: *diff_id, size: meta.len() }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(StoreError::NoSuchLayer(*diff_id)),
            Err(e) => Err(StoreError::io("reading", &self.layer_path(diff_id), e)),
        }
    }

    /// Stores an uncompressed tar as a layer, in one pass.
    ///
    /// # Errors
    /// [`StoreError::Layer`] when it is no tar that can be mounted, [`StoreError::Input`] when reading `tar` fails.
    pub fn put_layer_tar(&self, tar: &mut dyn Read) -> Result<LayerInfo> {
        self.put_layer(tar, None)
    }

    /// Stores a layer that is `media_type` (OCI's or Docker's; plain, gzip or zstd). With `diff_id`, other content is refused.
    ///
    /// # Errors
    /// [`StoreError::MediaType`], [`StoreError::Mismatch`], and those of [`Store::put_layer_tar`].
    pub fn put_layer_blob(&self, media_type: &str, blob: &mut dyn Read, diff_id: Option<&Digest>) -> Result<LayerInfo> {
        let compression = media_type::layer_compression(media_type)
            .ok_or_else(|| StoreError::MediaType { media_type: media_type.to_owned() })?;
        match compression {
            Compression::None => self.put_layer(blob, diff_id),
            Compression::Gzip => {
                let mut tar = flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(64 << 10, blob));
                self.put_layer(&mut tar, diff_id)
            }
            Compression::Zstd => {
                let mut tar = zstd::stream::read::Decoder::new(blob).map_err(StoreError::Input)?;
                self.put_layer(&mut tar, diff_id)
            }
        }
    }

    /// Stores the tar that `write` writes as a layer.
    ///
    /// # Errors
    /// Those of `write`, as [`StoreError::Input`], and those of [`Store::put_layer_tar`].
    pub fn put_layer_with(&self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> Result<LayerInfo> {
        let draft = self.layer_draft()?;
        let path = draft.path.join("tar");
        let mut writer = Recorder::new(files::create_file(&path)?);
        let written = write(&mut writer);
        // An error of our own file comes back through `write`; it is told apart here.
        let written = written.and_then(|()| writer.flush());
        if let Err(e) = written {
            return Err(writer.failed.map_or(StoreError::Input(e), |e| StoreError::io("writing", &path, e)));
        }
        let (mut tar, (diff_id, size)) = writer.finish(&path)?;
        tar.seek(SeekFrom::Start(0)).doing("reading", &path)?;
        make_index(&draft.path, &mut BufReader::with_capacity(128 << 10, tar))?;
        self.keep_layer(draft, LayerInfo { diff_id, size })
    }

    fn put_layer(&self, tar: &mut dyn Read, expected: Option<&Digest>) -> Result<LayerInfo> {
        let draft = self.layer_draft()?;
        let path = draft.path.join("tar");
        let mut tee = Tee { input: tar, out: Recorder::new(files::create_file(&path)?), error: None };
        let indexed = make_index(&draft.path, &mut tee).and_then(|()| drain(&mut tee).map_err(StoreError::Input));
        let Tee { out, error, .. } = tee;
        if let Some(e) = out.failed {
            return Err(StoreError::io("writing", &path, e));
        }
        if let Some(e) = error {
            return Err(StoreError::Input(e));
        }
        indexed?;
        let (_, (diff_id, size)) = out.finish(&path)?;
        if let Some(expected) = expected.filter(|expected| **expected != diff_id) {
            let what = format!("content for layer {expected}");
            return Err(StoreError::Mismatch { what, expected: *expected, found: diff_id });
        }
        self.keep_layer(draft, LayerInfo { diff_id, size })
    }

    fn layer_draft(&self) -> Result<Draft> {
        let draft = self.draft()?;
        files::create_dir(&draft.path)?;
        Ok(draft)
    }

    fn keep_layer(&self, draft: Draft, info: LayerInfo) -> Result<LayerInfo> {
        files::sync_dir(&draft.path)?;
        let place = self.layer_path(&info.diff_id);
        let _sweep = lease::share_sweep(&self.dirs)?;
        files::create_dir(&self.dirs.layers())?;
        loop {
            if same_files(&draft.path, &place) {
                files::touch(&place)?;
                return Ok(info);
            }
            match fs::rename(&draft.path, &place) {
                Ok(()) => break,
                // Another process was faster, or what is there is damaged and goes.
                Err(e) if platform::is_taken(&e) => {
                    if !same_files(&draft.path, &place) {
                        let old = self.draft()?;
                        fs::rename(&place, &old.path).doing("replacing", &place)?;
                    }
                }
                Err(e) => return Err(StoreError::io("writing", &place, e)),
            }
        }
        files::sync_dir(&self.dirs.layers())?;
        Ok(info)
    }

    /// Marks a layer as used now, so that this session's lease covers it. `false` when it is not here.
    pub(crate) fn pin_layer(&self, diff_id: &Digest) -> Result<bool> {
        self.lease()?;
        let _sweep = lease::share_sweep(&self.dirs)?;
        let here = self.has_layer(diff_id);
        if here {
            files::touch(&self.layer_path(diff_id))?;
        }
        Ok(here)
    }

    /// Opens a layer's files. When the index or the aligned copies are missing or damaged, they are made again.
    ///
    /// # Errors
    /// [`StoreError::NoSuchLayer`]; [`StoreError::Damaged`] when the tar is not whole.
    pub fn layer_files(&self, diff_id: &Digest) -> Result<LayerFiles> {
        match self.open_layer(diff_id)? {
            Ok(files) => return Ok(files),
            Err(_flaw) => self.rebuild_index(diff_id)?,
        }
        let path = self.layer_path(diff_id);
        self.open_layer(diff_id)?.map_err(|why| StoreError::Damaged { what: format!("layer {diff_id}"), path, why })
    }

    /// A layer's files, or what is wrong with them.
    fn open_layer(&self, diff_id: &Digest) -> Result<std::result::Result<LayerFiles, String>> {
        let dir = self.layer_path(diff_id);
        let tar = files::open_if_exists(&dir.join("tar"))?.ok_or(StoreError::NoSuchLayer(*diff_id))?;
        let path = dir.join("index");
        let Some(mut index) = files::open_if_exists(&path)? else { return Ok(Err("the index is missing".to_owned())) };
        let aligned = files::open_if_exists(&dir.join("aligned"))?;
        let flaw = seal::flaw(&tar, &mut index, aligned.as_ref()).doing("reading", &path)?;
        Ok(flaw.map_or(Ok(LayerFiles { tar, index, aligned }), Err))
    }

    /// Makes `index` and `aligned` again from `tar`, as after a change of their format. The tar is verified on the way.
    ///
    /// # Errors
    /// [`StoreError::NoSuchLayer`]; [`StoreError::Damaged`] when the tar is not what it was.
    pub fn rebuild_index(&self, diff_id: &Digest) -> Result<()> {
        let dir = self.layer_path(diff_id);
        let path = dir.join("tar");
        let tar = files::open_if_exists(&path)?.ok_or(StoreError::NoSuchLayer(*diff_id))?;
        let draft = self.layer_draft()?;
        let mut reader = Verifying { input: BufReader::with_capacity(128 << 10, tar), hasher: Hasher::default() };
        let made = make_index(&draft.path, &mut reader);
        drain(&mut reader).doing("reading", &path)?;
        let (found, _) = reader.hasher.finish();
        if found != *diff_id {
            let why = format!("its digest is now {found}");
            return Err(StoreError::Damaged { what: format!("layer {diff_id}"), path, why });
        }
        made?;
        // `aligned` first: an index must never point into a file that is not there yet.
        for name in ["aligned", "index"] {
            let (from, to) = (draft.path.join(name), dir.join(name));
            if !from.exists() || to.is_dir() {
                files::remove(&to)?;
            }
            if from.exists() {
                fs::rename(&from, &to).doing("writing", &to)?;
            }
        }
        files::sync_dir(&dir)
    }
}

/// Writes `index` and, when there is something in it, `aligned`, from a tar.
fn make_index(dir: &Path, tar: &mut dyn Read) -> Result<()> {
    let (index_path, aligned_path) = (dir.join("index"), dir.join("aligned"));
    let mut aligned = Recorder::plain(files::create_file(&aligned_path)?);
    let built = shallop_layer::index::build(tar, &mut aligned);
    let flushed = aligned.flush();
    if let Some(e) = aligned.failed.take().or(flushed.err()) {
        return Err(StoreError::io("writing", &aligned_path, e));
    }
    let mut bytes = built?;
    seal::seal(&mut bytes);
    let (_, (_, size)) = aligned.finish(&aligned_path)?;
    if size == 0 {
        files::remove(&aligned_path)?;
    }
    let mut index = files::create_file(&index_path)?;
    index.write_all(&bytes).and_then(|()| index.sync_all()).doing("writing", &index_path)
}

/// Reads what is left: the digest covers all of it.
fn drain(reader: &mut dyn Read) -> io::Result<()> {
    io::copy(reader, &mut io::sink()).map(|_| ())
}

/// Whether both folders hold the same files of a layer.
fn same_files(a: &Path, b: &Path) -> bool {
    ["tar", "index", "aligned"].iter().all(|name| {
        let (a, b) = (a.join(name), b.join(name));
        files::same(&a, &b).unwrap_or(false)
    })
}

/// Writes a file through a buffer, digests it, and keeps the error that writing it gave.
struct Recorder {
    file: BufWriter<File>,
    hasher: Option<Hasher>,
    size: u64,
    failed: Option<io::Error>,
}

impl Recorder {
    fn new(file: File) -> Recorder {
        Recorder { hasher: Some(Hasher::default()), ..Recorder::plain(file) }
    }

    /// One that does not digest.
    fn plain(file: File) -> Recorder {
        Recorder { file: BufWriter::with_capacity(256 << 10, file), hasher: None, size: 0, failed: None }
    }

    fn keep<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|e| {
            let kind = e.kind();
            self.failed.get_or_insert(e);
            io::Error::new(kind, "the store could not be written to")
        })
    }

    fn finish(self, path: &Path) -> Result<(File, (Digest, u64))> {
        let file = self.file.into_inner().map_err(|e| e.into_error()).doing("writing", path)?;
        file.sync_all().doing("syncing", path)?;
        let (digest, _) = self.hasher.unwrap_or_default().finish();
        Ok((file, (digest, self.size)))
    }
}

impl Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes);
        let n = self.keep(written)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes[..n]);
        }
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.file.flush();
        self.keep(flushed)
    }
}

/// Passes a tar on while it is written to its file.
struct Tee<'a> {
    input: &'a mut dyn Read,
    out: Recorder,
    /// What reading the input gave.
    error: Option<io::Error>,
}

impl Read for Tee<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = match self.input.read(buf) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Err(e),
            Err(e) => {
                let kind = e.kind();
                self.error.get_or_insert(e);
                return Err(io::Error::new(kind, "the layer could not be read"));
            }
        };
        if self.out.size.saturating_add(n as u64) > LAYER_MAX {
            let error = || io::Error::other(format!("the layer has more than {LAYER_MAX} bytes"));
            self.error.get_or_insert_with(error);
            return Err(error());
        }
        self.out.write_all(&buf[..n])?;
        Ok(n)
    }
}

/// Digests what is read.
struct Verifying<R> {
    input: R,
    hasher: Hasher,
}

impl<R: Read> Read for Verifying<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buf)?;
        self.hasher.update(&buf[..n]);
        Ok(n)
    }
}
