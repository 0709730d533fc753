//! [`Merged`]: the overlay of several layers' indexes, the lowest first.

use std::collections::BTreeMap;

use crate::ReadAt;
use crate::error::LayerError;
use crate::index::{Data, Found, Index, Meta, NodeId};
use crate::tar::Time;

/// Most symbolic steps of a hard link into lower layers.
const EXTERNAL_DEPTH: u32 = 8;

/// A file of one layer: the layer's position (0 is the lowest) and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub layer: u32,
    pub node: NodeId,
}

impl Place {
    /// The inode number: the same at every mount of the same layers, never below 2³².
    pub fn ino(self) -> u64 {
        ((u64::from(self.layer) + 1) << 32) | u64::from(self.node)
    }
}

/// A file of the merged view. A directory has every layer's part of it, the highest first; others have one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub top: Place,
    /// Parts of a directory in lower layers, highest first.
    pub below: Vec<Place>,
}

impl Node {
    /// The inode number; hard links share it.
    pub fn ino(&self) -> u64 {
        self.top.ino()
    }

    /// Its places, highest first.
    pub fn places(&self) -> impl Iterator<Item = Place> + '_ {
        std::iter::once(self.top).chain(self.below.iter().copied())
    }

    /// The node whose parts these are, highest first; `None` without any.
    pub fn from_places(places: &[Place]) -> Option<Node> {
        places.split_first().map(|(top, below)| Node { top: *top, below: below.to_vec() })
    }
}

/// Metadata of a merged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub ino: u64,
    /// Type (S_IFMT) and permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Names of it in its layer; 1 for directories.
    pub nlink: u32,
    pub mtime: Time,
    pub size: u64,
    /// Major and minor of a device.
    pub rdev: (u32, u32),
}

impl Stat {
    pub fn is_dir(&self) -> bool {
        self.mode & 0o170000 == 0o040000
    }

    pub fn is_regular(&self) -> bool {
        self.mode & 0o170000 == 0o100000
    }
}

/// Where a regular file's bytes are: in which layer's files, and at which offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    pub layer: u32,
    pub tar_offset: u64,
    /// Page-aligned offset in the layer's aligned file.
    pub aligned: Option<u64>,
    pub size: u64,
}

/// The layers' indexes, seen as one tree.
pub struct Merged {
    layers: Vec<Index>,
    /// The layers' tars, where they were attached.
    tars: Vec<Option<Box<dyn ReadAt + Send + Sync>>>,
}

impl Merged {
    /// Overlays `layers`, the lowest first. Without any there is an empty root directory.
    ///
    /// # Errors
    /// [`LayerError::Limit`] for more than 65,535 layers.
    pub fn new(mut layers: Vec<Index>) -> Result<Merged, LayerError> {
        if layers.len() > 65535 {
            return Err(LayerError::limit("layers of an image", 65535));
        }
        if layers.is_empty() {
            layers.push(Index::parse(crate::index::build(&mut std::io::empty(), &mut std::io::sink())?)?);
        }
        let tars = layers.iter().map(|_| None).collect();
        Ok(Merged { layers, tars })
    }

    /// Gives the tar of layer `layer`, for [`Merged::read`].
    pub fn attach(&mut self, layer: u32, tar: Box<dyn ReadAt + Send + Sync>) {
        if let Some(slot) = self.tars.get_mut(layer as usize) {
            *slot = Some(tar);
        }
    }

    /// The root directory.
    pub fn root(&self) -> Node {
        let mut places = Vec::new();
        for layer in (0..u32::try_from(self.layers.len()).unwrap_or(u32::MAX)).rev() {
            places.push(Place { layer, node: 0 });
            if self.meta(Place { layer, node: 0 }).is_ok_and(|m| m.opaque) {
                break;
            }
        }
        Node { top: places[0], below: places[1..].to_vec() }
    }

    /// Looks `name` up in a directory; `None` when there is no such name, or `dir` is no directory.
    ///
    /// # Errors
    /// An index is damaged.
    pub fn lookup(&self, dir: &Node, name: &[u8]) -> Result<Option<Node>, LayerError> {
        let places = self.lookup_parts(dir.places(), name)?;
        self.finished(&places)
    }

    /// A directory's names, sorted as bytes, and what they lead to.
    ///
    /// # Errors
    /// An index is damaged.
    pub fn children(&self, dir: &Node) -> Result<Vec<(Vec<u8>, Node)>, LayerError> {
        // Places found so far, and whether lower layers may add to them.
        let mut names: BTreeMap<&[u8], (Vec<Place>, bool)> = BTreeMap::new();
        for part in dir.places() {
            for child in self.index(part.layer)?.children(part.node)? {
                let (name, found) = child?;
                let (places, open) = names.entry(name).or_insert_with(|| (Vec::new(), true));
                if *open {
                    *open = match found {
                        Found::Node(node) => self.gather(places, Place { layer: part.layer, node })?,
                        Found::Whiteout => false,
                    };
                }
            }
        }
        let mut children = Vec::with_capacity(names.len());
        for (name, (places, _)) in names {
            if let Some(node) = self.finished(&places)? {
                children.push((name.to_vec(), node));
            }
        }
        Ok(children)
    }

