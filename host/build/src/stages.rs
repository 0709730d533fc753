//! Which stages there are, which one is asked for, and which of them it needs.

use anyhow::{Result, bail, ensure};
use shallop_dockerfile::{Dockerfile, Kind, Stage, suggest};

/// The stage that is built: `--target` by name or number, else the last.
pub fn target(file: &Dockerfile, wanted: Option<&str>) -> Result<usize> {
    let Some(wanted) = wanted else { return Ok(file.stages.len() - 1) };
    if let Some(stage) = find(file, wanted, file.stages.len()) {
        return Ok(stage);
    }
    let names: Vec<&str> = file.stages.iter().filter_map(|stage| stage.from.name.as_deref()).collect();
    match suggest::nearest(&wanted.to_ascii_lowercase(), &names) {
        Some(name) => bail!("target stage \"{wanted}\" could not be found (did you mean {name}?)"),
        None if names.is_empty() => bail!("target stage \"{wanted}\" could not be found: no stage has a name"),
        None => bail!("target stage \"{wanted}\" could not be found; there are: {}", names.join(", ")),
    }
}

/// The stage called `name` before stage `before`; the last one where several share the name.
pub fn named(file: &Dockerfile, name: &str, before: usize) -> Option<usize> {
    let lower = name.to_ascii_lowercase();
    file.stages.iter().take(before).rposition(|stage| stage.from.name.as_deref() == Some(&lower))
}

/// The stage called `name`, or with that number, before stage `before`.
pub fn find(file: &Dockerfile, name: &str, before: usize) -> Option<usize> {
    named(file, name, before).or_else(|| name.parse().ok().filter(|number| *number < before.min(file.stages.len())))
}

/// Refuses a COPY in stage `index` from itself or from a stage behind it.
pub fn refuse_later(file: &Dockerfile, from: &str, index: usize) -> Result<()> {
    let Some(stage) = find(file, from, file.stages.len()) else {
        ensure!(from.parse::<usize>().is_err(), "invalid stage index {from}: there are {} stages", file.stages.len());
        return Ok(());
    };
    ensure!(stage != index, "circular dependency detected on stage: {from}");
    bail!("cannot copy from stage \"{from}\", it needs to be defined before current stage")
}

/// Instructions of a stage that are shown as steps: those that change files.
pub fn shown(stage: &Stage) -> usize {
    stage.instructions.iter().filter(|instruction| changes_files(&instruction.kind)).count()
}

/// Whether an instruction makes a layer.
pub fn changes_files(kind: &Kind) -> bool {
    matches!(kind, Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Workdir(_))
}
