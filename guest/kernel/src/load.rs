//! The load: how many tasks ran or could have run, as moving averages (proc_loadavg(5)).

/// Nanoseconds over which the averages fall to 1/e of what was.
const PERIODS: [f64; 3] = [60e9, 300e9, 900e9];

/// The averages are brought up to date after so many nanoseconds.
const STEP: u64 = 100_000_000;

/// The averages, and what has passed since they were brought up to date.
#[derive(Debug, Default)]
pub struct Load {
    averages: [f64; 3],
    /// Up to when time has passed.
    now: u64,
    /// Nanoseconds since the averages were brought up to date, and the sum of those of all tasks.
    passed: u64,
    active: u64,
}

impl Load {
    /// A load that begins now.
    pub fn new(now: u64) -> Load {
        Load { now, ..Load::default() }
    }

    /// Has time pass up to `now` with so many tasks that run or could.
    pub fn pass(&mut self, now: u64, tasks: usize) {
        let time = now.saturating_sub(self.now);
        self.now = now;
        self.passed += time;
        self.active = self.active.saturating_add(time.saturating_mul(tasks as u64));
        if self.passed >= STEP {
            self.averages = self.averages();
            (self.passed, self.active) = (0, 0);
        }
    }

    /// The averages of the last 1, 5 and 15 minutes.
    pub fn averages(&self) -> [f64; 3] {
        if self.passed == 0 {
            return self.averages;
        }
        let (passed, active) = (self.passed as f64, self.active as f64);
        let mean = active / passed;
        std::array::from_fn(|at| mean + (self.averages[at] - mean) * (-passed / PERIODS[at]).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rounded(load: &Load) -> [u64; 3] {
        load.averages().map(|average| (average * 100.0).round() as u64)
    }

    #[test]
    fn it_comes_near_what_runs_and_falls_when_nothing_does() {
        let mut load = Load::new(SECOND);
        assert_eq!(rounded(&load), [0, 0, 0]);
        for k in 1..=60 {
            // Half of the time two tasks, half of it four.
            load.pass(SECOND * (k + 1) - SECOND / 2, 2);
            load.pass(SECOND * (k + 1), 4);
        }
        // 3 (1 - 1/e), and so on.
        assert!(rounded(&load)[0].abs_diff(190) <= 1, "{:?}", load.averages());
        assert_eq!(rounded(&load)[1..], [54, 19]);
        load.pass(SECOND * 121, 0);
        assert_eq!(rounded(&load)[0], 70);
    }

    #[test]
    fn slices_are_added_up_whatever_their_length() {
        let (mut fine, mut coarse) = (Load::new(0), Load::new(0));
        (1..=50_000).for_each(|k| fine.pass(k * SECOND / 5000, 1));
        coarse.pass(10 * SECOND, 1);
        assert_eq!(rounded(&fine), rounded(&coarse));
        assert_eq!(rounded(&fine)[0], 15);
    }

    #[test]
    fn time_that_goes_back_is_none() {
        let mut load = Load::new(SECOND);
        load.pass(0, 7);
        assert_eq!(rounded(&load), [0, 0, 0]);
    }
}
