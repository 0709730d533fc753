//! Reading, writing and cutting the bytes of the upper layer's own files.
//!
//! Invariant: mapped pages past a file's size read as zeroes, but for the rest of the page the size is in, which is
//! cleared when the file grows over it.

use super::{Body, Content, Extents, Op, Upper};
use crate::error::LayerError;
use crate::{PAGE, ReadAt, WriteAt};

/// Most pages that a growing file is given ahead (16 MiB).
const AHEAD_MAX: u64 = 4096;

impl Extents {
    /// Reads from byte `offset` of the file, whose size the caller has checked; holes are zeroes.
    ///
    /// # Errors
    /// Reading the data file fails.
    pub fn read(&self, data: &dyn ReadAt, offset: u64, buf: &mut [u8]) -> Result<(), LayerError> {
        let mut done = 0;
        while done < buf.len() {
            let at = offset + done as u64;
            let (found, pages) = self.find(at / PAGE);
            let room = pages.saturating_mul(PAGE) - at % PAGE;
            let n = usize::try_from(room).unwrap_or(usize::MAX).min(buf.len() - done);
            let piece = &mut buf[done..done + n];
            match found {
                Some(page) => read_padded(data, page * PAGE + at % PAGE, piece)?,
                None => piece.fill(0),
            }
            done += n;
        }
        Ok(())
    }
}

/// Reads; what is past the file's end is zeroes (pages handed out but never written).
fn read_padded(data: &dyn ReadAt, offset: u64, buf: &mut [u8]) -> Result<(), LayerError> {
    let mut done = 0;
    while done < buf.len() {
        match data.read_at(offset + done as u64, &mut buf[done..])? {
            0 => {
                buf[done..].fill(0);
                break;
            }
            n => done += n,
        }
    }
    Ok(())
}

impl Upper {
    /// Writes `bytes` at `offset` of a regular file whose bytes are its own ([`Op::Own`]), growing it as needed.
    ///
    /// # Errors
    /// It is no such file, the file would be too large, or writing fails; then its size may have grown in part.
    pub fn write(&mut self, ino: u64, offset: u64, bytes: &[u8], data: &dyn WriteAt) -> Result<(), LayerError> {
        let end = offset.checked_add(bytes.len() as u64).filter(|end| *end <= i64::MAX as u64 - PAGE);
        let end = end.ok_or_else(|| LayerError::limit("bytes of a file", i64::MAX as u64))?;
        let size = self.own(ino)?.1;
        if offset > size {
            self.clear_tail(ino, size, offset, data)?;
        }
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let left = (bytes.len() - done) as u64;
            let (page, pages) = self.map(ino, at / PAGE, (at % PAGE + left).div_ceil(PAGE))?;
            let room = pages.saturating_mul(PAGE) - at % PAGE;
            let n = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len() - done);
            data.write_at(page * PAGE + at % PAGE, &bytes[done..done + n])?;
            done += n;
        }
        if end > size
            && let Some(attr) = self.attr_mut(ino)
        {
            attr.size = end;
        }
        Ok(())
    }

    /// Sets the size of a regular file whose bytes are its own; what is cut off reads as zeroes if it grows again.
    /// With `keep` no page is given back: they are mapped somewhere, and the caller has punched those past the end.
    ///
    /// # Errors
    /// It is no such file, too large, or writing fails.
    pub fn truncate(&mut self, ino: u64, len: u64, keep: bool, data: &dyn WriteAt) -> Result<(), LayerError> {
        if len > i64::MAX as u64 - PAGE {
            return Err(LayerError::limit("bytes of a file", i64::MAX as u64));
        }
        let (extents, size) = self.own(ino)?;
        let (first, end) = (len.div_ceil(PAGE), extents.end());
        if len < size {
            if end > first && !keep {
                self.record(&[Op::Hole { ino, at: first, len: end - first }])?;
            }
            self.clear_tail(ino, len, len.next_multiple_of(PAGE), data)?;
        } else {
            self.clear_tail(ino, size, size.next_multiple_of(PAGE), data)?;
        }
        if let Some(attr) = self.attr_mut(ino) {
            attr.size = len;
        }
        Ok(())
    }

    /// Makes sure that pages `at` to `at + len` of the file are mapped.
    ///
    /// # Errors
    /// It is no file with its own bytes, or too large.
    pub fn map_all(&mut self, ino: u64, at: u64, len: u64) -> Result<(), LayerError> {
        let mut done = 0;
        while done < len {
            done += self.map(ino, at + done, len - done)?.1;
        }
        Ok(())
    }

    /// The data page of file page `at` and how many follow it; maps up to `needed` pages where a hole is.
    fn map(&mut self, ino: u64, at: u64, needed: u64) -> Result<(u64, u64), LayerError> {
        let extents = self.own(ino)?.0;
        let (found, pages) = extents.find(at);
        if let Some(page) = found {
            return Ok((page, pages));
        }
        let needed = needed.clamp(1, pages.max(1));
        // Whoever appends will go on: twice as much each time keeps runs long.
        let ahead = if at >= extents.end() { extents.end().min(AHEAD_MAX) } else { 0 };
        let wanted = needed.max(ahead).min(pages.max(1));
        let hint = if at >= extents.end() { extents.hint() } else { None };
        let run = self.allocator.take(needed.min(wanted), wanted, hint);
        let run = run.ok_or_else(|| LayerError::limit("pages of the writable layer", super::extents::PAGES_MAX))?;
        self.record(&[Op::Extent { ino, at, start: run.start, len: run.len }])?;
        Ok((run.start, run.len))
    }

    /// Zeroes the bytes from `from` up to `to`, at most to the end of the page that `from` is in.
    fn clear_tail(&mut self, ino: u64, from: u64, to: u64, data: &dyn WriteAt) -> Result<(), LayerError> {
        let to = to.min(from.next_multiple_of(PAGE));
        let (Some(page), _) = self.own(ino)?.0.find(from / PAGE) else { return Ok(()) };
        if from < to {
            let n = usize::try_from(to - from).unwrap_or(0).min(PAGE as usize);
            data.write_at(page * PAGE + from % PAGE, &[0; PAGE as usize][..n])?;
        }
        Ok(())
    }

    /// A file's extents and size.
    fn own(&self, ino: u64) -> Result<(&Extents, u64), LayerError> {
        match self.inode(ino).map(|i| (&i.body, i.attr.size)) {
            Some((Body::Regular(Content::Own(extents)), size)) => Ok((extents, size)),
            _ => Err(LayerError::corrupt(format!("inode {ino} has no bytes of its own"), 0)),
        }
    }
}
