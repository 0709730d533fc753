//! Translated guest code in a sandbox: what is known of each region of code, and the threads that ask for more.
//!
//! Nothing here waits while a task could run: one thread sends jobs to the translator, another loads what it gives.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use wasmtime::{Engine, Module};

use crate::events::lock;
use crate::launch::{Ask, Function, Ready, Translated, Translating, Translator};
use crate::module_file::read_functions;

/// Jobs that wait for the translator; with more, hot code is asked for again when it has got hotter elsewhere.
const MAX_WAITING: usize = 256;

/// Regions that are known of at most; code in others stays interpreted.
const MAX_REGIONS: usize = 4096;

/// Functions that are asked for in one region at most.
const MAX_ASKED: usize = 1 << 16;

/// How long a task that waits for translations does so at most.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// A module of translated functions.
pub struct Code {
    pub module: Module,
    pub functions: Vec<Function>,
}

/// What makes a region of code the same as another: its file's address in this process, where it begins, its length, and
/// whether it is precise.
type Identity = (usize, u64, u32, bool);

/// A region of code that was hot in some process.
struct Known {
    file: Arc<File>,
    offset: u64,
    len: u32,
    precise: bool,
    asked: HashSet<u32>,
    code: Vec<Arc<Code>>,
    /// Modules that are loaded when the region is mapped.
    waiting: Vec<File>,
}

/// Translated code that has come, and a mark that there is some.
#[derive(Default)]
struct Arrivals {
    some: AtomicBool,
    list: Mutex<Vec<(u32, Arc<Code>)>>,
    told: Mutex<Told>,
    changed: Condvar,
}

/// What the translator told of questions that are done.
#[derive(Default)]
struct Told {
    done: u64,
    /// It is gone.
    closed: bool,
}

/// The translated code of one sandbox.
pub struct Translation {
    known: Vec<Known>,
    numbers: HashMap<Identity, u32>,
    engine: Engine,
    jobs: SyncSender<Ask>,
    arrivals: Arc<Arrivals>,
    /// Questions that were sent.
    sent: u64,
    /// What was wanted of it.
    pub how: Translating,
    /// Grows whenever code has come.
    pub edition: u64,
}

impl Translation {
    /// Starts the threads.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub fn start(engine: &Engine, how: Translating) -> Result<Translation> {
        let translator = how.translator.clone();
        let (jobs, waiting) = sync_channel(MAX_WAITING);
        let arrivals = Arc::<Arrivals>::default();
        let asker = translator.clone();
        spawn("hints", move || ask(asker.as_ref(), &waiting))?;
        let (loader, to) = (engine.clone(), arrivals.clone());
        spawn("translated code", move || receive(&loader, translator.as_ref(), &to))?;
        let (known, numbers, engine) = (Vec::new(), HashMap::new(), engine.clone());
        Ok(Translation { known, numbers, engine, jobs, arrivals, sent: 0, how, edition: 0 })
    }

    /// The number of a region of code; `None` when too many are known.
    pub fn number(&mut self, file: &Arc<File>, offset: u64, len: u32, precise: bool) -> Option<u32> {
        let identity = (Arc::as_ptr(file).addr(), offset, len, precise);
        if let Some(number) = self.numbers.get(&identity) {
            return Some(*number);
        }
        if self.known.len() >= MAX_REGIONS {
            return None;
        }
        let number = self.known.len() as u32;
        // Held for ever, so that no other file gets its address.
        let file = file.clone();
        let asked = HashSet::new();
        self.known.push(Known { file, offset, len, precise, asked, code: Vec::new(), waiting: Vec::new() });
        self.numbers.insert(identity, number);
        Some(number)
    }

    /// Notes modules for a region that may come to be mapped.
    pub fn prepare(&mut self, file: &Arc<File>, ready: Ready) {
        if let Some(number) = self.number(file, ready.offset, ready.len, self.how.precise)
            && let Some(known) = self.known.get_mut(number as usize)
        {
            known.waiting.extend(ready.modules);
        }
    }

    /// The number of a region that is mapped now, when some of it is translated already.
    pub fn prepared(&mut self, file: &Arc<File>, offset: u64, len: u64, precise: bool) -> Option<u32> {
        let identity = (Arc::as_ptr(file).addr(), offset, u32::try_from(len).ok()?, precise || self.how.precise);
        let number = *self.numbers.get(&identity)?;
        let known = self.known.get_mut(number as usize)?;
        let loaded = known.waiting.drain(..).filter_map(|file| load(&self.engine, file));
        known.code.extend(loaded.filter(|code| fits(&code.functions, known.len)).map(Arc::new));
        Some(number)
    }

    /// Asks for those functions of a region that nobody asked for yet. `starts` are offsets in the region.
    pub fn ask(&mut self, number: u32, starts: &[u32]) {
        let Some(known) = self.known.get_mut(number as usize) else { return };
        let fresh: Vec<u32> = starts.iter().copied().filter(|start| !known.asked.contains(start)).collect();
        if fresh.is_empty() || known.asked.len() + fresh.len() > MAX_ASKED {
            return;
        }
        let Known { file, offset, len, precise, .. } = known;
        let ask = Ask {
            region: number,
            file: file.clone(),
            offset: *offset,
            len: *len,
            starts: fresh.clone(),
            precise: *precise,
            tell: self.how.waits,
        };
        if self.jobs.try_send(ask).is_ok() {
            known.asked.extend(fresh);
            self.sent += 1;
        }
    }

    /// Waits until all that was asked for is translated, where that is wanted.
    pub fn wait(&self) {
        if !self.how.waits {
            return;
        }
        let waits = |told: &mut Told| told.done < self.sent && !told.closed;
        // A translator that takes too long costs only time.
        let _ = self.arrivals.changed.wait_timeout_while(lock(&self.arrivals.told), MAX_WAIT, waits);
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
    while let Some(Translated { region, done, code }) = translator.answer() {
        if done {
            lock(&arrivals.told).done += 1;
            arrivals.changed.notify_all();
            continue;
        }
        let Some(code) = load(engine, code) else { continue };
        let mut list = lock(&arrivals.list);
        list.push((region, Arc::new(code)));
        arrivals.some.store(true, Ordering::Relaxed);
    }
    lock(&arrivals.told).closed = true;
    arrivals.changed.notify_all();
}

/// Loads a module. One that cannot be loaded was made by another build: what it would do faster is interpreted.
fn load(engine: &Engine, file: File) -> Option<Code> {
    let functions = read_functions(&file).ok()?;
    let module = crate::kernel::load(engine, file, "translated").ok()?;
    let fits = module.imports().len() == IMPORTS;
    fits.then_some(Code { module, functions })
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
