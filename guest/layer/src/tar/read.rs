//! [`Reader`]: the members of an untrusted, uncompressed tar, in one pass.

use std::io::Read;

use super::pax::Records;
use super::{BLOCK, Entry, Kind, Time, XATTR_MAX, padding, pax};
use crate::error::LayerError;

/// Longest body of an extended header or a GNU long name, in bytes.
const EXTENDED_MAX: u64 = 1 << 20;

/// A member and where its data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub entry: Entry,
    /// Offset in the archive of the member's header.
    pub header_offset: u64,
    /// Offset in the archive of the first byte of data.
    pub data_offset: u64,
}

/// Reads an archive member by member.
pub struct Reader<'a> {
    input: &'a mut dyn Read,
    /// Bytes taken from `input`.
    offset: u64,
    /// Data of the current member not yet read, and the padding after it.
    left: u64,
    padding: u64,
    /// Records of global extended headers.
    global: Records,
}

/// What extended headers say about the next member.
#[derive(Default)]
struct Extended {
    records: Records,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<'a> Reader<'a> {
    pub fn new(input: &'a mut dyn Read) -> Reader<'a> {
        Reader { input, offset: 0, left: 0, padding: 0, global: Vec::new() }
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next member; `None` at the end of the archive. Data that was not read is skipped.
    ///
    /// # Errors
    /// [`LayerError::Corrupt`] with the offset, or an entry that is not supported.
    pub fn next_record(&mut self) -> Result<Option<Record>, LayerError> {
        let mut extended = Extended::default();
        loop {
            self.skip_data()?;
            let at = self.offset;
            let Some(block) = self.header()? else {
                return match extended.is_empty() {
                    true => Ok(None),
                    false => Err(LayerError::corrupt("extended header with no member after it", at)),
                };
            };
            let size = number(&block[124..136]).ok_or_else(|| LayerError::corrupt("size is not a number", at + 124))?;
            match block[156] {
                b'x' => extended.records.extend(self.extended(size)?),
                b'g' => {
                    let records = self.extended(size)?;
                    self.global.extend(records);
                    if self.global.len() > 1024 {
                        return Err(LayerError::limit("records of global extended headers", 1024));
                    }
                }
                b'L' => extended.path = Some(until_nul(&self.body(size)?).to_vec()),
                b'K' => extended.link = Some(until_nul(&self.body(size)?).to_vec()),
                b'V' => self.expect_data(size, at)?,
                _ => return self.member(&block, size, at, extended).map(Some),
            }
        }
    }

    /// Reads data of the current member; 0 at its end.
    ///
    /// # Errors
    /// The archive ends early or the input fails.
    pub fn read_data(&mut self, buf: &mut [u8]) -> Result<usize, LayerError> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        if want == 0 {
            return Ok(0);
        }
        let n = self.read_some(&mut buf[..want])?;
        if n == 0 {
            return Err(LayerError::corrupt("archive ends inside a member's data", self.offset));
        }
        self.left -= n as u64;
        Ok(n)
    }

    /// Reads the input to its end (padding after the end mark).
    ///
    /// # Errors
    /// The input fails.
    pub fn drain(&mut self) -> Result<(), LayerError> {
        let mut buf = [0; 8192];
        while self.read_some(&mut buf)? > 0 {}
        Ok(())
    }

    fn member(&mut self, block: &[u8], size: u64, at: u64, extended: Extended) -> Result<Record, LayerError> {
        let mut entry = plain_entry(block, size, at)?;
        if let Some(path) = extended.path {
            entry.path = path;
        }
        if let (Some(link), Kind::Symlink(target) | Kind::HardLink(target)) = (extended.link, &mut entry.kind) {
            *target = link;
        }
        let mut data = size;
        let records: Vec<_> = self.global.iter().chain(&extended.records).collect();
        for (key, value) in records {
            apply_record(&mut entry, &mut data, key, value, at)?;
        }
        // Old archives say "directory" with a regular member whose name ends in a slash.
        if matches!(entry.kind, Kind::File { .. }) && entry.path.ends_with(b"/") {
            entry.kind = Kind::Dir;
        }
        while entry.path.len() > 1 && entry.path.ends_with(b"/") {
            entry.path.pop();
        }
        // Only regular files have data, whatever the size field says: a hard link's may be that of its target.
        match &mut entry.kind {
            Kind::File { size } => *size = data,
            _ => data = 0,
        }
        self.expect_data(data, at)?;
        Ok(Record { entry, header_offset: at, data_offset: self.offset })
    }

    fn expect_data(&mut self, size: u64, at: u64) -> Result<(), LayerError> {
        let total = size.checked_add(padding(size)).and_then(|n| n.checked_add(self.offset));
        if total.is_none_or(|end| end > i64::MAX as u64) {
            return Err(LayerError::corrupt("member's size is impossible", at + 124));
        }
        self.left = size;
        self.padding = padding(size);
        Ok(())
    }

    fn skip_data(&mut self) -> Result<(), LayerError> {
        let mut buf = [0; 4096];
        while self.read_data(&mut buf)? > 0 {}
        let pad = usize::try_from(std::mem::take(&mut self.padding)).unwrap_or(0);
        let n = self.fill(&mut buf[..pad])?;
        match n == pad {
            true => Ok(()),
            false => Err(LayerError::corrupt("archive ends inside a member's padding", self.offset)),
        }
    }

    /// The next header block, checked; `None` at the end mark or the end of the input.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, LayerError> {
        let at = self.offset;
        let mut block = [0; BLOCK];
        match self.fill(&mut block)? {
            0 => return Ok(None),
            BLOCK => {}
            _ => return Err(LayerError::corrupt("archive ends inside a header", self.offset)),
        }
        if block.iter().all(|b| *b == 0) {
            return self.end_mark();
        }
        let stored =
            number(&block[148..156]).ok_or_else(|| LayerError::corrupt("checksum is not a number", at + 148))?;
        let unsigned: u64 = sum(&block).map(u64::from).sum();
        let signed: i64 = sum(&block).map(|b| i64::from(b.cast_signed())).sum();
        if stored != unsigned && i64::try_from(stored) != Ok(signed) {
            return Err(LayerError::corrupt("header checksum does not match", at));
        }
        Ok(Some(block))
    }

    fn end_mark(&mut self) -> Result<Option<[u8; BLOCK]>, LayerError> {
        let at = self.offset;
        let mut block = [0; BLOCK];
        let n = self.fill(&mut block)?;
        match block[..n].iter().all(|b| *b == 0) {
            true => Ok(None),
            false => Err(LayerError::corrupt("data after a lone block of zeroes", at)),
        }
    }

    fn extended(&mut self, size: u64) -> Result<Records, LayerError> {
        let at = self.offset;
        pax::parse(&self.body(size)?, at)
    }

    /// The body of an extended header, with its padding.
    fn body(&mut self, size: u64) -> Result<Vec<u8>, LayerError> {
        if size > EXTENDED_MAX {
            return Err(LayerError::limit("bytes of an extended header", EXTENDED_MAX));
        }
        let mut body = vec![0; usize::try_from(size + padding(size)).unwrap_or(0)];
        if self.fill(&mut body)? < body.len() {
            return Err(LayerError::corrupt("archive ends inside an extended header", self.offset));
        }
        body.truncate(usize::try_from(size).unwrap_or(0));
        Ok(body)
    }

    /// Fills `buf` as far as the input goes.
    fn fill(&mut self, buf: &mut [u8]) -> Result<usize, LayerError> {
        let mut done = 0;
        while done < buf.len() {
            match self.read_some(&mut buf[done..])? {
                0 => break,
                n => done += n,
            }
        }
        Ok(done)
    }

    fn read_some(&mut self, buf: &mut [u8]) -> Result<usize, LayerError> {
        loop {
            match self.input.read(buf) {
                Ok(n) => {
                    self.offset += n as u64;
                    return Ok(n);
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl Extended {
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.path.is_none() && self.link.is_none()
    }
}

/// The header's bytes with the checksum field as spaces.
fn sum(block: &[u8; BLOCK]) -> impl Iterator<Item = u8> + '_ {
    block.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { b' ' } else { *b })
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or_default()
}

/// An octal or GNU base-256 number, at most 12 bytes; blank is 0. Negative ones are `None` (see [`signed`]).
fn number(field: &[u8]) -> Option<u64> {
    signed(field).and_then(|n| u64::try_from(n).ok())
}

fn signed(field: &[u8]) -> Option<i128> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        let head = i128::from(first & 0x3f) - i128::from(first & 0x40);
        let n = field[1..].iter().fold(head, |n, b| (n << 8) | i128::from(*b));
        return (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&n).then_some(n);
    }
    let text = until_nul(field).trim_ascii();
    text.iter().try_fold(0i128, |n, b| {
        let digit = (b'0'..=b'7').contains(b).then(|| i128::from(b - b'0'))?;
        Some(n * 8 + digit)
    })
}

/// The member as its own header block has it.
fn plain_entry(block: &[u8], size: u64, at: u64) -> Result<Entry, LayerError> {
    let bad = |what: &str, field: u64| LayerError::corrupt(format!("{what} is not a number"), at + field);
    let id = |field: &[u8]| number(field).and_then(|n| u32::try_from(n).ok());
    let mut path = until_nul(&block[..100]).to_vec();
    let prefix = until_nul(&block[345..500]);
    if &block[257..263] == b"ustar\0" && !prefix.is_empty() {
        path = [prefix, b"/", &path].concat();
    }
    let link = || until_nul(&block[157..257]).to_vec();
    let device = || -> Result<(u32, u32), LayerError> {
        let major = id(&block[329..337]).ok_or_else(|| bad("device number", 329))?;
        let minor = id(&block[337..345]).ok_or_else(|| bad("device number", 337))?;
        Ok((major, minor))
    };
    let kind = match block[156] {
        b'0' | 0 | b'7' => Kind::File { size },
        b'1' => Kind::HardLink(link()),
        b'2' => Kind::Symlink(link()),
        b'3' => device().map(|(major, minor)| Kind::Char(major, minor))?,
        b'4' => device().map(|(major, minor)| Kind::Block(major, minor))?,
        b'5' => Kind::Dir,
        b'6' => Kind::Fifo,
        b'S' => return Err(LayerError::unsupported(&path, "a sparse file in GNU's format")),
        other => {
            let what = format!("a member of type '{}'", char::from(other).escape_default());
            return Err(LayerError::unsupported(&path, what));
        }
    };
    let mode = number(&block[100..108]).ok_or_else(|| bad("mode", 100))?;
    let sec = signed(&block[136..148]).and_then(|n| i64::try_from(n).ok()).ok_or_else(|| bad("time", 136))?;
    Ok(Entry {
        path,
        mode: u32::try_from(mode & 0o7777).unwrap_or(0),
        uid: id(&block[108..116]).ok_or_else(|| bad("user id", 108))?,
        gid: id(&block[116..124]).ok_or_else(|| bad("group id", 116))?,
        mtime: Time::seconds(sec),
        kind,
        xattrs: Vec::new(),
    })
}

/// Lets one PAX record override the header's fields (pax Header Block in POSIX `pax`).
fn apply_record(entry: &mut Entry, size: &mut u64, key: &[u8], value: &[u8], at: u64) -> Result<(), LayerError> {
    let bad = || LayerError::corrupt(format!("extended header: bad value of {}", String::from_utf8_lossy(key)), at);
    let id = || pax::decimal(value).and_then(|n| u32::try_from(n).ok()).ok_or_else(bad);
    match key {
        // An empty value takes the record back (POSIX); the header's own field stands.
        _ if value.is_empty() && !key.starts_with(b"SCHILY.xattr.") => {}
        b"path" => entry.path = value.to_vec(),
        b"linkpath" => {
            if let Kind::Symlink(target) | Kind::HardLink(target) = &mut entry.kind {
                *target = value.to_vec();
            }
        }
        b"size" => *size = pax::decimal(value).ok_or_else(bad)?,
        b"uid" => entry.uid = id()?,
        b"gid" => entry.gid = id()?,
        b"mtime" => entry.mtime = pax::time(value).ok_or_else(bad)?,
        _ if key.starts_with(b"GNU.sparse.") => {
            return Err(LayerError::unsupported(&entry.path, "a sparse file in GNU's PAX format"));
        }
        _ => {
            if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                set_xattr(entry, name, value)?;
            }
        }
    }
    Ok(())
}

fn set_xattr(entry: &mut Entry, name: &[u8], value: &[u8]) -> Result<(), LayerError> {
    if name.is_empty() || name.len() > 255 || name.contains(&0) {
        return Err(LayerError::hostile(&entry.path, "the name of an extended attribute is not valid"));
    }
    if value.len() > XATTR_MAX {
        return Err(LayerError::limit("bytes of an extended attribute", XATTR_MAX as u64));
    }
    entry.xattrs.retain(|(known, _)| known != name);
    if entry.xattrs.len() >= 256 {
        return Err(LayerError::limit("extended attributes of one file", 256));
    }
    entry.xattrs.push((name.to_vec(), value.to_vec()));
    Ok(())
}
