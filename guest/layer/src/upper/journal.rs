//! The journal's bytes: a header, then records of operations, each with length and checksum.
//!
//! ```text
//! header  magic[8] version:u32 0:u32 start:u64 crc32(start):u32 0:u32; `start` is where the first record is
//! record  length:u32 crc32:u32 payload[length]; the payload is one or more operations, which apply together
//! ```
//! A tail that is cut off or whose checksum is wrong was never acknowledged and is ignored.

use super::Attr;
use crate::error::LayerError;
use crate::merge::Place;
use crate::tar::Time;

pub(crate) const MAGIC: [u8; 8] = *b"SHLPUPR\0";
pub(crate) const VERSION: u32 = 1;
pub(crate) const HEADER_BYTES: u64 = 32;
/// Where the header's field for the first record's offset is.
pub(crate) const START_AT: u64 = 16;

/// Longest payload of one record.
pub(crate) const RECORD_MAX: u32 = 16 << 20;

/// What a new inode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewBody {
    /// With the bytes of a lower file, or empty.
    Regular(Option<Place>),
    /// With what these lower directories hold, highest first.
    Directory(Vec<Place>),
    Symlink(Vec<u8>),
    /// A fifo, device or socket, as the mode says.
    Special,
}

/// One change of the upper layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// A new inode, or a lower one taken over under its number.
    Node { ino: u64, attr: Attr, body: NewBody },
    /// All attributes of an inode.
    Attr { ino: u64, attr: Attr },
    /// Sets or removes an extended attribute.
    Xattr { ino: u64, name: Vec<u8>, value: Option<Vec<u8>> },
    /// `name` in `dir` leads to `ino`.
    Link { dir: u64, name: Vec<u8>, ino: u64 },
    /// `name` in `dir` is gone; `whiteout` when a lower layer has it.
    Unlink { dir: u64, name: Vec<u8>, whiteout: bool },
    /// Nothing of lower layers shows in `dir` any more.
    Opaque { dir: u64 },
    /// The file's bytes are its own from now on, at first all holes.
    Own { ino: u64 },
    /// The file's bytes are those of `from` from now on, which is gone.
    Adopt { ino: u64, from: u64 },
    /// `len` pages from file page `at` are at page `start` of the data file.
    Extent { ino: u64, at: u64, start: u64, len: u64 },
    /// `len` pages from file page `at` are a hole.
    Hole { ino: u64, at: u64, len: u64 },
    /// The inode is gone with its bytes.
    Drop { ino: u64 },
    /// The file system was synced and no write came after.
    Clean,
}

/// The header's last sixteen bytes, for a first record at `start`.
pub(crate) fn start_field(start: u64) -> Vec<u8> {
    let mut out = start.to_le_bytes().to_vec();
    let crc = crc32(&out);
    word(&mut out, crc);
    word(&mut out, 0);
    out
}

/// Appends a record of `ops`.
pub(crate) fn encode_record(ops: &[Op], out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[0; 8]);
    ops.iter().for_each(|op| encode(op, out));
    let length = u32::try_from(out.len() - at - 8).unwrap_or(u32::MAX);
    let crc = crc32(&out[at + 8..]);
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
    out[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
}

/// The operations of one payload, which starts at `offset` of the journal.
pub(crate) fn decode_payload(payload: &[u8], offset: u64) -> Result<Vec<Op>, LayerError> {
    let mut input = Input { bytes: payload, at: 0, offset };
    let mut ops = Vec::new();
    while input.at < payload.len() {
        ops.push(input.op()?);
    }
    Ok(ops)
}

