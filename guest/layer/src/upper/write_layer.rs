//! [`write_layer`]: what the upper layer changed, as a canonical OCI layer tar.
//!
//! Rules: OCI image-spec layer.md (whiteouts, opaque directories). Depth first, names sorted as bytes, a directory
//! before what is in it. Sockets are left out, as tar has none.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{Read, Write};

use super::{Attr, Body, Content, File, Tree, Upper};
use crate::error::LayerError;
use crate::merge::{self, Merged};
use crate::tar::{Entry, Kind, Writer};
use crate::{ReadAt, Xattrs};

/// Longest path written.
const PATH_MAX: usize = 4096;

/// Writes the difference between `merged` and the tree that `upper` makes of it. `data` is the upper layer's data file.
/// Where a file of a lower layer has new metadata or a new place its bytes are read from the layer's tar, which must be
/// attached to `merged` then.
///
/// # Errors
/// A layer is damaged, a tar is missing, a name cannot be said in a layer (`.wh.…`), or reading or writing fails.
pub fn write_layer(merged: &Merged, upper: &Upper, data: &dyn ReadAt, out: &mut dyn Write) -> Result<(), LayerError> {
    let tree = Tree::new(merged, upper);
    let mut job = Job { tree, data, writer: Writer::new(out), first_names: HashMap::new(), seen: HashSet::new() };
    let root = tree.root();
    let base = merged.root();
    if job.differs(&root, &base)? {
        job.emit(b".", &root)?;
    }
    job.seen.insert(root.ino);
    let mut stack = vec![job.open_dir(Vec::new(), &root, Some(&base))?];
    while let Some(dir) = stack.last_mut() {
        let Some((name, change)) = dir.changes.pop_first() else {
            stack.pop();
            continue;
        };
        let path = join(&dir.path, &name)?;
        if let Some(below) = job.visit(path, &name, change, &dir.path)? {
            stack.push(below);
        }
    }
    job.writer.finish()
}

/// A directory on the way down and the names in it still to be looked at.
struct Dir {
    path: Vec<u8>,
    changes: BTreeMap<Vec<u8>, Change>,
}

/// A name in the tree and in the layers below.
struct Change {
    now: Option<File>,
    base: Option<merge::Node>,
}

struct Job<'a, 'w> {
    tree: Tree<'a>,
    data: &'a dyn ReadAt,
    writer: Writer<'w>,
    /// Path under which an inode with several names was written.
    first_names: HashMap<u64, Vec<u8>>,
    /// Directories entered; a journal that is not sound could make a circle.
    seen: HashSet<u64>,
}

impl Job<'_, '_> {
    /// Writes what changed at one path; the directory to go down into, if it is one.
    fn visit(&mut self, path: Vec<u8>, name: &[u8], change: Change, dir: &[u8]) -> Result<Option<Dir>, LayerError> {
        let Some(now) = change.now else {
            let whiteout = join(dir, &[b".wh.", name].concat())?;
            self.mark(whiteout)?;
            return Ok(None);
        };
        if name.starts_with(b".wh.") {
            return Err(LayerError::unsupported(&path, "names that begin with '.wh.' mean something else in a layer"));
        }
        let attr = self.tree.attr(&now)?;
        if attr.mode & 0o170000 != 0o040000 {
            let changed = match &change.base {
                Some(base) => self.differs(&now, base)?,
                None => true,
            };
            if changed {
                self.emit_other(&path, &now, &attr, change.base.is_some())?;
            }
            return Ok(None);
        }
        self.visit_dir(path, &now, change.base).map(Some)
    }

    fn visit_dir(&mut self, path: Vec<u8>, now: &File, base: Option<merge::Node>) -> Result<Dir, LayerError> {
        if !self.seen.insert(now.ino) {
            return Err(LayerError::corrupt(format!("directory {} is in two places", now.ino), 0));
        }
        let base_is_dir = match &base {
            Some(node) => self.tree.merged.stat(node)?.is_dir(),
            None => false,
        };
        let continued = base.filter(|node| base_is_dir && node.ino() == now.ino && self.shows_lower(now));
        match &continued {
            Some(node) => {
                if self.differs(now, node)? {
                    self.emit(&path, now)?;
                }
            }
            None => {
                self.emit(&path, now)?;
                if base_is_dir {
                    self.mark(join(&path, b".wh..wh..opq")?)?;
                }
            }
        }
        self.open_dir(path, now, continued.as_ref())
    }

    /// Whether the directory still lets its lower parts show through.
    fn shows_lower(&self, dir: &File) -> bool {
        match self.tree.upper.inode(dir.ino).map(|i| &i.body) {
            Some(Body::Directory(directory)) => directory.lower.is_some(),
            _ => true,
        }
    }

    fn open_dir(&self, path: Vec<u8>, now: &File, base: Option<&merge::Node>) -> Result<Dir, LayerError> {
        let mut changes = BTreeMap::new();
        for (name, file) in self.tree.children(now)? {
            changes.insert(name, Change { now: Some(file), base: None });
        }
        if let Some(base) = base {
            for (name, node) in self.tree.merged.children(base)? {
                changes.entry(name).or_insert(Change { now: None, base: None }).base = Some(node);
            }
        }
        Ok(Dir { path, changes })
    }

