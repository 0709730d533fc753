//! Copying a space: shared mappings are shared, private pages are copied, everything else is mapped again.

use crate::copy::{Direction, copy_checked};
use crate::region::{Kind, Region};
use crate::resident::Runs;
use crate::{AddressSpace, Error, PAGE, Protection, Sharing};
use rustix::mm::Advice;
use std::ops::Range;

/// Bytes of a huge page.
const HUGE: u64 = 2 << 20;

/// Runs from this length on are filled by one system call instead of a fault a page.
const POPULATE: u64 = 8 * PAGE;

/// Bytes compared at a time when the host does not tell which pages are private.
const STRIDE: u64 = 64 * PAGE;

impl AddressSpace {
    /// A copy of the space, as fork(2) makes it: stores to private pages of one are not seen in the other, shared
    /// mappings stay shared. Watches of pages are not inherited.
    ///
    /// Nothing but guest code may change the space meanwhile, and no guest code may run in it.
    pub fn fork(&mut self) -> Result<AddressSpace, Error> {
        self.admit(self.map.runs() + 2)?;
        let mut child = AddressSpace::new()?;
        for region in self.map.iter() {
            self.fork_region(region, &child)?;
            child.map.insert(region.clone());
        }
        child.account();
        Ok(child)
    }

    fn fork_region(&self, region: &Region, child: &AddressSpace) -> Result<(), Error> {
        match region.kind {
            Kind::Reserved => Ok(()),
            Kind::File { sharing: Sharing::Shared, .. } => child.map_again(region, region.prot),
            Kind::File { .. } | Kind::Anon => self.fork_private(region, child),
        }
    }

    fn fork_private(&self, region: &Region, child: &AddressSpace) -> Result<(), Error> {
        let runs = self.private_runs(region.start..region.end());
        if runs.as_ref().is_some_and(Vec::is_empty) {
            return child.map_again(region, region.prot);
        }
        child.map_again(region, Protection::READ | Protection::WRITE)?;
        self.with_readable(region, || {
            let runs = runs.map_or_else(|| self.different_runs(region, child), Ok)?;
            child.prepare_target(region, &runs);
            runs.into_iter().try_for_each(|run| self.copy_run(region, child, run))
        })?;
        if region.prot.writable() {
            return Ok(());
        }
        child.host.protect(region.start, region.len, region.prot)
    }

    /// Maps in this space what `region` is, but with rights `prot`.
    fn map_again(&self, region: &Region, prot: Protection) -> Result<(), Error> {
        match &region.kind {
            Kind::File { file, offset, sharing, .. } => {
                self.host.file(region.start, region.len, prot, file, *offset, *sharing)
            }
            Kind::Anon | Kind::Reserved => self.host.anon(region.start, region.len, prot),
        }
    }

    /// Runs `body` while the host can read the region.
    fn with_readable(&self, region: &Region, body: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        if region.prot.readable() {
            return body();
        }
        self.host.protect(region.start, region.len, Protection::READ)?;
        let result = body();
        self.host.protect(region.start, region.len, region.prot)?;
        result
    }

    /// Advises the host of what will be written: huge pages where most of them will be used, else populated pages.
    /// Only speed depends on it, so errors are nobody's business.
    fn prepare_target(&self, region: &Region, runs: &[Range<u64>]) {
        let huge = huge_span(region, runs).unwrap_or(0..0);
        if !huge.is_empty() {
            let _ = self.host.advise(huge.start, huge.end - huge.start, Advice::LinuxHugepage);
        }
        for run in runs {
            let inside = huge.start <= run.start && run.end <= huge.end;
            if !inside && run.end - run.start >= POPULATE {
                let _ = self.host.advise(run.start, run.end - run.start, Advice::LinuxPopulateWrite);
            }
        }
    }

    fn copy_run(&self, region: &Region, child: &AddressSpace, run: Range<u64>) -> Result<(), Error> {
        let len = run.end - run.start;
        let (source, target) = (self.host.at(run.start, len)?, child.host.at(run.start, len)?);
        if region.kind.may_bus() {
            // A page that the file has no more is left out: it is a bus error in the child too.
            copy_checked(Direction::Out, source, target.cast(), len as usize)?;
            return Ok(());
        }
        // SAFETY: both ranges are mapped, the source readable, the target writable, and in different reservations.
        unsafe { std::ptr::copy_nonoverlapping(source.cast::<u8>(), target.cast(), len as usize) };
        Ok(())
    }

    /// Runs of pages of `region` that differ from those of the new mapping in `child`.
    fn different_runs(&self, region: &Region, child: &AddressSpace) -> Result<Vec<Range<u64>>, Error> {
        let mut runs = Runs::default();
        let (mut ours, mut theirs) = (vec![0; STRIDE as usize], vec![0; STRIDE as usize]);
        let mut at = region.start;
        while at < region.end() {
            let len = STRIDE.min(region.end() - at);
            let seen = self.peek(region, at, &mut ours[..len as usize])?;
            let seen = seen.min(child.peek(region, at, &mut theirs[..len as usize])?);
            let pages = ours.chunks_exact(PAGE as usize).zip(theirs.chunks_exact(PAGE as usize));
            for (index, (a, b)) in pages.take(seen / PAGE as usize).enumerate() {
                if a != b {
                    runs.add(at + index as u64 * PAGE);
                }
            }
            at += len;
        }
        Ok(runs.0)
    }

    /// Copies pages of `region`, which the host can read whatever the page map says; short where a file was cut.
    fn peek(&self, region: &Region, at: u64, buf: &mut [u8]) -> Result<usize, Error> {
        let source = self.host.at(at, buf.len() as u64)?;
        if region.kind.may_bus() {
            return copy_checked(Direction::Out, source, buf.as_mut_ptr(), buf.len());
        }
        // SAFETY: the pages are mapped and readable, and nothing can take them away; `buf` is outside the space.
        unsafe { std::ptr::copy_nonoverlapping(source.cast(), buf.as_mut_ptr(), buf.len()) };
        Ok(buf.len())
    }
}

/// The part of `region` for which huge pages pay: from the first to the last huge page that is mostly used, if at
/// least half of what lies between is.
fn huge_span(region: &Region, runs: &[Range<u64>]) -> Option<Range<u64>> {
    if !matches!(region.kind, Kind::Anon) {
        return None;
    }
    let mut dense = runs.iter().filter_map(|run| {
        let (start, end) = (run.start.next_multiple_of(HUGE), run.end - run.end % HUGE);
        (start < end).then_some(start..end)
    });
    let first = dense.next()?;
    let span = first.start..dense.next_back().map_or(first.end, |last| last.end);
    let used: u64 = runs.iter().map(|run| run.end.min(span.end).saturating_sub(run.start.max(span.start))).sum();
    (used * 2 >= span.end - span.start).then_some(span)
}

#[cfg(test)]
mod tests;
