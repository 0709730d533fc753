//! The thread that ends time slices and sandboxes: [`Interrupt`], [`start`].

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use wasmtime::Engine;

use crate::events::{Events, lock};
use crate::platform::Meter;

/// How long a task runs.
const SLICE: Duration = Duration::from_nanos(shallop_host_abi::SLICE);

/// How long it runs when samples are taken.
const SAMPLED_SLICE: Duration = Duration::from_millis(1);

/// The least time between two alarms, so that a task gets on between timers that never stop.
const ALARMS_APART: Duration = Duration::from_micros(50);

/// How often the memory in use is measured while tasks run.
const MEASURE_EVERY: Duration = Duration::from_millis(50);

/// How long a sandbox that is to end may take.
const GRACE: Duration = Duration::from_secs(10);

/// Why a sandbox was ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Ending {
    Killed = 1,
    Memory = 2,
    Wall = 3,
}

impl Ending {
    fn from_number(number: u8) -> Option<Ending> {
        [Ending::Killed, Ending::Memory, Ending::Wall].into_iter().find(|ending| *ending as u8 == number)
    }

    /// The limit's name for [`crate::Outcome::limit`].
    pub fn limit(self) -> Option<&'static str> {
        match self {
            Ending::Killed => None,
            Ending::Memory => Some("memory"),
            Ending::Wall => Some("wall clock"),
        }
    }
}

/// The preempt word's value when it is set, as `shallop_machine::exit::PREEMPT`: above the room of any call.
const PREEMPT: u32 = i32::MAX as u32;

/// The word that makes a running task yield.
#[derive(Clone, Copy)]
pub struct PreemptWord(*const AtomicU32);

// SAFETY: the word is atomic, and `PreemptWord::new`'s contract keeps it alive while it is published.
unsafe impl Send for PreemptWord {}

impl PreemptWord {
    /// # Safety
    /// `word` is aligned and stays mapped until [`Interrupt::leave`].
    pub unsafe fn new(word: *mut u8) -> PreemptWord {
        PreemptWord(word.cast())
    }

    fn set(self) {
        // SAFETY: by `new`'s contract.
        unsafe { &*self.0 }.store(PREEMPT, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct State {
    running: Option<PreemptWord>,
    /// The thread waits without a slice; the next task must wake it.
    asleep: bool,
    /// When the running task is to yield before its slice is over.
    alarm: Option<Instant>,
    /// Until when the thread waits for the end of a slice.
    waits: Option<Instant>,
    stop: bool,
}

/// How other threads get through to the one that runs the sandbox.
pub struct Interrupt {
    engine: Engine,
    state: Mutex<State>,
    changed: Condvar,
    ended: AtomicU8,
}

impl Interrupt {
    pub fn new(engine: &Engine) -> Arc<Interrupt> {
        Arc::new(Interrupt {
            engine: engine.clone(),
            state: Mutex::default(),
            changed: Condvar::new(),
            ended: AtomicU8::new(0),
        })
    }

    /// A task is about to run; until [`Interrupt::leave`] it is the one that is preempted.
    pub fn enter(&self, word: PreemptWord) {
        let mut state = lock(&self.state);
        state.running = Some(word);
        if self.ended().is_some() {
            word.set();
        }
        if std::mem::take(&mut state.asleep) {
            self.changed.notify_one();
        }
    }

    /// The task that runs at that time yields; in place of the time before.
    pub fn set_alarm(&self, at: Option<Instant>) {
        let mut state = lock(&self.state);
        state.alarm = at.map(|at| at.max(Instant::now() + ALARMS_APART));
        if state.waits.is_some_and(|end| state.alarm.is_some_and(|alarm| alarm < end)) {
            self.changed.notify_one();
        }
    }

    pub fn leave(&self) {
        lock(&self.state).running = None;
    }

    /// Makes the running task yield.
    pub fn preempt(&self) {
        if let Some(word) = lock(&self.state).running {
            word.set();
        }
    }

    /// Ends the sandbox: the kernel traps soon, the running task yields. The first reason is kept.
    pub fn end(&self, reason: Ending) {
        let _ = self.ended.compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire);
        self.engine.increment_epoch();
        self.preempt();
    }

    pub fn ended(&self) -> Option<Ending> {
        Ending::from_number(self.ended.load(Ordering::Acquire))
    }
}

/// What a sandbox may use.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Bytes of private and shared memory of this process; 0: no limit.
    pub memory: u64,
    pub wall: Option<Duration>,
    /// End slices all the time, at moments that nobody foresees.
    pub storm: bool,
    /// End slices as often as samples are wanted.
    pub sampled: bool,
}

/// The running thread; dropping it stops the thread.
pub struct Ticker {
    interrupt: Arc<Interrupt>,
}

impl Drop for Ticker {
    fn drop(&mut self) {
        lock(&self.interrupt.state).stop = true;
        // The thread ends by itself soon; nobody waits for it.
        self.interrupt.changed.notify_one();
    }
}

/// Starts the thread that ends slices and enforces `limits`.
pub fn start(interrupt: Arc<Interrupt>, events: Arc<Events>, limits: Limits) -> Result<Ticker> {
    let deadline = limits.wall.and_then(|wall| Instant::now().checked_add(wall));
    let memory = Memory { meter: Meter::new(), limit: limits.memory };
    let shared = interrupt.clone();
    let slices = Slices::new(&limits);
    let run = move || tick(&shared, &events, deadline, (&memory, slices));
    std::thread::Builder::new().name("limits".into()).spawn(run).context("starting the limits thread")?;
    Ok(Ticker { interrupt })
}

fn tick(interrupt: &Interrupt, events: &Events, deadline: Option<Instant>, (memory, mut slices): (&Memory, Slices)) {
    let mut measured = Instant::now();
    loop {
        if !next_tick(interrupt, deadline, slices.next()) {
            return;
        }
        if interrupt.ended().is_some() {
            return stop_by_force(interrupt);
        }
        let now = Instant::now();
        if deadline.is_some_and(|deadline| now >= deadline) {
            return end(interrupt, events, Ending::Wall);
        }
        if now.duration_since(measured) >= MEASURE_EVERY {
            measured = now;
            if memory.exceeded() {
                return end(interrupt, events, Ending::Memory);
            }
        }
    }
}

/// The lengths of slices: all the same, or, from a number on, all sorts of very short ones.
enum Slices {
    Same(Duration),
    Random(u64),
}

impl Slices {
    fn new(limits: &Limits) -> Slices {
        match limits {
            Limits { storm: true, .. } => Slices::Random(1),
            Limits { sampled: true, .. } => Slices::Same(SAMPLED_SLICE),
            _ => Slices::Same(SLICE),
        }
    }

