//! Translated guest code in a sandbox: what is known of each region of code, and the threads that ask for more.
//!
//! Nothing here waits while a task could run: one thread sends jobs to the translator, another loads what it gives.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use wasmtime::{Engine, Module};

use crate::events::lock;
use crate::launch::{Ask, Function, Translated, Translator};

/// Jobs that wait for the translator; with more, hot code is asked for again when it has got hotter elsewhere.
const MAX_WAITING: usize = 256;

/// Regions that are known of at most; code in others stays interpreted.
const MAX_REGIONS: usize = 4096;

/// Functions that are asked for in one region at most.
const MAX_ASKED: usize = 1 << 16;

/// A module of translated functions.
pub struct Code {
    pub module: Module,
    pub functions: Vec<Function>,
}

/// What makes a region of code the same as another: its file's address in this process, where it begins, its length.
type Identity = (usize, u64, u32);

/// A region of code that was hot in some process.
struct Known {
    file: Arc<File>,
    offset: u64,
    len: u32,
    asked: HashSet<u32>,
    code: Vec<Arc<Code>>,
}

/// Translated code that has come, and a mark that there is some.
#[derive(Default)]
struct Arrivals {
    some: AtomicBool,
    list: Mutex<Vec<(u32, Arc<Code>)>>,
}

/// The translated code of one sandbox.
pub struct Translation {
    known: Vec<Known>,
    numbers: HashMap<Identity, u32>,
    jobs: SyncSender<Ask>,
    arrivals: Arc<Arrivals>,
    /// Grows whenever code has come.
    pub edition: u64,
}

impl Translation {
    /// Starts the threads.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub fn start(engine: &Engine, translator: Arc<dyn Translator>) -> Result<Translation> {
        let (jobs, waiting) = sync_channel(MAX_WAITING);
        let arrivals = Arc::<Arrivals>::default();
        let asker = translator.clone();
        spawn("hints", move || ask(asker.as_ref(), &waiting))?;
        let (engine, to) = (engine.clone(), arrivals.clone());
        spawn("translated code", move || receive(&engine, translator.as_ref(), &to))?;
        Ok(Translation { known: Vec::new(), numbers: HashMap::new(), jobs, arrivals, edition: 0 })
    }

    /// The number of a region of code; `None` when too many are known.
    pub fn number(&mut self, file: &Arc<File>, offset: u64, len: u32) -> Option<u32> {
        let identity = (Arc::as_ptr(file).addr(), offset, len);
        if let Some(number) = self.numbers.get(&identity) {
            return Some(*number);
        }
        if self.known.len() >= MAX_REGIONS {
            return None;
        }
        let number = self.known.len() as u32;
        // Held for ever, so that no other file gets its address.
        let file = file.clone();
        self.known.push(Known { file, offset, len, asked: HashSet::new(), code: Vec::new() });
        self.numbers.insert(identity, number);
        Some(number)
    }

    /// Asks for those functions of a region that nobody asked for yet. `starts` are offsets in the region.
    pub fn ask(&mut self, number: u32, starts: &[u32]) {
        let Some(known) = self.known.get_mut(number as usize) else { return };
        let fresh: Vec<u32> = starts.iter().copied().filter(|start| !known.asked.contains(start)).collect();
        if fresh.is_empty() || known.asked.len() + fresh.len() > MAX_ASKED {
            return;
        }
        let Known { file, offset, len, .. } = known;
        let ask = Ask { region: number, file: file.clone(), offset: *offset, len: *len, starts: fresh.clone() };
        if self.jobs.try_send(ask).is_ok() {
            known.asked.extend(fresh);
        }
    }

    /// Takes what has come since the last call.
    #[inline]
    pub fn update(&mut self) {
        if self.arrivals.some.load(Ordering::Relaxed) {
            self.take_arrivals();
        }
    }

    fn take_arrivals(&mut self) {
        let arrived = {
            let mut list = lock(&self.arrivals.list);
            self.arrivals.some.store(false, Ordering::Relaxed);
            std::mem::take(&mut *list)
        };
        for (number, code) in arrived {
            let Some(known) = self.known.get_mut(number as usize) else { continue };
            if fits(&code.functions, known.len) {
                known.code.push(code);
                self.edition += 1;
            }
        }
    }

    /// All translated code of a region, in the order in which it came.
    pub fn code(&self, number: u32) -> &[Arc<Code>] {
        self.known.get(number as usize).map_or(&[], |known| &known.code)
    }
}

/// Whether every entry lies inside the region and can be an instruction's.
fn fits(functions: &[Function], len: u32) -> bool {
    let inside = |offset: &u32| *offset < len && offset.is_multiple_of(2);
    functions.iter().all(|function| inside(&function.start) && function.resume.iter().all(inside))
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    // They end with their channels, or with the process.
    std::thread::Builder::new().name(name.into()).spawn(run).with_context(|| format!("starting the {name} thread"))?;
    Ok(())
}

fn ask(translator: &dyn Translator, waiting: &Receiver<Ask>) {
    while let Ok(job) = waiting.recv() {
        if !translator.ask(&job) {
            return;
        }
    }
}

fn receive(engine: &Engine, translator: &dyn Translator, arrivals: &Arrivals) {
    while let Some(Translated { region, functions, code }) = translator.answer() {
        // Code that cannot be loaded was made by another build: what it would do faster is interpreted.
        let Ok(module) = crate::kernel::load(engine, code, "translated") else { continue };
        if module.imports().len() != IMPORTS {
            continue;
        }
        let mut list = lock(&arrivals.list);
        list.push((region, Arc::new(Code { module, functions })));
        arrivals.some.store(true, Ordering::Relaxed);
    }
}

/// Imports of a translated module: two memories, a table, three globals and a function.
pub const IMPORTS: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_outside_the_region_are_refused() {
        let function = |start, resume: &[u32]| Function { start, resume: resume.to_vec() };
        assert!(fits(&[function(0, &[2, 98])], 100));
        assert!(!fits(&[function(0, &[100])], 100));
        assert!(!fits(&[function(3, &[])], 100));
    }
}
