//! The table that the bench prints.

use std::path::Path;

use anyhow::Result;

use super::contenders::Contenders;
use super::lines::{Goal, Line};
use super::measure::{Job, medians};

pub fn header() {
    println!("{:<32}{:>11}{:>11}{:>8}{:>11}{:>8}  goal", "", "native", "shallop", "ratio", "qemu-user", "ratio");
}

/// Measures a line and prints its rows.
pub fn line(line: &Line, runs: usize) -> Result<()> {
    let ours = medians(&line.shallop, runs)?;
    let native = line.native.as_ref().map(|job| medians(job, runs)).transpose()?;
    // What it cannot run is left out.
    let qemu = line.qemu.as_ref().and_then(|job| medians(job, runs).ok());
    let at = |times: &Option<Vec<f64>>, index: usize| times.as_ref().and_then(|times| times.get(index).copied());
    let several = line.names.len() > 1;
    for (index, name) in line.names.iter().enumerate() {
        let Some(time) = ours.get(index) else { continue };
        let goal = if several { None } else { Some(line.goal) };
        row(name, at(&native, index), *time, at(&qemu, index), goal);
    }
    if several {
        let mean = |times: &Option<Vec<f64>>| Some(geometric_mean(times.as_ref()?, native.as_ref()?));
        let ours = mean(&Some(ours));
        let ratio = |mean: Option<f64>| mean.map_or("-".into(), |mean| format!("{mean:.2}x"));
        let name = format!("{}, geometric mean", line.title);
        let verdict = ours.map_or(String::new(), |mean| verdict(line.goal, mean, Some(mean)));
        println!("{name:<32}{:>11}{:>11}{:>8}{:>11}{:>8}  {verdict}", "", "", ratio(ours), "", ratio(mean(&qemu)));
    }
    Ok(())
}

fn row(name: &str, native: Option<f64>, ours: f64, qemu: Option<f64>, goal: Option<Goal>) {
    let ratio = |time: Option<f64>| time.zip(native).map(|(time, native)| time / native);
    let show = |time: Option<f64>| match time {
        None => "-".into(),
        Some(time) if time >= 10.0 => format!("{time:.1} s"),
        Some(time) => format!("{:.1} ms", time * 1e3),
    };
    let times = |ratio: Option<f64>| ratio.map_or("-".into(), |ratio| format!("{ratio:.2}x"));
    let verdict = goal.map_or(String::new(), |goal| verdict(goal, ours, ratio(Some(ours))));
    println!(
        "{name:<32}{:>11}{:>11}{:>8}{:>11}{:>8}  {verdict}",
        show(native),
        show(Some(ours)),
        times(ratio(Some(ours))),
        show(qemu),
        times(ratio(qemu))
    );
}

fn verdict(goal: Goal, seconds: f64, ratio: Option<f64>) -> String {
    let (text, met) = match goal {
        Goal::Ratio(most) => (format!("{most}x"), ratio.map(|ratio| ratio <= most)),
        Goal::None => return String::new(),
        Goal::Milliseconds(most) => (format!("{most} ms"), Some(seconds * 1e3 <= most)),
    };
    match met {
        Some(true) => format!("{text}, met"),
        Some(false) => format!("{text}, missed"),
        None => text,
    }
}

/// The geometric mean of the ratios.
fn geometric_mean(times: &[f64], base: &[f64]) -> f64 {
    let logs: Vec<f64> = times.iter().zip(base).map(|(time, base)| (time / base).ln()).collect();
    (logs.iter().sum::<f64>() / logs.len() as f64).exp()
}

/// A line of another container tool; where it does not work, that is said.
pub fn other((name, job): &(String, Job), runs: usize) {
    match medians(job, runs).as_deref() {
        Ok([time, ..]) => println!("{name:<32}{:>11}{:>11}", "", format!("{:.1} ms", time * 1e3)),
        _ => println!("{name:<32} does not work here"),
    }
}

/// What the translated code of the programs that ran last takes on disk: that of the build that ran last, not what others left.
pub fn code_cache(contenders: &Contenders) -> Result<()> {
    const GOAL_MIB: f64 = 60.0;
    Contenders::wait_for_translators()?;
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(&contenders.translations).into_iter().flatten() {
        let entry = entry?;
        if let Some(build) = entry.file_name().to_str().and_then(build_of) {
            folders.push((entry.metadata()?.modified()?, build.to_owned(), entry.path()));
        }
    }
    let last = folders.iter().max().map(|(_, build, _)| build.clone());
    let of_last = folders.iter().filter(|(_, build, _)| Some(build) == last.as_ref());
    let bytes: u64 = of_last.map(|(.., path)| bytes_below(path)).sum();
    let size = bytes as f64 / f64::from(1 << 20);
    let verdict = if size <= GOAL_MIB { "met" } else { "missed" };
    println!("{:<32}{:>11}{:>11}  {GOAL_MIB} MiB, {verdict}", "translated code on disk", "", format!("{size:.1} MiB"));
    Ok(())
}

/// The build of the program that made a folder of translated code: `<digest>-<variant>-<build>[-whole]`.
fn build_of(folder: &str) -> Option<&str> {
    let (_, rest) = folder.split_once('-')?;
    let (_, build) = rest.split_once('-')?;
    Some(build.strip_suffix("-whole").unwrap_or(build))
}

/// Bytes of all files below a folder. What others remove meanwhile is not counted.
fn bytes_below(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
        meta => meta.map_or(0, |meta| meta.len()),
    };
    entries.map(bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_ratios_or_times() {
        assert_eq!(verdict(Goal::Ratio(2.5), 9.0, Some(2.5)), "2.5x, met");
        assert_eq!(verdict(Goal::Ratio(2.5), 9.0, None), "2.5x");
        assert_eq!(verdict(Goal::Milliseconds(12.0), 0.013, None), "12 ms, missed");
    }

    #[test]
    fn folders_tell_their_build() {
        assert_eq!(build_of("0af-lazy-1-2-3-whole"), Some("1-2-3"));
        assert_eq!(build_of("0af-precise-1-2-3"), Some("1-2-3"));
        assert_eq!(build_of("files"), None);
    }

    #[test]
    fn the_mean_is_geometric() {
        assert!((geometric_mean(&[2.0, 8.0], &[1.0, 1.0]) - 4.0).abs() < 1e-9);
    }
}
