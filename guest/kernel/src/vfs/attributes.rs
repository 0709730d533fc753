//! [`Attributes`]: what file systems in memory keep of every file.

use super::{NewAttr, SetAttr, Stat, Timespec};
use crate::tunables::PAGE;

/// Owner, permission bits and times.
#[derive(Debug, Clone, Copy)]
pub struct Attributes {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub atime: Timespec,
    pub mtime: Timespec,
    pub ctime: Timespec,
}

impl Attributes {
    pub fn new(attr: &NewAttr) -> Attributes {
        let NewAttr { mode, uid, gid, now } = *attr;
        Attributes { mode: mode & 0o7777, uid, gid, atime: now, mtime: now, ctime: now }
    }

    /// All but the size.
    pub fn set(&mut self, attr: &SetAttr, now: Timespec) {
        self.mode = attr.mode.map_or(self.mode, |mode| mode & 0o7777);
        self.uid = attr.uid.unwrap_or(self.uid);
        self.gid = attr.gid.unwrap_or(self.gid);
        self.atime = attr.atime.unwrap_or(self.atime);
        self.mtime = attr.mtime.unwrap_or(self.mtime);
        self.ctime = now;
    }

    /// A file's metadata so far, the mode without a type.
    pub fn stat(self) -> Stat {
        let Attributes { mode, uid, gid, atime, mtime, ctime } = self;
        Stat { mode, uid, gid, atime, mtime, ctime, block_size: PAGE as u32, ..Stat::default() }
    }
}
