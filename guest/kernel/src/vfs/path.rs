//! Path walking (path_resolution(7)): `Walk` goes from a path to a `Location`, over links, mounts and `..`.

use shallop_linux_abi::Errno;
use shallop_linux_abi::file::{NAME_MAX, PATH_MAX};

use super::mount::MountTable;
use super::permission::{self, EXEC};
use super::{FileKind, InodeRef, Location};
use crate::kernel::Kernel;
use crate::task::Credentials;
use crate::wait::Tid;

/// Links followed in one walk before ELOOP.
const MAX_LINKS: u32 = 40;

/// Who walks, and from which root.
pub struct Walk<'a> {
    pub mounts: &'a MountTable,
    pub credentials: &'a Credentials,
    pub root: &'a Location,
    /// For file systems that show the kernel's state; without it they look empty.
    pub kernel: Option<(&'a Kernel, Tid)>,
    /// What is not allowed on the way.
    pub limits: Limits,
}

/// Restrictions of openat2(2).
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    pub no_symlinks: bool,
    pub no_magic_links: bool,
    pub no_mounts: bool,
    /// `..` above the start, absolute paths and absolute links give EXDEV.
    pub beneath: bool,
    /// The start is the root: `..`, absolute paths and absolute links stay below it.
    pub in_root: bool,
    /// For calls that make or remove a name: a last link is not followed, whatever slashes come after it; the caller
    /// looks at `Found::slash`.
    pub name_only: bool,
}

/// What kind of word a path ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    Name,
    Dot,
    DotDot,
    /// `/`, or an empty rest after a link.
    Root,
}

/// Where a path leads.
pub struct Found {
    /// `None`: the last name does not exist in `parent`.
    pub location: Option<Location>,
    /// The directory that holds (or would hold) the last name.
    pub parent: Location,
    /// The last name, when `last` is `Name`.
    pub name: Vec<u8>,
    pub last: Last,
    /// The path ended in a slash: a directory is meant.
    pub slash: bool,
}

/// What the walk has left: a path being eaten from the front.
struct Rest {
    path: Vec<u8>,
    at: usize,
}

impl Rest {
    fn skip_slashes(&mut self) {
        while self.path.get(self.at) == Some(&b'/') {
            self.at += 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.at == self.path.len()
    }

    /// The next name; (range, whether it is the last, whether slashes follow the last).
    fn next(&mut self) -> (std::ops::Range<usize>, bool, bool) {
        let start = self.at;
        let end = self.path[start..].iter().position(|b| *b == b'/').map_or(self.path.len(), |n| start + n);
        self.at = end;
        self.skip_slashes();
        let last = self.is_empty();
        (start..end, last, last && end != self.path.len())
    }

    /// Puts a link's target before what is left.
    fn prepend(&mut self, target: Vec<u8>, slash: bool) {
        let mut path = target;
        if !self.is_empty() || slash {
            path.push(b'/');
            path.extend_from_slice(&self.path[self.at..]);
        }
        *self = Rest { path, at: 0 };
    }
}

impl Walk<'_> {
    /// Follows `path` from `base`; ENOENT when the last name is missing too.
    pub fn resolve(&self, base: &Location, path: &[u8], follow: bool) -> Result<Location, Errno> {
        self.walk(base, path, follow)?.location.ok_or(Errno::ENOENT)
    }

