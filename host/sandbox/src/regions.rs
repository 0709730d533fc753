//! A process's executable mappings of files, and the translated modules for them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use wasmtime::Module;

use crate::events::lock;
use crate::exchange::Words;
use crate::own_code::Part;
use crate::translation::{CodeFile, Translation};

/// Table elements of one process at most, dropped modules included.
const MAX_FUNCTIONS: u32 = 1 << 20;

/// Bit of the address of code that is warm, not hot, as `WARM` of the engine.
const WARM: u32 = 1;

/// Bytes of a region that it is told of what is warm in it. Of a smaller one the translator takes all when the worker has ended,
/// in either variant; it knows which others it takes.
const VAST: u64 = 6 << 20;

/// Modules of one process at most, dropped ones included.
const MAX_MODULES: usize = 4096;

/// One module as a process has it.
#[derive(Clone)]
pub struct Install {
    pub module: Module,
    /// Guest address of the region's start.
    pub bias: u32,
}

/// A function that a process has entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Its module's place among the installs, and its number in that.
    pub place: usize,
    pub function: u32,
    /// Where every task has it in its table.
    pub index: u32,
}

/// The modules and functions that a process has entered, for its tasks. A place stays a module's own; empty: dropped.
#[derive(Default)]
pub struct Installs {
    modules: Mutex<Vec<Option<Install>>>,
    placed: Mutex<Vec<Placed>>,
    count: AtomicUsize,
}

impl Installs {
    /// How many functions there are.
    #[inline]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// The function with this number.
    pub fn function(&self, number: usize) -> Option<Placed> {
        lock(&self.placed).get(number).copied()
    }

    /// The module in a place.
    pub fn module(&self, place: usize) -> Option<Install> {
        lock(&self.modules).get(place).cloned().flatten()
    }

    /// Adds a module; gives its place, `None` when there are too many.
    fn add(&self, install: Install) -> Option<usize> {
        let mut modules = lock(&self.modules);
        let place = modules.len();
        (place < MAX_MODULES).then(|| modules.push(Some(install))).map(|()| place)
    }

    fn place(&self, function: Placed) {
        let mut placed = lock(&self.placed);
        placed.push(function);
        self.count.store(placed.len(), Ordering::Relaxed);
    }

    fn clear(&self, place: usize) {
        lock(&self.modules)[place] = None;
    }
}

/// A module of a region that the process has entered.
#[derive(Debug, Clone)]
struct Entered {
    /// Its place among the installs.
    place: usize,
    /// The table indexes of its functions; 0: none yet.
    indexes: Box<[u32]>,
}

/// An executable mapping as it was made.
struct Region {
    start: u64,
    len: u64,
    source: CodeFile,
    offset: u64,
    /// Its number in [`Translation`], once some of its code was hot in this process.
    number: Option<u32>,
    /// How many of its modules the engine was told of, or came before it decoded anything.
    announced: usize,
    /// Whether it was looked for what [`Translation`] has of it.
    sought: bool,
    /// By module of the region.
    entered: Vec<Option<Entered>>,
}

impl Region {
    fn end(&self) -> u64 {
        self.start + self.len
    }

    /// The piece between two addresses inside it, as a region of its own.
    fn piece(&self, start: u64, end: u64) -> Option<Region> {
        let offset = self.offset.checked_add(start - self.start)?;
        let source = self.source.clone();
        let whole = (start, end) == (self.start, self.end());
        let number = self.number.filter(|_| whole);
        let announced = if whole { self.announced } else { 0 };
        let (len, sought, entered) = (end - start, whole && self.sought, vec![]);
        (start < end).then(|| Region { start, len, source, offset, number, announced, sought, entered })
    }

    /// Takes what was entered; the places among the installs.
    fn leave(&mut self) -> impl Iterator<Item = usize> + use<> {
        std::mem::take(&mut self.entered).into_iter().flatten().map(|entered| entered.place)
    }
}

/// What is to be translated in a process, and what is.
pub struct Regions {
    /// They do not overlap.
    list: Vec<Region>,
    pub installs: Arc<Installs>,
    /// The next free table index.
    next: u32,
    /// The process handles faults: they must find all registers.
    precise: bool,
}

impl Regions {
    /// Those of a process without mappings. `first` is the first table index that the processor module does not use itself.
    pub fn new(first: u32) -> Regions {
        Regions { next: first, list: Vec::new(), installs: Arc::default(), precise: false }
    }

