//! BuildKit's own tables for expansion and `.dockerignore`, where they lie beside the checkout (`../shared/conformance`).

use std::path::PathBuf;

use shallop_dockerfile::expand;
use shallop_dockerfile::ignore::Ignore;

/// A file of the set; `None` (and a line that says so) where it is not there.
fn input(name: &str) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance/dockerfile").join(name);
    let text = std::fs::read_to_string(path).ok();
    if text.is_none() {
        println!("skipped: no conformance set beside the checkout ({name})");
    }
    text
}

#[test]
fn env_var_table() {
    let Some(text) = input("envVarTest") else { return };
    let environment: Vec<(String, String)> = [("PWD", "/home"), ("SHELL", "bash"), ("KOREAN", "한국어"), ("NULL", "")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    let mut wrong = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let parts: Vec<&str> = line.splitn(3, '|').collect();
        let [platform, word, expected] = parts[..] else { continue };
        if platform.trim() == "W" {
            continue;
        }
        let (word, expected) = (word.trim(), expected.trim());
        let found = expand::word(word, '\\', environment.as_slice()).unwrap_or_else(|_| "error".into());
        if found != expected {
            wrong.push(format!("{word}: {found} instead of {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn words_table() {
    let Some(text) = input("wordsTest") else { return };
    let mut environment: Vec<(String, String)> = Vec::new();
    let mut wrong = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if let Some((name, value)) = line.strip_prefix("ENV ").and_then(|rest| rest.split_once('=')) {
            environment.push((name.trim().to_owned(), value.to_owned()));
            continue;
        }
        let Some((word, expected)) = line.split_once('|') else { continue };
        let found = match expand::words(word.trim(), '\\', environment.as_slice()) {
            Ok(words) => words.join(","),
            Err(_) => "error".into(),
        };
        if found.trim() != expected.trim() {
            wrong.push(format!("{word}: {found} instead of {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn ignore_table() {
    let Some(text) = input("patternmatcher.json") else { return };
    let table: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut wrong = Vec::new();
    for case in table["matches_or_parent"].as_array().unwrap() {
        let (pattern, text) = (case["pattern"].as_str().unwrap(), case["text"].as_str().unwrap());
        if Ignore::parse(pattern).unwrap().is_ignored(text) != case["match"].as_bool().unwrap() {
            wrong.push(format!("{pattern} {text}: {}", case["match"]));
        }
    }
    for case in table["multi"].as_array().unwrap() {
        let patterns: Vec<&str> = case["patterns"].as_array().unwrap().iter().filter_map(|p| p.as_str()).collect();
        let text = case["text"].as_str().unwrap();
        if Ignore::parse(&patterns.join("\n")).unwrap().is_ignored(text) != case["match"].as_bool().unwrap() {
            wrong.push(format!("{patterns:?} {text}: {}", case["match"]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
