//! [`Writer`]: the canonical tar of given entries: ustar, with a PAX header only where ustar cannot say it.
//!
//! Equal entries give equal bytes. User and group names are left empty.

use std::io::{Read, Write};

use super::{BLOCK, Entry, Kind, Time, padding, pax};
use crate::error::LayerError;

/// Largest number in an eight-byte octal field.
const OCTAL_7: u64 = 0o7777777;
/// Largest number in a twelve-byte octal field.
const OCTAL_11: u64 = 0o77777777777;

/// Writes an archive in one pass.
pub struct Writer<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut dyn Write) -> Writer<'a> {
        Writer { out }
    }

    /// Appends one member. Of a file, exactly its size is taken from `data`; other kinds leave `data` alone.
    ///
    /// # Errors
    /// What cannot be said in a tar, `data` ending early, or the output refusing.
    pub fn append(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<(), LayerError> {
        check(entry)?;
        let mut header = Header::new(entry);
        header.add_xattrs(entry);
        if !header.records.is_empty() {
            self.write_pax(entry, &header.records)?;
        }
        self.out.write_all(&header.finish())?;
        match entry.kind {
            Kind::File { size } => self.copy(entry, size, data),
            _ => Ok(()),
        }
    }

    /// Writes the end mark and flushes.
    ///
    /// # Errors
    /// The output refuses.
    pub fn finish(self) -> Result<(), LayerError> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        Ok(self.out.flush()?)
    }

    fn copy(&mut self, entry: &Entry, size: u64, data: &mut dyn Read) -> Result<(), LayerError> {
        let mut buf = vec![0; usize::try_from(size.min(65536)).unwrap_or(65536)];
        let mut left = size;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
            let n = data.read(&mut buf[..want])?;
            if n == 0 {
                let path = String::from_utf8_lossy(&entry.path).into_owned();
                return Err(LayerError::Io(format!("\"{path}\" ended {left} bytes before its size of {size}")));
            }
            self.out.write_all(&buf[..n])?;
            left -= n as u64;
        }
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> Result<(), LayerError> {
        let pad = usize::try_from(padding(size)).unwrap_or(0);
        Ok(self.out.write_all(&[0; BLOCK][..pad])?)
    }

    fn write_pax(&mut self, entry: &Entry, records: &[u8]) -> Result<(), LayerError> {
        let base = entry.path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        let mut name = b"PaxHeaders.0/".to_vec();
        name.extend_from_slice(&base[..base.len().min(80)]);
        let mut header = Block::new();
        header.bytes(0, 100, &name);
        header.common(0o644, 0, 0, Time::default());
        header.octal(124, 12, records.len() as u64);
        header.0[156] = b'x';
        self.out.write_all(&header.sealed())?;
        self.out.write_all(records)?;
        self.pad(records.len() as u64)
    }
}

fn check(entry: &Entry) -> Result<(), LayerError> {
    let refuse = |what: &str| Err(LayerError::unsupported(&entry.path, what));
    if entry.path.is_empty() || entry.path.contains(&0) {
        return refuse("a path that is empty or holds a NUL byte");
    }
    if let Kind::Symlink(target) | Kind::HardLink(target) = &entry.kind
        && (target.is_empty() || target.contains(&0))
    {
        return refuse("a link target that is empty or holds a NUL byte");
    }
    if let Kind::Char(major, minor) | Kind::Block(major, minor) = entry.kind
        && u64::from(major.max(minor)) > OCTAL_7
    {
        return refuse("a device number that tar has no room for");
    }
    if entry.xattrs.iter().any(|(name, _)| name.is_empty() || name.contains(&b'=') || name.contains(&0)) {
        return refuse("an extended attribute whose name is empty or holds '='");
    }
    Ok(())
}

/// One header block.
struct Block([u8; BLOCK]);

impl Block {
    fn new() -> Block {
        let mut block = Block([0; BLOCK]);
        block.bytes(257, 8, b"ustar\x0000");
        block
    }

    fn bytes(&mut self, at: usize, room: usize, value: &[u8]) {
        let n = value.len().min(room);
        self.0[at..at + n].copy_from_slice(&value[..n]);
    }

    /// An octal number with a closing NUL.
    fn octal(&mut self, at: usize, room: usize, value: u64) {
        let text = format!("{value:0width$o}", width = room - 1);
        self.bytes(at, room, text.as_bytes());
    }

