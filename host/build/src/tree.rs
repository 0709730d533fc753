//! [`Tree`]: where COPY takes files from. The build context and the files of an image look alike through it.

use std::io::Read;

use anyhow::{Context, Result, bail};
use shallop_layer::merge::{Merged, Node};
use shallop_layer::tar::{Entry, Kind};

/// Symlinks followed on one path at most, as Linux has it.
const MAX_LINKS: usize = 40;

/// A read-only tree of files. Paths are relative, without `.` and `..`; empty for the root. Nothing is followed.
pub trait Tree {
    /// What is at a path; a directory's children and a file's bytes come separately.
    fn entry(&self, path: &str) -> Result<Option<Entry>>;
    /// Names in a directory, sorted; what the context ignores is left out.
    fn names(&self, path: &str) -> Result<Vec<String>>;
    fn read(&self, path: &str) -> Result<Box<dyn Read + '_>>;
}

/// `a` below `b`, where either may be empty.
pub fn join(dir: &str, name: &str) -> String {
    match (dir, name) {
        ("", name) => name.to_owned(),
        (dir, "") => dir.to_owned(),
        (dir, name) => format!("{dir}/{name}"),
    }
}

/// The real path of `path`: symlinks followed inside the tree, `..` stops at its root. What does not exist is kept as it
/// stands.
pub fn resolve(tree: &dyn Tree, path: &str) -> Result<String> {
    let mut todo: Vec<String> = parts(path);
    let mut real = String::new();
    let mut links = 0;
    while let Some(name) = todo.pop() {
        if name == ".." {
            real.truncate(real.rfind('/').unwrap_or(0));
            continue;
        }
        let next = join(&real, &name);
        let target = match tree.entry(&next)? {
            Some(Entry { kind: Kind::Symlink(target), .. }) => target,
            _ => {
                real = next;
                continue;
            }
        };
        links += 1;
        if links > MAX_LINKS {
            bail!("\"/{path}\": too many levels of symbolic links");
        }
        let target = String::from_utf8(target).with_context(|| format!("the target of /{next} is not UTF-8"))?;
        if target.starts_with('/') {
            real.clear();
        }
        todo.extend(parts(&target));
    }
    Ok(real)
}

/// Names of a path, last first.
fn parts(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|name| !name.is_empty() && *name != ".").map(str::to_owned).collect()
}

/// A path without `.`, `..` and doubled slashes; `..` stops at the root.
pub fn clean(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    names.join("/")
}

/// An image's files.
pub struct ImageTree(pub Merged);

impl ImageTree {
    fn node(&self, path: &str) -> Result<Option<Node>> {
        let mut node = self.0.root();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            match self.0.lookup(&node, name.as_bytes())? {
                Some(next) => node = next,
                None => return Ok(None),
            }
        }
        Ok(Some(node))
    }
}

impl Tree for ImageTree {
    fn entry(&self, path: &str) -> Result<Option<Entry>> {
        let Some(node) = self.node(path)? else { return Ok(None) };
        let stat = self.0.stat(&node)?;
        let kind = match stat.mode & 0o170000 {
            0o040000 => Kind::Dir,
            0o100000 => Kind::File { size: stat.size },
            0o120000 => Kind::Symlink(self.0.link(&node)?.to_vec()),
            0o010000 => Kind::Fifo,
            0o020000 => Kind::Char(stat.rdev.0, stat.rdev.1),
            0o060000 => Kind::Block(stat.rdev.0, stat.rdev.1),
            // A socket cannot be in a layer.
            _ => return Ok(None),
        };
        let mut entry = Entry::new(path, stat.mode & 0o7777, kind);
        (entry.uid, entry.gid, entry.mtime) = (stat.uid, stat.gid, stat.mtime);
        entry.xattrs = self.0.xattrs(&node)?;
        Ok(Some(entry))
    }

    fn names(&self, path: &str) -> Result<Vec<String>> {
        let Some(node) = self.node(path)? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for (name, _) in self.0.children(&node)? {
            names.push(String::from_utf8(name).with_context(|| format!("a name in /{path} is not UTF-8"))?);
        }
        names.sort();
        Ok(names)
    }

    fn read(&self, path: &str) -> Result<Box<dyn Read + '_>> {
        let node = self.node(path)?.with_context(|| format!("/{path} is gone"))?;
        Ok(Box::new(Content { merged: &self.0, node, offset: 0 }))
    }
}

/// A file's bytes, front to back.
struct Content<'a> {
    merged: &'a Merged,
    node: Node,
    offset: u64,
}

impl Read for Content<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.merged.read(&self.node, self.offset, buf).map_err(std::io::Error::other)?;
        self.offset += n as u64;
        Ok(n)
    }
}
