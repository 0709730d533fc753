//! Running a job several times: [`Job`], [`medians`].

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// What one contender may take for one line; a slow one has fewer runs, but at least one after the warming.
const PATIENCE: Duration = Duration::from_secs(8);

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The whole process.
    Wall,
    /// What it says itself: the last word of each line of its output is a number of nanoseconds.
    Printed,
}

/// The same work as one contender does it.
#[derive(Debug, Clone)]
pub struct Job {
    pub words: Vec<String>,
    pub clock: Clock,
    /// Done before every run, and there is no run that warms.
    pub before: Option<fn() -> Result<()>>,
}

impl Job {
    pub fn wall(words: Vec<String>) -> Job {
        Job { words, clock: Clock::Wall, before: None }
    }

    pub fn printed(words: Vec<String>) -> Job {
        Job { words, clock: Clock::Printed, before: None }
    }

    /// Runs it for what it leaves in caches.
    ///
    /// # Errors
    /// As its runs that are timed.
    pub fn warm(&self) -> Result<()> {
        self.sample().map(drop)
    }

    /// Seconds of one run: one number, or one for each line that it prints.
    fn sample(&self) -> Result<Vec<f64>> {
        if let Some(before) = self.before {
            before()?;
        }
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).stdin(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        let output = command.output().with_context(|| format!("starting {}", self.words[0]))?;
        let wall = start.elapsed().as_secs_f64();
        ensure!(output.status.success(), "{} ended with {}", self.words.join(" "), output.status);
        match self.clock {
            Clock::Wall => Ok(vec![wall]),
            Clock::Printed => printed(&String::from_utf8_lossy(&output.stdout)),
        }
    }
}

fn printed(output: &str) -> Result<Vec<f64>> {
    let nanoseconds = |line: &str| -> Result<f64> {
        let word = line.split_whitespace().next_back().context("an empty line where a time should be")?;
        Ok(word.parse::<f64>().with_context(|| format!("no time: {line:?}"))? / 1e9)
    };
    output.lines().map(nanoseconds).collect()
}

/// Medians of each of a job's times, in seconds.
pub fn medians(job: &Job, runs: usize) -> Result<Vec<f64>> {
    let start = Instant::now();
    if job.before.is_none() {
        job.sample()?;
    }
    let mut samples = vec![job.sample()?];
    while samples.len() < runs && start.elapsed() < PATIENCE {
        samples.push(job.sample()?);
    }
    let count = samples[0].len();
    ensure!(samples.iter().all(|sample| sample.len() == count), "{} prints now more, now less", job.words.join(" "));
    Ok((0..count).map(|index| median(samples.iter().map(|sample| sample[index]).collect())).collect())
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_the_last_words() {
        assert_eq!(printed("-7 2000000000\nnbody 1 500000000\n").unwrap(), [2.0, 0.5]);
        assert!(printed("no\n").is_err());
    }

    #[test]
    fn the_middle_counts() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
    }
}