    fn common(&mut self, mode: u32, uid: u64, gid: u64, mtime: Time) {
        self.octal(100, 8, u64::from(mode & 0o7777));
        self.octal(108, 8, uid);
        self.octal(116, 8, gid);
        self.octal(136, 12, u64::try_from(mtime.sec).unwrap_or(0));
        self.octal(329, 8, 0);
        self.octal(337, 8, 0);
    }

    fn sealed(mut self) -> [u8; BLOCK] {
        self.0[148..156].fill(b' ');
        let sum: u64 = self.0.iter().map(|b| u64::from(*b)).sum();
        self.bytes(148, 8, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

/// A header block and the PAX records for what did not fit.
struct Header {
    block: Block,
    records: Vec<u8>,
}

impl Header {
    fn new(entry: &Entry) -> Header {
        let mut header = Header { block: Block::new(), records: Vec::new() };
        header.set_path(entry);
        header.set_owner(entry);
        header.set_kind(&entry.kind);
        header
    }

    fn record(&mut self, key: &str, value: &[u8]) {
        pax::format(&mut self.records, key.as_bytes(), value);
    }

    fn set_path(&mut self, entry: &Entry) {
        let mut path = entry.path.clone();
        if entry.kind == Kind::Dir && path.last() != Some(&b'/') {
            path.push(b'/');
        }
        if path.len() <= 100 {
            self.block.bytes(0, 100, &path);
        } else if let Some(cut) = prefix_cut(&path) {
            self.block.bytes(345, 155, &path[..cut]);
            self.block.bytes(0, 100, &path[cut + 1..]);
        } else {
            self.record("path", &path);
            self.block.bytes(0, 100, &path[..100]);
        }
    }

    fn set_owner(&mut self, entry: &Entry) {
        let (uid, gid) = (u64::from(entry.uid), u64::from(entry.gid));
        let plain = |id: u64| if id <= OCTAL_7 { id } else { 0 };
        let fits = |t: Time| t.nsec == 0 && u64::try_from(t.sec).is_ok_and(|s| s <= OCTAL_11);
        if uid > OCTAL_7 {
            self.record("uid", uid.to_string().as_bytes());
        }
        if gid > OCTAL_7 {
            self.record("gid", gid.to_string().as_bytes());
        }
        if !fits(entry.mtime) {
            self.record("mtime", pax::time_text(entry.mtime).as_bytes());
        }
        let whole = Time::seconds(entry.mtime.sec.clamp(0, OCTAL_11.cast_signed()));
        self.block.common(entry.mode, plain(uid), plain(gid), whole);
    }

    fn set_kind(&mut self, kind: &Kind) {
        let mut size = 0;
        self.block.0[156] = match kind {
            Kind::File { size: n } => {
                size = *n;
                b'0'
            }
            Kind::HardLink(target) => {
                self.set_link(target);
                b'1'
            }
            Kind::Symlink(target) => {
                self.set_link(target);
                b'2'
            }
            Kind::Char(major, minor) => {
                self.set_device(*major, *minor);
                b'3'
            }
            Kind::Block(major, minor) => {
                self.set_device(*major, *minor);
                b'4'
            }
            Kind::Dir => b'5',
            Kind::Fifo => b'6',
        };
        if size > OCTAL_11 {
            self.record("size", size.to_string().as_bytes());
            size = 0;
        }
        self.block.octal(124, 12, size);
    }

    fn set_link(&mut self, target: &[u8]) {
        if target.len() > 100 {
            self.record("linkpath", target);
        }
        self.block.bytes(157, 100, target);
    }

    fn set_device(&mut self, major: u32, minor: u32) {
        self.block.octal(329, 8, u64::from(major));
        self.block.octal(337, 8, u64::from(minor));
    }

    fn add_xattrs(&mut self, entry: &Entry) {
        let mut xattrs: Vec<_> = entry.xattrs.iter().collect();
        xattrs.sort();
        for (name, value) in xattrs {
            let key = [b"SCHILY.xattr.", name.as_slice()].concat();
            pax::format(&mut self.records, &key, value);
        }
    }

    fn finish(self) -> [u8; BLOCK] {
        self.block.sealed()
    }
}

/// Where to cut a long path so that 155 bytes hold what is before and 100 what is after.
fn prefix_cut(path: &[u8]) -> Option<usize> {
    (1..path.len().min(156)).rev().find(|i| path[*i] == b'/' && (1..=100).contains(&(path.len() - i - 1)))
}
