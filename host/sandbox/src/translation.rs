//! Translated guest code in a sandbox: what is known of each region of code, and the threads that ask for more.
//!
//! Nothing here waits while a task could run: one thread sends jobs to the translator, another loads what it gives.

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use wasmtime::{Engine, Module};

use crate::code::{Code, Codes, Hit};
use crate::events::lock;
use crate::launch::{Ask, Ready, Translated, Translating, Translator};
use crate::own_code::Part;

/// Jobs that wait for the translator; with more, hot code is asked for again when it has got hotter elsewhere.
const MAX_WAITING: usize = 256;

/// Regions that are known of at most; code in others stays interpreted.
const MAX_REGIONS: usize = 4096;

/// Functions that are asked for in one region at most.
const MAX_ASKED: usize = 1 << 16;

/// How often a function is asked for at most: by each process in which it is hot, and again where it gets hotter. And how often
/// it is told of as warm.
const MAX_TIMES: u8 = 8;

/// How long a task that waits for translations does so at most.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// How long a sandbox that ends waits at most until its questions are sent: a translator that is busy does not take them.
const MAX_END: Duration = Duration::from_millis(100);

/// What makes a region of code the same as another: its file's address in this process, where it begins, its length, and
/// whether it is precise.
type Identity = (usize, u64, u32, bool);

/// A file that code is mapped from.
#[derive(Debug, Clone)]
pub struct CodeFile {
    pub file: Arc<File>,
    /// It never changes; else what changes is told ([`Translation::forget`]).
    pub lasts: bool,
}

/// A region of code that was hot in some process.
struct Known {
    source: CodeFile,
    offset: u64,
    len: u32,
    precise: bool,
    /// Functions that were asked for, and how often.
    asked: HashMap<u32, u8>,
    /// Functions that the translator was told of as warm, and how often.
    warm: HashMap<u32, u8>,
    /// Computed jumps that the translator was told of.
    jumps: HashMap<u32, u32>,
    codes: Codes,
    /// How many modules were given at the start.
    given: usize,
    /// The translator is to be told of it when it is used.
    unfinished: bool,
}

impl Known {
    /// A question for these functions, whose region has this number.
    fn ask(&self, region: u32, starts: Vec<u32>, jumps: Vec<(u32, u32)>, tell: bool) -> Ask {
        let Known { ref source, offset, len, precise, given, .. } = *self;
        let CodeFile { file, lasts } = source.clone();
        Ask { region, file, lasts, offset, len, starts, warm: false, jumps, precise, tell, given }
    }
}

/// Translated code that has come, and a mark that there is some.
#[derive(Default)]
struct Arrivals {
    some: AtomicBool,
    list: Mutex<Vec<(u32, Code)>>,
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

/// Questions for the translator that it does not have yet.
struct Questions {
    queue: SyncSender<Ask>,
    unsent: Arc<(Mutex<usize>, Condvar)>,
}

impl Questions {
    /// Starts the thread that sends them.
    fn start(translator: Arc<dyn Translator>) -> Result<Questions> {
        let (queue, waiting) = sync_channel(MAX_WAITING);
        let unsent = Arc::<(Mutex<usize>, Condvar)>::default();
        let left = unsent.clone();
        spawn("hints", move || {
            while let Ok(question) = waiting.recv() {
                let is_sent = translator.ask(&question);
                let (unsent, changed) = &*left;
                let mut unsent = lock(unsent);
                *unsent = if is_sent { unsent.saturating_sub(1) } else { 0 };
                changed.notify_all();
                if !is_sent {
                    return;
                }
            }
        })?;
        Ok(Questions { queue, unsent })
    }

    /// False when too many wait, or nobody takes them.
    fn push(&self, question: Ask) -> bool {
        // Held until it is counted: only then can it be taken for sent.
        let mut unsent = lock(&self.unsent.0);
        let has_room = self.queue.try_send(question).is_ok();
        *unsent += usize::from(has_room);
        has_room
    }

    /// Waits until all are sent, for a time.
    fn end(&self) {
        let (unsent, changed) = &*self.unsent;
        let _ = changed.wait_timeout_while(lock(unsent), MAX_END, |unsent| *unsent != 0);
    }
}

/// The translated code of one sandbox.
pub struct Translation {
    book: Mutex<Book>,
    engine: Engine,
    questions: Questions,
    arrivals: Arc<Arrivals>,
    /// What was wanted of it.
    pub how: Translating,
    edition: AtomicU64,
}

/// What is known of regions.
#[derive(Default)]
struct Book {
    known: Vec<Known>,
    numbers: HashMap<Identity, u32>,
    /// Questions that were sent.
    sent: u64,
}

impl Book {
    fn get(&mut self, number: u32) -> Option<&mut Known> {
        self.known.get_mut(number as usize)
    }