    /// Whether a file is another than `base`, or has other metadata or bytes.
    fn differs(&self, now: &File, base: &merge::Node) -> Result<bool, LayerError> {
        let Some(inode) = self.tree.upper.inode(now.ino) else {
            return Ok(now.ino != base.ino());
        };
        let (merged, attr) = (self.tree.merged, &inode.attr);
        let was = merged.stat(base)?;
        let same =
            (attr.mode, attr.uid, attr.gid, attr.rdev, attr.mtime) == (was.mode, was.uid, was.gid, was.rdev, was.mtime);
        if !same || (attr.nlink > 1 && attr.nlink != was.nlink && !was.is_dir()) {
            return Ok(true);
        }
        let mut xattrs = merged.xattrs(base)?;
        xattrs.sort();
        if xattrs != self.tree.xattrs(now)? {
            return Ok(true);
        }
        match &inode.body {
            Body::Regular(Content::Lower(place)) => Ok(*place != base.top),
            Body::Regular(Content::Own(_)) => Ok(attr.size != was.size || !self.same_bytes(now, base)),
            Body::Symlink(text) => Ok(merged.link(base)? != text.as_slice()),
            Body::Directory(_) | Body::Special => Ok(false),
        }
    }

    /// Compares contents of equal size; what cannot be read counts as different.
    fn same_bytes(&self, now: &File, base: &merge::Node) -> bool {
        let (mut a, mut b) = (vec![0; 65536], vec![0; 65536]);
        let mut offset = 0;
        loop {
            let Ok(n) = self.tree.read(now, self.data, offset, &mut a) else { return false };
            if n == 0 {
                return true;
            }
            if self.tree.merged.read(base, offset, &mut b[..n]) != Ok(n) || a[..n] != b[..n] {
                return false;
            }
            offset += n as u64;
        }
    }

    /// Writes a file that is no directory, as a hard link if it was written before.
    fn emit_other(&mut self, path: &[u8], file: &File, attr: &Attr, replaces: bool) -> Result<(), LayerError> {
        if attr.mode & 0o170000 == 0o140000 {
            // A socket cannot be in a tar; what it replaced is gone all the same.
            return if replaces { self.mark(whiteout_of(path)?) } else { Ok(()) };
        }
        if attr.nlink > 1 {
            if let Some(first) = self.first_names.get(&file.ino) {
                let entry = entry_of(path, attr, Kind::HardLink(first.clone()), Vec::new());
                return self.writer.append(&entry, &mut std::io::empty());
            }
            self.first_names.insert(file.ino, path.to_vec());
        }
        self.emit(path, file)
    }

    fn emit(&mut self, path: &[u8], file: &File) -> Result<(), LayerError> {
        let attr = self.tree.attr(file)?;
        let kind = match attr.mode & 0o170000 {
            0o040000 => Kind::Dir,
            0o120000 => Kind::Symlink(self.tree.link(file)?.to_vec()),
            0o010000 => Kind::Fifo,
            0o020000 => Kind::Char(attr.rdev.0, attr.rdev.1),
            0o060000 => Kind::Block(attr.rdev.0, attr.rdev.1),
            _ => Kind::File { size: attr.size },
        };
        let entry = entry_of(path, &attr, kind, self.tree.xattrs(file)?);
        let mut reader = Contents { tree: self.tree, file, data: self.data, offset: 0 };
        self.writer.append(&entry, &mut reader)
    }

    /// An empty file whose name says something: a whiteout, an opaque mark.
    fn mark(&mut self, path: Vec<u8>) -> Result<(), LayerError> {
        self.writer.append(&Entry::new(path, 0o644, Kind::File { size: 0 }), &mut std::io::empty())
    }
}

/// A file's bytes as a stream.
struct Contents<'a> {
    tree: Tree<'a>,
    file: &'a File,
    data: &'a dyn ReadAt,
    offset: u64,
}

impl Read for Contents<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.tree.read(self.file, self.data, self.offset, buf).map_err(std::io::Error::other)?;
        self.offset += n as u64;
        Ok(n)
    }
}

fn entry_of(path: &[u8], attr: &Attr, kind: Kind, xattrs: Xattrs) -> Entry {
    Entry {
        path: path.to_vec(),
        mode: attr.mode & 0o7777,
        uid: attr.uid,
        gid: attr.gid,
        mtime: attr.mtime,
        kind,
        xattrs,
    }
}

fn join(dir: &[u8], name: &[u8]) -> Result<Vec<u8>, LayerError> {
    let path = if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() };
    match path.len() <= PATH_MAX {
        true => Ok(path),
        false => Err(LayerError::limit("bytes of a path", PATH_MAX as u64)),
    }
}

fn whiteout_of(path: &[u8]) -> Result<Vec<u8>, LayerError> {
    let cut = path.iter().rposition(|b| *b == b'/');
    match cut {
        Some(cut) => join(&path[..cut], &[b".wh.", &path[cut + 1..]].concat()),
        None => join(b"", &[b".wh.", path].concat()),
    }
}