    /// Those of a forked process: the same mappings, nothing entered.
    pub fn fork(&self, first: u32) -> Regions {
        let list = self.list.iter().filter_map(|region| region.piece(region.start, region.end())).collect();
        Regions { list, precise: self.precise, ..Regions::new(first) }
    }

    /// Notes a mapping, which nothing is decoded of; when some of it is translated, with its number in [`Translation`] and
    /// how many modules it has. What was there before must be cut out first.
    pub fn add(&mut self, start: u64, len: u64, source: CodeFile, offset: u64, translated: Option<(u32, usize)>) {
        let in_reach = start.checked_add(len).is_some_and(|end| end <= 1 << 32) && len != 0;
        if in_reach {
            let (number, announced) = translated.map_or((None, 0), |(number, count)| (Some(number), count));
            let entered = vec![];
            self.list.push(Region { start, len, source, offset, number, announced, sought: false, entered });
        }
    }

    /// The guest addresses at which a part of a file is mapped.
    pub fn mapped(&self, part: &Part) -> Vec<(u64, u64)> {
        let mapped = |region: &Region| {
            let own = Part::new(&region.source.file, region.offset, region.len);
            let (start, end) = (own.start.max(part.start), own.end.min(part.end));
            own.overlaps(part).then(|| (region.start + (start - own.start), end - start))
        };
        self.list.iter().filter_map(mapped).collect()
    }

    /// Takes a range out, since its mapping or its bytes change; the rest of a region is a region of its own, with
    /// nothing entered. Gives the ranges of guest addresses whose modules are gone.
    pub fn cut(&mut self, start: u64, len: u64) -> Vec<(u64, u64)> {
        let end = start.saturating_add(len);
        let overlaps = |region: &Region| region.start < end && start < region.end();
        if !self.list.iter().any(overlaps) {
            return Vec::new();
        }
        let (mut cut, mut kept): (Vec<Region>, Vec<Region>) =
            std::mem::take(&mut self.list).into_iter().partition(overlaps);
        for region in &cut {
            kept.extend(region.piece(region.start, start.max(region.start)));
            kept.extend(region.piece(end.min(region.end()), region.end()));
        }
        self.list = kept;
        cut.retain(|region| !region.entered.is_empty());
        cut.iter_mut().flat_map(Region::leave).for_each(|place| self.installs.clear(place));
        cut.iter().map(|region| (region.start, region.len)).collect()
    }

    /// Whether every fault finds all registers.
    pub fn is_precise(&self) -> bool {
        self.precise
    }

    /// From now on every fault finds all registers: what was entered goes. Whether some code was hot already.
    pub fn turn_precise(&mut self) -> bool {
        if std::mem::replace(&mut self.precise, true) {
            return false;
        }
        let mut hot = false;
        for region in &mut self.list {
            hot |= region.number.take().is_some();
            (region.announced, region.sought) = (0, false);
            region.leave().for_each(|place| self.installs.clear(place));
        }
        hot
    }

    /// Asks for the functions at these guest addresses, which are hot, or warm where [`WARM`] is in them. Whether there may be
    /// [`Regions::news`].
    pub fn ask(&mut self, translation: &Translation, hot: &[u32], words: Words) -> bool {
        let mut fresh = false;
        for region in &mut self.list {
            let offset = |pc: &u32| u64::from(*pc).checked_sub(region.start).filter(|offset| *offset < region.len);
            let offsets = hot.iter().filter_map(offset).map(|offset| offset as u32);
            let (warm, starts): (Vec<u32>, Vec<u32>) = offsets.partition(|offset| offset & WARM != 0);
            let warm: Vec<u32> = warm.iter().filter(|_| region.len >= VAST).map(|offset| offset & !WARM).collect();
            if starts.is_empty() && warm.is_empty() {
                continue;
            }
            if region.number.is_none() {
                let len = u32::try_from(region.len).ok();
                let precise = translation.is_precise(self.precise);
                region.number = len.and_then(|len| translation.number(&region.source, region.offset, len, precise));
                fresh = true;
            }
            if let Some(number) = region.number {
                let inside = |(site, target): (u32, u32)| Some((offset(&site)? as u32, offset(&target)? as u32));
                if !starts.is_empty() {
                    translation.ask(number, &starts, words.seen().filter_map(inside).collect());
                }
                translation.tell_warm(number, &warm);
            }
        }
        fresh
    }