    /// The number of a region; `None` when too many are known.
    fn number(&mut self, source: &CodeFile, offset: u64, len: u32, precise: bool) -> Option<u32> {
        let identity = (Arc::as_ptr(&source.file).addr(), offset, len, precise);
        if let Some(number) = self.numbers.get(&identity) {
            return Some(*number);
        }
        if self.known.len() >= MAX_REGIONS {
            return None;
        }
        let number = self.known.len() as u32;
        // Held for ever, so that no other file gets its address.
        let source = source.clone();
        let (asked, warm, jumps, codes) = Default::default();
        self.known.push(Known { source, offset, len, precise, asked, warm, jumps, codes, given: 0, unfinished: false });
        self.numbers.insert(identity, number);
        Some(number)
    }
}

impl Translation {
    /// Starts the threads.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub fn start(engine: &Engine, how: Translating) -> Result<Translation> {
        let translator = how.translator.clone();
        let questions = Questions::start(translator.clone())?;
        let arrivals = Arc::<Arrivals>::default();
        let (loader, to) = (engine.clone(), arrivals.clone());
        spawn("translated code", move || receive(&loader, translator.as_ref(), &to))?;
        let (book, engine, edition) = (Mutex::default(), engine.clone(), AtomicU64::new(1));
        Ok(Translation { book, engine, questions, arrivals, how, edition })
    }

    /// The number of a region of code; `None` when too many are known.
    pub fn number(&self, source: &CodeFile, offset: u64, len: u32, precise: bool) -> Option<u32> {
        lock(&self.book).number(source, offset, len, precise)
    }

    /// Notes modules for a region that may come to be mapped.
    pub fn prepare(&self, file: &Arc<File>, ready: Ready) {
        let mut book = lock(&self.book);
        let source = CodeFile { file: file.clone(), lasts: true };
        if let Some(number) = book.number(&source, ready.offset, ready.len, ready.precise)
            && let Some(known) = book.get(number)
        {
            known.given = ready.modules.len();
            known.unfinished = ready.unfinished;
            known.codes.add(ready.modules.into_iter().map(Code::new));
        }
    }

    /// Whether a process's code is of the precise variant, which may be wanted of all.
    pub fn is_precise(&self, process: bool) -> bool {
        process || self.how.precise
    }

    /// The number of a region that is mapped now and how many modules it has, when some of it may be translated already.
    pub fn prepared(&self, file: &Arc<File>, offset: u64, len: u64, precise: bool) -> Option<(u32, usize)> {
        let identity = (Arc::as_ptr(file).addr(), offset, u32::try_from(len).ok()?, self.is_precise(precise));
        let mut book = lock(&self.book);
        let number = *book.numbers.get(&identity)?;
        let known = book.get(number)?;
        if std::mem::take(&mut known.unfinished) {
            // When too many questions wait, a later command tells of it.
            self.questions.push(known.ask(number, Vec::new(), Vec::new(), false));
        }
        Some((number, known.codes.count()))
    }

    /// Forgets all regions that have some of a part of a file, which is to change. No process has one of them from now on.
    pub fn forget(&self, part: &Part) {
        let mut book = lock(&self.book);
        let Book { known, numbers, .. } = &mut *book;
        numbers.retain(|&(file, start, len, _), number| {
            let forgets = part.overlaps(&Part { file, start, end: start.saturating_add(len.into()) });
            if forgets && let Some(known) = known.get_mut(*number as usize) {
                known.codes = Codes::default();
            }
            !forgets
        });
    }

    /// Asks for those functions of a region, once more if need be: what is asked for most often comes first. Tells of its computed
    /// jumps that went into it. All are offsets in the region.
    pub fn ask(&self, number: u32, starts: &[u32], jumps: Vec<(u32, u32)>) {
        let mut book = lock(&self.book);
        let Some(known) = book.get(number) else { return };
        let may_ask = |start: &u32| known.asked.get(start).is_none_or(|times| *times < MAX_TIMES);
        let fresh: Vec<u32> = starts.iter().copied().filter(may_ask).collect();
        if fresh.is_empty() || known.asked.len() + fresh.len() > MAX_ASKED {
            return;
        }
        let is_new = |(site, target): &(u32, u32)| known.jumps.get(site) != Some(target);
        let jumps: Vec<(u32, u32)> = jumps.into_iter().filter(is_new).take(MAX_ASKED - known.jumps.len()).collect();
        let ask = known.ask(number, fresh.clone(), jumps.clone(), self.how.waits);
        if self.questions.push(ask) {
            fresh.into_iter().for_each(|start| *known.asked.entry(start).or_default() += 1);
            known.jumps.extend(jumps);
            book.sent += 1;
        }
    }

    /// Tells of functions of a region that are warm in a process.
    pub fn tell_warm(&self, number: u32, starts: &[u32]) {
        let mut book = lock(&self.book);
        let Some(known) = book.get(number) else { return };
        let times = |start: &u32| known.warm.get(start).copied().unwrap_or_default();
        let may_tell = |start: &u32| times(start) < MAX_TIMES && !known.asked.contains_key(start);
        let fresh: Vec<u32> = starts.iter().copied().filter(may_tell).collect();
        if fresh.is_empty() || known.warm.len() + fresh.len() > MAX_ASKED {
            return;
        }
        let ask = Ask { warm: true, ..known.ask(number, fresh.clone(), Vec::new(), false) };
        // When too many questions wait, it is for another process to tell.
        if self.questions.push(ask) {
            fresh.into_iter().for_each(|start| *known.warm.entry(start).or_default() += 1);
        }
    }

