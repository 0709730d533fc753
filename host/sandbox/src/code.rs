//! The translated modules of one region of code: [`Codes`]. They are read when first looked into, and loaded when entered.

use std::fs::File;

use wasmtime::{Engine, Module};

use crate::module_file::{Entry, Index, read_index};

/// Imports of a translated module: a table, three globals and four functions.
pub const IMPORTS: usize = 8;

/// The table that a translated module exports, with its functions; as `shallop_translate::FUNCTIONS`.
pub const FUNCTIONS: &str = "functions";

/// Bytes of code whose entries are brought together at once.
const PAGE: u32 = 4096;

/// A module of translated functions.
pub struct Code {
    native: Native,
    index: Option<Index>,
}

/// A module's native code.
enum Native {
    Waiting(File),
    Loaded(Module),
    /// It was made by another build, or is damaged: what it would do faster is interpreted.
    Broken,
}

impl Code {
    pub fn new(file: File) -> Code {
        Code { native: Native::Waiting(file), index: None }
    }

    /// What can be entered.
    fn index(&mut self) -> &Index {
        let read = || match &self.native {
            Native::Waiting(file) => read_index(file).unwrap_or_default(),
            _ => Index::default(),
        };
        self.index.get_or_insert_with(read)
    }

    /// Reads and loads it, if it was not; the module and the number of its functions.
    pub fn load(&mut self, engine: &Engine) -> Option<(Module, u32)> {
        let functions = self.index().functions;
        self.native = match std::mem::replace(&mut self.native, Native::Broken) {
            Native::Waiting(file) => {
                let module = crate::config::load(engine, file, "translated").ok();
                let module = module.filter(|module| module.imports().len() == IMPORTS);
                module.map_or(Native::Broken, Native::Loaded)
            }
            other => other,
        };
        match &self.native {
            Native::Loaded(module) => Some((module.clone(), functions)),
            _ => None,
        }
    }
}

/// Where a region can be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// The module's number in [`Codes`].
    pub module: usize,
    /// The function's number in the module, and the entry's in the function.
    pub function: u32,
    pub entry: u32,
}

/// The entries of one page, sorted by offset.
type Page = Box<[(u32, Hit)]>;

/// All modules of a region, in the order in which they came.
#[derive(Default)]
pub struct Codes {
    modules: Vec<Code>,
    /// By page of the region, as far as somebody looked there.
    pages: Vec<Option<Page>>,
}

impl Codes {
    pub fn add(&mut self, codes: impl IntoIterator<Item = Code>) {
        self.modules.extend(codes);
        self.pages.clear();
    }

    /// How many modules there are.
    pub fn count(&self) -> usize {
        self.modules.len()
    }

    /// How to enter the region at an offset; the first module that can be entered there counts.
    pub fn find(&mut self, offset: u32) -> Option<Hit> {
        let page = (offset / PAGE) as usize;
        if self.modules.is_empty() {
            return None;
        }
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || None);
        }
        let Codes { modules, pages } = self;
        let entries = pages[page].get_or_insert_with(|| entries_of_page(modules, offset / PAGE * PAGE));
        let at = entries.binary_search_by_key(&offset, |(offset, _)| *offset).ok()?;
        Some(entries[at].1)
    }

    /// A module, loaded, and the number of its functions.
    pub fn load(&mut self, engine: &Engine, module: usize) -> Option<(Module, u32)> {
        self.modules.get_mut(module)?.load(engine)
    }

    /// The offsets that the modules from number `first` on can be entered at.
    pub fn offsets(&mut self, first: usize) -> impl Iterator<Item = u32> + '_ {
        let new = self.modules.iter_mut().skip(first);
        new.flat_map(|code| code.index().entries.iter().map(|entry| entry.offset))
    }
}

fn entries_of_page(modules: &mut [Code], start: u32) -> Page {
    let mut hits = Vec::new();
    for (module, code) in modules.iter_mut().enumerate() {
        let index = code.index();
        if !index.reaches(start, PAGE) {
            continue;
        }
        let entries = index.from(start);
        let inside = entries.iter().take_while(|entry| entry.offset - start < PAGE);
        hits.extend(inside.map(|&Entry { offset, function, entry }| (offset, Hit { module, function, entry })));
    }
    // Stable, so that the first module stays the first.
    hits.sort_by_key(|(offset, _)| *offset);
    hits.dedup_by_key(|(offset, _)| *offset);
    hits.into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::{Function, encode_functions};

    fn code(functions: &[(u32, &[u32])]) -> Code {
        let functions: Vec<_> =
            functions.iter().map(|&(start, resume)| Function { start, resume: resume.to_vec() }).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&encode_functions(&functions)).unwrap();
        file.write_all(b"sum.").unwrap();
        Code::new(file)
    }

    #[test]
    fn the_first_module_with_an_entry_counts() {
        let mut codes = Codes::default();
        assert_eq!(codes.find(8), None);
        codes.add([code(&[(8, &[]), (0, &[4]), (4096, &[])])]);
        assert_eq!(codes.find(8), Some(Hit { module: 0, function: 0, entry: 0 }));
        codes.add([code(&[(4, &[]), (4098, &[])])]);
        assert_eq!(codes.find(8), Some(Hit { module: 0, function: 0, entry: 0 }));
        assert_eq!(codes.find(4), Some(Hit { module: 0, function: 1, entry: 1 }));
        assert_eq!(codes.find(4096), Some(Hit { module: 0, function: 2, entry: 0 }));
        assert_eq!(codes.find(4098), Some(Hit { module: 1, function: 1, entry: 0 }));
        assert_eq!(codes.find(6), None);
        assert_eq!(codes.find(u32::MAX - 1), None);
        assert_eq!(codes.offsets(1).collect::<Vec<_>>(), [4, 4098]);
    }

    #[test]
    fn what_is_no_module_is_not_loaded() {
        let engine = crate::config::engine(crate::config::Stops::ByWord).unwrap();
        let mut code = code(&[(8, &[])]);
        assert!(code.load(&engine).is_none());
        assert!(code.load(&engine).is_none());
    }
}
