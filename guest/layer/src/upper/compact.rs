//! Compaction: the journal is written anew behind its end, then the header is pointed at it.
//!
//! Between the two copies is a zero, which ends the old one. Killed before the header is written, the new copy is a
//! torn tail; after, the old one is garbage before the start.

use super::journal::{self, NewBody, Op};
use super::{Body, Content, Inode, Name, Upper};

/// Below this many bytes of journal it is left alone.
const WORTHWHILE: u64 = 8 << 20;
/// Operations of one record.
const GROUP: usize = 1024;

/// What to do to the journal file, in this order: write `bytes` at `at`, sync, write `header` at
/// [`Compaction::HEADER_AT`], then punch from [`Compaction::GARBAGE_FROM`] to `garbage_to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compaction {
    pub at: u64,
    pub bytes: Vec<u8>,
    pub header: Vec<u8>,
    pub garbage_to: u64,
}

impl Compaction {
    pub const HEADER_AT: u64 = journal::START_AT;
    pub const GARBAGE_FROM: u64 = journal::HEADER_BYTES;
}

impl Upper {
    /// The plan for a shorter journal, when it is worth it and nothing waits to be written. Call
    /// [`Upper::compacted`] when it was done.
    pub fn compaction(&self) -> Option<Compaction> {
        let length = self.journal_end.saturating_sub(self.journal_start);
        let worthwhile = length > WORTHWHILE.max(self.snapshot_bytes.saturating_mul(4));
        (worthwhile && self.pending.is_empty() && self.dirty.is_empty()).then(|| self.plan())
    }

    /// The plan was carried out.
    pub fn compacted(&mut self, done: &Compaction) {
        self.journal_start = done.garbage_to;
        self.journal_end = done.at + done.bytes.len() as u64;
        self.snapshot_bytes = self.journal_end - self.journal_start;
    }

    pub(super) fn plan(&self) -> Compaction {
        let mut bytes = vec![0; 8];
        let mut ops = Vec::new();
        // Names lead to inodes, so all of these come first.
        for (ino, inode) in self.inodes() {
            describe(ino, inode, &mut ops);
            if ops.len() >= GROUP {
                journal::encode_record(&std::mem::take(&mut ops), &mut bytes);
            }
        }
        for (dir, inode) in self.inodes() {
            let Body::Directory(directory) = &inode.body else { continue };
            for (name, entry) in &directory.names {
                let name = name.clone();
                ops.push(match entry {
                    Name::Ino(ino) => Op::Link { dir, name, ino: *ino },
                    Name::Whiteout => Op::Unlink { dir, name, whiteout: true },
                });
                if ops.len() >= GROUP {
                    journal::encode_record(&std::mem::take(&mut ops), &mut bytes);
                }
            }
        }
        ops.extend(self.clean.then_some(Op::Clean));
        if !ops.is_empty() {
            journal::encode_record(&ops, &mut bytes);
        }
        let garbage_to = self.journal_end + 8;
        Compaction { at: self.journal_end, bytes, header: journal::start_field(garbage_to), garbage_to }
    }
}

/// The operations that make one inode.
fn describe(ino: u64, inode: &Inode, ops: &mut Vec<Op>) {
    let body = match &inode.body {
        Body::Regular(Content::Lower(place)) => NewBody::Regular(Some(*place)),
        Body::Regular(Content::Own(_)) => NewBody::Regular(None),
        Body::Directory(directory) => {
            NewBody::Directory(directory.lower.iter().flat_map(|node| node.places().collect::<Vec<_>>()).collect())
        }
        Body::Symlink(text) => NewBody::Symlink(text.clone()),
        Body::Special => NewBody::Special,
    };
    ops.push(Op::Node { ino, attr: inode.attr, body });
    for (name, value) in &inode.xattrs {
        ops.push(Op::Xattr { ino, name: name.clone(), value: Some(value.clone()) });
    }
    if let Body::Regular(Content::Own(extents)) = &inode.body {
        ops.extend(extents.iter().map(|(at, run)| Op::Extent { ino, at, start: run.start, len: run.len }));
    }
}
