//! A process's executable mappings of files that never change, and the translated modules for them.

use std::fs::File;
use std::sync::{Arc, Mutex};

use crate::events::lock;
use crate::translation::{Code, Translation};

/// Table elements of one process at most, dropped modules included.
const MAX_FUNCTIONS: u32 = 1 << 20;

/// Modules of one process at most, dropped ones included.
const MAX_MODULES: usize = 4096;

/// One module as a process has it.
#[derive(Clone)]
pub struct Install {
    pub code: Arc<Code>,
    /// Guest address of the region's start.
    pub bias: u32,
    /// Table index of its first function.
    pub base: u32,
}

/// The modules of a process, for its tasks. A place stays a module's own; empty: dropped.
#[derive(Default)]
pub struct Installs(Mutex<Vec<Option<Install>>>);

impl Installs {
    /// The module in place `index`; `None`: no such place.
    pub fn get(&self, index: usize) -> Option<Option<Install>> {
        lock(&self.0).get(index).cloned()
    }
}

/// An executable mapping as it was made.
struct Region {
    start: u64,
    len: u64,
    file: Arc<File>,
    offset: u64,
    /// Its number in [`Translation`], once some of its code was hot in this process.
    number: Option<u32>,
    /// Modules of it that were looked at.
    taken: usize,
    /// Their places among the installs.
    places: Vec<usize>,
}

impl Region {
    fn end(&self) -> u64 {
        self.start + self.len
    }

    /// The piece between two addresses inside it, as a region of its own.
    fn piece(&self, start: u64, end: u64) -> Option<Region> {
        let offset = self.offset.checked_add(start - self.start)?;
        let file = self.file.clone();
        let whole = (start, end) == (self.start, self.end());
        let number = self.number.filter(|_| whole);
        (start < end).then(|| Region { start, len: end - start, file, offset, number, taken: 0, places: vec![] })
    }
}

/// What is to be translated in a process, and what is.
#[derive(Default)]
pub struct Regions {
    /// They do not overlap.
    list: Vec<Region>,
    pub installs: Arc<Installs>,
    /// The next free table index, when a module was installed.
    next: Option<u32>,
    /// Of [`Translation::edition`], when last looked at.
    edition: u64,
    /// A region became hot since.
    fresh: bool,
    /// The process handles faults: they must find all registers.
    precise: bool,
}

impl Regions {
    /// Those of a forked process: the same mappings, nothing installed.
    pub fn fork(&self) -> Regions {
        let list = self.list.iter().filter_map(|region| region.piece(region.start, region.end())).collect();
        Regions { list, precise: self.precise, fresh: true, ..Regions::default() }
    }

    /// Notes a mapping, with its number in [`Translation`] if some of it is translated. What was there before must be cut
    /// out first.
    pub fn add(&mut self, start: u64, len: u64, file: &Arc<File>, offset: u64, number: Option<u32>) {
        let in_reach = start.checked_add(len).is_some_and(|end| end <= 1 << 32) && len != 0;
        if in_reach {
            let file = file.clone();
            self.list.push(Region { start, len, file, offset, number, taken: 0, places: vec![] });
            self.fresh |= number.is_some();
        }
    }

    /// Takes a range out, since its mapping or its bytes change; the rest of a region is a region of its own, with
    /// nothing installed. Gives the ranges of guest addresses whose modules are gone.
    pub fn cut(&mut self, start: u64, len: u64) -> Vec<(u64, u64)> {
        let end = start.saturating_add(len);
        let overlaps = |region: &Region| region.start < end && start < region.end();
        if !self.list.iter().any(overlaps) {
            return Vec::new();
        }
        let (cut, mut kept): (Vec<Region>, Vec<Region>) =
            std::mem::take(&mut self.list).into_iter().partition(overlaps);
        for region in &cut {
            kept.extend(region.piece(region.start, start.max(region.start)));
            kept.extend(region.piece(end.min(region.end()), region.end()));
        }
        self.list = kept;
        let translated = cut.iter().filter(|region| !region.places.is_empty());
        let gone = translated.clone().map(|region| (region.start, region.len)).collect();
        let mut installs = lock(&self.installs.0);
        translated.flat_map(|region| &region.places).for_each(|&place| installs[place] = None);
        gone
    }

    /// Whether every fault finds all registers.
    pub fn is_precise(&self) -> bool {
        self.precise
    }

