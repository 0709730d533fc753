//! `cargo xtask bench`: the figures that matter, beside native and what else is installed, as medians and ratios.
//!
//! `lines` has the table's lines, `steps` those of `cargo xtask bench steps`, `contenders` what they are run by, `roots` folders that they run in,
//! `measure` the clock, `report` the table.

mod contenders;
mod lines;
mod measure;
mod report;
mod roots;
mod steps;

use std::time::Instant;

use anyhow::{Context, Result};

use crate::shallop::build;
use contenders::Contenders;
use lines::Line;

/// Runs of each line, after one that warms caches; `cargo xtask bench 9` takes more.
const RUNS: usize = 5;

pub fn run(arguments: &[String]) -> Result<()> {
    let (of_steps, arguments) = match arguments {
        [first, rest @ ..] if first == "steps" => (true, rest),
        all => (false, all),
    };
    let runs = arguments.first().map_or(Ok(RUNS), |n| n.parse()).context("the argument is the number of runs")?;
    let start = Instant::now();
    if of_steps {
        let lines = steps::all(&build()?)?;
        report::header();
        lines.iter().try_for_each(|line| measure(line, runs))?;
        println!("took {:.0} s", start.elapsed().as_secs_f64());
        return Ok(());
    }
    let contenders = Contenders::prepare(&build()?)?;
    report::header();
    for line in lines::all(&contenders)? {
        measure(&line, runs)?;
    }
    for line in contenders.other_tools() {
        report::other(&line, runs);
    }
    report::line(&lines::cold_python(&contenders), runs)?;
    report::code_cache(&contenders)?;
    println!("took {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Prints a line. What it runs is translated as a whole soon after the first time.
fn measure(line: &Line, runs: usize) -> Result<()> {
    if line.shallop.before.is_none() {
        line.shallop.warm()?;
        Contenders::wait_for_translators()?;
    }
    report::line(line, runs)
}
