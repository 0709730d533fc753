//! Keeps the map true: README's table names every crate's folder, and every path that the documents name is there.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders whose children are crates.
const ROOMS: &[&str] = &["guest", "host"];

/// Documents whose paths are checked.
const DOCUMENTS: &[&str] = &["README.md", "docs/architecture.md"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every folder with a crate in it, as `guest/kernel`.
fn crates() -> Vec<String> {
    let mut found = Vec::new();
    for room in ROOMS {
        for entry in fs::read_dir(root().join(room)).unwrap() {
            let entry = entry.unwrap();
            if entry.path().join("Cargo.toml").exists() {
                found.push(format!("{room}/{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    found.sort();
    found
}

/// The text of a section, from its heading to the next one of the same rank.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = text.find(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section \"{heading}\"")) + 1;
    let rest = &text[start..];
    rest[1..].find("\n## ").map_or(rest, |end| &rest[..end + 1])
}

/// The words in backticks that name something in this repository.
fn named_paths(text: &str) -> impl Iterator<Item = &str> {
    let in_backticks = text.split('`').skip(1).step_by(2);
    let ours = ["guest/", "host/", "tests/", "xtask/", "examples/", "docs/"];
    in_backticks.filter(move |word| ours.iter().any(|start| word.starts_with(start)) && !word.contains(['<', '*', ' ']))
}

/// The targets of Markdown links that stay in this repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets
        .filter(|target| !target.contains("://"))
        .map(|target| target.split_once('#').map_or(target, |(path, _)| path))
}

#[test]
fn the_table_names_every_crate() {
    let readme = read("README.md");
    let table = section(&readme, "Where does X live?");
    for folder in crates() {
        let row = format!("| `{folder}` |");
        assert!(table.contains(&row), "README.md, \"Where does X live?\": there is no row for {folder}");
    }
}

#[test]
fn every_named_path_exists() {
    for document in DOCUMENTS {
        let text = read(document);
        for path in named_paths(&text) {
            assert!(root().join(path).exists(), "{document} names {path}, which is not there");
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    for document in DOCUMENTS {
        let folder = root().join(document).parent().unwrap().to_owned();
        let text = read(document);
        for target in links(&text).filter(|target| !target.is_empty()) {
            assert!(folder.join(target).exists(), "{document} links to {target}, which is not there");
        }
    }
}
