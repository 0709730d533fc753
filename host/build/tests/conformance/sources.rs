//! The files that a Dockerfile copies, found in its text, so that each COPY has something to copy.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use shallop_dockerfile::{Kind, Source};

/// Paths with their folders; true for folders.
pub fn mentioned(dockerfile: &str) -> BTreeMap<String, bool> {
    let mut files = BTreeMap::new();
    let Ok(file) = shallop_dockerfile::parse(dockerfile) else { return files };
    for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
        let (Kind::Copy(copy) | Kind::Add(copy)) = &instruction.kind else { continue };
        for source in &copy.sources {
            if let Source::Path(path) = source {
                add(&mut files, path);
            }
        }
    }
    for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
        let (Kind::Copy(copy) | Kind::Add(copy)) = &instruction.kind else { continue };
        let above = copy.destination.rsplit_once('/').map_or("", |(folder, _)| folder);
        for path in above.match_indices('/').map(|(at, _)| &above[..at]).chain([above]) {
            files.entry(path.trim_start_matches('/').to_owned()).and_modify(|is_dir| *is_dir = true);
        }
    }
    files
}

fn add(files: &mut BTreeMap<String, bool>, path: &str) {
    // A variable without a value stands for nothing.
    let path = match (path.split_once("${"), path.split_once('}')) {
        (Some((before, _)), Some((_, after))) => format!("{before}{after}"),
        _ => path.to_owned(),
    };
    let plain: String = path.chars().filter(|c| !matches!(c, '"' | '\'' | '\\')).collect();
    let concrete = plain.replace(['*', '?'], "x");
    let names: Vec<&str> = concrete.split('/').filter(|name| !matches!(*name, "" | "." | "..")).collect();
    for (i, _) in names.iter().enumerate() {
        let is_dir = i + 1 < names.len() || concrete.ends_with('/');
        *files.entry(names[..=i].join("/")).or_default() |= is_dir;
    }
}

/// Makes them below `root`, empty.
pub fn make(root: &Path, files: &BTreeMap<String, bool>) -> std::io::Result<()> {
    for (path, is_dir) in files {
        match is_dir {
            true => fs::create_dir_all(root.join(path))?,
            false => fs::write(root.join(path), b"")?,
        }
    }
    Ok(())
}