    /// The addresses that can be entered now, of modules that came since the last call.
    pub fn news(&mut self, translation: &Translation) -> Vec<u32> {
        let mut pcs = Vec::new();
        for region in &mut self.list {
            let Some(number) = region.number else { continue };
            let (offsets, count) = translation.news(number, region.announced);
            region.announced = count;
            pcs.extend(offsets.into_iter().map(|offset| (region.start as u32).wrapping_add(offset)));
        }
        pcs
    }

    /// The translated function that is entered at `pc`, by its table index, and the entry's number in it. Its module is
    /// among the installs from now on.
    pub fn find(&mut self, translation: &Translation, pc: u32) -> Option<(u32, u32)> {
        let region = self.list.iter_mut().find(|region| (region.start..region.end()).contains(&u64::from(pc)))?;
        if !std::mem::replace(&mut region.sought, true) && region.number.is_none() {
            // What is left of a mapping when the loader has put data over its end, of which nothing was decoded yet.
            let known = translation.prepared(&region.source.file, region.offset, region.len, self.precise);
            (region.number, region.announced) = known.map_or((None, 0), |(number, count)| (Some(number), count));
        }
        let (number, offset) = (region.number?, pc.wrapping_sub(region.start as u32));
        let hit = translation.find(number, offset)?;
        if region.entered.len() <= hit.module {
            region.entered.resize(hit.module + 1, None);
        }
        let entered = &mut region.entered[hit.module];
        if entered.is_none() {
            let (module, functions) = translation.load(number, hit.module)?;
            let place = self.installs.add(Install { module, bias: region.start as u32 })?;
            *entered = Some(Entered { place, indexes: vec![0; functions as usize].into() });
        }
        let Entered { place, indexes } = entered.as_mut()?;
        let index = indexes.get_mut(hit.function as usize)?;
        if *index == 0 {
            let next = self.next.checked_add(1).filter(|next| *next <= MAX_FUNCTIONS)?;
            *index = std::mem::replace(&mut self.next, next);
            self.installs.place(Placed { place: *place, function: hit.function, index: *index });
        }
        Some((*index, hit.entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions(ranges: &[(u64, u64)]) -> Regions {
        let file = CodeFile { file: Arc::new(tempfile::tempfile().unwrap()), lasts: true };
        let mut regions = Regions::new(1);
        ranges.iter().for_each(|&(start, len)| regions.add(start, len, file.clone(), 0x8000, None));
        regions
    }

    fn ranges(regions: &Regions) -> Vec<(u64, u64, u64)> {
        regions.list.iter().map(|region| (region.start, region.len, region.offset)).collect()
    }

    #[test]
    fn the_rest_of_a_region_stays() {
        let mut regions = regions(&[(0x10000, 0x4000), (0x20000, 0x1000)]);
        assert_eq!(regions.cut(0x11000, 0x1000), []);
        let mut left = ranges(&regions);
        left.sort_unstable();
        assert_eq!(left, [(0x10000, 0x1000, 0x8000), (0x12000, 0x2000, 0xa000), (0x20000, 0x1000, 0x8000)]);
        regions.cut(0, u64::MAX);
        assert_eq!(ranges(&regions), []);
    }

    /// One region, a module of which was entered.
    fn entered() -> Regions {
        let mut regions = regions(&[(0x10000, 0x4000)]);
        let engine = crate::config::engine(crate::config::Stops::ByWord).unwrap();
        let module = Module::new(&engine, [0, b'a', b's', b'm', 1, 0, 0, 0]).unwrap();
        let place = regions.installs.add(Install { module, bias: 0x10000 }).unwrap();
        regions.list[0].entered = vec![None, Some(Entered { place, indexes: Box::default() })];
        regions.list[0].number = Some(0);
        regions
    }

    #[test]
    fn modules_of_a_cut_region_are_gone() {
        let mut regions = entered();
        assert!(regions.fork(1).list[0].entered.is_empty());
        assert!(regions.installs.module(0).is_some());
        assert_eq!(regions.cut(0x13fff, 1), [(0x10000, 0x4000)]);
        assert!(regions.installs.module(0).is_none());
    }

    #[test]
    fn a_process_that_turns_precise_begins_again() {
        let mut regions = entered();
        assert!(regions.turn_precise());
        assert!(!regions.turn_precise());
        assert!(regions.installs.module(0).is_none());
        assert_eq!(regions.list[0].number, None);
        assert!(regions.fork(1).precise);
        assert_eq!(ranges(&regions.fork(1)), [(0x10000, 0x4000, 0x8000)]);
    }
}
