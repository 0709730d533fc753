//! The image's files while they are put together: packages laid over each other, then written as one canonical tar.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Component, Path};

use anyhow::{Context, Result, bail, ensure};
use shallop_layer::merge::Merged;
use shallop_layer::tar::{Entry, Kind, Time, Writer};

/// Most files of one package.
const PATHS_MAX: usize = 1 << 20;

/// Bytes of a file that is read from the layers below.
const READ_MAX: u64 = 256 << 20;

/// What is at a path.
#[derive(Debug, Clone)]
enum Node {
    /// Offset and length in the spool.
    File(u64, u64),
    Directory,
    Symlink(String),
    HardLink(String),
}

#[derive(Debug, Clone)]
struct Item {
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: i64,
    node: Node,
}

/// Files by path (no leading slash); contents in a temporary file. They may lie over the layers of an image.
pub struct Rootfs {
    items: BTreeMap<String, Item>,
    below: Option<Merged>,
    spool: File,
    end: u64,
    /// Modification time of what the recipe adds itself: the newest of the packages' files.
    newest: i64,
}

impl Rootfs {
    /// Nothing yet, over the layers `below`.
    pub fn new(below: Option<Merged>) -> Result<Rootfs> {
        let spool = tempfile::tempfile().context("making a temporary file")?;
        Ok(Rootfs { items: BTreeMap::new(), below, spool, end: 0, newest: 0 })
    }

    /// Lays one package's files over what is there, leaving out paths below `leave_out` but for its licence; all paths of the package.
    pub fn unpack(&mut self, data: &mut tar::Archive<Box<dyn Read>>, leave_out: &[&str]) -> Result<Vec<String>> {
        let mut paths = Vec::new();
        for entry in data.entries()? {
            let mut entry = entry?;
            let path = normalise(&entry.path()?)?;
            if path.is_empty() {
                continue;
            }
            ensure!(paths.len() < PATHS_MAX, "a package of more than {PATHS_MAX} files");
            paths.push(path.clone());
            if leave_out.iter().any(|prefix| is_under(&path, prefix)) && !is_licence(&path) {
                continue;
            }
            let header = entry.header();
            let kind = header.entry_type();
            let mut item = Item {
                mode: header.mode()? & 0o7777,
                uid: header.uid()? as u32,
                gid: header.gid()? as u32,
                mtime: header.mtime()? as i64,
                node: Node::Directory,
            };
            item.node = match kind {
                tar::EntryType::Directory => Node::Directory,
                tar::EntryType::Symlink => Node::Symlink(link_target(&entry)?),
                tar::EntryType::Link => Node::HardLink(normalise(Path::new(&link_target(&entry)?))?),
                tar::EntryType::Regular | tar::EntryType::Continuous => self.spool(&mut entry)?,
                other => bail!("{path} is of a kind that no package should hold ({other:?})"),
            };
            self.insert(path, item)?;
        }
        Ok(paths)
    }

    fn insert(&mut self, path: String, item: Item) -> Result<()> {
        self.newest = self.newest.max(item.mtime);
        // A directory of one package may be a symlink to a directory in another (merged /usr): the symlink stays, as
        // does a directory of the layers below.
        let is_directory = matches!(item.node, Node::Directory);
        let stays = is_directory
            && match self.items.get(&path) {
                Some(there) => matches!(there.node, Node::Symlink(_)),
                None => self.is_below_as_directory(&path)?,
            };
        if !stays {
            let path = self.through_links(&path)?;
            self.items.insert(path, item);
        }
        Ok(())
    }

    /// Whether the layers below have a directory, or a link in its place, at `path`.
    fn is_below_as_directory(&self, path: &str) -> Result<bool> {
        let Some(below) = &self.below else { return Ok(false) };
        let Some(node) = below.find(path.as_bytes())? else { return Ok(false) };
        Ok(!below.stat(&node)?.is_regular())
    }

    /// The path with a leading directory symlink (`lib` → `usr/lib`) followed.
    fn through_links(&self, path: &str) -> Result<String> {
        let Some((first, rest)) = path.split_once('/') else { return Ok(path.to_owned()) };
        Ok(match self.link(first)? {
            Some(target) => format!("{}/{rest}", target.trim_matches('/')),
            None => path.to_owned(),
        })
    }

    /// Where a symlink leads.
    fn link(&self, path: &str) -> Result<Option<String>> {
        if let Some(item) = self.items.get(path) {
            return Ok(if let Node::Symlink(target) = &item.node { Some(target.clone()) } else { None });
        }
        let Some(below) = &self.below else { return Ok(None) };
        let Some(node) = below.find(path.as_bytes())? else { return Ok(None) };
        let target = String::from_utf8_lossy(below.link(&node)?).into_owned();
        Ok(Some(target).filter(|target| !target.is_empty()))
    }