    fn next(&mut self) -> Duration {
        let state = match self {
            Slices::Same(length) => return *length,
            Slices::Random(state) => state,
        };
        // Steele and Vigna's constant for a linear congruential generator.
        *state = state.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        Duration::from_nanos(*state >> 32 & 0x1_ffff)
    }
}

fn end(interrupt: &Interrupt, events: &Events, reason: Ending) {
    interrupt.end(reason);
    events.wake();
    stop_by_force(interrupt);
}

/// Ends the process unless the sandbox comes to its end: a task is in code that never looks at its preempt word.
fn stop_by_force(interrupt: &Interrupt) {
    let mut state = lock(&interrupt.state);
    let end = Instant::now() + GRACE;
    while !state.stop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            eprintln!("shallop: a task of the sandbox did not stop; ending its process");
            std::process::abort();
        }
        let waited = interrupt.changed.wait_timeout(state, left);
        state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
    }
}

/// Waits for one slice and ends it, or, when nothing ran in it, for a task to run or the deadline. False: stop.
fn next_tick(interrupt: &Interrupt, deadline: Option<Instant>, slice: Duration) -> bool {
    let mut state = lock(&interrupt.state);
    if state.stop {
        return false;
    }
    state.asleep = state.running.is_none();
    if state.asleep {
        state = wait_until(interrupt, state, deadline);
        state.asleep = false;
        return !state.stop;
    }
    let slice = Instant::now() + slice;
    loop {
        let end = [deadline, state.alarm].into_iter().flatten().fold(slice, Instant::min);
        state.waits = Some(end);
        state = wait_until(interrupt, state, Some(end));
        state.waits = None;
        // Woken before, it was for an alarm, which is nearer.
        let now = Instant::now();
        if state.stop || now >= end {
            // An alarm at which nothing runs is the next task's.
            if let Some(word) = state.running {
                word.set();
                state.alarm = state.alarm.filter(|alarm| *alarm > now);
            }
            return !state.stop;
        }
    }
}

/// Waits for a change, at most until `end`.
fn wait_until<'a>(interrupt: &Interrupt, state: MutexGuard<'a, State>, end: Option<Instant>) -> MutexGuard<'a, State> {
    match end {
        Some(end) => {
            let left = end.saturating_duration_since(Instant::now());
            let waited = interrupt.changed.wait_timeout(state, left);
            waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
        }
        None => interrupt.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner),
    }
}

/// The memory that this process may have.
struct Memory {
    meter: Meter,
    /// 0: no limit.
    limit: u64,
}

impl Memory {
    fn exceeded(&self) -> bool {
        self.limit != 0 && self.meter.used() > self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ending_stays() {
        let interrupt = Interrupt::new(&crate::config::engine(crate::config::Stops::Anywhere).unwrap());
        assert_eq!(interrupt.ended(), None);
        interrupt.end(Ending::Wall);
        interrupt.end(Ending::Killed);
        assert_eq!(interrupt.ended(), Some(Ending::Wall));
    }

    #[test]
    fn an_alarm_ends_a_slice_before_its_time() {
        let interrupt = Interrupt::new(&crate::config::engine(crate::config::Stops::Anywhere).unwrap());
        let word = AtomicU32::new(0);
        // SAFETY: `word` lives on to the end.
        interrupt.enter(unsafe { PreemptWord::new((&raw const word).cast_mut().cast()) });
        let (hour, start) = (Duration::from_secs(3600), Instant::now());
        interrupt.set_alarm(Some(start));
        assert!(next_tick(&interrupt, None, hour));
        assert_eq!(word.swap(0, Ordering::Relaxed), PREEMPT);
        assert_eq!(lock(&interrupt.state).alarm, None);
        assert!(start.elapsed() >= ALARMS_APART);

        std::thread::scope(|scope| {
            let waits = scope.spawn(|| next_tick(&interrupt, None, hour));
            while lock(&interrupt.state).waits.is_none() {
                std::thread::yield_now();
            }
            interrupt.set_alarm(Some(Instant::now() + Duration::from_millis(1)));
            assert!(waits.join().unwrap());
        });
        assert_eq!(word.load(Ordering::Relaxed), PREEMPT);
    }

    #[test]
    fn preempting_reaches_only_the_running_task() {
        let interrupt = Interrupt::new(&crate::config::engine(crate::config::Stops::Anywhere).unwrap());
        let word = AtomicU32::new(0);
        // SAFETY: `word` lives on past `leave`.
        interrupt.enter(unsafe { PreemptWord::new((&raw const word).cast_mut().cast()) });
        interrupt.preempt();
        assert_eq!(word.swap(0, Ordering::Relaxed), PREEMPT);
        interrupt.leave();
        interrupt.preempt();
        assert_eq!(word.load(Ordering::Relaxed), 0);
    }
}