    /// Waits until all that was asked for is translated, where that is wanted.
    pub fn wait(&self) {
        if !self.how.waits {
            return;
        }
        let sent = lock(&self.book).sent;
        let waits = |told: &mut Told| told.done < sent && !told.closed;
        // A translator that takes too long costs only time.
        let _ = self.arrivals.changed.wait_timeout_while(lock(&self.arrivals.told), MAX_WAIT, waits);
    }

    /// Waits until the translator has all questions, for a time; the process ends then.
    pub fn end(&self) {
        self.questions.end();
    }

    /// Takes what has come since the last call.
    #[inline]
    pub fn update(&self) {
        if self.arrivals.some.load(Ordering::Relaxed) {
            self.take_arrivals();
        }
    }

    fn take_arrivals(&self) {
        let arrived = {
            let mut list = lock(&self.arrivals.list);
            self.arrivals.some.store(false, Ordering::Relaxed);
            std::mem::take(&mut *list)
        };
        let mut book = lock(&self.book);
        for (number, code) in arrived {
            let Some(known) = book.get(number) else { continue };
            known.codes.add([code]);
            self.edition.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Grows whenever code has come.
    #[inline]
    pub fn edition(&self) -> u64 {
        self.edition.load(Ordering::Relaxed)
    }

    /// How a region is entered at an offset.
    pub fn find(&self, number: u32, offset: u32) -> Option<Hit> {
        lock(&self.book).get(number)?.codes.find(offset)
    }

    /// A module of a region, and how many functions it has; `None` when it cannot be loaded.
    pub fn load(&self, number: u32, module: usize) -> Option<(Module, u32)> {
        lock(&self.book).get(number)?.codes.load(&self.engine, module)
    }

    /// The offsets that a region can be entered at by its modules from number `first` on, and how many modules it has.
    pub fn news(&self, number: u32, first: usize) -> (Vec<u32>, usize) {
        let mut book = lock(&self.book);
        let Some(known) = book.get(number) else { return Default::default() };
        (known.codes.offsets(first).collect(), known.codes.count())
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    // They end with their channels, or with the process.
    std::thread::Builder::new().name(name.into()).spawn(run).with_context(|| format!("starting the {name} thread"))?;
    Ok(())
}

fn receive(engine: &Engine, translator: &dyn Translator, arrivals: &Arrivals) {
    while let Some(Translated { region, done, code }) = translator.answer() {
        if done {
            lock(&arrivals.told).done += 1;
            arrivals.changed.notify_all();
            continue;
        }
        let mut code = Code::new(code);
        // One that cannot be loaded is passed over when it is to be entered.
        let _ = code.load(engine);
        lock(&arrivals.list).push((region, code));
        arrivals.some.store(true, Ordering::Relaxed);
    }
    lock(&arrivals.told).closed = true;
    arrivals.changed.notify_all();
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Takes questions, and answers none.
    struct Listener(Mutex<Sender<Ask>>);

    impl Translator for Listener {
        fn ask(&self, ask: &Ask) -> bool {
            lock(&self.0).send(ask.clone()).is_ok()
        }

        fn answer(&self) -> Option<Translated> {
            None
        }
    }

    #[test]
    fn what_is_warm_is_told_until_it_is_hot_but_not_for_ever() {
        let (sender, asked) = channel();
        let translator = Arc::new(Listener(Mutex::new(sender)));
        let how = Translating { translator, precise: false, storm: false, hot: 32, waits: false };
        let engine = crate::config::engine(crate::config::Stops::ByWord).unwrap();
        let translation = Translation::start(&engine, how).unwrap();
        let file = CodeFile { file: Arc::new(tempfile::tempfile().unwrap()), lasts: true };
        let region = translation.number(&file, 0, 4096, false).unwrap();
        translation.ask(region, &[40], Vec::new());
        translation.tell_warm(region, &[8, 40, 16]);
        translation.tell_warm(region, &[16, 24]);
        translation.ask(region, &[8], Vec::new());
        translation.tell_warm(region, &[8]);
        (0..MAX_TIMES + 4).for_each(|_| translation.tell_warm(region, &[32]));
        drop(translation);
        let mut asked: Vec<(bool, Vec<u32>)> = asked.iter().map(|ask| (ask.warm, ask.starts)).collect();
        assert_eq!(asked.split_off(4), vec![(true, vec![32]); usize::from(MAX_TIMES)]);
        assert_eq!(asked, [(false, vec![40]), (true, vec![8, 16]), (true, vec![16, 24]), (false, vec![8])]);
    }
}
