//! Dockerfiles of BuildKit's own tests, where they lie beside the checkout (`../shared/conformance`): the image's
//! configuration and history that our builder makes of them are what BuildKit's library makes, or both refuse.

mod fake;
mod sources;

use std::path::{Path, PathBuf};

use fake::Fake;
use serde_json::Value;
use shallop_build::{Built, Request, build};
use shallop_oci::Platform;

/// What our error says where a feature is not done yet, or where a file would have to come from a stage without files
/// (the set was made without looking at any): no disagreement.
const NOT_COMPARED: &[&str] = &["is not done", "are not done", "(or the stage of --from)"];

fn folder() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance/dockerfile/inline");
    if !path.is_dir() {
        println!("skipped: no conformance set beside the checkout");
        return None;
    }
    Some(path)
}

/// The set was made for amd64, which is not one of our platforms.
fn text(path: &Path) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.replace("amd64", "riscv64"))
}

fn made(dockerfile: &str) -> Result<Built, String> {
    let context = tempfile::tempdir().map_err(|e| e.to_string())?;
    let files = sources::mentioned(dockerfile);
    sources::make(context.path(), &files).map_err(|e| e.to_string())?;
    let fake = Fake::with(files);
    let request = Request {
        dockerfile_path: "Dockerfile".into(),
        dockerfile: dockerfile.to_owned(),
        context: context.path().to_owned(),
        tags: Vec::new(),
        arguments: Vec::new(),
        labels: Vec::new(),
        target: None,
        platform: Platform::linux_riscv64(),
        build_platform: Platform::linux_riscv64(),
        no_cache: false,
        no_network: false,
    };
    build(&request, &fake, &fake, &fake).map_err(|error| format!("{error:#}"))
}

/// The parts that must be equal, one line each.
fn parts(image: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(config) = image["config"].as_object() {
        lines.extend(config.iter().map(|(name, value)| format!("{name}: {value}")));
    }
    lines.sort();
    if let Some(author) = image["author"].as_str() {
        lines.push(format!("author: {author}"));
    }
    for entry in image["history"].as_array().into_iter().flatten() {
        let empty = if entry["empty_layer"] == true { " (empty)" } else { "" };
        lines.push(format!("{}{empty}", entry["created_by"].as_str().unwrap_or_default()));
    }
    lines
}

enum Verdict {
    Agreed,
    Skipped(String),
    Differs(String),
}

fn compare(folder: &Path) -> Option<Verdict> {
    let dockerfile = text(&folder.join("Dockerfile"))?;
    let oracle: Value = serde_json::from_str(&text(&folder.join("oracle.json"))?).ok()?;
    let made = made(&dockerfile);
    if let Some(reason) = made.as_ref().err().filter(|error| NOT_COMPARED.iter().any(|text| error.contains(text))) {
        return Some(Verdict::Skipped(reason.lines().next().unwrap_or_default().to_owned()));
    }
    Some(match (oracle["error"].as_str(), made) {
        (Some(_), Err(_)) => Verdict::Agreed,
        (Some(error), Ok(_)) => Verdict::Differs(format!("accepted; BuildKit: {error}")),
        (None, Err(error)) => Verdict::Differs(format!("refused: {error}")),
        (None, Ok(built)) => {
            let json = built.config.to_json().map_err(|e| e.to_string());
            let ours: Value = json.ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
            let (ours, theirs) = (parts(&ours), parts(&oracle["image"]));
            match ours == theirs {
                true => Verdict::Agreed,
                false => {
                    let missing: Vec<_> = theirs.iter().filter(|line| !ours.contains(line)).collect();
                    let extra: Vec<_> = ours.iter().filter(|line| !theirs.contains(line)).collect();
                    Verdict::Differs(format!("BuildKit only: {missing:#?}\nours only: {extra:#?}"))
                }
            }
        }
    })
}

#[test]
fn buildkits_own_dockerfiles() {
    let Some(folder) = folder() else { return };
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let (mut agreed, mut skipped, mut differing) = (0, 0, Vec::new());
    for path in names {
        let name = path.file_name().unwrap_or_default().display().to_string();
        match compare(&path) {
            None => {}
            Some(Verdict::Agreed) => agreed += 1,
            Some(Verdict::Skipped(reason)) => {
                skipped += 1;
                println!("skipped {name}: {reason}");
            }
            Some(Verdict::Differs(how)) => differing.push(format!("{name}: {how}")),
        }
    }
    println!("{agreed} agreed, {skipped} skipped, {} differ", differing.len());
    assert!(differing.is_empty(), "{}", differing.join("\n\n"));
}
