//! The bytes of regular files: reading, writing, taking over from a lower layer, mapping.

use shallop_layer::merge::{self, Location};
use shallop_layer::upper::{Attr, Body, Content, Extents, NewBody, Op, Run};
use shallop_layer::{PAGE, ReadAt, WriteAt};
use shallop_linux_abi::Errno;

use super::node::Node;
use crate::vfs::Backing;

/// Bytes moved at a time when a file is taken over.
const CHUNK: usize = 256 << 10;

impl Node {
    /// Reads from `offset`; 0 at the end.
    pub(super) fn read(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let overlay = self.overlay();
        if let Some(location) = self.lower_bytes()? {
            return self.read_lower(&location, offset, buf);
        }
        let upper = overlay.upper.borrow();
        let inode = upper.inode(self.ino()).ok_or(Errno::EIO)?;
        let Body::Regular(Content::Own(extents)) = &inode.body else { return Err(Errno::EINVAL) };
        let n = usize::try_from(inode.attr.size.saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        extents.read(&overlay.data, offset, &mut buf[..n]).map_err(|e| overlay.errno(&e))?;
        Ok(n)
    }

    /// Writes all of `bytes`. On a full disk, what was freed and not yet given back is given back first.
    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        match self.try_write(offset, bytes) {
            Err(Errno::ENOSPC) if self.overlay().flush(false).is_ok() => self.try_write(offset, bytes),
            done => done,
        }
    }

    fn try_write(&self, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.own_bytes(u64::MAX)?;
        let overlay = self.overlay();
        let now = overlay.now();
        let mut upper = overlay.upper.borrow_mut();
        let done = upper.write(self.ino(), offset, bytes, &overlay.data);
        if let Some(attr) = upper.attr_mut(self.ino()) {
            (attr.mtime, attr.ctime) = (now, now);
        }
        drop(upper);
        overlay.changed();
        done.map_err(|e| overlay.errno(&e))
    }

    /// Sets the size; the times are the caller's matter.
    pub(super) fn resize(&self, len: u64) -> Result<(), Errno> {
        self.own_bytes(len)?;
        let overlay = self.overlay();
        let keep = self.was_mapped();
        if keep {
            self.punch_from(len.div_ceil(PAGE))?;
        }
        let done = overlay.upper.borrow_mut().truncate(self.ino(), len, keep, &overlay.data);
        done.map_err(|e| overlay.errno(&e))
    }

    /// What is mapped at page-aligned `offset`; see [`crate::vfs::File::backing`]. A shared mapping that can never be written
    /// shows a layer's file as it is, also when another program writes to it later, as Linux's overlayfs has it ("Non-standard
    /// behavior" of its documentation): `ldconfig` maps all libraries so, which are code of the layer for who starts next.
    pub(super) fn backing(&self, offset: u64, len: u64, shared: bool, writable: bool) -> Result<Vec<Backing>, Errno> {
        if shared && writable {
            self.own_bytes(u64::MAX)?;
        }
        let end = self.attr()?.size.next_multiple_of(PAGE);
        let len = len.min(end.saturating_sub(offset));
        if len == 0 {
            return Ok(Vec::new());
        }
        if let Some(location) = self.lower_bytes()? {
            let aligned = self.overlay().layers.get(location.layer as usize).and_then(|layer| layer.aligned);
            return Ok(vec![match (aligned, location.aligned) {
                (Some(handle), Some(start)) => Backing::Layer { handle, offset: start + offset, len },
                _ => Backing::Copy { len },
            }]);
        }
        self.map_own(offset / PAGE, len.div_ceil(PAGE), shared)
    }

    /// The pieces of a file with bytes of its own, in pages. Shared mappings have no holes.
    fn map_own(&self, at: u64, len: u64, shared: bool) -> Result<Vec<Backing>, Errno> {
        let overlay = self.overlay();
        if shared {
            let mapped = overlay.upper.borrow_mut().map_all(self.ino(), at, len);
            mapped.map_err(|e| overlay.errno(&e))?;
        }
        self.set_mapped();
        let mut pieces = Vec::new();
        let mut highest = 0;
        self.with_extents(|extents| {
            let mut done = 0;
            while done < len {
                let (page, run) = extents.find(at + done);
                let run = run.min(len - done);
                pieces.push(match page {
                    Some(page) => {
                        highest = highest.max(page + run);
                        Backing::Host { handle: overlay.data.handle(), offset: page * PAGE, len: run * PAGE }
                    }
                    None => Backing::Zero { len: run * PAGE },
                });
                done += run;
            }
        })?;
        // Pages that were handed out but never written may be past the host file's end, where a mapping would fault.
        let grow = || match overlay.data.size()? < highest * PAGE {
            true => overlay.data.resize(highest * PAGE),
            false => Ok(()),
        };
        grow().map_err(|e| overlay.errno(&e))?;
        overlay.changed();
        Ok(pieces)
    }