    /// From now on every fault finds all registers: what is installed goes. Whether some code was hot already.
    pub fn turn_precise(&mut self) -> bool {
        if std::mem::replace(&mut self.precise, true) {
            return false;
        }
        let mut hot = false;
        let mut installs = lock(&self.installs.0);
        for region in &mut self.list {
            hot |= region.number.take().is_some();
            region.taken = 0;
            region.places.drain(..).for_each(|place| installs[place] = None);
        }
        hot
    }

    /// Asks for the functions at these guest addresses, which are hot.
    pub fn ask(&mut self, translation: &mut Translation, hot: &[u32]) {
        for region in &mut self.list {
            let offset = |pc: &u32| u64::from(*pc).checked_sub(region.start).filter(|offset| *offset < region.len);
            let starts: Vec<u32> = hot.iter().filter_map(offset).map(|offset| offset as u32).collect();
            if starts.is_empty() {
                continue;
            }
            if region.number.is_none() {
                let len = u32::try_from(region.len).ok();
                let precise = self.precise || translation.how.precise;
                region.number = len.and_then(|len| translation.number(&region.file, region.offset, len, precise));
                self.fresh = true;
            }
            if let Some(number) = region.number {
                translation.ask(number, &starts);
            }
        }
    }

    /// Whether there may be modules to install.
    #[inline]
    pub fn is_behind(&self, translation: &Translation) -> bool {
        self.fresh || self.edition != translation.edition
    }

    /// The modules that were not installed yet, which now are: their entries can be registered. `first` is the first
    /// table index that the processor module does not use itself.
    pub fn install(&mut self, translation: &Translation, first: u32) -> Vec<Install> {
        self.edition = translation.edition;
        self.fresh = false;
        let mut new = Vec::new();
        let mut installs = lock(&self.installs.0);
        for region in &mut self.list {
            let code = region.number.map_or(&[][..], |number| translation.code(number));
            for code in &code[region.taken.min(code.len())..] {
                let base = self.next.unwrap_or(first);
                let next = base.checked_add(code.functions.len() as u32).filter(|next| *next <= MAX_FUNCTIONS);
                let Some(next) = next.filter(|_| installs.len() < MAX_MODULES) else { return new };
                self.next = Some(next);
                let install = Install { code: code.clone(), bias: region.start as u32, base };
                region.taken += 1;
                region.places.push(installs.len());
                installs.push(Some(install.clone()));
                new.push(install);
            }
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions(ranges: &[(u64, u64)]) -> Regions {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let mut regions = Regions::default();
        ranges.iter().for_each(|&(start, len)| regions.add(start, len, &file, 0x8000, None));
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

    #[test]
    fn modules_of_a_cut_region_are_gone() {
        let mut regions = regions(&[(0x10000, 0x4000)]);
        let engine = crate::config::engine().unwrap();
        let module = wasmtime::Module::new(&engine, [0, b'a', b's', b'm', 1, 0, 0, 0]).unwrap();
        let code = Arc::new(Code { module, functions: vec![] });
        *lock(&regions.installs.0) = vec![Some(Install { code, bias: 0x10000, base: 1 })];
        regions.list[0].places = vec![0];
        assert!(regions.fork().list[0].places.is_empty());
        assert_eq!(regions.cut(0x13fff, 1), [(0x10000, 0x4000)]);
        assert!(regions.installs.get(0).unwrap().is_none());
        assert!(regions.installs.get(1).is_none());
    }

    #[test]
    fn a_process_that_turns_precise_begins_again() {
        let mut regions = regions(&[(0x10000, 0x4000)]);
        let engine = crate::config::engine().unwrap();
        let module = wasmtime::Module::new(&engine, [0, b'a', b's', b'm', 1, 0, 0, 0]).unwrap();
        let code = Arc::new(Code { module, functions: vec![] });
        *lock(&regions.installs.0) = vec![Some(Install { code, bias: 0x10000, base: 1 })];
        regions.list[0].places = vec![0];
        regions.list[0].number = Some(0);
        assert!(regions.turn_precise());
        assert!(!regions.turn_precise());
        assert!(regions.installs.get(0).unwrap().is_none());
        assert_eq!(regions.list[0].number, None);
        assert!(regions.fork().precise);
        assert_eq!(ranges(&regions.fork()), [(0x10000, 0x4000, 0x8000)]);
    }
}
