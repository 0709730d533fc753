//! [`Tree`]: the lower layers with the upper one over them, as a container sees its files.

use std::collections::BTreeMap;

use super::{Attr, Body, Content, Name, Upper};
use crate::error::LayerError;
use crate::merge::{self, Merged};
use crate::{ReadAt, Xattrs};

/// A file of the tree. What the upper layer has under `ino` comes first; `lower` is what is there otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub ino: u64,
    pub lower: Option<merge::Node>,
}

impl File {
    fn lower(node: merge::Node) -> File {
        File { ino: node.ino(), lower: Some(node) }
    }

    fn upper(ino: u64) -> File {
        File { ino, lower: None }
    }
}

/// The whole view. Cheap to make.
#[derive(Clone, Copy)]
pub struct Tree<'a> {
    pub merged: &'a Merged,
    pub upper: &'a Upper,
}

impl<'a> Tree<'a> {
    pub fn new(merged: &'a Merged, upper: &'a Upper) -> Tree<'a> {
        Tree { merged, upper }
    }

    /// The root directory.
    pub fn root(self) -> File {
        File::lower(self.merged.root())
    }

    /// Looks `name` up in directory `dir`; `None` when it has no such name or is no directory.
    ///
    /// # Errors
    /// A layer is damaged.
    pub fn lookup(self, dir: &File, name: &[u8]) -> Result<Option<File>, LayerError> {
        let lower = match self.upper.inode(dir.ino).map(|i| &i.body) {
            Some(Body::Directory(directory)) => match directory.names.get(name) {
                Some(Name::Ino(ino)) => return Ok(Some(File::upper(*ino))),
                Some(Name::Whiteout) => return Ok(None),
                None => &directory.lower,
            },
            Some(_) => return Ok(None),
            None => &dir.lower,
        };
        match lower {
            Some(node) => Ok(self.merged.lookup(node, name)?.map(File::lower)),
            None => Ok(None),
        }
    }

    /// A directory's names, sorted as bytes.
    ///
    /// # Errors
    /// A layer is damaged.
    pub fn children(self, dir: &File) -> Result<BTreeMap<Vec<u8>, File>, LayerError> {
        let (lower, names) = match self.upper.inode(dir.ino).map(|i| &i.body) {
            Some(Body::Directory(directory)) => (&directory.lower, Some(&directory.names)),
            Some(_) => return Ok(BTreeMap::new()),
            None => (&dir.lower, None),
        };
        let mut children = BTreeMap::new();
        if let Some(node) = lower {
            children.extend(self.merged.children(node)?.into_iter().map(|(name, node)| (name, File::lower(node))));
        }
        for (name, entry) in names.into_iter().flatten() {
            match entry {
                Name::Ino(ino) => children.insert(name.clone(), File::upper(*ino)),
                Name::Whiteout => children.remove(name),
            };
        }
        Ok(children)
    }

    /// Walks a path of names from the root, without following links.
    ///
    /// # Errors
    /// A layer is damaged.
    pub fn find(self, path: &[u8]) -> Result<Option<File>, LayerError> {
        let mut at = self.root();
        for name in path.split(|b| *b == b'/').filter(|n| !n.is_empty()) {
            match self.lookup(&at, name)? {
                Some(file) => at = file,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// # Errors
    /// A layer is damaged.
    pub fn attr(self, file: &File) -> Result<Attr, LayerError> {
        if let Some(inode) = self.upper.inode(file.ino) {
            return Ok(inode.attr);
        }
        let stat = self.merged.stat(lower_of(file)?)?;
        Ok(Attr {
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
            nlink: stat.nlink,
            rdev: stat.rdev,
            size: stat.size,
            atime: stat.mtime,
            mtime: stat.mtime,
            ctime: stat.mtime,
            btime: stat.mtime,
        })
    }

    /// A symlink's text; empty for others.
    ///
    /// # Errors
    /// A layer is damaged.
    pub fn link(self, file: &File) -> Result<&'a [u8], LayerError> {
        match self.upper.inode(file.ino).map(|i| &i.body) {
            Some(Body::Symlink(text)) => Ok(text),
            Some(_) => Ok(&[]),
            None => self.merged.link(lower_of(file)?),
        }
    }

    /// Extended attributes, sorted by name.
    ///
    /// # Errors
    /// A layer is damaged.
    pub fn xattrs(self, file: &File) -> Result<Xattrs, LayerError> {
        if let Some(inode) = self.upper.inode(file.ino) {
            return Ok(inode.xattrs.iter().map(|(name, value)| (name.clone(), value.clone())).collect());
        }
        let mut xattrs = self.merged.xattrs(lower_of(file)?)?;
        xattrs.sort();
        Ok(xattrs)
    }

    /// Reads a regular file; 0 at its end. Lower files need their layer's tar attached to the merged view.
    ///
    /// # Errors
    /// It is no regular file, a layer is damaged, or reading fails.
    pub fn read(self, file: &File, data: &dyn ReadAt, offset: u64, buf: &mut [u8]) -> Result<usize, LayerError> {
        let Some(inode) = self.upper.inode(file.ino) else {
            return self.merged.read(lower_of(file)?, offset, buf);
        };
        match &inode.body {
            Body::Regular(Content::Lower(place)) => {
                let node = merge::Node { top: *place, below: Vec::new() };
                self.merged.read(&node, offset, buf)
            }
            Body::Regular(Content::Own(extents)) => {
                let left = inode.attr.size.saturating_sub(offset);
                let n = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
                extents.read(data, offset, &mut buf[..n])?;
                Ok(n)
            }
            _ => Err(LayerError::corrupt(format!("inode {} is no regular file", file.ino), 0)),
        }
    }
}

fn lower_of(file: &File) -> Result<&merge::Node, LayerError> {
    file.lower.as_ref().ok_or_else(|| LayerError::corrupt(format!("there is no inode {}", file.ino), 0))
}