    /// Takes the bytes over from a lower layer, at most the first `keep` of them.
    fn own_bytes(&self, keep: u64) -> Result<(), Errno> {
        self.take_over()?;
        let Some(location) = self.lower_bytes()? else { return Ok(()) };
        let overlay = self.overlay();
        let size = location.size.min(keep);
        if size == 0 {
            let attr = Attr { size: 0, ..self.attr()? };
            return overlay.record(&[Op::Own { ino: self.ino() }, Op::Attr { ino: self.ino(), attr }]);
        }
        // The copy is made beside it, so that after a crash or on a full disk the file is still what it was.
        let copy = overlay.upper.borrow_mut().new_ino().map_err(|_| Errno::ENOSPC)?;
        let attr = Attr { mode: 0o100600, ..Attr::default() };
        overlay.record(&[Op::Node { ino: copy, attr, body: NewBody::Regular(None) }])?;
        if let Err(errno) = self.copy_to(copy, &location, size) {
            overlay.record(&[Op::Drop { ino: copy }])?;
            return Err(errno);
        }
        overlay.record(&[Op::Adopt { ino: self.ino(), from: copy }])
    }

    fn copy_to(&self, copy: u64, location: &Location, size: u64) -> Result<(), Errno> {
        let overlay = self.overlay();
        let mut buf = vec![0; usize::try_from(size).unwrap_or(usize::MAX).min(CHUNK)];
        // One run for all of it.
        let mapped = overlay.upper.borrow_mut().map_all(copy, 0, size.div_ceil(PAGE));
        mapped.map_err(|e| overlay.errno(&e))?;
        let mut done = 0;
        while done < size {
            let want = usize::try_from(size - done).unwrap_or(usize::MAX).min(buf.len());
            let n = self.read_lower(location, done, &mut buf[..want])?;
            let written = overlay.upper.borrow_mut().write(copy, done, &buf[..n], &overlay.data);
            written.map_err(|e| overlay.errno(&e))?;
            done += n as u64;
        }
        Ok(())
    }

    /// Where the bytes are while they are a lower layer's.
    fn lower_bytes(&self) -> Result<Option<Location>, Errno> {
        let overlay = self.overlay();
        let upper = overlay.upper.borrow();
        let found = match upper.inode(self.ino()).map(|inode| &inode.body) {
            Some(Body::Regular(Content::Lower(place))) => {
                overlay.merged.data(&merge::Node { top: *place, below: Vec::new() })
            }
            Some(_) => return Ok(None),
            None => overlay.merged.data(self.lower().ok_or(Errno::EIO)?),
        };
        found.map(Some).map_err(|e| overlay.errno(&e))
    }

    fn read_lower(&self, location: &Location, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let overlay = self.overlay();
        let n = usize::try_from(location.size.saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        let tar = overlay.layers.get(location.layer as usize).ok_or(Errno::EIO)?.tar;
        let mut done = 0;
        while done < n {
            let at = location.tar_offset + offset + done as u64;
            match overlay.platform.file_read(tar, at, &mut buf[done..n])? {
                0 => return Err(Errno::EIO),
                got => done += got,
            }
        }
        Ok(n)
    }

    /// Zeroes the file's pages from `first` on, which stay its own.
    fn punch_from(&self, first: u64) -> Result<(), Errno> {
        let mut runs: Vec<Run> = Vec::new();
        self.with_extents(|extents| {
            for (at, run) in extents.iter() {
                let skip = first.saturating_sub(at).min(run.len);
                if skip < run.len {
                    runs.push(Run { start: run.start + skip, len: run.len - skip });
                }
            }
        })?;
        let overlay = self.overlay();
        runs.iter()
            .try_for_each(|run| overlay.platform.file_punch(overlay.data.handle(), run.start * PAGE, run.len * PAGE))
    }

    fn with_extents<T>(&self, f: impl FnOnce(&Extents) -> T) -> Result<T, Errno> {
        let upper = self.overlay().upper.borrow();
        match upper.inode(self.ino()).map(|inode| &inode.body) {
            Some(Body::Regular(Content::Own(extents))) => Ok(f(extents)),
            _ => Err(Errno::EIO),
        }
    }
}

/// 512-byte units that a file's pages take, up to its size.
pub(super) fn blocks(body: Option<&Body>, size: u64) -> u64 {
    let whole = size.div_ceil(PAGE);
    let pages = match body {
        Some(Body::Regular(Content::Own(extents))) => extents.pages().min(whole),
        Some(Body::Regular(Content::Lower(_))) | None => whole,
        Some(_) => 0,
    };
    pages * (PAGE / 512)
}
