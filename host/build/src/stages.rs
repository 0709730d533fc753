//! Which stages there are, which one is asked for, and which of them it needs.

use anyhow::{Result, bail};
use shallop_dockerfile::{Dockerfile, Kind, Stage};

/// The stage that is built: `--target` by name or number, else the last.
pub fn target(file: &Dockerfile, wanted: Option<&str>) -> Result<usize> {
    let Some(wanted) = wanted else { return Ok(file.stages.len() - 1) };
    match find(file, wanted, file.stages.len()) {
        Some(stage) => Ok(stage),
        None => {
            let names: Vec<&str> = file.stages.iter().filter_map(|stage| stage.from.name.as_deref()).collect();
            bail!("target stage \"{wanted}\" could not be found; there are: {}", names.join(", "))
        }
    }
}

/// The stage called `name` (or with that number) before stage `before`.
pub fn find(file: &Dockerfile, name: &str, before: usize) -> Option<usize> {
    let lower = name.to_ascii_lowercase();
    let stages = &file.stages[..before.min(file.stages.len())];
    let named = stages.iter().rposition(|stage| stage.from.name.as_deref() == Some(&lower));
    named.or_else(|| name.parse().ok().filter(|number| *number < stages.len()))
}

/// Steps of a stage that are shown: FROM and what changes files.
pub fn shown(stage: &Stage) -> usize {
    1 + stage.instructions.iter().filter(|instruction| changes_files(&instruction.kind)).count()
}

/// Whether an instruction makes a layer.
pub fn changes_files(kind: &Kind) -> bool {
    matches!(kind, Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Workdir(_))
}
