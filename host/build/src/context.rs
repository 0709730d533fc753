//! The build context: a folder of the host, reached through one capability, without what `.dockerignore` keeps out.

use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use shallop_dockerfile::ignore::Ignore;
use shallop_layer::tar::{Entry, Kind};

use crate::platform;
use crate::tree::{Tree, join};

/// The folder.
pub struct Context {
    dir: Dir,
    ignore: Ignore,
}

impl Context {
    /// Opens a folder; reads `<Dockerfile>.dockerignore` or else `.dockerignore`.
    pub fn open(path: &Path, dockerfile: &Path) -> Result<Context> {
        let dir = Dir::open_ambient_dir(path, ambient_authority())
            .with_context(|| format!("opening the build context {}", path.display()))?;
        let mut own = dockerfile.as_os_str().to_owned();
        own.push(".dockerignore");
        let missing = |e: &std::io::Error| e.kind() == std::io::ErrorKind::NotFound;
        let text = match std::fs::read_to_string(&own) {
            Err(e) if missing(&e) => match dir.read_to_string(".dockerignore") {
                Err(e) if missing(&e) => String::new(),
                read => read.with_context(|| format!("reading {}", path.join(".dockerignore").display()))?,
            },
            read => read.with_context(|| format!("reading {}", Path::new(&own).display()))?,
        };
        let ignore = Ignore::parse(&text).map_err(|error| anyhow!("failed to parse .dockerignore: {error}"))?;
        Ok(Context { dir, ignore })
    }

    /// Whether something is kept out. An ignored folder is there when an exception lets in something below it.
    fn is_hidden(&self, path: &str, is_dir: bool) -> Result<bool> {
        Ok(self.ignore.is_ignored(path) && !(is_dir && self.holds_exception(path)?))
    }

    fn holds_exception(&self, folder: &str) -> Result<bool> {
        if !self.ignore.has_exceptions_below(folder) {
            return Ok(false);
        }
        for entry in self.dir.read_dir(folder).with_context(|| format!("listing {folder} of the build context"))? {
            let entry = entry?;
            let path = join(folder, &entry.file_name().to_string_lossy());
            if !self.ignore.is_ignored(&path) || (entry.file_type()?.is_dir() && self.holds_exception(&path)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The path as cap-std wants it.
fn host(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}

impl Tree for Context {
    fn entry(&self, path: &str) -> Result<Option<Entry>> {
        let meta = match self.dir.symlink_metadata(host(path)) {
            Ok(meta) => meta,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound || e.kind() == std::io::ErrorKind::NotADirectory => {
                return Ok(None);
            }
            Err(e) => return Err(e).with_context(|| format!("reading {path} of the build context")),
        };
        if self.is_hidden(path, meta.is_dir())? {
            return Ok(None);
        }
        let kind = match meta.file_type() {
            kind if kind.is_dir() => Kind::Dir,
            kind if kind.is_file() => Kind::File { size: meta.len() },
            kind if kind.is_symlink() => {
                let target =
                    self.dir.read_link_contents(host(path)).with_context(|| format!("reading the link {path}"))?;
                Kind::Symlink(platform::target(target))
            }
            _ if platform::is_fifo(&meta) => Kind::Fifo,
            // Sockets and devices of the host are not part of a context.
            _ => return Ok(None),
        };
        let mut entry = Entry::new(path, platform::mode(&meta), kind);
        entry.mtime = platform::modified(&meta);
        Ok(Some(entry))
    }

    fn names(&self, path: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let entries = self.dir.read_dir(host(path)).with_context(|| format!("listing {path} of the build context"))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().with_context(|| {
                let shown = name.as_encoded_bytes().escape_ascii();
                format!(
                    "\"{}\" in the build context is not UTF-8: rename it, or ignore its folder",
                    join(path, &shown.to_string())
                )
            })?;
            if !self.is_hidden(&join(path, name), entry.file_type()?.is_dir())? {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn read(&self, path: &str) -> Result<Box<dyn Read + '_>> {
        let file = self.dir.open(host(path)).with_context(|| format!("opening {path} of the build context"))?;
        Ok(Box::new(file))
    }
}