    fn spool(&mut self, content: &mut dyn Read) -> Result<Node> {
        let start = self.end;
        self.spool.seek(SeekFrom::Start(start))?;
        let len = std::io::copy(content, &mut self.spool).context("writing a temporary file (is the disk full?)")?;
        self.end += len;
        Ok(Node::File(start, len))
    }

    /// Adds a file of the recipe's own.
    pub fn add_file(&mut self, path: &str, mode: u32, text: &[u8]) -> Result<()> {
        let node = self.spool(&mut &text[..])?;
        self.add(path, mode, node)
    }

    pub fn add_symlink(&mut self, path: &str, target: &str) -> Result<()> {
        self.add(path, 0o777, Node::Symlink(target.to_owned()))
    }

    pub fn add_directory(&mut self, path: &str, mode: u32) -> Result<()> {
        self.add(path, mode, Node::Directory)
    }

    fn add(&mut self, path: &str, mode: u32, node: Node) -> Result<()> {
        let path = self.through_links(path)?;
        self.items.insert(path, Item { mode, uid: 0, gid: 0, mtime: self.newest, node });
        Ok(())
    }

    /// A regular file's bytes, here or in the layers below.
    pub fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>> {
        let path = self.through_links(path)?;
        match self.items.get(&path).map(|item| &item.node) {
            Some(Node::File(offset, len)) => {
                let mut bytes = vec![0; *len as usize];
                self.spool.seek(SeekFrom::Start(*offset))?;
                self.spool.read_exact(&mut bytes)?;
                Ok(Some(bytes))
            }
            Some(_) => Ok(None),
            None => self.read_below(&path),
        }
    }

    fn read_below(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let Some(below) = &self.below else { return Ok(None) };
        let Some(node) = below.find(path.as_bytes())? else { return Ok(None) };
        let stat = below.stat(&node)?;
        if !stat.is_regular() {
            return Ok(None);
        }
        ensure!(stat.size <= READ_MAX, "/{path} has more than {READ_MAX} bytes");
        let mut bytes = vec![0; stat.size as usize];
        let count = below.read(&node, 0, &mut bytes)?;
        bytes.truncate(count);
        Ok(Some(bytes))
    }

    pub fn contains(&self, path: &str) -> bool {
        self.items.contains_key(path)
    }

    /// Writes everything as a tar, sorted by path.
    pub fn write(&mut self, out: &mut dyn Write) -> Result<()> {
        let mut writer = Writer::new(out);
        let mut late = Vec::new();
        for (path, item) in &self.items {
            match &item.node {
                // A hard link can come only after its target.
                Node::HardLink(_) => late.push((path, item)),
                Node::File(offset, _) => {
                    self.spool.seek(SeekFrom::Start(*offset))?;
                    writer.append(&entry(path, item), &mut &self.spool)?;
                }
                _ => writer.append(&entry(path, item), &mut std::io::empty())?,
            }
        }
        for (path, item) in late {
            writer.append(&entry(path, item), &mut std::io::empty())?;
        }
        writer.finish()?;
        Ok(())
    }
}

fn entry(path: &str, item: &Item) -> Entry {
    let kind = match &item.node {
        Node::File(_, len) => Kind::File { size: *len },
        Node::Directory => Kind::Dir,
        Node::Symlink(target) => Kind::Symlink(target.clone().into_bytes()),
        Node::HardLink(target) => Kind::HardLink(target.clone().into_bytes()),
    };
    Entry {
        path: path.as_bytes().to_vec(),
        mode: item.mode,
        uid: item.uid,
        gid: item.gid,
        mtime: Time::seconds(item.mtime),
        kind,
        xattrs: Vec::new(),
    }
}

fn is_under(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A package's licence, and the folders that it is in.
fn is_licence(path: &str) -> bool {
    let Some(below) = path.strip_prefix("usr/share/doc") else { return false };
    match below.split('/').collect::<Vec<_>>()[..] {
        [""] | ["", _] => true,
        ["", _, file] => file == "copyright",
        _ => false,
    }
}

fn link_target<R: Read>(entry: &tar::Entry<'_, R>) -> Result<String> {
    let target = entry.link_name()?.context("a link without a target")?;
    Ok(target.to_str().context("a link's target is not UTF-8")?.to_owned())
}

/// `./usr/bin/x` → `usr/bin/x`; refuses what leads out.
fn normalise(path: &Path) -> Result<String> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::CurDir | Component::RootDir => {}
            Component::Normal(name) => parts.push(name.to_str().context("a path that is not UTF-8")?),
            _ => bail!("{} leads out of the package", path.display()),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_stay_and_other_documents_do_not() {
        let stays = ["usr/share/doc", "usr/share/doc/dash", "usr/share/doc/dash/copyright"];
        let goes =
            ["usr/share/doc/dash/changelog.gz", "usr/share/doc/dash/copyright/x", "usr/share/docs", "usr/share/man"];
        assert_eq!((stays.map(is_licence), goes.map(is_licence)), ([true; 3], [false; 4]));
    }
}
