//! `cargo xtask suites`: test suites that others wrote, run inside the sandbox; passed, failed, skipped, and what is new.
//!
//! `tests/support` has the list of suites. Their drivers are in `tests/suites`, and so is the table of failures that are known.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use shallop_test_support::Shallop;
use shallop_test_support::suite::{Known, Results, SUITES, Suite};

use crate::shallop::{build, installed, root};

/// Time for one item of a suite, inside.
const ITEM_LIMIT: Duration = Duration::from_secs(1500);

const USAGE: &str = "usage: cargo xtask suites [--engine MODE]… [SUITE[:ITEM]…]

  MODE is interpreter, lazy, precise or storm; lazy is the default. With several, results must be the same.";

/// What is to be run.
struct Wanted {
    engines: Vec<String>,
    /// Suites with their items.
    suites: Vec<(&'static Suite, Vec<String>)>,
}

pub fn run(arguments: &[String]) -> Result<()> {
    let wanted = parse(arguments)?;
    if !installed("apt-get") || !installed("dpkg-deb") {
        bail!("apt-get and dpkg-deb are needed to fetch the suites");
    }
    let program = build()?;
    let shallop = Shallop::shared(program.to_str().context("the path of the workspace is not UTF-8")?);
    let known = Known::of_the_tree().map_err(|e| anyhow!(e))?;
    let mut wrong = 0;
    for (suite, items) in &wanted.suites {
        if !shallop.needs(suite.name, &[suite.base]) {
            bail!("catalog.internal/{} cannot be built", suite.base);
        }
        suite.image(&shallop).map_err(|error| anyhow!("{}: {error}", suite.name))?;
        for item in items {
            wrong += run_item(&shallop, (suite, item), &wanted.engines, &known)?;
        }
    }
    if wrong != 0 {
        bail!("{wrong} results are new: see above, and tests/suites/known.txt for those that are known");
    }
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Wanted> {
    let mut wanted = Wanted { engines: Vec::new(), suites: Vec::new() };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "--engine" {
            wanted.engines.push(words.next().context(USAGE)?.clone());
            continue;
        }
        let (name, item) = word.split_once(':').map_or((word.as_str(), None), |(name, item)| (name, Some(item)));
        let suite = Suite::named(name).with_context(|| {
            let names: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
            format!("there is no suite {name}; there are {}\n{USAGE}", names.join(", "))
        })?;
        wanted.suites.push((suite, item.map_or_else(|| suite.items(), |item| vec![item.to_owned()])));
    }
    if wanted.engines.is_empty() {
        wanted.engines.push("lazy".into());
    }
    if wanted.suites.is_empty() {
        wanted.suites = SUITES.iter().map(|suite| (suite, suite.items())).collect();
    }
    Ok(wanted)
}

/// Runs one item by each engine and tells; how many results are new.
fn run_item(shallop: &Shallop, (suite, item): (&Suite, &str), engines: &[String], known: &Known) -> Result<usize> {
    let mut wrong = 0;
    let mut first: Option<Results> = None;
    for engine in engines {
        let start = Instant::now();
        let results = results(shallop, (suite, item), engine)?;
        let [passed, failed, skipped] = results.counts();
        let took = start.elapsed().as_secs_f64();
        println!(
            "{:<10}{item:<28}{engine:<12}{passed:>6} passed{failed:>5} failed{skipped:>5} skipped  {took:6.1} s",
            suite.name
        );
        for (test, reason) in known.news(suite.name, &results) {
            println!("    new failure: {test} {reason}");
            wrong += 1;
        }
        if !results.done && known.reason(suite.name, item).is_none() {
            println!("    it did not come to its end");
            wrong += 1;
        }
        match &first {
            Some(first) => wrong += tell_difference(first, &results),
            None => first = Some(results),
        }
    }
    Ok(wrong)
}

/// Tells which tests end otherwise by another engine.
fn tell_difference(one: &Results, other: &Results) -> usize {
    let differ = one.tests.iter().filter(|(test, result)| {
        let there = other.tests.get(*test);
        // Reasons hold addresses and times.
        there.is_none_or(|there| std::mem::discriminant(there) != std::mem::discriminant(*result))
    });
    differ.map(|(test, result)| println!("    not the same: {test} {result:?}, {:?}", other.tests.get(test))).count()
}

fn results(shallop: &Shallop, (suite, item): (&Suite, &str), engine: &str) -> Result<Results> {
    let words: Vec<&str> = item.split_whitespace().collect();
    let done = suite.run(shallop, &words, engine, ITEM_LIMIT);
    let folder = root().join("target/suites");
    fs::create_dir_all(&folder)?;
    let log = folder.join(format!("{}-{}-{engine}.log", suite.name, item.replace(['/', ' ', '*'], "_")));
    fs::write(&log, done.outputs()).with_context(|| format!("writing {}", log.display()))?;
    Ok(Results::read(&done.stdout))
}
