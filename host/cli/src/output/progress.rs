//! Build progress: a line per step, live on a terminal, plain elsewhere.

use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use shallop_build::{End, Progress};

/// How progress is shown: `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Live on a terminal, plain elsewhere.
    Auto,
    Plain,
    Tty,
    Quiet,
}

/// Shows steps on stderr.
pub struct BuildProgress {
    live: bool,
    quiet: bool,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    number: usize,
    title: String,
    begun: Option<Instant>,
    bar: Option<ProgressBar>,
    /// Output of the step, kept to be shown when it fails.
    output: Vec<u8>,
    /// A line that has no end yet.
    line: Vec<u8>,
}

/// Bytes of a step's output that are kept.
const KEPT: usize = 64 << 10;

impl BuildProgress {
    pub fn new(mode: Mode) -> BuildProgress {
        let terminal = std::io::stderr().is_terminal();
        BuildProgress {
            live: mode == Mode::Tty || (mode == Mode::Auto && terminal),
            quiet: mode == Mode::Quiet,
            state: RefCell::default(),
        }
    }

    /// Whether it draws bars, which other lines on stderr would disturb.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// A line that is no step.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// Whole lines of output, as plain progress shows them: `#4 0.123 text`. A line that grows without end is cut.
    fn plain_lines(state: &mut State, bytes: &[u8]) {
        state.line.extend_from_slice(bytes);
        let seconds = state.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64());
        while let Some(end) = state.line.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = state.line.drain(..=end).collect();
            eprint!("#{} {seconds:.3} {}", state.number, String::from_utf8_lossy(&line));
        }
        if state.line.len() > KEPT {
            let line = std::mem::take(&mut state.line);
            eprintln!("#{} {seconds:.3} {}", state.number, String::from_utf8_lossy(&line));
        }
    }
}

fn show(time: Duration) -> String {
    format!("{:.1}s", time.as_secs_f64())
}

impl Progress for BuildProgress {
    fn begin(&self, title: &str) {
        let mut state = self.state.borrow_mut();
        let number = state.number + 1;
        *state = State { number, title: title.to_owned(), begun: Some(Instant::now()), ..State::default() };
        if self.quiet {
            return;
        }
        if self.live {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed}\n   {wide_msg:.dim}") {
                bar.set_style(style);
            }
            bar.set_prefix(title.to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
            state.bar = Some(bar);
        } else {
            eprintln!("#{number} {title}");
        }
    }

    fn output(&self, bytes: &[u8]) {
        let mut state = self.state.borrow_mut();
        let room = KEPT.saturating_sub(state.output.len());
        state.output.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if self.quiet {
            return;
        }
        if !self.live {
            return BuildProgress::plain_lines(&mut state, bytes);
        }
        let text = String::from_utf8_lossy(bytes);
        if let (Some(bar), Some(line)) = (&state.bar, text.lines().rev().find(|line| !line.trim().is_empty())) {
            let plain: String = line.chars().filter(|c| !c.is_control()).collect();
            bar.set_message(plain);
        }
    }

    fn end(&self, how: End) {
        let mut state = self.state.borrow_mut();
        let took = state.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        if let Some(bar) = state.bar.take() {
            bar.finish_and_clear();
        }
        if !state.line.is_empty() && !self.quiet && !self.live {
            BuildProgress::plain_lines(&mut state, b"\n");
        }
        let number = state.number;
        match (&how, self.live) {
            _ if self.quiet => {}
            (End::Cached, true) => eprintln!(" => CACHED {}", state.title),
            (End::Done, true) => eprintln!(" => {} {}", state.title, show(took)),
            (End::Failed(_), true) => eprintln!(" => ERROR {} {}", state.title, show(took)),
            (End::Cached, false) => eprintln!("#{number} CACHED\n"),
            (End::Done, false) => eprintln!("#{number} DONE {}\n", show(took)),
            (End::Failed(reason), false) => {
                eprintln!("#{number} ERROR: {}\n", reason.lines().next().unwrap_or_default())
            }
        }
        if matches!(how, End::Failed(_)) && (self.live || self.quiet) && !state.output.is_empty() {
            eprintln!("------\n > {}:", state.title);
            let _ = std::io::stderr().write_all(&state.output);
            eprintln!("------");
        }
    }

    fn note(&self, text: &str) {
        self.say(text);
    }
}