fn encode(op: &Op, out: &mut Vec<u8>) {
    match op {
        Op::Node { ino, attr, body } => {
            out.push(1);
            long(out, *ino);
            encode_attr(attr, out);
            encode_body(body, out);
        }
        Op::Attr { ino, attr } => {
            out.push(2);
            long(out, *ino);
            encode_attr(attr, out);
        }
        Op::Xattr { ino, name, value } => {
            out.push(3);
            long(out, *ino);
            string(out, name);
            out.push(u8::from(value.is_some()));
            string(out, value.as_deref().unwrap_or_default());
        }
        Op::Link { dir, name, ino } => {
            out.push(4);
            long(out, *dir);
            string(out, name);
            long(out, *ino);
        }
        Op::Unlink { dir, name, whiteout } => {
            out.push(5);
            long(out, *dir);
            string(out, name);
            out.push(u8::from(*whiteout));
        }
        Op::Opaque { dir } => numbers(out, 6, &[*dir]),
        Op::Own { ino } => numbers(out, 7, &[*ino]),
        Op::Extent { ino, at, start, len } => numbers(out, 8, &[*ino, *at, *start, *len]),
        Op::Hole { ino, at, len } => numbers(out, 9, &[*ino, *at, *len]),
        Op::Drop { ino } => numbers(out, 10, &[*ino]),
        Op::Clean => out.push(11),
        Op::Adopt { ino, from } => numbers(out, 12, &[*ino, *from]),
    }
}

fn numbers(out: &mut Vec<u8>, tag: u8, values: &[u64]) {
    out.push(tag);
    values.iter().for_each(|v| long(out, *v));
}

fn long(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn word(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    word(out, u32::try_from(text.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(text);
}

fn encode_attr(attr: &Attr, out: &mut Vec<u8>) {
    for value in [attr.mode, attr.uid, attr.gid, attr.nlink, attr.rdev.0, attr.rdev.1] {
        word(out, value);
    }
    long(out, attr.size);
    for time in [attr.atime, attr.mtime, attr.ctime, attr.btime] {
        long(out, time.sec.cast_unsigned());
        word(out, time.nsec);
    }
}

fn encode_body(body: &NewBody, out: &mut Vec<u8>) {
    let places = match body {
        NewBody::Regular(place) => {
            out.push(0);
            place.as_slice()
        }
        NewBody::Directory(places) => {
            out.push(1);
            places.as_slice()
        }
        NewBody::Symlink(text) => {
            out.push(2);
            return string(out, text);
        }
        NewBody::Special => return out.push(3),
    };
    word(out, u32::try_from(places.len()).unwrap_or(u32::MAX));
    for place in places {
        word(out, place.layer);
        word(out, place.node);
    }
}

/// Bytes of a payload, read front to back.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
    offset: u64,
}

impl Input<'_> {
    fn op(&mut self) -> Result<Op, LayerError> {
        Ok(match self.byte()? {
            1 => Op::Node { ino: self.long()?, attr: self.attr()?, body: self.body()? },
            2 => Op::Attr { ino: self.long()?, attr: self.attr()? },
            3 => {
                let (ino, name, some, value) = (self.long()?, self.string()?, self.byte()?, self.string()?);
                Op::Xattr { ino, name, value: (some != 0).then_some(value) }
            }
            4 => Op::Link { dir: self.long()?, name: self.name()?, ino: self.long()? },
            5 => Op::Unlink { dir: self.long()?, name: self.name()?, whiteout: self.byte()? != 0 },
            6 => Op::Opaque { dir: self.long()? },
            7 => Op::Own { ino: self.long()? },
            8 => Op::Extent { ino: self.long()?, at: self.long()?, start: self.long()?, len: self.long()? },
            9 => Op::Hole { ino: self.long()?, at: self.long()?, len: self.long()? },
            10 => Op::Drop { ino: self.long()? },
            11 => Op::Clean,
            12 => Op::Adopt { ino: self.long()?, from: self.long()? },
            other => return Err(self.bad(&format!("unknown operation {other}"))),
        })
    }

    fn bad(&self, what: &str) -> LayerError {
        LayerError::corrupt(format!("journal: {what}"), self.offset + self.at as u64)
    }

    fn take(&mut self, n: usize) -> Result<&[u8], LayerError> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.bad("operation is cut off"))?;
        let from = std::mem::replace(&mut self.at, end);
        Ok(&self.bytes[from..end])
    }

    fn byte(&mut self) -> Result<u8, LayerError> {
        Ok(self.take(1)?[0])
    }

    fn word(&mut self) -> Result<u32, LayerError> {
        Ok(crate::index::format::word(self.take(4)?, 0))
    }

    fn long(&mut self) -> Result<u64, LayerError> {
        Ok(crate::index::format::long(self.take(8)?, 0))
    }

    fn string(&mut self) -> Result<Vec<u8>, LayerError> {
        let n = self.word()?;
        Ok(self.take(n as usize)?.to_vec())
    }

    /// A file's or an attribute's name.
    fn name(&mut self) -> Result<Vec<u8>, LayerError> {
        let name = self.string()?;
        let sound = !name.is_empty() && name.len() <= 255 && name != b"." && name != b".." && !name.contains(&0);
        match sound && !name.contains(&b'/') {
            true => Ok(name),
            false => Err(self.bad("not a name")),
        }
    }

    fn time(&mut self) -> Result<Time, LayerError> {
        Ok(Time { sec: self.long()?.cast_signed(), nsec: self.word()?.min(999_999_999) })
    }

    fn attr(&mut self) -> Result<Attr, LayerError> {
        Ok(Attr {
            mode: self.word()?,
            uid: self.word()?,
            gid: self.word()?,
            nlink: self.word()?,
            rdev: (self.word()?, self.word()?),
            size: self.long()?,
            atime: self.time()?,
            mtime: self.time()?,
            ctime: self.time()?,
            btime: self.time()?,
        })
    }

    fn body(&mut self) -> Result<NewBody, LayerError> {
        match self.byte()? {
            0 => Ok(NewBody::Regular(self.places()?.first().copied())),
            1 => Ok(NewBody::Directory(self.places()?)),
            2 => Ok(NewBody::Symlink(self.string()?)),
            3 => Ok(NewBody::Special),
            other => Err(self.bad(&format!("unknown kind of file {other}"))),
        }
    }

    fn places(&mut self) -> Result<Vec<Place>, LayerError> {
        let count = self.word()?;
        if count > 65535 {
            return Err(self.bad("too many layers"));
        }
        (0..count).map(|_| Ok(Place { layer: self.word()?, node: self.word()? })).collect()
    }
}

