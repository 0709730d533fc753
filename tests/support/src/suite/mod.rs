//! Suites that others wrote ([`SUITES`]), their results as the drivers of `tests/suites` print them, and the table of failures that are known.
//!
//! A driver prints a line for each test: `@pass NAME`, `@fail NAME REASON`, `@skip NAME REASON`; and `@done` at its end.

mod list;

use std::collections::BTreeMap;

pub use list::{SUITES, Suite};

/// What became of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Result {
    Passed,
    Failed(String),
    Skipped(String),
}

/// The tests of one driver's run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Results {
    pub tests: BTreeMap<String, Result>,
    /// Whether the driver came to its end.
    pub done: bool,
}

impl Results {
    pub fn read(output: &str) -> Results {
        let mut results = Results::default();
        for line in output.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let (name, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            let result = match word {
                "@pass" => Result::Passed,
                "@fail" => Result::Failed(reason.to_owned()),
                "@skip" => Result::Skipped(reason.to_owned()),
                "@done" => {
                    results.done = true;
                    continue;
                }
                _ => continue,
            };
            // A test of several parts is as its worst one.
            let known = results.tests.get(name);
            if !matches!(known, Some(Result::Failed(_))) {
                results.tests.insert(name.to_owned(), result);
            }
        }
        results
    }

    /// Passed, failed, skipped.
    pub fn counts(&self) -> [usize; 3] {
        let count = |wanted: fn(&Result) -> bool| self.tests.values().filter(|result| wanted(result)).count();
        [
            count(|result| *result == Result::Passed),
            count(|result| matches!(result, Result::Failed(_))),
            count(|result| matches!(result, Result::Skipped(_))),
        ]
    }
}

/// Failures that are known, with reasons.
#[derive(Debug, Clone, Default)]
pub struct Known(Vec<(String, String, String)>);

impl Known {
    /// The table of the source tree.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_the_tree() -> std::result::Result<Known, String> {
        let path = crate::workspace().join("tests/suites/known.txt");
        Known::read(&std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?)
    }

    /// Reads the table: on each line a suite, a test's name (`*` at its end stands for anything), and the reason.
    pub fn read(table: &str) -> std::result::Result<Known, String> {
        let mut rows = Vec::new();
        for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut words = line.splitn(3, ' ');
            let (Some(suite), Some(name), Some(reason)) = (words.next(), words.next(), words.next()) else {
                return Err(format!("known failures: no reason: {line}"));
            };
            rows.push((suite.to_owned(), name.to_owned(), reason.trim().to_owned()));
        }
        Ok(Known(rows))
    }

    /// Why a test fails.
    pub fn reason(&self, suite: &str, test: &str) -> Option<&str> {
        let matches = |name: &str| match name.strip_suffix('*') {
            Some(start) => test.starts_with(start),
            None => test == name,
        };
        self.0.iter().find(|(of, name, _)| of == suite && matches(name)).map(|(.., reason)| reason.as_str())
    }

    /// The failures of a run that are not known: names and what they say.
    pub fn news<'a>(&self, suite: &str, results: &'a Results) -> Vec<(&'a str, &'a str)> {
        let failed = results.tests.iter().filter_map(|(name, result)| match result {
            Result::Failed(reason) => Some((name.as_str(), reason.as_str())),
            _ => None,
        });
        failed.filter(|(name, _)| self.reason(suite, name).is_none()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_results() {
        let results = Results::read("noise\n@pass a\n@fail b it broke\n@pass b\n@skip c no net\n@done\n");
        assert_eq!(results.counts(), [1, 1, 1]);
        assert!(results.done && !Results::read("@pass a\n").done);
        let known = Known::read("# why\n\nsuite b* is known\n").unwrap();
        assert_eq!(known.news("suite", &results), []);
        assert_eq!(known.news("other", &results), [("b", "it broke")]);
        assert_eq!(known.reason("suite", "bcd"), Some("is known"));
        assert!(Known::read("suite name\n").is_err());
    }
}