    /// Walks a path of names from the root, without following links.
    ///
    /// # Errors
    /// An index is damaged.
    pub fn find(&self, path: &[u8]) -> Result<Option<Node>, LayerError> {
        let mut at = self.root();
        for name in path.split(|b| *b == b'/').filter(|n| !n.is_empty()) {
            match self.lookup(&at, name)? {
                Some(node) => at = node,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// # Errors
    /// An index is damaged.
    pub fn stat(&self, node: &Node) -> Result<Stat, LayerError> {
        let meta = self.meta(self.described(node)?)?;
        Ok(Stat {
            ino: node.ino(),
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
            nlink: meta.nlink,
            mtime: meta.mtime,
            size: meta.size,
            rdev: meta.rdev,
        })
    }

    /// A symlink's text; empty for others.
    ///
    /// # Errors
    /// An index is damaged.
    pub fn link(&self, node: &Node) -> Result<&[u8], LayerError> {
        self.index(node.top.layer)?.link(node.top.node)
    }

    /// # Errors
    /// An index is damaged.
    pub fn xattrs(&self, node: &Node) -> Result<crate::Xattrs, LayerError> {
        let place = self.described(node)?;
        self.index(place.layer)?.xattrs(place.node)
    }

    /// Where a regular file's bytes are.
    ///
    /// # Errors
    /// An index is damaged, or it is no regular file.
    pub fn data(&self, node: &Node) -> Result<Location, LayerError> {
        let Data { tar_offset, aligned, size } = self.index(node.top.layer)?.data(node.top.node)?;
        Ok(Location { layer: node.top.layer, tar_offset, aligned, size })
    }

    /// Reads a regular file's bytes from its layer's attached tar.
    ///
    /// # Errors
    /// No tar is attached, it is too short, or reading fails.
    pub fn read(&self, node: &Node, offset: u64, buf: &mut [u8]) -> Result<usize, LayerError> {
        let at = self.data(node)?;
        let n = usize::try_from(at.size.saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        let tar = self.tars.get(at.layer as usize).and_then(Option::as_ref);
        let tar = tar.ok_or_else(|| LayerError::Io(format!("the tar of layer {} was not given", at.layer)))?;
        tar.read_exact_at(at.tar_offset.saturating_add(offset), &mut buf[..n])?;
        Ok(n)
    }

    fn index(&self, layer: u32) -> Result<&Index, LayerError> {
        self.layers.get(layer as usize).ok_or_else(|| LayerError::corrupt(format!("no layer {layer}"), 0))
    }

    fn meta(&self, place: Place) -> Result<Meta, LayerError> {
        self.index(place.layer)?.meta(place.node)
    }

    /// The place whose metadata counts: a directory's highest part that its tar lists.
    fn described(&self, node: &Node) -> Result<Place, LayerError> {
        for place in node.places() {
            if !self.meta(place)?.implied {
                return Ok(place);
            }
        }
        Ok(node.top)
    }

    /// What `name` leads to in a directory's parts, highest first.
    fn lookup_parts(&self, parts: impl Iterator<Item = Place>, name: &[u8]) -> Result<Vec<Place>, LayerError> {
        let mut places = Vec::new();
        for part in parts {
            let open = match self.index(part.layer)?.lookup(part.node, name)? {
                Some(Found::Node(node)) => self.gather(&mut places, Place { layer: part.layer, node })?,
                Some(Found::Whiteout) => false,
                None => true,
            };
            if !open {
                break;
            }
        }
        Ok(places)
    }

    /// Adds a lower layer's part; whether still lower ones may follow.
    fn gather(&self, places: &mut Vec<Place>, place: Place) -> Result<bool, LayerError> {
        let meta = self.meta(place)?;
        let is_dir = meta.mode & 0o170000 == 0o040000;
        if places.is_empty() || is_dir {
            places.push(place);
        }
        Ok(is_dir && !meta.opaque)
    }

    fn finished(&self, places: &[Place]) -> Result<Option<Node>, LayerError> {
        match Node::from_places(places) {
            Some(node) if node.below.is_empty() => self.resolve(node.top),
            other => Ok(other),
        }
    }

    /// Follows hard links into lower layers; a dangling one is no file.
    fn resolve(&self, mut place: Place) -> Result<Option<Node>, LayerError> {
        for _ in 0..EXTERNAL_DEPTH {
            if !self.meta(place)?.external {
                return Ok(Some(Node { top: place, below: Vec::new() }));
            }
            let path = self.index(place.layer)?.link(place.node)?;
            match self.find_below(place.layer, path)? {
                Some(target) => place = target,
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The highest file at `path` in the layers below `layer`.
    fn find_below(&self, layer: u32, path: &[u8]) -> Result<Option<Place>, LayerError> {
        let mut parts: Vec<Place> = (0..layer).rev().map(|layer| Place { layer, node: 0 }).collect();
        for name in path.split(|b| *b == b'/').filter(|n| !n.is_empty()) {
            parts = self.lookup_parts(parts.into_iter(), name)?;
        }
        match parts.first() {
            Some(place) if self.meta(*place)?.mode & 0o170000 != 0o040000 => Ok(Some(*place)),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::{Entry, Kind, Writer};

    fn layer(entries: &[(&str, Kind)]) -> Index {
        let mut tar = Vec::new();
        let mut writer = Writer::new(&mut tar);
        for (path, kind) in entries {
            let size = if let Kind::File { size } = kind { *size } else { 0 };
            writer
                .append(&Entry::new(*path, 0o644, kind.clone()), &mut std::io::Read::take(std::io::repeat(1), size))
                .expect("appends");
        }
        writer.finish().expect("finishes");
        Index::parse(crate::index::build(&mut &tar[..], &mut Vec::new()).expect("builds")).expect("parses")
    }

    const fn file(size: u64) -> Kind {
        Kind::File { size }
    }

    fn names(merged: &Merged, path: &str) -> Vec<String> {
        let dir = merged.find(path.as_bytes()).expect("sound").expect("there");
        let children = merged.children(&dir).expect("sound");
        for (name, node) in &children {
            assert_eq!(merged.lookup(&dir, name).expect("sound").as_ref(), Some(node), "lookup and children agree");
        }
        children.into_iter().map(|(name, _)| String::from_utf8(name).expect("text")).collect()
    }

    fn merged(layers: Vec<Index>) -> Merged {
        Merged::new(layers).expect("few layers")
    }

    #[test]
    fn upper_layers_win_and_whiteouts_hide() {
        let m = merged(vec![
            layer(&[("d/a", file(1)), ("d/b", file(1)), ("e/x", file(1)), ("f", file(1)), ("g/h", file(1))]),
            layer(&[
                ("d/a", file(2)),
                ("d/.wh.b", file(0)),
                ("d/c", file(2)),
                ("e/.wh..wh..opq", file(0)),
                ("f/in", file(2)),
                ("g", file(9)),
            ]),
            layer(&[("d/b", file(3)), ("e/y", file(3))]),
        ]);
        assert_eq!(names(&m, ""), ["d", "e", "f", "g"]);
        assert_eq!(names(&m, "d"), ["a", "b", "c"]);
        assert_eq!(names(&m, "e"), ["y"]);
        assert_eq!(names(&m, "f"), ["in"]);
        let size = |path: &[u8]| m.find(path).expect("sound").map(|n| m.stat(&n).expect("stat").size);
        assert_eq!(
            (size(b"d/a"), size(b"d/b"), size(b"g"), size(b"g/h"), size(b"e/x")),
            (Some(2), Some(3), Some(9), None, None)
        );
    }

    #[test]
    fn an_implied_directory_keeps_the_lower_metadata() {
        let m = merged(vec![layer(&[("tmp", Kind::Dir)]), layer(&[("tmp/x", file(1))])]);
        let tmp = m.find(b"tmp").expect("sound").expect("there");
        assert_eq!(m.stat(&tmp).expect("stat").mode, 0o040644);
        assert_eq!(tmp.below.len(), 1);
    }

    #[test]
    fn hard_links_share_an_inode_across_layers() {
        let m = merged(vec![
            layer(&[("bin/a", file(3)), ("bin/b", Kind::HardLink(b"bin/a".to_vec()))]),
            layer(&[("c", Kind::HardLink(b"bin/a".to_vec())), ("none", Kind::HardLink(b"bin/zzz".to_vec()))]),
            layer(&[("e", Kind::HardLink(b"c".to_vec()))]),
        ]);
        let ino = |path: &[u8]| m.find(path).expect("sound").map(|n| n.ino());
        assert_eq!(ino(b"bin/a"), ino(b"bin/b"));
        assert_eq!(ino(b"bin/a"), ino(b"c"));
        assert_eq!(ino(b"bin/a"), ino(b"e"));
        assert_eq!(names(&m, ""), ["bin", "c", "e"]);
    }

    #[test]
    fn no_layers_are_an_empty_root() {
        let m = merged(vec![]);
        assert!(m.stat(&m.root()).expect("stat").is_dir());
        assert!(m.children(&m.root()).expect("sound").is_empty());
    }
}
