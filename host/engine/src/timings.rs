//! `--timings`: named points between the command's start and the container's end.

use std::time::{Duration, Instant};

/// Points of one run, in order.
#[derive(Debug)]
pub struct Timings {
    start: Instant,
    points: Vec<(String, Duration)>,
}

impl Default for Timings {
    fn default() -> Timings {
        Timings { start: Instant::now(), points: Vec::new() }
    }
}

/// What the worker's marks mean (`shallop-sandbox`'s and the kernel's).
fn mark_name(point: u32) -> String {
    match point {
        1 => "kernel module loaded".into(),
        2 => "kernel started".into(),
        3 => "engine module loaded".into(),
        4 => "first instruction".into(),
        point => format!("kernel mark {}", point.saturating_sub(100)),
    }
}

impl Timings {
    /// Notes that a point is reached now.
    pub fn point(&mut self, name: &str) {
        self.points.push((name.to_owned(), self.start.elapsed()));
    }

    /// Adds the worker's marks, which count from its own start.
    pub fn worker(&mut self, started: Duration, marks: &[(u32, Duration)]) {
        for (point, at) in marks {
            self.points.push((format!("  {}", mark_name(*point)), started + *at));
        }
        self.points.sort_by_key(|(_, at)| *at);
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// A line per point: when it was reached, and how long after the one before.
    pub fn report(&self) -> String {
        let mut before = Duration::ZERO;
        let mut text = String::from("      at     took\n");
        for (name, at) in &self.points {
            let milliseconds = |d: Duration| d.as_secs_f64() * 1000.0;
            let took = at.saturating_sub(before);
            text.push_str(&format!("{:7.2}  {:7.2} ms  {name}\n", milliseconds(*at), milliseconds(took)));
            before = *at;
        }
        text
    }
}