    /// Follows `path` up to its last name; `follow` says whether a link there is followed too.
    pub fn walk(&self, base: &Location, path: &[u8], follow: bool) -> Result<Found, Errno> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        if path.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let mut rest = Rest { path: path.to_vec(), at: 0 };
        let mut current = self.start(base, &rest.path)?;
        let mut links = 0;
        let mut last_word = Last::Root;
        loop {
            rest.skip_slashes();
            if rest.is_empty() {
                return Ok(ended(current, last_word));
            }
            let (range, last, slash) = rest.next();
            let name = rest.path[range].to_vec();
            self.search(&current)?;
            match name.as_slice() {
                b"." => last_word = Last::Dot,
                b".." => {
                    last_word = Last::DotDot;
                    current = self.up(base, &current)?;
                }
                _ => {
                    let Some(next) = self.step(&current, &name, last)? else {
                        return Ok(Found { location: None, parent: current, name, last: Last::Name, slash });
                    };
                    let is_link = next.inode.kind() == FileKind::Symlink;
                    if is_link && (!last || follow || slash && !self.limits.name_only) {
                        links += 1;
                        if links > MAX_LINKS {
                            return Err(Errno::ELOOP);
                        }
                        last_word = Last::Root;
                        current = self.follow(base, current, &next, &mut rest, slash)?;
                    } else if last {
                        if slash && !self.limits.name_only && next.inode.kind() != FileKind::Directory {
                            return Err(Errno::ENOTDIR);
                        }
                        return Ok(Found { location: Some(next), parent: current, name, last: Last::Name, slash });
                    } else {
                        current = next;
                    }
                }
            }
        }
    }

    fn start(&self, base: &Location, path: &[u8]) -> Result<Location, Errno> {
        match path.first() {
            Some(b'/') if self.limits.beneath => Err(Errno::EXDEV),
            Some(b'/') => Ok(self.root.clone()),
            _ => Ok(base.clone()),
        }
    }

    /// The right to look something up in `directory`.
    fn search(&self, directory: &Location) -> Result<(), Errno> {
        match directory.inode.kind() {
            FileKind::Directory => permission::check(self.credentials, &directory.inode, EXEC),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// `..`: stays at the root.
    fn up(&self, base: &Location, current: &Location) -> Result<Location, Errno> {
        if self.limits.beneath && current.same(base) {
            return Err(Errno::EXDEV);
        }
        match &current.parent {
            Some(parent) if !current.same(self.root) => self.within_mount(current, (**parent).clone()),
            _ => Ok(current.clone()),
        }
    }

    /// EXDEV where the way from one place to another leaves a mount that is not to be left.
    fn within_mount(&self, from: &Location, to: Location) -> Result<Location, Errno> {
        if self.limits.no_mounts && from.mount != to.mount { Err(Errno::EXDEV) } else { Ok(to) }
    }

    /// One name further; `None` when the last name does not exist.
    fn step(&self, current: &Location, name: &[u8], last: bool) -> Result<Option<Location>, Errno> {
        if name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        match self.lookup(&current.inode, name) {
            Err(Errno::ENOENT) if last => Ok(None),
            Err(errno) => Err(errno),
            Ok(inode) => self.within_mount(current, self.mounts.enter(current.child(name, inode))).map(Some),
        }
    }

    fn lookup(&self, directory: &InodeRef, name: &[u8]) -> Result<InodeRef, Errno> {
        match (directory.kernel_view(), self.kernel) {
            (Some(view), Some((k, caller))) => view.lookup(k, caller, name),
            _ => directory.lookup(name),
        }
    }

    /// Goes where a link leads: a magic link's object, or the directory from which its target is walked on.
    fn follow(
        &self,
        base: &Location,
        current: Location,
        link: &Location,
        rest: &mut Rest,
        slash: bool,
    ) -> Result<Location, Errno> {
        if self.limits.no_symlinks {
            return Err(Errno::ELOOP);
        }
        let magic = match (link.inode.kernel_view(), self.kernel) {
            (Some(view), Some((k, caller))) => view.magic_link(k, caller)?,
            _ => link.inode.magic_link(),
        };
        if let Some(target) = magic {
            if self.limits.no_magic_links {
                return Err(Errno::ELOOP);
            }
            if self.limits.beneath || self.limits.in_root {
                return Err(Errno::EXDEV);
            }
            let target = self.within_mount(&current, target)?;
            if slash && target.inode.kind() != FileKind::Directory {
                return Err(Errno::ENOTDIR);
            }
            return Ok(target);
        }
        let target = self.read_link(&link.inode)?;
        if target.is_empty() {
            return Err(Errno::ENOENT);
        }
        let from = match target.first() {
            Some(b'/') => self.within_mount(&current, self.start(base, &target)?)?,
            _ => current,
        };
        rest.prepend(target, slash);
        Ok(from)
    }

    /// readlink(2) of an inode.
    pub fn read_link(&self, inode: &InodeRef) -> Result<Vec<u8>, Errno> {
        match (inode.kernel_view(), self.kernel) {
            (Some(view), Some((k, caller))) => view.read_link(k, caller),
            _ => inode.read_link(),
        }
    }
}

/// The result of a path that ended without a name of its own.
fn ended(current: Location, last: Last) -> Found {
    let parent = current.parent.as_deref().unwrap_or(&current).clone();
    Found { location: Some(current), parent, name: Vec::new(), last, slash: false }
}
