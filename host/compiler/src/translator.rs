//! The translator process: takes jobs from one worker, gives back native code of guest functions.
//!
//! What is hottest comes first; large functions are compiled beside the others, which do not wait for them. When the
//! worker has ended it finishes that in the background and translates the rest of the regions that had some, so that
//! programs that start later find their code translated.

use std::collections::BTreeMap;
use std::fs::File;
use std::num::ParseIntError;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shallop_sandbox::{Compiler, Function, Stops};
use shallop_supervisor::jobs::{self, Answer, Job};

use crate::alone::{Alone, step_back_as_session};
use crate::crew::Crew;
use crate::limit::trim;
use crate::platform;
use crate::queue::Queue;
use crate::region::Known;
use crate::translated::loose;

/// Address space and CPU time that one worker's translations may use.
const MEMORY_LIMIT: u64 = 4 << 30;
const CPU_SECONDS: u64 = 1200;

/// How much less important than other processes it is.
const NICENESS: i32 = 5;

/// Regions that are kept; with more, all are forgotten.
const MAX_REGIONS: usize = 256;
/// Bytes of their code and data.
const MAX_KEPT: usize = 512 << 20;

/// Jobs that are taken at once: all that wait, for the hottest to come first.
const MAX_BATCH: usize = 4096;

/// Bytes of guest code of a module that nobody waits for.
const AHEAD_BYTES: u32 = 128 << 10;

/// Bytes of guest code of a module of what was warm in one process after another, while the worker runs.
const WARM_BYTES: u32 = 32 << 10;

/// Bytes of guest code of a region that is translated as a whole when the worker has ended: half a minute of CPU time. It
/// runs a tenth faster so than in many modules.
const MERGE_BYTES: u32 = 6 << 20;

/// The translator process. Its stdin is the socket; `cache` is the folder of translated code. The numbers
/// are how many bytes that may have, and for how many seconds of CPU time to go on after the worker's end.
///
/// # Errors
/// When the host does not let it bound itself.
pub fn main(cache: &Path, numbers: [Result<u64, ParseIntError>; 2]) -> Result<()> {
    let cache = std::path::absolute(cache).context("the cache's folder")?;
    let [cache_limit, linger] = numbers;
    let (cache_limit, linger) = (cache_limit.context("the cache's limit")?, linger.context("the time")?);
    leave_the_caller()?;
    platform::bound(MEMORY_LIMIT, CPU_SECONDS)?;
    rustix::process::nice(NICENESS).context("stepping back behind others")?;
    step_back_as_session(NICENESS);
    let worker = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().context("the socket")?);
    let compiler = Arc::new(Compiler::new(Stops::ByWord)?);
    let crew = Crew::new(compiler.clone())?;
    let mut translator = Translator {
        worker: Some(worker),
        alone: None,
        cache,
        cache_limit,
        linger,
        compiler,
        crew,
        regions: BTreeMap::new(),
        kept: 0,
        queue: Queue::default(),
        merging: Vec::new(),
        told: Vec::new(),
    };
    translator.serve()?;
    trim(&translator.cache, cache_limit)
}

/// It may outlive the command that started it: nothing of the user's stays open, no signal of the terminal comes here, and
/// no folder is in use. stdout and stderr are /dev/null.
fn leave_the_caller() -> Result<()> {
    shallop_sandbox::close_inherited();
    std::env::set_current_dir("/").context("leaving the folder")?;
    rustix::process::setsid().context("leaving the session")?;
    Ok(())
}

struct Translator {
    /// `None`: it has ended.
    worker: Option<UnixStream>,
    /// Once it has.
    alone: Option<Alone>,
    cache: PathBuf,
    /// Bytes that it may have.
    cache_limit: u64,
    /// Seconds of CPU time after the worker's end.
    linger: u64,
    compiler: Arc<Compiler>,
    crew: Crew,
    /// By the worker's numbers.
    regions: BTreeMap<u32, Known>,
    kept: usize,
    queue: Queue,
    /// Regions that are to be translated as a whole.
    merging: Vec<u32>,
    /// Jobs whose worker waits until all is done.
    told: Vec<(u32, File)>,
}