/// CRC-32 as in IEEE 802.3, a byte at a time through a table.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc_table();
    !bytes.iter().fold(!0u32, |crc, b| TABLE[usize::from(crc.to_le_bytes()[0] ^ b)] ^ (crc >> 8))
}

const fn crc_table() -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut n = 0;
    while n < 256 {
        let mut crc = n as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 != 0 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[n] = crc;
        n += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_the_standard_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn operations_round_trip() {
        let attr = Attr { mode: 0o100644, size: 7, rdev: (1, 2), mtime: Time { sec: -3, nsec: 4 }, ..Attr::default() };
        let ops = vec![
            Op::Node { ino: 2, attr, body: NewBody::Regular(Some(Place { layer: 1, node: 9 })) },
            Op::Node { ino: 3, attr, body: NewBody::Directory(vec![Place { layer: 0, node: 0 }]) },
            Op::Node { ino: 4, attr, body: NewBody::Symlink(b"x/y".to_vec()) },
            Op::Attr { ino: 2, attr },
            Op::Xattr { ino: 2, name: b"user.a".to_vec(), value: Some(Vec::new()) },
            Op::Xattr { ino: 2, name: b"user.a".to_vec(), value: None },
            Op::Link { dir: 3, name: b"n".to_vec(), ino: 2 },
            Op::Unlink { dir: 3, name: b"n".to_vec(), whiteout: true },
            Op::Opaque { dir: 3 },
            Op::Own { ino: 2 },
            Op::Extent { ino: 2, at: 0, start: 5, len: 6 },
            Op::Hole { ino: 2, at: 1, len: 2 },
            Op::Drop { ino: 2 },
            Op::Adopt { ino: 2, from: 3 },
            Op::Clean,
        ];
        let mut out = Vec::new();
        encode_record(&ops, &mut out);
        assert_eq!(decode_payload(&out[8..], 0).expect("decodes"), ops);
        for len in 9..out.len() - 1 {
            let _ = decode_payload(&out[8..len], 0);
        }
        let mut bad = Vec::new();
        encode_record(&[Op::Link { dir: 1, name: b"../x".to_vec(), ino: 2 }], &mut bad);
        assert!(decode_payload(&bad[8..], 0).is_err());
    }
}
