//! A pull as Docker shows it: bars on a terminal, a line for each change of a layer elsewhere.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use shallop_engine::pull::{Progress, Step};
use shallop_oci::{Digest, Reference};

/// Where it is shown: `pull` says it on stdout, as its result; others on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    Stdout,
    Stderr,
}

pub struct PullProgress {
    to: To,
    how: How,
}

enum How {
    Quiet,
    Plain,
    Live { all: MultiProgress, layers: Mutex<HashMap<Digest, ProgressBar>> },
}

impl PullProgress {
    /// Live on a terminal, plain elsewhere.
    pub fn new(to: To, quiet: bool) -> PullProgress {
        let (terminal, target) = match to {
            To::Stdout => (std::io::stdout().is_terminal(), ProgressDrawTarget::stdout()),
            To::Stderr => (std::io::stderr().is_terminal(), ProgressDrawTarget::stderr()),
        };
        let how = match (quiet, terminal) {
            (true, _) => How::Quiet,
            (false, true) => How::Live { all: MultiProgress::with_draw_target(target), layers: Mutex::default() },
            (false, false) => How::Plain,
        };
        PullProgress { to, how }
    }

    /// Lines only, or nothing: for a verb that has bars of its own.
    pub fn beside_bars(bars: bool) -> PullProgress {
        PullProgress { to: To::Stderr, how: if bars { How::Quiet } else { How::Plain } }
    }

    fn say(&self, text: &str) {
        match (&self.how, self.to) {
            (How::Quiet, _) => {}
            (How::Live { all, .. }, _) => {
                // A terminal that is gone reads nothing.
                let _ = all.println(text);
            }
            (How::Plain, To::Stdout) => super::say!("{text}"),
            (How::Plain, To::Stderr) => eprintln!("{text}"),
        }
    }
}

impl Progress for PullProgress {
    fn begin(&self, name: &Reference) {
        let what = match name.digest() {
            Some(_) => name.to_string(),
            None => name.tag().unwrap_or("latest").to_owned(),
        };
        self.say(&format!("{what}: Pulling from {}", name.path()));
    }

    fn layer(&self, layer: &Digest, step: Step) {
        match &self.how {
            How::Quiet => {}
            How::Plain => {
                if let Some(text) = words(step) {
                    self.say(&format!("{}: {text}", layer.short()));
                }
            }
            How::Live { all, layers } => {
                let mut layers = layers.lock().unwrap_or_else(PoisonError::into_inner);
                let bar = layers.entry(*layer).or_insert_with(|| all.add(new_bar(layer)));
                show(bar, step);
            }
        }
    }

    fn note(&self, text: &str) {
        self.say(text);
    }

    fn end(&self) {
        if let How::Live { layers, .. } = &self.how {
            layers.lock().unwrap_or_else(PoisonError::into_inner).values().for_each(ProgressBar::abandon);
        }
    }
}

/// Docker's words for what happened to a layer; none for what is only seen in a bar.
fn words(step: Step) -> Option<String> {
    Some(match step {
        Step::Wanted => "Pulling fs layer".to_owned(),
        Step::AlreadyExists => "Already exists".to_owned(),
        Step::Retrying(time) => format!("Retrying in {} seconds", time.as_secs_f64().ceil()),
        Step::Downloaded => "Download complete".to_owned(),
        Step::Done => "Pull complete".to_owned(),
        Step::Downloading { .. } | Step::Unpacking => return None,
    })
}

fn new_bar(layer: &Digest) -> ProgressBar {
    let bar = ProgressBar::new(0);
    bar.set_style(style("{prefix}: {msg}"));
    bar.set_prefix(layer.short());
    bar
}

fn style(template: &str) -> ProgressStyle {
    // The templates are this file's own: a test reads them.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

const LOADING: &str = "{prefix}: Downloading [{bar:40}] {bytes}/{total_bytes}";

fn show(bar: &ProgressBar, step: Step) {
    match step {
        Step::Downloading { done, size } => {
            if bar.length() != Some(size) {
                bar.set_length(size);
                bar.set_style(style(LOADING));
            }
            bar.set_position(done);
        }
        Step::Unpacking => {
            bar.set_style(style("{prefix}: {msg}"));
            bar.set_message("Extracting");
        }
        other => {
            bar.set_style(style("{prefix}: {msg}"));
            bar.set_message(words(other).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_valid() {
        assert!(ProgressStyle::with_template(LOADING).is_ok());
        assert!(ProgressStyle::with_template("{prefix}: {msg}").is_ok());
    }

    #[test]
    fn words_are_dockers() {
        assert_eq!(words(Step::Wanted).as_deref(), Some("Pulling fs layer"));
        assert_eq!(
            words(Step::Retrying(std::time::Duration::from_millis(500))).as_deref(),
            Some("Retrying in 1 seconds")
        );
        assert_eq!(words(Step::Downloading { done: 1, size: 2 }), None);
    }
}