impl Translator {
    fn serve(&mut self) -> Result<()> {
        let mut busy = true;
        loop {
            self.listen(busy)?;
            if self.alone.as_ref().is_some_and(|alone| !alone.may_go_on()) {
                return Ok(());
            }
            self.start_large();
            busy = match self.queue.next_small() {
                Some((region, starts)) => {
                    self.translate(region, &starts);
                    true
                }
                None => {
                    self.queue.is_empty()
                        && self.crew.is_idle()
                        && (self.merge()? || self.translate_warm() || self.translate_ahead())
                }
            };
            if self.queue.is_empty() && self.crew.is_idle() && self.merging.is_empty() {
                for (region, file) in std::mem::take(&mut self.told) {
                    self.answer(Answer { region, done: true }, &file);
                }
                if !busy && self.worker.is_none() {
                    return Ok(());
                }
            }
        }
    }

    /// Takes jobs and what was compiled; waits for them when there is nothing else to do.
    fn listen(&mut self, busy: bool) -> Result<()> {
        let mut watched = vec![PollFd::new(self.crew.bell(), PollFlags::IN)];
        watched.extend(self.worker.as_ref().map(|worker| PollFd::new(worker, PollFlags::IN)));
        let timeout = match (busy, &self.alone) {
            (true, _) => Some(Timespec { tv_sec: 0, tv_nsec: 0 }),
            // Its time may come to an end.
            (false, Some(_)) => Some(Timespec { tv_sec: 1, tv_nsec: 0 }),
            (false, None) => None,
        };
        match poll(&mut watched, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error).context("waiting for jobs"),
        }
        let [rings, has_jobs] = [0, 1].map(|at| watched.get(at).is_some_and(|it| !it.revents().is_empty()));
        if rings && let Some(made) = self.crew.take() {
            self.keep(made.region, made.code, &made.functions);
        }
        if has_jobs {
            self.receive()?;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<()> {
        for _ in 0..MAX_BATCH {
            let Some(worker) = &self.worker else { break };
            match jobs::receive_job(worker) {
                Ok(Some((job, file))) => self.take(job, file),
                // Killed in the middle of a message, it has ended too; and one that talks nonsense is not listened to.
                Ok(None) | Err(_) => {
                    self.worker = None;
                    self.regions.values().for_each(Known::keep);
                    self.alone = Some(Alone::begin(&self.cache, self.linger)?);
                    trim(&self.cache, self.cache_limit)?;
                }
            }
            if !self.more() {
                break;
            }
        }
        Ok(())
    }

    /// Whether another job waits.
    fn more(&self) -> bool {
        self.worker.as_ref().is_some_and(|worker| look(worker).contains(PollFlags::IN))
    }

    /// Notes what a job wants. One whose code cannot be read is passed over.
    fn take(&mut self, job: Job, file: File) {
        let known = self.regions.contains_key(&job.region) || self.know(&job, &file).is_ok();
        // Told of what was not done, the command would take it for done.
        if job.whole && !known {
            return self.worker = None;
        }
        if job.tell {
            self.told.push((job.region, file));
        }
        if known {
            self.send_arrived(job.region);
            self.merging.extend(job.whole.then_some(job.region));
        }
        let Some(known) = self.regions.get_mut(&job.region) else { return };
        known.note_jumps(job.jumps);
        if job.warm {
            return known.note_warm(&job.starts);
        }
        for start in job.starts {
            for start in known.wanted(start) {
                self.queue.push((job.region, start), known.bytes(start));
            }
        }
    }

    fn know(&mut self, job: &Job, file: &File) -> Result<()> {
        let known = Known::read(&self.cache, job, file)?;
        if self.regions.len() >= MAX_REGIONS || self.kept + known.size > MAX_KEPT {
            self.regions.values().for_each(Known::keep);
            self.regions.clear();
            self.queue.clear();
            self.merging.clear();
            self.kept = 0;
        }
        self.kept += known.size;
        self.regions.insert(job.region, known);
        Ok(())
    }

    /// Gives the worker what the cache has of a region, and what others added meanwhile.
    fn send_arrived(&mut self, region: u32) {
        let files = self.regions.get_mut(&region).map(Known::arrived);
        for file in files.into_iter().flatten() {
            self.answer(Answer { region, done: false }, &file);
        }
    }

    /// An answer that nobody takes is for the cache alone: that the worker has ended is found in `receive`.
    fn answer(&self, answer: Answer, file: &File) {
        if let Some(worker) = &self.worker {
            let _ = jobs::send_answer(worker, &answer, file);
        }
    }

    /// Starts to compile large functions.
    fn start_large(&mut self) {
        while self.crew.has_room()
            && let Some((region, start)) = self.queue.next_large()
        {
            self.send_arrived(region);
            let Some(known) = self.regions.get_mut(&region).filter(|known| !known.is_done(start)) else { continue };
            if let Some((wasm, functions)) = known.translate(&[start]) {
                // Without a thread it stays interpreted.
                let _ = self.crew.start(region, wasm, functions);
            }
        }
    }

    fn translate(&mut self, region: u32, starts: &[u32]) {
        self.send_arrived(region);
        let Some(known) = self.regions.get_mut(&region) else { return };
        let fresh: Vec<u32> = starts.iter().copied().filter(|start| !known.is_done(*start)).collect();
        if let Some((wasm, functions)) = known.translate(&fresh) {
            let code = self.compiler.compile(&wasm).ok();
            self.keep(region, code, &functions);
        }
    }

    /// Adds a module to the cache and gives it to the worker. What could not be compiled stays interpreted.
    fn keep(&mut self, region: u32, code: Option<Vec<u8>>, functions: &[Function]) {
        let Some((known, code)) = self.regions.get_mut(&region).zip(code) else { return };
        // Where nothing can be written, this worker has it nevertheless.
        if let Ok(file) = known.folder.add(&code, functions).or_else(|_| loose(&code, functions)) {
            self.answer(Answer { region, done: false }, &file);
        }
    }

    /// Translates some of what was warm often; false: there is too little of it.
    fn translate_warm(&mut self) -> bool {
        self.translate_next(|known| known.next_warm(WARM_BYTES))
    }

    /// Translates some of what nobody asked for yet, of a region that was asked for, when the worker has ended; false: there is
    /// no more. What was warm comes first.
    fn translate_ahead(&mut self) -> bool {
        if !self.alone.as_ref().is_some_and(Alone::may_go_ahead) {
            return false;
        }
        let done = self.translate_next(|known| known.next_ahead(true, AHEAD_BYTES))
            || self.merge_small()
            || self.translate_next(|known| known.next_ahead(false, AHEAD_BYTES));
        if !done {
            self.regions.values_mut().for_each(Known::note_end);
        }
        done
    }

    /// Translates the functions that `next` gives of the first region of which it gives some; false: there are none.
    fn translate_next(&mut self, next: impl Fn(&mut Known) -> Vec<u32>) -> bool {
        let mut lists = self.regions.iter_mut().map(|(number, known)| (*number, next(known)));
        let Some((number, starts)) = lists.find(|(_, starts)| !starts.is_empty()) else { return false };
        self.translate(number, &starts);
        true
    }

    /// Translates a whole region that was asked for; false: none was.
    fn merge(&mut self) -> Result<bool> {
        let Some(region) = self.merging.pop() else { return Ok(false) };
        let worker = self.worker.as_ref();
        let goes_on = || worker.is_some_and(|worker| !look(worker).contains(PollFlags::HUP));
        self.regions.get_mut(&region).map(|known| known.merge(&self.compiler, goes_on)).transpose()?;
        Ok(true)
    }

    /// Merges what there is of a region that does not take long; false: there is none.
    fn merge_small(&mut self) -> bool {
        let small = |(region, known): (&u32, &mut Known)| known.may_merge(MERGE_BYTES).then_some(*region);
        let Some(region) = self.regions.iter_mut().find_map(small) else { return false };
        let Some(known) = self.regions.get_mut(&region) else { return false };
        let alone = self.alone.as_ref();
        // Where it cannot be kept, it stays in parts.
        let _ = known.merge(&self.compiler, || alone.is_some_and(Alone::may_go_ahead));
        true
    }
}

/// What there is to be had of the worker now.
fn look(worker: &UnixStream) -> PollFlags {
    let mut watched = [PollFd::new(worker, PollFlags::IN)];
    match poll(&mut watched, Some(&Timespec::default())) {
        Ok(_) => watched[0].revents(),
        Err(_) => PollFlags::empty(),
    }
}
